//! Adaptive weighted rejection sampling with the adaptive-peek estimator.
//!
//! Adaptive rejection sampling (Lipkin et al. 2025, arXiv 2504.05410) draws tokens from the model
//! *without replacement* until one is allowed. That token X is distributed as the model's distribution
//! cut down to the allowed tokens, and, given the tokens refused before it, it says nothing about Z. So
//! any unbiased estimate of Z that is made after X, from a plan that does not look ahead, is a proper
//! weight. The paper estimates Z by a second run of rejections; we peek instead:
//!
//! 1. X and all tokens known to be allowed make up the mass A seen allowed; U is the mass not yet seen.
//! 2. A token Y drawn from the unseen in proportion to its mass gives an estimate of Z: A + U where Y is
//!    allowed and A where it is not, with the A and U from before that draw. Its mean over Y is Z exactly.
//! 3. Where one such estimate would be off by too much, more is asked first: about the likeliest unseen
//!    token, or about tokens drawn from the unseen, each of whose estimates gets a share of the weight.
//!
//! A single estimate is off by at most U, and e of them divide its variance, U² z (1 - z) with z the chance
//! of an unseen token to be allowed, by about e. So peaked rows, where a few peeks leave next to nothing
//! unseen, need one last draw; flat rows, where no peek helps, get many, but for those where labels, of this
//! draw and of the others at this state, agree so well that a surprise is unlikely. Peeking at a token of
//! mass m beats one more draw of b when (U - m)² / (b - 1) < U² / b, that is about m > U / 2b; all of this
//! is known before any label is, so the plan never looks ahead. [A, A + U] certainly contains Z at the end.
//! (The paper's lemma behind this is Des Raj's: with shares that sum to one, each chosen from the past, the
//! sum of the estimates has the mean Z.)
//!
//! `eps = 1` is the recursive estimator of genlm-control (one last draw and no peeks), `eps = 0` with
//! peeks without end is exact masking.
//!
//! Two sound shortcuts. Labels known from other particles and steps at the same constraint state count
//! as seen: refused ones are not proposed, allowed ones are part of A. (Unlikely ones are left where they are:
//! should one be drawn, its label costs no question.) And after `max_rejects` refusals the whole mask is
//! computed, and X drawn from it, which is proper because the decision looks only at tokens already drawn.
//! (It would *not* be proper for the geometric estimator: see `geometric.rs`.)

use super::masked::exact;
use super::search::{First, first_accepted};
use super::{Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;

/// Adaptive weighted rejection sampling with the adaptive-peek estimator; see the head of `awrs.rs`.
///
/// ```
/// use tamis::sampler::Awrs;
/// let precise = Awrs::new().error(0.001).max_peeks(64);
/// let cheapest = Awrs::new().eps(1.0).without_mask();
/// assert_ne!(precise, cheapest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Awrs {
    goal: Goal,
    max_peeks: u32,
    max_rejects: u32,
    mask_fallback: bool,
    weigh_by_mask_after: u32,
}

/// When a last draw is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// When the weight's relative standard error is expected to be no larger.
    Error(f64),
    /// When no more mass is unseen.
    Unseen(f64),
}

impl Default for Awrs {
    /// An error of 0.05: over the tokens of an answer it adds up to far less than what the choice of tokens
    /// itself puts on the particles. 16 peeks: rows of language models fall off so fast that a few peeks
    /// nearly always do; on flat rows 16 draws bring the relative variance down to a sixteenth. 16 rejects:
    /// refusals in such number mean that Z is small, where a mask soon costs less than going on, and is exact.
    fn default() -> Self {
        Self { goal: Goal::Error(0.05), max_peeks: 16, max_rejects: 16, mask_fallback: true, weigh_by_mask_after: u32::MAX }
    }
}

impl Awrs {
    /// The default: a relative error of 0.05, 16 peeks, the mask after 16 rejects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks about every token: exact, for labels that have no mask.
    pub(super) fn exhaustive() -> Self {
        Self { max_peeks: u32::MAX, max_rejects: u32::MAX, mask_fallback: false, ..Self::default() }.eps(0.0)
    }

    /// Stop asking when the relative standard error of the weight is expected to be no larger. The
    /// expectation is a guess from the labels seen so far, those of other particles included; the weight is
    /// unbiased whether it comes true or not. 0 asks as often as it may. Values below 0 (and NaN) mean 0.
    #[must_use]
    pub fn error(mut self, error: f64) -> Self {
        self.goal = Goal::Error(error.max(0.0));
        self
    }

    /// Instead, stop asking when no more probability than this is unseen: then the weight is certainly no
    /// further from Z, and the interval around it no wider. 0 asks as often as it may, 1 but once. Values
    /// outside [0, 1] (and NaN) mean the nearest of them (1).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.goal = Goal::Unseen(if eps.is_nan() { 1.0 } else { eps.clamp(0.0, 1.0) });
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
            self.estimate(walk, labels, &mut books)
        };
        let record = books.record(estimate, labels.checks());
        Draw::Token { token, log_weight: record.log_z, record }
    }

    fn may_fail(&self) -> bool {
        false
    }
}

impl Awrs {
    /// Peeks and draws until the goal is reached; the estimate of Z. What is asked next, and how large a share
    /// of the weight a draw gets, depends on the row and on labels seen so far, never on a label still to come:
    /// that keeps the weight proper.
    fn estimate(&self, walk: &mut dyn Walk, labels: &mut dyn Labels, books: &mut Books) -> f64 {
        let (mut estimate, mut undecided, mut square_error) = (0.0, 1.0, 0.0);
        let mut left = f64::from(self.max_peeks.max(1));
        loop {
            let expected = books.expected_square_error();
            let draws = self.draws_wanted(books.unseen, undecided * undecided * expected, square_error).min(left);
            left -= 1.0;
            if draws > 1.0
                && let Some(token) = walk.largest()
                && walk.mass(token) * 2.0 * draws > books.unseen
            {
                books.ask(walk, labels, token);
                continue;
            }
            let share = undecided / draws;
            estimate += share * books.draw_estimate(walk, labels);
            if draws <= 1.0 {
                return estimate;
            }
            undecided -= share;
            square_error += share * share * expected;
        }
    }

    /// Among how many draws to divide what is undecided of the weight, at least 1. `next` is the expected
    /// square of the error if it were one, `spent` that of the draws before.
    fn draws_wanted(&self, unseen: f64, next: f64, spent: f64) -> f64 {
        match self.goal {
            Goal::Error(error) if unseen > 0.0 => (next / (error * error - spent).max(0.0)).ceil().max(1.0),
            Goal::Unseen(eps) if unseen > eps => f64::INFINITY,
            _ => 1.0,
        }
    }
}
