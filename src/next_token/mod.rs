//! One next-token distribution: what a model thinks may follow a context.
//!
//! A [`NextToken`] is made from a row of logits and kept unsorted: the log-normaliser, the entropy and
//! sums over chunks of [`CHUNK`] tokens come from one pass, and from then on a draw costs a scan of the
//! chunk sums and of one chunk, not of the vocabulary. [`NextToken::walk`] draws tokens *without
//! replacement*, which is what rejection sampling proposes from. Masses are `f64` sums over what
//! remains, never one minus what is gone (specs: the float32 assertion failures of genlm-control come
//! from that subtraction).

mod truncation;
mod walk;

pub use truncation::Truncation;
pub use walk::{RowWalk, Walk};

use crate::vocab::TokenId;
use std::fmt;

/// The number of tokens whose masses are summed together.
pub const CHUNK: usize = 256;

/// A distribution over the next token.
///
/// Probabilities are those of a softmax of the logits given; tokens of logit `-inf` have probability
/// zero and are never proposed.
#[derive(Clone)]
pub struct NextToken {
    /// Unnormalised masses, `exp(logit - largest logit)`.
    masses: Vec<f64>,
    /// Sums of `masses` over chunks.
    chunk_sums: Vec<f64>,
    /// Largest of `masses` in each chunk.
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
        Self::build(logits.len(), |token| f64::from(logits[token]))
    }

    /// The same from logits in `f64`: for exact toy models and tests.
    ///
    /// # Errors
    /// As [`NextToken::from_logits`].
    pub fn from_log_weights(log_weights: &[f64]) -> Result<Self, RowError> {
        Self::build(log_weights.len(), |token| log_weights[token])
    }

    fn build(len: usize, logit: impl Fn(usize) -> f64) -> Result<Self, RowError> {
        let mut largest = f64::NEG_INFINITY;
        for token in 0..len {
            let value = logit(token);
            if value.is_nan() || value == f64::INFINITY {
                return Err(RowError { token: Some(TokenId::new(token as u32)), value });
            }
            largest = largest.max(value);
        }
        if largest == f64::NEG_INFINITY {
            return Err(RowError { token: None, value: largest });
        }
        Ok(Self::from_masses((0..len).map(|token| (logit(token) - largest).exp()).collect()))
    }

    /// From masses of which at least one is positive.
    fn from_masses(masses: Vec<f64>) -> Self {
        let chunk_sums: Vec<f64> = masses.chunks(CHUNK).map(|chunk| chunk.iter().sum()).collect();
        let chunk_largest = masses.chunks(CHUNK).map(|chunk| chunk.iter().copied().fold(0.0, f64::max)).collect();
        let total: f64 = chunk_sums.iter().sum();
        let log_total = total.ln();
        let surprise: f64 = masses.iter().filter(|mass| **mass > 0.0).map(|mass| mass * mass.ln()).sum();
        let entropy = (log_total - surprise / total).max(0.0);
        Self { masses, chunk_sums, chunk_largest, total, log_total, entropy }
    }

    /// The number of tokens of the vocabulary.
    pub fn len(&self) -> usize {
        self.masses.len()
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
        self.masses[token.index()].ln() - self.log_total
    }

    /// The probability of `token`.
    ///
    /// # Panics
    /// If the token is outside the vocabulary.
    pub fn prob(&self, token: TokenId) -> f64 {
        self.masses[token.index()] / self.total
    }

    /// The probabilities of all tokens, by increasing id. Linear in the vocabulary.
    pub fn probs(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.masses.iter().map(|mass| mass / self.total)
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
