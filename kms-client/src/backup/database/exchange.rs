//! The database as text, to move it or to look at it.

use super::{
    BackupError, Batch, CHAINS, CONTACTS, Database, FILES, FORMAT_KEY, IMPORTS, JOBS, KEYS, RECOVERY_NAME,
    REPOSITORIES, SERVERS, SYNCS, TAPES, limits,
};

impl Database {
    /// All records, as JSON. The database holds no secrets: of passwords and Enterprise Managers public keys, of certificates
    /// where they are.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn export(&self) -> Result<Vec<serde_json::Value>, BackupError> {
        let mut records = Vec::new();
        for key in self.keys_below("")? {
            let name = String::from_utf8_lossy(&key).into_owned();
            let value: Option<serde_json::Value> = self.read(&key)?;
            if key != FORMAT_KEY {
                records.push(serde_json::json!({"name": name, "record": value}));
            }
        }
        Ok(records)
    }

    /// Takes over what [`Database::export`] gave, into a database that has nothing yet: one change.
    ///
    /// # Errors
    /// `Exists` when there is something in the database; `Invalid` when a record is none.
    pub fn import(&mut self, records: &[serde_json::Value]) -> Result<(), BackupError> {
        if let Some(key) = self.keys_below("")?.iter().find(|key| *key != FORMAT_KEY) {
            return Err(BackupError::Exists {
                what: "record",
                name: String::from_utf8_lossy(key).into_owned(),
            });
        }
        let mut batch = Batch::default();
        for record in records {
            let name = record.get("name").and_then(serde_json::Value::as_str);
            let known = [
                SERVERS,
                JOBS,
                KEYS,
                SYNCS,
                CHAINS,
                FILES,
                REPOSITORIES,
                RECOVERY_NAME,
                IMPORTS,
                TAPES,
                CONTACTS,
            ];
            let name = name.filter(|name| known.iter().any(|prefix| name.starts_with(prefix)));
            let (Some(name), Some(value)) = (name, record.get("record").filter(|value| value.is_object()))
            else {
                let value = record.to_string().chars().take(limits::MAX_ADDRESS).collect();
                let rule = "a name and a record, as `database export` writes them";
                return Err(BackupError::Invalid { what: "record", value, rule });
            };
            self.put(&mut batch, name.as_bytes(), value)?;
        }
        self.commit(batch)
    }
}
