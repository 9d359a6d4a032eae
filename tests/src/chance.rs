//! Chance that can be repeated: a failing run prints its seed, and `KMS_TEST_SEED` runs it again.

/// Pseudo-random numbers (SplitMix64): good enough to choose, fast, and the same for a seed everywhere.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The numbers that follow from `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Another seed at each run, unless `KMS_TEST_SEED` gives one; it is printed.
    #[must_use]
    pub fn of_this_run(test: &str) -> Self {
        let given = std::env::var("KMS_TEST_SEED").ok();
        let given = given.map(|text| text.parse().expect("KMS_TEST_SEED is a number"));
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(0, |since| since.as_nanos() as u64)
        });
        #[allow(clippy::print_stderr, reason = "the tester has to see it")]
        {
            eprintln!("{test}: KMS_TEST_SEED={seed}");
        }
        Self(seed)
    }

    /// Numbers of their own for another thread.
    #[must_use]
    pub fn branch(&mut self) -> Self {
        Self(self.number())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which must be above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Whether something happens that happens once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        from.get(self.below(from.len())).expect("something to choose from")
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let numbers = |seed| Chance::from_seed(seed).bytes(64);
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }
}
