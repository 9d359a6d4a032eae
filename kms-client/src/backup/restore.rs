//! Restores backup files: reads what they need, has the KMS unwrap all their keys at once, unpacks.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::archive::{self, Observer, RestoreOptions, RestoreSummary};
use super::envelope::{FileKeyIdentity, Header, KeyReference, KeyStanza};
use super::kms::{KeyManagement, KmsError, KmsErrorKind, WrappedKey};
use super::records::ServerEntry;

/// Reads which keys open a file, from its header alone; no key is needed for that.
///
/// # Errors
/// When it is no backup file, or none that a KMS key opens.
pub fn required_keys(file: &Path) -> Result<Vec<KeyStanza>, BackupError> {
    let input = File::open(file).map_err(BackupError::io("open", file))?;
    let not_a_backup = |what: String| BackupError::NotABackup { file: file.to_owned(), what };
    let header = Header::read(&mut BufReader::new(input)).map_err(|error| not_a_backup(error.to_string()))?;
    match header.unusable.first() {
        Some(error) if header.keys.is_empty() => Err(not_a_backup(error.to_string())),
        None if header.keys.is_empty() => Err(not_a_backup("no KMS key opens this file".to_owned())),
        _ => Ok(header.keys),
    }
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

/// A file whose key a known server has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocatedFile {
    /// The file.
    pub file: PathBuf,
    /// Where its key is, from the header.
    pub stanza: KeyStanza,
    /// The server to ask.
    pub server: ServerEntry,
}

/// Reads a file's header and finds a server that opens it.
///
/// # Errors
/// `UnknownServer` when none is known that could.
pub fn locate(file: &Path, servers: &[ServerEntry]) -> Result<LocatedFile, BackupError> {
    let keys = required_keys(file)?;
    for stanza in &keys {
        if let Some(server) = find_server(servers, &stanza.reference) {
            return Ok(LocatedFile { file: file.to_owned(), stanza: stanza.clone(), server: server.clone() });
        }
    }
    let unreadable =
        || BackupError::NotABackup { file: file.to_owned(), what: "no KMS key opens this file".to_owned() };
    let KeyStanza { reference, .. } = keys.into_iter().next().ok_or_else(unreadable)?;
    Err(BackupError::UnknownServer {
        file: file.to_owned(),
        server: reference.server,
        address: reference.address,
        private_id: reference.private_id,
    })
}

/// A file that can be restored: the KMS has unwrapped its key.
pub struct OpenedFile {
    file: PathBuf,
    identity: FileKeyIdentity,
}

impl OpenedFile {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Restores it into `target`.
    ///
    /// # Errors
    /// As [`archive::restore`] has them.
    pub fn restore(
        &self,
        target: &Path,
        options: RestoreOptions,
        observer: &dyn Observer,
    ) -> Result<RestoreSummary, BackupError> {
        archive::restore(&self.file, &self.identity, target, options, observer)
    }
}

/// Has one server unwrap the keys of many files in one call; one result for each, in their order.
#[must_use]
pub fn open(kms: &dyn KeyManagement, files: &[LocatedFile]) -> Vec<Result<OpenedFile, BackupError>> {
    let wrapped: Vec<WrappedKey> = files.iter().map(|located| located.stanza.wrapped()).collect();
    let mut unwrapped = kms.unwrap_keys(&wrapped).into_iter();
    let open_one = |located: &LocatedFile| {
        let unavailable = |source: KmsError| BackupError::KeyUnavailable {
            file: located.file.clone(),
            server: located.server.name.clone(),
            private_id: located.stanza.reference.private_id.clone(),
            source: Box::new(source),
        };
        let no_answer = || Err(failed("the KMS did not answer for this key", KmsErrorKind::Failed));
        let file_key = unwrapped.next().unwrap_or_else(no_answer).map_err(unavailable)?;
        let identity = FileKeyIdentity::new(&located.stanza, file_key);
        let no_file_key = || failed("what it decrypts to is no file key", KmsErrorKind::DecryptionFailed);
        let identity = identity.ok_or_else(no_file_key).map_err(unavailable)?;
        Ok(OpenedFile { file: located.file.clone(), identity })
    };
    files.iter().map(open_one).collect()
}

fn failed(what: &str, kind: KmsErrorKind) -> KmsError {
    KmsError { what: what.to_owned(), hint: None, retryable: false, kind }
}
