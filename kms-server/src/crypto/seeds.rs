//! Randomness that clients give: it joins the generator's own, and can only add to it.

use aws_lc_rs::digest::{Context, SHA512};
use kms_protocol::Secret;
use zeroize::{Zeroize, Zeroizing};

use super::CryptoError;
use super::cipher::random;
use super::mac::Coder;
use kms_protocol::enums::HashingAlgorithm;

/// The digest of all that was given.
#[derive(Default)]
pub struct Pool(Option<Zeroizing<Vec<u8>>>);

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// Takes the first bytes of a seed.
    pub fn take(&mut self, seed: &Secret, bytes: usize) {
        let mut digest = Context::new(&SHA512);
        if let Some(before) = &self.0 {
            digest.update(before);
        }
        digest.update(seed.expose().get(..bytes).unwrap_or_default());
        self.0 = Some(Zeroizing::new(digest.finish().as_ref().to_vec()));
    }

    /// Random bytes: the generator's, and where a seed was given each of them added to one that follows from it and from
    /// more of the generator's. Whoever knows the seed knows no more of the sum.
    ///
    /// # Errors
    /// [`CryptoError::Library`] when there is no randomness.
    pub fn random(&self, bytes: usize) -> Result<Secret, CryptoError> {
        let mut out = Zeroizing::new(random(bytes)?);
        if let Some(pool) = &self.0 {
            for block in out.chunks_mut(64) {
                let mut coder = Coder::hmac(HashingAlgorithm::Sha512, pool)?;
                coder.update(&random(32)?);
                let mut mask = coder.finish();
                block.iter_mut().zip(&mask).for_each(|(byte, other)| *byte ^= other);
                mask.zeroize();
            }
        }
        Ok(Secret::new(core::mem::take(&mut *out)))
    }
}
