//! The books of a draw: which mass was seen allowed, and which was not seen yet.
//!
//! Masses are probabilities under the row, kept as sums over what is there, never as one minus what is
//! gone. Every sampler keeps these books, whatever its estimate: they are where the certain bounds of Z
//! come from.

use super::search::{UNLIKELY, worth_a_look};
use super::{DrawRecord, Known, Labels};
use crate::next_token::Walk;
use crate::vocab::TokenId;
use std::ops::Range;

/// The books of a draw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Books {
    /// The mass seen allowed.
    pub(super) allowed: f64,
    /// How many tokens of positive probability it is made of.
    pub(super) allowed_tokens: usize,
    /// How many tokens were seen refused.
    pub(super) refused_tokens: usize,
    /// The mass of tokens that nothing is known of.
    pub(super) unseen: f64,
    /// How many proposals were refused before one was accepted.
    pub(super) rejects: u32,
    /// Whether the exact mask was used.
    pub(super) masked: bool,
}

impl Books {
    /// The books when `token` was accepted: it and the tokens known to be allowed are seen, and taken off
    /// the walk, but for those that are nothing beside the others.
    pub(super) fn open(walk: &mut dyn Walk, labels: &dyn Labels, token: TokenId, rejects: u32) -> Self {
        let mut books = Self { rejects, refused_tokens: rejects as usize, ..Self::default() };
        books.see_allowed(walk.mass(token));
        walk.remove(token);
        if let Known::Some { allowed, refused } = labels.known() {
            // Labels that remember have those refused just now among the others.
            books.refused_tokens = books.refused_tokens.max(refused.len());
            books.see_known(walk, allowed, token, UNLIKELY..f64::INFINITY);
            // Where those were few: also such as are something beside them.
            books.see_known(walk, allowed, token, UNLIKELY * books.allowed..UNLIKELY);
        }
        books.unseen = walk.remaining();
        books
    }

    /// Sees the tokens of `allowed` that may have a probability in `range`, but for `token`, and takes them off the
    /// walk.
    fn see_known(&mut self, walk: &mut dyn Walk, allowed: &[TokenId], token: TokenId, range: Range<f64>) {
        let mut known = worth_a_look(walk, allowed, range);
        known.retain(|known| *known != token);
        for known in &known {
            self.see_allowed(walk.mass(*known));
        }
        walk.remove_all(&known);
    }

    /// What the draw learnt, with the estimate of Z that it uses.
    pub(super) fn record(&self, estimate: f64, checks: u32) -> DrawRecord {
        // Sums of probabilities may pass 1 by rounding. An estimate may pass it by more.
        let log = |mass: f64| mass.ln().min(0.0);
        DrawRecord {
            log_z: if estimate < 1.0 + 1e-9 { log(estimate) } else { estimate.ln() },
            log_z_low: log(self.allowed),
            log_z_high: log(self.allowed + self.unseen),
            checks,
            rejects: self.rejects,
            masked: self.masked,
            forced: self.allowed_tokens == 1 && self.unseen == 0.0,
        }
    }

    /// Asks about a token and takes it off the walk; whether it is allowed.
    pub(super) fn ask(&mut self, walk: &mut dyn Walk, labels: &mut dyn Labels, token: TokenId) -> bool {
        let mass = walk.mass(token);
        walk.remove(token);
        let allowed = labels.check(token);
        if allowed {
            self.see_allowed(mass);
        } else {
            self.refused_tokens += 1;
        }
        self.unseen = walk.remaining();
        allowed
    }

    /// Sees a token allowed that may have been seen and taken off the walk before.
    pub(super) fn see_too(&mut self, walk: &mut dyn Walk, token: TokenId) {
        walk.remove(token);
        let unseen = walk.remaining();
        if unseen < self.unseen {
            self.see_allowed(walk.mass(token));
            self.unseen = unseen;
        }
    }

    pub(super) fn see_allowed(&mut self, mass: f64) {
        if mass > 0.0 {
            self.allowed += mass;
            self.allowed_tokens += 1;
        }
    }

    /// Sees the whole mask, if there is one: nothing is unseen then.
    pub(super) fn see_mask(&mut self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> bool {
        let Some(mask) = labels.mask() else { return false };
        walk.retain(mask);
        self.masked = true;
        // One token or many: nothing else is asked of the count once there are two.
        self.see_allowed(walk.remaining());
        self.unseen = 0.0;
        true
    }

    /// An unbiased estimate of Z from one token drawn from what is unseen: the mass seen allowed before it,
    /// and the unseen mass too where it is allowed (Des Raj 1956). Exact where nothing is unseen.
    pub(super) fn draw_estimate(&mut self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> f64 {
        let (allowed, unseen) = (self.allowed, self.unseen);
        match walk.draw() {
            Some(token) if self.ask(walk, labels, token) => allowed + unseen,
            _ => allowed,
        }
    }

    /// The expected square of the relative error of [`Books::draw_estimate`], as far as labels seen so far can
    /// tell.
    ///
    /// The estimate's variance is U² z (1 - z), with U the unseen mass and z the chance of a token drawn from
    /// it to be allowed. Of z we know that a tokens were seen allowed and r refused. Were they drawn alike, and
    /// every z as likely as another before, then z would have the mean (a + 1) / (a + r + 2) and z (1 - z) the
    /// mean (a + 1) (r + 1) / (a + r + 2) (a + r + 3). They were not; so plans may rest on this, weights may not.
    pub(super) fn expected_square_error(&self) -> f64 {
        let (allowed, refused) = (self.allowed_tokens as f64 + 1.0, self.refused_tokens as f64 + 1.0);
        let seen = allowed + refused;
        let z = self.allowed + self.unseen * allowed / seen;
        (self.unseen / z).powi(2) * allowed * refused / (seen * (seen + 1.0))
    }
}
