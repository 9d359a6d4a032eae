//! `kms-client repository`.

use std::path::{Path, PathBuf, absolute};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::backup::BackupError;
use crate::backup::database::Database;
use crate::backup::records::Repository;

use super::Session;
use super::exit::{CommandError, Exit};

#[derive(Subcommand)]
pub enum Command {
    /// Give a folder that backups go to a name, and a key for jobs that have none.
    Add {
        /// The name, which `backup --to` takes.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// The job whose key or password encrypts backups of jobs that have none.
        #[arg(long, value_name = "JOB")]
        key_of: Option<String>,
    },
    /// List the repositories.
    List,
}

pub fn run(session: &Session, command: Command) -> Result<Exit, CommandError> {
    let mut database = session.state.database()?;
    match command {
        Command::Add { name, folder, key_of } => {
            let folder = absolute(&folder).map_err(|source| BackupError::Io {
                action: "find",
                path: folder.clone(),
                source,
            })?;
            if let Some(job) = &key_of {
                database.job(job)?;
            }
            let repository = Repository::new(&name, &folder, key_of)?;
            database.put_repository(&repository)?;
            show(session, &repository)?;
        }
        Command::List => {
            for repository in database.repositories()? {
                show(session, &repository)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The repository that `--to` names, by its name or its folder.
pub fn find(database: &Database, to: &Path) -> Result<Option<Repository>, CommandError> {
    let folder = absolute(to).ok();
    let named = |repository: &Repository| {
        to.to_str() == Some(&repository.name) || folder.as_deref() == Some(&repository.folder())
    };
    Ok(database.repositories()?.into_iter().find(named))
}

fn show(session: &Session, repository: &Repository) -> Result<(), CommandError> {
    let (name, folder, key_of) = (&repository.name, repository.folder(), &repository.key_of);
    let key = key_of.as_ref().map_or_else(String::new, |job| format!("  with the key of {job}"));
    let value: Value = json!({"repository": name, "folder": folder.to_string_lossy(), "key_of": key_of});
    session.output.data(&format!("{name}  {}{key}", folder.display()), &value)
}
