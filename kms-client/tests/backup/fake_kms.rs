//! A KMS in memory: RSA key pairs that can be rotated, retired and destroyed, and an off switch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use kms_client::backup::{
    CertificateInUse, Finding, IssuedKey, KeyManagement, KeyRequest, KmsError, KmsErrorKind, KnownKey,
    Scheme, WrappedKey, Wrapping,
};
use kms_protocol::Secret;
use kms_protocol::enums::State;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use sha1::Sha1;
use sha2::Sha256;

struct Pair {
    private: rsa::PrivateKey,
    name: String,
    state: State,
    replaced_by: Option<u32>,
}

#[derive(Default)]
struct Inner {
    pairs: BTreeMap<u32, Pair>,
    down: bool,
    refusing: bool,
    lose_next_answer: bool,
    pending: bool,
    unwrap_calls: usize,
    rotation_calls: usize,
    certificate_end: Option<i64>,
    signers: Vec<EcdsaKeyPair>,
}

#[derive(Clone, Default)]
pub struct FakeKms(Arc<Mutex<Inner>>);

pub fn error(kind: KmsErrorKind, what: &str) -> KmsError {
    KmsError { what: what.to_owned(), hint: Some("a hint of the KMS".to_owned()), retryable: false, kind }
}

/// Generating a key takes long in a debug build: three are made once and handed out in turn.
fn some_key(number: u32) -> rsa::PrivateKey {
    static KEYS: std::sync::OnceLock<Vec<rsa::PrivateKey>> = std::sync::OnceLock::new();
    let generate = |_| {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'static> = key.as_der().unwrap();
        rsa::PrivateKey::from_pkcs8_der(der.as_ref()).unwrap()
    };
    let keys = KEYS.get_or_init(|| (0..3).map(generate).collect());
    keys[number as usize % keys.len()].clone()
}

impl FakeKms {
    pub fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    pub fn set_refusing(&self, refusing: bool) {
        self.0.lock().unwrap().refusing = refusing;
    }

    /// The next pair is made, but the answer never arrives.
    pub fn lose_next_answer(&self) {
        self.0.lock().unwrap().lose_next_answer = true;
    }

    /// Whether newest pairs wait for their activation date.
    pub fn set_pending(&self, pending: bool) {
        self.0.lock().unwrap().pending = pending;
    }

    pub fn set_certificate_end(&self, end: i64) {
        self.0.lock().unwrap().certificate_end = Some(end);
    }

    pub fn unwrap_calls(&self) -> usize {
        self.0.lock().unwrap().unwrap_calls
    }

    pub fn rotation_calls(&self) -> usize {
        self.0.lock().unwrap().rotation_calls
    }

    pub fn pairs(&self) -> usize {
        self.0.lock().unwrap().pairs.len()
    }

    /// Replaces the newest pair of every chain.
    pub fn rotate(&self) {
        let mut inner = self.0.lock().unwrap();
        let newest: Vec<u32> =
            inner.pairs.iter().filter(|(_, pair)| pair.replaced_by.is_none()).map(|(id, _)| *id).collect();
        for old in newest {
            let name = inner.pairs[&old].name.clone();
            let id = inner.add(name);
            inner.pairs.get_mut(&old).unwrap().replaced_by = Some(id);
        }
    }

    pub fn set_state(&self, private_id: &str, state: State) {
        let mut inner = self.0.lock().unwrap();
        inner.pairs.get_mut(&number(private_id).unwrap()).unwrap().state = state;
    }

    pub fn destroy(&self, private_id: &str) {
        self.0.lock().unwrap().pairs.remove(&number(private_id).unwrap());
    }

    fn lock(&self) -> Result<std::sync::MutexGuard<'_, Inner>, KmsError> {
        let inner = self.0.lock().unwrap();
        if inner.down { Err(error(KmsErrorKind::Unreachable, "connection refused")) } else { Ok(inner) }
    }
}

impl Inner {
    fn add(&mut self, name: String) -> u32 {
        let id = self.pairs.last_key_value().map_or(1, |(id, _)| id + 1);
        self.pairs.insert(id, Pair { private: some_key(id), name, state: State::Active, replaced_by: None });
        id
    }

    fn issued(&self, id: u32) -> IssuedKey {
        let public = self.pairs[&id].private.to_public_key();
        IssuedKey {
            private_id: format!("private-{id}"),
            public_id: format!("public-{id}"),
            public_key_spki: public.to_public_key_der().unwrap().into_vec(),
            scheme: Scheme::OaepSha256,
        }
    }

    fn find(&self, known: &KnownKey) -> Finding {
        if known.private_id.starts_with("signer-") {
            return Finding::Unchanged;
        }
        let Some(first) = number(&known.private_id).filter(|id| self.pairs.contains_key(id)) else {
            return Finding::Gone;
        };
        let (mut id, mut generations) = (first, 0);
        while let Some(next) = self.pairs[&id].replaced_by {
            (id, generations) = (next, generations + 1);
        }
        match (generations, self.pairs[&id].state) {
            (0, State::Active) => Finding::Unchanged,
            (0, state) => Finding::RetiredWithoutSuccessor { state },
            _ if self.pending => Finding::PendingActivation,
            _ => Finding::Rotated { generations, newest: self.issued(id) },
        }
    }

    fn signer(&self, number: Option<&str>) -> Result<&EcdsaKeyPair, KmsError> {
        let at = number.and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
        let missing = || error(KmsErrorKind::NoSuchKey, "Item Not Found");
        at.checked_sub(1).and_then(|at| self.signers.get(at)).ok_or_else(missing)
    }

    fn unwrap_one(&self, wrapped: &WrappedKey) -> Result<Secret, KmsError> {
        let pair = number(&wrapped.private_id).and_then(|id| self.pairs.get(&id));
        let pair = pair.ok_or_else(|| error(KmsErrorKind::NoSuchKey, "Item Not Found"))?;
        let decrypted = match wrapped.wrapping {
            Wrapping::OaepSha256 => pair.private.oaep_decrypt::<Sha256>(&wrapped.ciphertext),
            Wrapping::OaepSha1 => pair.private.oaep_decrypt::<Sha1>(&wrapped.ciphertext),
            Wrapping::P256(_) => panic!("this KMS has RSA pairs alone"),
        };
        let failed = |_| error(KmsErrorKind::DecryptionFailed, "Cryptographic Failure");
        decrypted.map(Secret::new).map_err(failed)
    }
}

fn number(private_id: &str) -> Option<u32> {
    private_id.strip_prefix("private-")?.parse().ok()
}

impl KeyManagement for FakeKms {
    fn check(&self) -> Result<(), KmsError> {
        self.lock().map(|_| ())
    }

    fn request_key(&self, request: &KeyRequest) -> Result<IssuedKey, KmsError> {
        let mut inner = self.lock()?;
        if inner.refusing {
            return Err(error(KmsErrorKind::Refused, "Permission Denied"));
        }
        let existing = inner.pairs.iter().find(|(_, pair)| pair.name == request.name).map(|(id, _)| *id);
        let id = match (existing, request.retry) {
            (Some(id), true) => id,
            (Some(_), false) => return Err(error(KmsErrorKind::Refused, "the Name is taken")),
            (None, _) => inner.add(request.name.clone()),
        };
        if std::mem::take(&mut inner.lose_next_answer) {
            return Err(error(KmsErrorKind::Unreachable, "connection reset"));
        }
        Ok(inner.issued(id))
    }

    fn rotations(&self, known: &[KnownKey]) -> Result<Vec<Finding>, KmsError> {
        let mut inner = self.lock()?;
        inner.rotation_calls += 1;
        Ok(known.iter().map(|known| inner.find(known)).collect())
    }

    fn unwrap_keys(&self, wrapped: &[WrappedKey]) -> Vec<Result<Secret, KmsError>> {
        match self.lock() {
            Ok(mut inner) => {
                inner.unwrap_calls += 1;
                wrapped.iter().map(|wrapped| inner.unwrap_one(wrapped)).collect()
            }
            Err(error) => wrapped.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn request_signing_key(&self, _: &str) -> Result<IssuedKey, KmsError> {
        let mut inner = self.lock()?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let public_key_spki = public.as_ref().to_vec();
        inner.signers.push(key);
        let number = inner.signers.len();
        let (private_id, public_id) = (format!("signer-{number}"), format!("verifier-{number}"));
        Ok(IssuedKey { private_id, public_id, public_key_spki, scheme: Scheme::P256 })
    }

    fn sign(&self, private_id: &str, data: &[u8]) -> Result<Vec<u8>, KmsError> {
        let inner = self.lock()?;
        let key = inner.signer(private_id.strip_prefix("signer-"))?;
        Ok(key.sign(&SystemRandom::new(), data).unwrap().as_ref().to_vec())
    }

    fn verify(&self, public_id: &str, data: &[u8], signature: &[u8]) -> Result<bool, KmsError> {
        let inner = self.lock()?;
        let key = inner.signer(public_id.strip_prefix("verifier-"))?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
        Ok(public.verify(data, signature).is_ok())
    }

    fn certificates(&self) -> Vec<CertificateInUse> {
        let end = self.0.lock().unwrap().certificate_end;
        let certificate =
            |not_after| CertificateInUse { owner: "this client (CN=test)".to_owned(), not_after };
        end.map(certificate).into_iter().collect()
    }
}
