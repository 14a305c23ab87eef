//! What keeps a query harmless, whatever it is.
//!
//! Each measure stands for something that was seen to be possible without it: a read-only connection
//! still runs `VACUUM INTO 'file'` and ATTACH, a recursive CTE runs for ever, `zeroblob(1e9)` takes the
//! memory, `"typo"` prepares as a string, and `sqlite_schema` tells what nobody asked for.

use super::DatabaseOptions;
use crate::constraint::sql::{SqlSchema, function_names};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the query that runs has to stop. A handler that SQLite calls every so many instructions reads it.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    origin: Instant,
    /// Nanoseconds after the origin.
    deadline: Arc<AtomicU64>,
}

/// Virtual machine instructions between two looks at the clock: some ten microseconds.
const INSTRUCTIONS: i32 = 1000;

impl Default for Clock {
    fn default() -> Self {
        Self { origin: Instant::now(), deadline: Arc::new(AtomicU64::new(u64::MAX)) }
    }
}

impl Clock {
    /// Gives what runs until the result is dropped so much time.
    pub fn start(&self, time: Duration) -> Running<'_> {
        let deadline = self.now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.deadline.store(deadline, Ordering::Relaxed);
        Running(self)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_over(&self) -> bool {
        self.now() >= self.deadline.load(Ordering::Relaxed)
    }
}

/// While it lives, the clock runs.
pub(super) struct Running<'a>(&'a Clock);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.deadline.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Everything but the authorizer, which would not let the schema be read.
pub(super) fn restrict(connection: &mut Connection, options: &DatabaseOptions, clock: &Clock) -> Result<()> {
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, options.double_quoted_strings),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, options.double_quoted_strings),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    ] {
        connection.set_db_config(config, on)?;
    }
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;")?;
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, 1_000_000),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 20_000),
        (Limit::SQLITE_LIMIT_COLUMN, 2000),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 16),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    let clock = clock.clone();
    connection.progress_handler(INSTRUCTIONS, Some(move || clock.is_over()))
}

/// Lets statements read the tables of the schema and call the functions of the recogniser, and no more.
pub(super) fn authorize(connection: &mut Connection, schema: &SqlSchema) -> Result<()> {
    let tables: HashSet<String> = schema.tables().iter().map(|table| table.name.to_ascii_lowercase()).collect();
    let modules: HashSet<String> = connection
        .prepare("PRAGMA module_list")?
        .query_map([], |row| row.get(0))?
        .map(|name| name.map(|name: String| name.to_ascii_lowercase()))
        .collect::<Result<_>>()?;
    // LIKE calls a function of its name.
    let functions: HashSet<&str> = function_names().chain(["like"]).collect();
    let judge = move |context: AuthContext<'_>| {
        let allowed = match context.action {
            AuthAction::Select => true,
            AuthAction::Read { table_name, column_name } => {
                let name = table_name.to_ascii_lowercase();
                // Of what WITH defines, SQLite asks by its name where no column is read, as for `count(*)`.
                // (Modules of these names are registered when they are first asked for.)
                let is_internal = ["sqlite_", "pragma_", "json"].iter().any(|start| name.starts_with(start)) || modules.contains(&name);
                tables.contains(&name) || (column_name.is_empty() && !is_internal)
            }
            AuthAction::Function { function_name } => {
                let name = function_name.to_ascii_lowercase();
                // A view was written by the database's owner, and untrusted functions are off in it.
                functions.contains(name.as_str()) || (context.accessor.is_some() && !makes_much_of_little(&name))
            }
            _ => false,
        };
        if allowed { Authorization::Allow } else { Authorization::Deny }
    };
    connection.authorizer(Some(judge))
}

fn makes_much_of_little(function: &str) -> bool {
    matches!(function, "zeroblob" | "randomblob" | "printf" | "format" | "load_extension")
}
