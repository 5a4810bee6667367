//! What a program passes in: the time, and randomness.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_core::{TryCryptoRng, TryRng};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since 1970, UTC; negative before.
    fn unix_nanoseconds(&self) -> i128;

    /// Whole seconds since 1970; 0 before.
    fn unix_seconds(&self) -> u64 {
        u64::try_from(self.unix_nanoseconds().div_euclid(1_000_000_000)).unwrap_or(0)
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock to pass in")]
    fn unix_nanoseconds(&self) -> i128 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
        }
    }
}

/// Fills memory with bytes that nobody can predict.
pub trait Randomness: Send + Sync + 'static {
    /// Overwrites all of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    /// # Panics
    /// When the system has no source of randomness: nothing that needs keys can
    /// go on then.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("an operating system has a source of randomness");
    }
}

/// [`Randomness`] as the cryptographic crates want it.
pub struct Rng(Arc<dyn Randomness>);

impl Rng {
    /// Draws from `source`.
    #[must_use]
    pub fn new(source: Arc<dyn Randomness>) -> Self {
        Self(source)
    }

    /// An array of random bytes.
    #[must_use]
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}

impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Rng {}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(i128);

    impl Clock for At {
        fn unix_nanoseconds(&self) -> i128 {
            self.0
        }
    }

    #[test]
    fn seconds_round_down_and_stop_at_1970() {
        assert_eq!(At(1_999_999_999).unix_seconds(), 1);
        assert_eq!(At(-1).unix_seconds(), 0);
        assert!(SystemClock.unix_seconds() > 1_700_000_000);
    }

    #[test]
    fn the_system_fills_all_of_it() {
        let rng = Rng::new(Arc::new(SystemRandomness));
        assert_ne!(rng.array::<32>(), rng.array::<32>());
        assert!(rng.array::<64>()[32..].iter().any(|byte| *byte != 0));
    }
}
