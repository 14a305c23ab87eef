//! SentencePiece's byte-pair encoding: pieces with scores instead of a list of merges.
//!
//! Of all neighbours that together are a piece, the pair whose piece has the highest score is merged
//! first, and of equal scores the leftmost (Kudo and Richardson, 2018). The list of merges that the crate
//! `tokenizers` wants is implied by the scores, but long: half a million merges for Gemma, which take more
//! than a second to find and sort at every start. Merging by score needs nothing but the pieces.

use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{Model, Token};

/// The pieces of a SentencePiece model.
pub(super) struct Pieces {
    /// All tokens by their spelling, of whatever kind.
    ids: FxHashMap<Box<str>, u32>,
    spellings: Vec<String>,
    scores: Vec<f32>,
    /// Which tokens may be found in a text; the others are only ever spelled out by chat templates.
    in_texts: Vec<bool>,
    /// The tokens of single bytes, where all are there.
    bytes: Option<Box<[u32; 256]>>,
    unknown: Option<u32>,
}

impl Pieces {
    /// Pieces with these spellings and scores. What is no piece is written in `bytes`, or else as
    /// `unknown`.
    pub(super) fn new(
        spellings: Vec<String>,
        scores: Vec<f32>,
        in_texts: Vec<bool>,
        bytes: Option<Box<[u32; 256]>>,
        unknown: Option<u32>,
    ) -> Self {
        let mut ids = FxHashMap::with_capacity_and_hasher(spellings.len(), Default::default());
        for (id, spelling) in spellings.iter().enumerate() {
            ids.insert(spelling.as_str().into(), id as u32);
        }
        Self { ids, spellings, scores, in_texts, bytes, unknown }
    }

    fn piece(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied().filter(|id| self.in_texts[*id as usize])
    }

    /// The tokens of a piece of text that may be no token.
    fn write(&self, symbol: Symbol, text: &str, tokens: &mut Vec<Token>) -> tokenizers::Result<()> {
        let offsets = (symbol.start, symbol.end);
        let value = &text[symbol.start..symbol.end];
        let token = |id: u32| Token::new(id, value.to_owned(), offsets);
        if let Some(id) = self.piece(value) {
            tokens.push(token(id));
        } else if let Some(bytes) = &self.bytes {
            tokens.extend(value.bytes().map(|byte| token(bytes[usize::from(byte)])));
        } else if let Some(unknown) = self.unknown {
            // Neighbours that are unknown are one.
            match tokens.last_mut().filter(|last| last.id == unknown) {
                Some(last) => last.offsets.1 = symbol.end,
                None => tokens.push(token(unknown)),
            }
        } else {
            return Err(format!("{value:?} cannot be written: the tokenizer has neither bytes nor an unknown token").into());
        }
        Ok(())
    }
}

/// A stretch of the text, and its neighbours by number.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: usize,
    next: usize,
}

/// No neighbour.
const NONE: usize = usize::MAX;

/// Two neighbours that are a piece together. The greatest is merged first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    score: Score,
    left: Reverse<usize>,
    /// Where the pair ended when it was found: if either has changed since, it does not any more.
    middle: usize,
    end: usize,
}

struct Score(f32);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Model for Pieces {
    type Trainer = BpeTrainer;

    fn tokenize(&self, text: &str) -> tokenizers::Result<Vec<Token>> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(number, (start, character))| Symbol {
                start,
                end: start + character.len_utf8(),
                previous: number.checked_sub(1).unwrap_or(NONE),
                next: number + 1,
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let pair = |symbols: &[Symbol], left: usize| {
            let Symbol { start, end: middle, next, .. } = *symbols.get(left)?;
            let end = symbols.get(next)?.end;
            let id = self.piece(&text[start..end])?;
            Some(Pair { score: Score(self.scores[id as usize]), left: Reverse(left), middle, end })
        };
        let mut pairs: BinaryHeap<Pair> = (0..symbols.len()).filter_map(|left| pair(&symbols, left)).collect();
        while let Some(Pair { left: Reverse(left), middle, end, .. }) = pairs.pop() {
            let Symbol { end: now, next, previous, .. } = symbols[left];
            if now != middle || symbols.get(next).is_none_or(|next| next.end != end) {
                continue;
            }
            let after = symbols[next].next;
            symbols[left].end = end;
            symbols[left].next = after;
            // It is no symbol any more, and no pair that begins with it is one.
            symbols[next].end = NONE;
            if let Some(after) = symbols.get_mut(after) {
                after.previous = left;
            }
            pairs.extend(pair(&symbols, previous));
            pairs.extend(pair(&symbols, left));
        }
        let mut tokens = Vec::new();
        let mut number = 0;
        while let Some(symbol) = symbols.get(number) {
            self.write(*symbol, text, &mut tokens)?;
            number = symbol.next;
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.spellings.get(id as usize).cloned()
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        self.ids.iter().map(|(token, id)| (token.to_string(), *id)).collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.spellings.len()
    }

    fn save(&self, _folder: &Path, _prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        Err("a tokenizer that was read from a model's file is not written".into())
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces over a, b and c; later ones have lower scores, as SentencePiece's have.
    const PIECES: [&str; 14] = ["a", "b", "c", "ab", "bc", "aa", "abc", "aab", "ca", "abca", "bcab", "cc", "é", "aaab"];

    fn pieces() -> Pieces {
        let spellings: Vec<String> = PIECES.iter().map(|piece| piece.to_string()).collect();
        let scores = (0..spellings.len()).map(|id| -(id as f32)).collect();
        let in_texts = vec![true; spellings.len()];
        Pieces::new(spellings, scores, in_texts, None, Some(99))
    }

    fn ids(pieces: &Pieces, text: &str) -> Vec<u32> {
        pieces.tokenize(text).unwrap().iter().map(|token| token.id).collect()
    }

    /// The definition: merge the best pair of the whole text, again and again.
    fn slowly(pieces: &Pieces, text: &str) -> Vec<u32> {
        let mut symbols: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let score = |at: usize| pieces.piece(&format!("{}{}", symbols[at], symbols[at + 1])).map(|id| pieces.scores[id as usize]);
            let pairs = (0..symbols.len().saturating_sub(1)).filter_map(|at| Some((at, score(at)?)));
            let best = pairs.fold(None, |best: Option<(usize, f32)>, pair| match best {
                Some(best) if best.1 >= pair.1 => Some(best),
                _ => Some(pair),
            });
            let Some((at, _)) = best else { break };
            let right = symbols.remove(at + 1);
            symbols[at] += &right;
        }
        symbols.iter().map(|symbol| pieces.piece(symbol).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn the_queue_merges_as_the_definition_does(text in "[abcé]{0,40}") {
            let pieces = pieces();
            prop_assert_eq!(ids(&pieces, &text), slowly(&pieces, &text));
        }
    }

    #[test]
    fn what_is_no_piece_is_written_in_bytes_or_is_unknown() {
        let unknown = pieces();
        assert_eq!(ids(&unknown, "aüüab"), [0, 99, 3]);
        let bytes = Pieces { bytes: Some(Box::new(std::array::from_fn(|byte| 1000 + byte as u32))), ..pieces() };
        assert_eq!(ids(&bytes, "aü"), [0, 1000 + 0xC3, 1000 + 0xBC]);
        assert!(Pieces { unknown: None, ..pieces() }.tokenize("ü").unwrap_err().to_string().contains("ü"));
        let without_ab = Pieces { in_texts: PIECES.map(|piece| piece != "ab").into(), ..pieces() };
        assert_eq!(ids(&without_ab, "ab"), [0, 1]);
    }
}
