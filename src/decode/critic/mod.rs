//! Critics: scores of texts that change the target, or steer towards it.
//!
//! With a critic of log-score s, the target is the model given the constraint times exp(s(text)), for
//! complete texts. Before that, s of what was written so far only steers: a particle's weight always
//! carries the score of its text as it stands, so that a change of it steers resampling, and all but the
//! last score cancel. A score of zero before the end is always right, one that foresees the end's is
//! better. [`Twist`] makes a critic that steers alone: its last score is zero.
//!
//! The law (`tests/critic_laws.rs`): no score before the end changes the target. The one thing that a score
//! must not do is to be `-inf` before the end where some completion is not.
//!
//! `ready.rs` has critics for common cases, `expert.rs` those made of a second model.

mod expert;
mod ready;

pub use expert::Expert;
pub use ready::{JsonPath, Length, Satisfies, Score};

pub use super::draft::Draft;

/// What a critic may fail with.
pub type CriticError = Box<dyn std::error::Error + Send + Sync>;

/// A score of texts, in nats. The laws stand at the head of this module.
pub trait Critic: Send + Sync {
    /// The score of a text: the last one, of the complete text, defines the target.
    ///
    /// # Errors
    /// The critic's own; the run ends with them. NaN and `+inf` are errors of the critic too.
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError>;

    /// The scores of several texts, for critics that are quicker at many: the engine asks once a step.
    ///
    /// # Errors
    /// As [`Critic::log_score`].
    fn log_scores(&self, drafts: &[Draft<'_>]) -> Result<Vec<f64>, CriticError> {
        drafts.iter().map(|draft| self.log_score(draft)).collect()
    }
}

/// A critic that steers and leaves the target alone: complete texts score zero.
#[derive(Clone, Debug)]
pub struct Twist<T>(T);

impl<T: Critic> Twist<T> {
    /// Steers by the scores of `critic` before the end.
    pub fn new(critic: T) -> Self {
        Self(critic)
    }
}

impl<T: Critic> Critic for Twist<T> {
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        if draft.complete { Ok(0.0) } else { self.0.log_score(draft) }
    }

    fn log_scores(&self, drafts: &[Draft<'_>]) -> Result<Vec<f64>, CriticError> {
        let open: Vec<Draft<'_>> = drafts.iter().copied().filter(|draft| !draft.complete).collect();
        let mut scores = self.0.log_scores(&open)?.into_iter();
        Ok(drafts.iter().map(|draft| if draft.complete { 0.0 } else { scores.next().unwrap_or(f64::NAN) }).collect())
    }
}
