//! Estimates from tokens drawn in plain random order: the recursive estimator and its averages.
//!
//! Walk along the tokens in the order in which they are drawn without replacement. With a the mass seen
//! allowed and u the mass unseen before the j-th of them, t_j = a + u·1{the j-th is allowed} has mean Z
//! given all before (Des Raj 1956). So any average of t_j whose weights are chosen without looking ahead
//! is a proper weight for the first allowed token. [`super::Awrs`] adds peeks at likely tokens to this;
//! here are the plans without, which others use and which ours is measured against.

use super::masked::exact;
use super::search::leave_out_known;
use super::{Books, Draw, Labels, TokenSampler};
use crate::next_token::Walk;

/// Takes the first allowed token and averages so many estimates of Z drawn after it.
///
/// ```
/// use tamis::sampler::DesRaj;
/// // genlm-control's recursive estimator, giving up where 16 tokens were refused.
/// let bounded = DesRaj::recursive().give_up_after(16);
/// // As many draws after the accepted token as it took to find it.
/// let averaged = DesRaj::draws_per_proposal(1);
/// assert_ne!(bounded, averaged);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DesRaj {
    draws: Draws,
    give_up_after: Option<u32>,
    guess: Option<f64>,
}

/// How many tokens are drawn after the accepted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draws {
    Fixed(u32),
    PerProposal(u32),
}

impl DesRaj {
    /// The recursive estimator of genlm-control 0.4.1: one draw after the accepted token. Of little variance
    /// on peaked rows and of much, (1 - Z) / Z, on flat ones.
    pub fn recursive() -> Self {
        Self::draws(1)
    }

    /// So many draws after the accepted token; 0 means 1: without one there is no estimate.
    pub fn draws(draws: u32) -> Self {
        Self { draws: Draws::Fixed(draws.max(1)), give_up_after: None, guess: None }
    }

    /// So many draws for each token proposed up to the accepted one, itself included. Refusals in number
    /// mean that Z is small, where more draws are needed. 0 means 1.
    pub fn draws_per_proposal(draws: u32) -> Self {
        Self { draws: Draws::PerProposal(draws.max(1)), give_up_after: None, guess: None }
    }

    /// Die where this many tokens were refused (0 means 1). Still proper, for a bounded number of questions;
    /// the draw that could be the last refusal carries the weight alone.
    #[must_use]
    pub fn give_up_after(mut self, refusals: u32) -> Self {
        self.give_up_after = Some(refusals.max(1));
        self
    }

    /// With a single draw, ask about it only now and then, and use this guess of the unseen tokens' chance
    /// to be allowed where it is not asked about ("Russian roulette"). Saves most questions on peaked rows,
    /// for more variance: of use where one question costs as much as a forward pass. Clamped to [0, 1].
    #[must_use]
    pub fn roulette(mut self, guess: f64) -> Self {
        self.guess = Some(if guess.is_nan() { 0.5 } else { guess.clamp(0.0, 1.0) });
        self
    }

    fn count(&self, rejects: u32) -> u32 {
        match self.draws {
            Draws::Fixed(draws) => draws,
            Draws::PerProposal(draws) => draws.saturating_mul(rejects + 1),
        }
    }
}

impl TokenSampler for DesRaj {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        if leave_out_known(walk, labels) {
            return exact(walk, labels.checks(), 0);
        }
        let mut rejects = 0;
        loop {
            let is_last = self.give_up_after == Some(rejects + 1);
            let before = walk.remaining();
            let Some(token) = walk.draw() else { return Draw::Dead(Books { rejects, ..Books::default() }.record(0.0, labels.checks())) };
            if labels.check(token) {
                let mut books = Books::open(walk, labels, token, rejects);
                let estimate = match self.guess {
                    _ if is_last => before,
                    Some(guess) if self.count(rejects) == 1 => roulette(guess, walk, labels, &mut books),
                    _ => mean_of_draws(self.count(rejects), walk, labels, &mut books),
                };
                let record = books.record(estimate, labels.checks());
                return Draw::Token { token, log_weight: record.log_z, record };
            }
            walk.remove(token);
            rejects += 1;
            if is_last {
                return Draw::Dead(Books { rejects, unseen: walk.remaining(), ..Books::default() }.record(0.0, labels.checks()));
            }
        }
    }

    fn may_fail(&self) -> bool {
        self.give_up_after.is_some()
    }
}

/// The mean of the estimates of so many draws, as many of them as find something unseen: all others are exact.
fn mean_of_draws(draws: u32, walk: &mut dyn Walk, labels: &mut dyn Labels, books: &mut Books) -> f64 {
    let (mut sum, mut drawn) = (0.0, 0);
    while drawn < draws && books.unseen > 0.0 {
        sum += books.draw_estimate(walk, labels);
        drawn += 1;
    }
    (sum + books.allowed * f64::from(draws - drawn)) / f64::from(draws)
}

/// The last draw's estimate, replaced by its guess but for a fraction of the time, when it is made up for.
/// The fraction u / (a + u) is the least that keeps the weight above zero for every guess.
fn roulette(guess: f64, walk: &mut dyn Walk, labels: &mut dyn Labels, books: &mut Books) -> f64 {
    let (allowed, unseen) = (books.allowed, books.unseen);
    let guessed = allowed + unseen * guess;
    let fraction = unseen / (allowed + unseen);
    if unseen == 0.0 || !walk.chance(fraction) {
        return guessed;
    }
    let drawn = books.draw_estimate(walk, labels);
    // Zero at the least; rounding may pass it.
    (guessed + (drawn - guessed) / fraction).max(0.0)
}
