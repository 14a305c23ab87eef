//! Labels of tokens, remembered by constraint state.
//!
//! Whether a token is allowed depends on the constraint's state alone, and equal states give equal
//! answers for ever. So what one particle learnt is known to all particles at that state, at every
//! step: refused tokens are never proposed again, allowed ones count as seen mass. Each particle stays
//! properly weighted given the cache, whatever it holds (specs: awrs, 5.3).
//!
//! The cache is bounded by a number of states and keeps those used last: two generations, of which the
//! older is dropped when the younger is full. What it holds depends only on the order of questions,
//! never on time or memory addresses, so that a seed decides a run.

use super::{Known, Labels};
use crate::constraint::Constraint;
use crate::vocab::{TokenId, TokenSet, Vocabulary};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A bounded memory of labels by constraint state, shared by all particles and steps of a run, and by the
/// runs that it is given to.
///
/// ```
/// use tamis::{constraint::{Constraint, Product}, sampler::{LabelCache, Labels}, vocab::{Token, TokenId, Vocabulary}};
/// let vocabulary = Vocabulary::new([Token::Text(b"a".to_vec()), Token::End])?;
/// let (anything, mut cache) = (Product::new([]), LabelCache::default());
/// let start = anything.start();
/// let mut labels = cache.labels(&anything, &vocabulary, &start, false);
/// assert!(labels.check(TokenId::new(0)) && labels.check(TokenId::new(0)));
/// assert_eq!(labels.checks(), 1);
/// # Ok::<(), tamis::vocab::VocabularyError>(())
/// ```
#[derive(Debug)]
pub struct LabelCache<C: Constraint> {
    young: FxHashMap<C::State, StateLabels>,
    old: FxHashMap<C::State, StateLabels>,
    /// The most states in the young generation.
    generation: usize,
}

/// What is known of one state. Lists are by increasing id: a state that many particles pass, such as the
/// inside of a string, has long ones.
#[derive(Debug, Default)]
struct StateLabels {
    allowed: SmallVec<[TokenId; 8]>,
    refused: SmallVec<[TokenId; 8]>,
    /// All allowed tokens, once they were computed.
    mask: Option<TokenSet>,
}

impl<C: Constraint> Default for LabelCache<C> {
    /// Room for 2048 states: with a mask for each of them and a vocabulary of 128k, 32 MiB.
    fn default() -> Self {
        Self::with_capacity(2048)
    }
}

impl<C: Constraint> LabelCache<C> {
    /// A cache of at most `states` states (at least 2), of which the half used last is sure to be kept.
    pub fn with_capacity(states: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), generation: (states / 2).max(1) }
    }

    /// The number of states that something is known of.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The labels at `state`. With `only_ends`, for the position after the last text token, every text
    /// token is refused.
    ///
    /// The constraint and the vocabulary must be the same at every call: labels are kept by state alone.
    pub fn labels<'a>(
        &'a mut self,
        constraint: &'a C,
        vocabulary: &'a Vocabulary,
        state: &'a C::State,
        only_ends: bool,
    ) -> ConstraintLabels<'a, C> {
        let known =
            if only_ends { Memory::Ends(only_ends_labels(constraint, vocabulary, state)) } else { Memory::State(self.entry(state)) };
        let checks = u32::from(only_ends);
        ConstraintLabels { constraint, vocabulary, state, memory: known, checks }
    }

    fn entry(&mut self, state: &C::State) -> &mut StateLabels {
        if !self.young.contains_key(state) {
            let known = self.old.remove(state).unwrap_or_default();
            if self.young.len() >= self.generation {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(state.clone(), known);
        }
        self.young.get_mut(state).expect("it was found or inserted")
    }
}

/// The mask of a position where only an end may come.
fn only_ends_labels<C: Constraint>(constraint: &C, vocabulary: &Vocabulary, state: &C::State) -> TokenSet {
    let mut mask = TokenSet::new(vocabulary.len());
    if constraint.may_end(state) {
        for end in vocabulary.ends() {
            mask.insert(*end);
        }
    }
    mask
}

/// Labels of a constraint at one state, with what the cache remembers of it.
#[derive(Debug)]
pub struct ConstraintLabels<'a, C: Constraint> {
    constraint: &'a C,
    vocabulary: &'a Vocabulary,
    state: &'a C::State,
    memory: Memory<'a>,
    checks: u32,
}

#[derive(Debug)]
enum Memory<'a> {
    State(&'a mut StateLabels),
    /// Only ends may come, and these are they.
    Ends(TokenSet),
}

/// Adds tokens to a list where they are not yet.
fn insert(list: &mut SmallVec<[TokenId; 8]>, tokens: &[TokenId]) {
    for token in tokens {
        if let Err(place) = list.binary_search(token) {
            list.insert(place, *token);
        }
    }
}

impl<C: Constraint> Labels for ConstraintLabels<'_, C> {
    fn check(&mut self, token: TokenId) -> bool {
        let known = match &mut self.memory {
            Memory::Ends(ends) => return ends.contains(token),
            Memory::State(known) => known,
        };
        if let Some(mask) = &known.mask {
            return mask.contains(token);
        }
        if known.allowed.binary_search(&token).is_ok() {
            return true;
        }
        if known.refused.binary_search(&token).is_ok() {
            return false;
        }
        let ends = [token];
        let (allowed, tokens) = match self.vocabulary.bytes(token) {
            Some(bytes) => (self.constraint.allows(self.state, bytes), &ends[..]),
            // One answer for all tokens that end the text.
            None if self.vocabulary.is_end(token) => (self.constraint.may_end(self.state), self.vocabulary.ends()),
            None => {
                insert(&mut known.refused, &[token]);
                return false;
            }
        };
        self.checks += 1;
        insert(if allowed { &mut known.allowed } else { &mut known.refused }, tokens);
        allowed
    }

    fn known(&self) -> Known<'_> {
        match &self.memory {
            Memory::Ends(ends) => Known::All(ends),
            Memory::State(StateLabels { mask: Some(mask), .. }) => Known::All(mask),
            Memory::State(known) => Known::Some { allowed: &known.allowed, refused: &known.refused },
        }
    }

    fn mask(&mut self) -> Option<&TokenSet> {
        match &mut self.memory {
            Memory::Ends(ends) => Some(ends),
            Memory::State(known) => {
                if known.mask.is_none() {
                    let mut mask = TokenSet::new(self.vocabulary.len());
                    self.constraint.mask(self.state, self.vocabulary.trie(), &mut mask);
                    if self.constraint.may_end(self.state) {
                        for end in self.vocabulary.ends() {
                            mask.insert(*end);
                        }
                    }
                    known.mask = Some(mask);
                    (known.allowed, known.refused) = Default::default();
                }
                known.mask.as_ref()
            }
        }
    }

    fn checks(&self) -> u32 {
        self.checks
    }
}
