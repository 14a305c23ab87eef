//! One JSON value in different texts, and one text in different pieces.
//!
//! A constraint on JSON values must not care how a value is spelled, nor where the tokens of a model
//! happen to end. Suites can be judged so ([`super::suite`]).

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::fmt::Write;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Spelling {
    /// Without white space.
    Compact,
    /// A space after each comma and colon.
    Spaced,
    /// In lines, indented by two spaces a level.
    Indented,
    /// Compact, the properties of each object in a random order.
    Shuffled,
    /// Compact, every character of strings and names as `\u` escapes.
    Escaped,
}

impl Spelling {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Compact, Self::Spaced, Self::Indented, Self::Shuffled, Self::Escaped];

    /// The text of `value`. `seed` decides the order of shuffled properties.
    pub fn write(self, value: &Value, seed: u64) -> String {
        let mut writer = Writer { spelling: self, rng: ChaCha8Rng::seed_from_u64(seed), out: String::new() };
        writer.value(value, 0);
        writer.out
    }
}

struct Writer {
    spelling: Spelling,
    rng: ChaCha8Rng,
    out: String,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.out.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.between(at, depth + 1);
                    self.value(item, depth + 1);
                }
                self.end(items.is_empty(), depth, ']');
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.spelling == Spelling::Shuffled {
                    members.shuffle(&mut self.rng);
                }
                self.out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    self.between(at, depth + 1);
                    self.string(name);
                    self.out.push_str(if matches!(self.spelling, Spelling::Spaced | Spelling::Indented) { ": " } else { ":" });
                    self.value(value, depth + 1);
                }
                self.end(members.is_empty(), depth, '}');
            }
            scalar => self.out += &scalar.to_string(),
        }
    }

    fn string(&mut self, text: &str) {
        if self.spelling != Spelling::Escaped {
            self.out += &Value::String(text.to_owned()).to_string();
            return;
        }
        self.out.push('"');
        for unit in text.encode_utf16() {
            let _ = write!(self.out, "\\u{unit:04x}");
        }
        self.out.push('"');
    }

    fn between(&mut self, at: usize, depth: usize) {
        if at > 0 {
            self.out.push_str(if self.spelling == Spelling::Spaced { ", " } else { "," });
        }
        self.line(depth);
    }

    fn end(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if self.spelling == Spelling::Indented {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', 2 * depth));
        }
    }
}

/// How a text is cut in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pieces {
    /// Not at all.
    Whole,
    /// Byte by byte.
    Bytes,
    /// At random places, 1 to 8 bytes apart.
    Random,
}

impl Pieces {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Bytes, Self::Random];

    /// The pieces of `text`. `seed` decides the random ones.
    pub fn cut(self, text: &[u8], seed: u64) -> Vec<&[u8]> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let length = match self {
                Self::Whole => rest.len(),
                Self::Bytes => 1,
                Self::Random => rng.random_range(1..=8).min(rest.len()),
            };
            let (piece, after) = rest.split_at(length);
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_back_as_the_same_value() {
        let value: Value = serde_json::from_str(r#"{"b": [1, 1.50, {}, [], null], "a\n\u0001é😀": {"x": "y\"z"}, "c": 1e400}"#).unwrap();
        for spelling in Spelling::ALL {
            let text = spelling.write(&value, 7);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text}");
            for pieces in Pieces::ALL {
                assert_eq!(pieces.cut(text.as_bytes(), 3).concat(), text.as_bytes());
            }
        }
    }
}
