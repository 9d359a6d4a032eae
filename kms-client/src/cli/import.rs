//! `kms-client import` and `kms-client chain`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::backup::import::{self, Imported, candidates};
use crate::backup::unlock::{PasswordQuestion, Unlocker};

use super::Session;
use super::exit::{CommandError, Exit};
use super::opening::OpeningOptions;
use super::output::time;

#[derive(Args)]
pub struct Arguments {
    /// A chain's metadata (takes the newest key alone), one of its backup files (takes all of its keys), or a folder.
    #[arg(value_name = "PATH", required_unless_present = "go_on")]
    paths: Vec<PathBuf>,
    /// Go on with the imports that wait for a server, a key or a password.
    #[arg(long = "continue", conflicts_with = "paths")]
    go_on: bool,
    /// Read all files through, so that whatever was altered is found now and not at a restore.
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    opening: OpeningOptions,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    let mut files = Vec::new();
    if arguments.go_on {
        files.extend(session.state.database()?.imports()?.iter().map(|pending| pending.path()));
        if files.is_empty() {
            session.output.say("no import waits for anything");
        }
    }
    for path in &arguments.paths {
        files.extend(candidates(path)?);
    }
    let ask = |question: &PasswordQuestion<'_>| session.ask_password(question);
    let mut unlocker = session.unlocker(&arguments.opening, &ask)?;
    import_all(session, &files, &mut unlocker, arguments.verify)
}

/// Goes on with the imports that wait, as far as it goes: a server was added.
pub fn go_on(session: &Session) -> Result<(), CommandError> {
    let waiting = session.state.database()?.imports()?;
    if waiting.is_empty() {
        return Ok(());
    }
    session.output.say(&format!("going on with {} imports that wait", waiting.len()));
    let nobody = |_: &PasswordQuestion<'_>| None;
    let mut unlocker = session.unlocker(&OpeningOptions::default(), &nobody)?;
    let files: Vec<PathBuf> = waiting.iter().map(|pending| pending.path()).collect();
    import_all(session, &files, &mut unlocker, false).map(|_| ())
}

fn import_all(
    session: &Session,
    files: &[PathBuf],
    unlocker: &mut Unlocker<'_>,
    whole: bool,
) -> Result<Exit, CommandError> {
    let mut exits = Vec::new();
    for file in files {
        let result = import::import(&session.state, file, unlocker, whole);
        let outcome = result.as_ref().map(|_| ());
        let waits = import::note(&mut session.state.database()?, file, outcome, session.now())?;
        match result {
            Ok(imported) => {
                report(session, file, &imported)?;
                exits.push(Exit::Done);
            }
            Err(error) => {
                exits.push(session.output.error(&error.into()));
                let event = json!({"event": "failed", "file": file.to_string_lossy(), "waits": waits});
                let text = match waits {
                    true => "waits: goes on once that is there, or by `kms-client import --continue`",
                    false => "not imported",
                };
                session.output.event(&format!("{}: {text}", file.display()), &event)?;
            }
        }
    }
    Ok(Exit::of_parts(&exits))
}

fn report(session: &Session, file: &Path, imported: &Imported) -> Result<(), CommandError> {
    let Imported { chain, files, newest } = imported;
    let event = json!({
        "event": "imported", "file": file.to_string_lossy(), "chain": chain.stem, "job": chain.job, "files": files,
        "newest": newest, "signed": chain.signed, "restore": chain.complete.map(|number| chain.file(number).to_string_lossy().into_owned()),
    });
    let signed = if chain.signed { ", signed" } else { "" };
    let text = format!("{}  job {}, {files} files, newest {}{signed}", chain.stem, chain.job, time(*newest));
    session.output.data(&text, &event)
}

#[derive(Subcommand)]
pub enum Command {
    /// List the chains that this installation wrote or imported.
    List,
    /// Show the files of a chain and the keys that open them.
    Show {
        /// What the chain's files are named after.
        name: String,
    },
}

pub fn chain(session: &Session, command: &Command) -> Result<Exit, CommandError> {
    let database = session.state.database()?;
    match command {
        Command::List => {
            for chain in database.chains()? {
                let files = database.chain_files(&chain.id)?.len();
                let folder = chain.repository();
                let text =
                    format!("{}  job {}, {files} files in {}", chain.stem, chain.job, folder.display());
                let complete = chain.complete;
                let value = json!({
                    "chain": chain.stem, "id": chain.id, "job": chain.job, "files": files, "complete": complete,
                    "repository": folder.to_string_lossy(), "created": chain.created, "signed": chain.signed,
                });
                session.output.data(&text, &value)?;
            }
        }
        Command::Show { name } => {
            let unknown = || crate::backup::BackupError::Unknown { what: "chain", name: name.clone() };
            let chain =
                database.chains()?.into_iter().find(|chain| chain.stem == *name).ok_or_else(unknown)?;
            for file in database.chain_files(&chain.id)? {
                let path = chain.file(file.number);
                let by = super::opening::described(&file.stanzas);
                let text = format!("{}  {}  {by}", path.display(), time(file.created));
                let value = json!({
                    "file": path.to_string_lossy(), "number": file.number, "created": file.created,
                    "complete": file.complete, "opened_by": by,
                });
                session.output.data(&text, &value)?;
            }
        }
    }
    Ok(Exit::Done)
}
