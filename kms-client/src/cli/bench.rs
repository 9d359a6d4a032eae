//! `kms-client bench`.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::runtime::Builder;

use crate::backup::kmip;
use crate::backup::{BackupError, KeyAlgorithm, KmsError};
use crate::bench::{self, Oaep, Operation, Plan};
use crate::limits;

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::exit::{CommandError, Exit};

/// How much a server does.
#[derive(Args)]
pub struct Arguments {
    /// What to ask of it: decrypt, get, locate or create.
    operation: Operation,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How long, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Operations a second, all connections together; as many as the server does when left out.
    #[arg(long)]
    rate: Option<f64>,
    /// The key pair that is made for it: rsa-2048, rsa-3072 or rsa-4096.
    #[arg(long, default_value_t = KeyAlgorithm::Rsa2048, value_name = "KIND")]
    pair: KeyAlgorithm,
    /// OAEP's hash: sha256, sha1, or sha256-default-mask (the mask's hash is left out, and is SHA-1).
    #[arg(long, default_value = "sha256", value_name = "HASH")]
    oaep: Oaep,
    /// Operations in one message.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=limits::BATCH as i64))]
    batch: u16,
    #[command(flatten)]
    server: ServerOptions,
}

pub fn run(session: &Session, arguments: Arguments) -> Result<Exit, CommandError> {
    let server = session.config.server(PROFILE_SERVER, arguments.server)?;
    let failed = |error: KmsError| CommandError::from(BackupError::kms_failed(&server.name)(error));
    let client = kmip::client(&server).map_err(|error| failed(error.into()))?;
    let plan = Plan {
        connections: usize::from(arguments.connections),
        duration: Duration::from_secs(arguments.seconds),
        rate: arguments.rate,
        spec: kmip::spec(arguments.pair),
        oaep: arguments.oaep,
        batch: usize::from(arguments.batch),
        ..Plan::new(arguments.operation)
    };
    session.output.say(&format!("asking {} for {} seconds", server.address, arguments.seconds));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(bench::run(&client, &plan)).map_err(|error| failed(error.into()))?;
    session.output.data(&report.to_string(), &json!(report))?;
    Ok(if report.errors == 0 { Exit::Done } else { Exit::Partly })
}
