//! What samplers cost and how good their weights are.
//!
//!     cargo bench --no-default-features --bench sampler
//!
//! The first table is the law's price: relative variance of the weight and questions to the constraint on
//! rows of 4096 tokens, of the shapes in the specs' comparison (specs: awrs, section 5); the product of the
//! two compares at equal questions, since k draws divide the variance by k. The second is
//! the clock's: microseconds a draw, and questions, at the vocabularies of real models, for peaked,
//! middling and flat rows and constraint masses from .99 to .001. Then what particles save each other, what
//! a mask costs, and what the particles themselves do.

use smallvec::SmallVec;
use std::hint::black_box;
use std::time::Instant;
use tamis::constraint::{JsonSchema, Regex};
use tamis::decode::ConstrainedDecoding;
use tamis::lm::TableLm;
use tamis::next_token::NextToken;
use tamis::sampler::{Awrs, DesRaj, Direct, Draw, Geometric, Known, LabelCache, Labels, Masked, TokenSampler, TwoLoop};
use tamis::smc::Stream;
use tamis::vocab::{Token, TokenId, TokenSet, Vocabulary};

/// Labels written down; within a draw each is asked for once, and nothing is remembered from draw to draw.
struct Table<'a> {
    allowed: &'a TokenSet,
    /// Allowed tokens asked about in this draw: only these can be proposed again.
    asked: SmallVec<[TokenId; 16]>,
    checks: u32,
    all_known: bool,
}

impl<'a> Table<'a> {
    fn new(allowed: &'a TokenSet) -> Self {
        Self { allowed, asked: SmallVec::new(), checks: 0, all_known: false }
    }
}

impl Labels for Table<'_> {
    fn check(&mut self, token: TokenId) -> bool {
        let allowed = self.allowed.contains(token);
        if !allowed || !self.asked.contains(&token) {
            self.checks += 1;
            if allowed {
                self.asked.push(token);
            }
        }
        allowed
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
    let place = |rank: usize| (rank * 40_507 + 17) % size;
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
        ("awrs, eps .01", Box::new(Awrs::new().eps(0.01))),
        ("recursive", Box::new(DesRaj::recursive())),
        ("averaged", Box::new(DesRaj::draws_per_proposal(1))),
        ("geometric 2", Box::new(Geometric::new(2))),
        ("geometric 5", Box::new(Geometric::new(5))),
        ("two searches", Box::new(TwoLoop::new())),
        ("direct", Box::new(Direct::new())),
        ("masked", Box::new(Masked::new())),
    ]
}

fn quality() {
    println!("relative variance x questions = product (% of draws that used a mask), 4096 tokens, 20000 draws");
    for Case { name, logits, allowed } in cases(4096) {
        let row = NextToken::from_logits(&logits).expect("the row is a distribution");
        let z: f64 = allowed.iter().map(|token| row.prob(token)).sum();
        println!("{name} (Z = {z:.4})");
        for (sampler_name, sampler) in samplers() {
            let mut stream = Stream::of_particle(2, 0);
            let (mut squares, mut checks, mut masked) = (0.0, 0u64, 0u32);
            let draws = 20_000;
            for _ in 0..draws {
                let draw = sampler.draw(&row, &mut Table::new(&allowed), &mut stream);
                let weight = if let Draw::Token { log_weight, .. } = draw { log_weight.exp() } else { 0.0 };
                squares += (weight / z - 1.0).powi(2);
                checks += u64::from(draw.record().checks);
                masked += u32::from(draw.record().masked);
            }
            let n = f64::from(draws);
            let (variance, checks) = (squares / n, checks as f64 / n);
            println!(
                "  {sampler_name:<14} {variance:>9.4} x {checks:>7.2} = {:>7.3} ({:.0}%)",
                variance * checks,
                100.0 * f64::from(masked) / n
            );
        }
    }
}

/// A row of one shape whose allowed tokens have about the probability `z`. The likeliest token is allowed
/// where it fits into that.
fn shaped(shape: &'static str, size: usize, z: f64) -> Case {
    let head = |mass: f64| vec![(mass, z >= mass)];
    let fraction = |mass: f64| if z >= mass { (z - mass) / (1.0 - mass) } else { z / (1.0 - mass) };
    match shape {
        "peaked" => case(shape, size, &head(0.9), true, fraction(0.9)),
        "middling" => case(shape, size, &head(0.3), true, fraction(0.3)),
        _ => case(shape, size, &[], false, z),
    }
}

fn clock() {
    println!("\nmicroseconds a draw / questions, after the pass over the row");
    for size in [49_152, 128_256, 262_144] {
        for shape in ["peaked", "middling", "flat"] {
            for z in [0.99, 0.5, 0.1, 0.01, 0.001] {
                let Case { logits, allowed, .. } = shaped(shape, size, z);
                let row = NextToken::from_logits(&logits).expect("the row is a distribution");
                let pass = time(|| {
                    black_box(NextToken::from_logits(black_box(&logits)).expect("the row is a distribution"));
                });
                print!("{size:>7} {shape:<8} Z {z:<5} pass {pass:>4.0}");
                for (name, sampler) in
                    samplers().into_iter().filter(|(name, _)| !["awrs, no mask", "awrs, eps .01", "geometric 5"].contains(name))
                {
                    let mut stream = Stream::of_particle(3, 0);
                    let (mut checks, mut draws) = (0u64, 0u64);
                    let micros = time(|| {
                        let draw = sampler.draw(&row, &mut Table::new(&allowed), &mut stream);
                        checks += u64::from(black_box(draw).record().checks);
                        draws += 1;
                    });
                    print!("  {name} {micros:.1}/{:.1}", checks as f64 / draws as f64);
                }
                println!();
            }
        }
    }
}

/// A vocabulary of `size` tokens: all bytes, then words of letters of growing length.
fn vocabulary(size: usize) -> Vocabulary {
    let word = |mut number: usize| {
        let mut word = vec![b' '];
        while number > 0 {
            word.push(b'a' + (number % 26) as u8);
            number /= 26;
        }
        Token::Text(word)
    };
    let bytes = (0..=255u8).map(|byte| Token::Text(vec![byte]));
    Vocabulary::new(bytes.chain((1..size - 256).map(word)).chain([Token::End])).expect("it has an end")
}

fn flat_row_with_a_mask() {
    println!("\nmicroseconds a draw from a flat row under a regular expression met for the first time");
    for size in [49_152, 128_256, 262_144] {
        let vocabulary = vocabulary(size);
        vocabulary.trie();
        let row = NextToken::from_logits(&vec![0.0; size]).expect("the row is a distribution");
        // One word in a hundred begins with these letters.
        let constraint = Regex::new(" (ab|bb|cb|db|eb|fb|gb)[a-z]*").expect("it compiles");
        let start = tamis::constraint::Constraint::start(&constraint);
        let mut stream = Stream::of_particle(4, 0);
        let mut once = |sampler: &dyn TokenSampler| {
            time(|| {
                let mut cache = LabelCache::default();
                black_box(sampler.draw(&row, &mut cache.labels(&constraint, &vocabulary, &start, false), &mut stream));
            })
        };
        let (awrs, masked) = (once(&Awrs::new()), once(&Masked::new()));
        let z = f64::from(
            vocabulary
                .tokens()
                .filter(|token| {
                    vocabulary.bytes(*token).is_some_and(|bytes| tamis::constraint::Constraint::allows(&constraint, &start, bytes))
                })
                .count() as u32,
        ) / size as f64;
        println!("{size:>7} Z {z:.4}  awrs {awrs:.0}  masked {masked:.0}  ({:+.0}%)", 100.0 * (awrs / masked - 1.0));
    }
}

fn label_cache() {
    let size = 4_096;
    let vocabulary = std::sync::Arc::new(vocabulary(size));
    let of_bytes = vocabulary.clone();
    // Punctuation, and words by Zipf's law, in an order that changes with what came last: JSON some of the time.
    let mut model = TableLm::new(vocabulary.clone(), move |context| {
        let last = context.last().map_or(0, |token| token.index());
        (0..size)
            .map(|token| match of_bytes.bytes(TokenId::new(token as u32)) {
                Some([b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'0'..=b'9']) => 40.0 + ((token * 7 + last) % 50) as f64,
                Some([_]) => 0.5,
                Some(_) => 300.0 / (1.0 + ((token * 31 + last * 17) % 3_840) as f64),
                None => 60.0,
            })
            .collect()
    });
    let schema = r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age","tags"]}"#;
    let constraint = JsonSchema::parse(schema).expect("it compiles");
    let run = ConstrainedDecoding::new(constraint).particles(16).max_tokens(60).seed(1);
    println!("\nquestions a token drawn, 16 particles on a JSON schema");
    let per_token = |posterior: &tamis::decode::Posterior| posterior.checks as f64 / posterior.draws as f64;
    let mut labels = LabelCache::default();
    let shared = run.run_with_labels(&mut model, &[], &mut labels, |_| {}).expect("it runs");
    let again = run.run_with_labels(&mut model, &[], &mut labels, |_| {}).expect("it runs");
    let alone = run.run_chain(&mut model, &[], 1).expect("it runs").remove(0);
    println!(
        "none kept {:.2}  kept for the run {:.2}  kept from a run before {:.2}",
        per_token(&alone),
        per_token(&shared),
        per_token(&again)
    );
}

fn particles() {
    println!("\nmilliseconds a step, particles on a table model of four tokens");
    let tokens = [&b"a"[..], b"b", b"ab"].map(|text| Token::Text(text.to_vec()));
    let vocabulary = Vocabulary::new(tokens.into_iter().chain([Token::End])).expect("it has an end");
    let rows = [vec![0.6, 0.1, 0.2, 0.1], vec![0.3, 0.3, 0.3, 0.1], vec![0.2, 0.5, 0.2, 0.1], vec![0.0, 0.0, 0.0, 1.0]];
    let mut model = TableLm::markov(vocabulary, &[0.4, 0.3, 0.3, 0.0], &rows).expect("it is a table");
    let constraint = Regex::new("(ab|ba|a)*").expect("it compiles");
    for particles in [16, 1_000, 10_000] {
        let run = ConstrainedDecoding::new(constraint.clone()).particles(particles).max_tokens(20);
        let mut steps = 1;
        let micros = time(|| steps = run.run(&mut model, &[]).expect("it runs").steps.len());
        println!("{particles:>7}: {:.3}", micros / 1e3 / steps as f64);
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
        label_cache();
        particles();
        flat_row_with_a_mask();
        clock();
    }
}
