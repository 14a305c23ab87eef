//! Drawing one token under a constraint, properly weighted.
//!
//! A draw (X, w) is *properly weighted* for a row p and an allowed set A when E[w f(X)] equals the sum
//! of p(x) f(x) over x in A, for every f. Then w estimates the constraint mass Z = p(A) without bias,
//! and products of such weights are importance weights for the model given the constraint. Everything
//! here keeps that law, for every option; `tests/sampler_laws.rs` proves it by walking along every
//! random choice on small rows. The one exception says so in its name.
//!
//! Samplers know a row ([`crate::next_token`]) and an oracle of labels ([`Labels`]), never the model.

use crate::next_token::NextToken;
use crate::vocab::{TokenId, TokenSet};
use rand::Rng;

/// Which tokens are allowed next, asked one at a time.
///
/// Known labels are free: an implementation remembers what was asked before (see `LabelCache`).
pub trait Labels {
    /// Whether `token` is allowed. Asks the constraint only where the label is not known yet.
    fn check(&mut self, token: TokenId) -> bool;

    /// The label of `token` if it is known without asking.
    fn known(&self, token: TokenId) -> Option<bool>;

    /// Tokens known to be allowed, known to be refused.
    fn known_sets(&self) -> (&TokenSet, &TokenSet);

    /// All allowed tokens, end tokens included, if the constraint can tell. Afterwards every label is known.
    fn mask(&mut self) -> Option<&TokenSet>;

    /// How often the constraint was asked about a single token since these labels were made.
    fn checks(&self) -> u32;
}

/// A token drawn under a constraint, or the news that there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Draw {
    /// A token with its weight.
    Token {
        /// The token.
        token: TokenId,
        /// The logarithm of its weight, in nats: an estimate of the constraint mass Z, unbiased in the
        /// linear domain.
        log_weight: f64,
        /// What was learnt on the way.
        record: DrawRecord,
    },
    /// The weight is zero: no token of positive probability is allowed, or the sampler gave up.
    Dead(DrawRecord),
}

/// What a draw learnt about the constraint mass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrawRecord {
    /// The estimate of the constraint mass Z that was used as weight, in nats.
    pub log_z: f64,
    /// A certain lower bound of ln Z: the mass seen allowed.
    pub log_z_low: f64,
    /// A certain upper bound of ln Z: the mass not seen refused.
    pub log_z_high: f64,
    /// How often the constraint was asked about a single token.
    pub checks: u32,
    /// How many of the proposed tokens were refused before one was accepted.
    pub rejects: u32,
    /// Whether the exact mask was used.
    pub masked: bool,
    /// Whether the token was the only one allowed, as far as is known for certain.
    pub forced: bool,
}

/// Draws one token from a row under a constraint.
pub trait TokenSampler: Send + Sync {
    /// A properly weighted draw (see the head of this module).
    fn draw(&self, row: &NextToken, labels: &mut dyn Labels, rng: &mut dyn Rng) -> Draw;
}
