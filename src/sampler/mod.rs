//! Drawing one token under a constraint, properly weighted.
//!
//! A draw (X, w) is *properly weighted* for a row p and an allowed set A when E[w f(X)] equals the sum
//! of p(x) f(x) over x in A, for every f. Then w estimates the constraint mass Z = p(A) without bias,
//! and products of such weights are importance weights for the model given the constraint. Everything
//! here keeps that law, for every option; `tests/sampler_laws.rs` proves it by walking along every
//! random choice on small rows. The one exception, [`Improper`], says so in its name.
//!
//! Samplers know a row ([`crate::next_token`]) and an oracle of labels ([`Labels`]), never the model.
//!
//! | sampler | what it is |
//! |---|---|
//! | [`Awrs`] | the default: rejection, then peeks at likely tokens and a few last draws |
//! | [`Masked`] | the whole mask: exact weights, the price of a mask |
//! | [`DesRaj`] | rejection, then last draws alone; the recursive estimator of genlm-control |
//! | [`Geometric`], [`TwoLoop`] | the estimators of genlm-control and of the paper, to compare with |
//! | [`Direct`] | one proposal, weight one or zero |
//! | [`Improper`] | what masking engines do: no weight |
//!
//! `label_cache.rs` is where labels come from in a run, `pool.rs` and `proposal.rs` change weights after
//! the draw, `books.rs` and `search.rs` are what the samplers share.

mod awrs;
mod books;
mod des_raj;
mod direct;
mod geometric;
mod improper;
mod label_cache;
mod masked;
mod pool;
mod proposal;
mod quadrature;
mod search;
mod two_loop;

pub use awrs::Awrs;
pub use des_raj::DesRaj;
pub use direct::Direct;
pub use geometric::Geometric;
pub use improper::Improper;
pub use label_cache::{ConstraintLabels, LabelCache};
pub use masked::Masked;
pub use pool::pool;
pub use proposal::{corrected, uncovered};
pub use two_loop::TwoLoop;

use books::Books;

use crate::next_token::{NextToken, Walk};
use crate::vocab::{TokenId, TokenSet};
use rand::Rng;

/// Which tokens are allowed next, asked one at a time.
///
/// Known labels are free: an implementation remembers what was asked before (see [`LabelCache`]).
pub trait Labels {
    /// Whether `token` is allowed. Asks the constraint only where the label is not known yet.
    fn check(&mut self, token: TokenId) -> bool;

    /// The labels that are known without asking.
    fn known(&self) -> Known<'_>;

    /// All allowed tokens, end tokens included, if the constraint can tell. Afterwards every label is known.
    fn mask(&mut self) -> Option<&TokenSet>;

    /// How often the constraint was asked about a single token since these labels were made.
    fn checks(&self) -> u32;
}

/// The labels that are known without asking.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Those of some tokens, each listed once.
    Some {
        /// Tokens known to be allowed.
        allowed: &'a [TokenId],
        /// Tokens known to be refused.
        refused: &'a [TokenId],
    },
    /// All of them: these tokens are allowed, all others refused.
    All(&'a TokenSet),
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

impl Draw {
    /// What was learnt on the way, token or none.
    pub fn record(&self) -> &DrawRecord {
        match self {
            Self::Token { record, .. } | Self::Dead(record) => record,
        }
    }

    /// The logarithm of the weight; `None` where it is zero.
    pub fn log_weight(&self) -> Option<f64> {
        match self {
            Self::Token { log_weight, .. } => Some(*log_weight),
            Self::Dead(_) => None,
        }
    }
}

/// What a draw learnt about the constraint mass.
///
/// The bounds are certain up to rounding of `f64` sums, and neither is above 0; the estimate may be.
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
    /// Whether it is certain that no other token of positive probability was allowed.
    pub forced: bool,
}

/// Draws one token from a row under a constraint.
pub trait TokenSampler: Send + Sync {
    /// A properly weighted draw (see the head of this module) along a walk that nothing was taken out
    /// of yet. All randomness comes from the walk, so that a test can go along every branch.
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw;

    /// A properly weighted draw from `row`.
    fn draw(&self, row: &NextToken, labels: &mut dyn Labels, rng: &mut dyn Rng) -> Draw {
        self.draw_along(&mut row.walk().with_rng(rng), labels)
    }

    /// Whether a draw may come out dead though a token of positive probability is allowed. Where not, the
    /// weights of particles at one place may be pooled ([`pool()`]).
    fn may_fail(&self) -> bool;
}

impl TokenSampler for Box<dyn TokenSampler> {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        (**self).draw_along(walk, labels)
    }

    fn draw(&self, row: &NextToken, labels: &mut dyn Labels, rng: &mut dyn Rng) -> Draw {
        (**self).draw(row, labels, rng)
    }

    fn may_fail(&self) -> bool {
        (**self).may_fail()
    }
}
