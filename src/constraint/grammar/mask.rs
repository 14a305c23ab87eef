//! The mask of a state: all tokens that may come, by one walk through the vocabulary.
//!
//! Tens of thousands of tokens lead through few states: what a byte does to one is worked out once and kept in a
//! table for the rest of the walk, a deterministic automaton that is built as far as the vocabulary goes. Most
//! nodes of the trie then cost one look-up. (States hold what is open around them, so that hardly any would come
//! again in the next walk.)

use super::recognizer::{Readings, Recognizer};
use crate::vocab::{TokenSet, TokenTrie};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// No byte was read here yet.
const UNKNOWN: u32 = u32::MAX;
/// No text goes on so.
const NOWHERE: u32 = u32::MAX - 1;

/// The states that a walk came to, by number.
struct Automaton<'a> {
    recognizer: &'a Recognizer,
    states: Vec<Readings>,
    numbers: FxHashMap<Readings, u32>,
    /// For each state where each byte leads.
    next: Vec<[u32; 256]>,
}

impl Recognizer {
    /// Sets `out` to the tokens of the vocabulary that may come next.
    pub(super) fn mask(&self, readings: &Readings, trie: &TokenTrie, out: &mut TokenSet) {
        out.clear();
        let mut automaton = Automaton { recognizer: self, states: Vec::new(), numbers: FxHashMap::default(), next: Vec::new() };
        let start = automaton.number(readings.clone());
        trie.walk(
            start,
            |state, byte| automaton.next(*state, byte),
            |token| {
                out.insert(token);
            },
        );
    }
}

impl Automaton<'_> {
    fn next(&mut self, state: u32, byte: u8) -> Option<u32> {
        let mut next = self.next[state as usize][usize::from(byte)];
        if next == UNKNOWN {
            let mut readings = self.states[state as usize].clone();
            self.recognizer.step(&mut readings, byte);
            next = if readings.is_empty() { NOWHERE } else { self.number(readings) };
            self.next[state as usize][usize::from(byte)] = next;
        }
        (next != NOWHERE).then_some(next)
    }

    fn number(&mut self, readings: Readings) -> u32 {
        match self.numbers.entry(readings) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = self.states.len() as u32;
                self.states.push(new.key().clone());
                self.next.push([UNKNOWN; 256]);
                *new.insert(number)
            }
        }
    }
}
