//! Many key agreements at once (ECDH on P-256), at the KMS wherever it can: Derive Key by the method Asymmetric Key.
//!
//! What the KMS derives is an object of its own. It is fetched and destroyed at once: three messages for as many agreements as
//! fit into one. Where the server has no Derive Key, and the policy allows it, the private key is fetched and used here.

use std::collections::BTreeMap;

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use kms_protocol::Secret;
use kms_protocol::attribute::Attribute;
use kms_protocol::enums::{DerivationMethod, KeyFormatType, ObjectType};
use kms_protocol::operation::{
    DerivationParameters, DeriveKeyRequest, DeriveKeyResponse, DestroyRequest, GetRequest,
};

use crate::client::Client;
use crate::decrypt::{KeyTravel, is_inability};
use crate::error::Error;

/// Bits of what two keys on P-256 share.
const SHARED_BITS: i32 = 256;

/// An agreement between a private key at the KMS and a peer's public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// Unique Identifier of the private key.
    pub private_id: String,
    /// The peer's public key on P-256, as a DER SubjectPublicKeyInfo.
    pub peer: Vec<u8>,
}

impl Agreement {
    fn request(&self) -> DeriveKeyRequest {
        DeriveKeyRequest {
            object_type: ObjectType::SecretData,
            unique_identifiers: vec![self.private_id.as_str().into()],
            derivation_method: DerivationMethod::AsymmetricKey,
            derivation_parameters: DerivationParameters {
                derivation_data: vec![Secret::from(self.peer.as_slice())],
                ..DerivationParameters::default()
            },
            attributes: vec![Attribute::CryptographicLength(SHARED_BITS)].into(),
        }
    }
}

impl Client {
    /// The secrets that these pairs of keys share, 32 bytes each; answers each, in their order. Each succeeds or fails for
    /// itself.
    pub async fn agree_all(&self, agreements: &[Agreement]) -> Vec<Result<Secret, Error>> {
        let mut results = self.agree_there(agreements).await;
        if self.inner.options.key_travel == KeyTravel::WhereNeeded {
            self.agree_here(agreements, &mut results).await;
        }
        results
    }

    /// Has the server derive, and nobody else.
    pub(crate) async fn agree_there(&self, agreements: &[Agreement]) -> Vec<Result<Secret, Error>> {
        let derived = self.derive_all(agreements).await;
        let ids: Vec<&str> = derived.iter().flatten().map(|made| made.unique_identifier.as_str()).collect();
        let gets: Vec<GetRequest> = ids
            .iter()
            .map(|id| GetRequest {
                unique_identifier: Some((*id).into()),
                key_format_type: Some(KeyFormatType::Raw),
                ..GetRequest::default()
            })
            .collect();
        let mut fetched = self.batch(&gets).await.into_iter();
        let destroys: Vec<DestroyRequest> =
            ids.iter().map(|id| DestroyRequest { unique_identifier: Some((*id).into()) }).collect();
        for (id, destroyed) in ids.iter().zip(self.batch(&destroys).await) {
            if let Err(error) = destroyed {
                tracing::warn!(id, %error, "what was derived for one agreement is left at the KMS");
            }
        }
        let mut results = Vec::with_capacity(agreements.len());
        for made in derived {
            results.push(made.and_then(|made| {
                let answer = fetched.next().unwrap_or_else(|| Err(Error::protocol("it answered nothing")))?;
                if answer.unique_identifier != made.unique_identifier {
                    return Err(Error::protocol("asked for what it derived, it returned another object"));
                }
                let secret = answer.object.key_bytes().map(|bytes| Secret::from(bytes.expose()));
                let whole = secret.filter(|secret| secret.len() * 8 == SHARED_BITS as usize);
                whole.ok_or_else(|| Error::protocol("what it derived is not 256 bits in the clear"))
            }));
        }
        results
    }

    /// Derive Key for each. Where an answer is lost it is asked for once more: nobody misses what the first one made.
    async fn derive_all(&self, agreements: &[Agreement]) -> Vec<Result<DeriveKeyResponse, Error>> {
        let requests: Vec<_> = agreements.iter().map(Agreement::request).collect();
        let mut derived = self.batch(&requests).await;
        let lost = |made: &Result<_, Error>| matches!(made, Err(Error::OutcomeUnknown { .. }));
        let again: Vec<DeriveKeyRequest> = derived
            .iter()
            .zip(agreements)
            .filter(|(made, _)| lost(made))
            .map(|(_, agreement)| agreement.request())
            .collect();
        let mut answers = self.batch(&again).await.into_iter();
        for made in derived.iter_mut().filter(|made| lost(made)) {
            if let Some(answer) = answers.next() {
                *made = answer;
            }
        }
        derived
    }

    /// Agrees here where the server is unable to.
    async fn agree_here(&self, agreements: &[Agreement], results: &mut [Result<Secret, Error>]) {
        let mut keys: BTreeMap<&str, Result<Secret, Error>> = BTreeMap::new();
        for (agreement, result) in agreements.iter().zip(results) {
            if !result.as_ref().is_err_and(is_inability) {
                continue;
            }
            let id = agreement.private_id.as_str();
            if !keys.contains_key(id) {
                let key = self.fetch_private_key(id).await;
                keys.insert(id, key);
            }
            *result = match keys.get(id) {
                Some(Ok(key)) => agree_with(key, agreement),
                Some(Err(error)) => Err(error.clone()),
                None => continue,
            };
        }
    }
}

/// What a private key (PKCS#8) shares with the peer.
fn agree_with(pkcs8: &Secret, agreement: &Agreement) -> Result<Secret, Error> {
    let unusable = |why: &str| Error::Key { id: agreement.private_id.clone(), why: why.to_owned() };
    let key = PrivateKey::from_private_key_der(&ECDH_P256, pkcs8.expose())
        .map_err(|_| unusable("it is no private key on P-256"))?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, agreement.peer.as_slice());
    agree(&key, peer, unusable("the peer's key is no point on P-256"), |shared| Ok(Secret::from(shared)))
}

/// Whether a DER SubjectPublicKeyInfo is a point on P-256.
pub(crate) fn is_p256(spki: &[u8]) -> bool {
    ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, spki))
        .is_ok_and(|key| key.alg() == &ECDH_P256)
}
