//! The estimator of the paper that adaptive weighted rejection sampling comes from.

use super::masked::exact;
use super::search::leave_out_known;
use super::{Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;
use crate::vocab::TokenId;

/// Searches twice: with n0 and n1 tokens refused, the second time never those of the first, and u the mass
/// not refused by the first search, the weight of the first token found is u / (n0 + n1 + 1).
///
/// Definition 2 of Lipkin et al. 2025, arXiv 2504.05410. Properly weighted. Of much variance where a
/// likely token is refused (u is near 0 or near 1 by chance); [`super::Awrs`] is better everywhere. More
/// than two searches do not generalise so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TwoLoop;

impl TwoLoop {
    /// The paper's two searches.
    pub fn new() -> Self {
        Self
    }
}

impl TokenSampler for TwoLoop {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        if leave_out_known(walk, labels) {
            return exact(walk, labels.checks(), 0);
        }
        let mut rejects = 0;
        let Some(token) = search(walk, labels, &mut rejects) else {
            return Draw::Dead(Books { rejects, ..Books::default() }.record(0.0, labels.checks()));
        };
        let (first_rejects, not_refused) = (rejects, walk.remaining());
        // The first search's token is still on the walk: this one finds it at the latest.
        let second = search(walk, labels, &mut rejects).unwrap_or(token);
        let mut books = Books::open(walk, labels, token, first_rejects);
        books.see_too(walk, second);
        let record = books.record(not_refused / f64::from(rejects + 1), labels.checks());
        Draw::Token { token, log_weight: record.log_z, record }
    }

    fn may_fail(&self) -> bool {
        false
    }
}

/// Draws until a token is allowed, which stays on the walk; `None` where all are refused.
fn search(walk: &mut dyn Walk, labels: &mut dyn Labels, rejects: &mut u32) -> Option<TokenId> {
    loop {
        let token = walk.draw()?;
        if labels.check(token) {
            return Some(token);
        }
        walk.remove(token);
        *rejects += 1;
    }
}
