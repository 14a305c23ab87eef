//! What the language model costs: reading a prompt, and a step of some particles after a shared prompt.
//!
//!     cargo bench --bench lm [-- MODEL [WHERE]...]
//!
//! MODEL is an alias or a path, each WHERE a number of threads, or `cuda` (with `--features cuda`). The clock of a shared machine wanders, so
//! every figure is the median of rounds that are interleaved with those of all others;
//! `benches/llama_cpp/` measures llama.cpp on the same file, to be run beside it.

use std::hint::black_box;
use std::time::Instant;
use tamis::lm::LanguageModel;
use tamis::lm::candle::{CandleLm, CandleOptions, ModelSource};
use tamis::next_token::NextToken;
use tamis::vocab::TokenId;

const ROUNDS: usize = 3;
const STEPS: usize = 8;
const PROMPTS: [usize; 4] = [100, 128, 400, 1000];
const PARTICLES: [usize; 6] = [1, 4, 8, 16, 32, 64];

/// Some tokens; which ones makes no difference to the time.
fn tokens(count: usize, vocabulary: usize, seed: usize) -> Vec<TokenId> {
    (0..count).map(|i| TokenId::new(((i * 7919 + seed * 104_729 + 11) % vocabulary) as u32)).collect()
}

/// Tokens a second of `particles` particles that share a prompt of `prompt` tokens.
fn decode(lm: &mut CandleLm, prompt: usize, particles: usize) -> f64 {
    let size = lm.vocabulary().len();
    let root = lm.prefill(&tokens(prompt, size, 0)).expect("the prompt fits");
    let mut contexts = vec![root; particles];
    let mut seconds = Vec::new();
    for step in 0..STEPS {
        let next = tokens(particles, size, step + 1);
        let batch: Vec<_> = contexts.into_iter().zip(next).collect();
        let start = Instant::now();
        contexts = lm.extend(&batch).expect("the tokens fit");
        seconds.push(start.elapsed().as_secs_f64());
    }
    particles as f64 / median(seconds)
}

/// Tokens a second of a prompt of `length` tokens that was not seen before.
fn prefill(lm: &mut CandleLm, length: usize, round: usize) -> f64 {
    let prompt = tokens(length, lm.vocabulary().len(), 1000 + round);
    let start = Instant::now();
    black_box(lm.prefill(&prompt).expect("the prompt fits"));
    length as f64 / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A line of /proc/self/status, in MB: `VmRSS` is the memory in use, `VmHWM` its high-water mark.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_whitespace().nth(1));
    line.and_then(|kilobytes| kilobytes.parse::<f64>().ok()).map_or(f64::NAN, |kilobytes| kilobytes / 1000.0)
}

fn model(name: &str, place: &str) -> CandleLm {
    let source = ModelSource::parse(name).unwrap_or_else(|error| panic!("{error}"));
    let path = source.fetch(&mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let mut options = CandleOptions::default();
    match place.parse() {
        Ok(threads) => options.threads = threads,
        Err(_) => options.device = place.parse().unwrap_or_else(|error| panic!("{error}")),
    }
    let start = Instant::now();
    let lm = CandleLm::load_with(&path, &options).unwrap_or_else(|error| panic!("{error}"));
    println!("{} ({place}): loaded in {:.0} ms, {:.0} MB in use", lm.device(), start.elapsed().as_secs_f64() * 1e3, memory("VmRSS"));
    lm
}

/// Nanoseconds that a fork takes, and dropping it.
fn fork(lm: &mut CandleLm) -> f64 {
    let context = lm.prefill(&tokens(1000, lm.vocabulary().len(), 0)).expect("the prompt fits");
    let start = Instant::now();
    for _ in 0..1_000_000 {
        drop(black_box(context.clone()));
    }
    start.elapsed().as_secs_f64() * 1e3
}

fn rows() {
    for size in [49_152, 128_256, 262_144] {
        let logits: Vec<f32> = (0..size).map(|i| ((i * 7919) % 10_007) as f32 * 2e-3 - 12.0).collect();
        let rounds = (0..51).map(|_| {
            let start = Instant::now();
            black_box(NextToken::from_logits(black_box(&logits)).expect("the row is a distribution"));
            start.elapsed().as_secs_f64() * 1e6
        });
        println!("a row of {size}: {:.0} us", median(rounds.collect()));
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too, and wants no measurements.
    let Some(flag) = arguments.iter().position(|argument| argument == "--bench") else { return };
    arguments.remove(flag);
    let name = arguments.first().map_or("smollm2-135m", String::as_str);
    let mut places: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if places.is_empty() {
        places = vec!["1", "2"];
    }
    rows();
    let mut models: Vec<CandleLm> = places.iter().map(|place| model(name, place)).collect();
    let cells = 1 + PROMPTS.len() * PARTICLES.len();
    let mut rounds = vec![vec![Vec::new(); cells]; models.len()];
    for round in 0..ROUNDS {
        for (lm, rounds) in models.iter_mut().zip(&mut rounds) {
            let mut cells = rounds.iter_mut();
            let mut keep = |figure| cells.next().expect("there is a cell for each figure").push(figure);
            keep(prefill(lm, 128, round));
            for prompt in PROMPTS {
                for particles in PARTICLES {
                    keep(decode(lm, prompt, particles));
                }
            }
        }
    }
    for ((lm, place), rounds) in models.iter().zip(&places).zip(rounds) {
        let mut figures = rounds.into_iter().map(median);
        println!("\n{} ({place}), tokens/s; a prompt of 128: {:.0}", lm.device(), figures.next().unwrap_or(f64::NAN));
        println!("shared prompt{}", PARTICLES.map(|particles| format!("{particles:>8}")).concat());
        for prompt in PROMPTS {
            println!("{prompt:>13}{}", figures.by_ref().take(PARTICLES.len()).map(|figure| format!("{figure:>8.0}")).collect::<String>());
        }
    }
    println!("\na fork after 1000 tokens: {:.0} ns", models.first_mut().map_or(f64::NAN, fork));
    println!("high-water mark: {:.0} MB", memory("VmHWM"));
}
