//! Plain rejection: one proposal, weight one or zero. The baseline of most variance.

use super::{Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;

/// Draws a token from the model as if there were no constraint; the weight is 1 where it is allowed
/// and 0 where it is not.
///
/// Properly weighted, one check a draw, and of relative variance (1 - Z) / Z: what the other samplers
/// must beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Direct;

impl Direct {
    /// Plain rejection.
    pub fn new() -> Self {
        Self
    }
}

impl TokenSampler for Direct {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        let mut books = Books { unseen: walk.remaining(), ..Books::default() };
        let Some(token) = walk.draw() else { return Draw::Dead(books.record(0.0, labels.checks())) };
        let accepted = labels.check(token);
        let mass = walk.mass(token);
        walk.remove(token);
        books.unseen = walk.remaining();
        if accepted {
            books.see_allowed(mass);
            return Draw::Token { token, log_weight: 0.0, record: books.record(1.0, labels.checks()) };
        }
        books.rejects = 1;
        Draw::Dead(books.record(0.0, labels.checks()))
    }

    fn may_fail(&self) -> bool {
        true
    }
}
