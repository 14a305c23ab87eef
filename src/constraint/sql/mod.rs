//! SQL queries on a database whose tables are known: SQLite's SELECT, aware of names and of scope.
//!
//! A grammar of SQL accepts any column of any table anywhere. This recogniser follows the *scopes* of a
//! query: which sources a SELECT has, which columns they give, what the select list asked of a FROM that
//! is still to come. A prefix is alive only while a query on this database goes on from it, so a wrong
//! table, a column of another table or an ambiguous name is refused at the byte that leaves no way out.
//!
//! Everything that is accepted, SQLite accepts (`tests/sql_differential.rs`); the reverse does not hold.
//! Left out on purpose is what lets a model escape into text that only looks like a query: implicit
//! aliases (any typo becomes one), strings as names, chains of comparisons, comments, endless lists. Names
//! are without regard to case; a name may stand in `"double quotes"`, `[brackets]` or `` `backticks` ``,
//! a string only in single quotes.
//!
//! From bytes to meaning: `lexer.rs` (tokens), `syntax.rs` with `tokens.rs`, `words.rs` and `clauses.rs`
//! (what a token does), `expression.rs` (conditions and values), `scope.rs` with `with.rs` (names),
//! `names.rs` (the dictionary) with `invented.rs` (names that a query makes up). `close.rs` says what must still come, `explain.rs` what was expected. Whether the query *prepares* is for the database to
//! say: the feature `sqlite`.

mod clauses;
mod close;
mod explain;
mod expression;
mod invented;
mod keywords;
mod lexer;
mod names;
mod options;
mod schema;
mod scope;
mod split;
mod syntax;
mod tokens;
mod with;
mod words;

pub use options::{SqlOptions, SqlProfile};
pub use schema::{SqlColumn, SqlForeignKey, SqlSchema, SqlTable};
pub use split::{SqlClause, canonical, clauses};

use super::{Constraint, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use lexer::Cursor;
use names::Names;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use syntax::{Language, Syntax};
use words::Next;

/// The functions that some profile lets a query call. None has an effect or reads a file.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    keywords::FUNCTIONS.iter().map(|function| function.name)
}

/// The SELECT queries on a database.
///
/// ```
/// use tamis::constraint::Constraint;
/// use tamis::constraint::sql::{SqlColumn, SqlSchema, SqlSelect, SqlTable};
/// let singer = SqlTable::new("singer", [SqlColumn::new("id", "INTEGER"), SqlColumn::new("name", "TEXT")]);
/// let concert = SqlTable::new("concert", [SqlColumn::new("singer_id", "INTEGER"), SqlColumn::new("year", "INTEGER")]);
/// let queries = SqlSelect::new(&SqlSchema::new([singer, concert])?);
/// let state = queries.advance(&queries.start(), b"SELECT T1.name FROM ").unwrap();
/// assert!(queries.allows(&state, b"singer AS T1"));
/// // A concert may come first, but it has no name: it cannot be T1.
/// assert!(queries.allows(&state, b"concert AS T2 JOIN singer AS T1"));
/// assert!(!queries.allows(&state, b"concert AS T1"));
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone)]
pub struct SqlSelect(Arc<Language>);

/// What was written of a query. A clone is a counter.
#[derive(Clone)]
pub struct SqlState(Arc<Node>);

struct Node {
    cursor: Cursor,
    /// The query after the word that is being written, by what comes next: worked out once for all tokens
    /// that are asked about.
    committed: [OnceLock<Option<Syntax>>; 3],
}

impl SqlSelect {
    /// The queries of the default profile and limits.
    pub fn new(schema: &SqlSchema) -> Self {
        Self::with_options(schema, SqlOptions::default())
    }

    /// The queries that the options allow.
    /// Limits that would leave a query without an end are raised to the least that does not, and there are
    /// no more sources than aliases: then any table can be added any number of times.
    pub fn with_options(schema: &SqlSchema, mut options: SqlOptions) -> Self {
        let names = Names::new(schema, &options);
        options.max_digits = options.max_digits.max(1);
        options.max_sources = options.max_sources.clamp(1, (names.alias_names.len() as u8).max(1));
        Self(Arc::new(Language { names, options }))
    }

    /// The cursor after `bytes`, or how many of them could be read.
    fn read(&self, state: &SqlState, bytes: &[u8]) -> Result<Cursor, usize> {
        let language = &*self.0;
        let node = &*state.0;
        let Some((first, rest)) = bytes.split_first() else { return Ok(node.cursor.clone()) };
        let known = |next: Next| node.committed[next as usize].get_or_init(|| language.commit(&node.cursor, next)).clone();
        let mut cursor = language.byte(&node.cursor, *first, known).ok_or(0usize)?;
        for (read, byte) in rest.iter().enumerate() {
            cursor = language.byte(&cursor, *byte, |next| language.commit(&cursor, next)).ok_or(read + 1)?;
        }
        if language.is_alive(&cursor) { Ok(cursor) } else { Err(bytes.len()) }
    }
}

impl fmt::Debug for SqlSelect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSelect").field("tables", &self.0.names.table_names).finish_non_exhaustive()
    }
}

impl SqlState {
    fn new(cursor: Cursor) -> Self {
        Self(Arc::new(Node { cursor, committed: Default::default() }))
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.cursor.fmt(f)
    }
}

impl PartialEq for SqlState {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.cursor == other.0.cursor
    }
}

impl Eq for SqlState {}

impl Hash for SqlState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.cursor.hash(hasher);
    }
}

impl Constraint for SqlSelect {
    type State = SqlState;

    fn start(&self) -> SqlState {
        SqlState::new(Cursor::start(&self.0.names))
    }

    fn advance(&self, state: &SqlState, bytes: &[u8]) -> Option<SqlState> {
        if bytes.is_empty() {
            return Some(state.clone());
        }
        self.read(state, bytes).ok().map(SqlState::new)
    }

    fn allows(&self, state: &SqlState, bytes: &[u8]) -> bool {
        self.read(state, bytes).is_ok()
    }

    fn may_end(&self, state: &SqlState) -> bool {
        self.0.ends(&state.0.cursor)
    }

    fn forced(&self, state: &SqlState, out: &mut Vec<u8>) {
        if !self.may_end(state) {
            self.0.forced(&state.0.cursor, out);
        }
    }

    fn closing_cost(&self, state: &SqlState) -> Option<usize> {
        Some(self.0.closing_cost(&state.0.cursor))
    }

    fn mask(&self, state: &SqlState, trie: &TokenTrie, out: &mut TokenSet) {
        out.clear();
        let language = &*self.0;
        let enter = |cursor: &Cursor, byte| {
            let next = language.byte(cursor, byte, |next| language.commit(cursor, next))?;
            language.is_alive(&next).then_some(next)
        };
        trie.walk(state.0.cursor.clone(), enter, |token| {
            out.insert(token);
        });
    }

    fn explain(&self, state: &SqlState, bytes: &[u8]) -> Option<Rejection> {
        let read = |length: usize| self.read(state, &bytes[..length]);
        read(bytes.len()).err()?;
        // The first byte that leaves no way out.
        let refused = (1..=bytes.len()).find(|length| read(*length).is_err())?;
        let before = read(refused - 1).ok()?;
        Some(Rejection::new(refused - 1, Some(bytes[refused - 1]), self.0.expected(&before)))
    }

    fn explain_end(&self, state: &SqlState) -> Option<Rejection> {
        (!self.may_end(state)).then(|| Rejection::new(0, None, self.0.expected(&state.0.cursor)))
    }
}
