//! What commands that open backups have in common: servers, passwords, an Enterprise Manager's answers.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use kms_protocol::Secret;

use crate::backup::envelope::{Locks, StoredStanza};
use crate::backup::records::ServerEntry;
use crate::backup::signing::Signatures;
use crate::backup::unlock::{PasswordQuestion, Recovered, Unlocker};
use crate::backup::{BackupError, limits, recovery};

use super::Session;
use super::config::{PROFILE_SERVER, ServerOptions};
use super::exit::CommandError;

/// Options of commands that open backups.
#[derive(Args, Default)]
pub struct OpeningOptions {
    /// The registered KMS server that has the keys now, whatever the files say.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// A file with a password that some backups need; may be given several times.
    #[arg(long = "password-file", value_name = "FILE")]
    pub password_files: Vec<PathBuf>,
    /// An Enterprise Manager's answer to a request of this installation.
    #[arg(long, value_name = "FILE")]
    pub recovery: Option<PathBuf>,
    /// Take only what the signed metadata of a chain says. This installation demands it of chains that it knows as signed.
    #[arg(long, conflicts_with = "unverified")]
    pub signed: bool,
    /// Do not look at signatures: the KMS that verifies them is gone.
    #[arg(long)]
    pub unverified: bool,
}

impl Session {
    /// What there is to open backups with.
    pub fn unlocker<'a>(
        &'a self,
        options: &OpeningOptions,
        ask: &'a dyn Fn(&PasswordQuestion<'_>) -> Option<Secret>,
    ) -> Result<Unlocker<'a>, CommandError> {
        let passwords = options.password_files.iter().map(|file| read_password(file));
        Ok(Unlocker {
            servers: self.known_servers(options.server.as_deref())?,
            whatever_named: options.server.is_some(),
            connect: &*self.connect,
            passwords: passwords.collect::<Result<_, _>>()?,
            ask,
            recovered: match &options.recovery {
                Some(answer) => recovery::accept(&self.state, answer)?,
                None => Recovered::new(),
            },
            signatures: match (options.signed, options.unverified) {
                (true, _) => Signatures::Required,
                (_, true) => Signatures::Ignored,
                _ => Signatures::WherePresent,
            },
        })
    }

    /// Asks whoever is at the terminal for a password.
    pub fn ask_password(&self, question: &PasswordQuestion<'_>) -> Option<Secret> {
        let again = if question.attempt > 0 { "that is not it; " } else { "" };
        let file = question.file.display();
        (self.ask)(&format!("{again}password for {file} (hint: {}): ", question.hint))
    }

    /// The servers to look for keys on: the one that was named, or all registered ones and the profile's.
    fn known_servers(&self, named: Option<&str>) -> Result<Vec<ServerEntry>, CommandError> {
        let database = self.state.database()?;
        if let Some(name) = named {
            return Ok(vec![database.server(name)?]);
        }
        let mut servers = database.servers()?;
        // A new installation can restore what the profile's server has keys for; without a profile, nothing is lost.
        if servers.is_empty()
            && let Ok(server) = self.config.server(PROFILE_SERVER, ServerOptions::default())
        {
            servers.push(server);
        }
        Ok(servers)
    }
}

/// Reads a password: the first line of a file.
pub fn read_password(path: &Path) -> Result<Secret, CommandError> {
    let failed = |source| BackupError::Io { action: "read the password in", path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::with_capacity(limits::MAX_PASSWORD_FILE as usize + 1);
    file.take(limits::MAX_PASSWORD_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    let line = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
    let password = Secret::from(bytes.split_at(line).0);
    drop(Secret::new(bytes));
    if password.is_empty() || password.len() as u64 > limits::MAX_PASSWORD_FILE {
        return Err(CommandError::Config {
            what: format!("{} holds no password", path.display()),
            hint: "put the password on the file's first line",
        });
    }
    Ok(password)
}

/// Which keys open a file, in words.
pub fn described(stanzas: &[StoredStanza]) -> String {
    let (locks, _) = Locks::of(stanzas);
    let keys = locks.keys.iter().map(|key| {
        let reference = &key.reference;
        format!("key {} (generation {}) of {}", reference.private_id, reference.generation, reference.server)
    });
    let passwords = locks.passwords.iter().map(|password| format!("password (hint: {})", password.hint));
    let recovery = locks.recovery.iter().map(|_| "an Enterprise Manager".to_owned());
    keys.chain(passwords).chain(recovery).collect::<Vec<_>>().join(", ")
}
