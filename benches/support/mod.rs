//! What the benches of constraints share: a clock, quantiles, a vocabulary, and how a text is cut into tokens.
//!
//! The vocabulary is made of the texts' own words, as large as those of real models; with
//! `TAMIS_VOCABULARY=FILE`, a JSON array of the tokens' bytes (each an array of numbers), it is a real one.

use std::collections::BTreeSet;
use std::time::Instant;
use tamis::vocab::{Token, TokenId, Vocabulary};

const SIZE: usize = 49_152;

/// Runs it once and notes the microseconds that it took.
pub fn time<T>(times: &mut Vec<f64>, run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = run();
    times.push(begin.elapsed().as_secs_f64() * 1e6);
    result
}

/// The median and the 99th percentile.
pub fn quantiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |fraction: f64| times[((times.len() - 1) as f64 * fraction) as usize];
    (at(0.5), at(0.99))
}

/// The text tokens in the order of their bytes.
pub fn tokens_by_bytes(vocabulary: &Vocabulary) -> Vec<TokenId> {
    let mut tokens: Vec<TokenId> = vocabulary.tokens().filter(|token| vocabulary.bytes(*token).is_some()).collect();
    tokens.sort_by_key(|token| vocabulary.bytes(*token));
    tokens
}

/// The longest token that `text` begins with.
pub fn longest(sorted: &[TokenId], vocabulary: &Vocabulary, text: &[u8]) -> TokenId {
    let bytes = |token: &TokenId| vocabulary.bytes(*token).unwrap();
    (1..=text.len().min(32))
        .rev()
        .find_map(|length| sorted.binary_search_by(|token| bytes(token).cmp(&text[..length])).ok())
        .map(|found| sorted[found])
        .expect("every byte is a token")
}

/// A vocabulary for the texts.
pub fn vocabulary<'a>(texts: impl Iterator<Item = &'a str>) -> Vocabulary {
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
