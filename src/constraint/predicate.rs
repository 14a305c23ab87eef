//! A rule in the user's own code: a closure that judges the text so far.

use super::{Constraint, ConstraintError, Rejection};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What a [`Predicate`] asks of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Could the text be continued to a valid one, or is it one? "Yes" when in doubt: a wrong "no" bends
    /// the distribution, a wrong "yes" costs only time.
    Prefix,
    /// Is it valid as it stands?
    Complete,
}

/// What a user's closure may fail with.
pub type PredicateError = Box<dyn std::error::Error + Send + Sync>;

type Judge = dyn Fn(&[u8], Question) -> Result<bool, PredicateError> + Send + Sync;

/// The texts that a closure accepts.
///
/// The closure must always answer the same about the same bytes. Where it fails, the run ends with its
/// error ([`Constraint::failure`]). Tokens are offered whole: a prefix may end inside a UTF-8 character.
///
/// ```
/// use tamis::constraint::{Constraint, Predicate, Question};
/// // At most ten bytes, and no text without an "x".
/// let with_x = Predicate::new(|text, question| Ok(match question {
///     Question::Prefix => text.len() <= 10,
///     Question::Complete => text.len() <= 10 && text.contains(&b'x'),
/// }));
/// let state = with_x.advance(&with_x.start(), b"six").unwrap();
/// assert!(with_x.may_end(&state));
/// assert!(!with_x.allows(&state, b" and eight"));
/// ```
#[derive(Clone)]
pub struct Predicate {
    judge: Arc<Judge>,
    failure: Arc<OnceLock<ConstraintError>>,
}

impl Predicate {
    /// The texts that `judge` accepts.
    pub fn new(judge: impl Fn(&[u8], Question) -> Result<bool, PredicateError> + Send + Sync + 'static) -> Self {
        Self { judge: Arc::new(judge), failure: Arc::default() }
    }

    fn ask(&self, text: &[u8], question: Question) -> bool {
        if self.failure.get().is_some() {
            return false;
        }
        (self.judge)(text, question).unwrap_or_else(|error| {
            // Another thread's error may have come first; one is enough.
            let _ = self.failure.set(ConstraintError::failed(format!("the predicate failed after {} bytes: {error}", text.len())));
            false
        })
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicate").field("failure", &self.failure.get()).finish_non_exhaustive()
    }
}

impl Constraint for Predicate {
    /// The text so far: a closure may look at all of it.
    type State = Arc<[u8]>;

    fn start(&self) -> Arc<[u8]> {
        Arc::default()
    }

    fn advance(&self, state: &Arc<[u8]>, bytes: &[u8]) -> Option<Arc<[u8]>> {
        if bytes.is_empty() {
            return Some(state.clone());
        }
        let text: Arc<[u8]> = [state, bytes].concat().into();
        // Byte by byte, as the laws want: a prefix that was refused stays refused.
        (state.len() + 1..=text.len()).all(|end| self.ask(&text[..end], Question::Prefix)).then_some(text)
    }

    fn may_end(&self, state: &Arc<[u8]>) -> bool {
        self.ask(state, Question::Complete)
    }

    fn explain(&self, state: &Arc<[u8]>, bytes: &[u8]) -> Option<Rejection> {
        let text = [state, bytes].concat();
        let refused = (state.len() + 1..=text.len()).find(|end| !self.ask(&text[..*end], Question::Prefix))?;
        Some(Rejection::new(refused - 1 - state.len(), Some(text[refused - 1]), "a text that the predicate accepts"))
    }

    fn explain_end(&self, state: &Arc<[u8]>) -> Option<Rejection> {
        (!self.may_end(state)).then(|| Rejection::new(0, None, "a text that the predicate accepts as complete"))
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.failure.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_kept_and_everything_is_refused_after_it() {
        let predicate = Predicate::new(|text, _| if text.len() > 2 { Err("too long for the database".into()) } else { Ok(true) });
        let state = predicate.advance(&predicate.start(), b"ab").unwrap();
        assert!(predicate.failure().is_none());
        assert!(!predicate.allows(&state, b"c"));
        let failure = predicate.failure().unwrap();
        assert!(failure.is_failure() && failure.to_string().contains("too long for the database"), "{failure}");
        assert!(!predicate.allows(&predicate.start(), b"a"));
    }
}
