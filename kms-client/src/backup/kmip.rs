//! [`KeyManagement`] by KMIP: the backup side's questions put to a real server.

use kms_protocol::enums::{HashingAlgorithm, State};
use kms_protocol::{Secret, Version};

use super::kms::{
    CertificateInUse, Finding, IssuedKey, KeyAlgorithm, KeyManagement, KeyRequest, KmsError, KmsErrorKind,
    KnownKey, OaepHash, WrappedKey,
};
use super::records::ServerEntry;
use crate::blocking::Client;
use crate::{Error, KeySpec, KeyTravel, rotation};

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
        Ok(Self { client: Client::new(client(server)?)? })
    }
}

/// A client of `server`; no connection is made yet.
///
/// # Errors
/// When its certificates cannot be read or used.
pub fn client(server: &ServerEntry) -> Result<crate::Client, Error> {
    let travel = if server.keys_may_travel { KeyTravel::WhereNeeded } else { KeyTravel::Never };
    crate::Client::builder(server.address.as_str())
        .ca_file(&server.ca)
        .identity_files(&server.certificate, &server.key)
        .key_travel(travel)
        .build()
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
        let wrapped: Vec<crate::WrappedKey> = wrapped
            .iter()
            .map(|key| {
                let hash = match key.oaep {
                    OaepHash::Sha256 => HashingAlgorithm::Sha256,
                    OaepHash::Sha1 => HashingAlgorithm::Sha1,
                };
                crate::WrappedKey {
                    private_id: key.private_id.clone(),
                    ciphertext: key.ciphertext.clone(),
                    hash,
                    mask_hash: hash,
                }
            })
            .collect();
        self.client.decrypt_all(&wrapped).into_iter().map(|result| result.map_err(KmsError::from)).collect()
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

/// The client's word for a kind of pair.
#[must_use]
pub fn spec(algorithm: KeyAlgorithm) -> KeySpec {
    match algorithm {
        KeyAlgorithm::Rsa2048 => KeySpec::Rsa2048,
        KeyAlgorithm::Rsa3072 => KeySpec::Rsa3072,
        KeyAlgorithm::Rsa4096 => KeySpec::Rsa4096,
    }
}

fn issued(key: crate::IssuedKey) -> IssuedKey {
    // Before 1.4 the mask's hash cannot be stated and is SHA-1, so the hash has to be SHA-1 too.
    let oaep = if key.version >= Version::V1_4 { OaepHash::Sha256 } else { OaepHash::Sha1 };
    IssuedKey {
        private_id: key.private_id,
        public_id: key.public_id,
        public_key_spki: key.public_key_spki,
        oaep,
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
