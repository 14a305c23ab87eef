//! What following a grammar costs: compiling it, a question about one token, a mask over all.
//!
//!     cargo bench --no-default-features --bench grammar
//!
//! Texts are cut greedily into the longest tokens of the vocabulary (`support/mod.rs`).

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;
use support::{longest, quantiles, time, tokens_by_bytes};
use tamis::constraint::{Constraint, Grammar};
use tamis::vocab::{TokenId, TokenSet, Vocabulary};

mod support;

fn main() {
    let json = json_text(400);
    let sql = sql_text();
    let arithmetic = "a1 + (2.5 * b - sin(x, y ^ 3)) / -4 % ".repeat(40) + "7";
    let texts = [("json", vec![json]), ("sqlite_select", sql), ("arithmetic", vec![arithmetic])];
    let vocabulary = support::vocabulary(texts.iter().flat_map(|(_, texts)| texts).map(String::as_str));
    println!("{} tokens; times in microseconds, but for compiling", vocabulary.len());
    println!("{:<14} {:>7}  {:>15}  {:>15}  {:>15}  {:>22} {:>7}", "grammar", "ms", "own token", "any token", "advance", "mask", "states");
    println!("{:<14} {:>7}  {:>15}  {:>15}  {:>15}  {:>22} {:>7}", "", "compile", "p50/p99", "p50/p99", "p50/p99", "mean/p50/p99", "");
    for (name, texts) in &texts {
        let begin = Instant::now();
        let grammar = Grammar::builtin(name).unwrap();
        let compile = begin.elapsed().as_secs_f64() * 1e3;
        let mut times = Times::default();
        let mut states = BTreeSet::new();
        for text in texts {
            follow(&grammar, text.as_bytes(), &vocabulary, &mut times, &mut states);
        }
        let Times { own, any, advance, mask } = times;
        let mean = mask.iter().sum::<f64>() / mask.len() as f64;
        let (own, any, advance, mask) = (quantiles(own), quantiles(any), quantiles(advance), quantiles(mask));
        println!(
            "{name:<14} {compile:>7.1}  {:>7.2}/{:>7.2}  {:>7.2}/{:>7.2}  {:>7.2}/{:>7.2}  {mean:>6.0}/{:>7.0}/{:>7.0} {:>7}",
            own.0,
            own.1,
            any.0,
            any.1,
            advance.0,
            advance.1,
            mask.0,
            mask.1,
            states.len()
        );
    }
}

#[derive(Default)]
struct Times {
    own: Vec<f64>,
    any: Vec<f64>,
    advance: Vec<f64>,
    mask: Vec<f64>,
}

fn follow(grammar: &Grammar, text: &[u8], vocabulary: &Vocabulary, times: &mut Times, states: &mut BTreeSet<u64>) {
    let sorted = tokens_by_bytes(vocabulary);
    let mut mask = TokenSet::new(vocabulary.len());
    let (mut state, mut at, mut random) = (grammar.start(), 0, 7u64);
    let mut count = 0;
    while at < text.len() {
        let token = longest(&sorted, vocabulary, &text[at..]);
        let bytes = vocabulary.bytes(token).unwrap();
        time(&mut times.own, || assert!(grammar.allows(&state, bytes), "{:?}", String::from_utf8_lossy(&text[at..])));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = vocabulary.bytes(TokenId::new((random >> 33) as u32 % vocabulary.len() as u32));
        if let Some(other) = other {
            time(&mut times.any, || black_box(grammar.allows(&state, other)));
        }
        if count % 8 == 0 {
            time(&mut times.mask, || grammar.mask(&state, vocabulary.trie(), &mut mask));
        }
        state = time(&mut times.advance, || grammar.advance(&state, bytes)).unwrap();
        states.insert(hash(&state));
        at += bytes.len();
        count += 1;
    }
    assert!(grammar.may_end(&state));
}

fn hash(state: &impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(state)
}

fn json_text(members: usize) -> String {
    let member = |n: usize| {
        format!("{{\"id\": {n}, \"name\": \"record number {n}\", \"tags\": [\"a\", \"b c\", null, {}.5e-3], \"ok\": true}}", n * 7)
    };
    format!("[{}]", (0..members).map(member).collect::<Vec<_>>().join(",\n  "))
}

fn sql_text() -> Vec<String> {
    let query = |n: usize| {
        format!(
            "SELECT T1.name, count(*) AS total, max(T2.price * {n}.5) FROM customers AS T1 JOIN orders AS T2 ON T1.id = T2.customer_id \
             WHERE T1.city NOT IN (SELECT city FROM branches WHERE year >= {n}) AND T2.note LIKE '%urgent%' OR T2.price BETWEEN 1 AND {n} \
             GROUP BY T1.name HAVING count(*) > 3 ORDER BY total DESC, T1.name LIMIT 10"
        )
    };
    (1..60).map(query).collect()
}
