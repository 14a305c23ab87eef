//! What else could have come where a token was drawn, and what the constraint thinks of it.
//!
//! Kept only with the history of a run. Nothing here asks the constraint: the verdicts are those that the
//! draw asked for ([`Asked`] listens) or that were known before.

use crate::next_token::NextToken;
use crate::sampler::{Known, Labels};
use crate::vocab::{TokenId, TokenSet, Vocabulary};
use smallvec::SmallVec;

/// A token that could have come where another one was drawn.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Alternative {
    /// The token.
    pub token: TokenId,
    /// Its bytes; empty for a token that ends the text.
    pub bytes: Vec<u8>,
    /// Its log-probability in the distribution that was sampled from, in nats.
    pub log_prob: f64,
    /// Whether the constraint allows it; `None` where nobody asked.
    pub allowed: Option<bool>,
    /// Whether it was this draw that asked.
    pub asked: bool,
}

impl Alternative {
    /// The most of them that are kept of one draw.
    pub const MAX: usize = 8;
}

/// Labels that remember which tokens they were asked about.
pub(super) struct Asked<L> {
    labels: L,
    /// Only with a history to keep it for.
    asked: Option<SmallVec<[(TokenId, bool); 16]>>,
}

impl<L: Labels> Asked<L> {
    /// `labels`, which remember where `listen` says so.
    pub(super) fn new(labels: L, listen: bool) -> Self {
        Self { labels, asked: listen.then(SmallVec::new) }
    }

    /// What else could have come from `row` where `drawn` was drawn, most probable first: the tokens that
    /// the draw asked about and the likeliest of the row, the former before the latter where all do not
    /// fit. Empty where nothing was to be remembered.
    pub(super) fn alternatives(&self, row: &NextToken, vocabulary: &Vocabulary, drawn: TokenId) -> Vec<Alternative> {
        let Some(asked) = &self.asked else { return Vec::new() };
        let mut found: Vec<Alternative> = Vec::new();
        let mut add = |token: TokenId, allowed: Option<bool>, by_this_draw: bool| {
            if token == drawn || found.iter().any(|other| other.token == token) {
                return;
            }
            let bytes = vocabulary.bytes(token).unwrap_or_default().to_vec();
            found.push(Alternative { token, bytes, log_prob: row.log_prob(token), allowed, asked: by_this_draw });
        };
        for (token, allowed) in asked {
            add(*token, Some(*allowed), true);
        }
        for (token, _) in row.top(Alternative::MAX + 1) {
            add(token, verdict(self.labels.known(), token), false);
        }
        found.sort_by(|a, b| (b.asked, b.log_prob).partial_cmp(&(a.asked, a.log_prob)).expect("log-probabilities are numbers"));
        found.truncate(Alternative::MAX);
        found.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
        found
    }
}

fn verdict(known: Known<'_>, token: TokenId) -> Option<bool> {
    match known {
        Known::All(mask) => Some(mask.contains(token)),
        Known::Some { allowed, .. } if allowed.contains(&token) => Some(true),
        Known::Some { refused, .. } if refused.contains(&token) => Some(false),
        Known::Some { .. } => None,
    }
}

impl<L: Labels> Labels for Asked<L> {
    fn check(&mut self, token: TokenId) -> bool {
        let allowed = self.labels.check(token);
        if let Some(asked) = &mut self.asked {
            asked.push((token, allowed));
        }
        allowed
    }

    fn known(&self) -> Known<'_> {
        self.labels.known()
    }

    fn mask(&mut self) -> Option<&TokenSet> {
        self.labels.mask()
    }

    fn checks(&self) -> u32 {
        self.labels.checks()
    }
}
