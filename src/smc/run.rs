//! The loop of a run: step, weigh, resample.

use super::{ParticleSystem, SmcError, SmcOptions, Stream};
use crate::log_math::{log_mean_exp, log_sum_exp, normalized};

/// What a run gives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SmcRun<P> {
    /// The particles, in their order.
    pub particles: Vec<P>,
    /// Their log-weights in nats. The logarithm of the mean weight is `log_evidence`: not normalised.
    pub log_weights: Vec<f64>,
    /// The logarithm of the estimated evidence, unbiased in the linear domain; `-inf` where all
    /// particles died.
    pub log_evidence: f64,
    /// What happened at each step; where all particles died, the last of them is that step.
    pub steps: Vec<StepRecord>,
}

impl<P> SmcRun<P> {
    /// The step, counted from 0, at which the last particle died; `None` where one survived.
    pub fn died_at(&self) -> Option<usize> {
        (self.log_evidence == f64::NEG_INFINITY).then(|| self.steps.len().saturating_sub(1))
    }
}

/// What happened at one step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepRecord {
    /// The step, counted from 0.
    pub step: usize,
    /// The log-weights after the step and before any resampling, in nats; their log-mean is `log_evidence`.
    pub log_weights: Vec<f64>,
    /// The effective sample size before any resampling, from 0 (all dead) to the number of particles.
    pub ess: f64,
    /// The logarithm of the evidence so far.
    pub log_evidence: f64,
    /// How many particles had not finished after the step.
    pub unfinished: usize,
    /// Where the particles were resampled: for each place, the particle that was copied there.
    pub ancestors: Option<Vec<usize>>,
}

impl StepRecord {
    /// Whether the particles were resampled after this step.
    pub fn resampled(&self) -> bool {
        self.ancestors.is_some()
    }
}

/// Runs `system` until all its particles have finished or died, calling `watch` after each step.
///
/// # Errors
/// If the options have no meaning ([`SmcOptions::problem`]), or those of the system. That all particles
/// died is a result.
///
/// # Panics
/// If the system gives NaN or `+inf` as a log-weight: a bug in it.
pub fn run<S: ParticleSystem>(
    options: &SmcOptions,
    system: &mut S,
    watch: impl FnMut(&StepRecord),
) -> Result<SmcRun<S::Particle>, S::Error> {
    let mut stream = Stream::of_resampling(options.seed);
    run_with(options, system, |weights| options.resampling.ancestors(weights, || stream.uniform()), watch)
}

/// As [`run`], with `resample` in place of the scheme of the options: it is given the normalised weights
/// and must give for each place the particle to copy there, each `i` in the mean n·w_i times.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// As [`run`], and if `resample` gives another number of places or a place outside.
pub fn run_with<S: ParticleSystem>(
    options: &SmcOptions,
    system: &mut S,
    mut resample: impl FnMut(&[f64]) -> Vec<usize>,
    mut watch: impl FnMut(&StepRecord),
) -> Result<SmcRun<S::Particle>, S::Error> {
    if let Some(message) = options.problem() {
        return Err(SmcError::new(message).into());
    }
    let n = options.particles;
    let mut particles = vec![system.start()?; n];
    let mut streams: Vec<Stream> = (0..n).map(|index| Stream::of_particle(options.seed, index)).collect();
    let mut log_weights = vec![0.0; n];
    let mut log_increments = vec![0.0; n];
    let mut steps = Vec::new();
    while particles.iter().zip(&log_weights).any(|(particle, log_weight)| is_unfinished(system, particle, *log_weight)) {
        log_increments.fill(0.0);
        system.step(&mut particles, &mut streams, &mut log_increments)?;
        for (log_weight, log_increment) in log_weights.iter_mut().zip(&log_increments) {
            assert!(*log_increment < f64::INFINITY, "a particle's log-weight changed by {log_increment}");
            *log_weight += log_increment;
        }
        let log_evidence = log_mean_exp(&log_weights);
        let ess = effective_sample_size(&log_weights);
        let unfinished =
            particles.iter().zip(&log_weights).filter(|(particle, log_weight)| is_unfinished(system, particle, **log_weight)).count();
        // Weights that differ by rounding alone are no reason to resample, at a threshold of 1 neither.
        let wanted = ess < options.ess_threshold * n as f64 - 1e-9 * n as f64 && unfinished > 0;
        let ancestors = wanted.then(|| resample(&normalized(&log_weights).expect("an unfinished particle has weight")));
        if let Some(ancestors) = &ancestors {
            assert_eq!(ancestors.len(), n, "a resampling scheme must fill every place");
            particles = ancestors.iter().map(|ancestor| particles[*ancestor].clone()).collect();
        }
        steps.push(StepRecord { step: steps.len(), log_weights: log_weights.clone(), ess, log_evidence, unfinished, ancestors });
        let record = steps.last().expect("it was just pushed");
        if record.resampled() {
            // Each copy carries the mean weight, so that the weights stay those of the whole run.
            log_weights.fill(log_evidence);
        }
        watch(record);
    }
    let log_evidence = log_mean_exp(&log_weights);
    Ok(SmcRun { particles, log_weights, log_evidence, steps })
}

fn is_unfinished<S: ParticleSystem>(system: &S, particle: &S::Particle, log_weight: f64) -> bool {
    log_weight > f64::NEG_INFINITY && !system.is_finished(particle)
}

/// The square of the sum of weights over the sum of their squares; 0 where all are zero.
fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let total = log_sum_exp(log_weights);
    if total == f64::NEG_INFINITY {
        return 0.0;
    }
    1.0 / log_weights.iter().map(|log_weight| (2.0 * (log_weight - total)).exp()).sum::<f64>()
}
