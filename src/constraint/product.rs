//! All of several constraints at once.

use super::{AnyConstraint, AnyState, Constraint, ConstraintError, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use smallvec::SmallVec;

/// The texts that satisfy every one of some constraints.
///
/// A prefix is allowed where each part allows it. That is optimistic, not exact: two parts may each have
/// completions and none in common, which then shows at the end as a dead particle, never as a wrong text.
///
/// ```
/// use tamis::constraint::{AnyConstraint, Constraint, Product, Regex};
/// let even = Regex::new("(..)*")?;
/// let letters = Regex::new("[a-z]*")?;
/// let both = Product::new([AnyConstraint::new(even), AnyConstraint::new(letters)]);
/// let state = both.advance(&both.start(), b"ab").unwrap();
/// assert!(both.may_end(&state) && !both.allows(&state, b"1"));
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Product {
    parts: Vec<AnyConstraint>,
}

impl Product {
    /// All of `parts`; with none, every text.
    pub fn new(parts: impl IntoIterator<Item = AnyConstraint>) -> Self {
        Self { parts: parts.into_iter().collect() }
    }

    fn zip<'a>(&'a self, state: &'a <Self as Constraint>::State) -> impl Iterator<Item = (&'a AnyConstraint, &'a AnyState)> {
        self.parts.iter().zip(state)
    }
}

impl Constraint for Product {
    type State = SmallVec<[AnyState; 2]>;

    fn start(&self) -> Self::State {
        self.parts.iter().map(Constraint::start).collect()
    }

    fn advance(&self, state: &Self::State, bytes: &[u8]) -> Option<Self::State> {
        self.zip(state).map(|(part, state)| part.advance(state, bytes)).collect()
    }

    fn allows(&self, state: &Self::State, bytes: &[u8]) -> bool {
        self.zip(state).all(|(part, state)| part.allows(state, bytes))
    }

    fn may_end(&self, state: &Self::State) -> bool {
        self.zip(state).all(|(part, state)| part.may_end(state))
    }

    /// The longest of the parts' forced strings: all parts must be satisfied, so each binds.
    fn forced(&self, state: &Self::State, out: &mut Vec<u8>) {
        let mut longest = Vec::new();
        for (part, state) in self.zip(state) {
            let mut forced = Vec::new();
            part.forced(state, &mut forced);
            if forced.len() > longest.len() {
                longest = forced;
            }
        }
        out.extend(longest);
    }

    fn closing_cost(&self, state: &Self::State) -> Option<usize> {
        self.zip(state).filter_map(|(part, state)| part.closing_cost(state)).max()
    }

    fn mask(&self, state: &Self::State, trie: &TokenTrie, out: &mut TokenSet) {
        let Some((first, rest)) = self.parts.split_first() else {
            out.clear();
            return trie.walk(
                (),
                |(), _| Some(()),
                |token| {
                    out.insert(token);
                },
            );
        };
        first.mask(&state[0], trie, out);
        let mut other = TokenSet::new(out.vocabulary_size());
        for (part, state) in rest.iter().zip(&state[1..]) {
            part.mask(state, trie, &mut other);
            out.intersect_with(&other);
        }
    }

    fn explain(&self, state: &Self::State, bytes: &[u8]) -> Option<Rejection> {
        self.zip(state).filter_map(|(part, state)| part.explain(state, bytes)).min_by_key(Rejection::offset)
    }

    fn explain_end(&self, state: &Self::State) -> Option<Rejection> {
        self.zip(state).find_map(|(part, state)| part.explain_end(state))
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.parts.iter().find_map(Constraint::failure)
    }
}
