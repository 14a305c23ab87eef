//! Constraints: sets of byte strings, asked about one prefix at a time.
//!
//! A [`Constraint`] is compiled once, immutable and shared by all particles; what a particle has written
//! so far is its *state*, cheap to clone, equal to another state when the same continuations are open to
//! both. The sampler asks only about tokens that the model really proposes, so a constraint needs no
//! grammar and no mask: any rule that can judge a prefix will do.
//!
//! The laws, which every implementation passes (`tests/constraint_laws.rs`):
//!
//! - [`Constraint::allows`] is never false where some completion exists. Being too optimistic costs only
//!   time (a particle that dies later); being too strict would bend the distribution.
//! - [`Constraint::may_end`] is exact.
//! - Advancing by `ab` equals advancing by `a`, then by `b`; `allows` agrees with `advance`.
//! - Equal states give equal answers for ever: labels and masks are shared by state.
//! - [`Constraint::mask`] equals asking `allows` about every token.
//!
//! Where to read next: `regex.rs` (over `automaton.rs`) is the smallest constraint, `json_schema/` the largest,
//! `grammar/` the most general;
//! `any.rs` mixes them at run time, `product.rs` joins them.

mod any;
mod automaton;
mod error;
pub mod grammar;
pub mod json_schema;
mod predicate;
mod product;
mod regex;
pub mod sql;
mod stop;

pub use any::{AnyConstraint, AnyState};
pub use error::{ConstraintError, Rejection};
pub use grammar::Grammar;
pub use json_schema::JsonSchema;
pub use predicate::{Predicate, PredicateError, Question};
pub use product::Product;
pub use regex::{Regex, RegexState};
pub use sql::SqlSelect;
pub use stop::{Stop, StopState, Until, UntilState};

use crate::vocab::{TokenSet, TokenTrie};
use std::fmt::Debug;
use std::hash::Hash;

/// A set of byte strings, asked about prefixes. The laws stand at the head of this module.
pub trait Constraint: Send + Sync {
    /// What was written so far, as far as it matters to what may follow.
    type State: Clone + Eq + Hash + Debug + Send + Sync + 'static;

    /// The state before the first byte.
    fn start(&self) -> Self::State;

    /// The state after `bytes`, or `None` where no text of the constraint continues so.
    ///
    /// No bytes lead to an equal state.
    fn advance(&self, state: &Self::State, bytes: &[u8]) -> Option<Self::State>;

    /// Whether `bytes` could come next.
    fn allows(&self, state: &Self::State, bytes: &[u8]) -> bool {
        self.advance(state, bytes).is_some()
    }

    /// Whether the text so far is complete. Exact, unlike `allows`.
    fn may_end(&self, state: &Self::State) -> bool;

    /// Where the text has ended by itself, without an end token, how many of the last bytes are not part of
    /// it (a stop string, and what came after). Nothing more is written then. Most texts never do.
    fn ended(&self, _state: &Self::State) -> Option<usize> {
        None
    }

    /// Appends to `out` the bytes that must come next, as far as they are one string. May append fewer
    /// than there are.
    fn forced(&self, _state: &Self::State, _out: &mut Vec<u8>) {}

    /// A lower bound on the number of bytes from here to a complete text, if one is known.
    fn closing_cost(&self, _state: &Self::State) -> Option<usize> {
        None
    }

    /// Sets `out` to the text tokens that are allowed next. End tokens are not in it: that is
    /// [`Constraint::may_end`].
    fn mask(&self, state: &Self::State, trie: &TokenTrie, out: &mut TokenSet) {
        out.clear();
        trie.walk(
            state.clone(),
            |state, byte| self.advance(state, &[byte]),
            |token| {
                out.insert(token);
            },
        );
    }

    /// Why `bytes` may not come next, and at which of them; `None` where they may.
    fn explain(&self, state: &Self::State, bytes: &[u8]) -> Option<Rejection>;

    /// Why the text may not end here; `None` where it may.
    fn explain_end(&self, state: &Self::State) -> Option<Rejection>;

    /// The first error that a fallible constraint (a user's closure, a database) met.
    ///
    /// Once there is one, every answer is "no" and the engine stops with it. Constraints that cannot fail
    /// keep this default.
    fn failure(&self) -> Option<ConstraintError> {
        None
    }
}
