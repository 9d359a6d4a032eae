//! `kms-client job`.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::backup::database::Database;
use crate::backup::jobs::NewJob;
use crate::backup::records::{Job, JobKey};
use crate::backup::{BackupError, KeyAlgorithm};

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::exit::{CommandError, Exit};
use super::output::time;

#[derive(Subcommand)]
pub enum Command {
    /// Create a job: the KMS makes its key pair and keeps the private half.
    Create {
        /// The job's name, which its backup files begin with.
        name: String,
        /// The registered KMS server; not needed where there is one only, or a profile.
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
        /// Kind of the key pair: rsa-2048, rsa-3072 or rsa-4096.
        #[arg(long, default_value_t = KeyAlgorithm::default(), value_name = "KIND")]
        key: KeyAlgorithm,
    },
    /// List the jobs.
    List,
    /// Show a job and every generation of its key.
    Show {
        /// The job's name.
        name: String,
    },
}

pub fn run(session: &Session, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Create { name, server, key } => create(session, &name, server, key)?,
        Command::List => list(session)?,
        Command::Show { name } => {
            let database = session.config.database()?;
            let job = database.job(&name)?;
            let keys = database.keys(&job.name)?;
            let lines: Vec<String> = keys.iter().map(|key| format!("\n  {}", key_line(key))).collect();
            let text = format!("{}{}", line(&job, keys.last()), lines.concat());
            session.output.data(&text, &with_keys(&job, &keys))?;
        }
    }
    Ok(Exit::Done)
}

fn create(
    session: &Session,
    name: &str,
    server: Option<String>,
    algorithm: KeyAlgorithm,
) -> Result<(), CommandError> {
    let mut database = session.config.database()?;
    let server = match server {
        Some(server) => server,
        None => only_server(session, &mut database)?,
    };
    let server = database.server(&server)?;
    drop(database);
    // Before anything is written: a KMS that cannot be reached leaves no trace of the job.
    let kms = session.connect(&server)?;
    kms.check().map_err(BackupError::kms_failed(&server.name))?;
    let new = NewJob::begin(&mut session.config.database()?, name, &server.name, algorithm, session.now)?;
    session.output.say(&format!("asking {} at {} for a key pair ({algorithm})", server.name, server.address));
    let issued = match new.request(kms.as_ref()) {
        Ok(issued) => issued,
        Err(error) => {
            if let Some(error) = error.kms() {
                new.give_up(&mut session.config.database()?, error)?;
            }
            return Err(error.into());
        }
    };
    let (job, key) = new.complete(&mut session.config.database()?, issued, session.now)?;
    session.output.data(&line(&job, Some(&key)), &with_keys(&job, core::slice::from_ref(&key)))
}

/// The server to use where none is named: the only one, or the profile's, which is registered then.
fn only_server(session: &Session, database: &mut Database) -> Result<String, CommandError> {
    let servers = database.servers()?;
    match servers.as_slice() {
        [] => {
            let server = session.config.server(PROFILE_SERVER, ServerOptions::default())?;
            database.add_server(&server)?;
            session.output.say(&format!(
                "registered the KMS server of {} as {PROFILE_SERVER:?}: {}",
                session.config.profile.display(),
                server.address
            ));
            Ok(server.name)
        }
        [server] => Ok(server.name.clone()),
        _ => Err(CommandError::Config {
            what: format!("{} servers are registered, and none is named", servers.len()),
            hint: "name one with --server; `kms-client server list` shows them",
        }),
    }
}

fn list(session: &Session) -> Result<(), CommandError> {
    let database = session.config.database()?;
    let jobs = database.jobs()?;
    if jobs.is_empty() {
        session.output.say("there is no job; `kms-client job create NAME` makes one");
    }
    for job in jobs {
        let key = database.current_key(&job)?;
        session.output.data(&line(&job, key.as_ref()), &json!(job))?;
    }
    Ok(())
}

fn with_keys(job: &Job, keys: &[JobKey]) -> Value {
    json!({"job": job, "keys": keys})
}

fn line(job: &Job, key: Option<&JobKey>) -> String {
    let key = match (&job.blocked, key) {
        (Some(reason), _) => format!("must not encrypt: {reason}"),
        (None, Some(key)) => format!("generation {}, private key {}", key.generation, key.private_id),
        (None, None) => "its key was requested but not received; run `job create` again".to_owned(),
    };
    format!("{}  {} at {}  {key}", job.name, job.algorithm, job.server)
}

fn key_line(key: &JobKey) -> String {
    let JobKey { generation, private_id, public_id, adopted, .. } = key;
    format!(
        "generation {generation} since {}: private key {private_id}, public key {public_id}",
        time(*adopted)
    )
}
