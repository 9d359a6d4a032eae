//! An Enterprise Manager's part: file keys that it unwraps, for whoever asked and nobody else.

use std::io::{Read, Write};
use std::iter;

use age::x25519;
use kms_protocol::Secret;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{FileKeyIdentity, StoredStanza, unwrap_with};
use crate::backup::limits;

/// One answer; in the clear only within an encrypted file.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct FileKeyOf {
    /// The body of the stanza that wraps it.
    #[serde(with = "hex::serde")]
    stanza: Vec<u8>,
    file_key: String,
}

/// Unwraps what `manager` can unwrap and encrypts it for `reply_to`; the second value says how many that were.
///
/// # Errors
/// When encryption fails.
pub fn answer(
    manager: &x25519::Identity,
    stanzas: &[StoredStanza],
    reply_to: &x25519::Recipient,
) -> Result<(Vec<u8>, usize), String> {
    let one = |stanza: &StoredStanza| {
        let file_key = unwrap_with(manager, &stanza.to_stanza())?;
        Some(FileKeyOf { stanza: stanza.body.clone(), file_key: hex::encode(file_key.expose()) })
    };
    let answers: Vec<FileKeyOf> = stanzas.iter().filter_map(one).collect();
    let json = Zeroizing::new(serde_json::to_vec(&answers).map_err(|error| error.to_string())?);
    let recipient: &dyn age::Recipient = reply_to;
    let encryptor = age::Encryptor::with_recipients(iter::once(recipient))
        .map_err(|_| "the answer cannot be encrypted for whoever asked".to_owned())?;
    let mut encrypted = Vec::new();
    let write = encryptor.wrap_output(&mut encrypted).and_then(|mut stream| {
        stream.write_all(&json)?;
        stream.finish()
    });
    write.map_err(|error| error.to_string())?;
    Ok((encrypted, answers.len()))
}

/// Reads an answer: the file keys, each with the body of the stanza that wraps it. `None` when it is for somebody else.
#[must_use]
pub fn read_answer(encrypted: &[u8], own: &x25519::Identity) -> Option<Vec<(Vec<u8>, FileKeyIdentity)>> {
    let decryptor = age::Decryptor::new(encrypted).ok()?;
    let stream = decryptor.decrypt(iter::once(own as &dyn age::Identity)).ok()?;
    let mut json = Zeroizing::new(Vec::new());
    stream.take(limits::MAX_RECOVERY).read_to_end(&mut json).ok()?;
    let answers: Vec<FileKeyOf> = serde_json::from_slice(&json).ok()?;
    let one = |answer: FileKeyOf| {
        let file_key = Secret::new(hex::decode(answer.file_key.as_str()).ok()?);
        Some((answer.stanza.clone(), FileKeyIdentity::new(file_key)?))
    };
    answers.into_iter().map(one).collect()
}
