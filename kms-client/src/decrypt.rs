//! Decrypting many wrapped keys at once, at the KMS wherever it can.
//!
//! Where the server has no Decrypt, or not with these parameters, and the policy allows it, the private key is fetched,
//! used here and wiped. A server that says anything else (no such key, wrong state, not allowed, does not decrypt) is
//! never answered by fetching the key. Neither path alone works on every server.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{HashingAlgorithm, KeyFormatType, ResultReason};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{DecryptRequest, GetRequest};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{Secret, Version};
use rsa::oaep::DecryptingKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rsa::traits::Decryptor as _;
use sha1::Sha1;
use sha2::digest::{Digest, FixedOutputReset};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::error::{Error, Refusal};

/// Whether private keys may leave the KMS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyTravel {
    /// Never: what the KMS cannot decrypt stays encrypted.
    #[default]
    Never,
    /// Where the KMS cannot decrypt with these parameters: fetched for one call, used, wiped, and counted.
    WhereNeeded,
}

/// A key encrypted by RSA-OAEP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// Unique Identifier of the private key that opens it: the one recorded when it was made, never looked up by name.
    pub private_id: String,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// OAEP's hash.
    pub hash: HashingAlgorithm,
    /// The hash of OAEP's mask generation function MGF1.
    pub mask_hash: HashingAlgorithm,
}

impl WrappedKey {
    /// Both hashes are stated, since a server that is told nothing takes SHA-1 for the mask whatever the other is
    /// (KMIP 1.4 section 3.6). Before 1.4 the mask's cannot be stated.
    fn request(&self) -> DecryptRequest {
        DecryptRequest {
            unique_identifier: Some(self.private_id.as_str().into()),
            cryptographic_parameters: Some(CryptographicParameters::rsa_oaep(self.hash, self.mask_hash)),
            data: Some(Bytes(self.ciphertext.clone())),
            ..DecryptRequest::default()
        }
    }

    /// Whether `version` has a way to ask for this.
    fn can_be_asked_in(&self, version: Version) -> bool {
        version >= Version::V1_4 || self.mask_hash == HashingAlgorithm::Sha1
    }
}

impl Client {
    /// Decrypts many wrapped keys; answers each, in their order. Each succeeds or fails for itself.
    pub async fn decrypt_all(&self, wrapped: &[WrappedKey]) -> Vec<Result<Secret, Error>> {
        let mut results = self.decrypt_there(wrapped).await;
        if self.inner.options.key_travel == KeyTravel::WhereNeeded {
            self.decrypt_here(wrapped, &mut results).await;
        }
        results
    }

    /// Has the server decrypt, and nobody else.
    pub(crate) async fn decrypt_there(&self, wrapped: &[WrappedKey]) -> Vec<Result<Secret, Error>> {
        let version = match self.version().await {
            Ok(version) => version,
            Err(error) => return wrapped.iter().map(|_| Err(error.clone())).collect(),
        };
        let asked: Vec<_> = wrapped.iter().filter(|key| key.can_be_asked_in(version)).collect();
        let requests: Vec<_> = asked.iter().map(|key| key.request()).collect();
        let mut answers = self.batch(&requests).await.into_iter().zip(asked);
        let mut results: Vec<Result<Secret, Error>> = Vec::with_capacity(wrapped.len());
        for key in wrapped {
            results.push(match key.can_be_asked_in(version).then(|| answers.next()).flatten() {
                Some((Ok(answer), _)) if answer.unique_identifier != key.private_id => {
                    let other = answer.unique_identifier;
                    Err(Error::protocol(format!(
                        "asked to decrypt with {}, it answered for {other}",
                        key.private_id
                    )))
                }
                Some((Ok(answer), _)) => {
                    answer.data.ok_or_else(|| Error::protocol("it answered Decrypt without Data"))
                }
                Some((Err(error), _)) => Err(error),
                None => Err(cannot_be_asked(key, version)),
            });
        }
        results
    }

    /// Decrypts here what the server is unable to.
    async fn decrypt_here(&self, wrapped: &[WrappedKey], results: &mut [Result<Secret, Error>]) {
        let mut by_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, (key, result)) in wrapped.iter().zip(results.iter()).enumerate() {
            if result.as_ref().is_err_and(is_inability) {
                by_key.entry(&key.private_id).or_default().push(at);
            }
        }
        for (id, places) in by_key {
            let key = match self.fetch_private_key(id).await {
                Ok(key) => key,
                Err(error) => {
                    for at in places {
                        put(results, at, Err(error.clone()));
                    }
                    continue;
                }
            };
            let todo: Vec<_> =
                places.iter().filter_map(|at| Some((*at, wrapped.get(*at)?.clone()))).collect();
            let work = move || -> Vec<_> {
                todo.iter().map(|(at, wrapped)| (*at, decrypt_with(&key, wrapped))).collect()
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(done) => done.into_iter().for_each(|(at, result)| put(results, at, result)),
                Err(_) => tracing::error!("decrypting here was interrupted"),
            }
        }
    }

    /// The private key as PKCS#8, in the first of the formats that the server has.
    pub(crate) async fn fetch_private_key(&self, id: &str) -> Result<Secret, Error> {
        tracing::warn!(key = id, "the KMS cannot decrypt with this key: it is fetched to decrypt here");
        let mut failure = None;
        for format in [KeyFormatType::Pkcs8, KeyFormatType::Pkcs1] {
            let request = GetRequest {
                unique_identifier: Some(id.into()),
                key_format_type: Some(format),
                ..GetRequest::default()
            };
            match self.get(&request).await {
                Ok(answer) => {
                    self.inner.keys_fetched.fetch_add(1, Ordering::Relaxed);
                    if answer.unique_identifier != id {
                        return Err(Error::protocol(format!("asked for {id}, it returned another key")));
                    }
                    return to_pkcs8(id, &answer.object);
                }
                Err(error) if error.reason() == Some(ResultReason::KeyFormatTypeNotSupported) => {
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::protocol("it returned no key")))
    }
}

/// Whether the server said that it cannot do this at all, as opposed to not for this key or not for this client.
pub(crate) fn is_inability(error: &Error) -> bool {
    matches!(error, Error::Refused(_))
        && matches!(
            error.reason(),
            Some(
                ResultReason::OperationNotSupported
                    | ResultReason::FeatureNotSupported
                    | ResultReason::InvalidField
                    | ResultReason::UnsupportedCryptographicParameters
                    | ResultReason::BadCryptographicParameters
                    // It does not know a field of the request, such as the mask's hash.
                    | ResultReason::InvalidMessage
            )
        )
}

fn cannot_be_asked(key: &WrappedKey, version: Version) -> Error {
    Error::Refused(Box::new(Refusal {
        operation: kms_protocol::enums::Operation::Decrypt,
        object: Some(key.private_id.clone()),
        status: kms_protocol::enums::ResultStatus::OperationFailed,
        reason: Some(ResultReason::UnsupportedCryptographicParameters),
        message: Some(format!("KMIP {version} cannot state a mask hash of {}", key.mask_hash)),
    }))
}

fn put(results: &mut [Result<Secret, Error>], at: usize, result: Result<Secret, Error>) {
    if let Some(slot) = results.get_mut(at) {
        *slot = result;
    }
}

fn to_pkcs8(id: &str, object: &ManagedObject) -> Result<Secret, Error> {
    let unusable = |why: &str| Error::Key { id: id.to_owned(), why: why.to_owned() };
    let ManagedObject::PrivateKey(block) = object else { return Err(unusable("it is no private key")) };
    let bytes =
        object.key_bytes().ok_or_else(|| unusable("it came wrapped or as a Transparent structure"))?;
    match block.key_format_type {
        KeyFormatType::Pkcs8 => Ok(Secret::from(bytes.expose())),
        KeyFormatType::Pkcs1 => rsa::PrivateKey::from_pkcs1_der(bytes.expose())
            .ok()
            .and_then(|key| key.to_pkcs8_der().ok())
            .map(|der| Secret::from(der.as_bytes()))
            .ok_or_else(|| unusable("it is no PKCS#1 RSA key")),
        other => Err(unusable(&format!("it came in the format {other}"))),
    }
}

/// One ciphertext with a private key (PKCS#8). Every failure of the padding is the same failure.
pub(crate) fn decrypt_with(pkcs8: &Secret, wrapped: &WrappedKey) -> Result<Secret, Error> {
    let failed = || Error::Decryption { id: wrapped.private_id.clone() };
    let Some(algorithm) = in_aws_lc(wrapped.hash, wrapped.mask_hash) else {
        return mixed(pkcs8, wrapped);
    };
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8.expose())
        .and_then(|key| Ok(OaepPrivateDecryptingKey::new(key)?))
        .map_err(|_| unusable(wrapped))?;
    let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
    let plaintext = key.decrypt(algorithm, &wrapped.ciphertext, &mut room, None).map_err(|_| failed())?;
    Ok(Secret::from(&*plaintext))
}

fn unusable(wrapped: &WrappedKey) -> Error {
    Error::Key { id: wrapped.private_id.clone(), why: "it is no RSA private key".to_owned() }
}

fn in_aws_lc(hash: HashingAlgorithm, mask_hash: HashingAlgorithm) -> Option<&'static OaepAlgorithm> {
    match (hash, mask_hash) {
        (HashingAlgorithm::Sha1, HashingAlgorithm::Sha1) => Some(&OAEP_SHA1_MGF1SHA1),
        (HashingAlgorithm::Sha256, HashingAlgorithm::Sha256) => Some(&OAEP_SHA256_MGF1SHA256),
        (HashingAlgorithm::Sha384, HashingAlgorithm::Sha384) => Some(&OAEP_SHA384_MGF1SHA384),
        (HashingAlgorithm::Sha512, HashingAlgorithm::Sha512) => Some(&OAEP_SHA512_MGF1SHA512),
        _ => None,
    }
}

/// OAEP whose mask hash differs from its hash, which aws-lc-rs lacks.
fn mixed(pkcs8: &Secret, wrapped: &WrappedKey) -> Result<Secret, Error> {
    let key = rsa::PrivateKey::from_pkcs8_der(pkcs8.expose()).map_err(|_| unusable(wrapped))?;
    match wrapped.hash {
        HashingAlgorithm::Sha1 => mixed_mask::<Sha1>(key, wrapped),
        HashingAlgorithm::Sha256 => mixed_mask::<Sha256>(key, wrapped),
        HashingAlgorithm::Sha384 => mixed_mask::<Sha384>(key, wrapped),
        HashingAlgorithm::Sha512 => mixed_mask::<Sha512>(key, wrapped),
        other => Err(no_hash(wrapped, other)),
    }
}

fn mixed_mask<H: Digest + FixedOutputReset>(
    key: rsa::PrivateKey,
    wrapped: &WrappedKey,
) -> Result<Secret, Error> {
    let ciphertext = &wrapped.ciphertext;
    let plaintext = match wrapped.mask_hash {
        HashingAlgorithm::Sha1 => DecryptingKey::<H, Sha1>::new(key).decrypt(ciphertext),
        HashingAlgorithm::Sha256 => DecryptingKey::<H, Sha256>::new(key).decrypt(ciphertext),
        HashingAlgorithm::Sha384 => DecryptingKey::<H, Sha384>::new(key).decrypt(ciphertext),
        HashingAlgorithm::Sha512 => DecryptingKey::<H, Sha512>::new(key).decrypt(ciphertext),
        other => return Err(no_hash(wrapped, other)),
    };
    plaintext.map(Secret::new).map_err(|_| Error::Decryption { id: wrapped.private_id.clone() })
}

fn no_hash(wrapped: &WrappedKey, hash: HashingAlgorithm) -> Error {
    Error::Key { id: wrapped.private_id.clone(), why: format!("OAEP with {hash} is not done here") }
}
