//! What the key work must do, shown through its public interface.

mod agreement;
mod cache;
mod ciphers;
mod container;
mod format;
mod oaep;
mod openssl;
mod pairs;
mod pool;
mod seal;
mod split;
mod vectors;
mod workers;
mod wycheproof;

use std::sync::OnceLock;

use super::{KeyPair, KeySpec, PrivateKey, PublicKey, generate};

/// One RSA-2048 pair for all tests that need no pair of their own.
fn rsa_2048() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| generate(KeySpec::Rsa2048).unwrap())
}

fn parsed(pair: &KeyPair) -> (PrivateKey, PublicKey) {
    (PrivateKey::from_pkcs8(&pair.private).unwrap(), PublicKey::from_spki(&pair.public).unwrap())
}
