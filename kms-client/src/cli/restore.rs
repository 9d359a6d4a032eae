//! `kms-client restore`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::backup::BackupError;
use crate::backup::archive::{RestoreOptions, RestoreSummary};
use crate::backup::records::ServerEntry;
use crate::backup::restore::{LocatedFile, OpenedFile, locate, open, required_keys};

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::exit::{CommandError, Exit};
use super::output::{size, time};

#[derive(Args)]
pub struct Arguments {
    /// The backup files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder to restore into, new or empty; of several files each gets a folder of its own in it.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The registered KMS server that has the keys now, whatever the files say.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Replace files that are in the folder already.
    #[arg(long)]
    overwrite: bool,
    /// Give files to the users and groups that they belonged to (needs root).
    #[arg(long)]
    owners: bool,
}

/// How far a file has come.
enum File {
    Located(LocatedFile),
    Failed(PathBuf, CommandError),
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    let servers = known_servers(session, arguments)?;
    let located: Vec<File> = arguments
        .files
        .iter()
        .map(|file| match locate_file(file, &servers, arguments.server.is_some()) {
            Ok(located) => File::Located(located),
            Err(error) => File::Failed(file.clone(), error.into()),
        })
        .collect();
    let mut errors = Vec::new();
    let mut done = 0_usize;
    for opened in open_all(session, &servers, located) {
        let restored = opened.and_then(|opened| restore_one(session, arguments, &opened));
        match restored {
            Ok(()) => done += 1,
            Err((file, error)) => {
                errors.push(session.output.error(&error));
                let failed = json!({"event": "failed", "file": file.to_string_lossy()});
                session.output.event(&format!("{}: not restored", file.display()), &failed)?;
            }
        }
    }
    Ok(match errors.first() {
        None => Exit::Done,
        Some(_) if done > 0 => Exit::Partly,
        Some(first) if errors.iter().all(|error| error == first) => *first,
        Some(_) => Exit::Failed,
    })
}

/// The servers to look for keys on: the one that was named, or all registered ones and the profile's.
fn known_servers(session: &Session, arguments: &Arguments) -> Result<Vec<ServerEntry>, CommandError> {
    let database = session.config.database()?;
    if let Some(name) = &arguments.server {
        return Ok(vec![database.server(name)?]);
    }
    let mut servers = database.servers()?;
    // A new installation can restore what the profile's server has keys for; without a profile, nothing is lost.
    if servers.is_empty()
        && let Ok(server) = session.config.server(PROFILE_SERVER, ServerOptions::default())
    {
        servers.push(server);
    }
    Ok(servers)
}

fn locate_file(file: &Path, servers: &[ServerEntry], named: bool) -> Result<LocatedFile, BackupError> {
    match (named, servers) {
        (true, [server]) => {
            let keys = required_keys(file)?;
            let none =
                || BackupError::NotABackup { file: file.to_owned(), what: "no KMS key opens it".to_owned() };
            let stanza = keys.into_iter().next().ok_or_else(none)?;
            Ok(LocatedFile { file: file.to_owned(), stanza, server: server.clone() })
        }
        _ => locate(file, servers),
    }
}

type Opened = Result<OpenedFile, (PathBuf, CommandError)>;

/// Has each server unwrap all its keys in one call.
fn open_all(session: &Session, servers: &[ServerEntry], files: Vec<File>) -> Vec<Opened> {
    let mut results: Vec<Opened> = Vec::with_capacity(files.len());
    let mut located = Vec::new();
    for file in files {
        match file {
            File::Located(file) => located.push(file),
            File::Failed(file, error) => results.push(Err((file, error))),
        }
    }
    for server in servers {
        let (of_server, others): (Vec<_>, Vec<_>) =
            located.into_iter().partition(|file| file.server == *server);
        located = others;
        if of_server.is_empty() {
            continue;
        }
        match (session.connect)(server) {
            Ok(kms) => {
                let opened = open(kms.as_ref(), &of_server);
                let with_name = |(result, located): (Result<_, BackupError>, LocatedFile)| {
                    result.map_err(|error| (located.file, error.into()))
                };
                results.extend(opened.into_iter().zip(of_server).map(with_name));
            }
            Err(source) => results.extend(of_server.into_iter().map(|located| {
                let error = BackupError::kms_failed(&server.name)(source.clone());
                Err((located.file, error.into()))
            })),
        }
    }
    results
}

fn restore_one(
    session: &Session,
    arguments: &Arguments,
    opened: &OpenedFile,
) -> Result<(), (PathBuf, CommandError)> {
    let file = opened.file();
    let target = match arguments.files.as_slice() {
        [_] => arguments.to.clone(),
        _ => arguments.to.join(file.file_stem().unwrap_or_default()),
    };
    let options = RestoreOptions { overwrite: arguments.overwrite, owners: arguments.owners };
    let restored = || -> Result<(), CommandError> {
        if arguments.files.len() > 1 {
            make_parent(&arguments.to)?;
        }
        let started = json!({"event": "started", "file": file.to_string_lossy()});
        session.output.event(&format!("restoring {}", file.display()), &started)?;
        let progress = session.output.progress("restoring", None);
        let summary = opened.restore(&target, options, &progress)?;
        drop(progress);
        report(session, file, &target, &summary)
    };
    restored().map_err(|error| (file.to_owned(), error))
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
    let RestoreSummary { description, contents } = summary;
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
    });
    session.output.data(&target.display().to_string(), &done)
}
