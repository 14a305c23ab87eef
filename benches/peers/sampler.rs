//! Drawing a token under a JSON Schema: the default sampler, which asks about a few tokens, beside exact
//! masking with tamis's mask and with llguidance's, on the same rows, states and tokens, in the same run.
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml --bin sampler
//!
//! States are those along a text that both engines take. No label and no mask is kept from draw to draw;
//! what an engine works out on demand for all states, such as its automata, is. A row has .9 or .3 of its
//! mass, or no more than elsewhere, on the token that the text goes on with; the rest is by Zipf's law,
//! scattered over the vocabulary. Times are in microseconds, means over the states; questions are those
//! about single tokens. The pass over the row, which comes before every draw, is told apart.

mod vocabularies;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use std::hint::black_box;
use std::time::Instant;
use tamis::constraint::{Constraint, JsonSchema};
use tamis::next_token::NextToken;
use tamis::sampler::{Awrs, Draw, Known, LabelCache, Labels, Masked, TokenSampler};
use tamis::smc::Stream;
use tamis::vocab::{TokenId, TokenSet};
use vocabularies::Tokens;

const SCHEMA: &str = include_str!("../../examples/order.json");
const TEXT: &str = r#"{"customer":{"name":"Margaret Hamilton","city":"Paoli"},"items":[{"product":"Notebook","quantity":12,"price":3.5},{"product":"Pencil","quantity":40}],"paid":true}"#;

/// Rows, and how much of their mass is on the token that comes next in the text; `None`: all are alike.
const SHAPES: [(&str, Option<f64>); 3] = [("peaked", Some(0.9)), ("middling", Some(0.3)), ("flat", None)];

/// How often each draw is made at a state.
const DRAWS: u32 = 10;

fn main() {
    for (name, tokens) in vocabularies::all() {
        compare(name, &tokens);
    }
}

fn compare(name: &str, tokens: &Tokens) {
    let (vocabulary, env) = vocabularies::for_both(tokens);
    let schema = JsonSchema::parse(SCHEMA).expect("a schema");
    let mut factory = ParserFactory::new_simple(&env).expect("a factory");
    factory.quiet();
    let grammar = TopLevelGrammar::from_json_schema(serde_json::from_str(SCHEMA).expect("JSON"));
    let start = Matcher::new(factory.create_parser(grammar));
    let mut text: Vec<TokenId> = env.tok_trie().greedy_tokenize(TEXT.as_bytes()).into_iter().map(TokenId::new).collect();
    text.extend(&vocabulary.ends()[..1]);
    println!("\n{name}: {} tokens, {} states", vocabulary.len(), text.len());
    for (shape, peak) in SHAPES {
        let [mut awrs, mut masked, mut llguidance] = [Sums::NONE; 3];
        let (mut pass, mut masks) = (0.0, [0.0; 2]);
        // The first walk warms what is worked out on demand.
        for measured in [false, true] {
            let mut stream = Stream::of_particle(1, 0);
            let (mut state, mut matcher) = (schema.start(), start.clone());
            for token in &text {
                let logits = logits(vocabulary.len(), *token, peak);
                let (row, row_time) = time(|| NextToken::from_logits(&logits).expect("a distribution"));
                for _ in 0..DRAWS {
                    let mut cache = LabelCache::default();
                    let asked = time(|| Awrs::new().draw(&row, &mut cache.labels(&schema, &vocabulary, &state, false), &mut stream));
                    let mut cache = LabelCache::default();
                    let mut labels = cache.labels(&schema, &vocabulary, &state, false);
                    let (_, our_mask) = time(|| labels.mask().is_some());
                    let ours = time(|| Masked::new().draw(&row, &mut labels, &mut stream));
                    let mut fork = matcher.clone();
                    let (mask, their_mask) = time(|| fork.compute_mask_or_eos().expect("a mask"));
                    // From one kind of set to the other: no part of the work.
                    let mut given = Given(TokenSet::new(vocabulary.len()));
                    mask.iter_set_entries(|token| {
                        given.0.insert(TokenId::new(token as u32));
                    });
                    let theirs = time(|| Masked::new().draw(&row, &mut given, &mut stream));
                    if measured {
                        pass += row_time;
                        masks[0] += our_mask;
                        masks[1] += their_mask;
                        awrs.add(asked);
                        masked.add(ours);
                        llguidance.add(theirs);
                    }
                }
                if let Some(bytes) = vocabulary.bytes(*token) {
                    state = schema.advance(&state, bytes).expect("the text is accepted");
                    matcher.consume_token(token.index() as u32).expect("the text is accepted");
                }
            }
        }
        let mean = |sum: f64| sum / awrs.draws;
        println!("{shape} rows, Z {:.3}; the pass over a row {:.1}", mean(masked.mass), mean(pass));
        println!(
            "  awrs                  {:>6.1}, {:.1} questions, {:.0}% of draws by a mask",
            mean(awrs.micros),
            mean(awrs.checks),
            100.0 * mean(awrs.masked)
        );
        for (name, mask, draws) in [("masked", masks[0], &masked), ("masked by llguidance", masks[1], &llguidance)] {
            let (mask, draw) = (mean(mask), mean(draws.micros));
            println!(
                "  {name:<21} {:>6.1}: mask {mask:.1}, draw {draw:.1}; {:.1} times awrs",
                mask + draw,
                (mask + draw) / mean(awrs.micros)
            );
        }
    }
}

/// A row over `size` tokens with so much of its mass on one token.
fn logits(size: usize, token: TokenId, peak: Option<f64>) -> Vec<f32> {
    let Some(peak) = peak else { return vec![0.0; size] };
    // A prime number scatters the ranks.
    let weight = |token: usize| 1.0 / ((token * 40_507 + 17) % size + 1) as f64;
    let rest: f64 = (0..size).filter(|other| *other != token.index()).map(weight).sum();
    let mut logits: Vec<f32> = (0..size).map(|token| weight(token).ln() as f32).collect();
    logits[token.index()] = (rest * peak / (1.0 - peak)).ln() as f32;
    logits
}

/// Labels that came as a whole mask.
struct Given(TokenSet);

impl Labels for Given {
    fn check(&mut self, token: TokenId) -> bool {
        self.0.contains(token)
    }

    fn known(&self) -> Known<'_> {
        Known::All(&self.0)
    }

    fn mask(&mut self) -> Option<&TokenSet> {
        Some(&self.0)
    }

    fn checks(&self) -> u32 {
        0
    }
}

/// Sums over draws.
struct Sums {
    draws: f64,
    micros: f64,
    checks: f64,
    masked: f64,
    mass: f64,
}

impl Sums {
    const NONE: Self = Self { draws: 0.0, micros: 0.0, checks: 0.0, masked: 0.0, mass: 0.0 };

    fn add(&mut self, (draw, micros): (Draw, f64)) {
        let record = draw.record();
        self.draws += 1.0;
        self.micros += micros;
        self.checks += f64::from(record.checks);
        self.masked += f64::from(u8::from(record.masked));
        self.mass += record.log_z.exp();
    }
}

/// What it gives, and the microseconds that it takes.
fn time<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = black_box(run());
    (result, started.elapsed().as_secs_f64() * 1e6)
}
