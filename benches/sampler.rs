//! What samplers cost and how good their weights are.
//!
//!     cargo bench --no-default-features --bench sampler
//!
//! The first table is the law's price: relative variance of the weight and questions to the constraint on
//! rows of 4096 tokens, of the shapes in the specs' comparison (specs: awrs, section 5). The second is
//! the clock's: microseconds a draw at the vocabularies of real models, without the pass over the row
//! and with it.

use std::hint::black_box;
use std::time::Instant;
use tamis::next_token::NextToken;
use tamis::sampler::{Awrs, Direct, Draw, Known, Labels, Masked, TokenSampler};
use tamis::smc::Stream;
use tamis::vocab::{TokenId, TokenSet};

/// Labels written down; nothing is remembered from draw to draw.
struct Table<'a> {
    allowed: &'a TokenSet,
    checks: u32,
    all_known: bool,
}

impl Labels for Table<'_> {
    fn check(&mut self, token: TokenId) -> bool {
        self.checks += 1;
        self.allowed.contains(token)
    }

    fn known(&self) -> Known<'_> {
        if self.all_known { Known::All(self.allowed) } else { Known::Some { allowed: &[], refused: &[] } }
    }

    fn mask(&mut self) -> Option<&TokenSet> {
        self.all_known = true;
        Some(self.allowed)
    }

    fn checks(&self) -> u32 {
        self.checks
    }
}

struct Case {
    name: &'static str,
    logits: Vec<f32>,
    allowed: TokenSet,
}

/// A row of `head` probabilities with their labels, then a tail that holds the rest, flat or by Zipf's
/// law, of which a fraction is allowed.
fn case(name: &'static str, size: usize, head: &[(f64, bool)], zipf: bool, fraction: f64) -> Case {
    let rest = 1.0 - head.iter().map(|(prob, _)| prob).sum::<f64>();
    let tail: Vec<f64> = (head.len()..size).map(|token| if zipf { 1.0 / (token as f64 + 1.0) } else { 1.0 }).collect();
    let total: f64 = tail.iter().sum();
    let probs = head.iter().map(|(prob, _)| *prob).chain(tail.iter().map(|mass| mass / total * rest));
    let mut stream = Stream::of_particle(1, 0);
    // Scattered over the vocabulary, as real tokens are: a multiplier prime to every size here.
    let place = |rank: usize| (rank * 40_503 + 17) % size;
    let (mut logits, mut allowed) = (vec![f32::NEG_INFINITY; size], TokenSet::new(size));
    for (rank, prob) in probs.enumerate() {
        logits[place(rank)] = prob.ln() as f32;
        let is_allowed = head.get(rank).map_or_else(|| stream.uniform() < fraction, |(_, allowed)| *allowed);
        if is_allowed {
            allowed.insert(TokenId::new(place(rank) as u32));
        }
    }
    Case { name, logits, allowed }
}

fn cases(size: usize) -> Vec<Case> {
    let top_refused: Vec<(f64, bool)> = (0..20).map(|rank| (1.0 / (rank as f64 + 1.0) / 8.9, false)).collect();
    vec![
        case("peaked, .85 allowed", size, &[(0.85, true)], true, 0.4),
        case(".6+ .3- .09+ and a tail", size, &[(0.6, true), (0.3, false), (0.09, true)], true, 0.3),
        case("flat, half allowed", size, &[], false, 0.5),
        case("Zipf, the first refused", size, &top_refused[..1], true, 0.5),
        case("flat, a tenth allowed", size, &[], false, 0.11),
        case("Zipf, 20 refused", size, &top_refused, true, 0.03),
        case("flat, a hundredth allowed", size, &[], false, 0.0116),
        case(".9 refused", size, &[(0.9, false)], true, 0.025),
    ]
}

fn samplers() -> Vec<(&'static str, Box<dyn TokenSampler>)> {
    vec![
        ("awrs", Box::new(Awrs::new())),
        ("awrs, no mask", Box::new(Awrs::new().without_mask())),
        ("recursive", Box::new(Awrs::new().eps(1.0).without_mask())),
        ("direct", Box::new(Direct::new())),
        ("masked", Box::new(Masked::new())),
    ]
}

fn quality() {
    println!("relative variance / questions (% of draws that used a mask), 4096 tokens, 20000 draws");
    for Case { name, logits, allowed } in cases(4096) {
        let row = NextToken::from_logits(&logits).expect("the row is a distribution");
        let z: f64 = allowed.iter().map(|token| row.prob(token)).sum();
        println!("{name} (Z = {z:.4})");
        for (sampler_name, sampler) in samplers() {
            let mut stream = Stream::of_particle(2, 0);
            let (mut squares, mut checks, mut masked) = (0.0, 0u64, 0u32);
            let draws = 20_000;
            for _ in 0..draws {
                let draw = sampler.draw(&row, &mut Table { allowed: &allowed, checks: 0, all_known: false }, &mut stream);
                let weight = if let Draw::Token { log_weight, .. } = draw { log_weight.exp() } else { 0.0 };
                squares += (weight / z - 1.0).powi(2);
                checks += u64::from(draw.record().checks);
                masked += u32::from(draw.record().masked);
            }
            let n = f64::from(draws);
            println!("  {sampler_name:<14} {:>9.4} / {:>7.2} ({:.0}%)", squares / n, checks as f64 / n, 100.0 * f64::from(masked) / n);
        }
    }
}

fn clock() {
    println!("\nmicroseconds a draw (and with the pass over the row)");
    for size in [49_152, 128_256, 262_144] {
        for Case { name, logits, allowed } in cases(size) {
            let row = NextToken::from_logits(&logits).expect("the row is a distribution");
            print!("{size:>7} {name:<26}");
            let pass = time(|| {
                black_box(NextToken::from_logits(black_box(&logits)).expect("the row is a distribution"));
            });
            for (sampler_name, sampler) in samplers() {
                if sampler_name == "awrs, no mask" {
                    continue;
                }
                let mut stream = Stream::of_particle(3, 0);
                let draw = time(|| {
                    black_box(sampler.draw(&row, &mut Table { allowed: &allowed, checks: 0, all_known: false }, &mut stream));
                });
                print!("  {sampler_name} {draw:.1} ({:.0})", draw + pass);
            }
            println!();
        }
    }
}

/// The median of 15 rounds, in microseconds a call.
fn time(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..15)
        .map(|_| {
            let (start, mut calls) = (Instant::now(), 0u32);
            while start.elapsed().as_micros() < 2_000 {
                call();
                calls += 1;
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn main() {
    // `cargo test --benches` runs this too, and wants no measurements.
    if std::env::args().any(|argument| argument == "--bench") {
        quality();
        clock();
    }
}
