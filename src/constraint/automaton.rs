//! Deterministic automata over bytes in which every state leads to a match.
//!
//! Whatever describes a regular language (a DFA of `regex-automata`, the intersection of two automata,
//! alternating threads of a pattern with look-around) is explored once from its start by
//! [`LiveAutomaton::explore`]; the states from which no match can be reached are dropped, equal ones
//! merged. What is left answers about a byte by one look-up, and a prefix is refused exactly where no
//! continuation of it is in the language.

use crate::vocab::TokenSet;
use rustc_hash::FxHashMap;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// A DFA of which every state leads to a match. State 0 is the start.
pub(super) struct LiveAutomaton {
    /// `transitions[state * 256 + byte]`, or `DEAD`.
    transitions: Vec<u32>,
    /// The fewest bytes from a state to a match: 0 where the text may end.
    distance: Vec<u32>,
    classes: Classes,
    masks: StateMasks,
}

/// The plain text (of [`TokenTrie::plain_text`](crate::vocab::TokenTrie::plain_text)) that may come at states, remembered: most texts come by few states often, and a format's automaton serves all
/// schemas.
#[derive(Default)]
pub(super) struct StateMasks(Mutex<FxHashMap<MaskKey, Arc<TokenSet>>>);

/// The trie ([`TokenTrie::id`](crate::vocab::TokenTrie::id)), and the state.
type MaskKey = (u64, u32);

impl StateMasks {
    /// So many masks are kept; with a vocabulary of 128k, 1 MiB.
    const KEPT: usize = 64;

    pub(super) fn get_or_make(&self, key: MaskKey, make: impl FnOnce() -> TokenSet) -> Arc<TokenSet> {
        let masks = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = masks().get(&key).cloned();
        known.unwrap_or_else(|| {
            let mask = Arc::new(make());
            let mut masks = masks();
            if masks.len() >= Self::KEPT {
                masks.clear();
            }
            masks.insert(key, mask.clone());
            mask
        })
    }
}

/// Why a language has no [`LiveAutomaton`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It would pass the limit of states.
    TooLarge,
    /// No text is in the language.
    NoText,
}

/// Above this number of states merging equal ones takes longer than it is worth.
const MINIMIZED_STATES: usize = 1 << 13;

/// No state, and no distance.
pub(super) const DEAD: u32 = u32::MAX;

/// How many code points may still follow a state before the text ends: at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remaining {
    pub(super) least: u32,
    /// `None`: any number.
    pub(super) most: Option<u32>,
}

/// For each byte the first one that no state tells apart from it.
pub(super) type Classes = [u8; 256];

/// The classes of the bytes that have equal keys.
pub(super) fn common_classes<K: Eq + Hash>(key: impl Fn(u8) -> K) -> Classes {
    let mut first: HashMap<K, u8> = HashMap::new();
    std::array::from_fn(|byte| *first.entry(key(byte as u8)).or_insert(byte as u8))
}

impl LiveAutomaton {
    /// Explores the automaton with the start `first`, `step` for its transitions and `accepts` for its
    /// matches, up to `limit` states. `step` is asked about the first byte of each class.
    ///
    /// # Errors
    /// If there are more states, or no text is accepted.
    pub(super) fn explore<S: Clone + Eq + Hash>(
        first: S,
        classes: &Classes,
        limit: usize,
        mut step: impl FnMut(&S, u8) -> Option<S>,
        accepts: impl Fn(&S) -> bool,
    ) -> Result<Self, Problem> {
        let mut numbers: HashMap<S, u32> = HashMap::from([(first.clone(), 0)]);
        let mut states = vec![first];
        let mut transitions: Vec<u32> = Vec::new();
        let mut at = 0;
        while at < states.len() {
            if states.len() > limit {
                return Err(Problem::TooLarge);
            }
            let row = transitions.len();
            for byte in 0..=255u8 {
                let same = classes[usize::from(byte)];
                let next = match same == byte {
                    false => transitions[row + usize::from(same)],
                    true => step(&states[at], byte).map_or(DEAD, |next| {
                        *numbers.entry(next).or_insert_with_key(|next| {
                            states.push(next.clone());
                            states.len() as u32 - 1
                        })
                    }),
                };
                transitions.push(next);
            }
            at += 1;
        }
        let matches: Vec<bool> = states.iter().map(accepts).collect();
        let live = Self::of_live_states(&transitions, &matches, classes)?;
        Ok(if live.states() <= MINIMIZED_STATES { live.minimized() } else { live })
    }

    /// The texts that both automata accept.
    pub(super) fn intersection(&self, other: &Self, limit: usize) -> Result<Self, Problem> {
        let step = |(a, b): &(u32, u32), byte| Some((self.next(*a, byte)?, other.next(*b, byte)?));
        let accepts = |(a, b): &(u32, u32)| self.distance(*a) == 0 && other.distance(*b) == 0;
        let classes = common_classes(|byte| (self.classes[usize::from(byte)], other.classes[usize::from(byte)]));
        Self::explore((0, 0), &classes, limit, step, accepts)
    }

    pub(super) fn masks(&self) -> &StateMasks {
        &self.masks
    }

    /// The number of states.
    pub(super) fn states(&self) -> usize {
        self.distance.len()
    }

    pub(super) fn next(&self, state: u32, byte: u8) -> Option<u32> {
        let next = self.transitions[state as usize * 256 + usize::from(byte)];
        (next != DEAD).then_some(next)
    }

    /// The fewest bytes from `state` to a match.
    pub(super) fn distance(&self, state: u32) -> u32 {
        self.distance[state as usize]
    }

    /// The part of an automaton, its start at 0, that leads to a match.
    fn of_live_states(transitions: &[u32], matches: &[bool], classes: &Classes) -> Result<Self, Problem> {
        let mut distance: Vec<u32> = matches.iter().map(|matches| if *matches { 0 } else { DEAD }).collect();
        // Backwards from the matches, breadth first.
        let before = predecessors(transitions, matches.len());
        let mut open: VecDeque<usize> = (0..matches.len()).filter(|state| matches[*state]).collect();
        while let Some(state) = open.pop_front() {
            for previous in &before[state] {
                if distance[*previous as usize] == DEAD {
                    distance[*previous as usize] = distance[state] + 1;
                    open.push_back(*previous as usize);
                }
            }
        }
        if distance[0] == DEAD {
            return Err(Problem::NoText);
        }
        let mut kept = 0;
        let new_number: Vec<u32> = distance
            .iter()
            .map(|distance| {
                if *distance == DEAD {
                    return DEAD;
                }
                kept += 1;
                kept - 1
            })
            .collect();
        let renumbered = |next: &u32| if *next == DEAD { DEAD } else { new_number[*next as usize] };
        let transitions = (0..matches.len())
            .filter(|state| distance[*state] != DEAD)
            .flat_map(|state| transitions[state * 256..(state + 1) * 256].iter().map(renumbered))
            .collect();
        distance.retain(|distance| *distance != DEAD);
        Ok(Self { transitions, distance, classes: *classes, masks: StateMasks::default() })
    }

    /// The same with states of equal futures merged, by Moore's refinement of a partition. It starts from
    /// the distances, which equal futures share, so that few rounds are needed. (The minimisation of
    /// `regex-automata` would tell apart states that differ only in its late match.)
    fn minimized(self) -> Self {
        let bytes: Vec<usize> = (0..256).filter(|byte| usize::from(self.classes[*byte]) == *byte).collect();
        let mut class: Vec<u32> = self.distance.clone();
        let mut classes = 0;
        loop {
            let mut found: FxHashMap<Vec<u32>, u32> = FxHashMap::default();
            let refined: Vec<u32> = (0..class.len())
                .map(|state| {
                    let successors = bytes.iter().map(|byte| match self.transitions[state * 256 + byte] {
                        DEAD => DEAD,
                        next => class[next as usize],
                    });
                    let number = found.len() as u32;
                    *found.entry(std::iter::once(class[state]).chain(successors).collect()).or_insert(number)
                })
                .collect();
            class = refined;
            if found.len() == classes {
                break;
            }
            classes = found.len();
        }
        // Classes are numbered by their first state: the start stays 0.
        let (transitions, distance) = (Vec::with_capacity(classes * 256), Vec::with_capacity(classes));
        let mut merged = Self { transitions, distance, classes: self.classes, masks: StateMasks::default() };
        for state in 0..class.len() {
            if class[state] as usize == merged.distance.len() {
                merged.distance.push(self.distance[state]);
                let successors = self.transitions[state * 256..(state + 1) * 256].iter();
                merged.transitions.extend(successors.map(|next| if *next == DEAD { DEAD } else { class[*next as usize] }));
            }
        }
        merged
    }

    /// For each state, how many code points may still come before the text ends. The language is of valid
    /// UTF-8.
    pub(super) fn remaining(&self) -> Vec<Remaining> {
        let before = predecessors(&self.transitions, self.states());
        let most = self.most_code_points(&before);
        self.fewest_code_points(&before).into_iter().zip(most).map(|(least, most)| Remaining { least, most }).collect()
    }

    /// Whether the step between two states that follow each other begins a code point. A state inside a
    /// code point is left by continuation bytes only, any other never.
    fn begins(&self, state: u32) -> bool {
        !(0x80..0xC0).any(|byte| self.next(state, byte).is_some())
    }

    fn fewest_code_points(&self, before: &[Vec<u32>]) -> Vec<u32> {
        let mut least: Vec<u32> = self.distance.iter().map(|distance| if *distance == 0 { 0 } else { DEAD }).collect();
        // Steps cost one or nothing: a queue with two ends keeps the order.
        let mut open: VecDeque<u32> = (0..self.states() as u32).filter(|state| least[*state as usize] == 0).collect();
        while let Some(state) = open.pop_front() {
            for previous in &before[state as usize] {
                let begins = self.begins(*previous);
                let reached = least[state as usize] + u32::from(begins);
                if reached < least[*previous as usize] {
                    least[*previous as usize] = reached;
                    if begins { open.push_back(*previous) } else { open.push_front(*previous) }
                }
            }
        }
        least
    }

    /// Backwards from the states that nothing follows: what is never reached so lies on or before a cycle.
    fn most_code_points(&self, before: &[Vec<u32>]) -> Vec<Option<u32>> {
        let mut missing: Vec<usize> = vec![0; self.states()];
        before.iter().flatten().for_each(|previous| missing[*previous as usize] += 1);
        let mut most = vec![None; self.states()];
        let mut longest = vec![0; self.states()];
        let mut open: Vec<u32> = (0..self.states() as u32).filter(|state| missing[*state as usize] == 0).collect();
        while let Some(state) = open.pop() {
            most[state as usize] = Some(longest[state as usize]);
            for previous in &before[state as usize] {
                let reached = longest[state as usize] + u32::from(self.begins(*previous));
                longest[*previous as usize] = reached.max(longest[*previous as usize]);
                missing[*previous as usize] -= 1;
                if missing[*previous as usize] == 0 {
                    open.push(*previous);
                }
            }
        }
        most
    }
}

/// The states from which each state is reached in one step, without repetition.
fn predecessors(transitions: &[u32], states: usize) -> Vec<Vec<u32>> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); states];
    for (position, next) in transitions.iter().enumerate().filter(|(_, next)| **next != DEAD) {
        let state = (position / 256) as u32;
        let before = &mut before[*next as usize];
        if before.last() != Some(&state) {
            before.push(state);
        }
    }
    before
}
