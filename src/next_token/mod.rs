//! One next-token distribution: what a model thinks may follow a context.
//!
//! A [`NextToken`] is made from a row of logits and kept unsorted: one pass gives the log-normaliser, the
//! entropy and sums over chunks of [`CHUNK`] tokens, and from then on a draw costs a scan of the chunk sums
//! and of one chunk, not of the vocabulary. Masses themselves are not kept: those of a chunk are made again
//! when they are asked for, which takes a tenth of a microsecond, while keeping all would double the
//! memory that the pass goes through. [`NextToken::walk`] draws tokens *without replacement*, which is what
//! rejection sampling proposes from. Masses are `f64` sums over what remains, never one minus what is gone
//! (specs: the float32 assertion failures of genlm-control come from that subtraction).

mod logits;
mod truncation;
mod walk;

pub use logits::{ChunkSummary, DistantLogits};
pub use truncation::Truncation;
pub use walk::{RowWalk, Walk};

use crate::vocab::TokenId;
use logits::{Logits, Masses};
use std::fmt;
use std::sync::Arc;

/// The number of tokens whose masses are summed together.
pub const CHUNK: usize = 256;

/// A distribution over the next token.
///
/// Probabilities are those of a softmax of the logits given; tokens of logit `-inf` have probability
/// zero and are never proposed.
#[derive(Clone)]
pub struct NextToken {
    logits: Logits,
    largest: f64,
    /// Sums over chunks of the masses, which are `exp(logit - largest)`.
    chunk_sums: Vec<f64>,
    /// Largest mass of each chunk.
    chunk_largest: Vec<f64>,
    total: f64,
    log_total: f64,
    entropy: f64,
}

impl NextToken {
    /// The softmax of `logits`, one a token of the vocabulary.
    ///
    /// # Errors
    /// If a logit is NaN or `+inf`, or all are `-inf`, or there are none: the model is broken there.
    ///
    /// ```
    /// use tamis::{next_token::NextToken, vocab::TokenId};
    /// let row = NextToken::from_logits(&[0.0, 0.0, f32::NEG_INFINITY])?;
    /// assert!((row.log_prob(TokenId::new(0)) - 0.5f64.ln()).abs() < 1e-12);
    /// assert!((row.entropy() - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), tamis::next_token::RowError>(())
    /// ```
    pub fn from_logits(logits: &[f32]) -> Result<Self, RowError> {
        Self::from_shared_logits(logits.into())
    }

    /// The same from logits that are kept elsewhere too: no copy is made.
    ///
    /// # Errors
    /// As [`NextToken::from_logits`].
    pub fn from_shared_logits(logits: Arc<[f32]>) -> Result<Self, RowError> {
        Self::build(Logits::Single(logits))
    }

    /// The same from logits in `f64`: for exact toy models and tests.
    ///
    /// # Errors
    /// As [`NextToken::from_logits`].
    pub fn from_log_weights(log_weights: &[f64]) -> Result<Self, RowError> {
        Self::build(Logits::Double(log_weights.into()))
    }

    fn build(logits: Logits) -> Result<Self, RowError> {
        let largest = logits.largest();
        if largest.is_nan() {
            let broken = |token: &usize| logits.get(*token).is_nan() || logits.get(*token) == f64::INFINITY;
            let token = (0..logits.len()).find(broken).unwrap_or_default();
            return Err(RowError { token: Some(TokenId::new(token as u32)), value: logits.get(token) });
        }
        if largest == f64::NEG_INFINITY {
            return Err(RowError { token: None, value: largest });
        }
        let summaries = logits.summaries(largest);
        Ok(Self::join(logits, largest, &summaries))
    }

    /// A row that was summed where it lies: the largest logit, and each chunk of [`CHUNK`] tokens summed up as
    /// [`ChunkSummary`] tells. It is then the same to the bit as the row of the same logits.
    ///
    /// # Errors
    /// As [`NextToken::from_logits`]; `largest` is NaN where a logit is NaN or `+inf`.
    ///
    /// # Panics
    /// If there are not as many summaries as chunks, or the logits cannot be fetched.
    pub fn from_distant_logits(logits: Arc<dyn DistantLogits>, largest: f32, summaries: &[ChunkSummary]) -> Result<Self, RowError> {
        assert_eq!(summaries.len(), logits.size().div_ceil(CHUNK), "each chunk has a summary");
        if largest.is_finite() {
            Ok(Self::join(Logits::Distant(logits), largest.into(), summaries))
        } else {
            Self::build(Logits::Distant(logits))
        }
    }

    /// The same row, its logits here: for whoever will look at most of it. Nothing to do for rows that are here.
    ///
    /// # Errors
    /// As [`NextToken::from_logits`].
    ///
    /// # Panics
    /// If the logits cannot be fetched.
    pub fn fetched(&self) -> Result<Self, RowError> {
        match &self.logits {
            Logits::Distant(logits) => Self::from_shared_logits(logits.whole().clone()),
            Logits::Single(_) | Logits::Double(_) => Ok(self.clone()),
        }
    }

    fn join(logits: Logits, largest: f64, summaries: &[ChunkSummary]) -> Self {
        let (chunk_sums, chunk_largest): (Vec<f64>, Vec<f64>) = summaries.iter().map(|summary| (summary.sum, summary.largest)).unzip();
        let surprise: f64 = summaries.iter().fold(0.0, |total, summary| total + summary.surprise);
        let total = logits::sum(&chunk_sums);
        let log_total = total.ln();
        let entropy = (log_total - surprise / total).max(0.0);
        Self { logits, largest, chunk_sums, chunk_largest, total, log_total, entropy }
    }

    /// The masses of a chunk's tokens, unnormalised.
    fn masses(&self, chunk: usize) -> Masses {
        let mut masses = [0.0; CHUNK];
        self.logits.masses(chunk, self.largest, &mut masses);
        masses
    }

    /// The number of tokens of the vocabulary.
    pub fn len(&self) -> usize {
        self.logits.len()
    }

    /// Never: a row has at least one token of positive probability.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The log-probability of `token`, in nats; `-inf` where it has none.
    ///
    /// # Panics
    /// If the token is outside the vocabulary.
    pub fn log_prob(&self, token: TokenId) -> f64 {
        self.logits.get(token.index()) - self.largest - self.log_total
    }

    /// The probability of `token`.
    ///
    /// # Panics
    /// If the token is outside the vocabulary.
    pub fn prob(&self, token: TokenId) -> f64 {
        self.logits.mass(token.index(), self.largest) / self.total
    }

    /// The probabilities of all tokens, by increasing id. Linear in the vocabulary.
    pub fn probs(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.chunk_sums.len()).flat_map(|chunk| self.masses(chunk)).take(self.len()).map(|mass| mass / self.total)
    }

    /// The Shannon entropy, in nats.
    pub fn entropy(&self) -> f64 {
        self.entropy
    }

    /// The `k` most probable tokens with their log-probabilities, most probable first; equal ones by id.
    /// Fewer where fewer have any probability.
    pub fn top(&self, k: usize) -> Vec<(TokenId, f64)> {
        let mut walk = self.walk();
        let mut top = Vec::with_capacity(k.min(self.len()));
        while top.len() < k {
            let Some(token) = walk.largest() else { break };
            walk.remove(token);
            top.push((token, self.log_prob(token)));
        }
        top
    }

    /// Begins to draw tokens without replacement.
    pub fn walk(&self) -> RowWalk<'_> {
        RowWalk::new(self)
    }
}

impl fmt::Debug for NextToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextToken").field("len", &self.len()).field("entropy", &self.entropy).finish_non_exhaustive()
    }
}

/// A row of logits that is no distribution.
#[derive(Clone, Debug)]
pub struct RowError {
    token: Option<TokenId>,
    value: f64,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.token {
            Some(token) => write!(f, "the model gave {} as the logit of token {token}; its weights or the file are broken", self.value),
            None => f.write_str("the model gave every token probability zero"),
        }
    }
}

impl std::error::Error for RowError {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Logits that count how often they are fetched as a whole; the first chunk is at hand.
    struct Elsewhere {
        logits: Arc<[f32]>,
        fetched: AtomicUsize,
    }

    impl DistantLogits for Elsewhere {
        fn size(&self) -> usize {
            self.logits.len()
        }

        fn chunk(&self, chunk: usize) -> &[f32] {
            let logits = if chunk == 0 { &self.logits } else { self.whole() };
            &logits[chunk * CHUNK..self.size().min((chunk + 1) * CHUNK)]
        }

        fn whole(&self) -> &Arc<[f32]> {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            &self.logits
        }
    }

    fn summaries(row: &NextToken) -> Vec<ChunkSummary> {
        row.logits.summaries(row.largest)
    }

    #[test]
    fn a_distant_row_is_the_same_to_the_bit_and_gives_the_same_draws() {
        let logits: Arc<[f32]> = (0..700).map(|i| (i as f32 * 0.37).sin() * 6.0 + if i < 256 { 9.0 } else { 0.0 }).collect();
        let here = NextToken::from_shared_logits(logits.clone()).unwrap();
        let elsewhere = Arc::new(Elsewhere { logits, fetched: AtomicUsize::new(0) });
        let row = NextToken::from_distant_logits(elsewhere.clone(), here.largest as f32, &summaries(&here)).unwrap();
        assert_eq!((row.entropy.to_bits(), row.log_total.to_bits()), (here.entropy.to_bits(), here.log_total.to_bits()));
        let draws = |row: &NextToken| -> Vec<_> {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut walk = row.walk().with_rng(&mut rng);
            let draw = |_| {
                let token = walk.draw()?;
                walk.remove(token);
                Some((token, walk.remaining().to_bits()))
            };
            (0..700).map_while(draw).collect()
        };
        // The first chunk has nearly all of the mass: looking at it alone fetches nothing.
        assert!(row.top(3).iter().all(|(token, _)| token.index() < CHUNK));
        assert_eq!(elsewhere.fetched.load(Ordering::Relaxed), 0);
        assert_eq!(draws(&row), draws(&here));
        assert!(elsewhere.fetched.load(Ordering::Relaxed) > 0);
        let fetched = row.fetched().unwrap();
        assert!(fetched.probs().map(f64::to_bits).eq(here.probs().map(f64::to_bits)));
        let warmer = Truncation { temperature: 2.0, ..Truncation::default() };
        assert!(warmer.apply(&row).unwrap().probs().eq(warmer.apply(&here).unwrap().probs()));
    }

    #[test]
    fn a_broken_distant_row_is_an_error_that_names_the_token() {
        let mut logits = vec![0.0; 300];
        logits[299] = f32::NAN;
        let elsewhere = Arc::new(Elsewhere { logits: logits.into(), fetched: AtomicUsize::new(0) });
        let error = NextToken::from_distant_logits(elsewhere, f32::NAN, &[ChunkSummary::default(); 2]).unwrap_err();
        assert!(error.to_string().contains("299"), "{error}");
    }
}
