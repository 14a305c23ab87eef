//! Sequential Monte Carlo: particles, their weights, and resampling.
//!
//! A [`ParticleSystem`] knows how to start a particle and how to take all of them one step further,
//! saying by how much each one's log-weight changed. [`run()`] does the rest: it carries the weights,
//! estimates the evidence, and when the effective sample size falls below a threshold replaces the
//! particles by copies drawn in proportion to their weights. What a particle is made of is no matter
//! here: this layer knows neither tokens nor models.
//!
//! The laws (`tests/smc_laws.rs` proves them by enumeration): if the system's increments are properly
//! weighted, then for every resampling scheme, threshold and number of particles the evidence is
//! unbiased in the linear domain, and so is the sum of weight times f over the particles for every f.
//! The threshold may depend on the weights, because a decision made from the past alone cannot bend a
//! mean. Seed and system decide every bit of the result.
//!
//! `resampling.rs` has the schemes, `streams.rs` the randomness, `run.rs` the loop, `conditional.rs` the
//! chain of runs that keep a trajectory (particle Gibbs).

mod conditional;
mod resampling;
mod run;
mod streams;

pub use conditional::{ConditionalRun, Trajectory, conditional_ancestors, particle_gibbs, run_conditional_with};
pub use resampling::Resampling;
pub use run::{SmcRun, StepRecord, run, run_with};
pub use streams::Stream;

use std::fmt;

/// Particles that can be taken one step further.
pub trait ParticleSystem {
    /// One particle; a clone is a fork and should be cheap.
    type Particle: Clone;

    /// What may go wrong in a step, unusable options of the run included.
    type Error: From<SmcError>;

    /// A particle before its first step. All particles of a run are clones of one.
    ///
    /// # Errors
    /// The system's own.
    fn start(&mut self) -> Result<Self::Particle, Self::Error>;

    /// Takes all unfinished particles one step further; finished ones are to be left alone.
    ///
    /// Particle `i` draws from `streams[i]` and nothing else, and adds its change of log-weight to
    /// `log_increments[i]`, which is 0 at entry; `-inf` means that it died. The three slices are of one
    /// length.
    ///
    /// # Errors
    /// The system's own; the run ends with them.
    fn step(&mut self, particles: &mut [Self::Particle], streams: &mut [Stream], log_increments: &mut [f64]) -> Result<(), Self::Error>;

    /// Whether the particle takes no further steps. A run ends when all have finished, so that every
    /// particle must, some time. A particle that died counts as finished, whatever this says.
    fn is_finished(&self, particle: &Self::Particle) -> bool;
}

/// How a run is made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SmcOptions {
    /// The number of particles, at least 1.
    pub particles: usize,
    /// Resample when the effective sample size is below this fraction of the particles: 0 never does
    /// (importance sampling), 1 does whenever the weights differ.
    pub ess_threshold: f64,
    /// How.
    pub resampling: Resampling,
    /// With the system, it decides the result.
    pub seed: u64,
}

impl Default for SmcOptions {
    /// 8 particles, resampled by the systematic scheme when the effective sample size falls below half,
    /// seed 0.
    fn default() -> Self {
        Self { particles: 8, ess_threshold: 0.5, resampling: Resampling::Systematic, seed: 0 }
    }
}

impl SmcOptions {
    /// What is wrong with the options, in words; `None` where they can be used.
    pub fn problem(&self) -> Option<String> {
        if self.particles == 0 {
            return Some("there must be at least 1 particle, not 0".into());
        }
        if !(0.0..=1.0).contains(&self.ess_threshold) {
            return Some(format!("the ESS threshold is a fraction of the particles, between 0 and 1, not {}", self.ess_threshold));
        }
        None
    }
}

/// The options of a run have no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmcError {
    message: String,
}

impl SmcError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for SmcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SmcError {}
