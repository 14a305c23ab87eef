//! The toy model of the laws of whole runs: three words whose likeliest continuations may lead nowhere.

use tamis::prelude::*;
use tamis::vocab::{Token, TokenId, Vocabulary};

pub const PATTERN: &str = "(ab|ba){1,2}";
pub const MAX_TOKENS: usize = 3;

/// Tokens "a", "b", "ab", then the end.
pub fn vocabulary() -> Vocabulary {
    Vocabulary::new([Token::Text(b"a".to_vec()), Token::Text(b"b".to_vec()), Token::Text(b"ab".to_vec()), Token::End]).unwrap()
}

/// A row that depends on the last token, so that what is likely now may lead nowhere.
pub fn row(context: &[TokenId]) -> Vec<f64> {
    match context.last().map(|token| token.index()) {
        None => vec![0.55, 0.25, 0.15, 0.05],
        Some(0) => vec![0.60, 0.10, 0.10, 0.20],
        Some(1) => vec![0.20, 0.20, 0.20, 0.40],
        Some(_) => vec![0.05, 0.15, 0.30, 0.50],
    }
}

pub fn model() -> TableLm {
    TableLm::new(vocabulary(), row)
}
