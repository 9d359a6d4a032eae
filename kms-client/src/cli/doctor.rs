//! `kms-client doctor`.

use std::net::Ipv6Addr;

use clap::Args;
use serde_json::json;
use tokio::runtime::Builder;

use crate::backup::kmip;
use crate::backup::{BackupError, KeyAlgorithm, KmsError};
use crate::doctor::{self, Entry, Outcome, Plan};

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::exit::{CommandError, Exit};

/// KMIP's port.
const PORT: u16 = 5696;

/// What a KMS can do for backups.
#[derive(Args)]
pub struct Arguments {
    /// The KMS server; without a port KMIP's, 5696.
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "address")]
    server: Option<String>,
    /// Leave out everything that changes something there.
    #[arg(long)]
    read_only: bool,
    /// The key pair that is made and destroyed: rsa-2048, rsa-3072 or rsa-4096.
    #[arg(long, default_value_t = KeyAlgorithm::Rsa2048, value_name = "KIND")]
    pair: KeyAlgorithm,
    #[command(flatten)]
    options: ServerOptions,
}

pub fn run(session: &Session, arguments: Arguments) -> Result<Exit, CommandError> {
    let Arguments { server, read_only, pair, mut options } = arguments;
    options.address = server.as_deref().map(with_port).or(options.address);
    let server = session.config.server(PROFILE_SERVER, options)?;
    let plan = Plan { profile: server.profile(), read_only, pair: kmip::spec(pair) };
    let (output, as_json) = (&session.output, session.config.json);
    let tell = |entry: &Entry| {
        if !as_json {
            // When nobody reads any more the last line says so.
            let _ = output.data(&entry.to_string(), &json!(null));
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = runtime
        .block_on(doctor::examine(&plan, session.now(), &tell))
        .map_err(|error| CommandError::from(BackupError::kms_failed(&server.name)(KmsError::from(error))))?;
    session.output.data(&format!("\n{report}"), &json!(report))?;
    Ok(match report.worst() {
        Outcome::Failed if !report.is_reachable() => Exit::Unreachable,
        Outcome::Failed => Exit::Failed,
        Outcome::Lacking => Exit::Partly,
        Outcome::Passed | Outcome::Skipped => Exit::Done,
    })
}

/// An address as it was typed, with KMIP's port where it has none.
pub(super) fn with_port(typed: &str) -> String {
    if typed.parse::<Ipv6Addr>().is_ok() {
        format!("[{typed}]:{PORT}")
    } else if typed.ends_with(']') || !typed.contains(':') {
        format!("{typed}:{PORT}")
    } else {
        typed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn an_address_without_a_port_gets_kmips() {
        let cases = [
            ("kms", "kms:5696"),
            ("kms:1", "kms:1"),
            ("::1", "[::1]:5696"),
            ("[::1]", "[::1]:5696"),
            ("[::1]:2", "[::1]:2"),
        ];
        for (typed, address) in cases {
            assert_eq!(with_port(typed), address);
        }
    }
}
