//! Where model, sampler, constraint and particles meet.
//!
//! [`ConstrainedDecoding`] draws a [`Posterior`]: at each step the model extends all particles in one
//! batch, the sampler draws each particle's token under the constraint, and the particle layer
//! ([`crate::smc`]) weighs and resamples. A token is given to the model only when its particle has
//! survived the resampling after it, and particles that took the same token from the same context are
//! extended once.
//!
//! The target is the model given the constraint *and* at most `max_tokens` tokens of text: after the
//! last of them only the end is proposed, with its probability as the weight. `step.rs` is the step,
//! `record.rs` what is kept of each token (and `alternatives.rs` of what else could have come),
//! `posterior.rs` the result, `watch.rs` what can be seen meanwhile.

mod alternatives;
mod error;
mod posterior;
mod record;
mod step;
mod watch;

pub use alternatives::Alternative;
pub use error::DecodeError;
pub use posterior::{Answer, Posterior};
pub use record::{Death, ParticleRecord, TokenRecord};
pub use watch::Glimpse;

use crate::constraint::Constraint;
use crate::lm::{LanguageModel, LmError};
use crate::log_math::normalized;
use crate::next_token::Truncation;
use crate::sampler::{Awrs, TokenSampler};
use crate::smc::{self, SmcOptions};
use crate::vocab::TokenId;

/// A run to be: a constraint, and how to draw texts of it from a model.
///
/// ```
/// use tamis::{constraint::Regex, decode::ConstrainedDecoding, lm::TableLm};
/// # use tamis::vocab::{Token, Vocabulary};
/// # let vocabulary = Vocabulary::new([Token::Text(b"yes".to_vec()), Token::Text(b"no".to_vec()), Token::Text(b"!".to_vec()), Token::End]).unwrap();
/// // A model that writes "yes", "no" or "!" and ends, each with some probability at every step.
/// let mut model = TableLm::independent(vocabulary, &[0.3, 0.2, 0.1, 0.4])?;
/// let posterior = ConstrainedDecoding::new(Regex::new("(yes|no)!?")?).particles(32).seed(7).max_tokens(4).run(&mut model, &[])?;
/// assert!(posterior.answers.iter().all(|answer| answer.text.starts_with(b"yes") || answer.text.starts_with(b"no")));
/// // Exactly 0.5 * 0.4 + 0.5 * 0.1 * 0.4 = 0.22; the estimate is unbiased.
/// assert!((posterior.evidence() - 0.22).abs() < 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConstrainedDecoding<C: Constraint> {
    constraint: C,
    sampler: Box<dyn TokenSampler>,
    truncation: Truncation,
    smc: SmcOptions,
    max_tokens: usize,
    keep_history: bool,
}

impl<C: Constraint> ConstrainedDecoding<C> {
    /// A run under `constraint` with 8 particles, seed 0, at most 256 tokens, adaptive weighted rejection
    /// sampling and the model's distribution as it is.
    pub fn new(constraint: C) -> Self {
        Self {
            constraint,
            sampler: Box::new(Awrs::default()),
            truncation: Truncation::default(),
            smc: SmcOptions::default(),
            max_tokens: 256,
            keep_history: false,
        }
    }

    /// The number of particles; 1 is plain constrained sampling.
    #[must_use]
    pub fn particles(mut self, particles: usize) -> Self {
        self.smc.particles = particles;
        self
    }

    /// The seed, which with the inputs decides every byte of the result.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.smc.seed = seed;
        self
    }

    /// Resample when the effective sample size falls below this fraction of the particles; 0 is
    /// importance sampling.
    #[must_use]
    pub fn ess_threshold(mut self, fraction: f64) -> Self {
        self.smc.ess_threshold = fraction;
        self
    }

    /// The most tokens of text, the end not counted.
    #[must_use]
    pub fn max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Whether to keep every token that is drawn, with its alternatives, and not only those of the particles
    /// that are there at the end. Memory then grows with particles times steps.
    #[must_use]
    pub fn keep_history(mut self, keep: bool) -> Self {
        self.keep_history = keep;
        self
    }

    /// How each token is drawn.
    #[must_use]
    pub fn sampler(mut self, sampler: impl TokenSampler + 'static) -> Self {
        self.sampler = Box::new(sampler);
        self
    }

    /// How the model's distribution is changed before all else.
    #[must_use]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Draws the posterior for what `model` writes after `prompt`.
    ///
    /// # Errors
    /// If the options have no meaning, the prompt and the answer do not fit into the model's context, the
    /// model fails, or a fallible constraint does. That all particles died is a result
    /// ([`Posterior::is_impossible`]).
    pub fn run<L: LanguageModel>(&self, model: &mut L, prompt: &[TokenId]) -> Result<Posterior, DecodeError> {
        self.run_watched(model, prompt, |_| {})
    }

    /// The same, calling `watch` after each step with what can be seen of it.
    ///
    /// # Errors
    /// As [`ConstrainedDecoding::run`].
    pub fn run_watched<L: LanguageModel>(
        &self,
        model: &mut L,
        prompt: &[TokenId],
        mut watch: impl FnMut(&Glimpse<'_>),
    ) -> Result<Posterior, DecodeError> {
        self.validate(model, prompt)?;
        let seen = watch::Seen::default();
        let mut system = step::Decoder::new(self, model, prompt, seen.clone());
        let run = smc::run(&self.smc, &mut system, |step| watch(&Glimpse::new(step, &seen)))?;
        let told = system.finish();
        let weights = normalized(&run.log_weights).unwrap_or_else(|| vec![0.0; run.log_weights.len()]);
        let particles = run.particles.iter().zip(weights).map(|(particle, weight)| particle.record(weight)).collect();
        Ok(Posterior::new(particles, run.log_evidence, run.steps, told))
    }

    fn validate<L: LanguageModel>(&self, model: &L, prompt: &[TokenId]) -> Result<(), DecodeError> {
        if let Some(problem) = self.smc.problem() {
            return Err(DecodeError::options(problem));
        }
        if let Some(problem) = self.truncation.problem() {
            return Err(DecodeError::options(problem));
        }
        let limit = model.context_length();
        if prompt.len().saturating_add(self.max_tokens) > limit {
            return Err(LmError::too_long(format!(
                "the prompt has {} tokens and the answer may have {}, but the model's context holds {limit}; shorten the prompt or lower the token limit to {}",
                prompt.len(),
                self.max_tokens,
                limit.saturating_sub(prompt.len()),
            ))
            .into());
        }
        Ok(())
    }
}
