//! A set of tokens of one vocabulary, one bit a token. Masks and label caches are made of these.

use super::TokenId;

/// A set of token ids below a fixed size, as a bit set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenSet {
    words: Vec<u64>,
    size: usize,
}

impl TokenSet {
    /// The empty set over a vocabulary of `size` tokens.
    pub fn new(size: usize) -> Self {
        Self { words: vec![0; size.div_ceil(64)], size }
    }

    /// The number of tokens of the vocabulary (not of the set: that is [`TokenSet::len`]).
    pub fn vocabulary_size(&self) -> usize {
        self.size
    }

    /// The number of tokens in the set. Linear in the vocabulary, 64 tokens a step.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no token is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether `token` is in the set. False for ids outside the vocabulary.
    #[inline]
    pub fn contains(&self, token: TokenId) -> bool {
        let index = token.index();
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Adds `token`; true where it was not there before.
    ///
    /// # Panics
    /// If the id is outside the vocabulary.
    #[inline]
    pub fn insert(&mut self, token: TokenId) -> bool {
        let index = token.index();
        assert!(index < self.size, "token {index} outside a vocabulary of {}", self.size);
        let bit = 1 << (index % 64);
        let word = &mut self.words[index / 64];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes `token` out; true where it was there.
    pub fn remove(&mut self, token: TokenId) -> bool {
        let index = token.index();
        let Some(word) = self.words.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let there = *word & bit != 0;
        *word &= !bit;
        there
    }

    /// The set as bits, 64 tokens a word, the lowest bit for the first of them.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds all tokens of `other`.
    ///
    /// # Panics
    /// If the sets are over vocabularies of different sizes.
    pub fn union_with(&mut self, other: &TokenSet) {
        assert_eq!(self.size, other.size, "sets over different vocabularies");
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Keeps only the tokens that `other` has too.
    ///
    /// # Panics
    /// If the sets are over vocabularies of different sizes.
    pub fn intersect_with(&mut self, other: &TokenSet) {
        assert_eq!(self.size, other.size, "sets over different vocabularies");
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// The tokens of the set, by increasing id.
    pub fn iter(&self) -> impl Iterator<Item = TokenId> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(TokenId::new(at as u32 * 64 + bit))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_ids(ids in prop::collection::vec(0u32..200, 0..60), gone in prop::collection::vec(0u32..200, 0..20)) {
            let mut set = TokenSet::new(200);
            let mut reference = std::collections::BTreeSet::new();
            for id in &ids {
                prop_assert_eq!(set.insert(TokenId::new(*id)), reference.insert(*id));
            }
            for id in &gone {
                prop_assert_eq!(set.remove(TokenId::new(*id)), reference.remove(id));
            }
            prop_assert_eq!(set.len(), reference.len());
            prop_assert_eq!(set.iter().map(|token| token.index() as u32).collect::<Vec<_>>(), reference.into_iter().collect::<Vec<_>>());
        }
    }
}
