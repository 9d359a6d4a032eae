//! The database as text, to move it or to look at it: a JSON value a line, and a last line that proves the others, since a
//! public key with one letter changed would encrypt for nobody.

use std::io::BufRead;

use sha2::{Digest, Sha256};

use super::{
    BackupError, Batch, CHAINS, CONTACTS, Database, FILES, FORMAT_KEY, IMPORTS, JOBS, KEYS, RECOVERY_NAME,
    REPOSITORIES, SERVERS, SYNCS, TAPES, limits,
};

impl Database {
    /// All records, as JSON. The database holds no secrets: of passwords and Enterprise Managers public keys, of certificates
    /// where they are. Each is a line; the last one says how many there are, and the SHA-256 of their lines.
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
        let mut hash = Sha256::new();
        records.iter().for_each(|record| hash.update(format!("{record}\n")));
        records.push(end(records.len(), hash));
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

fn end(records: usize, hash: Sha256) -> serde_json::Value {
    serde_json::json!({"records": records, "sha256": hex::encode(hash.finalize())})
}

/// The records in the lines that [`Database::export`] gave.
///
/// # Errors
/// What is wrong with them: a line that is no record, or one that was changed, added or lost.
pub fn read_export(mut input: impl BufRead) -> Result<Vec<serde_json::Value>, String> {
    let (mut records, mut hash, mut before) = (Vec::new(), Sha256::new(), String::new());
    loop {
        let mut line = String::new();
        let read = input.read_line(&mut line).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        if !before.is_empty() {
            hash.update(&before);
            let record = serde_json::from_str(&before);
            let number = records.len() + 1;
            records.push(record.map_err(|error| format!("line {number} is no record: {error}"))?);
        }
        before = line;
    }
    if before != format!("{}\n", end(records.len(), hash)) {
        return Err(
            "it was altered, or its end is missing: its last line is not that of its records".to_owned()
        );
    }
    Ok(records)
}
