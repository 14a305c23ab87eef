//! A SQLite database as the judge of what a model writes, safe whatever that is.
//!
//! [`Database::open`] reads the schema and then shuts every door (`guard.rs`): the file is opened
//! read-only, each statement must be read-only itself (`VACUUM INTO` writes a file through a read-only
//! connection), SQLite's authorizer lets nothing pass but reading the listed tables and calling listed
//! functions, and time, memory and rows are limited. On it stand [`SqlQuery`] (a constraint: a query may
//! end only if it prepares), [`Database::execute`], and the critics of `critic.rs`.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tamis::database::{Database, SqlQuery};
//! use tamis::decode::ConstrainedDecoding;
//! let database = Arc::new(Database::open("chinook.sqlite")?);
//! let decoding = ConstrainedDecoding::new(SqlQuery::new(database.clone())).particles(8);
//! let answer = database.execute("SELECT count(*) FROM Artist")?;
//! assert_eq!(answer.rows.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod critic;
mod error;
mod guard;
mod query;
mod rows;
mod sample;
mod schema;
mod text;

pub use critic::Executes;
pub use error::DatabaseError;
pub use query::{SqlQuery, SqlQueryState};
pub use rows::{AnswerKey, SqlRows, SqlValue};

use crate::constraint::sql::{SqlSchema, SqlTable};
use guard::Clock;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a database is read, and how much of it a query may use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// The longest that a query may run.
    pub time: Duration,
    /// The most rows that are kept; a query that gives more is cut off, and says so.
    pub rows: usize,
    /// The most bytes of values that are kept.
    pub bytes: usize,
    /// Whether `"text"` that names nothing is a string, as SQLite has it for old programs. For gold queries
    /// that need it; off, because it lets any misspelt name pass.
    pub double_quoted_strings: bool,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { time: Duration::from_secs(2), rows: 1000, bytes: 1 << 20, double_quoted_strings: false }
    }
}

/// A SQLite file, opened for reading only, behind guards.
pub struct Database {
    path: PathBuf,
    options: DatabaseOptions,
    schema: SqlSchema,
    clock: Clock,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file for reading and reads its schema.
    ///
    /// # Errors
    /// If there is no such file, it is no SQLite database, or it has no table.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        Self::with_options(path, DatabaseOptions::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn with_options(path: impl AsRef<Path>, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(DatabaseError::unreadable(format!("{} is a folder, not a database", path.display())));
        }
        if !path.is_file() {
            return Err(DatabaseError::unreadable(format!("there is no file {}", path.display())));
        }
        let unreadable = |error: rusqlite::Error| {
            DatabaseError::unreadable(match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => format!("{} is not a SQLite database, or it is encrypted", path.display()),
                _ => format!("{} cannot be read: {error}", path.display()),
            })
        };
        // Not as a URI: a path with a question mark is a path.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(unreadable)?;
        let clock = Clock::default();
        guard::restrict(&mut connection, &options, &clock).map_err(unreadable)?;
        let tables = schema::read(&connection).map_err(unreadable)?;
        guard::authorize(&mut connection, &tables).map_err(unreadable)?;
        let readable = |table: &SqlTable| guard::prepare(&connection, &format!("SELECT * FROM {}", quoted(&table.name))).is_ok();
        let schema = SqlSchema::new(tables.into_iter().filter(readable))
            .map_err(|error| DatabaseError::unreadable(format!("{}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), options, schema, clock, connection: Mutex::new(connection) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its tables and the views that a query may read; SQLite's own tables, virtual tables and what stands on them
    /// are left out.
    pub fn schema(&self) -> &SqlSchema {
        &self.schema
    }

    /// Whether the text is one query that only reads, on tables, columns and functions that it may use.
    /// Takes some ten microseconds; runs nothing.
    ///
    /// # Errors
    /// [`DatabaseError::is_refused`] says that it is not; any other error is the database's own.
    pub fn check(&self, query: &str) -> Result<(), DatabaseError> {
        self.prepared(&self.connection(), query, |_| Ok(()))
    }

    /// Runs the query within the limits.
    ///
    /// # Errors
    /// As [`Database::check`]; [`DatabaseError::is_stopped`] where it took too long or too much memory.
    pub fn execute(&self, query: &str) -> Result<SqlRows, DatabaseError> {
        let connection = self.connection();
        self.prepared(&connection, query, |statement| {
            let _running = self.clock.start(self.options.time);
            rows::read(statement, &self.options).map_err(|error| DatabaseError::of_query(&error))
        })
    }

    /// Up to `most` of the distinct values of a column that are there first, as text of at most 40
    /// characters: what a prompt shows of it. None where they cannot be had in a tenth of a second.
    pub fn example_values(&self, table: &str, column: &str, most: usize) -> Vec<String> {
        let (table, column) = (quoted(table), quoted(column));
        let query =
            format!("SELECT DISTINCT {column} FROM (SELECT {column} FROM {table} LIMIT 200) WHERE {column} IS NOT NULL LIMIT {most}");
        let connection = self.connection();
        let rows = self.prepared(&connection, &query, |statement| {
            let _running = self.clock.start(Duration::from_millis(100));
            rows::read(statement, &self.options).map_err(|error| DatabaseError::of_query(&error))
        });
        let values = rows.map(|rows| rows.rows.concat()).unwrap_or_default();
        let short = values.iter().filter(|value| !matches!(value, SqlValue::Blob(_))).map(ToString::to_string);
        short.filter(|value| value.chars().count() <= 40).collect()
    }

    fn prepared<T>(
        &self,
        connection: &Connection,
        query: &str,
        then: impl FnOnce(&mut rusqlite::Statement<'_>) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut statement = guard::prepare(connection, query).map_err(|error| DatabaseError::of_query(&error))?;
        if !statement.readonly() || statement.is_explain() != 0 || statement.column_count() == 0 {
            return Err(DatabaseError::refused("not a query that only reads"));
        }
        then(&mut statement)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic of another thread leaves a connection as good as it was.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).field("options", &self.options).finish_non_exhaustive()
    }
}

/// A name as SQL can always read it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
