//! What following a grammar costs: compiling it, a question about one token, a mask over all.
//!
//!     cargo bench --no-default-features --bench grammar
//!
//! Texts are cut greedily into the longest tokens of the vocabulary. That is one made of the texts' own
//! words, as many as real models have; with `TAMIS_VOCABULARY=FILE`, a JSON array of the tokens' bytes
//! (each an array of numbers), it is a real one.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;
use tamis::constraint::{Constraint, Grammar};
use tamis::vocab::{Token, TokenId, TokenSet, Vocabulary};

const SIZE: usize = 49_152;

fn main() {
    let json = json_text(400);
    let sql = sql_text();
    let arithmetic = "a1 + (2.5 * b - sin(x, y ^ 3)) / -4 % ".repeat(40) + "7";
    let texts = [("json", vec![json]), ("sqlite_select", sql), ("arithmetic", vec![arithmetic])];
    let vocabulary = vocabulary(texts.iter().flat_map(|(_, texts)| texts).map(String::as_str));
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

fn time<T>(times: &mut Vec<f64>, run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = run();
    times.push(begin.elapsed().as_secs_f64() * 1e6);
    result
}

fn quantiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |fraction: f64| times[((times.len() - 1) as f64 * fraction) as usize];
    (at(0.5), at(0.99))
}

fn hash(state: &impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(state)
}

fn tokens_by_bytes(vocabulary: &Vocabulary) -> Vec<TokenId> {
    let mut tokens: Vec<TokenId> = vocabulary.tokens().filter(|token| vocabulary.bytes(*token).is_some()).collect();
    tokens.sort_by_key(|token| vocabulary.bytes(*token));
    tokens
}

/// The longest token that `text` begins with.
fn longest(sorted: &[TokenId], vocabulary: &Vocabulary, text: &[u8]) -> TokenId {
    let bytes = |token: &TokenId| vocabulary.bytes(*token).unwrap();
    (1..=text.len().min(32))
        .rev()
        .find_map(|length| sorted.binary_search_by(|token| bytes(token).cmp(&text[..length])).ok())
        .map(|found| sorted[found])
        .expect("every byte is a token")
}

fn vocabulary<'a>(texts: impl Iterator<Item = &'a str>) -> Vocabulary {
    if let Some(path) = std::env::var_os("TAMIS_VOCABULARY") {
        let tokens: Vec<Vec<u8>> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        return Vocabulary::new(tokens.into_iter().map(Token::Text).chain([Token::End])).unwrap();
    }
    let mut tokens: BTreeSet<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    for text in texts {
        for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
            tokens.extend((1..=word.len().min(8)).filter(|end| word.is_char_boundary(*end)).map(|end| word.as_bytes()[..end].to_vec()));
        }
    }
    // The rest are syllables, with and without a blank before them, as in vocabularies of text.
    let (heads, vowels) = ("bcdfghjklmnpqrstvwxz".as_bytes(), "aeiouy".as_bytes());
    for number in 0usize.. {
        if tokens.len() >= SIZE - 1 {
            break;
        }
        let mut token = if number % 2 == 0 { vec![b' '] } else { Vec::new() };
        let mut rest = number / 2;
        while rest > 0 || token.len() < 2 {
            token.extend([heads[rest % 20], vowels[rest / 20 % 6]]);
            rest /= 120;
        }
        tokens.insert(token);
    }
    Vocabulary::new(tokens.into_iter().map(Token::Text).chain([Token::End])).unwrap()
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
