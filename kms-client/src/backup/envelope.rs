//! How a backup file's key is wrapped: an age recipient of our own.
//!
//! A backup file is an ordinary age file (age-encryption.org/v1). Its header has one stanza for each key that
//! opens it; readers skip those that they do not know. Ours is
//!
//! ```text
//! -> kmip-rsa-oaep oaep=sha256 key=ID generation=N server=NAME address=HOST:PORT
//! BODY
//! ```
//!
//! where BODY is the 16-byte file key, encrypted by RSA-OAEP with the public half of the key pair whose
//! private half is ID in that KMS, and the values are percent-encoded. Arguments that a reader does not know are
//! skipped. For keys on P-256 there is another one ([`p256`]). The header says what a file needs without any key; age's MAC over it proves it once the file key is known.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::iter;
use std::sync::Mutex;

use age::secrecy::ExposeSecret;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use kms_protocol::Secret;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use sha1::Sha1;
use sha2::Sha256;

use super::kms::{Scheme, Share, WrappedKey, Wrapping};
use super::{escape, limits};

mod header;
mod p256;
mod password;
mod recovery;

pub use header::{StoredStanza, encryptor, wrap, write_header};
pub use p256::P256_TAG;
pub use password::{
    PASSWORD_TAG, PasswordIdentity, PasswordKey, PasswordRecipient, PasswordStanza, unwrap_with,
};
pub use recovery::{answer, read_answer};

use p256::P256Recipient;

/// Tag of our stanza for RSA keys.
pub const STANZA_TAG: &str = "kmip-rsa-oaep";

/// Which key opens a file: everything that a restore needs to know about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyReference {
    /// The KMS server's name where the file was written.
    pub server: String,
    /// Its address there.
    pub address: String,
    /// Unique Identifier of the private key.
    pub private_id: String,
    /// The key's generation in its job.
    pub generation: u32,
}

/// A file key as it stands in a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyStanza {
    /// The key that opens it.
    pub reference: KeyReference,
    /// How the file key is wrapped.
    pub wrapping: Wrapping,
    /// The wrapped file key.
    pub ciphertext: Vec<u8>,
}

impl KeyStanza {
    /// The request to unwrap it.
    #[must_use]
    pub fn wrapped(&self) -> WrappedKey {
        WrappedKey {
            private_id: self.reference.private_id.clone(),
            wrapping: self.wrapping.clone(),
            ciphertext: self.ciphertext.clone(),
        }
    }

    /// Reads our stanza out of an age header; `None` when it is another's.
    ///
    /// # Errors
    /// When it is ours, but damaged or of a kind that this version does not know.
    pub fn parse(stanza: &Stanza) -> Option<Result<Self, HeaderError>> {
        matches!(stanza.tag.as_str(), STANZA_TAG | P256_TAG).then(|| Self::parse_ours(stanza))
    }

    fn parse_ours(stanza: &Stanza) -> Result<Self, HeaderError> {
        let mut seen = HashSet::new();
        let argument = |name: &'static str, limit: usize| {
            let prefix = format!("{name}=");
            let mut values = stanza.args.iter().filter_map(|arg| arg.strip_prefix(&prefix));
            let value = values.next().and_then(percent_decode).filter(|value| value.len() <= limit);
            value.filter(|value| !value.is_empty()).ok_or(HeaderError::Stanza(name))
        };
        if stanza.args.iter().any(|arg| !seen.insert(arg.split('=').next())) {
            return Err(HeaderError::Stanza("an argument that stands twice"));
        }
        let wrapping = if stanza.tag == P256_TAG {
            let most = 2 * limits::MAX_PUBLIC_KEY;
            let (share, recipient) = (argument("share", most)?, argument("recipient", most)?);
            Wrapping::P256(Share::read(&share, &recipient).ok_or(HeaderError::Stanza("share or recipient"))?)
        } else {
            match argument("oaep", limits::MAX_NAME)?.as_str() {
                "sha256" => Wrapping::OaepSha256,
                "sha1" => Wrapping::OaepSha1,
                other => return Err(HeaderError::UnknownHash(other.to_owned())),
            }
        };
        let generation = argument("generation", limits::MAX_NAME)?;
        let generation = generation.parse().map_err(|_| HeaderError::Stanza("generation"))?;
        if stanza.body.is_empty() || stanza.body.len() > limits::MAX_WRAPPED_KEY {
            return Err(HeaderError::Stanza("wrapped key"));
        }
        let reference = KeyReference {
            server: argument("server", limits::MAX_NAME)?,
            address: argument("address", limits::MAX_ADDRESS)?,
            private_id: argument("key", limits::MAX_UNIQUE_IDENTIFIER)?,
            generation,
        };
        Ok(Self { reference, wrapping, ciphertext: stanza.body.clone() })
    }

    /// The stanza as age writes it.
    #[must_use]
    pub fn to_stanza(&self) -> Stanza {
        let KeyReference { server, address, private_id, generation } = &self.reference;
        let (tag, mut args) = match &self.wrapping {
            Wrapping::OaepSha256 => (STANZA_TAG, vec!["oaep=sha256".to_owned()]),
            Wrapping::OaepSha1 => (STANZA_TAG, vec!["oaep=sha1".to_owned()]),
            Wrapping::P256(Share { public, recipient }) => {
                let (share, recipient) = (hex::encode(public), hex::encode(recipient));
                (P256_TAG, vec![format!("share={share}"), format!("recipient={recipient}")])
            }
        };
        args.extend([
            format!("key={}", percent_encode(private_id)),
            format!("generation={generation}"),
            format!("server={}", percent_encode(server)),
            format!("address={}", percent_encode(address)),
        ]);
        Stanza { tag: tag.to_owned(), args, body: self.ciphertext.clone() }
    }
}

/// Encrypts files so that a key in a KMS opens them.
pub struct KmsRecipient {
    reference: KeyReference,
    public_key: Public,
}

enum Public {
    OaepSha256(rsa::PublicKey),
    OaepSha1(rsa::PublicKey),
    P256(P256Recipient),
}

impl KmsRecipient {
    /// A recipient for the key that `reference` names, whose public half is `spki`, a DER SubjectPublicKeyInfo. File keys
    /// are wrapped as `scheme` says.
    ///
    /// # Errors
    /// When the public key cannot be used.
    pub fn new(reference: KeyReference, scheme: Scheme, spki: &[u8]) -> Result<Self, PublicKeyError> {
        let public_key = match scheme {
            Scheme::OaepSha256 => Public::OaepSha256(parse_public_key(spki)?),
            Scheme::OaepSha1 => Public::OaepSha1(parse_public_key(spki)?),
            Scheme::P256 => Public::P256(P256Recipient::new(spki)?),
        };
        Ok(Self { reference, public_key })
    }
}

impl age::Recipient for KmsRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let file_key = file_key.expose_secret();
        let wrapped = match &self.public_key {
            Public::OaepSha256(key) => {
                let ciphertext = key.oaep_encrypt::<Sha256>(file_key).map_err(io::Error::other);
                ciphertext.map(|ciphertext| (Wrapping::OaepSha256, ciphertext))
            }
            Public::OaepSha1(key) => {
                let ciphertext = key.oaep_encrypt::<Sha1>(file_key).map_err(io::Error::other);
                ciphertext.map(|ciphertext| (Wrapping::OaepSha1, ciphertext))
            }
            Public::P256(key) => {
                key.wrap(file_key).map(|(share, ciphertext)| (Wrapping::P256(share), ciphertext))
            }
        };
        let (wrapping, ciphertext) = wrapped.map_err(age::EncryptError::Io)?;
        let stanza = KeyStanza { reference: self.reference.clone(), wrapping, ciphertext };
        Ok((vec![stanza.to_stanza()], HashSet::new()))
    }
}

/// Opens the one file whose file key it holds, whoever unwrapped that.
pub struct FileKeyIdentity {
    file_key: Secret,
}

impl FileKeyIdentity {
    /// An identity for the file with this file key; `None` when that is no file key.
    #[must_use]
    pub fn new(file_key: Secret) -> Option<Self> {
        (file_key.len() == FILE_KEY_BYTES).then_some(Self { file_key })
    }

    /// Another identity for the same file.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { file_key: Secret::from(self.file_key.expose()) }
    }

    /// The file key.
    #[must_use]
    pub const fn file_key(&self) -> &Secret {
        &self.file_key
    }
}

impl age::Identity for FileKeyIdentity {
    // Any stanza will do: the header's MAC proves the file key.
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        Some(FileKey::try_init_with_mut(|bytes| match self.file_key.expose().try_into() {
            Ok(file_key) => {
                *bytes = file_key;
                Ok(())
            }
            Err(_) => Err(age::DecryptError::KeyDecryptionFailed),
        }))
    }
}

/// What opens a file, out of its stanzas.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Locks {
    /// KMS keys.
    pub keys: Vec<KeyStanza>,
    /// Passwords.
    pub passwords: Vec<PasswordStanza>,
    /// Keys of age's own kind: an Enterprise Manager's.
    pub recovery: Vec<StoredStanza>,
}

impl Locks {
    /// Sorts the stanzas; what is wrong with those of ours comes second.
    #[must_use]
    pub fn of(stanzas: &[StoredStanza]) -> (Self, Vec<HeaderError>) {
        let (mut locks, mut unusable) = (Self::default(), Vec::new());
        for stored in stanzas {
            let stanza = stored.to_stanza();
            match (KeyStanza::parse(&stanza), PasswordStanza::parse(&stanza)) {
                (Some(Ok(key)), _) => locks.keys.push(key),
                (_, Some(Ok(password))) => locks.passwords.push(password),
                (Some(Err(error)), _) | (_, Some(Err(error))) => unusable.push(error),
                (None, None) if stored.tag == "X25519" => locks.recovery.push(stored.clone()),
                (None, None) => {}
            }
        }
        (locks, unusable)
    }

    /// Whether nothing opens the file.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.passwords.is_empty() && self.recovery.is_empty()
    }
}

/// An age header, read without any key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The header's bytes, up to the end of its last line.
    bytes: Vec<u8>,
    /// All stanzas that this version can make use of.
    pub stanzas: Vec<StoredStanza>,
    /// What opens the file.
    pub locks: Locks,
    /// What was wrong with stanzas that are ours but cannot be used.
    pub unusable: Vec<HeaderError>,
}

impl Header {
    /// Reads a header and leaves `reader` at the byte after it.
    ///
    /// # Errors
    /// When this is no age file, or its header is longer than 16 KiB.
    pub fn read(reader: &mut impl BufRead) -> Result<Self, HeaderError> {
        let mut bytes = Vec::new();
        loop {
            let line = bytes.len();
            let room = (limits::MAX_HEADER - line) as u64;
            let read = reader
                .by_ref()
                .take(room)
                .read_until(b'\n', &mut bytes)
                .map_err(|error| HeaderError::Io(error.to_string()))?;
            if line == 0 && !bytes.starts_with(b"age-encryption.org/") {
                return Err(HeaderError::NotAge);
            }
            if read == 0 || bytes.last() != Some(&b'\n') {
                let full = bytes.len() == limits::MAX_HEADER;
                return Err(if full { HeaderError::TooLong } else { HeaderError::Truncated });
            }
            if bytes.get(line..).is_some_and(|line| line.starts_with(b"---")) {
                break;
            }
        }
        let stanzas = collect_stanzas(&bytes)?;
        let known =
            |stanza: &&Stanza| matches!(stanza.tag.as_str(), STANZA_TAG | P256_TAG | PASSWORD_TAG | "X25519");
        let stanzas: Vec<StoredStanza> = stanzas.iter().filter(known).map(StoredStanza::from).collect();
        let (locks, unusable) = Locks::of(&stanzas);
        Ok(Self { bytes, stanzas, locks, unusable })
    }

    /// The header's length in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The file again from its start, for [`age::Decryptor`]; `rest` is what follows the header.
    pub fn followed_by<R: BufRead>(self, rest: R) -> impl BufRead {
        io::Cursor::new(self.bytes).chain(rest)
    }
}

/// Has the age crate parse a header, by an identity that looks at every stanza and opens none.
fn collect_stanzas(header: &[u8]) -> Result<Vec<Stanza>, HeaderError> {
    struct Collector(Mutex<Vec<Stanza>>);
    impl age::Identity for Collector {
        fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
            let copy =
                Stanza { tag: stanza.tag.clone(), args: stanza.args.clone(), body: stanza.body.clone() };
            if let Ok(mut stanzas) = self.0.lock() {
                stanzas.push(copy);
            }
            None
        }
    }
    // The parser wants the 16-byte nonce after the header as well; no key, so any will do.
    let decryptor =
        age::Decryptor::new_buffered(header.chain(&[0_u8; 16][..])).map_err(|error| header_error(&error))?;
    let collector = Collector(Mutex::new(Vec::new()));
    match decryptor.decrypt(iter::once(&collector as &dyn age::Identity)) {
        Ok(_) | Err(age::DecryptError::NoMatchingKeys) => {}
        Err(error) => return Err(header_error(&error)),
    }
    Ok(collector.0.into_inner().unwrap_or_default())
}

/// What an error of the age crate means.
///
/// Not by its own words: it looks those up, in debug builds in files at the place where it was compiled, and
/// panics where they are not.
pub(super) const fn reason(error: &age::DecryptError) -> &'static str {
    match error {
        age::DecryptError::InvalidHeader => "the header is not valid",
        age::DecryptError::InvalidMac => "the header was altered",
        age::DecryptError::UnknownFormat => "the file is of a version of age's format that is not known here",
        age::DecryptError::NoMatchingKeys => "the key that was given is not one of the file's",
        age::DecryptError::Io(_) => "the file cannot be read",
        _ => "the file's key cannot be decrypted",
    }
}

fn header_error(error: &age::DecryptError) -> HeaderError {
    HeaderError::Invalid(reason(error))
}

/// What is wrong with a file's header.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// It does not begin as age files do.
    #[error("this is no age file")]
    NotAge,
    /// It ends within the header.
    #[error("the file ends within its header")]
    Truncated,
    /// The header does not end.
    #[error("the header is longer than {} bytes", limits::MAX_HEADER)]
    TooLong,
    /// It is not as age headers are.
    #[error("{0}")]
    Invalid(&'static str),
    /// A stanza of ours lacks something, or has it wrong.
    #[error("the header's KMS key has no valid {0}")]
    Stanza(&'static str),
    /// A stanza of ours uses a hash that this version does not know.
    #[error("the header's KMS key uses the hash {0:?}, which this version does not know")]
    UnknownHash(String),
    /// The file cannot be read.
    #[error("{0}")]
    Io(String),
}

/// What is wrong with a public key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// It is no RSA public key in SubjectPublicKeyInfo form.
    #[error("it is not an RSA public key in SubjectPublicKeyInfo form")]
    Malformed,
    /// It is no point on P-256.
    #[error("it is not a public key on P-256 in SubjectPublicKeyInfo form")]
    NotP256,
    /// It protects too little.
    #[error("it has {0} bits, fewer than {1}")]
    TooShort(usize, usize),
}

/// Length of an RSA public key's modulus in bits; `spki` is a DER SubjectPublicKeyInfo.
///
/// # Errors
/// When it is no RSA key, or one of fewer than 2,048 bits.
pub fn public_key_bits(spki: &[u8]) -> Result<usize, PublicKeyError> {
    parse_public_key(spki).map(|key| bits(&key))
}

fn parse_public_key(spki: &[u8]) -> Result<rsa::PublicKey, PublicKeyError> {
    if spki.len() > limits::MAX_PUBLIC_KEY {
        return Err(PublicKeyError::Malformed);
    }
    let key = rsa::PublicKey::from_public_key_der(spki).map_err(|_| PublicKeyError::Malformed)?;
    match bits(&key) {
        short if short < limits::MIN_RSA_BITS => Err(PublicKeyError::TooShort(short, limits::MIN_RSA_BITS)),
        _ => Ok(key),
    }
}

fn bits(key: &rsa::PublicKey) -> usize {
    key.n().bit_width() as usize
}

/// Percent-encoding (RFC 3986 section 2.1) of all but unreserved characters and `:`, which addresses have.
fn percent_encode(text: &str) -> String {
    use core::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn percent_decode(text: &str) -> Option<String> {
    String::from_utf8(escape::unescape(text)?).ok()
}
