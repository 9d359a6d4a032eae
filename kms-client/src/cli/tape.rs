//! `kms-client tape`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::backup::BackupError;
use crate::backup::archive::{self, BackupRequest};
use crate::backup::envelope::encryptor;
use crate::backup::jobs::ReadyJob;
use crate::backup::tape::{self, Catalog, Kind, TapeRequest};
use crate::backup::unlock::PasswordQuestion;

use super::Session;
use super::exit::{CommandError, Exit};
use super::opening::{OpeningOptions, described};
use super::output::time;
use super::quantity::bytes;

#[derive(Subcommand)]
pub enum Command {
    /// Write backup files onto tapes, encrypted by a media pool's key on top of their own.
    Write(WriteArguments),
    /// Say what is on tapes, by the beginning of each; keeps it in the database.
    Catalog(ReadArguments),
    /// Read backup files from tapes.
    Read {
        #[command(flatten)]
        tapes: ReadArguments,
        /// The folder that the files go to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// List the tapes that were written or catalogued here.
    List,
}

#[derive(Args)]
pub struct WriteArguments {
    /// The media pool: a job whose key encrypts tapes.
    pool: String,
    /// Backup files; with --job anything, and - for the standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Encrypt the paths with this job's key first.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// The folder that stands for the tape library.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// What fits on a tape (k, M, G, T).
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "100G")]
    capacity: u64,
}

#[derive(Args)]
pub struct ReadArguments {
    /// Tape volumes, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the tapes that a KMS key encrypts.
    #[arg(long, conflicts_with = "by_password")]
    by_kms: bool,
    /// Only the tapes that a password encrypts.
    #[arg(long)]
    by_password: bool,
    #[command(flatten)]
    opening: OpeningOptions,
}

pub fn run(session: &Session, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Write(arguments) => write(session, arguments),
        Command::Catalog(arguments) => catalog(session, arguments),
        Command::Read { tapes, to } => {
            let (files, ask) =
                (select(session, tapes)?, |question: &PasswordQuestion<'_>| session.ask_password(question));
            let mut unlocker = session.unlocker(&tapes.opening, &ask)?;
            for file in tape::read(&files, to, &mut unlocker)? {
                let value = json!({"event": "read", "file": file.to_string_lossy()});
                session.output.data(&file.display().to_string(), &value)?;
            }
            Ok(Exit::Done)
        }
        Command::List => {
            for (path, catalog) in session.state.database()?.tapes()? {
                show(session, &path, &catalog)?;
            }
            Ok(Exit::Done)
        }
    }
}

fn write(session: &Session, arguments: &WriteArguments) -> Result<Exit, CommandError> {
    let WriteArguments { pool, paths, job, to, capacity } = arguments;
    let database = session.state.database()?;
    let pool = ReadyJob::load(&database, pool)?;
    let job = job.as_ref().map(|job| ReadyJob::load(&database, job)).transpose()?;
    drop(database);
    let stream = paths.iter().any(|path| path == Path::new("-"));
    if stream && (job.is_none() || paths.len() > 1) {
        return Err(CommandError::Config {
            what: "-, the standard input, goes with --job and with no other path".to_owned(),
            hint: "write a set of its own for it, and name a file that is called so ./-",
        });
    }
    // What the job's key encrypts first lies here until it is on the tapes.
    let spool = job.as_ref().map(|_| session.state.spool()).transpose()?;
    let files = match (job, &spool) {
        (Some(job), Some(spool)) => vec![encrypt(session, &job, paths, spool.folder())?],
        _ => paths.clone(),
    };
    let request = TapeRequest { files, target: to.clone(), capacity: *capacity, now: session.now() };
    let written = |path: &Path, catalog: &Catalog| {
        // When nobody reads any more the next result says so.
        let _ = show(session, path, catalog);
        session.state.database()?.put_tape(path, catalog)
    };
    tape::write(&pool, &request, &|header| described(&header.stanzas), &written)?;
    Ok(Exit::Done)
}

/// Makes a backup file of a job out of folders and files, or of the standard input.
fn encrypt(
    session: &Session,
    job: &ReadyJob,
    paths: &[PathBuf],
    spool: &Path,
) -> Result<PathBuf, CommandError> {
    let recipients = job.recipients()?;
    let recipients: Vec<&dyn age::Recipient> = recipients.iter().map(AsRef::as_ref).collect();
    let paths = paths.to_vec();
    if paths == [Path::new("-")] {
        let stream = spool.join("stream.age");
        encrypt_stream(&stream, &recipients).map_err(|source| BackupError::Io {
            action: "write",
            path: stream.clone(),
            source,
        })?;
        return Ok(stream);
    }
    let request =
        BackupRequest { job: job.job.name.clone(), paths, target: spool.to_owned(), now: session.now() };
    let progress = session.output.progress("backing up", None);
    Ok(archive::write(&request, &recipients, &progress)?.file)
}

fn encrypt_stream(path: &Path, recipients: &[&dyn age::Recipient]) -> io::Result<()> {
    let mut stream = encryptor(recipients)?.wrap_output(std::fs::File::create(path)?)?;
    io::copy(&mut io::stdin().lock(), &mut stream)?;
    stream.finish().map(drop)
}

fn select(
    session: &Session,
    arguments: &ReadArguments,
) -> Result<Vec<crate::backup::unlock::LockedFile>, CommandError> {
    let kind = match (arguments.by_kms, arguments.by_password) {
        (true, _) => Kind::Kms,
        (_, true) => Kind::Password,
        _ => Kind::Any,
    };
    Ok(tape::select(&session.state.database()?, &tape::volumes(&arguments.paths)?, kind)?)
}

fn catalog(session: &Session, arguments: &ReadArguments) -> Result<Exit, CommandError> {
    let files = select(session, arguments)?;
    let ask = |question: &PasswordQuestion<'_>| session.ask_password(question);
    let mut unlocker = session.unlocker(&arguments.opening, &ask)?;
    let mut exits = Vec::new();
    for (file, catalog) in files.iter().zip(tape::catalog(&files, &mut unlocker)) {
        match catalog {
            Ok(catalog) => {
                session.state.database()?.put_tape(&file.file, &catalog)?;
                show(session, &file.file, &catalog)?;
                exits.push(Exit::Done);
            }
            Err(error) => exits.push(session.output.error(&error.into())),
        }
    }
    Ok(Exit::of_parts(&exits))
}

fn show(session: &Session, path: &Path, catalog: &Catalog) -> Result<(), CommandError> {
    let Catalog { pool, created, volume, volumes, parts, .. } = catalog;
    let parts: Vec<String> = parts
        .iter()
        .map(|part| format!("\n  {}  {} of {} bytes, {}", part.name, part.length, part.size, part.opened_by))
        .collect();
    let text = format!(
        "{}  pool {pool}, volume {volume} of {volumes}, {}{}",
        path.display(),
        time(*created),
        parts.concat()
    );
    session.output.data(&text, &json!({"event": "tape", "file": path.to_string_lossy(), "catalog": catalog}))
}
