//! The policies in force: those of `kms.toml`, and over them what was changed on the running server.
//!
//! Changes are kept in a file of their own, in the same language, so that a person can read it and move what shall stay
//! into `kms.toml`. A policy there stands in the place of the one with its name; a new one comes before all others, or
//! a policy for all names would leave it nothing to govern.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kms_certs::{Access as FileAccess, replace_file};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::{Placed, check};
use super::source::{Source, explain, nearest};
use super::{Config, read_bounded};
use crate::failure::{Failure, Kind};
use crate::kms::access::Access;
use crate::kms::credentials::User;
use crate::kms::policy::{Compatibility, Policies, Policy, Seeding};
use crate::limits;

/// What the file of changes says.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Changes {
    /// Policies of `kms.toml` that are in force no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    /// Policies that were set.
    #[serde(rename = "policy")]
    policies: Vec<Policy>,
}

const HEAD: &str = "# Policies that were changed on the running server, over those of kms.toml.\n\
                    # Written by `kms-server ctl policy`; move into kms.toml what shall stay.\n\n";

/// All policies, and where each is written.
#[derive(Clone, Debug)]
pub struct PolicyBook {
    written: Vec<Placed>,
    access: Access,
    users: Vec<User>,
    random_seeds: Seeding,
    pkcs1_decryption: bool,
    compatibility: Compatibility,
    /// Where changes are kept; without it there can be none.
    file: Option<PathBuf>,
    changes: Changes,
    source: Arc<Source>,
    /// What the file of changes held when it was last read or written; none where there was none.
    text: Option<Arc<str>>,
}

impl PolicyBook {
    /// The policies of `config`, with the changes that `file` holds.
    ///
    /// # Errors
    /// [`Failure`] when they do not go together; it names the file and the line.
    pub fn open(config: &Config, file: Option<&Path>) -> Result<Self, Failure> {
        let mut book = Self {
            written: config.placed(),
            access: config.access.clone(),
            users: config.users.clone(),
            random_seeds: config.random_seeds,
            pkcs1_decryption: config.pkcs1_decryption,
            compatibility: config.compatibility,
            file: file.map(Path::to_owned),
            changes: Changes::default(),
            source: Arc::default(),
            text: None,
        };
        if let Some(file) = file.filter(|file| file.exists()) {
            let origin = file.display().to_string();
            let text = read_bounded(file, "kms.toml", limits::CONFIG)?;
            book.changes = toml::from_str(&text).map_err(|error| explain(&error, &text, &origin))?;
            book.source = Arc::new(Source::of(&text, &origin));
            book.text = Some(text.into());
        }
        check(&book.effective())?;
        Ok(book)
    }

    /// The policies in force, in their order.
    #[must_use]
    pub fn effective(&self) -> Vec<Placed> {
        let changed: Vec<Placed> = (0..)
            .zip(&self.changes.policies)
            .map(|(index, policy)| Placed::new(policy.clone(), &self.source, index))
            .collect();
        let is_written = |name: &str| self.written.iter().any(|written| written.policy.name == name);
        let new = changed.iter().filter(|changed| !is_written(&changed.policy.name)).cloned();
        let rest = self.written.iter().filter_map(|written| {
            let name = &written.policy.name;
            let replaced = changed.iter().find(|changed| changed.policy.name == *name).cloned();
            replaced.or_else(|| (!self.changes.removed.contains(name)).then(|| written.clone()))
        });
        new.chain(rest).collect()
    }

    /// The policies as the core takes them.
    #[must_use]
    pub fn policies(&self) -> Policies {
        let list = self.effective().into_iter().map(|placed| placed.policy).collect();
        let Self { random_seeds, pkcs1_decryption, compatibility, .. } = *self;
        let (access, users) = (self.access.clone(), self.users.clone());
        Policies { list, access, users, random_seeds, pkcs1_decryption, compatibility }
    }

    /// Sets settings of the policy `name`, which is made where there is none. `null` sets a setting back to its default.
    /// The change is on disk when this returns.
    ///
    /// # Errors
    /// [`Failure`] when it may not or cannot be changed, or would make no sense; then nothing has changed.
    pub fn set(&mut self, name: &str, settings: &Map<String, Value>) -> Result<(), Failure> {
        let present = self.effective().into_iter().find(|placed| placed.policy.name == name);
        let policy = present.map_or_else(Policy::default, |placed| placed.policy);
        let mut changes = self.changes.clone();
        let policy = merged(policy, name, settings)?;
        changes.removed.retain(|removed| removed != name);
        match changes.policies.iter_mut().find(|changed| changed.name == name) {
            Some(changed) => *changed = policy,
            None => changes.policies.insert(0, policy),
        }
        self.change(changes)
    }

    /// Takes the policy `name` out of force. The change is on disk when this returns.
    ///
    /// # Errors
    /// As [`PolicyBook::set`], and when there is no such policy.
    pub fn remove(&mut self, name: &str) -> Result<(), Failure> {
        let effective = self.effective();
        if !effective.iter().any(|placed| placed.policy.name == name) {
            let names: Vec<&str> = effective.iter().map(|placed| placed.policy.name.as_str()).collect();
            return Err(Failure::new(Kind::Refused, format!("there is no policy {name:?}"))
                .hint(format!("there are: {}", names.join(", "))));
        }
        let mut changes = self.changes.clone();
        changes.policies.retain(|changed| changed.name != name);
        if self.written.iter().any(|written| written.policy.name == name) {
            changes.removed.push(name.to_owned());
        }
        self.change(changes)
    }

    fn change(&mut self, changes: Changes) -> Result<(), Failure> {
        let Some(file) = self.file.clone() else {
            return Err(Failure::new(Kind::Refused, "policies cannot be changed on this server while it runs")
                .hint("set policy-changes = \"policies.toml\" in kms.toml to allow it, or edit kms.toml and restart"));
        };
        let text = toml::to_string(&changes).map_err(|error| Failure::new(Kind::Other, error.to_string()))?;
        let text = format!("{HEAD}{text}");
        let source = Arc::new(Source::of(&text, &file.display().to_string()));
        let next = Self { changes, source, text: Some(text.as_str().into()), ..self.clone() };
        check(&next.effective())?;
        let present =
            if file.exists() { Some(read_bounded(&file, "kms.toml", limits::CONFIG)?) } else { None };
        if present.as_deref() != self.text.as_deref() {
            let what =
                format!("{} was changed since this server read it, and would be overwritten", file.display());
            return Err(Failure::new(Kind::Refused, what).hint(
                "restart the server, which then goes by the file as it is, and make the change again",
            ));
        }
        replace_file(&file, text.as_bytes(), FileAccess::Public).map_err(|error| {
            Failure::new(Kind::State, error.to_string())
                .hint("make the folder writable for the server and try again")
        })?;
        *self = next;
        Ok(())
    }
}

/// `policy` with some settings changed.
fn merged(policy: Policy, name: &str, settings: &Map<String, Value>) -> Result<Policy, Failure> {
    let wrong = |error: serde_json::Error| {
        let message = error.to_string();
        let failure = Failure::new(Kind::Refused, format!("policy {name:?}: {message}"));
        match nearest(&message) {
            Some(name) => failure.hint(format!("did you mean `{name}`?")),
            None => failure.hint("docs/policies.md lists what a policy may say"),
        }
    };
    let Value::Object(mut table) = serde_json::to_value(policy).map_err(wrong)? else {
        return Err(Failure::new(Kind::Other, "a policy is a table"));
    };
    for (key, value) in settings {
        if key == "name" {
            return Err(Failure::new(Kind::Refused, format!("policy {name:?} keeps its name"))
                .hint("remove it and set one with another name"));
        }
        if value.is_null() {
            // A key that nobody knows is a slip, also where it would be taken out.
            let alone = Map::from_iter([(key.clone(), Value::Null)]);
            if let Err(error) = serde_json::from_value::<Policy>(Value::Object(alone))
                && error.to_string().starts_with("unknown field")
            {
                return Err(wrong(error));
            }
            table.remove(key);
        } else {
            table.insert(key.clone(), value.clone());
        }
    }
    table.insert("name".into(), name.into());
    serde_json::from_value(Value::Object(table)).map_err(wrong)
}
