//! `kms-client restore`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::backup::BackupError;
use crate::backup::archive::{RestoreOptions, RestoreSummary};
use crate::backup::restore::{OpenPoint, Point, open, open_metadata, signed_point};
use crate::backup::signing::Signatures;
use crate::backup::unlock::{PasswordQuestion, Unlocker};

use super::Session;
use super::exit::{CommandError, Exit};
use super::opening::OpeningOptions;
use super::output::{size, time};

#[derive(Args)]
pub struct Arguments {
    /// Backup files, each for the point in time that it ends; or a chain's metadata, for its newest.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder to restore into, new or empty; of several files each gets a folder of its own in it.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    opening: OpeningOptions,
    /// Replace files that are in the folder already.
    #[arg(long)]
    overwrite: bool,
    /// Give files to the users and groups that they belonged to (needs root).
    #[arg(long)]
    owners: bool,
    /// Go on where a file of the chain is missing, damaged or cannot be opened, and list what is lost.
    #[arg(long)]
    salvage: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    if let [_, _, ..] = arguments.files.as_slice() {
        let mut stems = BTreeSet::new();
        if let Some(twice) = arguments.files.iter().find(|file| !stems.insert(file.file_stem())) {
            return Err(CommandError::Config {
                what: format!("{} would go into the same folder as another of the files", twice.display()),
                hint: "restore them by two commands",
            });
        }
    }
    let ask = |question: &PasswordQuestion<'_>| session.ask_password(question);
    let mut unlocker = session.unlocker(&arguments.opening, &ask)?;
    let mut errors = Vec::new();
    let mut failed = |file: &Path, error: CommandError| -> Result<(), CommandError> {
        errors.push(session.output.error(&error));
        let event = json!({"event": "failed", "file": file.to_string_lossy()});
        session.output.event(&format!("{}: not restored", file.display()), &event)
    };
    let mut points = Vec::new();
    for file in &arguments.files {
        match point(session, file, &mut unlocker) {
            Ok(point) => points.push(point),
            Err(error) => failed(file, error.into())?,
        }
    }
    let (mut done, mut lost) = (0_usize, 0_u64);
    for opened in open(points, &mut unlocker) {
        match restore_one(session, arguments, &opened) {
            Ok(missing) => {
                done += 1;
                lost += missing;
            }
            Err(error) => failed(&opened.named, error)?,
        }
    }
    Ok(match errors.first() {
        None if lost > 0 => Exit::Partly,
        None => Exit::Done,
        Some(_) if done > 0 => Exit::Partly,
        Some(first) if errors.iter().all(|error| error == first) => *first,
        Some(_) => Exit::Failed,
    })
}

/// The point that a file stands for.
fn point(session: &Session, file: &Path, unlocker: &mut Unlocker<'_>) -> Result<Point, BackupError> {
    let before = unlocker.signatures;
    if before == Signatures::WherePresent && session.state.database()?.is_signed(file)? {
        unlocker.signatures = Signatures::Required;
    }
    let point = point_of(file, unlocker);
    unlocker.signatures = before;
    point
}

fn point_of(file: &Path, unlocker: &mut Unlocker<'_>) -> Result<Point, BackupError> {
    if file.extension().is_some_and(|extension| extension == "chain") {
        let metadata = open_metadata(file, unlocker)?;
        return Point::of_metadata(file, &metadata);
    }
    match unlocker.signatures {
        Signatures::Required => signed_point(file, unlocker),
        _ => Point::of_file(file),
    }
}

/// Restores one point, and says how many files of it are lost.
fn restore_one(session: &Session, arguments: &Arguments, opened: &OpenPoint) -> Result<u64, CommandError> {
    let file = opened.named.as_path();
    let target = match arguments.files.as_slice() {
        [_] => arguments.to.clone(),
        _ => arguments.to.join(file.file_stem().unwrap_or_default()),
    };
    let options = RestoreOptions { overwrite: arguments.overwrite, owners: arguments.owners };
    if arguments.files.len() > 1 {
        make_parent(&arguments.to)?;
    }
    let started = json!({"event": "started", "file": file.to_string_lossy()});
    session.output.event(&format!("restoring {}", file.display()), &started)?;
    let progress = session.output.progress("restoring", None);
    let summary = opened.restore(&target, options, arguments.salvage, &progress)?;
    drop(progress);
    report(session, file, &target, &summary)?;
    Ok(summary.lost.count)
}

fn make_parent(folder: &Path) -> Result<(), CommandError> {
    let failed = |source| BackupError::Io { action: "make the folder", path: folder.to_owned(), source };
    Ok(std::fs::create_dir_all(folder).map_err(failed)?)
}

fn report(
    session: &Session,
    file: &Path,
    target: &Path,
    summary: &RestoreSummary,
) -> Result<(), CommandError> {
    let RestoreSummary { description, contents, lost } = summary;
    session.output.say(&format!(
        "{}: job {}, {}: {} files, {} folders, {} links, {}",
        file.display(),
        description.job,
        time(description.created),
        contents.files,
        contents.folders,
        contents.links,
        size(contents.bytes)
    ));
    let done = json!({
        "event": "done", "file": file.to_string_lossy(), "target": target.to_string_lossy(),
        "job": description.job, "created": description.created,
        "files": contents.files, "folders": contents.folders, "links": contents.links, "bytes": contents.bytes,
        "lost": lost.count,
    });
    session.output.data(&target.display().to_string(), &done)
}
