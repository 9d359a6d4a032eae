//! `store`: looks after a store that no server has open; `ctl store` does the same on a running server.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kms_server::backup::{self, Seal};
use kms_server::config::{self, Config};
use kms_server::failure::{Failure, Kind};
use kms_server::kms::check::{self, Report};
use kms_server::kms::notes::Origin;
use kms_server::store::copy::{self, CopyError};
use kms_server::store::{SledOptions, SledStore};
use kms_server::store_key::{self, Given};

use super::{printable, say, say_json};

#[derive(Args)]
pub(super) struct StoreOptions {
    /// The configuration that names the store and its key
    #[arg(long, global = true, env = "KMS_CONFIG", default_value = "kms.toml")]
    config: PathBuf,
    /// The folder of a development server, instead of --config
    #[arg(long, global = true, env = "KMS_STATE")]
    state: Option<PathBuf>,
    /// Prints the outcome as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads everything in the store and says what is not as it should be
    Check,
    /// Writes all of the store to one sealed file
    Backup {
        /// The file; it must not exist
        file: PathBuf,
        #[command(flatten)]
        seal: SealOptions,
    },
    /// Restores a backup into an empty folder, after everything in it was checked
    Restore {
        /// The backup
        file: PathBuf,
        /// The folder [default: the store that the configuration names]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        #[command(flatten)]
        seal: OpenOptions,
    },
    /// Makes a new store key
    NewKey {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Makes a new age key for backups and prints its public half, which is all that making backups needs
    NewBackupKey {
        /// The file; it must not exist
        file: PathBuf,
    },
}

/// What a backup is sealed for.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct SealOptions {
    /// A file with a passphrase, such as /dev/fd/3; - asks on the terminal
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file with an age key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The public half of an age key: seals, and cannot restore
    #[arg(long, value_name = "age1…")]
    recipient: Option<String>,
}

impl SealOptions {
    fn seal(&self) -> Result<Seal, Failure> {
        match self {
            Self { passphrase_file: Some(file), .. } => Seal::passphrase(file),
            Self { key_file: Some(file), .. } => Seal::key(file),
            Self { recipient: Some(recipient), .. } => Seal::recipient(recipient),
            _ => Err(Failure::new(Kind::Other, "nothing says what the backup is sealed for")),
        }
    }
}

/// What opens a backup.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct OpenOptions {
    /// A file with the passphrase, such as /dev/fd/3; - asks on the terminal
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file with the age key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl OpenOptions {
    fn seal(&self) -> Result<Seal, Failure> {
        let Self { passphrase_file, key_file } = self;
        SealOptions { passphrase_file: passphrase_file.clone(), key_file: key_file.clone(), recipient: None }
            .seal()
    }
}

/// Where the store's key will be, for `ctl store rekey`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct NewKeyOptions {
    /// A file on the server's machine with the new key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A file on the server's machine with the new passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl NewKeyOptions {
    /// The file by its whole path: the server has another working folder.
    pub(super) fn origin(&self) -> Result<Origin, Failure> {
        let whole = |file: &Path| {
            std::path::absolute(file).map_err(|error| {
                Failure::new(Kind::Other, format!("cannot tell where {} is: {error}", file.display()))
            })
        };
        match (&self.key_file, &self.passphrase_file) {
            (Some(file), _) => Ok(Origin::KeyFile(whole(file)?)),
            (None, Some(file)) => Ok(Origin::PassphraseFile(whole(file)?)),
            (None, None) => Err(Failure::new(Kind::Other, "nothing says what the new key is")),
        }
    }
}

pub(super) fn run(options: &StoreOptions) -> Result<(), Failure> {
    match &options.command {
        Command::Check => {
            let (store, given) = (options.open()?, options.given()?);
            let keyring = store_key::unlock(&store, &given)?;
            report(&check::check(&store, Some(&keyring))?, options.json)
        }
        Command::Backup { file, seal } => {
            let (seal, store) = (seal.seal()?, options.open()?);
            let written = backup::write(file, &seal, |out| copy::write(&store, out).map_err(copy_failure))?;
            written_down(&written, options.json)
        }
        Command::Restore { file, to, seal } => {
            let to = to.clone().map_or_else(|| options.folder(), Ok)?;
            let restored = backup::restore(file, &seal.seal()?, &to, Some(&options.given()?))?;
            if options.json {
                return say_json(&restored);
            }
            say(&format!("restored {} records to {}", restored.records, to.display()))?;
            report(&restored.check, false)
        }
        Command::NewKey { file } => {
            store_key::write_new_key(file)?;
            say(&format!("{} holds a new store key: keep a copy elsewhere", file.display()))
        }
        Command::NewBackupKey { file } => say(&backup::write_new_key(file)?),
    }
}

impl StoreOptions {
    fn config(&self) -> Result<Config, Failure> {
        match &self.state {
            None if !self.config.exists() => {
                let what = format!("there is no configuration {}", self.config.display());
                Err(Failure::new(Kind::Config, what).hint(
                    "name it with --config, or a development server's folder with --state; a restore with --to and the \
                     store's key in KMS_STORE_KEY needs none",
                ))
            }
            None => Config::read(&self.config),
            Some(state) => Ok(Config {
                store: Some(state.join("store")),
                store_key: Some(state.join("store.key")),
                ..Config::default()
            }),
        }
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        self.config()?.store.ok_or_else(|| {
            Failure::new(Kind::Config, format!("{} does not say `store`", self.config.display()))
                .hint("name the store's folder in it, or a development server's folder with --state")
        })
    }

    fn given(&self) -> Result<Given, Failure> {
        match config::store_key_of_environment()? {
            Some(given) => Ok(given),
            None => self.config()?.given_store_key(),
        }
    }

    fn open(&self) -> Result<SledStore, Failure> {
        let folder = self.folder()?;
        if !SledStore::is_in(&folder) {
            let what = format!("there is no store in {}", folder.display());
            return Err(Failure::new(Kind::State, what).hint("name the right --config or --state"));
        }
        SledStore::open(&folder, SledOptions::default()).map_err(|error| {
            let failure = Failure::from(error.clone());
            match error {
                kms_server::store::StoreError::Locked { .. } => {
                    failure.hint("a running server does the same with `kms-server ctl store …`")
                }
                _ => failure,
            }
        })
    }
}

/// Tells what a check found, and fails where that is not good.
pub(super) fn report(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        say_json(report)?;
    } else {
        let Report { records, opened, unopened, links, entries, newest, .. } = report;
        say(&format!(
            "{records} records, {opened} sealed keys opened, {unopened} not tried, {links} links and {entries} index entries \
             followed, {newest} newest generations"
        ))?;
        for problem in &report.problems {
            say(&printable(&format!("{}: {}", problem.at, problem.what)))?;
        }
    }
    if report.sound {
        return Ok(());
    }
    let count = report.problems.len() as u64 + report.omitted;
    Err(Failure::new(Kind::State, format!("the store is not as it should be: {count} problems"))
        .hint("keep a copy of the store's folder, and restore the last backup that is sound"))
}

/// Makes a backup of what a running server sends.
pub(super) fn back_up(
    file: &Path,
    seal: &SealOptions,
    stream: impl FnOnce() -> Result<Box<dyn Read>, Failure>,
    json: bool,
) -> Result<(), Failure> {
    let seal = seal.seal()?;
    let written = backup::write(file, &seal, |out| {
        let mut tee = Tee { from: stream()?, to: out };
        copy::verify(&mut tee).map(drop).map_err(copy_failure)
    })?;
    written_down(&written, json)
}

/// Writes down what is read.
struct Tee<'a> {
    from: Box<dyn Read>,
    to: &'a mut dyn Write,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.to.write_all(buffer.get(..length).unwrap_or_default())?;
        Ok(length)
    }
}

fn written_down(written: &backup::Written, json: bool) -> Result<(), Failure> {
    if json {
        return say_json(written);
    }
    say(&format!("{} holds the whole store, in {} bytes", written.file.display(), written.bytes))
}

fn copy_failure(error: CopyError) -> Failure {
    match error {
        CopyError::Store(error) => error.into(),
        other => Failure::new(Kind::Other, other.to_string())
            .hint("try again; the server's log says more where one was asked"),
    }
}
