//! Conditional SMC: runs in which one trajectory is kept, and the chain that they make.
//!
//! A run of few particles is biased as a sample: only its evidence is right in the mean. *Particle Gibbs*
//! (Andrieu, Doucet and Holenstein 2010, "Particle Markov chain Monte Carlo methods") repairs that by
//! repetition. Each sweep is a run in which the first place is held by the trajectory that the sweep before
//! chose, with the weights it had then; at the end one of the particles is chosen by its weight and becomes
//! the trajectory of the next. The chain of chosen trajectories leaves the posterior as it is, for any
//! number of particles from two on, and so converges to it (`tests/smc_laws.rs` proves the invariance by
//! enumeration, weights that are themselves random included).
//!
//! Places are resampled by the multinomial scheme, for which keeping one ancestor is plainly right: the
//! other places are drawn as if there were no such rule.

use super::resampling::with_replacement;
use super::{ParticleSystem, Resampling, SmcOptions, SmcRun, StepRecord, Stream, run_with};
use std::sync::Arc;

/// A particle's whole way: what it was after each step, and by how much its log-weight changed.
#[derive(Clone, Debug)]
pub struct Trajectory<P> {
    steps: Vec<(P, f64)>,
}

/// A run that remembers its particles' ways.
#[derive(Clone, Debug)]
pub struct ConditionalRun<P> {
    /// The run. Its evidence is unbiased where no trajectory was kept, and not otherwise.
    pub run: SmcRun<P>,
    trails: Vec<Trail<P>>,
}

impl<P: Clone> ConditionalRun<P> {
    /// The way of the particle at `index`.
    pub fn trajectory(&self, index: usize) -> Trajectory<P> {
        let mut steps = Vec::new();
        let mut at = &self.trails[index];
        while let Some(link) = &at.0 {
            steps.push((link.particle.clone(), link.log_increment));
            at = &link.before;
        }
        steps.reverse();
        Trajectory { steps }
    }
}

/// Runs `sweeps` sweeps of particle Gibbs, calling `found` with each one's run. The first is an ordinary
/// run, whose scheme of resampling is always multinomial here; if all its particles die, the chain cannot
/// begin, and it is the last.
///
/// To estimate a mean under the posterior, average the weighted particles over the sweeps, leaving out
/// those that still remember how the chain began.
///
/// # Errors
/// As [`super::run()`], and if there are fewer than 2 particles.
///
/// # Panics
/// As [`super::run()`].
pub fn particle_gibbs<S: ParticleSystem>(
    options: &SmcOptions,
    system: &mut S,
    sweeps: usize,
    mut found: impl FnMut(&mut S, SmcRun<S::Particle>),
) -> Result<(), S::Error> {
    if options.particles < 2 {
        return Err(super::SmcError::new("particle Gibbs needs at least 2 particles: one is kept as it was").into());
    }
    let mut kept: Option<Trajectory<S::Particle>> = None;
    for sweep in 0..sweeps {
        let mut options = options.clone();
        options.seed = Stream::seed_of_sweep(options.seed, sweep);
        let mut stream = Stream::of_resampling(options.seed);
        let is_first = kept.is_none();
        let resample = |weights: &[f64]| match is_first {
            true => Resampling::Multinomial.ancestors(weights, || stream.uniform()),
            false => conditional_ancestors(weights, || stream.uniform()),
        };
        let done = run_conditional_with(&options, system, kept.as_ref(), resample, |_| {})?;
        let Some(weights) = crate::log_math::normalized(&done.run.log_weights) else {
            found(system, done.run);
            return Ok(());
        };
        let chosen = with_replacement(1, &weights, || stream.uniform())[0];
        kept = Some(done.trajectory(chosen));
        found(system, done.run);
    }
    Ok(())
}

/// As [`run_with`], with `kept`, if given, in the first place: it goes its way again with the weights it had.
/// `resample` must then give 0 for the first place ([`conditional_ancestors`] does).
///
/// # Errors
/// As [`run_with`].
///
/// # Panics
/// As [`run_with`], and if `resample` gives another ancestor for the first place where one is kept.
pub fn run_conditional_with<S: ParticleSystem>(
    options: &SmcOptions,
    system: &mut S,
    kept: Option<&Trajectory<S::Particle>>,
    mut resample: impl FnMut(&[f64]) -> Vec<usize>,
    watch: impl FnMut(&StepRecord),
) -> Result<ConditionalRun<S::Particle>, S::Error> {
    let mut conditional = Conditional { system, kept, step: 0 };
    let resample = |weights: &[f64]| {
        let ancestors = resample(weights);
        assert!(kept.is_none() || ancestors[0] == 0, "the kept trajectory must go on in the first place");
        ancestors
    };
    let SmcRun { particles, log_weights, log_evidence, steps } = run_with(options, &mut conditional, resample, watch)?;
    let (particles, trails) = particles.into_iter().map(|traced| (traced.particle, traced.trail)).unzip();
    Ok(ConditionalRun { run: SmcRun { particles, log_weights, log_evidence, steps }, trails })
}

/// Ancestors by the multinomial scheme, but the first place keeps its own.
///
/// # Panics
/// If no weight is positive.
pub fn conditional_ancestors(weights: &[f64], uniform: impl FnMut() -> f64) -> Vec<usize> {
    let mut ancestors = vec![0];
    ancestors.extend(with_replacement(weights.len() - 1, weights, uniform));
    ancestors
}

/// The steps of one particle, newest first; particles with a common past share it.
#[derive(Clone, Debug)]
struct Trail<P>(Option<Arc<Link<P>>>);

#[derive(Debug)]
struct Link<P> {
    particle: P,
    log_increment: f64,
    before: Trail<P>,
}

impl<P> Drop for Trail<P> {
    /// Link by link: the derived drop would recurse once a step.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(link) = next {
            next = Arc::into_inner(link).and_then(|mut link| link.before.0.take());
        }
    }
}

#[derive(Clone)]
struct Traced<P> {
    particle: P,
    trail: Trail<P>,
}

/// A system whose particles remember their ways, and whose first one goes the kept one's.
struct Conditional<'a, S: ParticleSystem> {
    system: &'a mut S,
    kept: Option<&'a Trajectory<S::Particle>>,
    step: usize,
}

impl<S: ParticleSystem> ParticleSystem for Conditional<'_, S> {
    type Particle = Traced<S::Particle>;
    type Error = S::Error;

    fn start(&mut self) -> Result<Self::Particle, S::Error> {
        Ok(Traced { particle: self.system.start()?, trail: Trail(None) })
    }

    fn step(&mut self, particles: &mut [Self::Particle], streams: &mut [Stream], log_increments: &mut [f64]) -> Result<(), S::Error> {
        let mut inner: Vec<S::Particle> = particles.iter().map(|traced| traced.particle.clone()).collect();
        let moving: Vec<bool> = inner.iter().map(|particle| !self.system.is_finished(particle)).collect();
        let free = usize::from(self.kept.is_some());
        self.system.step(&mut inner[free..], &mut streams[free..], &mut log_increments[free..])?;
        if let Some((particle, log_increment)) = self.kept.and_then(|kept| kept.steps.get(self.step)) {
            (inner[0], log_increments[0]) = (particle.clone(), *log_increment);
        }
        self.step += 1;
        let stepped = inner.into_iter().zip(moving).zip(log_increments.iter());
        for (traced, ((particle, moved), log_increment)) in particles.iter_mut().zip(stepped) {
            traced.particle = particle;
            if moved {
                let link = Link { particle: traced.particle.clone(), log_increment: *log_increment, before: traced.trail.clone() };
                traced.trail = Trail(Some(Arc::new(link)));
            }
        }
        Ok(())
    }

    fn is_finished(&self, particle: &Self::Particle) -> bool {
        self.system.is_finished(&particle.particle)
    }
}
