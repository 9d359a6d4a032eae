//! `kms-client job`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kms_protocol::DateTime;
use serde_json::{Value, json};

use crate::backup::database::Database;
use crate::backup::envelope::PasswordKey;
use crate::backup::jobs::{NewJob, keyless, set_offline, set_password, use_kms};
use crate::backup::records::{Job, JobKey, ServerEntry};
use crate::backup::signing::begin;
use crate::backup::{BackupError, KeyAlgorithm, KeyManagement};

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::exit::{CommandError, Exit};
use super::opening::read_password;
use super::output::time;
use super::quantity::seconds;

#[derive(Subcommand)]
pub enum Command {
    /// Create a job: the KMS makes its key pair and keeps the private half, or a password encrypts.
    Create {
        /// The job's name, which its backup files begin with.
        name: String,
        /// The registered KMS server; not needed where there is one only, or a profile.
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
        /// Kind of the key pair: rsa-2048, rsa-3072, rsa-4096 or p-256.
        #[arg(long, default_value_t = KeyAlgorithm::default(), value_name = "KIND")]
        key: KeyAlgorithm,
        #[command(flatten)]
        password: PasswordOptions,
        /// Have a key of the KMS sign the metadata of the job's chains.
        #[arg(long)]
        sign: bool,
        /// Without a key of its own: the repositories that it backs up into have one.
        #[arg(long, conflicts_with_all = ["server", "key", "password_file"])]
        no_key: bool,
    },
    /// Change what encrypts a job's backups from now on, also within a chain.
    Set {
        /// The job's name.
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
        /// Encrypt with the job's KMS key again.
        #[arg(long, conflicts_with = "password_file")]
        kms: bool,
        /// How long the job may go on with the public key that it has while its KMS is down (s, m, h, d); 0s for not at all.
        #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "password_file")]
        offline: Option<u64>,
        /// Have a key of the KMS sign the metadata of the job's chains from now on.
        #[arg(long)]
        sign: bool,
        /// The registered KMS server that makes this key; the job's own unless given.
        #[arg(long, value_name = "NAME", requires = "sign")]
        server: Option<String>,
    },
    /// List the jobs.
    List,
    /// Show a job and every generation of its key.
    Show {
        /// The job's name.
        name: String,
    },
}

/// A password and its hint.
#[derive(Args)]
pub struct PasswordOptions {
    /// Encrypt with the password on the first line of this file. The file is read now and never again.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What reminds of the password; every backup file says it.
    #[arg(long, default_value = "none", value_name = "TEXT", requires = "password_file")]
    hint: String,
}

impl PasswordOptions {
    fn key(&self, now: DateTime) -> Result<Option<PasswordKey>, CommandError> {
        let Some(file) = &self.password_file else { return Ok(None) };
        Ok(Some(PasswordKey::new(&read_password(file)?, &self.hint, now.0)?))
    }
}

pub fn run(session: &Session, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Create { name, no_key: true, sign, .. } => {
            let mut job = keyless(&mut session.state.database()?, &name, session.now())?;
            if sign {
                job = signed(session, &name, None)?;
            }
            session.output.data(&line(&job, None), &with_keys(&job, &[]))?;
        }
        Command::Create { name, server, key, password, sign, .. } => match password.key(session.now())? {
            None => create(session, &name, server, key, sign)?,
            Some(password) => {
                let mut database = session.state.database()?;
                if database.job(&name).is_ok() {
                    return Err(BackupError::Exists { what: "job", name }.into());
                }
                let mut job = set_password(&mut database, &name, password, session.now())?;
                drop(database);
                if sign {
                    job = signed(session, &name, server)?;
                }
                session.output.data(&line(&job, None), &with_keys(&job, &[]))?;
            }
        },
        Command::Set { name, password, kms, offline, sign, server } => {
            let password = password.key(session.now())?;
            if sign {
                let job = signed(session, &name, server)?;
                if password.is_none() && !kms && offline.is_none() {
                    let keys = session.state.database()?.keys(&name)?;
                    session.output.data(&line(&job, keys.last()), &with_keys(&job, &keys))?;
                    return Ok(Exit::Done);
                }
            }
            set(session, &name, password, kms, offline)?;
        }
        Command::List => list(session)?,
        Command::Show { name } => {
            let database = session.state.database()?;
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
    sign: bool,
) -> Result<(), CommandError> {
    let (server, kms) = reached(session, server)?;
    let new = NewJob::begin(&mut session.state.database()?, name, &server.name, algorithm, session.now())?;
    session.output.say(&format!("asking {} at {} for a key pair ({algorithm})", server.name, server.address));
    let issued = match new.request(kms.as_ref()) {
        Ok(issued) => issued,
        Err(error) => {
            if let Some(error) = error.kms() {
                new.give_up(&mut session.state.database()?, error)?;
            }
            return Err(error.into());
        }
    };
    let (mut job, key) = new.complete(&mut session.state.database()?, issued, session.now())?;
    if sign {
        job = signed(session, name, None)?;
    }
    session.output.data(&line(&job, Some(&key)), &with_keys(&job, core::slice::from_ref(&key)))
}

/// The server of this name, or the only one, once it has answered: nothing is written before.
fn reached(
    session: &Session,
    name: Option<String>,
) -> Result<(ServerEntry, Box<dyn KeyManagement>), CommandError> {
    let mut database = session.state.database()?;
    let name = match name {
        Some(name) => name,
        None => only_server(session, &mut database)?,
    };
    let server = database.server(&name)?;
    drop(database);
    let kms = session.connect(&server)?;
    kms.check().map_err(BackupError::kms_failed(&server.name))?;
    Ok((server, kms))
}

/// Gives a job a key that signs.
fn signed(session: &Session, name: &str, server: Option<String>) -> Result<Job, CommandError> {
    let own = session.state.database()?.job(name)?.kms.map(|kms| kms.server);
    let (server, kms) = reached(session, server.or(own))?;
    Ok(begin(&session.state, name, &server.name, kms.as_ref(), session.now())?)
}

fn set(
    session: &Session,
    name: &str,
    password: Option<PasswordKey>,
    kms: bool,
    offline: Option<u64>,
) -> Result<(), CommandError> {
    let mut database = session.state.database()?;
    let job = match (password, offline) {
        (Some(password), _) => {
            database.job(name)?;
            set_password(&mut database, name, password, session.now())?
        }
        (None, offline) if kms || offline.is_some() => {
            let mut job = database.job(name)?;
            if let Some(time) = offline {
                job = set_offline(&mut database, name, Some(time).filter(|time| *time > 0))?;
            }
            if kms { use_kms(&mut database, name)? } else { job }
        }
        (None, _) => {
            return Err(CommandError::Config {
                what: "nothing is said of what to change".to_owned(),
                hint: "give --password-file, --kms, --offline or --sign",
            });
        }
    };
    let keys = database.keys(name)?;
    session.output.data(&line(&job, keys.last()), &with_keys(&job, &keys))
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
    let database = session.state.database()?;
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
    let signing = job.signing.as_ref().map(|key| format!("; signed with key {}", key.private_id));
    format!("{}{}", encryption_line(job, key), signing.unwrap_or_default())
}

fn encryption_line(job: &Job, key: Option<&JobKey>) -> String {
    let Some(kms) = &job.kms else { return format!("{}  {}", job.name, password_line(job)) };
    let offline = kms.offline.map_or_else(String::new, |time| format!(", may go on without it for {time} s"));
    let key = match (&kms.blocked, key) {
        (Some(reason), _) => format!("must not encrypt: {reason}"),
        (None, Some(key)) => format!("generation {}, private key {}", key.generation, key.private_id),
        (None, None) => "its key was requested but not received; run `job create` again".to_owned(),
    };
    let password = if job.password.is_some() { format!("{}; ", password_line(job)) } else { String::new() };
    format!("{}  {password}{} at {}{offline}  {key}", job.name, kms.algorithm, kms.server)
}

fn password_line(job: &Job) -> String {
    job.password.as_ref().map_or_else(
        || "no key of its own".to_owned(),
        |password| format!("password (hint: {}) since {}", password.hint, time(password.since)),
    )
}

fn key_line(key: &JobKey) -> String {
    let JobKey { generation, private_id, public_id, adopted, .. } = key;
    format!(
        "generation {generation} since {}: private key {private_id}, public key {public_id}",
        time(*adopted)
    )
}
