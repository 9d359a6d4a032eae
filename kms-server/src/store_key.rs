//! Where the store's key comes from: a file, the environment or a passphrase; and whether it is the right one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use kms_protocol::Secret;
use zeroize::Zeroizing;

use crate::crypto::{Keyring, StoreKey};
use crate::failure::{Failure, Kind};
use crate::kms::notes::{Kdf, KeyNote, Origin};
use crate::kms::rekey::PREVIOUS_KEY;
use crate::limits;
use crate::store::Store;

/// Bytes of a store key (AES-256).
pub const KEY_BYTES: usize = 32;

/// Bytes of the salt (RFC 9106 section 3.1 recommends 16).
const SALT_BYTES: usize = 16;

/// RFC 9106 section 4, second recommendation: 64 MiB, 3 passes, 4 lanes. The first takes 2 GiB, more than many a server has.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// What an operator gives.
#[derive(Debug)]
pub enum Given {
    /// The key itself.
    Key(Secret),
    /// A passphrase that the key follows from.
    Passphrase(Secret),
}

impl Given {
    /// A key of 64 hexadecimal digits that `origin` held.
    ///
    /// # Errors
    /// [`Failure`] when it is something else.
    pub fn key(text: &str, origin: &str) -> Result<Self, Failure> {
        match hex::decode(text.trim()).map(Zeroizing::new) {
            Ok(key) if key.len() == KEY_BYTES => Ok(Self::Key(Secret::from(key.as_slice()))),
            _ => {
                let what = format!("{origin} holds no store key, which is 64 hexadecimal digits");
                Err(Failure::new(Kind::State, what).hint("restore it from where you keep a copy"))
            }
        }
    }

    /// A passphrase that `origin` held; line ends behind it do not belong to it.
    ///
    /// # Errors
    /// [`Failure`] when there is none.
    pub fn passphrase(text: &str, origin: &str) -> Result<Self, Failure> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let what = format!("{origin} holds no passphrase");
            return Err(Failure::new(Kind::State, what).hint("a passphrase has at least one character"));
        }
        Ok(Self::Passphrase(Secret::from(text.as_bytes())))
    }

    /// What is in the file that `origin` names.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be read, others can read it too, or it holds something else.
    pub fn read(origin: &Origin) -> Result<Self, Failure> {
        let file = origin.file();
        only_owner_reads(file)?;
        let text = read_secret(file)?;
        let name = file.display().to_string();
        match origin {
            Origin::KeyFile(_) => Self::key(&text, &name),
            Origin::PassphraseFile(_) => Self::passphrase(&text, &name),
        }
    }

    /// The store key, where `kdf` says how a passphrase becomes it.
    fn store_key(&self, kdf: Option<&Kdf>) -> Result<StoreKey, Failure> {
        match (self, kdf) {
            (Self::Key(key), _) => Ok(StoreKey::from_bytes(Secret::from(key.expose()))?),
            (Self::Passphrase(passphrase), Some(kdf)) => derive(passphrase, kdf),
            (Self::Passphrase(_), None) => Err(Failure::new(
                Kind::State,
                "a passphrase was given, but the store is sealed with a key",
            )
            .hint("give the key that the store was made with; `ctl store rekey` changes to a passphrase")),
        }
    }

    /// A key for a store that has none yet, or gets a new one; and what the store is to say of it.
    ///
    /// # Errors
    /// [`Failure`] where there is no randomness.
    pub fn new_key(&self) -> Result<(StoreKey, KeyNote), Failure> {
        let kdf = match self {
            Self::Key(_) => None,
            Self::Passphrase(_) => Some(Kdf {
                algorithm: "argon2id".into(),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: hex::encode(*random::<SALT_BYTES>()?),
            }),
        };
        let key = self.store_key(kdf.as_ref())?;
        let note = KeyNote { kdf, ..KeyNote::of(key.id().to_string()) };
        Ok((key, note))
    }
}

/// The keys of `store`, from what was given. A new store is sealed with it from now on.
///
/// # Errors
/// [`Failure`] when it is not the key that the store is sealed with.
pub fn unlock(store: &dyn Store, given: &Given) -> Result<Keyring, Failure> {
    let Some(note) = KeyNote::read(store)? else {
        let (key, note) = given.new_key()?;
        note.write(store)?;
        return Ok(Keyring::new(key));
    };
    let key = match (given.store_key(note.kdf.as_ref()), &note.origin) {
        (Ok(key), _) if key.id().to_string() == note.key => key,
        (_, Some(origin)) => from_origin(origin, &note, given)?,
        (refused, None) => {
            // The error of a passphrase where a key is needed says more than "wrong".
            refused?;
            return Err(
                wrong_key(&note).hint("give the store key or passphrase that this store was made with")
            );
        }
    };
    if !store.notes()?.contains_key(crate::kms::notes::STORE_KEY) {
        note.write(store)?;
    }
    let previous = match &note.previous {
        None => None,
        Some(previous) => {
            let sealed = hex::decode(&previous.sealed).unwrap_or_default();
            Some(StoreKey::from_bytes(key.open(PREVIOUS_KEY, &sealed)?)?)
        }
    };
    Ok(Keyring::of(key, previous))
}

/// The key from where it was when the store was sealed anew, for whoever gives the one before: so a server comes up again
/// although nobody has changed its configuration yet. Any other key is wrong.
fn from_origin(origin: &Origin, note: &KeyNote, given: &Given) -> Result<StoreKey, Failure> {
    let file = origin.file();
    let hint = format!("the store was sealed anew with what was in {}: give that", file.display());
    let is_former = note.former.as_ref().is_some_and(|former| {
        given.store_key(former.kdf.as_ref()).is_ok_and(|key| key.id().to_string() == former.key)
    });
    if !is_former {
        return Err(wrong_key(note).hint(hint));
    }
    let found = Given::read(origin).and_then(|given| given.store_key(note.kdf.as_ref()));
    match found {
        Ok(key) if key.id().to_string() == note.key => {
            tracing::warn!(
                file = %file.display(),
                "the configuration names the store key of before; the store was sealed anew with the one in this file: name it"
            );
            Ok(key)
        }
        _ => Err(wrong_key(note).hint(hint)),
    }
}

fn wrong_key(note: &KeyNote) -> Failure {
    let KeyNote { key, kdf, .. } = note;
    let what = match kdf {
        Some(_) => {
            format!("the passphrase is wrong: the store is sealed with key {key}, which follows from another")
        }
        None => format!("the store key is wrong: the store is sealed with key {key}, and this is another"),
    };
    Failure::new(Kind::State, what)
}

fn derive(passphrase: &Secret, kdf: &Kdf) -> Result<StoreKey, Failure> {
    let unusable = |why: String| {
        Failure::new(Kind::State, format!("the key cannot be derived from the passphrase: {why}"))
            .hint("restore the store from a backup if its notes are damaged")
    };
    if kdf.algorithm != "argon2id" {
        return Err(unusable(format!("{:?} is not known here", kdf.algorithm)));
    }
    if kdf.memory_kib > limits::KDF_MEMORY_KIB || kdf.passes > limits::KDF_PASSES {
        return Err(unusable("its parameters would take too much memory or time".into()));
    }
    let salt = hex::decode(&kdf.salt).map_err(|error| unusable(error.to_string()))?;
    let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(KEY_BYTES))
        .map_err(|error| unusable(error.to_string()))?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose(), &salt, key.as_mut())
        .map_err(|error| unusable(error.to_string()))?;
    Ok(StoreKey::from_bytes(Secret::from(key.as_slice()))?)
}

/// Refuses a file with a secret that others than its owner can read or change, or that is another user's.
///
/// # Errors
/// [`Failure`] when it is, or is not there.
pub fn only_owner_reads(file: &Path) -> Result<(), Failure> {
    let about = fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    let mode = about.permissions().mode();
    if about.is_file() && mode & 0o077 != 0 {
        let what =
            format!("{} holds a secret, and others can read it (mode {:03o})", file.display(), mode & 0o777);
        return Err(Failure::new(Kind::State, what).hint(format!("chmod 600 {}", file.display())));
    }
    let own = rustix::process::geteuid().as_raw();
    if about.is_file() && about.uid() != own && about.uid() != 0 {
        let what =
            format!("{} holds a secret, and belongs to another user ({})", file.display(), about.uid());
        return Err(Failure::new(Kind::State, what).hint("let it belong to the user that the server runs as"));
    }
    Ok(())
}

/// Reads a short text that is a secret: from a file, or from a descriptor such as `/dev/fd/3`.
///
/// # Errors
/// [`Failure`] when it cannot be read or is no text.
pub fn read_secret(file: &Path) -> Result<Zeroizing<String>, Failure> {
    // Room for one byte more: a secret that is cut would be another, and nobody would know.
    let most = limits::SECRET + 1;
    let mut text = Zeroizing::new(String::with_capacity(most));
    let source = fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    source.take(limit).read_to_string(&mut text).map_err(|error| unreadable(file, &error))?;
    if text.len() == most {
        let what = format!("{} has more than the {} bytes of a secret", file.display(), limits::SECRET);
        return Err(Failure::new(Kind::State, what).hint("is it the right file?"));
    }
    Ok(text)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::State, format!("cannot read the secret in {}: {error}", file.display()))
        .hint("without it nothing in the store can be opened: restore the file")
}

/// Writes a new random key to `file`, which must not exist, for its owner alone.
///
/// # Errors
/// [`Failure`] when it is there, or cannot be written.
pub fn write_new_key(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::new(Kind::State, format!("{} is already there", file.display()))
            .hint("a key that is overwritten opens nothing any more: choose another name"));
    }
    let key = random::<KEY_BYTES>()?;
    let text = Zeroizing::new(hex::encode(*key));
    kms_certs::replace_file(file, text.as_bytes(), kms_certs::Access::Private)
        .map_err(|error| Failure::new(Kind::State, error.to_string()).hint("name a file that can be written"))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut())
        .map_err(|_| Failure::new(Kind::State, "the system gives no random bytes"))?;
    Ok(bytes)
}

/// Where a server finds its store key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// In a file.
    File(Origin),
    /// Whoever sits at the terminal knows the passphrase.
    Terminal,
}

impl Source {
    /// What the configuration names; `-` as the passphrase's file asks on the terminal.
    ///
    /// # Errors
    /// [`Failure`] when it names nothing or both.
    pub fn of(key_file: Option<&PathBuf>, passphrase: Option<&PathBuf>) -> Result<Self, Failure> {
        match (key_file, passphrase) {
            (Some(file), None) => Ok(Self::File(Origin::KeyFile(file.clone()))),
            (None, Some(file)) if file.as_os_str() == "-" => Ok(Self::Terminal),
            (None, Some(file)) => Ok(Self::File(Origin::PassphraseFile(file.clone()))),
            (None, None) => Err(Failure::new(Kind::Config, "nothing says what the store's key is").hint(
                "name a file in `store-key` or `store-passphrase` (\"-\" asks on the terminal), or set KMS_STORE_KEY",
            )),
            (Some(_), Some(_)) => {
                Err(Failure::new(Kind::Config, "both `store-key` and `store-passphrase` say what the store's key is")
                    .hint("leave one of them"))
            }
        }
    }

    /// Whether it can be read at any time: a terminal and a pipe give a secret once. What is not there should be a file.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        let Self::File(origin) = self else { return false };
        fs::metadata(origin.file()).map_or(true, |about| about.is_file())
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Failure`] when it is not there or something else, or others can read it too.
    pub fn read(&self) -> Result<Given, Failure> {
        match self {
            Self::File(origin) => Given::read(origin),
            Self::Terminal => Given::passphrase(&ask("Passphrase of the store: ")?, "the terminal"),
        }
    }
}

/// Asks for a passphrase on the terminal, without showing it.
///
/// # Errors
/// [`Failure`] when there is no terminal.
pub fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
        Failure::new(Kind::State, format!("cannot ask for the passphrase on a terminal: {error}"))
            .hint("start it on a terminal, or name a file that holds the passphrase")
    })
}
