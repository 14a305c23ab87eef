//! Random streams: one a particle, and one for resampling, all from one seed.
//!
//! Each is its own ChaCha8 stream under the same key, so that they are independent, and what one
//! particle draws never depends on how much another drew, nor on the order or thread in which they did.

use rand::{SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use std::convert::Infallible;

/// The random numbers of one particle (a `rand::Rng`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream that resampling draws from under `seed`.
    pub(super) fn of_resampling(seed: u64) -> Self {
        Self::numbered(seed, 0)
    }

    /// The stream of the particle at `index` under `seed`.
    pub fn of_particle(seed: u64, index: usize) -> Self {
        Self::numbered(seed, index as u64 + 1)
    }

    /// The seed of a sweep of a chain under `seed`; the first sweep's is the seed itself.
    pub(super) fn seed_of_sweep(seed: u64, sweep: usize) -> u64 {
        if sweep == 0 {
            return seed;
        }
        // Counted from the end, where no particle's stream is.
        let Ok(derived) = Self::numbered(seed, u64::MAX - sweep as u64).try_next_u64();
        derived
    }

    fn numbered(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self(rng)
    }

    /// A number drawn evenly from [0, 1), one of 2^53.
    pub fn uniform(&mut self) -> f64 {
        let Ok(bits) = self.try_next_u64();
        (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}
