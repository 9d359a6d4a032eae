//! Signed metadata: a key that never leaves the KMS says which files a chain consists of.
//!
//! Whoever can write into a repository can encrypt for the job's public key, and so replace a chain by one of their own. Where
//! a job signs, they cannot: the metadata, with what opens each file in it, is signed by ECDSA on P-256 (Sign at the KMS),
//! and is what restores and imports go by. What is signed is [`CONTEXT`] and the SHA-256 of the metadata, in hexadecimal.

use std::path::Path;

use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::envelope::KeyReference;
use super::kms::{Finding, KeyAlgorithm, KeyManagement, KnownKey};
use super::records::{Job, ServerEntry, SigningKey};
use super::state::State;
use super::unlock::{Unlocker, find_server};
use super::{BackupError, limits};

/// What stands before the digest, so that the signature is good for nothing else.
const CONTEXT: &str = "kms-client chain metadata\n";

/// What to make of signatures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Signatures {
    /// A signature that is there has to be valid.
    #[default]
    WherePresent,
    /// There has to be a valid one.
    Required,
    /// They are not looked at: their KMS is gone.
    Ignored,
}

/// A signature of a chain's metadata.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// The KMS server's name where it was signed.
    pub server: String,
    /// Its address there.
    pub address: String,
    /// Unique Identifier of the public key that verifies it.
    pub public_id: String,
    /// The signature, as KMIP has it: the DER of r and s.
    #[serde(with = "hex::serde")]
    pub value: Vec<u8>,
}

/// Signs for a job.
pub struct Signer<'a> {
    kms: &'a dyn KeyManagement,
    server: ServerEntry,
    key: SigningKey,
}

impl<'a> Signer<'a> {
    /// A signer with the newest generation of a job's key: the KMS may have rotated it, and an old one signs no more. None
    /// where the job does not sign.
    ///
    /// # Errors
    /// When the KMS does not answer, or the key is out of use and nothing has replaced it.
    pub fn current(
        state: &State,
        job: &str,
        kms: &'a dyn KeyManagement,
        now: DateTime,
    ) -> Result<Option<Self>, BackupError> {
        let database = state.database()?;
        let job = database.job(job)?;
        let Some(mut key) = job.signing.clone() else { return Ok(None) };
        let server = database.server(&key.server)?;
        drop(database);
        let known = KnownKey {
            public_id: key.public_id.clone(),
            private_id: key.private_id.clone(),
            name: key.name.clone(),
            algorithm: KeyAlgorithm::P256,
        };
        let findings = kms.rotations(&[known]).map_err(BackupError::kms_failed(&server.name))?;
        match findings.into_iter().next() {
            Some(Finding::Unchanged | Finding::PendingActivation) => {}
            Some(Finding::Rotated { newest, .. }) => {
                key.private_id = newest.private_id;
                key.public_id = newest.public_id;
                key.since = now.0;
                let changed = Job { signing: Some(key.clone()), ..job.clone() };
                state.database()?.put_job(Some(&job), &changed, None)?;
            }
            other => {
                let what = format!("the key {} that signs is out of use: {other:?}", key.private_id);
                return Err(BackupError::UnusableKey { server: server.name, what });
            }
        }
        Ok(Some(Self { kms, server, key }))
    }

    /// Signs metadata.
    ///
    /// # Errors
    /// When the KMS does not.
    pub fn sign(&self, body: &[u8]) -> Result<Signature, BackupError> {
        let signed = self.kms.sign(&self.key.private_id, &message(body));
        Ok(Signature {
            server: self.server.name.clone(),
            address: self.server.address.clone(),
            public_id: self.key.public_id.clone(),
            value: signed.map_err(BackupError::kms_failed(&self.server.name))?,
        })
    }
}

/// Has a job's KMS make a pair that signs, and notes it.
///
/// # Errors
/// `Exists` when the job has one; when the KMS makes none.
pub fn begin(
    state: &State,
    job: &str,
    server: &str,
    kms: &dyn KeyManagement,
    now: DateTime,
) -> Result<Job, BackupError> {
    let database = state.database()?;
    let before = database.job(job)?;
    if before.signing.is_some() {
        return Err(BackupError::Exists { what: "key that signs for the job", name: job.to_owned() });
    }
    let name = format!("backup/{}/{job}/signing/{}", database.installation(), now.0);
    drop(database);
    let issued = kms.request_signing_key(&name).map_err(BackupError::kms_failed(server))?;
    let key = SigningKey {
        server: server.to_owned(),
        name,
        private_id: issued.private_id,
        public_id: issued.public_id,
        since: now.0,
    };
    let after = Job { signing: Some(key), ..before.clone() };
    state.database()?.put_job(Some(&before), &after, None)?;
    Ok(after)
}

/// Checks the signature of the metadata in the file at `path`; whether it has one that was looked at.
///
/// # Errors
/// `Damaged` where it is not valid, or missing and required; `UnknownServer` where its KMS is not known here.
pub fn check(
    path: &Path,
    body: &[u8],
    signature: Option<&Signature>,
    unlocker: &Unlocker<'_>,
) -> Result<bool, BackupError> {
    let damaged = |what: &str| BackupError::Damaged { file: path.to_owned(), what: what.to_owned() };
    let signature = match (unlocker.signatures, signature) {
        (Signatures::Ignored, _) | (Signatures::WherePresent, None) => return Ok(false),
        (Signatures::Required, None) => return Err(damaged("it is not signed")),
        (_, Some(signature)) => signature,
    };
    if signature.value.len() > limits::MAX_SIGNATURE {
        return Err(damaged("its signature is longer than any"));
    }
    let key = KeyReference {
        server: signature.server.clone(),
        address: signature.address.clone(),
        private_id: signature.public_id.clone(),
        generation: 0,
    };
    let server = match unlocker.whatever_named {
        true => unlocker.servers.first(),
        false => find_server(&unlocker.servers, &key),
    };
    let unknown = || BackupError::UnknownServer {
        file: path.to_owned(),
        server: key.server.clone(),
        address: key.address.clone(),
        private_id: key.private_id.clone(),
    };
    let server = server.ok_or_else(unknown)?;
    let valid = (unlocker.connect)(server)
        .and_then(|kms| kms.verify(&signature.public_id, &message(body), &signature.value));
    match valid {
        Ok(true) => Ok(true),
        Ok(false) => Err(damaged("its signature is not valid: it was altered, or somebody else made it")),
        Err(source) => Err(BackupError::KeyUnavailable {
            file: path.to_owned(),
            server: server.name.clone(),
            private_id: key.private_id,
            source: Box::new(source),
        }),
    }
}

fn message(body: &[u8]) -> Vec<u8> {
    format!("{CONTEXT}{}", hex::encode(Sha256::digest(body))).into_bytes()
}
