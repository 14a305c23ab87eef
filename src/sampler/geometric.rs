//! The geometric estimator of genlm-control, and its exact average.
//!
//! Draw *with* replacement until m tokens were allowed; with r refused on the way, (m - 1) / (m + r - 1)
//! is the unbiased estimate of Z of least variance among those that look at the two counts alone (Haldane
//! 1945), and the first allowed token goes with it. Tokens already refused need not be drawn again to know
//! how often they would have been: between two new tokens the number of repeats is geometric, in the
//! refused mass ψ. genlm-control draws that number. Its average over all such numbers, given the new
//! tokens, is an integral in one variable,
//!
//! ```text
//! E[(m - 1) / (m + a + S - 1)] = (m - 1) ∫ t^(m + a - 2) Π_j (1 - ψ_j) / (1 - ψ_j t) dt  over [0, 1],
//! ```
//!
//! with a tokens refused, S repeats, and ψ_j the mass refused before the j-th new draw. So no random number
//! is needed, and the variance is never larger (Rao and Blackwell).
//!
//! There is no falling back to a mask here, however many tokens are refused: the weight at a refusal is
//! not an estimate of Z, so that putting Z in its place bends the mean by P(fallback)·Z.
//! `tests/sampler_laws.rs` shows that bias.

use super::masked::exact;
use super::quadrature::integrate_towards_zero;
use super::search::leave_out_known;
use super::{Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;
use crate::vocab::TokenId;
use smallvec::SmallVec;

/// Draws as if with replacement until some tokens were allowed, and weighs by the counts.
///
/// ```
/// use tamis::sampler::Geometric;
/// let exact_average = Geometric::new(2);
/// let as_in_genlm_control = Geometric::new(2).give_up_after(32);
/// assert_ne!(exact_average, as_in_genlm_control);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometric {
    accepts: u32,
    give_up_after: Option<u32>,
}

impl Geometric {
    /// Stop at this many allowed tokens, repeats counted; at least 2. Repeats are averaged out exactly, at a
    /// cost of some hundred operations a question.
    pub fn new(accepts: u32) -> Self {
        Self { accepts: accepts.max(2), give_up_after: None }
    }

    /// Stop at this many refusals too, repeats counted (0 means 1), as genlm-control does. Repeats are then
    /// drawn at random, since they decide when to stop; dead where none was allowed.
    #[must_use]
    pub fn give_up_after(mut self, refusals: u32) -> Self {
        self.give_up_after = Some(refusals.max(1));
        self
    }
}

/// What was found.
#[derive(Default)]
struct Tally {
    /// The first allowed token, and further ones.
    allowed: SmallVec<[TokenId; 4]>,
    /// Allowed draws, repeats counted.
    accepts: u32,
    /// Different tokens refused.
    rejects: u32,
    /// Those refused before the first was allowed.
    rejects_before: u32,
    /// Refused draws of tokens refused before.
    repeats: u32,
    /// Before each draw of a token not refused before, the part of the mass not refused.
    not_refused: SmallVec<[f64; 16]>,
}

impl TokenSampler for Geometric {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        if leave_out_known(walk, labels) {
            return exact(walk, labels.checks(), 0);
        }
        // Z is estimated among the tokens not known to be refused, and scaled by their mass.
        let candidates = walk.remaining();
        let Some(tally) = self.tally(candidates, walk, labels) else {
            return Draw::Dead(Books::default().record(0.0, labels.checks()));
        };
        let Some((token, further)) = tally.allowed.split_first() else {
            let books = Books { rejects: tally.rejects, unseen: walk.remaining(), ..Books::default() };
            return Draw::Dead(books.record(0.0, labels.checks()));
        };
        let mut books = Books::open(walk, labels, *token, tally.rejects_before);
        for other in further {
            books.see_too(walk, *other);
        }
        let record = books.record(candidates * self.estimate(&tally), labels.checks());
        Draw::Token { token: *token, log_weight: record.log_z, record }
    }

    fn may_fail(&self) -> bool {
        self.give_up_after.is_some()
    }
}

impl Geometric {
    /// Draws until enough were allowed or too many refused; `None` where everything is refused.
    fn tally(&self, candidates: f64, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Option<Tally> {
        let mut tally = Tally::default();
        while tally.accepts < self.accepts && self.give_up_after.is_none_or(|most| tally.rejects + tally.repeats < most) {
            let not_refused = walk.remaining() / candidates;
            if self.give_up_after.is_some() && tally.rejects > 0 && walk.chance(1.0 - not_refused) {
                tally.repeats += 1;
                continue;
            }
            let token = walk.draw()?;
            tally.not_refused.push(not_refused);
            if labels.check(token) {
                tally.accepts += 1;
                if !tally.allowed.contains(&token) {
                    tally.allowed.push(token);
                }
            } else {
                walk.remove(token);
                tally.rejects += 1;
                tally.rejects_before += u32::from(tally.allowed.is_empty());
            }
        }
        Some(tally)
    }

    /// Z among the candidates.
    fn estimate(&self, tally: &Tally) -> f64 {
        let wanted = f64::from(self.accepts - 1);
        if self.give_up_after.is_some() {
            // One draw that is allowed is certain: 1 / 1.
            let others = tally.accepts + tally.rejects + tally.repeats - 1;
            return if others == 0 { 1.0 } else { wanted.min(f64::from(tally.accepts)) / f64::from(others) };
        }
        let power = (self.accepts + tally.rejects) as i32 - 2;
        let least = tally.not_refused.iter().copied().fold(1.0, f64::min);
        // In x = 1 - t, so that what is left of the mass, however little, is never taken from one.
        let integrand = |x: f64| {
            let ratios = tally.not_refused.iter().map(|left| left / (left + (1.0 - left) * x));
            (1.0 - x).powi(power) * ratios.product::<f64>()
        };
        wanted * integrate_towards_zero(least, integrand)
    }
}
