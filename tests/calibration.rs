//! The real model's posterior against the exact one: a pattern of 200 texts, each of whose probabilities is
//! computed by going through all token sequences that write it.
//!
//!     cargo test --release --test calibration -- --ignored
#![cfg(feature = "candle")]

mod support;

use std::collections::BTreeMap;
use support::real_model;
use tamis::log_math::log_sum_exp;
use tamis::prelude::*;
use tamis::vocab::TokenSet;

const PATTERN: &str = "[12][0-9][0-9]";
const MAX_TOKENS: usize = 3;
const RUNS: u64 = 10;
const PARTICLES: usize = 1_000;

/// The probability of each text of the constraint, over all ways to write it in at most `MAX_TOKENS` tokens.
fn exact(model: &mut CandleLm, prompt: &[tamis::vocab::TokenId], constraint: &Regex) -> BTreeMap<Vec<u8>, f64> {
    let vocabulary = model.vocabulary().clone();
    let mut texts = BTreeMap::new();
    let mut open = vec![(model.prefill(prompt).unwrap(), constraint.start(), Vec::new(), 0.0)];
    let mut mask = TokenSet::new(vocabulary.len());
    for length in 0..=MAX_TOKENS {
        let (mut batch, mut next) = (Vec::new(), Vec::new());
        for (context, state, text, log_prob) in open {
            let row = model.next_token(&context).unwrap();
            if constraint.may_end(&state) {
                let ends: Vec<f64> = vocabulary.ends().iter().map(|end| row.log_prob(*end)).collect();
                *texts.entry(text.clone()).or_insert(0.0) += (log_prob + log_sum_exp(&ends)).exp();
            }
            if length == MAX_TOKENS {
                continue;
            }
            constraint.mask(&state, vocabulary.trie(), &mut mask);
            for token in mask.iter() {
                let bytes = vocabulary.bytes(token).unwrap();
                batch.push((context.clone(), token));
                next.push((constraint.advance(&state, bytes).unwrap(), [&text[..], bytes].concat(), log_prob + row.log_prob(token)));
            }
        }
        let contexts = model.extend(&batch).unwrap();
        open = contexts.into_iter().zip(next).map(|(context, (state, text, log_prob))| (context, state, text, log_prob)).collect();
    }
    texts
}

#[test]
#[ignore = "a thousand forward passes"]
fn ten_thousand_particles_find_the_posterior_of_200_texts_and_its_evidence() {
    let Some(path) = real_model() else { return };
    let mut model = CandleLm::load(path).unwrap();
    let prompt = model.chat_prompt("Tell me a number between 100 and 299. Write the number alone.").unwrap();
    let constraint = Regex::new(PATTERN).unwrap();
    let exact = exact(&mut model, &prompt, &constraint);
    assert_eq!(exact.len(), 200);
    let evidence: f64 = exact.values().sum();

    // For each run, the unbiased estimates of the evidence and of each text's part of it.
    let mut evidences = Vec::new();
    let mut masses: BTreeMap<Vec<u8>, Vec<f64>> = exact.keys().map(|text| (text.clone(), vec![0.0; RUNS as usize])).collect();
    for seed in 0..RUNS {
        let run = ConstrainedDecoding::new(constraint.clone()).particles(PARTICLES).seed(seed).max_tokens(MAX_TOKENS);
        let posterior = run.run(&mut model, &prompt).unwrap();
        evidences.push(posterior.evidence());
        for answer in &posterior.answers {
            masses.get_mut(&answer.text).unwrap()[seed as usize] = posterior.evidence() * answer.probability;
        }
    }
    let (mean, error) = mean_and_error(&evidences);
    let (mut distance, mut expected) = (0.0, 0.0);
    for (text, mass) in &exact {
        let (found, error) = mean_and_error(&masses[text]);
        distance += (mass / evidence - found / mean).abs() / 2.0;
        // The mean distance of a normal number from its mean is sqrt(2 / pi) standard deviations.
        expected += error / mean * (2.0 / std::f64::consts::PI).sqrt() / 2.0;
    }
    let independent: f64 = exact
        .values()
        .map(|mass| mass / evidence)
        .map(|p| (2.0 * p * (1.0 - p) / std::f64::consts::PI / (RUNS as f64 * PARTICLES as f64)).sqrt())
        .sum::<f64>()
        / 2.0;
    println!(
        "evidence {mean:.6} +- {error:.6}, exactly {evidence:.6}; total variation {distance:.4}, by the spread of the runs {expected:.4} \
         (as many independent draws from the posterior: {independent:.4})"
    );
    // Ten runs: five standard errors, of Student's distribution, are passed once in 1400 seeds.
    assert!((mean - evidence).abs() < 5.0 * error + 1e-9, "{mean} +- {error}, exactly {evidence}");
    // Chance takes the mean of the runs as far as their spread says; over 200 texts that hardly varies.
    assert!(distance < 1.4 * expected, "{distance} from the posterior, where the spread of the runs says {expected}");
}

/// The mean of some numbers, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}
