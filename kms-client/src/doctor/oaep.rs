//! OAEP with every pair of hashes that backup products were seen to use, encrypted here.

use kms_protocol::Secret;
use kms_protocol::enums::HashingAlgorithm;
use rsa::oaep::EncryptingKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::RandomizedEncryptor as _;
use sha1::Sha1;
use sha2::digest::{Digest, FixedOutputReset};
use sha2::{Sha256, Sha384, Sha512};

use crate::decrypt::WrappedKey;
use crate::error::Error;
use crate::keys::IssuedKey;

/// The hash and the mask's hash. The first two are what products use; the third is what SHA-256 means to a server that
/// is told no mask hash.
pub(super) const COMBINATIONS: [(HashingAlgorithm, HashingAlgorithm); 5] = [
    (HashingAlgorithm::Sha1, HashingAlgorithm::Sha1),
    (HashingAlgorithm::Sha256, HashingAlgorithm::Sha256),
    (HashingAlgorithm::Sha256, HashingAlgorithm::Sha1),
    (HashingAlgorithm::Sha384, HashingAlgorithm::Sha384),
    (HashingAlgorithm::Sha512, HashingAlgorithm::Sha512),
];

/// What is encrypted: as long as a data key.
const PLAINTEXT: [u8; 32] = *b"a key of 32 bytes that is public";

/// Whether it is what was encrypted.
pub(super) fn is_plaintext(opened: &Secret) -> bool {
    opened.expose() == PLAINTEXT
}

/// The plaintext under each combination.
pub(super) fn encrypt_all(key: &IssuedKey) -> Result<Vec<WrappedKey>, Error> {
    let unusable =
        || Error::Key { id: key.public_id.clone(), why: "it does not encrypt with OAEP".to_owned() };
    let public = rsa::PublicKey::from_public_key_der(&key.public_key_spki).map_err(|_| unusable())?;
    let one = |(hash, mask_hash)| {
        let ciphertext = match (hash, mask_hash) {
            (HashingAlgorithm::Sha1, _) => encrypt::<Sha1, Sha1>(&public),
            (HashingAlgorithm::Sha256, HashingAlgorithm::Sha1) => encrypt::<Sha256, Sha1>(&public),
            (HashingAlgorithm::Sha384, _) => encrypt::<Sha384, Sha384>(&public),
            (HashingAlgorithm::Sha512, _) => encrypt::<Sha512, Sha512>(&public),
            _ => encrypt::<Sha256, Sha256>(&public),
        };
        let ciphertext = ciphertext.ok_or_else(unusable)?;
        Ok(WrappedKey { private_id: key.private_id.clone(), ciphertext, hash, mask_hash })
    };
    COMBINATIONS.into_iter().map(one).collect()
}

fn encrypt<H: Digest + FixedOutputReset, M: Digest + FixedOutputReset>(
    key: &rsa::PublicKey,
) -> Option<Vec<u8>> {
    EncryptingKey::<H, M>::new(key.clone()).encrypt_with_rng(&mut getrandom::SysRng, &PLAINTEXT).ok()
}
