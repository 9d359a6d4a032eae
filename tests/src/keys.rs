//! What a tester does with keys: encrypts and decrypts through a server, encrypts beside it, replaces a pair by hand.

use kms_client::blocking::Client;
use kms_client::{Error, IssuedKey, WrappedKey};
use kms_protocol::Secret;
use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask, Name};
use kms_protocol::enums::{CryptographicAlgorithm, HashingAlgorithm};
use kms_protocol::operation::{ActivateRequest, CreateKeyPairRequest, DecryptRequest, EncryptRequest};
use kms_protocol::ttlv::Bytes;
use rsa::pkcs8::DecodePublicKey as _;
use sha1::Sha1;
use sha2::Sha256;

/// OAEP with SHA-256 for both its hash and its mask's.
#[must_use]
pub fn oaep() -> CryptographicParameters {
    CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256)
}

/// Has the server encrypt.
///
/// # Errors
/// As [`Client::encrypt`]'s.
pub fn encrypt(client: &Client, public_id: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let answer = client.encrypt(&EncryptRequest {
        unique_identifier: Some(public_id.into()),
        cryptographic_parameters: Some(oaep()),
        data: Some(Secret::from(text)),
        ..EncryptRequest::default()
    })?;
    Ok(answer.data.expect("a ciphertext").0)
}

/// Has the server decrypt.
///
/// # Errors
/// As [`Client::decrypt`]'s.
pub fn decrypt(client: &Client, private_id: &str, ciphertext: &[u8]) -> Result<Secret, Error> {
    let answer = client.decrypt(&DecryptRequest {
        unique_identifier: Some(private_id.into()),
        cryptographic_parameters: Some(oaep()),
        data: Some(Bytes(ciphertext.to_vec())),
        ..DecryptRequest::default()
    })?;
    Ok(answer.data.expect("a plaintext"))
}

/// A key of a backup's, encrypted for a pair as the backup side does it, without the server. `hash` is SHA-1 or SHA-256, and
/// the mask's too.
#[must_use]
pub fn wrap(key: &IssuedKey, hash: HashingAlgorithm, text: &[u8]) -> WrappedKey {
    let public = rsa::PublicKey::from_public_key_der(&key.public_key_spki).expect("a public key");
    let ciphertext = match hash {
        HashingAlgorithm::Sha1 => public.oaep_encrypt::<Sha1>(text),
        HashingAlgorithm::Sha256 => public.oaep_encrypt::<Sha256>(text),
        other => panic!("nothing here encrypts with {other}"),
    };
    let ciphertext = ciphertext.expect("encrypted");
    WrappedKey { private_id: key.private_id.clone(), ciphertext, hash, mask_hash: hash }
}

/// Makes a second pair, active and in the Object Group of the first: how keys rotate where there is no Re-key Key Pair. Both
/// its identifiers, the private key's first.
#[must_use]
pub fn successor(client: &Client, group: &str) -> (String, String) {
    let half = |suffix: &str, usage| {
        let name = Attribute::Name(Name::text(format!("{group}-2{suffix}")));
        vec![name, Attribute::CryptographicUsageMask(usage)].into()
    };
    let request = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(2048),
            Attribute::ObjectGroup(group.to_owned()),
        ]
        .into(),
        private_key: half("-private", CryptographicUsageMask::DECRYPT),
        public_key: half("-public", CryptographicUsageMask::ENCRYPT),
        ..CreateKeyPairRequest::default()
    };
    let made = client.create_key_pair(&request).expect("a pair");
    let ids = (made.private_key_unique_identifier, made.public_key_unique_identifier);
    for id in [&ids.0, &ids.1] {
        client.activate(&ActivateRequest { unique_identifier: Some(id.as_str().into()) }).expect("active");
    }
    ids
}
