//! `kms-client backup`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::backup::archive::{BackupSummary, measure};
use crate::backup::jobs::ReadyJob;

use super::Session;
use super::exit::{CommandError, Exit};
use super::output::size;

#[derive(Args)]
pub struct Arguments {
    /// The job whose key encrypts the backup.
    job: String,
    /// What to back up; each appears in the backup under its last name.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder that the backup file goes to.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    let Arguments { job, paths, to } = arguments;
    let ready = ReadyJob::load(&session.config.database()?, job)?;
    let kms = session.connect(&ready.server)?;
    let totals = measure(paths)?;
    let started = json!({
        "event": "started", "job": job, "entries": totals.entries, "bytes": totals.bytes,
        "server": ready.server.name, "private_id": ready.key.private_id, "generation": ready.key.generation,
    });
    session.output.event(
        &format!(
            "{job}: backing up {} entries, {}, with key {} (generation {})",
            totals.entries,
            size(totals.bytes),
            ready.key.private_id,
            ready.key.generation
        ),
        &started,
    )?;
    let progress = session.output.progress("backing up", Some(totals.bytes));
    let summary = ready.back_up(kms.as_ref(), paths, to, session.now, &progress)?;
    drop(progress);
    report(session, job, &summary)?;
    Ok(if summary.warnings.count == 0 { Exit::Done } else { Exit::Partly })
}

fn report(session: &Session, job: &str, summary: &BackupSummary) -> Result<(), CommandError> {
    let BackupSummary { file, size: length, contents, warnings } = summary;
    session.output.say(&format!(
        "{job}: {} files, {} folders, {} links, {} in {}, {} warnings",
        contents.files,
        contents.folders,
        contents.links,
        size(contents.bytes),
        size(*length),
        warnings.count
    ));
    let done = json!({
        "event": "done", "job": job, "file": file.to_string_lossy(), "size": length,
        "files": contents.files, "folders": contents.folders, "links": contents.links, "bytes": contents.bytes,
        "warnings": warnings.count,
    });
    session.output.data(&file.display().to_string(), &done)
}
