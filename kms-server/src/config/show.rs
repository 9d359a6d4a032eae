//! What a server would run with, setting by setting, and where each comes from.

use serde::Serialize;
use toml::Value;

use super::{Config, LISTEN, PolicyBook, READY_PAIRS};

/// A setting in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Setting {
    /// Its path, as in `policy.tape.offset`.
    pub path: String,
    /// Its value, as TOML writes it.
    pub value: String,
    /// Where it is stated, as in `kms.toml, line 7`, or `default`.
    pub origin: String,
}

impl Config {
    /// Every setting in force: those of this file, the policies of `book`, and the defaults of what nobody stated.
    #[must_use]
    pub fn settings(&self, book: &PolicyBook) -> Vec<Setting> {
        let mut all = self.clone();
        all.listen.get_or_insert(LISTEN);
        all.ready_pairs.get_or_insert(READY_PAIRS);
        all.policies.clear();
        let mut settings = Vec::new();
        if let Ok(Value::Table(table)) = Value::try_from(&all) {
            flatten(&table, "", &mut |path, value| {
                let origin = self.source.stated(path).unwrap_or_else(|| "default".into());
                settings.push(Setting { path: path.into(), value, origin });
            });
        }
        for placed in book.effective() {
            let Ok(Value::Table(table)) = Value::try_from(&placed.policy) else { continue };
            flatten(&table, "", &mut |key, value| {
                let origin = placed.stated(key).unwrap_or_else(|| "default".into());
                settings.push(Setting {
                    path: format!("policy.{}.{key}", placed.policy.name),
                    value,
                    origin,
                });
            });
        }
        settings
    }
}

fn flatten(table: &toml::Table, parent: &str, each: &mut impl FnMut(&str, String)) {
    for (key, value) in table {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        flatten_value(&path, value, each);
    }
}

fn flatten_value(path: &str, value: &Value, each: &mut impl FnMut(&str, String)) {
    match value {
        Value::Table(table) => flatten(table, path, each),
        Value::Array(values) if values.iter().any(Value::is_table) => {
            for (index, value) in values.iter().enumerate() {
                flatten_value(&format!("{path}[{index}]"), value, each);
            }
        }
        other => each(path, other.to_string()),
    }
}
