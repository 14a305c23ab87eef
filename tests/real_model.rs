//! The main job on the default model: whatever the seed, every answer is valid, and other people's code
//! says so too (the crates `jsonschema` and `regex`).
//!
//! Few seeds by default; `TAMIS_TEST_SEEDS=100 cargo test --release --test real_model` is the long run.
#![cfg(feature = "candle")]

mod support;

use serde_json::Value;
use std::time::Instant;
use support::real_model;
use tamis::constraint::json_schema::Options;
use tamis::prelude::*;

fn seeds() -> u64 {
    std::env::var("TAMIS_TEST_SEEDS").map_or(3, |seeds| seeds.parse().expect("TAMIS_TEST_SEEDS is a number"))
}

/// Draws with every seed, and has every answer of every posterior judged by `is_valid`.
fn judge(constraint: AnyConstraint, question: &str, max_tokens: usize, is_valid: impl Fn(&str) -> bool) {
    let Some(path) = real_model() else { return };
    let mut model = CandleLm::load(path).unwrap();
    let prompt = model.chat_prompt(question).unwrap();
    let (mut answers, mut empty) = (0, Vec::new());
    for seed in 0..seeds() {
        let run = ConstrainedDecoding::new(constraint.clone()).particles(4).seed(seed).max_tokens(max_tokens);
        let posterior = run.run(&mut model, &prompt).unwrap();
        for answer in &posterior.answers {
            let text = std::str::from_utf8(&answer.text).expect("an answer is UTF-8");
            assert!(is_valid(text), "seed {seed}: {text}");
            answers += 1;
        }
        if posterior.is_impossible() {
            empty.push(seed);
        }
    }
    println!("{answers} answers in {} runs, all valid; no answer with seeds {empty:?}", seeds());
    assert!(empty.is_empty(), "no particle finished with seeds {empty:?}");
}

fn judge_schema(schema: &str, question: &str, max_tokens: usize) {
    let value: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&value).unwrap();
    let is_valid = |text: &str| serde_json::from_str(text).is_ok_and(|instance: Value| validator.is_valid(&instance));
    judge(AnyConstraint::new(JsonSchema::parse(schema).unwrap()), question, max_tokens, is_valid);
}

#[test]
fn answers_to_a_flat_schema_are_valid() {
    judge_schema(
        include_str!("../examples/person.json"),
        r#"Write as JSON, with "name", "age" and "occupation": Ada Brand, a nurse, is 41 years old."#,
        96,
    );
}

#[test]
fn answers_to_a_nested_schema_with_arrays_are_valid() {
    judge_schema(include_str!("../examples/order.json"), "Invent an order of a shop. Answer in JSON.", 256);
}

#[test]
fn answers_to_a_recursive_schema_are_valid() {
    // The example shows where to stop: of recursions without one a small model finds no end.
    let question = "Write (2 + 3) * 4 as a tree in JSON. For example, 1 + 2 is {\"op\": \"+\", \"left\": 1, \"right\": 2}";
    judge_schema(include_str!("../examples/calculation.json"), question, 160);
}

fn judge_regex(pattern: &str, question: &str) {
    let search = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
    judge(AnyConstraint::new(Regex::new(pattern).unwrap()), question, 48, |text| search.is_match(text));
}

#[test]
fn answers_to_a_date_are_dates() {
    judge_regex("[0-9]{4}-[0-9]{2}-[0-9]{2}", "When did people first walk on the moon? Answer with a date.");
}

#[test]
fn answers_to_a_choice_with_unicode_are_of_it() {
    judge_regex(r"(Zürich|Köln|São Paulo|\p{Lu}\p{Ll}{2,9}), [A-Z]{2}", "Name a city and its country code.");
}

/// Which of the 200 real schemas are run: `TAMIS_TEST_SCHEMAS=50..100`, or all.
fn part() -> std::ops::Range<usize> {
    let Ok(part) = std::env::var("TAMIS_TEST_SCHEMAS") else { return 0..200 };
    let ends = part.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    ends.expect("TAMIS_TEST_SCHEMAS is a range such as 50..100")
}

/// Real schemas, picked by a fixed rule: every fifth file, 200 of them; with the spellings that `tamis generate`
/// takes. Long: run it with `cargo test --release --test real_model -- --ignored --nocapture`, or a part of it
/// (`TAMIS_TEST_SCHEMAS`).
#[test]
#[ignore = "minutes"]
fn answers_to_real_schemas_are_valid() {
    let (Some(path), Some(folder)) = (real_model(), support::shared("data/json/maskbench-dev")) else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut model = CandleLm::load(path).unwrap();
    let prompt = model.chat_prompt("Make up an example. Answer in JSON.").unwrap();
    let (mut runs, mut answered, mut answers, mut tokens, mut checks, mut draws, mut refused) = (0, 0, 0, 0, 0, 0, 0);
    let started = Instant::now();
    let part = part();
    for file in files.iter().step_by(5).take(part.end).skip(part.start) {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let Ok(schema) = JsonSchema::with_options(&case["schema"], &as_generated()) else {
            refused += 1;
            continue;
        };
        // What the other validator cannot read it cannot judge.
        let Ok(validator) = jsonschema::options().should_validate_formats(true).build(&case["schema"]) else { continue };
        let posterior = ConstrainedDecoding::new(schema).particles(4).seed(1).max_tokens(256).run(&mut model, &prompt).unwrap();
        runs += 1;
        answered += usize::from(!posterior.is_impossible());
        tokens += posterior.particles.iter().map(|particle| particle.tokens.len()).sum::<usize>();
        (checks, draws) = (checks + posterior.checks, draws + posterior.draws);
        for answer in &posterior.answers {
            let text = std::str::from_utf8(&answer.text).expect("an answer is UTF-8");
            let instance: Value = serde_json::from_str(text).expect("an answer is JSON");
            assert!(validator.is_valid(&instance), "{}: {text}", file.display());
            answers += 1;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("schemas {part:?}: {runs} run, {refused} refused, {answered} answered, {answers} answers, all valid");
    println!("{tokens} tokens, {:.0} tokens/s, {:.1} checks a token", tokens as f64 / seconds, checks as f64 / draws as f64);
}

fn as_generated() -> Options {
    let mut options = Options::default();
    (options.canonical_escapes, options.plain_numbers) = (true, true);
    options.unknown_keywords = true;
    options
}
