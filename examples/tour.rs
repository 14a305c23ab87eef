//! tamis without any weights: a toy model, a constraint, and the exact posterior beside the estimate.
//!
//! The model loves the word "not", and under the constraint a "not" leads into a dead end more often
//! than not. Masking, which never looks ahead, keeps following it; the weights put that right.
//!
//!     cargo run --example tour --no-default-features

use std::collections::BTreeMap;
use tamis::prelude::*;
use tamis::sampler::{Awrs, Improper, TokenSampler};
use tamis::vocab::{Token, TokenId, Vocabulary};

const WORDS: [&str; 4] = ["very ", "not ", "good", "bad"];
const MAX_TOKENS: usize = 3;
const PARTICLES: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // "not" is likely, and is followed by "bad" nearly always; the constraint wants a text that ends in "good".
    let constraint = Regex::new("(very |not )*good")?;
    let exact = exact_posterior(&constraint);
    let evidence: f64 = exact.values().sum();

    println!("The model, given that its text matches (very |not )*good, in at most {MAX_TOKENS} words:\n");
    println!("{:<22}{:>8}{:>12}{:>12}", "text", "exact", "tamis", "masking");
    let weighted = estimate(&constraint, Awrs::default())?;
    let masked = estimate(&constraint, Improper::default())?;
    for (text, probability) in &exact {
        let of =
            |posterior: &Posterior| posterior.answers.iter().find(|answer| answer.text == *text).map_or(0.0, |answer| answer.probability);
        println!("{:<22}{:>8.3}{:>12.3}{:>12.3}", String::from_utf8_lossy(text), probability / evidence, of(&weighted), of(&masked));
    }
    println!("\nevidence (probability of such a text): exact {evidence:.4}, tamis {:.4}", weighted.evidence());
    println!("effective sample size {:.0} of {PARTICLES}", weighted.ess());
    Ok(())
}

/// Probabilities of the four words and of the end, given the word before.
fn row(context: &[TokenId]) -> Vec<f64> {
    match context.last().map(|token| WORDS[token.index()]) {
        None => vec![0.15, 0.60, 0.15, 0.10, 0.00],
        Some("very ") => vec![0.10, 0.10, 0.60, 0.20, 0.00],
        Some("not ") => vec![0.05, 0.00, 0.05, 0.90, 0.00],
        Some(_) => vec![0.00, 0.00, 0.00, 0.00, 1.00],
    }
}

fn model() -> Result<TableLm, Box<dyn std::error::Error>> {
    let vocabulary = Vocabulary::new(WORDS.iter().map(|word| Token::Text(word.as_bytes().to_vec())).chain([Token::End]))?;
    Ok(TableLm::new(vocabulary, row))
}

fn estimate(constraint: &Regex, sampler: impl TokenSampler + 'static) -> Result<Posterior, Box<dyn std::error::Error>> {
    let run = ConstrainedDecoding::new(constraint.clone()).sampler(sampler).particles(PARTICLES).max_tokens(MAX_TOKENS).seed(1);
    Ok(run.run(&mut model()?, &[])?)
}

/// The probability of every text of the constraint, by trying all of them.
fn exact_posterior(constraint: &Regex) -> BTreeMap<Vec<u8>, f64> {
    let mut found = BTreeMap::new();
    let mut open = vec![(Vec::new(), 1.0)];
    while let Some((words, probability)) = open.pop() {
        let text: Vec<u8> = words.iter().flat_map(|word: &TokenId| WORDS[word.index()].bytes()).collect();
        let row = row(&words);
        let complete = constraint.advance(&constraint.start(), &text).is_some_and(|state| constraint.may_end(&state));
        if complete && row[WORDS.len()] > 0.0 {
            *found.entry(text).or_insert(0.0) += probability * row[WORDS.len()];
        }
        if words.len() < MAX_TOKENS {
            for (word, next) in (0..).zip(&row[..WORDS.len()]) {
                open.push(([&words[..], &[TokenId::new(word)]].concat(), probability * next));
            }
        }
    }
    found
}
