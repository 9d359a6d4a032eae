//! Cryptography with private keys: the only place where they exist in the clear.
//!
//! Key material enters and leaves as a [`Secret`] in PKCS#8 DER; public keys are SubjectPublicKeyInfo DER. The work
//! is done by aws-lc-rs. Crates of the RustCrypto project convert structures and do what aws-lc-rs lacks: OAEP whose mask
//! hash is not its hash, PSS with any salt, ECDSA with another hash than the curve's own, ECDH on secp256k1.
//!
//! What is zeroized: every `Secret`, every buffer of this module, and all memory that aws-lc frees (its allocator
//! cleanses on free). What is not, because the crates do not: temporary numbers inside the `rsa` crate while it parses
//! a key or decrypts with a mixed mask, the primes among them, and the shared secret inside aws-lc-rs's agreement.
//! Therefore a program that does key work sets [`ALLOCATOR`], which zeroizes on free:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: kms_server::crypto::Allocator = kms_server::crypto::ALLOCATOR;
//! # fn main() {}
//! ```

mod aead;
pub mod cache;
pub mod chain;
pub mod cipher;
pub mod container;
mod curve25519;
pub mod derive;
mod ec;
pub mod format;
pub mod generate;
pub mod hash;
pub mod issuer;
mod key;
mod keyring;
pub mod limits;
pub mod mac;
mod modes;
pub mod password;
pub mod pool;
mod rsa;
pub mod seal;
pub mod seeded;
pub mod seeds;
pub mod signature;
pub mod split;
pub mod workers;
pub mod wrap;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

pub use cache::KeyCache;
pub use cipher::{Cipher, Direction, Stream};
pub use generate::{KeyPair, KeySpec, generate};
pub use key::{PrivateKey, PublicKey};
pub use keyring::{Keyring, Sealing};
pub use kms_protocol::Secret;
pub use pool::KeyPool;
pub use rsa::{OAEP_HASHES, Oaep};
pub use seal::{KeyId, SealError, StoreKey};
pub use workers::{JobError, Pending, Workers};

/// What a program that does key work allocates by: see [`ALLOCATOR`].
pub type Allocator = ZeroAlloc<MiMalloc>;

/// Zeroizes what is freed. Below that mimalloc: the store makes and frees small pieces by the million, which the C library's
/// allocator scatters.
pub const ALLOCATOR: Allocator = ZeroAlloc(MiMalloc);

/// The kinds of asymmetric key that work here, for whoever brings another.
const SUPPORTED_KEYS: &str =
    "RSA of 2048 to 8192 bits, EC on P-256, P-384, P-521 or secp256k1, Ed25519 or X25519";

/// Why key work was not done.
///
/// No variant tells anything about a private key, and every OAEP failure is the one [`CryptoError::Decryption`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// What was asked for is not offered here.
    #[error("{what} {asked} is not supported\nhint: use {supported}")]
    Unsupported {
        /// Which parameter, in KMIP's words.
        what: &'static str,
        /// What the caller asked for.
        asked: String,
        /// What would have been accepted.
        supported: String,
    },
    /// The ciphertext does not decrypt: wrong key, wrong parameters, or not a ciphertext. It never says which,
    /// since whoever learns that can decrypt without the key.
    #[error("the ciphertext does not decrypt with this key and these parameters")]
    Decryption,
    /// The plaintext does not fit into one block of this key.
    #[error(
        "the plaintext has {length} bytes, but this key with this hash takes {limit}\nhint: encrypt a data key and let that encrypt the data"
    )]
    PlaintextTooLong {
        /// Bytes given.
        length: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// An input is longer than its limit.
    #[error(
        "{what} has {length} bytes, more than the {limit} allowed\nhint: check that it is what it should be"
    )]
    TooLong {
        /// Which input.
        what: &'static str,
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A key was given that cannot be used.
    #[error("{what} was refused: {why}\nhint: {hint}")]
    KeyRejected {
        /// What was given.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// A key of one algorithm was asked for the work of another.
    #[error("{operation} needs an {needs} key, and this is an {is} key\nhint: name a key of that algorithm")]
    WrongAlgorithm {
        /// What was asked.
        operation: &'static str,
        /// The algorithm that it takes.
        needs: &'static str,
        /// The algorithm of the key.
        is: &'static str,
    },
    /// An initialization vector or nonce has a length that its mode does not take.
    #[error(
        "the IV/Counter/Nonce has {has} bytes, and this mode takes {needs}\nhint: state one of that length, or Random IV"
    )]
    IvLength {
        /// Bytes that the mode takes.
        needs: usize,
        /// Bytes given.
        has: usize,
    },
    /// A Tag Length that the mode does not have, in bytes.
    #[error("a Tag Length of {0} bytes is none that this mode has\nhint: 12 to 16")]
    TagLength(usize),
    /// Data that does not fill whole blocks, without a padding that would.
    #[error(
        "the data does not fill whole blocks of {0} bytes\nhint: state a Padding Method, or fill the last block"
    )]
    NotWholeBlocks(usize),
    /// A password that opens nothing: another one, or no text.
    #[error(
        "the password does not open the PKCS#12 container\nhint: link the Secret Data that holds its password, as UTF-8"
    )]
    Password,
    /// The library failed where no input is to blame: no memory, no randomness.
    #[error("the cryptographic library failed: {0}")]
    Library(&'static str),
}

/// The SHA-256 of key material, as the Digest attribute wants it (KMIP 1.4 section 3.17).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Locks, also after a panic elsewhere: what these mutexes guard is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
