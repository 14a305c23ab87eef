//! JSON Schema: tamis beside llguidance, on the same schemas, texts and tokens, in the same run.
//!
//! Schemas are every eighteenth of MaskBench's (in `../shared/data`, or `TAMIS_SHARED`), texts their valid
//! instances with the keys as they stand, tokens by longest match. Only schemas count that both engines
//! take, and texts that both accept. Each number is a time in microseconds; the last column is
//! llguidance's over tamis's: above 1, tamis is faster.

mod vocabularies;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tamis::constraint::json_schema::{JsonState, Options};
use tamis::constraint::{Constraint, JsonSchema};
use tamis::sampler::{LabelCache, Labels};
use tamis::vocab::{TokenId, TokenSet, Vocabulary};
use toktrie::TokEnv;
use vocabularies::Tokens;

fn main() {
    let every: usize = std::env::args().nth(1).map_or(18, |every| every.parse().expect("every how many schemas"));
    for (name, tokens) in vocabularies::all() {
        compare(name, &tokens, every);
    }
}

/// The times of one engine.
#[derive(Default)]
struct Times {
    compile: Vec<f64>,
    allows: Vec<f64>,
    advance: Vec<f64>,
    mask: Vec<f64>,
    fork: Vec<f64>,
    /// The mask of a state that had its mask before, from the samplers' cache.
    cached: Vec<f64>,
}

impl Times {
    fn push_step(&mut self, allows: f64, fork: f64, advance: f64) {
        self.allows.push(allows);
        self.fork.push(fork);
        self.advance.push(advance);
    }
}

fn compare(name: &str, tokens: &Tokens, every: usize) {
    let (vocabulary, env) = vocabularies::for_both(tokens);
    let mut factory = ParserFactory::new_simple(&env).expect("a factory");
    factory.quiet();
    // What is worked out once for a vocabulary, as the factory has done.
    black_box(vocabulary.trie().plain_text());
    let (mut ours, mut theirs, mut counts) = (Times::default(), Times::default(), [0; 4]);
    for (schema, texts) in cases(every) {
        counts[0] += 1;
        let mut options = Options::default();
        options.unknown_keywords = true;
        let started = Instant::now();
        let compiled = JsonSchema::with_options(&schema, &options);
        let our_time = micros(started);
        let started = Instant::now();
        let parser = factory.create_parser(TopLevelGrammar::from_json_schema(schema.clone()));
        let matcher = Matcher::new(parser);
        let their_time = micros(started);
        let Ok(compiled) = compiled else { continue };
        if matcher.is_error() {
            continue;
        }
        counts[1] += 1;
        ours.compile.push(our_time);
        theirs.compile.push(their_time);
        for text in texts {
            let ids = env.tok_trie().greedy_tokenize(text.as_bytes());
            let mut probe = matcher.deep_clone();
            let both = compiled.advance(&compiled.start(), text.as_bytes()).is_some() && probe.consume_tokens(&ids).is_ok();
            counts[2] += usize::from(both);
            if both {
                counts[3] += ids.len();
                measure_ours(&compiled, &vocabulary, &ids, &mut ours);
                measure_theirs(&matcher, &ids, &mut theirs);
            }
        }
    }
    let forks = [10, 1000].map(|tokens| fork_after(&env, &factory, tokens));
    let [schemas, taken, texts, count] = counts;
    println!("\n{name}: {} tokens; {taken} of {schemas} schemas, {texts} texts of {count} tokens", tokens.len());
    println!("state: {} bytes of its own; it shares what it holds of the open values", size_of::<JsonState>());
    println!("{:10} {:>30} {:>30} {:>22}", "", "tamis mean / p50 / p99", "llguidance", "ratio");
    for (what, ours, theirs) in [
        ("compile", &mut ours.compile, &mut theirs.compile),
        ("allows", &mut ours.allows, &mut theirs.allows),
        ("advance", &mut ours.advance, &mut theirs.advance),
        ("mask", &mut ours.mask, &mut theirs.mask),
        ("fork", &mut ours.fork, &mut theirs.fork),
    ] {
        let (a, b) = (summary(ours), summary(theirs));
        let ratio: Vec<String> = a.iter().zip(b).map(|(a, b)| format!("{:.1}", b / a)).collect();
        let show = |summary: [f64; 3]| summary.map(|time| format!("{time:.2}")).join(" / ");
        println!("{what:10} {:>30} {:>30} {:>22}", show(a), show(b), ratio.join(" / "));
    }
    let [mean, median, tail] = summary(&mut ours.cached);
    println!("mask of a state met before: {mean:.2} / {median:.2} / {tail:.2}");
    for [tokens, ours, theirs] in forks {
        println!("fork after {tokens} tokens: {ours:.3}, llguidance {theirs:.3}, ratio {:.1}", theirs / ours);
    }
}

/// The mean times of a fork in a list of objects, after so many tokens at least: how many, ours, theirs.
fn fork_after(env: &TokEnv, factory: &ParserFactory, tokens: usize) -> [f64; 3] {
    let schema = serde_json::json!({"type": "array", "items": {"properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}});
    let (mut text, mut ids) = (String::from("["), Vec::new());
    while ids.len() < tokens {
        text += r#"{"name":"Ada","n":36},"#;
        ids = env.tok_trie().greedy_tokenize(text.as_bytes());
    }
    let compiled = JsonSchema::new(&schema).expect("a schema");
    let state = compiled.advance(&compiled.start(), text.as_bytes()).expect("the text is accepted");
    let mut matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_json_schema(schema)));
    matcher.consume_tokens(&ids).expect("the text is accepted");
    let started = Instant::now();
    (0..1000).for_each(|_| drop(black_box(state.clone())));
    let ours = micros(started) / 1e3;
    let started = Instant::now();
    (0..1000).for_each(|_| drop(black_box(matcher.deep_clone())));
    [ids.len() as f64, ours, micros(started) / 1e3]
}

/// What a walk along a text measures. Masks have a walk of their own: they go through the whole vocabulary, and
/// leave nothing else in the processor's caches.
#[derive(Clone, Copy, PartialEq)]
enum Walk {
    /// Nothing: it warms what is worked out on demand.
    First,
    Steps,
    Masks,
}

const WALKS: [Walk; 3] = [Walk::First, Walk::Steps, Walk::Masks];

fn measure_ours(schema: &JsonSchema, vocabulary: &Vocabulary, ids: &[u32], times: &mut Times) {
    let mut mask = TokenSet::new(vocabulary.len());
    let mut cache = LabelCache::default();
    for walk in WALKS {
        let mut state = schema.start();
        for id in ids {
            let bytes = vocabulary.bytes(TokenId::new(*id)).expect("a text token");
            if walk == Walk::Masks {
                times.mask.push(time(|| schema.mask(&state, vocabulary.trie(), &mut mask)));
                black_box(cache.labels(schema, vocabulary, &state, false).mask());
                times.cached.push(time(|| cache.labels(schema, vocabulary, &state, false).mask().is_some()));
            }
            let allows = time(|| schema.allows(&state, bytes));
            let mut fork = None;
            let forked = time(|| fork = Some(black_box(state.clone())));
            drop(fork);
            let mut next = None;
            let advance = time(|| next = schema.advance(&state, bytes));
            state = next.expect("the text is accepted");
            if walk == Walk::Steps {
                times.push_step(allows, forked, advance);
            }
        }
    }
}

fn measure_theirs(matcher: &Matcher, ids: &[u32], times: &mut Times) {
    for walk in WALKS {
        let mut matcher = matcher.clone();
        for id in ids {
            if walk == Walk::Masks {
                times.mask.push(time(|| drop(black_box(matcher.compute_mask_or_eos().expect("a mask")))));
            }
            let allows = time(|| matcher.validate_tokens(&[*id]).expect("a verdict"));
            let mut fork = None;
            let forked = time(|| fork = Some(black_box(matcher.clone())));
            drop(fork);
            let advance = time(|| matcher.consume_token(*id).expect("the text is accepted"));
            if walk == Walk::Steps {
                times.push_step(allows, forked, advance);
            }
        }
    }
}

/// How long it takes, in microseconds.
fn time<T>(run: impl FnOnce() -> T) -> f64 {
    let started = Instant::now();
    black_box(run());
    micros(started)
}

fn micros(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6
}

/// Mean, median, and what one in a hundred passes.
fn summary(times: &mut [f64]) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    let at = |fraction: f64| times.get(((times.len() as f64 - 1.0) * fraction) as usize).copied().unwrap_or(f64::NAN);
    [times.iter().sum::<f64>() / times.len() as f64, at(0.5), at(0.99)]
}

/// Schemas with their valid instances.
fn cases(every: usize) -> Vec<(Value, Vec<String>)> {
    let root =
        std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = root.join("data/json/maskbench-dev");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let case: Value = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
        let tests = case["tests"].as_array().expect("tests");
        let texts = tests.iter().filter(|test| test["valid"] == true).map(|test| test["data"].to_string()).take(4).collect();
        (case["schema"].clone(), texts)
    };
    files.iter().step_by(every).map(read).collect()
}
