//! Whole runs on a toy model against the answer by enumeration: the evidence, the posterior, the length
//! rule, and what a run says when nothing can be drawn.

#[path = "common/toy.rs"]
mod toy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tamis::lm::LmError;
use tamis::next_token::NextToken;
use tamis::prelude::*;
use tamis::sampler::{Awrs, Direct, Masked, TokenSampler};
use tamis::vocab::{TokenId, Vocabulary};
use toy::{MAX_TOKENS, PATTERN, model, row, vocabulary};

/// The probability of each text of the constraint in at most `MAX_TOKENS` tokens, each row changed by
/// `change` first.
fn exact(change: impl Fn(Vec<f64>) -> Vec<f64>) -> BTreeMap<Vec<u8>, f64> {
    let (constraint, vocabulary) = (Regex::new(PATTERN).unwrap(), vocabulary());
    let mut found = BTreeMap::new();
    let mut open = vec![(Vec::new(), 1.0)];
    while let Some((tokens, probability)) = open.pop() {
        let row = change(row(&tokens));
        let text = vocabulary.text(&tokens);
        if constraint.advance(&constraint.start(), &text).is_some_and(|state| constraint.may_end(&state)) {
            *found.entry(text).or_insert(0.0) += probability * row[3];
        }
        if tokens.len() < MAX_TOKENS {
            for token in 0..3 {
                let longer: Vec<TokenId> = tokens.iter().copied().chain([TokenId::new(token)]).collect();
                open.push((longer, probability * row[token as usize]));
            }
        }
    }
    found
}

fn run(sampler: impl TokenSampler + 'static) -> ConstrainedDecoding<Regex> {
    ConstrainedDecoding::new(Regex::new(PATTERN).unwrap()).sampler(sampler).max_tokens(MAX_TOKENS)
}

/// Evidence times posterior is unbiased for the joint probability of every text, so the mean over seeds
/// must lie within four and a half standard errors of it (about 1e-5 a comparison, some 60 of them).
fn assert_unbiased(name: &str, exact: &BTreeMap<Vec<u8>, f64>, draw: impl Fn(u64) -> Posterior) {
    const SEEDS: u64 = 4_000;
    let mut sums: BTreeMap<Vec<u8>, (f64, f64)> = exact.keys().map(|text| (text.clone(), (0.0, 0.0))).collect();
    for seed in 0..SEEDS {
        let posterior = draw(seed);
        for answer in &posterior.answers {
            let estimate = posterior.evidence() * answer.probability;
            let sum = sums.get_mut(&answer.text).unwrap_or_else(|| panic!("{name}: {:?} is not in the constraint", answer.text_lossy()));
            sum.0 += estimate;
            sum.1 += estimate * estimate;
        }
    }
    for (text, (sum, squares)) in sums {
        let (mean, exact) = (sum / SEEDS as f64, exact[&text]);
        let error = ((squares / SEEDS as f64 - mean * mean).max(0.0) / SEEDS as f64).sqrt();
        assert!(
            (mean - exact).abs() <= 4.5 * error + 1e-12,
            "{name}: {}: {mean} +- {error}, exactly {exact}",
            String::from_utf8_lossy(&text)
        );
    }
}

#[test]
fn evidence_times_posterior_is_unbiased_for_every_sampler_and_threshold() {
    let exact = exact(|row| row);
    for threshold in [0.0, 0.5, 1.0] {
        let draw =
            |run: ConstrainedDecoding<Regex>, seed| run.particles(3).ess_threshold(threshold).seed(seed).run(&mut model(), &[]).unwrap();
        assert_unbiased("awrs", &exact, |seed| draw(run(Awrs::default()), seed));
        assert_unbiased("masked", &exact, |seed| draw(run(Masked::default()), seed));
        assert_unbiased("direct", &exact, |seed| draw(run(Direct::default()), seed));
    }
}

#[test]
fn one_particle_is_plain_constrained_sampling_with_a_weight() {
    let exact = exact(|row| row);
    assert_unbiased("one particle", &exact, |seed| run(Awrs::default()).particles(1).seed(seed).run(&mut model(), &[]).unwrap());
}

/// Squares the probabilities (temperature 1/2), then keeps the likeliest that reach 0.9.
fn tempered(row: Vec<f64>) -> Vec<f64> {
    let squares: Vec<f64> = row.iter().map(|p| p * p).collect();
    let total: f64 = squares.iter().sum();
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| squares[*b].total_cmp(&squares[*a]).then(a.cmp(b)));
    let (mut kept, mut reached) = (vec![0.0; row.len()], 0.0);
    for token in order {
        if reached < 0.9 {
            kept[token] = squares[token] / total;
            reached += kept[token];
        }
    }
    kept.iter().map(|p| p / reached).collect()
}

fn truncation(temperature: f64, top_p: f64) -> Truncation {
    let mut truncation = Truncation::default();
    truncation.temperature = temperature;
    truncation.top_p = top_p;
    truncation
}

#[test]
fn temperature_and_top_p_change_the_target_and_the_record_keeps_both_log_probabilities() {
    let exact = exact(tempered);
    let draw = |seed| run(Awrs::default()).truncation(truncation(0.5, 0.9)).particles(2).seed(seed).run(&mut model(), &[]).unwrap();
    assert_unbiased("tempered", &exact, draw);
    for particle in (0..20).flat_map(|seed| draw(seed).particles).filter(|particle| particle.complete) {
        let mut tokens = Vec::new();
        for record in &particle.tokens {
            let (model, changed) = (row(&tokens)[record.token.index()], tempered(row(&tokens))[record.token.index()]);
            assert!((record.model_log_prob - model.ln()).abs() < 1e-12);
            assert!((record.sampler_log_prob - changed.ln()).abs() < 1e-12);
            tokens.push(record.token);
        }
    }
}

#[test]
fn the_record_adds_up() {
    let posterior = run(Awrs::default()).particles(16).seed(3).run(&mut model(), &[]).unwrap();
    let probabilities: f64 = posterior.answers.iter().map(|answer| answer.probability).sum();
    assert!((probabilities - 1.0).abs() < 1e-12);
    for particle in posterior.particles.iter().filter(|particle| particle.complete) {
        let mut offset = 0;
        for token in &particle.tokens {
            assert_eq!(token.offset, offset);
            offset += token.bytes.len();
            assert!(token.draw.log_z_low <= token.draw.log_z_high && token.draw.log_z_high <= 0.0);
            assert!(token.sampler_log_prob <= token.draw.log_z_high + 1e-12, "an allowed token's mass is part of Z");
        }
        assert_eq!(particle.text().len(), offset);
        let last = particle.tokens.last().unwrap();
        assert!(last.bytes.is_empty(), "a complete particle ends with an end token");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let draw = |seed| format!("{:?}", run(Awrs::default()).seed(seed).run(&mut model(), &[]).unwrap());
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

#[test]
fn a_text_that_needs_more_tokens_than_allowed_is_never_drawn() {
    let constraint = Regex::new("b{5}").unwrap();
    let posterior = ConstrainedDecoding::new(constraint).max_tokens(4).seed(1).run(&mut model(), &[]).unwrap();
    assert!(posterior.is_impossible() && posterior.log_evidence == f64::NEG_INFINITY && posterior.best().is_none());
    let death = &posterior.deaths[0];
    assert!(death.out_of_tokens && death.text == b"bbbb" && death.wanted.is_some(), "{death:?}");
}

#[test]
fn when_all_particles_die_the_result_tells_where_and_what_was_wanted() {
    let posterior = ConstrainedDecoding::new(Regex::new("aac").unwrap()).seed(1).run(&mut model(), &[]).unwrap();
    assert!(posterior.is_impossible());
    let death = &posterior.deaths[0];
    assert_eq!(death.text, b"aa");
    assert!(!death.out_of_tokens);
    assert_eq!(death.wanted.as_ref().unwrap().offset(), 2);
}

#[test]
fn options_without_meaning_are_refused() {
    let refused = |run: ConstrainedDecoding<Regex>| {
        let error = run.run(&mut model(), &[]).unwrap_err();
        assert!(error.is_options(), "{error}");
        error.to_string()
    };
    assert!(refused(run(Awrs::default()).particles(0)).contains("particle"));
    assert!(refused(run(Awrs::default()).ess_threshold(1.5)).contains("1.5"));
    assert!(refused(run(Awrs::default()).truncation(truncation(0.0, 1.0))).contains("temperature"));
}

#[test]
fn a_failing_predicate_stops_the_run_with_its_error() {
    let predicate = Predicate::new(|_, _| Err("the database is gone".into()));
    let error = ConstrainedDecoding::new(predicate).run(&mut model(), &[]).unwrap_err();
    assert!(error.as_constraint().is_some() && error.to_string().contains("the database is gone"), "{error}");
}

/// A model that counts what it is asked, may be short of context, and may be broken.
struct Wrapped {
    inner: TableLm,
    extended: AtomicUsize,
    broken: bool,
    context_length: usize,
}

impl LanguageModel for Wrapped {
    type Context = <TableLm as LanguageModel>::Context;

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        self.inner.vocabulary()
    }

    fn context_length(&self) -> usize {
        self.context_length
    }

    fn prefill(&mut self, prompt: &[TokenId]) -> Result<Self::Context, LmError> {
        self.inner.prefill(prompt)
    }

    fn extend(&mut self, batch: &[(Self::Context, TokenId)]) -> Result<Vec<Self::Context>, LmError> {
        self.extended.fetch_add(batch.len(), Ordering::Relaxed);
        self.inner.extend(batch)
    }

    fn next_token(&self, context: &Self::Context) -> Result<NextToken, LmError> {
        if self.broken { Ok(NextToken::from_logits(&[f32::NAN; 4])?) } else { self.inner.next_token(context) }
    }
}

fn wrapped(broken: bool, context_length: usize) -> Wrapped {
    Wrapped { inner: model(), extended: AtomicUsize::new(0), broken, context_length }
}

#[test]
fn equal_tokens_after_equal_contexts_are_given_to_the_model_once() {
    let mut model = wrapped(false, 100);
    let run = ConstrainedDecoding::new(Regex::new("[ab]*").unwrap()).particles(500).max_tokens(1);
    run.run(&mut model, &[]).unwrap();
    assert_eq!(model.extended.load(Ordering::Relaxed), 3, "500 particles, three different first tokens");
}

#[test]
fn broken_logits_and_a_full_context_are_the_models_errors() {
    let error = run(Awrs::default()).run(&mut wrapped(true, 100), &[]).unwrap_err();
    assert!(error.as_model().is_some_and(LmError::is_numeric), "{error}");
    let error = run(Awrs::default()).run(&mut wrapped(false, 2), &[]).unwrap_err();
    assert!(error.as_model().is_some_and(LmError::is_too_long), "{error}");
}
