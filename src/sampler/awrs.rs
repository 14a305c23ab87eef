//! Adaptive weighted rejection sampling with the adaptive-peek estimator.
//!
//! Adaptive rejection sampling (Lipkin et al. 2025, arXiv 2504.05410) draws tokens from the model
//! *without replacement* until one is allowed. That token X is distributed as the model's distribution
//! cut down to the allowed tokens, and, given the tokens refused before it, it says nothing about Z. So
//! any unbiased estimate of Z that is made after X, from a plan that does not look ahead, is a proper
//! weight. The paper estimates Z by a second run of rejections; we peek instead:
//!
//! 1. X and all tokens known to be allowed make up the mass A seen allowed; U is the mass not yet seen.
//! 2. While U is above `eps`, the likeliest unseen token is asked about, if it is likely enough to be
//!    worth a question.
//! 3. One or more last tokens Y are drawn from the unseen in proportion to their mass. Each gives an
//!    estimate of Z: A + U where Y is allowed and A where it is not (A and U as they were before that
//!    draw). Its mean over Y is Z exactly. The weight is the mean of these estimates.
//!
//! A single estimate is off by at most U, with a variance of at most U²/4; e of them divide the variance
//! by about e. So peaked rows, where a few peeks leave next to nothing unseen, need one last draw, and
//! flat rows, where no peek helps, get many. Peeking at a token of mass m beats one more draw of b when
//! (U - m)² / (b - 1) < U² / b, that is about m > U / 2b; both numbers are known before any label is, so
//! the plan never looks ahead. [A, A + U] certainly contains Z at the end. (The paper's lemma behind
//! this is Des Raj's: any plan made from the past gives each estimate the mean Z.)
//!
//! `eps = 1` is the recursive estimator of genlm-control (one last draw and no peeks), `eps = 0` with
//! peeks without end is exact masking.
//!
//! Two sound shortcuts. Labels known from other particles and steps at the same constraint state count
//! as seen: refused ones are never proposed, allowed ones are part of A. And after `max_rejects`
//! refusals the whole mask is computed, and X drawn from it, which is proper because the decision looks
//! only at tokens already drawn. (It would *not* be proper for the geometric estimator: see `geometric.rs`.)

use super::masked::exact;
use super::search::{First, first_accepted};
use super::{Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;

/// Adaptive weighted rejection sampling with the adaptive-peek estimator; see the head of `awrs.rs`.
///
/// ```
/// use tamis::sampler::Awrs;
/// let precise = Awrs::new().eps(0.001).max_peeks(64);
/// let cheapest = Awrs::new().eps(1.0).without_mask();
/// assert_ne!(precise, cheapest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Awrs {
    eps: f64,
    max_peeks: u32,
    max_rejects: u32,
    mask_fallback: bool,
    weigh_by_mask_after: u32,
}

impl Default for Awrs {
    /// `eps` 0.01: the weight's standard deviation is then at most half a per cent, far below what the
    /// choice of tokens itself puts on the particles. 16 peeks: rows of language models fall off so fast
    /// that a few peeks nearly always leave no more than `eps`; on flat rows 16 draws bring the relative
    /// variance down to a sixteenth. 16 rejects: refusals in such number mean that Z is small, where a
    /// mask soon costs less than going on, and is exact.
    fn default() -> Self {
        Self { eps: 0.01, max_peeks: 16, max_rejects: 16, mask_fallback: true, weigh_by_mask_after: u32::MAX }
    }
}

impl Awrs {
    /// The default: `eps` 0.01, 16 peeks, the mask after 16 rejects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks about every token: exact, for labels that have no mask.
    pub(super) fn exhaustive() -> Self {
        Self { eps: 0.0, max_peeks: u32::MAX, max_rejects: u32::MAX, mask_fallback: false, ..Self::default() }
    }

    /// Stop asking when the error is no larger than that of one draw with this probability unseen. 0 asks
    /// as often as it may, 1 but once. Values outside [0, 1] (and NaN) mean the nearest of them (1).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = if eps.is_nan() { 1.0 } else { eps.clamp(0.0, 1.0) };
        self
    }

    /// The most tokens asked about after the first allowed one, those drawn at random included. 0 means 1:
    /// without a last draw there is no estimate.
    #[must_use]
    pub fn max_peeks(mut self, peeks: u32) -> Self {
        self.max_peeks = peeks;
        self
    }

    /// After this many refusals the whole mask is computed, where labels have one. 0 is exact masking.
    #[must_use]
    pub fn max_rejects(mut self, rejects: u32) -> Self {
        self.max_rejects = rejects;
        self
    }

    /// Where so many tokens were refused before one was accepted, compute the mask for the weight, which is
    /// then exact, in place of peeks and draws. Never, unless told to: a mask must be cheaper than
    /// `max_peeks` questions for it to pay.
    #[must_use]
    pub fn weigh_by_mask_after(mut self, rejects: u32) -> Self {
        self.weigh_by_mask_after = rejects;
        self
    }

    /// Never compute a mask while searching: go on drawing until a token is allowed or none is left.
    #[must_use]
    pub fn without_mask(mut self) -> Self {
        self.mask_fallback = false;
        self
    }
}

impl TokenSampler for Awrs {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        let budget = if self.mask_fallback { self.max_rejects } else { u32::MAX };
        let mut rejects = 0;
        let token = match first_accepted(walk, labels, budget, &mut rejects) {
            First::Accepted(token) => token,
            First::AllKnown => return exact(walk, labels.checks(), rejects),
            First::Exhausted => return Draw::Dead(Books { rejects, ..Books::default() }.record(0.0, labels.checks())),
        };
        let mut books = Books::open(walk, labels, token, rejects);
        let estimate = if self.weigh_by_mask_after <= rejects && books.see_mask(walk, labels) {
            books.allowed
        } else {
            let draws = self.peek(walk, labels, &mut books);
            books.mean_of_draws(walk, labels, draws)
        };
        let record = books.record(estimate, labels.checks());
        Draw::Token { token, log_weight: record.log_z, record }
    }

    fn may_fail(&self) -> bool {
        false
    }
}

impl Awrs {
    /// Asks about the likeliest unseen tokens; the number of draws that should follow. When to stop depends
    /// on the row and on labels seen so far, never on a label still to come: that keeps the weight proper.
    fn peek(&self, walk: &mut dyn Walk, labels: &mut dyn Labels, books: &mut Books) -> u32 {
        let mut left = self.max_peeks;
        while left > 1 && books.unseen > self.eps {
            let Some(token) = walk.largest() else { break };
            let mass = walk.mass(token);
            if mass * 2.0 * f64::from(left) <= books.unseen {
                break;
            }
            books.ask(walk, labels, token);
            left -= 1;
        }
        // As many draws as bring the error down to that of one draw with `eps` unseen.
        let wanted = (books.unseen / self.eps).powi(2).ceil();
        if wanted < f64::from(left) { (wanted as u32).max(1) } else { left.max(1) }
    }
}
