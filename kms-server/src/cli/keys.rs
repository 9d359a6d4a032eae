//! `ctl key`: keys of a running server, whoever owns them. Never their material.

use std::fmt::Write;

use clap::{Args, Subcommand};
use kms_server::admin::api::{Key, KeyChange, Keys};
use kms_server::failure::{Failure, Kind};

use super::ctl::Remote;
use super::{printable, say, say_json};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists keys by owner, oldest first, page by page
    List(List),
    /// Tells everything about a key but its material
    Show {
        /// Its Unique Identifier
        id: String,
    },
    /// Rotates a pair now, as its policy would
    Rotate {
        /// The Unique Identifier of either half
        id: String,
    },
    /// Brings a destroyed key back while its policy's deletion window lasts
    Undelete {
        /// Its Unique Identifier
        id: String,
    },
}

#[derive(Args)]
pub(super) struct List {
    /// Only this owner's
    #[arg(long)]
    owner: Option<String>,
    /// Only those with a Name like this: * is any text, ? any character; old generations are found by the Names that
    /// they had
    #[arg(long)]
    name: Option<String>,
    /// Only those in this state, such as active or pre-active
    #[arg(long)]
    state: Option<String>,
    /// Only this generation
    #[arg(long)]
    generation: Option<i32>,
    /// How many at most
    #[arg(long)]
    limit: Option<usize>,
    /// Goes on behind this place, which the page before names
    #[arg(long)]
    after: Option<String>,
}

pub(super) fn run(command: &Command, remote: &Remote, json: bool) -> Result<(), Failure> {
    let keys: Keys = match command {
        Command::List(list) => {
            let keys = remote.ask("/v1/keys", &list.query())?;
            return if json { say_json(&keys) } else { say(&table(&keys)) };
        }
        Command::Show { id } => {
            let key: Key = remote.read(&path(id)?)?;
            return if json { say_json(&key) } else { say(&details(&key)) };
        }
        Command::Rotate { id } => remote.write(&path(id)?, &KeyChange::Rotate)?,
        Command::Undelete { id } => remote.write(&path(id)?, &KeyChange::Undelete)?,
    };
    if json {
        return say_json(&keys);
    }
    let told: Vec<String> = keys.keys.iter().map(details).collect();
    say(&told.join("\n\n"))
}

fn path(id: &str) -> Result<String, Failure> {
    let plain =
        !id.is_empty() && id.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    if !plain {
        return Err(Failure::new(Kind::Other, format!("{id:?} is no Unique Identifier of this server"))
            .hint("`kms-server ctl key list` shows them"));
    }
    Ok(format!("/v1/keys/{id}"))
}

impl List {
    fn query(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<i32>| number.map(|number| number.to_string());
        [
            ("owner", self.owner.clone()),
            ("name", self.name.clone()),
            ("state", self.state.clone()),
            ("generation", number(self.generation)),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("after", self.after.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

fn table(keys: &Keys) -> String {
    let mut text = format!(
        "{:<36}  {:<11}  {:<9}  {:<21}  {:>3}  {:<16}  NAMES",
        "ID", "TYPE", "KIND", "STATE", "GEN", "OWNER"
    );
    for key in &keys.keys {
        let Key { id, object_type, kind, state, generation, owner, names, .. } = key;
        let [owner, names] = [owner, &names.join(", ")].map(|text| printable(text));
        let _ = write!(
            text,
            "\n{id:<36}  {object_type:<11}  {kind:<9}  {state:<21}  {generation:>3}  {owner:<16}  {names}"
        );
    }
    if let Some(next) = &keys.next {
        let _ = write!(text, "\nthere may be more: --after {next}");
    }
    text
}

fn details(key: &Key) -> String {
    let mut text = format!("{} {} {}", key.kind, key.object_type, key.id);
    let mut row = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(text, "\n  {name:<12} {}", printable(value));
        }
    };
    row("state", Some(&key.state));
    row("owner", Some(&key.owner));
    row("names", Some(&key.names.join(", ")));
    row("groups", Some(&key.groups.join(", ")));
    row("policy", key.policy.as_deref());
    row("generation", Some(&key.generation.to_string()));
    row("other half", key.other_half.as_deref());
    row("replaces", key.predecessor.as_deref());
    row("replaced by", key.successor.as_deref());
    row("made", key.initial_date.as_deref());
    row("active", key.activation_date.as_deref());
    row("deactivated", key.deactivation_date.as_deref());
    row("rotates", key.rotates_at.as_deref());
    row("comes back", key.restorable_until.as_deref().map(|until| format!("until {until}")).as_deref());
    text
}
