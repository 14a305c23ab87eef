//! The constraint that a text is a query on a database: recognised while it is written, prepared at its end.

use super::text::Text;
use super::{Database, DatabaseError};
use crate::constraint::sql::{SqlOptions, SqlSelect, SqlState};
use crate::constraint::{Constraint, ConstraintError, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use std::sync::{Arc, OnceLock};

/// The queries that prepare on a database.
///
/// Prefixes are judged by [`SqlSelect`] alone. A text may end only where SQLite itself prepares it, on this
/// database and behind its guards. (The recogniser is made to be a subset of what prepares; this makes it
/// certain.) A database that fails is a failure of the constraint ([`Constraint::failure`]).
#[derive(Clone, Debug)]
pub struct SqlQuery {
    select: SqlSelect,
    database: Arc<Database>,
    failure: Arc<OnceLock<ConstraintError>>,
}

/// What was written of a query, and what that means.
///
/// The text is a part of it: whether it prepares depends on all of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SqlQueryState {
    text: Text,
    select: SqlState,
}

impl SqlQuery {
    /// The queries of the default profile.
    pub fn new(database: Arc<Database>) -> Self {
        Self::with_options(database, SqlOptions::default())
    }

    /// The queries that the options allow.
    pub fn with_options(database: Arc<Database>, options: SqlOptions) -> Self {
        Self { select: SqlSelect::with_options(database.schema(), options), database, failure: Arc::default() }
    }

    /// What SQLite has against the text, if anything.
    fn fault(&self, state: &SqlQueryState) -> Option<String> {
        let text = state.text.to_vec();
        let Ok(text) = std::str::from_utf8(&text) else { return Some("it is not UTF-8".into()) };
        let error: DatabaseError = self.database.check(text).err()?;
        if !error.is_refused() && !error.is_stopped() {
            // Another thread's error may have come first; one is enough.
            let _ = self.failure.set(ConstraintError::failed(format!("the database failed: {error}")));
        }
        Some(error.to_string())
    }
}

impl Constraint for SqlQuery {
    type State = SqlQueryState;

    fn start(&self) -> SqlQueryState {
        SqlQueryState { text: Text::default(), select: self.select.start() }
    }

    fn advance(&self, state: &SqlQueryState, bytes: &[u8]) -> Option<SqlQueryState> {
        let select = self.select.advance(&state.select, bytes)?;
        Some(SqlQueryState { text: state.text.with(bytes), select })
    }

    fn allows(&self, state: &SqlQueryState, bytes: &[u8]) -> bool {
        self.failure.get().is_none() && self.select.allows(&state.select, bytes)
    }

    fn may_end(&self, state: &SqlQueryState) -> bool {
        self.failure.get().is_none() && self.select.may_end(&state.select) && self.fault(state).is_none()
    }

    fn forced(&self, state: &SqlQueryState, out: &mut Vec<u8>) {
        self.select.forced(&state.select, out);
    }

    fn closing_cost(&self, state: &SqlQueryState) -> Option<usize> {
        self.select.closing_cost(&state.select)
    }

    fn mask(&self, state: &SqlQueryState, trie: &TokenTrie, out: &mut TokenSet) {
        self.select.mask(&state.select, trie, out);
    }

    fn explain(&self, state: &SqlQueryState, bytes: &[u8]) -> Option<Rejection> {
        self.select.explain(&state.select, bytes)
    }

    fn explain_end(&self, state: &SqlQueryState) -> Option<Rejection> {
        self.select.explain_end(&state.select).or_else(|| {
            let fault = self.fault(state)?;
            Some(Rejection::new(0, None, format!("a query that prepares on the database: {fault}")))
        })
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.failure.get().cloned()
    }
}
