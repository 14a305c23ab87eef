//! What is known of each token and each particle of a run, in nats and bytes.
//!
//! Three log-probabilities of an answer must not be mixed (specs: uncertainty, section 2.7). *Raw* is the
//! model's own. *Constrained* is that of drawing each token among the allowed ones, as masking does.
//! *Posterior* is that of the answer under the model given that the constraint holds.

use super::alternatives::Alternative;
use crate::sampler::DrawRecord;
use crate::vocab::TokenId;
use std::sync::Arc;

/// One drawn token, with all that was known when it was drawn. Logarithms are natural.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenRecord {
    /// The step at which it was drawn, counted from 0.
    pub step: usize,
    /// The particle that drew it, by its place at that step. With the step it names this draw in the run.
    pub particle: usize,
    /// The token.
    pub token: TokenId,
    /// Its bytes; empty for a token that ends the text.
    pub bytes: Vec<u8>,
    /// The offset of its first byte in the answer.
    pub offset: usize,
    /// The model's own log-probability, at temperature 1 and without truncation.
    pub model_log_prob: f64,
    /// The entropy of the model's own distribution.
    pub entropy: f64,
    /// The log-probability in the distribution that was sampled from, after temperature and truncation.
    pub sampler_log_prob: f64,
    /// What the draw learnt about the constraint mass.
    pub draw: DrawRecord,
    /// What else could have come, most probable first; at most [`Alternative::MAX`], and none where no
    /// history was kept.
    pub alternatives: Vec<Alternative>,
}

impl TokenRecord {
    /// The surprisal of the model at this token: minus its log-probability.
    pub fn surprisal(&self) -> f64 {
        -self.model_log_prob
    }

    /// The log-probability of this token among the allowed ones, by the estimate of Z that was used.
    pub fn constrained_log_prob(&self) -> f64 {
        self.sampler_log_prob - self.draw.log_z
    }
}

/// The tokens of one particle, newest first; particles with a common past share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(Option<Arc<Link>>);

#[derive(Debug)]
struct Link {
    record: TokenRecord,
    before: Path,
}

impl Path {
    pub(super) fn then(&self, record: TokenRecord) -> Self {
        Self(Some(Arc::new(Link { record, before: self.clone() })))
    }

    /// The number of bytes written.
    pub(super) fn end(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.record.offset + link.record.bytes.len())
    }

    /// The record of the last token.
    pub(super) fn last(&self) -> Option<&TokenRecord> {
        self.0.as_ref().map(|link| &link.record)
    }

    /// The tokens, the one that ended the text included.
    pub(super) fn tokens(&self) -> Vec<TokenId> {
        let mut tokens = Vec::new();
        let mut at = self;
        while let Some(link) = &at.0 {
            tokens.push(link.record.token);
            at = &link.before;
        }
        tokens.reverse();
        tokens
    }

    /// The text written.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = vec![0; self.end()];
        let mut at = self;
        while let Some(link) = &at.0 {
            let record = &link.record;
            text[record.offset..record.offset + record.bytes.len()].copy_from_slice(&record.bytes);
            at = &link.before;
        }
        text
    }

    /// The records, oldest first.
    pub(super) fn records(&self) -> Vec<TokenRecord> {
        let mut records = Vec::new();
        let mut at = self;
        while let Some(link) = &at.0 {
            records.push(link.record.clone());
            at = &link.before;
        }
        records.reverse();
        records
    }
}

impl Drop for Path {
    /// Link by link: the derived drop would recurse once a token.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(link) = next {
            next = Arc::into_inner(link).and_then(|mut link| link.before.0.take());
        }
    }
}

/// One particle at the end of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ParticleRecord {
    /// Its tokens, the one that ended it included.
    pub tokens: Vec<TokenRecord>,
    /// Its normalised weight; the weights of a run sum to one, or are all zero.
    pub weight: f64,
    /// Whether its text is complete. A particle that is not has weight zero.
    pub complete: bool,
    /// The critics' score of its text, in nats; 0 without critics.
    pub log_score: f64,
    /// How many of the last bytes of its tokens are no part of the text: a stop string, and what its last
    /// token brought after it.
    pub dropped: usize,
}

impl ParticleRecord {
    /// The text it wrote, without a stop string.
    pub fn text(&self) -> Vec<u8> {
        let mut text: Vec<u8> = self.tokens.iter().flat_map(|token| token.bytes.iter().copied()).collect();
        text.truncate(text.len() - self.dropped);
        text
    }

    /// The model's own log-probability of these tokens (raw).
    pub fn raw_log_prob(&self) -> f64 {
        self.tokens.iter().map(|token| token.model_log_prob).sum()
    }

    /// Their log-probability in the distributions that were sampled from.
    pub fn sampler_log_prob(&self) -> f64 {
        self.tokens.iter().map(|token| token.sampler_log_prob).sum()
    }

    /// Their log-probability when each is drawn among the allowed ones (constrained), by the estimates
    /// of Z that were used.
    pub fn constrained_log_prob(&self) -> f64 {
        self.tokens.iter().map(TokenRecord::constrained_log_prob).sum()
    }
}

/// Where and why a particle died.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Death {
    /// What it had written.
    pub text: Vec<u8>,
    /// How many tokens that was.
    pub tokens: usize,
    /// Whether it had used up the tokens it was given, so that only an end was open to it.
    pub out_of_tokens: bool,
    /// What the constraint wanted there: its refusal of the end, or of the model's likeliest token.
    pub wanted: Option<crate::constraint::Rejection>,
}
