//! The particles' law, proved by going along every random choice, those of the tokens and those of
//! resampling: for every scheme and threshold the evidence and the weight of every text are right in
//! the mean.

#[path = "common/enumeration.rs"]
mod enumeration;
#[path = "common/words.rs"]
mod words;

use enumeration::{Branches, TreeWalk};
use std::collections::BTreeMap;
use tamis::constraint::Constraint;
use tamis::lm::{LanguageModel, LmError, TableContext, TableLm};
use tamis::sampler::{Awrs, DesRaj, Direct, Draw, LabelCache, Masked, TokenSampler};
use tamis::smc::{self, ConditionalRun, ParticleSystem, Resampling, SmcError, SmcOptions, SmcRun, Stream};
use tamis::vocab::{Token, TokenId, Vocabulary};
use words::Words;

const SCHEMES: [Resampling; 4] = [Resampling::Multinomial, Resampling::Residual, Resampling::Stratified, Resampling::Systematic];

/// A toy model whose rows differ by what was written, so that weights differ between particles.
fn model() -> TableLm {
    let vocabulary = Vocabulary::new([Token::Text(b"a".to_vec()), Token::Text(b"b".to_vec()), Token::End]).unwrap();
    let rows = [vec![0.2, 0.7, 0.1], vec![0.1, 0.5, 0.4], vec![0.0, 0.0, 1.0]];
    TableLm::markov(vocabulary, &[0.6, 0.3, 0.1], &rows).unwrap()
}

/// `ab` needs a likely token after a likely one, `aa` an unlikely one, `b` an early end.
fn constraint() -> Words {
    Words(vec![b"ab", b"aa", b"b"])
}

const MAX_TOKENS: usize = 2;

/// Where a particle's randomness comes from: its stream, or every branch.
enum Randomness {
    Streams,
    Every(Branches),
}

struct System<'a> {
    model: TableLm,
    constraint: Words,
    sampler: &'a dyn TokenSampler,
    labels: LabelCache<Words>,
    randomness: Randomness,
}

#[derive(Clone, Debug)]
struct Particle {
    context: TableContext,
    state: Vec<u8>,
    finished: bool,
}

#[derive(Debug)]
struct Failure;

impl From<SmcError> for Failure {
    fn from(_: SmcError) -> Self {
        Self
    }
}

impl From<LmError> for Failure {
    fn from(_: LmError) -> Self {
        Self
    }
}

impl<'a> System<'a> {
    fn new(sampler: &'a dyn TokenSampler, randomness: Randomness) -> Self {
        Self { model: model(), constraint: constraint(), sampler, labels: LabelCache::default(), randomness }
    }
}

impl ParticleSystem for System<'_> {
    type Particle = Particle;
    type Error = Failure;

    fn start(&mut self) -> Result<Particle, Failure> {
        Ok(Particle { context: self.model.prefill(&[])?, state: self.constraint.start(), finished: false })
    }

    fn step(&mut self, particles: &mut [Particle], streams: &mut [Stream], log_increments: &mut [f64]) -> Result<(), Failure> {
        for ((particle, stream), log_increment) in particles.iter_mut().zip(streams).zip(log_increments) {
            if particle.finished {
                continue;
            }
            assert_eq!(*log_increment, 0.0);
            let row = self.model.next_token(&particle.context)?;
            let only_ends = particle.context.tokens().len() == MAX_TOKENS;
            let vocabulary = self.model.vocabulary().clone();
            let mut labels = self.labels.labels(&self.constraint, &vocabulary, &particle.state, only_ends);
            let drawn = match &self.randomness {
                Randomness::Streams => self.sampler.draw(&row, &mut labels, stream),
                Randomness::Every(branches) => {
                    let probs: Vec<f64> = row.probs().collect();
                    self.sampler.draw_along(&mut TreeWalk::new(&probs, branches), &mut labels)
                }
            };
            let Draw::Token { token, log_weight, .. } = drawn else {
                particle.finished = true;
                *log_increment = f64::NEG_INFINITY;
                continue;
            };
            *log_increment = log_weight;
            match vocabulary.bytes(token) {
                Some(bytes) => {
                    particle.state = self.constraint.advance(&particle.state, bytes).expect("only allowed tokens are drawn");
                    particle.context = self.model.extend(&[(particle.context.clone(), token)])?.remove(0);
                }
                None => particle.finished = true,
            }
        }
        Ok(())
    }

    fn is_finished(&self, particle: &Particle) -> bool {
        particle.finished
    }
}

/// The probability of each text of the constraint.
fn truth() -> BTreeMap<Vec<u8>, f64> {
    let (model, constraint) = (model(), constraint());
    let is_complete = |text: &[u8]| constraint.may_end(&text.to_vec());
    let texts = model.complete_texts(&[], MAX_TOKENS, |_| true, is_complete).unwrap();
    texts.into_iter().map(|(tokens, probability)| (model.vocabulary().text(&tokens), probability)).collect()
}

/// Where the ancestors that a scheme draws from these weights change with the number drawn `draw`-th.
fn breakpoints(scheme: Resampling, weights: &[f64], draw: usize) -> Vec<f64> {
    let n = weights.len() as f64;
    let sums = |weights: &[f64]| {
        let total: f64 = weights.iter().sum();
        weights
            .iter()
            .scan(0.0, move |sum, weight| {
                *sum += weight / total;
                Some(*sum)
            })
            .collect::<Vec<f64>>()
    };
    match scheme {
        Resampling::Multinomial => sums(weights),
        Resampling::Systematic => sums(weights).iter().map(|sum| (sum * n).fract()).collect(),
        Resampling::Stratified => sums(weights).iter().map(|sum| sum * n - draw as f64).collect(),
        Resampling::Residual => sums(&weights.iter().map(|weight| (weight * n).fract()).collect::<Vec<f64>>()),
        _ => unreachable!("all schemes are listed"),
    }
}

fn every_ancestors(scheme: Resampling, weights: &[f64], branches: &Branches) -> Vec<usize> {
    let mut draw = 0;
    scheme.ancestors(weights, || {
        draw += 1;
        branches.uniform(breakpoints(scheme, weights, draw - 1))
    })
}

/// A run's estimate of the evidence that belongs to each text.
fn evidence_by_text(run: &SmcRun<Particle>) -> BTreeMap<Vec<u8>, f64> {
    let mut by_text = BTreeMap::new();
    for (particle, log_weight) in run.particles.iter().zip(&run.log_weights) {
        if *log_weight > f64::NEG_INFINITY {
            *by_text.entry(particle.state.clone()).or_insert(0.0) += log_weight.exp() / run.particles.len() as f64;
        }
    }
    by_text
}

fn options(particles: usize, ess_threshold: f64, resampling: Resampling, seed: u64) -> SmcOptions {
    let mut options = SmcOptions::default();
    (options.particles, options.ess_threshold, options.resampling, options.seed) = (particles, ess_threshold, resampling, seed);
    options
}

/// E[evidence], and E[its part that belongs to each text], over every branch; and how many branches resampled.
fn expected(sampler: &dyn TokenSampler, options: &SmcOptions) -> (f64, BTreeMap<Vec<u8>, f64>, usize) {
    let (mut evidence, mut by_text, mut resampled, mut total) = (0.0, BTreeMap::new(), 0, 0.0);
    Branches::explore(
        |branches| {
            let mut system = System::new(sampler, Randomness::Every(branches.clone()));
            smc::run_with(options, &mut system, |weights| every_ancestors(options.resampling, weights, branches), |_| {}).unwrap()
        },
        |probability, run| {
            total += probability;
            evidence += probability * run.log_evidence.exp();
            resampled += run.steps.iter().filter(|step| step.resampled()).count();
            for (text, mass) in evidence_by_text(&run) {
                *by_text.entry(text).or_insert(0.0) += probability * mass;
            }
        },
    );
    assert!((total - 1.0).abs() < 1e-10, "the branches' probabilities sum to {total}");
    (evidence, by_text, resampled)
}

fn assert_law(sampler: &dyn TokenSampler, options: &SmcOptions) -> usize {
    let truth = truth();
    let (evidence, by_text, resampled) = expected(sampler, options);
    assert!((evidence - truth.values().sum::<f64>()).abs() < 1e-10, "{options:?}: evidence {evidence}");
    assert_eq!(by_text.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{options:?}");
    for (text, mass) in by_text {
        assert!((mass - truth[&text]).abs() < 1e-10, "{options:?}: {text:?} has {mass}, not {}", truth[&text]);
    }
    resampled
}

#[test]
fn evidence_and_posterior_are_right_in_the_mean_for_every_scheme_and_threshold() {
    for scheme in SCHEMES {
        for threshold in [0.0, 0.5, 0.9, 1.0] {
            for sampler in [&Direct::new() as &dyn TokenSampler, &Masked::new(), &Awrs::new().eps(1.0)] {
                let resampled = assert_law(sampler, &options(2, threshold, scheme, 0));
                assert_eq!(resampled > 0, threshold > 0.5, "{scheme:?} at {threshold}");
            }
        }
    }
}

#[test]
fn one_particle_and_three_obey_the_same_law() {
    for scheme in SCHEMES {
        assert_law(&Direct::new(), &options(1, 1.0, scheme, 0));
        assert_law(&Masked::new(), &options(3, 1.0, scheme, 0));
    }
}

#[test]
fn resampling_copies_each_particle_in_proportion_to_its_weight() {
    for weights in [vec![0.5, 0.5], vec![0.1, 0.6, 0.3], vec![0.0, 1.0, 0.0], vec![0.25, 0.0, 0.25, 0.5], vec![0.7, 0.1, 0.1, 0.1]] {
        for scheme in SCHEMES {
            let n = weights.len();
            let mut copies = vec![0.0; n];
            Branches::explore(
                |branches| every_ancestors(scheme, &weights, branches),
                |probability, ancestors| {
                    assert_eq!(ancestors.len(), n);
                    assert!(ancestors.is_sorted());
                    for (index, weight) in weights.iter().enumerate() {
                        let count = ancestors.iter().filter(|ancestor| **ancestor == index).count();
                        assert!(*weight > 0.0 || count == 0, "{scheme:?} copied a dead particle");
                        if scheme != Resampling::Multinomial && scheme != Resampling::Stratified {
                            assert!(count as f64 > weight * n as f64 - 1.0 - 1e-9, "{scheme:?} gave {count} copies of {weight}");
                        }
                        copies[index] += probability * count as f64;
                    }
                },
            );
            for (copies, weight) in copies.iter().zip(&weights) {
                assert!((copies - weight * n as f64).abs() < 1e-12, "{scheme:?} of {weights:?}: {copies}");
            }
        }
    }
}

#[test]
fn at_fixed_seeds_the_mean_evidence_is_within_four_standard_errors() {
    // Alpha 6e-5 a check, for these seeds decided once and for all.
    let truth: f64 = truth().values().sum();
    for (sampler, threshold) in
        [(&Direct::new() as &dyn TokenSampler, 0.5), (&Masked::new(), 1.0), (&Awrs::default(), 0.0), (&Awrs::new().eps(1.0), 0.9)]
    {
        let estimates: Vec<f64> = (0..4000)
            .map(|seed| {
                let mut system = System::new(sampler, Randomness::Streams);
                smc::run(&options(4, threshold, Resampling::Systematic, seed), &mut system, |_| {}).unwrap().log_evidence.exp()
            })
            .collect();
        let n = estimates.len() as f64;
        let mean = estimates.iter().sum::<f64>() / n;
        let variance = estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((mean - truth).abs() < 4.0 * (variance / n).sqrt(), "{mean} +- {}, not {truth}", (variance / n).sqrt());
    }
}

#[test]
fn a_seed_decides_the_run_and_another_seed_another_run() {
    let run = |seed| {
        let mut watched = Vec::new();
        let sampler = Direct::new();
        let mut system = System::new(&sampler, Randomness::Streams);
        let run = smc::run(&options(16, 0.9, Resampling::Systematic, seed), &mut system, |step| watched.push(step.clone())).unwrap();
        assert_eq!(watched, run.steps);
        let tokens: Vec<Vec<TokenId>> = run.particles.iter().map(|particle| particle.context.tokens().to_vec()).collect();
        (tokens, run.log_weights, run.log_evidence.to_bits(), watched)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn a_trace_tells_evidence_size_and_ancestors() {
    let sampler = Masked::new();
    let mut system = System::new(&sampler, Randomness::Streams);
    let run = smc::run(&options(32, 1.0, Resampling::Systematic, 3), &mut system, |_| {}).unwrap();
    assert_eq!(run.steps.len(), MAX_TOKENS + 1);
    for step in &run.steps {
        assert!(step.ess > 0.0 && step.ess <= 32.0 + 1e-9);
        assert_eq!(step.resampled(), step.ess < 32.0 - 1e-6 && step.unfinished > 0, "{step:?}");
    }
    assert_eq!(run.steps.last().unwrap().unfinished, 0);
    assert_eq!(run.steps.last().unwrap().log_evidence, run.log_evidence);
    assert_eq!(run.died_at(), None);
}

#[test]
fn when_all_particles_die_the_evidence_is_zero_and_the_step_is_told() {
    let sampler = Masked::new();
    let mut system = System::new(&sampler, Randomness::Streams);
    system.constraint = Words(vec![b"bba"]);
    let run = smc::run(&options(4, 0.5, Resampling::Systematic, 0), &mut system, |_| {}).unwrap();
    assert_eq!(run.log_evidence, f64::NEG_INFINITY);
    assert_eq!(run.died_at(), Some(2), "after two tokens only an end is proposed, and there is none");
    assert_eq!(run.steps[2].ess, 0.0);
}

#[test]
fn no_particles_and_a_threshold_outside_of_its_range_are_errors() {
    let sampler = Masked::new();
    let mut system = System::new(&sampler, Randomness::Streams);
    assert!(smc::run(&options(0, 0.5, Resampling::Systematic, 0), &mut system, |_| {}).is_err());
    for threshold in [-0.1, 1.5, f64::NAN] {
        assert!(options(1, threshold, Resampling::Systematic, 0).problem().unwrap().contains("threshold"));
        assert!(smc::run(&options(1, threshold, Resampling::Systematic, 0), &mut system, |_| {}).is_err());
    }
}

#[test]
fn counts_of_copies_have_the_law_of_their_scheme() {
    // Exactly, by going along every random number: the variance of each particle's number of copies, and
    // which numbers can occur at all.
    let weights = [0.1, 0.55, 0.05, 0.3];
    let n = weights.len() as f64;
    for scheme in SCHEMES {
        let mut law = vec![[0.0; 5]; weights.len()];
        Branches::explore(
            |branches| every_ancestors(scheme, &weights, branches),
            |probability, ancestors| {
                for (index, law) in law.iter_mut().enumerate() {
                    law[ancestors.iter().filter(|ancestor| **ancestor == index).count()] += probability;
                }
            },
        );
        for (weight, law) in weights.iter().zip(&law) {
            let mean = weight * n;
            let variance: f64 = law.iter().zip(0..).map(|(probability, count)| probability * (f64::from(count) - mean).powi(2)).sum();
            let rest = mean.fract();
            match scheme {
                Resampling::Multinomial => {
                    for (count, probability) in law.iter().enumerate() {
                        let ways = [1.0, 4.0, 6.0, 4.0, 1.0][count];
                        let exact = ways * weight.powi(count as i32) * (1.0 - weight).powi(4 - count as i32);
                        assert!((probability - exact).abs() < 1e-12, "{weight}: {law:?}");
                    }
                }
                Resampling::Systematic => {
                    // The whole part, or one more.
                    assert!((variance - rest * (1.0 - rest)).abs() < 1e-12, "{weight}: {law:?}");
                    assert!((law[mean.ceil() as usize] - rest).abs() < 1e-12);
                }
                Resampling::Residual => assert!(law[..mean.floor() as usize].iter().all(|probability| *probability == 0.0)),
                Resampling::Stratified => {
                    // Strays by less than two, and varies no more than the multinomial's count.
                    let possible = |count: usize| (count as f64 - mean).abs() < 2.0;
                    assert!(law.iter().enumerate().all(|(count, probability)| possible(count) || *probability == 0.0), "{weight}: {law:?}");
                    assert!(variance <= n * weight * (1.0 - weight) + 1e-12);
                }
                _ => unreachable!("all schemes are listed"),
            }
        }
    }
}

/// Every run of one particle that ends well, with the probability of its choices times its weight, made to
/// sum to one: the distribution that particle Gibbs must leave as it is.
fn trajectories(sampler: &dyn TokenSampler) -> Vec<(f64, ConditionalRun<Particle>)> {
    let mut found = Vec::new();
    Branches::explore(
        |branches| {
            let mut system = System::new(sampler, Randomness::Every(branches.clone()));
            let options = options(1, 0.0, Resampling::Multinomial, 0);
            smc::run_conditional_with(&options, &mut system, None, |_| unreachable!("one particle is not resampled"), |_| {}).unwrap()
        },
        |probability, run| found.push((probability * run.run.log_evidence.exp(), run)),
    );
    found.retain(|(weight, _)| *weight > 0.0);
    let total: f64 = found.iter().map(|(weight, _)| weight).sum();
    found.iter_mut().for_each(|(weight, _)| *weight /= total);
    found
}

#[test]
fn a_sweep_of_particle_gibbs_leaves_the_posterior_as_it_is() {
    let truth = truth();
    let evidence: f64 = truth.values().sum();
    for (sampler, particles) in
        [(&Masked::new() as &dyn TokenSampler, 2), (&Masked::new(), 3), (&Direct::new(), 2), (&DesRaj::recursive(), 2)]
    {
        for threshold in [0.0, 0.9, 1.0] {
            let mut after: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
            let mut resampled = 0;
            for (weight, before) in trajectories(sampler) {
                let kept = before.trajectory(0);
                Branches::explore(
                    |branches| {
                        let mut system = System::new(sampler, Randomness::Every(branches.clone()));
                        let resample = |weights: &[f64]| {
                            let sums = breakpoints(Resampling::Multinomial, weights, 0);
                            smc::conditional_ancestors(weights, || branches.uniform(sums.iter().copied()))
                        };
                        let options = options(particles, threshold, Resampling::Multinomial, 0);
                        smc::run_conditional_with(&options, &mut system, Some(&kept), resample, |_| {}).unwrap()
                    },
                    |probability, run| {
                        resampled += run.run.steps.iter().filter(|step| step.resampled()).count();
                        let total = run.run.log_evidence.exp();
                        for (text, mass) in evidence_by_text(&run.run) {
                            *after.entry(text).or_insert(0.0) += weight * probability * mass / total;
                        }
                    },
                );
            }
            assert_eq!(resampled > 0, threshold > 0.5);
            for (text, probability) in &truth {
                let error = after[text] - probability / evidence;
                assert!(error.abs() < 1e-10, "{particles} particles at {threshold}: {text:?} is off by {error}");
            }
        }
    }
}

#[test]
fn a_chain_of_sweeps_repeats_itself_by_its_seed_and_finds_the_posterior() {
    let truth = truth();
    let evidence: f64 = truth.values().sum();
    let chain = |seed: u64| {
        let sampler = Direct::new();
        let mut system = System::new(&sampler, Randomness::Streams);
        let mut mean: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
        let sweeps = 4_000;
        smc::particle_gibbs(&options(4, 0.5, Resampling::Multinomial, seed), &mut system, sweeps, |_, run| {
            let total = run.log_evidence.exp();
            for (text, mass) in evidence_by_text(&run) {
                *mean.entry(text).or_insert(0.0) += mass / total / sweeps as f64;
            }
        })
        .unwrap();
        mean
    };
    let mean = chain(3);
    for (text, probability) in &truth {
        assert!((mean[text] - probability / evidence).abs() < 0.02, "{text:?}: {} and not {}", mean[text], probability / evidence);
    }
    assert_eq!(chain(3), mean);
    assert_ne!(chain(4), mean);
}

#[test]
fn a_chain_that_cannot_begin_is_one_sweep_and_one_particle_is_no_chain() {
    let sampler = Masked::new();
    let mut system = System::new(&sampler, Randomness::Streams);
    system.constraint = Words(vec![b"bba"]);
    let mut sweeps = 0;
    smc::particle_gibbs(&options(4, 0.5, Resampling::Multinomial, 0), &mut system, 9, |_, run| {
        sweeps += 1;
        assert_eq!(run.log_evidence, f64::NEG_INFINITY);
    })
    .unwrap();
    assert_eq!(sweeps, 1);
    assert!(smc::particle_gibbs(&options(1, 0.5, Resampling::Multinomial, 0), &mut system, 9, |_, _| {}).is_err());
}
