//! What a store says about itself: under which key it is sealed, and whether its clock was moved.

use std::path::{Path, PathBuf};

use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};

use super::model::{Material, Object};
use crate::crypto::seal::sealed_with;
use crate::store::limits::{COPY_PAGE, MAX_ID_BYTES};
use crate::store::{Store, StoreError};

/// The note that says which store key is needed.
pub const STORE_KEY: &str = "store-key";
/// The note that says that a production server has served the store.
pub const PRODUCTION: &str = "production";
/// The note that says that the store has lived under a moved clock.
pub const MOVED_CLOCK: &str = "moved-clock";

/// The note that says that keys in the store follow from a number.
pub const REPRODUCIBLE: &str = "reproducible-keys";

/// Which key a store is sealed with. It holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyNote {
    /// The key's ID, in hexadecimal digits.
    pub key: String,
    /// How the key follows from a passphrase, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdf: Option<Kdf>,
    /// Where the key was read when the store was last sealed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The key before, while records may still be sealed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// What the key before was: whoever still gives that one has not changed the configuration yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
}

/// Which key a store was sealed with before. It holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Former {
    /// The key's ID, in hexadecimal digits.
    pub key: String,
    /// How it followed from a passphrase, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdf: Option<Kdf>,
}

/// How a store key is derived from a passphrase: Argon2id (RFC 9106), version 19.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kdf {
    /// `argon2id`.
    pub algorithm: String,
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes of it.
    pub lanes: u32,
    /// The salt, in hexadecimal digits.
    pub salt: String,
}

/// Where a key is read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A file with the key.
    KeyFile(PathBuf),
    /// A file with a passphrase.
    PassphraseFile(PathBuf),
}

/// The key that a store was sealed with before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Previous {
    /// The key's ID, in hexadecimal digits.
    pub key: String,
    /// The key itself, sealed under the new one: whoever has that needs no other to go on. In hexadecimal digits.
    pub sealed: String,
}

/// The note that the store's clock was moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MovedClock {
    /// Since when, in real time: seconds since 1970.
    pub since: i64,
}

impl Origin {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        let (Self::KeyFile(file) | Self::PassphraseFile(file)) = self;
        file
    }
}

impl KeyNote {
    /// What the store says of its key; `None` where nothing was ever sealed in it.
    ///
    /// # Errors
    /// When the store cannot be read, or says nonsense.
    pub fn read(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        if let Some(note) = store.notes()?.get(STORE_KEY) {
            return parse(STORE_KEY, note).map(Some);
        }
        // A store of before there were notes tells by its first sealed record.
        let mut after: Option<String> = None;
        loop {
            let page = store.records(after.as_deref(), COPY_PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            after = Some(last.clone());
            for (id, record) in page.iter().filter(|(id, _)| is_object(id)) {
                let material = Object::from_record(id, record)?.material;
                if let Some(sealed) = material.as_ref().and_then(Material::sealed) {
                    let key = sealed_with(&sealed.0).map_err(|error| corrupt(id, &error))?;
                    return Ok(Some(Self::of(key.to_string())));
                }
            }
        }
    }

    /// A note of a key that was read as it is.
    #[must_use]
    pub fn of(key: String) -> Self {
        Self { key, kdf: None, origin: None, previous: None, former: None }
    }

    /// Writes the note.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        write(store, STORE_KEY, self)
    }
}

impl MovedClock {
    /// Whether the store's clock was ever moved.
    ///
    /// # Errors
    /// When the store cannot be read, or says nonsense.
    pub fn read(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        store.notes()?.get(MOVED_CLOCK).map(|note| parse(MOVED_CLOCK, note)).transpose()
    }

    /// Says that the clock is about to be moved, unless that is said already. Durable when this returns.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn stamp(store: &dyn Store, real_now: DateTime) -> Result<(), StoreError> {
        if Self::read(store)?.is_some() {
            return Ok(());
        }
        write(store, MOVED_CLOCK, &Self { since: real_now.0 })
    }
}

/// Says that a production server serves the store, unless that is said already.
///
/// # Errors
/// When the store cannot be read or written.
pub fn stamp_production(store: &dyn Store) -> Result<(), StoreError> {
    if is_of_production(store)? { Ok(()) } else { store.note(PRODUCTION, Some(b"true")) }
}

/// Whether a production server has ever served the store.
///
/// # Errors
/// When the store cannot be read.
pub fn is_of_production(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.notes()?.contains_key(PRODUCTION))
}

/// Says that keys in the store follow from a number that others may know, unless that is said already.
///
/// # Errors
/// When the store cannot be read or written.
pub fn stamp_reproducible(store: &dyn Store) -> Result<(), StoreError> {
    if has_reproducible_keys(store)? { Ok(()) } else { store.note(REPRODUCIBLE, Some(b"true")) }
}

/// Whether any key in the store may follow from such a number.
///
/// # Errors
/// When the store cannot be read.
pub fn has_reproducible_keys(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.notes()?.contains_key(REPRODUCIBLE))
}

/// What there is to say of an identifier that [`is_object`] does not take.
pub(super) fn no_identifier(id: &str) -> String {
    format!(
        "{id:?} cannot be a Unique Identifier here: it has 1 to {MAX_ID_BYTES} bytes, does not begin with a tilde and holds no \
         control characters"
    )
}

/// Whether a record of this ID is, or could be, a managed object. What else the server keeps begins with a tilde.
#[must_use]
pub fn is_object(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && !id.starts_with('~') && !id.chars().any(char::is_control)
}

fn write(store: &dyn Store, name: &str, note: &impl Serialize) -> Result<(), StoreError> {
    let json = serde_json::to_vec(note).map_err(|error| corrupt(name, &error))?;
    store.note(name, Some(&json))
}

fn parse<'a, T: Deserialize<'a>>(name: &str, note: &'a [u8]) -> Result<T, StoreError> {
    serde_json::from_slice(note).map_err(|error| corrupt(name, &error))
}

fn corrupt(at: &str, error: &dyn core::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: error.to_string(), at: at.to_owned() }
}
