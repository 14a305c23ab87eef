//! What keeps a query harmless, whatever it is.
//!
//! Each measure stands for something that was seen to be possible without it: a read-only connection
//! still runs `VACUUM INTO 'file'` and ATTACH, a recursive CTE runs for ever, `zeroblob(1e9)` takes the
//! memory, `"typo"` prepares as a string, `sqlite_schema` and `pragma_table_list` tell what nobody asked for.

use super::{DatabaseOptions, quoted};
use crate::constraint::sql::{SqlTable, function_names};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, PrepFlags, Result, Statement};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
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

/// Prepares a query. Virtual tables are code and do not exist for it: neither those of the file nor those that any
/// query can name (`json_each`, `pragma_table_list`, `dbstat`).
pub(super) fn prepare<'a>(connection: &'a Connection, query: &str) -> Result<Statement<'a>> {
    connection.prepare_with_flags(query, PrepFlags::SQLITE_PREPARE_NO_VTAB)
}

/// Lets statements read these tables, call the functions of the recogniser and those that views call, and no more.
pub(super) fn authorize(connection: &mut Connection, tables: &[SqlTable]) -> Result<()> {
    // LIKE calls a function of its name.
    let mut functions: HashSet<String> = function_names().chain(["like"]).map(str::to_owned).collect();
    functions.extend(functions_of_views(connection, tables)?);
    let tables: HashSet<String> = tables.iter().map(|table| table.name.to_ascii_lowercase()).collect();
    let unlisted: HashSet<String> = connection
        .prepare("SELECT lower(name) FROM pragma_table_list")?
        .query_map([], |row| row.get(0))?
        .filter(|name| name.as_ref().map_or(true, |name| !tables.contains(name)))
        .collect::<Result<_>>()?;
    let judge = move |context: AuthContext<'_>| {
        let allowed = match context.action {
            AuthAction::Select => true,
            AuthAction::Read { table_name, column_name } => {
                let name = table_name.to_ascii_lowercase();
                // Where FROM names something and no column of it is read, as for `count(*)`, SQLite asks with an
                // empty column; of a query that WITH names it asks nothing else. A name that no table has can only
                // be of WITH. (Names in `sqlite_` are SQLite's own, and its schema has more than are listed.)
                let is_of_with = column_name.is_empty() && !unlisted.contains(&name) && !name.starts_with("sqlite_");
                tables.contains(&name) || is_of_with
            }
            AuthAction::Function { function_name } => functions.contains(&function_name.to_ascii_lowercase()),
            _ => false,
        };
        if allowed { Authorization::Allow } else { Authorization::Deny }
    };
    connection.authorizer(Some(judge))
}

/// What the views call, which the database's owner wrote. SQLite itself refuses a view that calls a function with
/// effects, for schemas are not trusted here.
///
/// A query may call these, too: of a call SQLite tells the name that FROM has for where it stands, and a query can
/// give any name to its own WITH.
fn functions_of_views(connection: &mut Connection, tables: &[SqlTable]) -> Result<HashSet<String>> {
    let (called, calls) = mpsc::channel();
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        if let AuthAction::Function { function_name } = context.action {
            let _ = called.send(function_name.to_ascii_lowercase());
        }
        Authorization::Allow
    }))?;
    let mut functions = HashSet::new();
    for table in tables {
        let is_readable = prepare(connection, &format!("SELECT * FROM {}", quoted(&table.name))).is_ok();
        functions.extend(calls.try_iter().filter(|_| is_readable));
    }
    Ok(functions)
}
