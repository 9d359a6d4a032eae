//! `ctl fault`: what goes wrong on purpose on a running development server.

use std::fmt::Write;

use clap::{Args, Subcommand};
use kms_protocol::enums::Operation;
use kms_server::admin::api::{Armed, Disarmed, Faults};
use kms_server::failure::Failure;
use kms_server::faults::{FORMS, Fault, Rule, operation_called};

use super::ctl::Remote;
use super::{printable, say, say_json};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Arms a fault
    #[command(after_help = format!("Faults: {FORMS}"))]
    Add(Add),
    /// Lists what is armed and how often it fired
    List,
    /// Disarms faults, and lets go of what hangs by them
    Reset(Reset),
}

#[derive(Args)]
pub(super) struct Add {
    /// What goes wrong, such as close:after-commit or delay:200ms
    fault: Fault,
    /// Only where this operation is asked for, by KMIP's name: Decrypt, "Re-key Key Pair"
    #[arg(long, value_name = "NAME", value_parser = operation_called)]
    operation: Option<Operation>,
    /// Only where this client asks; * and ? are wildcards
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only where this key is meant, by Unique Identifier or Name; * and ? are wildcards
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only at this place of a batch; the first is 1
    #[arg(long, value_name = "PLACE")]
    item: Option<usize>,
    /// Only after so many that fit
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip: u32,
    /// Only so many times
    #[arg(long, value_name = "COUNT")]
    count: Option<u32>,
    /// Only with this probability, 0 to 1
    #[arg(long, value_name = "SHARE")]
    probability: Option<f64>,
    /// What probability and jitter follow from
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u32,
}

#[derive(Args)]
pub(super) struct Reset {
    /// Only this one, by the number that `list` shows
    id: Option<u64>,
    /// Only those that were armed for this client
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    client: Option<String>,
}

pub(super) fn run(command: &Command, remote: &Remote, json: bool) -> Result<(), Failure> {
    match command {
        Command::Add(add) => {
            let armed: Armed = remote.write("/v1/faults", &add.rule())?;
            if json { say_json(&armed) } else { say(&format!("armed as {}", armed.id)) }
        }
        Command::List => {
            let faults: Faults = remote.read("/v1/faults")?;
            if json { say_json(&faults) } else { say(&table(&faults)) }
        }
        Command::Reset(Reset { id, client }) => {
            let path = id.map_or_else(|| "/v1/faults".to_owned(), |id| format!("/v1/faults/{id}"));
            let query: Vec<_> = client.iter().map(|client| ("client", client.clone())).collect();
            let gone: Disarmed = remote.delete(&path, &query)?;
            if json { say_json(&gone) } else { say(&format!("{} disarmed", gone.disarmed)) }
        }
    }
}

impl Add {
    fn rule(&self) -> Rule {
        Rule {
            fault: self.fault.clone(),
            operation: self.operation,
            client: self.client.clone(),
            key: self.key.clone(),
            item: self.item,
            skip: self.skip,
            count: self.count,
            probability: self.probability,
            seed: self.seed,
        }
    }
}

fn table(faults: &Faults) -> String {
    if faults.faults.is_empty() {
        return "no faults are armed".to_owned();
    }
    let mut lines = Vec::with_capacity(faults.faults.len());
    for listed in &faults.faults {
        let rule = &listed.rule;
        let mut line = format!("{:>4}  {}", listed.id, rule.fault);
        let operation = rule.operation.map(|operation| operation.to_string());
        let texts = [("operation", &operation), ("client", &rule.client), ("key", &rule.key)];
        for (what, text) in texts {
            if let Some(text) = text {
                let _ = write!(line, "  {what} {}", printable(text));
            }
        }
        if let Some(item) = rule.item {
            let _ = write!(line, "  item {item}");
        }
        if let Some(probability) = rule.probability {
            let _ = write!(line, "  probability {probability}");
        }
        let _ = write!(line, "  fired {}", listed.fired);
        if let Some(left) = listed.left {
            let _ = write!(line, ", {left} left");
        }
        lines.push(line);
    }
    lines.join("\n")
}
