//! The result of a run: weighted answers, the evidence, and how the particles came to be.

use super::record::{Death, ParticleRecord, TokenRecord};
use crate::smc::StepRecord;
use std::collections::HashMap;

/// What a run gives: weighted samples of the model given the constraint, and the evidence.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Posterior {
    /// The distinct texts with their probabilities, most probable first.
    pub answers: Vec<Answer>,
    /// The particles, in their order.
    pub particles: Vec<ParticleRecord>,
    /// The logarithm of the estimated probability that the model, left to itself, writes a text of the
    /// constraint within the token limit; with critics, of that probability with each text's share times the
    /// exponential of its score. Unbiased in the linear domain. `-inf`: all particles died.
    pub log_evidence: f64,
    /// What happened at each step: effective sample size, evidence, resampling, ancestors.
    pub steps: Vec<StepRecord>,
    /// Where particles died, those first that died last; at most [`Posterior::MAX_DEATHS`].
    pub deaths: Vec<Death>,
    /// Every token that was drawn, by step and particle, those of particles that died or were not copied
    /// at a resampling included; `None` unless
    /// [`keep_history`](super::ConstrainedDecoding::keep_history) asked for it.
    pub history: Option<Vec<TokenRecord>>,
    /// How many tokens were drawn, those of particles that died or were lost at a resampling included.
    pub draws: u64,
    /// How often the constraint was asked about a single token for these draws.
    pub checks: u64,
}

/// What a run tells at its end besides its particles.
pub(super) struct Told {
    pub(super) deaths: Vec<Death>,
    pub(super) history: Option<Vec<TokenRecord>>,
    pub(super) draws: u64,
    pub(super) checks: u64,
}

/// A distinct text among the particles.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The text.
    pub text: Vec<u8>,
    /// Its posterior probability as the particles estimate it: the sum of their weights.
    pub probability: f64,
    /// The particles that wrote it, heaviest first.
    pub particles: Vec<usize>,
}

impl Answer {
    /// The text, with bytes that are no UTF-8 replaced.
    pub fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

impl Posterior {
    /// The most deaths kept for the report.
    pub const MAX_DEATHS: usize = 8;

    pub(super) fn new(
        particles: Vec<ParticleRecord>,
        log_evidence: f64,
        steps: Vec<StepRecord>,
        Told { deaths, history, draws, checks }: Told,
    ) -> Self {
        Self { answers: answers(&particles), particles, log_evidence, steps, deaths, history, draws, checks }
    }

    /// The answer of largest posterior probability; `None` where all particles died.
    pub fn best(&self) -> Option<&Answer> {
        self.answers.first()
    }

    /// The probability that the model, left to itself, answers validly within the token limit.
    pub fn evidence(&self) -> f64 {
        self.log_evidence.exp()
    }

    /// Whether all particles died: no text of the constraint was found.
    pub fn is_impossible(&self) -> bool {
        self.answers.is_empty()
    }

    /// The log-probability of a particle's tokens under the model given the constraint, critics included.
    pub fn posterior_log_prob(&self, particle: &ParticleRecord) -> f64 {
        particle.sampler_log_prob() + particle.log_score - self.log_evidence
    }

    /// The particle whose tokens are most probable under the model given the constraint, critics included:
    /// the maximum a posteriori among those found. [`Posterior::best`] looks at the weight of whole texts
    /// instead. `None` where all particles died.
    pub fn most_probable(&self) -> Option<&ParticleRecord> {
        let alive = self.particles.iter().filter(|particle| particle.weight > 0.0);
        // The first of equals, so that the order of particles decides.
        alive.reduce(|best, other| if self.posterior_log_prob(other) > self.posterior_log_prob(best) { other } else { best })
    }

    /// The effective sample size of the final weights; 0 where all particles died.
    pub fn ess(&self) -> f64 {
        let squares: f64 = self.particles.iter().map(|particle| particle.weight * particle.weight).sum();
        if squares > 0.0 { 1.0 / squares } else { 0.0 }
    }
}

fn answers(particles: &[ParticleRecord]) -> Vec<Answer> {
    let mut by_text: HashMap<Vec<u8>, Answer> = HashMap::new();
    for (index, particle) in particles.iter().enumerate().filter(|(_, particle)| particle.weight > 0.0) {
        let answer = by_text.entry(particle.text()).or_insert_with_key(|text| Answer {
            text: text.clone(),
            probability: 0.0,
            particles: Vec::new(),
        });
        answer.probability += particle.weight;
        answer.particles.push(index);
    }
    let mut answers: Vec<Answer> = by_text.into_values().collect();
    for answer in &mut answers {
        answer.particles.sort_by(|a, b| particles[*b].weight.total_cmp(&particles[*a].weight).then(a.cmp(b)));
    }
    // Ties are broken by text, so that the order never depends on the hash map's.
    answers.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.text.cmp(&b.text)));
    answers
}
