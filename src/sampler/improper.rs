//! Locally constrained decoding: what masking engines do. Biased, and named so.

use super::masked::exact;
use super::search::{First, first_accepted};
use super::{Books, Draw, DrawRecord, Labels, TokenSampler};
use crate::next_token::Walk;

/// As in [`super::Awrs`]: so many refusals make a mask cheaper than going on.
const MAX_REJECTS: u32 = 16;

/// Takes the first accepted token with weight 1: the token is distributed as the model's distribution
/// cut down to the allowed tokens, but the constraint mass Z is thrown away.
///
/// *Not* properly weighted. Over several tokens it favours texts whose beginnings look likely and whose
/// endings the constraint forces; evidence and posterior of a run with it mean nothing. It is here
/// because it is what most constrained decoders do, to compare with. The record's `log_z` is the 0 that
/// was used, which may lie above the certain bounds beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Improper;

impl Improper {
    /// Locally constrained decoding.
    pub fn new() -> Self {
        Self
    }
}

impl TokenSampler for Improper {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        let mut books = Books::default();
        let token = match first_accepted(walk, labels, MAX_REJECTS, &mut books.rejects) {
            First::Accepted(token) => token,
            First::Exhausted => return Draw::Dead(books.record(0.0, labels.checks())),
            First::AllKnown => {
                return match exact(walk, labels.checks(), books.rejects) {
                    Draw::Token { token, record, .. } => {
                        Draw::Token { token, log_weight: 0.0, record: DrawRecord { log_z: 0.0, ..record } }
                    }
                    dead => dead,
                };
            }
        };
        books.see_allowed(walk.mass(token));
        walk.remove(token);
        books.unseen = walk.remaining();
        Draw::Token { token, log_weight: 0.0, record: books.record(1.0, labels.checks()) }
    }

    fn may_fail(&self) -> bool {
        false
    }
}
