//! The search that all rejection samplers begin with: draw until a token is allowed.

use super::{Known, Labels};
use crate::next_token::Walk;
use crate::vocab::TokenId;
use smallvec::SmallVec;
use std::ops::Range;

/// How the search for the first allowed token ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    /// At this token; it is still on the walk, the refused ones are not.
    Accepted(TokenId),
    /// At the mask: only allowed tokens were left on the walk.
    AllKnown,
    /// At the end: every token of positive probability is refused.
    Exhausted,
}

/// Draws without replacement until a token is allowed. Tokens known to be refused are not proposed. After
/// `budget` refusals the mask is asked for; if there is none, the search goes on without.
pub(super) fn first_accepted(walk: &mut dyn Walk, labels: &mut dyn Labels, budget: u32, rejects: &mut u32) -> First {
    if leave_out_known(walk, labels) {
        return First::AllKnown;
    }
    loop {
        if *rejects == budget
            && let Some(mask) = labels.mask()
        {
            walk.retain(mask);
            return First::AllKnown;
        }
        let Some(token) = walk.draw() else { return First::Exhausted };
        if labels.check(token) {
            return First::Accepted(token);
        }
        walk.remove(token);
        *rejects += 1;
    }
}

/// A probability not worth a look: where much is known of a state, most of it is of tokens that this row gives
/// next to nothing, and lies where the masses would have to be made, or fetched, only to find that out.
pub(super) const UNLIKELY: f64 = 1e-4;

/// Takes the tokens known to be refused off the walk, but for unlikely ones among likely others, which may be
/// drawn and are then refused without a question. Whether all labels are known, so that only allowed tokens
/// are left.
pub(super) fn leave_out_known(walk: &mut dyn Walk, labels: &dyn Labels) -> bool {
    match labels.known() {
        Known::All(mask) => {
            walk.retain(mask);
            true
        }
        Known::Some { refused, .. } => {
            walk.remove_all(&worth_a_look(walk, refused, UNLIKELY..f64::INFINITY));
            if walk.remaining() < 0.5 {
                walk.remove_all(refused);
            }
            false
        }
    }
}

/// The tokens that may have a probability in `range`.
pub(super) fn worth_a_look(walk: &dyn Walk, tokens: &[TokenId], range: Range<f64>) -> SmallVec<[TokenId; 32]> {
    tokens.iter().copied().filter(|token| range.contains(&walk.mass_bound(*token))).collect()
}
