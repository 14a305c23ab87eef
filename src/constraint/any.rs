//! Constraints whose type is chosen at run time: the command line, products of different kinds.

use super::{Constraint, ConstraintError, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Any constraint behind a pointer; itself a [`Constraint`]. A clone shares the compiled constraint.
///
/// It costs an allocation for every advance; where the type is known, use it directly.
///
/// ```
/// use tamis::constraint::{AnyConstraint, Constraint, Regex};
/// let digits = AnyConstraint::new(Regex::new("[0-9]+")?);
/// assert!(digits.allows(&digits.start(), b"12"));
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone)]
pub struct AnyConstraint(Arc<dyn ErasedConstraint>);

impl AnyConstraint {
    /// Hides the type of `constraint`.
    pub fn new<C: Constraint + 'static>(constraint: C) -> Self {
        Self(Arc::new(constraint))
    }
}

impl fmt::Debug for AnyConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyConstraint")
    }
}

/// The state of an [`AnyConstraint`].
#[derive(Clone)]
pub struct AnyState(Arc<dyn ErasedState>);

impl AnyState {
    /// The state of the constraint within.
    ///
    /// # Panics
    /// If the state came from a constraint of another type, which is a bug of the caller.
    fn get<S: 'static>(&self) -> &S {
        let state: &dyn Any = self.0.as_any();
        state.downcast_ref().expect("a state is given back to the constraint that made it")
    }
}

impl fmt::Debug for AnyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for AnyState {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.equals(&*other.0)
    }
}

impl Eq for AnyState {}

impl Hash for AnyState {
    fn hash<H: Hasher>(&self, mut hasher: &mut H) {
        self.0.hash_into(&mut hasher);
    }
}

trait ErasedState: Any + Send + Sync + fmt::Debug {
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn ErasedState) -> bool;
    fn hash_into(&self, hasher: &mut dyn Hasher);
}

impl<S: Eq + Hash + fmt::Debug + Send + Sync + 'static> ErasedState for S {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn ErasedState) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn hash_into(&self, mut hasher: &mut dyn Hasher) {
        self.hash(&mut hasher);
    }
}

/// [`Constraint`] without its associated type, so that it can stand behind a pointer.
trait ErasedConstraint: Send + Sync {
    fn start(&self) -> AnyState;
    fn advance(&self, state: &AnyState, bytes: &[u8]) -> Option<AnyState>;
    fn allows(&self, state: &AnyState, bytes: &[u8]) -> bool;
    fn may_end(&self, state: &AnyState) -> bool;
    fn ended(&self, state: &AnyState) -> Option<usize>;
    fn forced(&self, state: &AnyState, out: &mut Vec<u8>);
    fn closing_cost(&self, state: &AnyState) -> Option<usize>;
    fn mask(&self, state: &AnyState, trie: &TokenTrie, out: &mut TokenSet);
    fn explain(&self, state: &AnyState, bytes: &[u8]) -> Option<Rejection>;
    fn explain_end(&self, state: &AnyState) -> Option<Rejection>;
    fn failure(&self) -> Option<ConstraintError>;
}

impl<C: Constraint> ErasedConstraint for C {
    fn start(&self) -> AnyState {
        AnyState(Arc::new(Constraint::start(self)))
    }

    fn advance(&self, state: &AnyState, bytes: &[u8]) -> Option<AnyState> {
        Constraint::advance(self, state.get(), bytes).map(|state| AnyState(Arc::new(state)))
    }

    fn allows(&self, state: &AnyState, bytes: &[u8]) -> bool {
        Constraint::allows(self, state.get(), bytes)
    }

    fn may_end(&self, state: &AnyState) -> bool {
        Constraint::may_end(self, state.get())
    }

    fn ended(&self, state: &AnyState) -> Option<usize> {
        Constraint::ended(self, state.get())
    }

    fn forced(&self, state: &AnyState, out: &mut Vec<u8>) {
        Constraint::forced(self, state.get(), out);
    }

    fn closing_cost(&self, state: &AnyState) -> Option<usize> {
        Constraint::closing_cost(self, state.get())
    }

    fn mask(&self, state: &AnyState, trie: &TokenTrie, out: &mut TokenSet) {
        Constraint::mask(self, state.get(), trie, out);
    }

    fn explain(&self, state: &AnyState, bytes: &[u8]) -> Option<Rejection> {
        Constraint::explain(self, state.get(), bytes)
    }

    fn explain_end(&self, state: &AnyState) -> Option<Rejection> {
        Constraint::explain_end(self, state.get())
    }

    fn failure(&self) -> Option<ConstraintError> {
        Constraint::failure(self)
    }
}

impl Constraint for AnyConstraint {
    type State = AnyState;

    fn start(&self) -> AnyState {
        self.0.start()
    }

    fn advance(&self, state: &AnyState, bytes: &[u8]) -> Option<AnyState> {
        self.0.advance(state, bytes)
    }

    fn allows(&self, state: &AnyState, bytes: &[u8]) -> bool {
        self.0.allows(state, bytes)
    }

    fn may_end(&self, state: &AnyState) -> bool {
        self.0.may_end(state)
    }

    fn ended(&self, state: &AnyState) -> Option<usize> {
        self.0.ended(state)
    }

    fn forced(&self, state: &AnyState, out: &mut Vec<u8>) {
        self.0.forced(state, out);
    }

    fn closing_cost(&self, state: &AnyState) -> Option<usize> {
        self.0.closing_cost(state)
    }

    fn mask(&self, state: &AnyState, trie: &TokenTrie, out: &mut TokenSet) {
        self.0.mask(state, trie, out);
    }

    fn explain(&self, state: &AnyState, bytes: &[u8]) -> Option<Rejection> {
        self.0.explain(state, bytes)
    }

    fn explain_end(&self, state: &AnyState) -> Option<Rejection> {
        self.0.explain_end(state)
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.0.failure()
    }
}
