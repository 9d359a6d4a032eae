//! `kms-client plugin`.

use clap::Subcommand;
use serde_json::json;

use crate::backup::BackupError;
use crate::backup::plugin::{identity, recipient};

use super::Session;
use super::exit::{CommandError, Exit};

#[derive(Subcommand)]
pub enum Command {
    /// Print the recipient for a job's key: `rage -r` encrypts to it.
    Recipient {
        /// The job.
        job: String,
    },
    /// Print the identity for a server's keys: `rage -d -i FILE` decrypts with it.
    Identity {
        /// The registered KMS server.
        server: String,
    },
}

pub fn run(session: &Session, command: &Command) -> Result<Exit, CommandError> {
    let database = session.state.database()?;
    match command {
        Command::Recipient { job: name } => {
            let job = database.job(name)?;
            let none = || BackupError::Blocked { job: name.clone(), reason: "it has no KMS key".to_owned() };
            let kms = job.kms.as_ref().ok_or_else(none)?;
            let key = database.current_key(&job)?.ok_or_else(none)?;
            let text = recipient(&database.server(&kms.server)?, &key)?;
            let value =
                json!({"recipient": text, "private_id": key.private_id, "generation": key.generation});
            session.output.data(&text, &value)?;
        }
        Command::Identity { server } => {
            let text = identity(&database.server(server)?)?;
            session.output.data(&text, &json!({"identity": text, "server": server}))?;
        }
    }
    Ok(Exit::Done)
}
