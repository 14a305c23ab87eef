//! What a particle is made of.

use super::draft::OwnedDraft;
use super::record::{ParticleRecord, Path};
use crate::next_token::NextToken;
use crate::vocab::TokenId;
use std::sync::Arc;

/// A context with what may follow it, shared by the particles that stand there.
pub(super) struct Position<X> {
    pub(super) context: X,
    /// The model's own distribution.
    pub(super) model: NextToken,
    /// The distribution that is the target, where truncation changes it.
    pub(super) changed: Option<NextToken>,
    /// The distribution to propose from, where that is another one.
    pub(super) proposal: Option<NextToken>,
}

impl<X> Position<X> {
    /// The distribution that tokens are of.
    pub(super) fn target(&self) -> &NextToken {
        self.changed.as_ref().unwrap_or(&self.model)
    }
}

/// One particle: where it stands, what it wrote, and what the constraint thinks of it.
pub(super) struct Particle<X, S> {
    pub(super) position: Arc<Position<X>>,
    /// The token drawn last, which the model has not been given yet.
    pub(super) pending: Option<TokenId>,
    pub(super) state: S,
    pub(super) path: Path,
    /// The number of text tokens.
    pub(super) tokens: usize,
    pub(super) status: Status,
    /// The critics' score of what was written, in nats; 0 before anything was.
    pub(super) log_score: f64,
    /// How many of the last bytes are no part of the text: a stop string.
    pub(super) dropped: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Writing,
    Complete,
    Dead,
}

// Not derived: a derive would ask the context to be `Clone` where the pointer to it is enough.
impl<X, S: Clone> Clone for Particle<X, S> {
    fn clone(&self) -> Self {
        Self { position: self.position.clone(), state: self.state.clone(), path: self.path.clone(), ..*self }
    }
}

impl<X, S> Particle<X, S> {
    pub(super) fn new(position: Arc<Position<X>>, state: S) -> Self {
        Self { position, pending: None, state, path: Path::default(), tokens: 0, status: Status::Writing, log_score: 0.0, dropped: 0 }
    }

    pub(super) fn is_writing(&self) -> bool {
        self.status == Status::Writing
    }

    pub(super) fn record(&self, weight: f64) -> ParticleRecord {
        ParticleRecord {
            tokens: self.path.records(),
            weight,
            complete: self.status == Status::Complete,
            log_score: self.log_score,
            dropped: self.dropped,
        }
    }

    /// What critics are shown of it.
    pub(super) fn draft(&self) -> OwnedDraft {
        let mut text = self.path.text();
        text.truncate(text.len() - self.dropped);
        let mut tokens = self.path.tokens();
        let complete = self.status == Status::Complete;
        let by_end_token = tokens.len() > self.tokens;
        tokens.truncate(self.tokens);
        OwnedDraft { text, tokens, complete, by_end_token }
    }
}
