//! `kms-client database`.

use std::fs;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::backup::database::read_export;
use crate::backup::{BackupError, limits};

use super::Session;
use super::exit::{CommandError, Exit};

#[derive(Subcommand)]
pub enum Command {
    /// Write the configuration database to stdout, one record a line. There are no secrets in it.
    Export,
    /// Read what `export` wrote into a state folder that has nothing yet.
    Import {
        /// The file.
        file: PathBuf,
    },
}

pub fn run(session: &Session, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Export => {
            for record in session.state.database()?.export()? {
                session.output.data(&record.to_string(), &record)?;
            }
        }
        Command::Import { file } => {
            let records = read(file)?;
            session.state.database()?.import(&records)?;
            session
                .output
                .say(&format!("{} records; the next backup of each job begins a new chain", records.len()));
        }
    }
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<Vec<serde_json::Value>, CommandError> {
    let failed = |source| BackupError::Io { action: "read", path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let damaged = |what: String| BackupError::Damaged { file: path.to_owned(), what };
    if file.metadata().map_err(failed)?.len() > limits::MAX_EXPORT {
        return Err(damaged(format!("it is longer than {} bytes", limits::MAX_EXPORT)).into());
    }
    Ok(read_export(BufReader::new(file).take(limits::MAX_EXPORT)).map_err(damaged)?)
}
