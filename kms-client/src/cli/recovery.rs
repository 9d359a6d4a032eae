//! `kms-client recovery`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use crate::backup::BackupError;
use crate::backup::records::Recovery;
use crate::backup::recovery;
use crate::backup::restore::{Point, locked};

use super::Session;
use super::exit::{CommandError, Exit};

#[derive(Subcommand)]
pub enum Command {
    /// At the Enterprise Manager: make its key pair, and print the public key.
    New {
        /// The file for the private key; keep it away from the backup server.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Wrap every file key from now on for this Enterprise Manager as well.
    Enable {
        /// Its public key.
        #[arg(value_name = "AGE1…")]
        public_key: String,
    },
    /// Wrap file keys for no Enterprise Manager any more.
    Disable,
    /// Ask the Enterprise Manager for the keys of backups that nothing else opens.
    Request {
        /// Backup files, each for the point in time that it ends, or chains' metadata.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The file for the request.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// At the Enterprise Manager: answer a request.
    Answer {
        /// The request.
        request: PathBuf,
        /// The Enterprise Manager's private key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The file for the answer, which opens the backups where they were asked for and nowhere else.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub fn run(session: &Session, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::New { out } => {
            let public = recovery::new_key(&out)?;
            session.output.say(&format!(
                "the private key is in {}: keep it away from the backup server",
                out.display()
            ));
            session
                .output
                .data(&public, &json!({"public_key": public, "private_key": out.to_string_lossy()}))?;
        }
        Command::Enable { public_key } => {
            recovery::check_recipient(&public_key)?;
            let enabled = Recovery { recipient: public_key, since: session.now().0 };
            session.state.database()?.put_recovery(Some(&enabled))?;
            session.output.data("enabled for all backups from now on", &json!(enabled))?;
        }
        Command::Disable => {
            session.state.database()?.put_recovery(None)?;
            session.output.data("disabled", &json!({"recovery": null}))?;
        }
        Command::Request { files, out } => {
            let mut wanted = Vec::new();
            for file in &files {
                wanted.extend(wanted_files(file)?);
            }
            let request = recovery::request(&session.state, &wanted)?;
            let bytes = serde_json::to_vec_pretty(&request).map_err(std::io::Error::from)?;
            write(&out, &bytes)?;
            let value = json!({"request": out.to_string_lossy(), "files": request.files.len()});
            session
                .output
                .say("send it to the Enterprise Manager; its answer opens the backups with --recovery");
            session.output.data(&out.display().to_string(), &value)?;
        }
        Command::Answer { request: path, key, out } => {
            let request = recovery::read_request(&path)?;
            for file in &request.files {
                session.output.say(&format!("asked for the key of {}", file.name));
            }
            let (answer, count) = recovery::answer_request(&key, &path, &request)?;
            write(&out, &answer)?;
            let value = json!({"answer": out.to_string_lossy(), "keys": count});
            session.output.data(&out.display().to_string(), &value)?;
        }
    }
    Ok(Exit::Done)
}

/// The files to ask for: those of a point; of a chain's metadata the metadata itself, and all files beside it.
fn wanted_files(file: &Path) -> Result<Vec<crate::backup::unlock::LockedFile>, CommandError> {
    if file.extension().is_none_or(|extension| extension != "chain") {
        return Ok(Point::of_file(file)?.locked()?);
    }
    let mut all = vec![locked(file)?];
    all.extend(Point::of_chain(&file.with_extension("age"))?.locked()?);
    Ok(all)
}

/// Writes a new file.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let failed = |source| BackupError::Io { action: "write", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(())
}
