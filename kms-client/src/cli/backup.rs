//! `kms-client backup`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::backup::archive::{BackupRequest, BackupSummary};
use crate::backup::chains::{Plan, Wanted};
use crate::backup::jobs::{Protection, ReadyJob, allow_offline, note_contact};
use crate::backup::signing::Signer;
use crate::backup::{BackupError, KeyManagement, limits};

use super::Session;
use super::exit::{CommandError, Exit};
use super::output::{size, time};
use super::quantity::bytes;
use super::rewrap::signing;

#[derive(Args)]
pub struct Arguments {
    /// The job whose key encrypts the backup.
    job: String,
    /// What to back up; each appears in the backup under its last name.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder that the backup file goes to, or a repository's name.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Begin a new chain instead of storing what changed since the last backup.
    #[arg(long)]
    full: bool,
    /// Say what would be backed up, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Begin another file after so many bytes of input (k, M, G): a backup that is ended goes on behind the last one.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value_t = limits::CHECKPOINT)]
    checkpoint: u64,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    let Arguments { job, paths, to, full, dry_run, checkpoint } = arguments;
    let database = session.state.database()?;
    let repository = super::repository::find(&database, to)?;
    let ready = ReadyJob::load_for(&database, job, repository.as_ref())?;
    drop(database);
    let to = repository.map_or_else(|| to.clone(), |repository| repository.folder());
    let kms = if *dry_run { None } else { reach(session, &ready)? };
    let request = BackupRequest { job: job.clone(), paths: paths.clone(), target: to, now: session.now() };
    let wanted = Wanted { request, full: *full, checkpoint: *checkpoint };
    let (signing, unsigned) = match signing(session, job) {
        Ok(signing) => (signing.filter(|_| !dry_run), None),
        Err(error) => (None, Some(error)),
    };
    let signer = match &signing {
        Some(kms) => Signer::current(&session.state, job, kms.as_ref(), session.now()),
        None => unsigned.map_or(Ok(None), Err),
    };
    let signer = signer.or_else(|error| not_signed(session, job, &error).map(|()| None))?;
    let plan = Plan::make(&session.state, &ready, wanted)?;
    let estimate = plan.estimate()?;
    let kind = if plan.is_full() { "full" } else { "incremental" };
    let (by, mut event) = protection(&ready);
    let started = json!({
        "event": if *dry_run { "planned" } else { "started" }, "job": job, "kind": kind, "number": plan.number(),
        "resumes": plan.resumes(), "entries": estimate.entries, "bytes": estimate.bytes,
        "changed": estimate.changed, "changed_bytes": estimate.changed_bytes, "anew": plan.anew(),
    });
    if let (Some(event), Value::Object(started)) = (event.as_object_mut(), started) {
        event.extend(started);
    }
    let anew = plan.anew().map_or_else(String::new, |why| format!(" (a new chain: {why})"));
    let resumes = if plan.resumes() { ", going on with a backup that was ended" } else { "" };
    let text = format!(
        "{job}: {kind} backup{anew}{resumes}: {} entries, {}; {} files to store, {}, with {by}",
        estimate.entries,
        size(estimate.bytes),
        estimate.changed,
        size(estimate.changed_bytes),
    );
    if *dry_run {
        session.output.data(&text, &event)?;
        return Ok(Exit::Done);
    }
    session.output.event(&text, &event)?;
    let progress = session.output.progress("backing up", Some(estimate.bytes));
    let (summary, unsigned) = plan.run(kms.as_deref(), signer.as_ref(), &progress)?;
    drop(progress);
    if let Some(error) = &unsigned {
        not_signed(session, job, error)?;
    }
    report(session, job, &summary)?;
    Ok(if summary.warnings.count == 0 { Exit::Done } else { Exit::Partly })
}

/// What encrypts, for people and for programs.
fn protection(ready: &ReadyJob) -> (String, Value) {
    match &ready.protection {
        Protection::Password(password) => {
            (format!("a password (hint: {})", password.hint), json!({"password_hint": password.hint}))
        }
        Protection::Kms { server, key } => (
            format!("key {} (generation {})", key.private_id, key.generation),
            json!({"server": server.name, "private_id": key.private_id, "generation": key.generation}),
        ),
    }
}

/// Asks the job's KMS whether it answers: while it is down a job that encrypts with its keys fails before it writes
/// anything, unless its policy lets it go on for some time. A job with a password needs no KMS.
fn reach(session: &Session, ready: &ReadyJob) -> Result<Option<Box<dyn KeyManagement>>, CommandError> {
    let Protection::Kms { server, .. } = &ready.protection else { return Ok(None) };
    let reached = (session.connect)(server).and_then(|kms| kms.check().map(|()| kms));
    let answer = reached.as_ref().map(|_| ());
    let contact = note_contact(&mut session.state.database()?, &server.name, answer, session.now())?;
    match reached {
        Ok(kms) => Ok(Some(kms)),
        Err(error) => {
            let what = error.to_string();
            let until = allow_offline(&ready.job, server, &contact, error, session.now())?;
            let event = json!({"event": "offline", "server": server.name, "error": what, "until": until});
            let text = format!(
                "warning: KMS server {:?}: {what}: going on with the public key that is here, until {}",
                server.name,
                time(until)
            );
            session.output.event(&text, &event)?;
            Ok(None)
        }
    }
}

/// Backups go on where nobody signs: the chain's metadata stays as it was until one can be signed.
fn not_signed(session: &Session, job: &str, error: &BackupError) -> Result<(), CommandError> {
    let event = json!({"event": "unsigned", "job": job, "error": error.to_string()});
    let text =
        format!("warning: {error}: the chain's metadata stays as it was until a later backup can be signed");
    session.output.event(&text, &event)
}

fn report(session: &Session, job: &str, summary: &BackupSummary) -> Result<(), CommandError> {
    let BackupSummary { file, number, files, size: length, contents, stored, warnings } = summary;
    session.output.say(&format!(
        "{job}: {} files, {} folders, {} links, {}; {} files stored, {} in {}, {} warnings",
        contents.files,
        contents.folders,
        contents.links,
        size(contents.bytes),
        stored.files,
        size(stored.bytes),
        size(*length),
        warnings.count
    ));
    let done = json!({
        "event": "done", "job": job, "file": file.to_string_lossy(), "number": number, "written": files,
        "size": length, "files": contents.files, "folders": contents.folders, "links": contents.links,
        "bytes": contents.bytes, "stored_files": stored.files, "stored_bytes": stored.bytes,
        "warnings": warnings.count,
    });
    session.output.data(&file.display().to_string(), &done)
}
