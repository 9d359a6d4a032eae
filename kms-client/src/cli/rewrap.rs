//! `kms-client rewrap` and `kms-client key usage`.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::backup::jobs::ReadyJob;
use crate::backup::rewrap::{rewrap, usage};
use crate::backup::signing::Signer;
use crate::backup::unlock::PasswordQuestion;
use crate::backup::{BackupError, KeyManagement};

use super::Session;
use super::exit::{CommandError, Exit};
use super::opening::OpeningOptions;

#[derive(Args)]
pub struct Arguments {
    /// The job whose chains get headers for another key.
    job: String,
    /// Only this chain; may be given several times.
    #[arg(long = "chain", value_name = "NAME")]
    chains: Vec<String>,
    /// Wrap the keys for what encrypts this job's backups now, in this or another KMS; for JOB itself unless given.
    #[arg(long, value_name = "JOB")]
    with: Option<String>,
    #[command(flatten)]
    opening: OpeningOptions,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    let Arguments { job, chains, with, opening } = arguments;
    let database = session.state.database()?;
    let ready = ReadyJob::load(&database, with.as_ref().unwrap_or(job))?;
    let mut wanted = database.chains()?;
    wanted.retain(|chain| chain.job == *job && (chains.is_empty() || chains.contains(&chain.stem)));
    drop(database);
    if let Some(missing) = chains.iter().find(|name| !wanted.iter().any(|chain| chain.stem == **name)) {
        return Err(BackupError::Unknown { what: "chain", name: missing.clone() }.into());
    }
    let ask = |question: &PasswordQuestion<'_>| session.ask_password(question);
    let mut unlocker = session.unlocker(opening, &ask)?;
    let signing = signing(session, job)?;
    let mut exits = Vec::new();
    for chain in &wanted {
        let progress = |file: &Path| {
            let event = json!({"event": "rewrapped", "file": file.to_string_lossy()});
            // When nobody reads events any more the next result says so.
            let _ = session.output.event(&format!("{}: new header", file.display()), &event);
        };
        let signer = match &signing {
            Some(kms) => Signer::current(&session.state, job, kms.as_ref(), session.now())?,
            None => None,
        };
        let done = rewrap(&session.state, chain, &ready, &mut unlocker, signer.as_ref(), &progress)?;
        exits.push(if done.failed.is_empty() { Exit::Done } else { Exit::Partly });
        let (changed, unchanged, failed) = (done.changed, done.unchanged, done.failed.len());
        for error in done.failed {
            session.output.error(&error.into());
        }
        let value = json!({
            "event": "done", "chain": chain.stem, "changed": changed, "unchanged": unchanged, "failed": failed,
        });
        let text =
            format!("{}  {changed} new headers, {unchanged} had it already, {failed} failed", chain.stem);
        session.output.data(&text, &value)?;
    }
    Ok(if exits.iter().all(|exit| *exit == Exit::Done) { Exit::Done } else { Exit::Partly })
}

/// The KMS that signs for a job, where it signs.
pub fn signing(session: &Session, job: &str) -> Result<Option<Box<dyn KeyManagement>>, BackupError> {
    let database = session.state.database()?;
    let Some(key) = database.job(job)?.signing else { return Ok(None) };
    let server = database.server(&key.server)?;
    drop(database);
    (session.connect)(&server).map(Some).map_err(BackupError::kms_failed(&server.name))
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Say which keys backups still need, so that nobody destroys one that is needed.
    Usage,
}

pub fn key(session: &Session, command: &KeyCommand) -> Result<Exit, CommandError> {
    let KeyCommand::Usage = command;
    let (usages, unread) = usage(&session.state.database()?)?;
    for ((server, private_id), usage) in usages {
        let files: u32 = usage.files.values().sum();
        let needed = match (usage.current, files) {
            (true, _) => "encrypts new backups",
            (false, 0) => "no backup that is known here needs it",
            (false, _) => "opens backups",
        };
        let text = format!(
            "{server}  {private_id}  generation {}  {files} files in {} chains: {needed}",
            usage.generation,
            usage.files.len()
        );
        let value = json!({
            "server": server, "private_id": private_id, "generation": usage.generation, "jobs": usage.jobs,
            "current": usage.current, "files": files, "chains": usage.files,
        });
        session.output.data(&text, &value)?;
    }
    let unknown = !unread.is_empty();
    for error in unread {
        session.output.error(&error.into());
    }
    Ok(if unknown { Exit::Partly } else { Exit::Done })
}
