//! [`KeyManagement`] by KMIP: the backup side's questions put to a real server.

use kms_protocol::enums::{HashingAlgorithm, State};
use kms_protocol::{Secret, Version};

use super::kms::{
    CertificateInUse, Finding, IssuedKey, KeyAlgorithm, KeyManagement, KeyRequest, KmsError, KmsErrorKind,
    KnownKey, Scheme, Share, WrappedKey, Wrapping,
};
use super::records::ServerEntry;
use crate::blocking::Client;
use crate::{Agreement, Error, KeySpec, KeyTravel, rotation};

/// A KMIP server as the backup side's KMS.
#[derive(Debug)]
pub struct Kmip {
    client: Client,
}

impl Kmip {
    /// Prepares to talk to `server`; no connection is made yet.
    ///
    /// # Errors
    /// When its certificates cannot be read or used.
    pub fn new(server: &ServerEntry) -> Result<Self, KmsError> {
        Ok(Self::over(Client::new(client(server)?)?))
    }

    /// The KMS of a client that is there already.
    #[must_use]
    pub const fn over(client: Client) -> Self {
        Self { client }
    }
}

/// A client of `server`; no connection is made yet.
///
/// # Errors
/// When its certificates cannot be read or used.
pub fn client(server: &ServerEntry) -> Result<crate::Client, Error> {
    let travel = if server.keys_may_travel { KeyTravel::WhereNeeded } else { KeyTravel::Never };
    server.profile().builder().key_travel(travel).build()
}

impl KeyManagement for Kmip {
    fn check(&self) -> Result<(), KmsError> {
        let request = kms_protocol::operation::DiscoverVersionsRequest::default();
        self.client.discover_versions(&request)?;
        Ok(())
    }

    fn request_key(&self, request: &KeyRequest) -> Result<IssuedKey, KmsError> {
        let spec = spec(request.algorithm);
        if request.retry
            && let Some(found) = self.client.find_key(&request.name, spec)?
        {
            return Ok(issued(found));
        }
        Ok(issued(self.client.request_key(&request.name, spec)?))
    }

    fn rotations(&self, known: &[KnownKey]) -> Result<Vec<Finding>, KmsError> {
        let known: Vec<rotation::KnownKey> = known
            .iter()
            .map(|key| rotation::KnownKey {
                public_id: key.public_id.clone(),
                private_id: key.private_id.clone(),
                name: key.name.clone(),
                spec: spec(key.algorithm),
            })
            .collect();
        self.client.rotation_info(&known)?.into_iter().map(finding).collect()
    }

    fn unwrap_keys(&self, wrapped: &[WrappedKey]) -> Vec<Result<Secret, KmsError>> {
        let (mut encrypted, mut agreed) = (Vec::new(), Vec::new());
        for key in wrapped {
            match asked(key) {
                Asked::Decryption(request) => encrypted.push(request),
                Asked::Agreement(request) => agreed.push(request),
            }
        }
        let mut decrypted = self.client.decrypt_all(&encrypted).into_iter();
        let mut shared = self.client.agree_all(&agreed).into_iter();
        let unwrap_one = |key: &WrappedKey| {
            let unanswered = || Err(Error::protocol("it answered nothing"));
            match &key.wrapping {
                Wrapping::OaepSha256 | Wrapping::OaepSha1 => decrypted.next().unwrap_or_else(unanswered),
                Wrapping::P256(share) => {
                    let shared = shared.next().unwrap_or_else(unanswered)?;
                    let opened = share.open(&shared, &key.ciphertext);
                    opened.ok_or_else(|| Error::Decryption { id: key.private_id.clone() })
                }
            }
        };
        wrapped.iter().map(unwrap_one).map(|result| result.map_err(KmsError::from)).collect()
    }

    fn request_signing_key(&self, name: &str) -> Result<IssuedKey, KmsError> {
        Ok(issued(self.client.request_signing_key(name)?))
    }

    fn sign(&self, private_id: &str, data: &[u8]) -> Result<Vec<u8>, KmsError> {
        Ok(self.client.sign_with(private_id, data)?)
    }

    fn verify(&self, public_id: &str, data: &[u8], signature: &[u8]) -> Result<bool, KmsError> {
        Ok(self.client.verify_with(public_id, data, signature)?)
    }

    fn certificates(&self) -> Vec<CertificateInUse> {
        // One that cannot be read has failed the connection before.
        let certificates = self.client.certificates().unwrap_or_default();
        let in_use = |certificate: crate::Certificate| {
            let owner = match certificate.owner {
                crate::Owner::Client => format!("this client ({})", certificate.subject),
                crate::Owner::Server(address) => format!("the server at {address} ({})", certificate.subject),
            };
            CertificateInUse { owner, not_after: certificate.not_after.0 }
        };
        certificates.into_iter().map(in_use).collect()
    }
}

/// What the KMS is asked to unwrap a key.
enum Asked {
    Decryption(crate::WrappedKey),
    Agreement(Agreement),
}

fn asked(key: &WrappedKey) -> Asked {
    let decryption = |hash| {
        Asked::Decryption(crate::WrappedKey {
            private_id: key.private_id.clone(),
            ciphertext: key.ciphertext.clone(),
            hash,
            mask_hash: hash,
        })
    };
    match &key.wrapping {
        Wrapping::OaepSha256 => decryption(HashingAlgorithm::Sha256),
        Wrapping::OaepSha1 => decryption(HashingAlgorithm::Sha1),
        Wrapping::P256(Share { public, .. }) => {
            Asked::Agreement(Agreement { private_id: key.private_id.clone(), peer: public.clone() })
        }
    }
}

/// The client's word for a kind of pair.
#[must_use]
pub fn spec(algorithm: KeyAlgorithm) -> KeySpec {
    match algorithm {
        KeyAlgorithm::Rsa2048 => KeySpec::Rsa2048,
        KeyAlgorithm::Rsa3072 => KeySpec::Rsa3072,
        KeyAlgorithm::Rsa4096 => KeySpec::Rsa4096,
        KeyAlgorithm::P256 => KeySpec::P256,
    }
}

fn issued(key: crate::IssuedKey) -> IssuedKey {
    // Before 1.4 the mask's hash cannot be stated and is SHA-1, so the hash has to be SHA-1 too.
    let scheme = match key.bits {
        256 => Scheme::P256,
        _ if key.version >= Version::V1_4 => Scheme::OaepSha256,
        _ => Scheme::OaepSha1,
    };
    IssuedKey {
        private_id: key.private_id,
        public_id: key.public_id,
        public_key_spki: key.public_key_spki,
        scheme,
    }
}

fn finding(found: rotation::Finding) -> Result<Finding, KmsError> {
    Ok(match found {
        rotation::Finding::Unchanged => Finding::Unchanged,
        rotation::Finding::Rotated { generations, newest } => {
            Finding::Rotated { generations, newest: issued(newest) }
        }
        rotation::Finding::Moved { newest } => Finding::Rotated { generations: 1, newest: issued(newest) },
        rotation::Finding::RetiredWithoutSuccessor { state } => Finding::RetiredWithoutSuccessor { state },
        rotation::Finding::Gone => Finding::Gone,
        rotation::Finding::PendingActivation { known, .. } => while_usable(known, Finding::PendingActivation),
        rotation::Finding::Ambiguous { candidates, known } => {
            while_usable(known, Finding::Ambiguous { candidates })
        }
        rotation::Finding::Unusable { id, known, .. } => {
            while_usable(known, Finding::Ambiguous { candidates: vec![id] })
        }
        rotation::Finding::Failed { error } => return Err(error.into()),
    })
}

/// A finding that lets the job go on with its key, which that key's own state may forbid.
fn while_usable(known: Option<State>, finding: Finding) -> Finding {
    match known {
        Some(State::Active) => finding,
        Some(state) => Finding::RetiredWithoutSuccessor { state },
        None => Finding::Gone,
    }
}

impl From<Error> for KmsError {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Resolve { .. }
            | Error::Connect { .. }
            | Error::Tls { .. }
            | Error::TimedOut { .. }
            | Error::Lost { .. } => KmsErrorKind::Unreachable,
            Error::NoSuchKey(_) => KmsErrorKind::NoSuchKey,
            Error::WrongState(_) => KmsErrorKind::WrongState,
            Error::Refused(_) => KmsErrorKind::Refused,
            Error::NoCommonVersion { .. } => KmsErrorKind::Unsupported,
            Error::Decryption { .. } => KmsErrorKind::DecryptionFailed,
            _ => KmsErrorKind::Failed,
        };
        Self { what: error.to_string(), hint: error.hint(), retryable: error.is_retryable(), kind }
    }
}

#[cfg(test)]
mod tests {
    use kms_protocol::enums::State;

    use super::finding;
    use crate::backup::Finding;
    use crate::{Unusable, rotation};

    #[test]
    fn a_job_goes_on_with_its_key_only_while_the_key_is_active() {
        let cases = |known| {
            [
                rotation::Finding::PendingActivation { public_id: "b".into(), known },
                rotation::Finding::Ambiguous { candidates: vec!["b".into(), "c".into()], known },
                rotation::Finding::Unusable { id: "b".into(), why: Unusable::Weaker, known },
            ]
            .map(|found| finding(found).expect("a finding"))
        };
        assert_eq!(
            cases(Some(State::Active)),
            [
                Finding::PendingActivation,
                Finding::Ambiguous { candidates: vec!["b".into(), "c".into()] },
                Finding::Ambiguous { candidates: vec!["b".into()] },
            ]
        );
        let retired = Finding::RetiredWithoutSuccessor { state: State::Deactivated };
        assert!(cases(Some(State::Deactivated)).iter().all(|found| *found == retired));
        assert!(cases(None).iter().all(|found| *found == Finding::Gone));
    }
}
