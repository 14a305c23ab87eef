//! The mask of a state: all tokens that may come, by one walk through the vocabulary.
//!
//! Outside strings nearly every token dies at its first byte. Inside a string most tokens are plain text:
//! where any text will do, they are all taken at once and only tokens with a quote, a backslash or a
//! control character are walked. Where a pattern or a length must hold, the walk carries the pattern's
//! state alone and makes a whole state of it only where the text leaves the plain.

use super::JsonSchema;
use super::machine::{JsonState, Place};
use super::scalar::PlainString;
use super::text::{self, Decoded, Inside};
use crate::vocab::{TokenSet, TokenTrie};

/// Where a walk through the tokens stands.
enum Step<'a> {
    /// In the plain text of the string that the state is in.
    Plain(PlainString<'a>),
    Whole(Box<JsonState>),
}

impl JsonSchema {
    pub(super) fn fill_mask(&self, state: &JsonState, trie: &TokenTrie, out: &mut TokenSet) {
        out.clear();
        let mut trie = trie;
        let start = match &state.place {
            Place::InString(string) => {
                let survives = |failing: usize| self.survives_without(state, string, failing);
                match string.plain(self, survives) {
                    Some(plain) => {
                        if string.inside == Inside::Between && plain.fits(trie.longest()) {
                            out.union_with(trie.plain_text());
                            trie = trie.other_than_plain_text();
                        }
                        Step::Plain(plain)
                    }
                    None => Step::Whole(Box::new(state.clone())),
                }
            }
            Place::InName { inside: Inside::Between, .. } if state.top.as_ref().is_none_or(|top| !self.judges_names(top)) => {
                out.union_with(trie.plain_text());
                trie = trie.other_than_plain_text();
                Step::Whole(Box::new(state.clone()))
            }
            _ => Step::Whole(Box::new(state.clone())),
        };
        let mut found = |token| {
            out.insert(token);
        };
        trie.walk(start, |step, byte| self.enter(state, step, byte), &mut found);
    }

    fn enter<'a>(&'a self, base: &JsonState, step: &Step<'a>, byte: u8) -> Option<Step<'a>> {
        let mut whole = match step {
            Step::Whole(state) => state.clone(),
            Step::Plain(plain) => {
                if let Ok((inside, Decoded::Byte(byte))) = text::step(plain.inside, byte, false) {
                    return plain.push(byte, inside).map(Step::Plain);
                }
                let mut whole = base.clone();
                if let Place::InString(string) = &mut whole.place {
                    string.catch_up(plain);
                }
                Box::new(whole)
            }
        };
        self.take(&mut whole, &[byte]).is_ok().then_some(Step::Whole(whole))
    }
}
