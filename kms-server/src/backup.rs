//! Backups of the store: one file in the published age format, sealed for a passphrase or an age key.
//!
//! Inside is the store as one stream ([`crate::store::copy`]), where private material is still sealed under the store's
//! key: who has the file and what opens it sees names and dates, and needs the store's key for the rest.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::SecretString;
use age::stream::StreamReader;
use age::{Decryptor, Encryptor, Identity, Recipient, x25519};
use kms_certs::{Access, folder_of, replace_file, sync_folder};
use serde::Serialize;

use crate::audit;
use crate::failure::{Failure, Kind};
use crate::kms::check::{self, Report};
use crate::limits;
use crate::store::copy::{self, CopyError};
use crate::store::{SledOptions, SledStore};
use crate::store_key::{self, Given, read_secret};

/// What a backup is sealed for, or opened with.
pub enum Seal {
    /// A passphrase.
    Passphrase(SecretString),
    /// An age key, which opens too.
    Key(Box<x25519::Identity>),
    /// The public half of an age key, which only seals.
    Recipient(Box<x25519::Recipient>),
}

impl Seal {
    /// The passphrase in `file`; `-` asks on the terminal.
    ///
    /// # Errors
    /// [`Failure`] when there is none.
    pub fn passphrase(file: &Path) -> Result<Self, Failure> {
        let text = if file.as_os_str() == "-" {
            store_key::ask("Passphrase of the backup: ")?
        } else {
            read_secret(file)?
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let what = format!("{} holds no passphrase", file.display());
            return Err(Failure::new(Kind::Other, what).hint("a passphrase has at least one character"));
        }
        Ok(Self::Passphrase(SecretString::from(text.to_owned())))
    }

    /// The age key in `file`, as `age-keygen` and `kms-server store new-backup-key` write it.
    ///
    /// # Errors
    /// [`Failure`] when there is none.
    pub fn key(file: &Path) -> Result<Self, Failure> {
        let text = read_secret(file)?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let key = lines.next().and_then(|line| x25519::Identity::from_str(line.trim()).ok());
        let key = key.ok_or_else(|| {
            Failure::new(Kind::Other, format!("{} holds no age key", file.display()))
                .hint("it begins with AGE-SECRET-KEY-1; `kms-server store new-backup-key` makes one")
        })?;
        Ok(Self::Key(Box::new(key)))
    }

    /// The public half of an age key.
    ///
    /// # Errors
    /// [`Failure`] when it is none.
    pub fn recipient(text: &str) -> Result<Self, Failure> {
        let recipient = x25519::Recipient::from_str(text).map_err(|why| {
            Failure::new(Kind::Other, format!("{text:?} is no age recipient: {why}"))
                .hint("it begins with age1; `kms-server store new-backup-key` prints one")
        })?;
        Ok(Self::Recipient(Box::new(recipient)))
    }

    fn encryptor(&self) -> Result<Encryptor, Failure> {
        let for_recipient = |recipient: &dyn Recipient| {
            Encryptor::with_recipients(std::iter::once(recipient))
                .map_err(|error| Failure::new(Kind::Other, error.to_string()))
        };
        match self {
            Self::Passphrase(passphrase) => Ok(Encryptor::with_user_passphrase(passphrase.clone())),
            Self::Key(key) => for_recipient(&key.to_public()),
            Self::Recipient(recipient) => for_recipient(&**recipient),
        }
    }

    fn open(&self, file: File) -> Result<StreamReader<BufReader<File>>, String> {
        let decryptor = Decryptor::new_buffered(BufReader::new(file)).map_err(|error| error.to_string())?;
        let opened = match self {
            Self::Passphrase(passphrase) => {
                let mut identity = age::scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(limits::MAX_WORK_FACTOR);
                decryptor.decrypt(std::iter::once(&identity as &dyn Identity))
            }
            Self::Key(key) => decryptor.decrypt(std::iter::once(&**key as &dyn Identity)),
            Self::Recipient(_) => return Err("a public key seals, and opens nothing".into()),
        };
        opened.map_err(|error| error.to_string())
    }
}

/// Writes a new age key to `file`, for its owner alone, and returns its public half.
///
/// # Errors
/// [`Failure`] when the file is there, or cannot be written.
pub fn write_new_key(file: &Path) -> Result<String, Failure> {
    use age::secrecy::ExposeSecret;
    if file.exists() {
        return Err(Failure::new(Kind::Other, format!("{} is already there", file.display()))
            .hint("backups made with an overwritten key open never again: choose another name"));
    }
    let key = x25519::Identity::generate();
    let recipient = key.to_public().to_string();
    let secret = key.to_string();
    let text = SecretString::from(format!("# public key: {recipient}\n{}\n", secret.expose_secret()));
    replace_file(file, text.expose_secret().as_bytes(), Access::Private).map_err(|error| {
        Failure::new(Kind::Other, error.to_string()).hint("name a file that can be written")
    })?;
    Ok(recipient)
}

/// A backup that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Written {
    /// The file.
    pub file: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Makes the backup `file` of what `fill` writes. The file is there once it is whole and on disk, or not at all.
///
/// # Errors
/// [`Failure`] when it is there already, or `fill` fails, or it cannot be written.
pub fn write(
    file: &Path,
    seal: &Seal,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<Written, Failure> {
    let unwritable = |error: io::Error| {
        Failure::new(Kind::Other, format!("cannot write the backup {}: {error}", file.display()))
            .hint("name a new file in a folder that can be written, with room for the store")
    };
    if file.exists() {
        return Err(unwritable(io::ErrorKind::AlreadyExists.into()));
    }
    let folder = folder_of(file);
    let partial = tempfile::Builder::new().prefix(".backup-").tempfile_in(folder).map_err(unwritable)?;
    let mut sealed = seal.encryptor()?.wrap_output(BufWriter::new(partial.as_file())).map_err(unwritable)?;
    fill(&mut sealed)?;
    sealed.finish().and_then(|mut out| out.flush()).map_err(unwritable)?;
    let bytes = partial.as_file().sync_all().and_then(|()| partial.as_file().metadata());
    let bytes = bytes.map_err(unwritable)?.len();
    partial.persist_noclobber(file).map_err(|error| unwritable(error.error))?;
    sync_folder(folder).map_err(unwritable)?;
    Ok(Written { file: file.to_owned(), bytes })
}

/// A backup that was restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Restored {
    /// Where the store is now.
    pub store: PathBuf,
    /// Records in it: managed objects, and what is on its way into the audit log.
    pub records: u64,
    /// What a look at all of it found.
    pub check: Report,
}

/// Restores the backup `file` into the folder `to`, which must be missing or empty. Everything is read, written, read
/// back and checked beside it; only then does it become that folder, at once.
///
/// With `given`, sealed material is opened too: without the store's key a backup is worth nothing.
///
/// # Errors
/// [`Failure`] when the backup is not whole or sealed for something else, the folder holds something, or the key is not
/// the store's. Then `to` is as it was.
pub fn restore(file: &Path, seal: &Seal, to: &Path, given: Option<&Given>) -> Result<Restored, Failure> {
    let unusable = |error: io::Error| {
        Failure::new(Kind::State, format!("cannot restore to {}: {error}", to.display()))
            .hint("name an empty folder, on a disk with room, in a folder that can be written")
    };
    if to.exists() && fs::read_dir(to).map_err(unusable)?.next().is_some() {
        let what = format!("{} is not empty", to.display());
        return Err(Failure::new(Kind::State, what)
            .hint("a restore overwrites nothing: move the old store away, or name another folder"));
    }
    let refused = |why: String, hint: &str| {
        Failure::new(Kind::Other, format!("{} cannot be restored: {why}", file.display())).hint(hint)
    };
    let unopened = |why| refused(why, "is this the right file, and the right passphrase or key for it?");
    // The key was accepted: what is wrong now is wrong with the file.
    let broken =
        |why| refused(why, "the file is damaged or cut off: take another copy of it, or another backup");
    let failed = |error: CopyError| match error {
        CopyError::Store(error) => Failure::from(error),
        other => broken(other.to_string()),
    };
    let sealed = File::open(file).map_err(|error| unopened(error.to_string()))?;
    let mut opened = seal.open(sealed).map_err(unopened)?;
    let contents = copy::verify(&mut opened).map_err(failed)?;
    let parent = folder_of(to);
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(unusable)?;
    let beside = tempfile::Builder::new().prefix(".restoring-").tempdir_in(parent).map_err(unusable)?;
    let folder = beside.path().join("store");
    let store = SledStore::open(&folder, SledOptions::default())?;
    // The same file and key once more: another file of this name by now would not be what was verified.
    opened.rewind().map_err(|error| failed(error.into()))?;
    let records = copy::fill(&store, &mut opened, &contents).map_err(failed)?;
    // The log that the store knew of is elsewhere; a new one begins with it.
    let records = records - u64::from(audit::forget_end(&store)?);
    // What is checked is what the next server will read.
    drop(store);
    let store = SledStore::open(&folder, SledOptions::default())?;
    let keyring = given.map(|given| store_key::unlock(&store, given)).transpose()?;
    let check = check::check(&store, keyring.as_ref())?;
    drop(store);
    if !check.sound {
        let first = check.problems.first().map(|problem| format!("{}: {}", problem.at, problem.what));
        return Err(broken(format!("what is in it is damaged: {}", first.unwrap_or_default())));
    }
    fs::rename(&folder, to).map_err(unusable)?;
    sync_folder(parent).map_err(unusable)?;
    Ok(Restored { store: to.to_owned(), records, check })
}
