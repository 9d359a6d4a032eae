//! Unwraps file keys: by the KMS that has the key, by a password, or with what an Enterprise Manager answered.
//!
//! Many files at once: each KMS is asked once for all of its keys, each password is asked for and put through scrypt once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use kms_protocol::Secret;

use super::envelope::{FileKeyIdentity, KeyReference, KeyStanza, Locks, PasswordIdentity, PasswordStanza};
use super::kms::{KeyManagement, KmsError, KmsErrorKind, WrappedKey};
use super::records::ServerEntry;
use super::signing::Signatures;
use super::{BackupError, limits};

/// A file to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockedFile {
    /// The file, for messages.
    pub file: PathBuf,
    /// What opens it.
    pub locks: Locks,
}

/// A question for a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordQuestion<'a> {
    /// The first file that needs it.
    pub file: &'a std::path::Path,
    /// What reminds a person of it.
    pub hint: &'a str,
    /// How often it was asked before.
    pub attempt: u32,
}

/// Finds the server that has a key, among those that this installation knows.
///
/// A file names its server as the installation called it that wrote it; here it may have another name, or may
/// have moved. So: the same name and address, else the same address, else the same name.
#[must_use]
pub fn find_server<'a>(servers: &'a [ServerEntry], key: &KeyReference) -> Option<&'a ServerEntry> {
    let name = |server: &&ServerEntry| server.name == key.server;
    let address = |server: &&ServerEntry| server.address == key.address;
    let find = |wanted: &dyn Fn(&&ServerEntry) -> bool| servers.iter().find(wanted);
    find(&|server| name(server) && address(server)).or_else(|| find(&address)).or_else(|| find(&name))
}

type Answer = Result<FileKeyIdentity, Arc<BackupError>>;

/// File keys that are known already, by the body of the stanza that wraps them.
pub type Recovered = HashMap<Vec<u8>, FileKeyIdentity>;

/// A way to reach a KMS server.
pub type Connect = dyn Fn(&ServerEntry) -> Result<Box<dyn KeyManagement>, KmsError>;

/// What there is to open files with.
pub struct Unlocker<'a> {
    /// The servers that may have keys.
    pub servers: Vec<ServerEntry>,
    /// Ask the first server for all keys, whatever server the files name.
    pub whatever_named: bool,
    /// Reaches a server.
    pub connect: &'a Connect,
    /// Passwords that may open some.
    pub passwords: Vec<Secret>,
    /// Asks a person; none when nobody is there or nothing was said.
    pub ask: &'a dyn Fn(&PasswordQuestion<'_>) -> Option<Secret>,
    /// What an Enterprise Manager answered.
    pub recovered: Recovered,
    /// What to make of signatures of metadata.
    pub signatures: Signatures,
}

impl Unlocker<'_> {
    /// Opens the files; one answer for each, in their order.
    pub fn unlock(&mut self, files: &[LockedFile]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(files.len(), || None);
        for (file, answer) in files.iter().zip(&mut answers) {
            *answer = self.recovered(file).map(Ok);
        }
        self.by_kms(files, &mut answers);
        self.by_password(files, &mut answers);
        let nothing = |file: &LockedFile| match file.locks.keys.first() {
            Some(stanza) => unknown(file, &stanza.reference),
            None => BackupError::NotABackup {
                file: file.file.clone(),
                what: "neither a KMS key nor a password opens this file".to_owned(),
            },
        };
        let answered = answers.into_iter().zip(files);
        answered.map(|(answer, file)| answer.unwrap_or_else(|| Err(Arc::new(nothing(file))))).collect()
    }

    fn recovered(&self, file: &LockedFile) -> Option<FileKeyIdentity> {
        let known = |body: &Vec<u8>| self.recovered.get(body);
        let bodies = file.locks.recovery.iter().map(|stanza| &stanza.body);
        bodies.filter_map(known).next().map(FileKeyIdentity::again)
    }

    fn server_of(&self, key: &KeyReference) -> Option<&ServerEntry> {
        if self.whatever_named { self.servers.first() } else { find_server(&self.servers, key) }
    }

    /// Asks each server once for all keys that it has.
    fn by_kms(&self, files: &[LockedFile], answers: &mut [Option<Answer>]) {
        for server in &self.servers {
            let stanza_here = |file: &LockedFile| {
                let here = |stanza: &&KeyStanza| self.server_of(&stanza.reference) == Some(server);
                file.locks.keys.iter().find(here).cloned()
            };
            let open =
                files.iter().enumerate().filter(|(at, _)| !matches!(answers.get(*at), Some(Some(Ok(_)))));
            let asked: Vec<(usize, KeyStanza)> =
                open.filter_map(|(at, file)| stanza_here(file).map(|stanza| (at, stanza))).collect();
            if asked.is_empty() {
                continue;
            }
            let wrapped: Vec<WrappedKey> = asked.iter().map(|(_, stanza)| stanza.wrapped()).collect();
            let unwrapped = (self.connect)(server).map(|kms| kms.unwrap_keys(&wrapped));
            let (mut unwrapped, unreachable) = match unwrapped {
                Ok(unwrapped) => (unwrapped.into_iter(), None),
                Err(error) => (Vec::new().into_iter(), Some(error)),
            };
            for (at, stanza) in asked {
                let (Some(file), Some(answer)) = (files.get(at), answers.get_mut(at)) else { continue };
                let silent = || Err(failed("the KMS did not answer for this key", KmsErrorKind::Failed));
                let result = match &unreachable {
                    Some(error) => Err(error.clone()),
                    None => unwrapped.next().unwrap_or_else(silent),
                };
                *answer = Some(opened(file, server, &stanza, result).map_err(Arc::new));
            }
        }
    }

    /// Tries the passwords that there are, then asks for others; a file that a KMS could open waits for none.
    fn by_password(&mut self, files: &[LockedFile], answers: &mut [Option<Answer>]) {
        let mut identities: HashMap<(Vec<u8>, u8), Result<PasswordIdentity, Arc<BackupError>>> =
            HashMap::new();
        for (file, answer) in files.iter().zip(answers) {
            if matches!(answer, Some(Ok(_))) {
                continue;
            }
            let Some(stanza) = file.locks.passwords.first() else { continue };
            let known = identities.entry((stanza.salt.clone(), stanza.work));
            let identity = known.or_insert_with(|| self.password_for(file, stanza).map_err(Arc::new));
            let opened = match identity {
                Ok(identity) => {
                    let wrong =
                        || BackupError::WrongPassword { file: file.file.clone(), hint: stanza.hint.clone() };
                    identity.unwrap(stanza).and_then(FileKeyIdentity::new).ok_or_else(|| Arc::new(wrong()))
                }
                Err(error) => Err(Arc::clone(error)),
            };
            *answer = Some(opened);
        }
    }

    fn password_for(
        &mut self,
        file: &LockedFile,
        stanza: &PasswordStanza,
    ) -> Result<PasswordIdentity, BackupError> {
        let opening = |password: &Secret| {
            stanza.identity(password).filter(|identity| identity.unwrap(stanza).is_some())
        };
        if let Some(identity) = self.passwords.iter().find_map(opening) {
            return Ok(identity);
        }
        for attempt in 0..limits::PASSWORD_ATTEMPTS {
            let question = PasswordQuestion { file: &file.file, hint: &stanza.hint, attempt };
            let Some(password) = (self.ask)(&question) else { break };
            if let Some(identity) = opening(&password) {
                self.passwords.push(password);
                return Ok(identity);
            }
        }
        let (file, hint) = (file.file.clone(), stanza.hint.clone());
        match self.passwords.is_empty() {
            true => Err(BackupError::NeedsPassword { file, hint }),
            false => Err(BackupError::WrongPassword { file, hint }),
        }
    }
}

fn unknown(file: &LockedFile, key: &KeyReference) -> BackupError {
    BackupError::UnknownServer {
        file: file.file.clone(),
        server: key.server.clone(),
        address: key.address.clone(),
        private_id: key.private_id.clone(),
    }
}

fn opened(
    file: &LockedFile,
    server: &ServerEntry,
    stanza: &KeyStanza,
    unwrapped: Result<Secret, KmsError>,
) -> Result<FileKeyIdentity, BackupError> {
    let unavailable = |source: KmsError| BackupError::KeyUnavailable {
        file: file.file.clone(),
        server: server.name.clone(),
        private_id: stanza.reference.private_id.clone(),
        source: Box::new(source),
    };
    let no_file_key = || failed("what it decrypts to is no file key", KmsErrorKind::DecryptionFailed);
    let identity = unwrapped.and_then(|file_key| FileKeyIdentity::new(file_key).ok_or_else(no_file_key));
    identity.map_err(unavailable)
}

fn failed(what: &str, kind: KmsErrorKind) -> KmsError {
    KmsError { what: what.to_owned(), hint: None, retryable: false, kind }
}
