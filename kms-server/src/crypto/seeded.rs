//! Key pairs that follow from a number, so that a test sees the same keys each time. Whoever knows the number knows the keys:
//! for development alone, and a store that holds such keys says so.

use core::convert::Infallible;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};
use rsa::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use super::{CryptoError, KeyPair, KeyPool, KeySpec, Secret};

/// Gives the pairs of one seed: of each kind the first, the second and so on, in whatever order kinds are asked for.
struct Source {
    seed: u64,
    taken: Mutex<BTreeMap<KeySpec, u64>>,
}

/// A pool whose pairs follow from `seed`. An RSA pair takes a second or two to find.
///
/// # Errors
/// [`CryptoError::Library`] if its thread cannot be started.
pub fn pool(seed: u64) -> Result<KeyPool, CryptoError> {
    let source = Source { seed, taken: Mutex::default() };
    KeyPool::with_generator(0, move |spec| source.next(spec))
}

impl Source {
    fn next(&self, spec: KeySpec) -> Result<KeyPair, CryptoError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(spec).or_default();
        *count += 1;
        let mut stream = Stream::new(&format!("kms-server {} {spec} {count}", self.seed));
        drop(taken);
        pair(spec, &mut stream)
    }
}

fn pair(spec: KeySpec, stream: &mut Stream) -> Result<KeyPair, CryptoError> {
    let failed = || CryptoError::Library("a pair could not be made from its seed");
    if let Some(pair) = spec.pair_of(|bytes| stream.fill(bytes)) {
        return pair;
    }
    let bits = usize::try_from(spec.bits()).map_err(|_| failed())?;
    let key = rsa::PrivateKey::new(stream, bits).map_err(|_| failed())?;
    let private = key.to_pkcs8_der().map_err(|_| failed())?;
    let public = key.as_public_key().to_public_key_der().map_err(|_| failed())?;
    Ok(KeyPair { private: Secret::from(private.as_bytes()), public: public.into_vec() })
}

/// A stream of bytes that follows from a text: SHA-256 of the text and a counter.
struct Stream {
    text: String,
    block: u64,
    rest: Vec<u8>,
}

impl Stream {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), block: 0, rest: Vec::new() }
    }

    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.rest.is_empty() {
                let mut hash = Sha256::new();
                hash.update(self.text.as_bytes());
                hash.update(self.block.to_be_bytes());
                self.block += 1;
                self.rest = hash.finalize().to_vec();
            }
            *byte = self.rest.pop().unwrap_or_default();
        }
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Stream {}

#[cfg(test)]
mod tests {
    use super::super::{KeySpec, Oaep, PrivateKey, PublicKey};
    use super::pool;

    #[test]
    fn the_same_seed_gives_the_same_pairs_whatever_comes_between() {
        let (one, other) = (pool(7).expect("a pool"), pool(7).expect("a pool"));
        let first = one.take(KeySpec::P256).expect("a pair");
        let second = one.take(KeySpec::P256).expect("a pair");
        let rsa = one.take(KeySpec::Rsa2048).expect("a pair");
        assert_eq!(other.take(KeySpec::Rsa2048).expect("a pair"), rsa);
        assert_eq!(other.take(KeySpec::P256).expect("a pair"), first);
        assert_eq!(other.take(KeySpec::P256).expect("a pair"), second);
        assert_ne!(pool(8).expect("a pool").take(KeySpec::P256).expect("a pair"), first);
    }

    #[test]
    fn they_are_pairs() {
        let pair = pool(1).expect("a pool").take(KeySpec::Rsa2048).expect("a pair");
        let oaep = Oaep::new(None, None, b"").expect("OAEP");
        let sealed = PublicKey::from_spki(&pair.public).expect("a key").encrypt(&oaep, b"x").expect("sealed");
        let private = PrivateKey::from_pkcs8(&pair.private).expect("a key");
        assert_eq!(private.decrypt(&oaep, &sealed).expect("opened").expose(), b"x");
    }
}
