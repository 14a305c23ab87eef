//! Exact token masking: the baseline of no variance, and the fallback of the others.

use super::{Awrs, Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;

/// Computes the whole mask, draws among the allowed tokens and weighs by the exact constraint mass Z.
///
/// The weight has no variance; the price is a mask for every new state, for some constraints
/// milliseconds. Labels that have no mask are asked about every token of positive probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Masked;

impl Masked {
    /// Exact masking.
    pub fn new() -> Self {
        Self
    }
}

impl TokenSampler for Masked {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        let Some(mask) = labels.mask() else {
            return Awrs::exhaustive().draw_along(walk, labels);
        };
        walk.retain(mask);
        exact(walk, labels.checks(), 0)
    }

    fn may_fail(&self) -> bool {
        false
    }
}

/// The exact draw where only allowed tokens remain on the walk.
pub(super) fn exact(walk: &mut dyn Walk, checks: u32, rejects: u32) -> Draw {
    let mass = walk.remaining();
    let mut books = Books { allowed: mass, rejects, masked: true, ..Books::default() };
    let Some(token) = walk.draw() else { return Draw::Dead(books.record(0.0, checks)) };
    walk.remove(token);
    // One, or more than one: nothing else is asked of the count.
    books.allowed_tokens = if walk.remaining() == 0.0 { 1 } else { 2 };
    let record = books.record(mass, checks);
    Draw::Token { token, log_weight: record.log_z, record }
}
