//! `ctl policy`: the policies of a running server.

use clap::Subcommand;
use kms_server::admin::api::{PlacedPolicy, Policies, PolicyChange};
use kms_server::failure::{Failure, Kind};
use serde_json::{Map, Value};

use super::ctl::Remote;
use super::{printable, say, say_json};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the policies in force; the first that matches a key governs it
    List,
    /// Tells every setting of a policy
    Show {
        /// Its name
        name: String,
    },
    /// Changes settings of a policy, or makes it; it is in force when this returns
    Set {
        /// Its name
        name: String,
        /// Such as rotate-every=90d or names=tape-*,disk-*; nothing behind the sign sets back to the default; a list as JSON
        /// may hold commas: names='["a, b"]'
        #[arg(value_name = "SETTING=VALUE")]
        settings: Vec<String>,
    },
    /// Takes a policy out of force
    Remove {
        /// Its name
        name: String,
    },
}

/// The settings that are lists even if they have one value.
const LISTS: &[&str] = &["algorithms", "allowed-pairs"];

pub(super) fn run(command: &Command, remote: &Remote, json: bool) -> Result<(), Failure> {
    let policies: Policies = match command {
        Command::List => remote.read("/v1/policies")?,
        Command::Show { name } => {
            let all: Policies = remote.read("/v1/policies")?;
            let names: Vec<String> = all.policies.iter().map(|placed| placed.policy.name.clone()).collect();
            let Some(one) = all.policies.into_iter().find(|placed| placed.policy.name == *name) else {
                return Err(Failure::new(Kind::Refused, format!("there is no policy {name:?}"))
                    .hint(format!("there are: {}", names.join(", "))));
            };
            return if json { say_json(&one) } else { say(&details(&one)?) };
        }
        Command::Set { name, settings } => {
            let settings = parse_all(settings)?;
            remote.write("/v1/policies", &PolicyChange::Set { name: name.clone(), settings })?
        }
        Command::Remove { name } => {
            remote.write("/v1/policies", &PolicyChange::Remove { name: name.clone() })?
        }
    };
    if json { say_json(&policies) } else { say(&table(&policies)) }
}

/// The settings of a command line, each of which stands there once.
fn parse_all(settings: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut all = Map::new();
    for setting in settings {
        let (key, value) = parse(setting)?;
        if all.insert(key.clone(), value).is_some() {
            return Err(Failure::new(Kind::Other, format!("{key} is set twice"))
                .hint("a list has commas: names=tape-*,disk-*"));
        }
    }
    Ok(all)
}

fn parse(setting: &str) -> Result<(String, Value), Failure> {
    let Some((key, value)) = setting.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err(Failure::new(Kind::Other, format!("{setting:?} sets nothing"))
            .hint("write it like rotate-every=90d"));
    };
    let value = match value {
        "" => Value::Null,
        list if list.starts_with('[') => serde_json::from_str(list).map_err(|error| {
            Failure::new(Kind::Other, format!("{list} is no list: {error}"))
                .hint(r#"write it like names='["tape-*", "a, b"]'"#)
        })?,
        value if value.contains(',') || LISTS.contains(&key) => value.split(',').map(str::trim).collect(),
        value => value.into(),
    };
    Ok((key.to_owned(), value))
}

fn table(policies: &Policies) -> String {
    let mut lines = vec![format!("{:<20}  {:<24}  {:<12}  WHERE", "POLICY", "NAMES", "ROTATES")];
    for placed in &policies.policies {
        let policy = &placed.policy;
        let every = policy.rotate_every.map_or_else(|| "never".to_owned(), |every| format!("every {every}"));
        let names = serde_json::to_value(&policy.names).unwrap_or_default();
        let names = printable(names.as_str().unwrap_or(&names.to_string()));
        lines.push(format!("{:<20}  {names:<24}  {every:<12}  {}", policy.name, placed.place));
    }
    lines.join("\n")
}

fn details(placed: &PlacedPolicy) -> Result<String, Failure> {
    let text =
        toml::to_string(&placed.policy).map_err(|error| Failure::new(Kind::Other, error.to_string()))?;
    Ok(format!("# {}\n{}", placed.place, text.trim_end()))
}
