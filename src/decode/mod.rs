//! Where model, sampler, constraint and particles meet.
//!
//! [`ConstrainedDecoding`] draws a [`Posterior`]: at each step the model extends all particles in one
//! batch, the sampler draws each particle's token under the constraint, and the particle layer
//! ([`crate::smc`]) weighs and resamples. A token is given to the model only when its particle has
//! survived the resampling after it, and particles that took the same token from the same context are
//! extended once.
//!
//! The target is the model given the constraint *and* at most `max_tokens` tokens of text: after the
//! last of them only the end is proposed, with its probability as the weight. A particle that can no
//! longer end within them dies at once. [`critic`]s change the target further, a [`Proposal`] and twists
//! only how it is found.
//!
//! `step.rs` is the step and `particle.rs` what it works on; `filtered.rs` joins a rule on tokens to the
//! constraint's labels; `record.rs` is what is kept of each token (and `alternatives.rs` of what else could
//! have come), `posterior.rs` the result, `watch.rs` what can be seen meanwhile.

mod alternatives;
pub mod critic;
mod draft;
mod error;
mod filtered;
mod particle;
mod posterior;
mod proposal;
mod record;
mod second_model;
mod step;
mod watch;

pub use alternatives::Alternative;
pub use draft::Draft;
pub use error::DecodeError;
pub use posterior::{Answer, Posterior};
pub use proposal::{ModelProposal, Proposal, Propose};
pub use record::{Death, ParticleRecord, TokenRecord};
pub use watch::Glimpse;

use crate::constraint::{Constraint, Product};
use crate::lm::{LanguageModel, LmError};
use crate::log_math::normalized;
use crate::next_token::Truncation;
use crate::sampler::{Awrs, Direct, LabelCache, TokenSampler};
use crate::smc::{self, ParticleSystem, Resampling, SmcOptions, SmcRun};
use crate::vocab::{TokenFilter, TokenId};
use critic::Critic;
use step::{Decoder, Memory};

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
    critics: Vec<Box<dyn Critic>>,
    proposal: Option<Box<dyn Proposal>>,
    token_filter: Option<Box<dyn TokenFilter>>,
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
            critics: Vec::new(),
            proposal: None,
            token_filter: None,
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

    /// How particles are resampled.
    #[must_use]
    pub fn resampling(mut self, scheme: Resampling) -> Self {
        self.smc.resampling = scheme;
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

    /// Adds a critic; the scores of several are added up.
    #[must_use]
    pub fn critic(mut self, critic: impl Critic + 'static) -> Self {
        self.critics.push(Box::new(critic));
        self
    }

    /// Where tokens are proposed from in place of the model. The target stays the model's.
    #[must_use]
    pub fn proposal(mut self, proposal: impl Proposal + 'static) -> Self {
        self.proposal = Some(Box::new(proposal));
        self
    }

    /// Only answers whose tokens pass this filter: those that the tokenizer itself would write
    /// ([`crate::vocab::Canonical`]). It belongs to the target, as the constraint does. Masks are not used
    /// where there is one.
    #[must_use]
    pub fn token_filter(mut self, filter: impl TokenFilter + 'static) -> Self {
        self.token_filter = Some(Box::new(filter));
        self
    }

    /// Draws the posterior for what `model` writes after `prompt`.
    ///
    /// # Errors
    /// If the options have no meaning, the prompt and the answer do not fit into the model's context, the
    /// model fails, or a fallible constraint, a critic or a proposal does. That all particles died is a result
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
        watch: impl FnMut(&Glimpse<'_>),
    ) -> Result<Posterior, DecodeError> {
        self.run_with_labels(model, prompt, &mut LabelCache::default(), watch)
    }

    /// The same, with the labels that earlier runs learnt, which this one adds to.
    ///
    /// Runs of one constraint and one vocabulary save each other most questions so. The result is as properly
    /// weighted as without, but depends on what was learnt before: to repeat a run to the byte, begin it
    /// with the same labels.
    ///
    /// # Errors
    /// As [`ConstrainedDecoding::run`].
    pub fn run_with_labels<L: LanguageModel>(
        &self,
        model: &mut L,
        prompt: &[TokenId],
        labels: &mut LabelCache<C>,
        mut watch: impl FnMut(&Glimpse<'_>),
    ) -> Result<Posterior, DecodeError> {
        self.validate(model, prompt)?;
        let seen = watch::Seen::default();
        let mut system = Decoder::new(self, model, prompt, Memory::Shared(labels), seen.clone());
        let run = smc::run(&self.smc, &mut system, |step| watch(&Glimpse::new(step, &seen)))?;
        Ok(posterior(&mut system, run))
    }

    /// The posteriors of a chain of runs ([`smc::particle_gibbs`]), each of which keeps one particle of the
    /// one before. A mean over them, without the first few, converges with their number alone, however few
    /// particles each has. All but the first's evidence is biased. Fewer than `sweeps` where all particles of
    /// the first died.
    ///
    /// Resampling is multinomial, and nothing is learnt from draw to draw, so that all weights are of one
    /// law: each draw costs more questions than in [`ConstrainedDecoding::run`].
    ///
    /// # Errors
    /// As [`ConstrainedDecoding::run`], and if there are fewer than 2 particles.
    pub fn run_chain<L: LanguageModel>(&self, model: &mut L, prompt: &[TokenId], sweeps: usize) -> Result<Vec<Posterior>, DecodeError> {
        self.validate(model, prompt)?;
        let mut system = Decoder::new(self, model, prompt, Memory::Nothing, watch::Seen::default());
        let mut posteriors = Vec::with_capacity(sweeps);
        smc::particle_gibbs(&self.smc, &mut system, sweeps, |system, run| posteriors.push(posterior(system, run)))?;
        Ok(posteriors)
    }

    fn validate<L: LanguageModel>(&self, model: &L, prompt: &[TokenId]) -> Result<(), DecodeError> {
        if let Some(problem) = self.smc.problem() {
            return Err(DecodeError::options(problem));
        }
        if let Some(problem) = self.truncation.problem() {
            return Err(DecodeError::options(problem));
        }
        let (limit, length) = (model.context_length(), prompt.len());
        if length >= limit {
            let problem =
                format!("the prompt has {length} tokens, but the model's context holds {limit}, the answer included; shorten the prompt");
            return Err(LmError::too_long(problem).into());
        }
        if length.saturating_add(self.max_tokens) > limit {
            return Err(LmError::too_long(format!(
                "the prompt has {length} tokens and the answer may have {}, but the model's context holds {limit}; shorten the prompt or lower the token limit to {}",
                self.max_tokens,
                limit - length,
            ))
            .into());
        }
        Ok(())
    }
}

impl ConstrainedDecoding<Product> {
    /// Texts of the model alone, judged when they are complete: the baseline that constraints are measured
    /// against. With [`critic::Satisfies`] as the critic the target is that of a run under its constraint.
    pub fn sample_and_rerank(critic: impl Critic + 'static) -> Self {
        Self::new(Product::new([])).sampler(Direct::new()).ess_threshold(0.0).critic(critic)
    }
}

/// The result of a run.
fn posterior<C, L>(system: &mut Decoder<'_, C, L>, run: SmcRun<<Decoder<'_, C, L> as ParticleSystem>::Particle>) -> Posterior
where
    C: Constraint,
    L: LanguageModel,
{
    let weights = normalized(&run.log_weights).unwrap_or_else(|| vec![0.0; run.log_weights.len()]);
    let particles = run.particles.iter().zip(weights).map(|(particle, weight)| particle.record(weight)).collect();
    Posterior::new(particles, run.log_evidence, run.steps, system.told())
}
