//! The metadata of a chain: which files it consists of, and their file keys for the newest key.
//!
//! An age file beside the backup files, for the newest key only; inside JSON. What the backup files' own headers hold for
//! the keys of their time, it holds for the newest one, so that it takes that key alone to open the chain. It is written
//! anew after each backup; a chain without it opens by its backup files. Where the job signs, the signature follows it in a
//! line of its own ([`signing`](crate::backup::signing)).

use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Chain, ChainFile};
use crate::backup::archive::open;
use crate::backup::envelope::encryptor;
use crate::backup::signing::{Signature, Signer};
use crate::backup::staging::NewFile;
use crate::backup::{BackupError, limits};

/// Version of the metadata that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What the metadata says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of its layout.
    pub format: u32,
    /// The chain.
    pub chain: Chain,
    /// Its files.
    pub files: Vec<ChainFile>,
}

impl Metadata {
    /// What is wrong with it, where something is.
    fn oddity(&self) -> Option<String> {
        let numbers = self.files.iter().map(|file| file.number);
        let odd = numbers.into_iter().find(|number| !(1..=limits::MAX_CHAIN_FILES).contains(number));
        self.chain.oddity().or_else(|| odd.map(|number| format!("it names a file {number}, as no chain has")))
    }
}

/// Puts the metadata of a chain in its place.
///
/// # Errors
/// When it cannot be written; the one before stays then.
pub fn write(
    chain: &Chain,
    files: Vec<ChainFile>,
    recipients: &[&dyn age::Recipient],
    signer: Option<&Signer<'_>>,
) -> Result<(), BackupError> {
    let (repository, path) = (chain.repository(), chain.metadata());
    let failed = |error| BackupError::io("write the metadata", &path)(error);
    let metadata = Metadata { format: FORMAT, chain: chain.clone(), files };
    let json = |error: serde_json::Error| failed(error.into());
    let mut text = serde_json::to_vec(&metadata).map_err(json)?;
    if let Some(signer) = signer {
        let signature = serde_json::to_vec(&signer.sign(&text)?).map_err(json)?;
        text.push(b'\n');
        text.extend(signature);
    }
    let file = NewFile::create(&repository)?;
    let put = || -> io::Result<()> {
        let mut stream = encryptor(recipients)?.wrap_output(io::BufWriter::new(file.file()))?;
        let compressed = zstd::encode_all(text.as_slice(), limits::ZSTD_LEVEL)?;
        stream.write_all(&compressed)?;
        stream.finish()?.flush()
    };
    put().map_err(failed)?;
    file.replace(path.file_name().unwrap_or_default()).map(drop)
}

/// Metadata as it was read: not to be believed before its signature was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unchecked {
    /// What it says.
    pub metadata: Metadata,
    /// The bytes that are signed.
    pub body: Vec<u8>,
    /// The signature, where there is one.
    pub signature: Option<Signature>,
}

/// Reads the metadata in the file at `path`.
///
/// # Errors
/// When it is damaged or of a newer version.
pub fn read(path: &Path, identity: &dyn age::Identity) -> Result<Unchecked, BackupError> {
    let not_metadata = |what: String| BackupError::NotABackup { file: path.to_owned(), what };
    let stream = open(path, identity)?;
    let damaged = |what: &str| BackupError::Damaged { file: path.to_owned(), what: what.to_owned() };
    let mut compressed = Vec::new();
    let limit = limits::MAX_METADATA;
    let read = stream.take(limit + 1).read_to_end(&mut compressed);
    read.map_err(|_| damaged("its contents were altered, or its end is missing"))?;
    if compressed.len() as u64 > limit {
        return Err(not_metadata(format!("the metadata is longer than {limit} bytes")));
    }
    let mut json = Vec::new();
    let decoder = zstd::Decoder::new(compressed.as_slice());
    let read = decoder.and_then(|decoder| decoder.take(limit + 1).read_to_end(&mut json));
    read.map_err(|error| not_metadata(error.to_string()))?;
    let no_metadata = |error| not_metadata(format!("it is no chain's metadata: {error}"));
    let signature = match json.iter().position(|byte| *byte == b'\n') {
        None => None,
        Some(end) => {
            let signature = json.split_off(end);
            Some(serde_json::from_slice(&signature).map_err(no_metadata)?)
        }
    };
    let metadata: Metadata = serde_json::from_slice(&json).map_err(no_metadata)?;
    if metadata.format > FORMAT {
        let what = format!("its format is {}, this kms-client knows {FORMAT}", metadata.format);
        return Err(not_metadata(what));
    }
    if let Some(odd) = metadata.oddity() {
        return Err(not_metadata(odd));
    }
    Ok(Unchecked { metadata, body: json, signature })
}
