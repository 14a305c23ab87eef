//! A database is safe whatever is asked of it, and a query may end only if it prepares.
#![cfg(feature = "sqlite")]

#[path = "common/sql.rs"]
mod sql;

use rusqlite::Connection;
use sql::{json_lines, shared, walk};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tamis::constraint::Constraint;
use tamis::constraint::sql::SqlSelect;
use tamis::database::{Database, DatabaseOptions, SqlQuery, SqlValue};

/// A folder with a small database, gone when dropped.
struct Sample(PathBuf);

impl Sample {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = std::env::temp_dir().join(format!("tamis-sql-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&folder).unwrap();
        let connection = Connection::open(folder.join("sample.sqlite")).unwrap();
        let script = "CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
             CREATE TABLE concert (id INTEGER PRIMARY KEY, singer_id INTEGER REFERENCES singer (id), year INTEGER);
             CREATE TABLE number (value INTEGER);
             CREATE VIEW adult AS SELECT name, upper(name) AS shout FROM singer WHERE age > 17;
             INSERT INTO singer VALUES (1, 'Ann', 30), (2, 'Bob', 20), (3, 'Cid', NULL);
             INSERT INTO concert VALUES (1, 1, 2020), (2, 1, 2021), (3, 2, 2021);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO number SELECT i FROM n;";
        connection.execute_batch(script).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("sample.sqlite")
    }

    fn open(&self) -> Database {
        let mut options = DatabaseOptions::default();
        options.time = Duration::from_millis(300);
        options.rows = 100;
        Database::with_options(self.file(), options).unwrap()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_schema_is_read_with_types_keys_and_views() {
    let sample = Sample::new();
    let database = sample.open();
    let tables = database.schema().tables();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["singer", "concert", "number", "adult"]);
    assert!(tables[0].columns[0].primary_key && tables[0].columns[1].declared_type == "TEXT");
    assert_eq!(tables[1].foreign_keys[0].table, "singer");
    assert_eq!(database.example_values("singer", "name", 2), ["Ann", "Bob"]);
    assert_eq!(database.execute("SELECT shout FROM adult").unwrap().rows, [[SqlValue::Text("ANN".into())], [SqlValue::Text("BOB".into())]]);
}

#[test]
fn nothing_can_be_written_attached_or_configured() {
    let sample = Sample::new();
    let before = std::fs::read(sample.file()).unwrap();
    let database = sample.open();
    let other = sample.0.join("other.sqlite").display().to_string();
    for query in [
        format!("VACUUM INTO '{other}'"),
        format!("ATTACH '{other}' AS other"),
        "VACUUM".into(),
        "PRAGMA writable_schema = 1".into(),
        "PRAGMA table_info(singer)".into(),
        "DELETE FROM singer".into(),
        "INSERT INTO singer VALUES (4, 'Dee', 1)".into(),
        "UPDATE singer SET age = 1".into(),
        "DROP TABLE singer".into(),
        "CREATE TABLE t (x)".into(),
        "CREATE TEMP TABLE t (x)".into(),
        "BEGIN".into(),
        "REINDEX".into(),
        "ANALYZE".into(),
        "EXPLAIN SELECT name FROM singer".into(),
        "EXPLAIN QUERY PLAN SELECT name FROM singer".into(),
        "SELECT name FROM singer; DELETE FROM singer".into(),
    ] {
        let error = database.execute(&query).unwrap_err();
        assert!(error.is_refused(), "{query}: {error}");
        assert!(database.check(&query).is_err(), "{query}");
    }
    drop(database);
    assert_eq!(std::fs::read(sample.file()).unwrap(), before);
    let files: Vec<_> = std::fs::read_dir(&sample.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["sample.sqlite"]);
}

#[test]
fn what_is_not_in_the_schema_cannot_be_read_nor_other_functions_called() {
    let sample = Sample::new();
    // A full text index is a virtual table, with tables of its own.
    let script = "CREATE VIRTUAL TABLE lyrics USING fts5 (line); INSERT INTO lyrics VALUES ('la la'); ANALYZE;
        CREATE VIEW sung AS SELECT line FROM lyrics; CREATE VIEW made AS SELECT name FROM sqlite_schema";
    Connection::open(sample.file()).unwrap().execute_batch(script).unwrap();
    let database = sample.open();
    let names: Vec<&str> = database.schema().tables().iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["singer", "concert", "number", "adult"]);
    let hidden = ["sqlite_schema", "sqlite_master", "SQLITE_Temp_Schema", "sqlite_temp_master", "sqlite_stat1", "main.sqlite_schema"];
    let virtual_tables =
        ["lyrics", "main.Lyrics", "lyrics_content", "json_each('[1]')", "json_tree('[1]')", "dbstat", "fts5vocab", "bytecode('x')"];
    let pragmas = ["pragma_table_list", "pragma_table_info('singer')", "pragma_function_list()", "pragma_module_list", "sung", "made"];
    for table in [&hidden[..], &virtual_tables, &pragmas].concat() {
        // With columns, and in all ways without.
        for query in [
            format!("SELECT * FROM {table}"),
            format!("SELECT rowid FROM {table}"),
            format!("SELECT count(*) FROM {table}"),
            format!("SELECT 1 FROM singer, {table} AS x"),
            format!("SELECT name FROM singer WHERE EXISTS (SELECT 1 FROM {table})"),
            format!("WITH q AS (SELECT 1 FROM {table}) SELECT count(*) FROM q"),
            // The name is that of a WITH elsewhere.
            format!("SELECT count(*) FROM {table}, (WITH lyrics AS (SELECT 1 AS one) SELECT one FROM lyrics)"),
        ] {
            let error = database.execute(&query).unwrap_err();
            assert!(error.is_refused(), "{query}: {error}");
        }
    }
    for call in [
        "load_extension('x')",
        "randomblob(1000000)",
        "zeroblob(1000000000)",
        "printf('%1000000000d', 1)",
        "sqlite_version()",
        "sqlite_compileoption_get(1)",
        "fts5_source_id()",
        "\"nmae\"",
    ] {
        for query in [
            format!("SELECT {call} FROM singer"),
            format!("WITH q AS (SELECT {call} AS x FROM singer) SELECT x FROM q"),
            // Under the name of a view, which may call more.
            format!("WITH adult AS (SELECT {call} AS x FROM singer) SELECT x FROM adult"),
        ] {
            let error = database.execute(&query).unwrap_err();
            assert!(error.is_refused(), "{query}: {error}");
        }
    }
}

#[test]
fn a_view_may_call_functions_that_have_no_effect() {
    let sample = Sample::new();
    let script = "CREATE VIEW code AS SELECT hex(name) AS code FROM singer; CREATE VIEW bad AS SELECT load_extension(name) FROM singer";
    Connection::open(sample.file()).unwrap().execute_batch(script).unwrap();
    let database = sample.open();
    assert_eq!(database.execute("SELECT code FROM code LIMIT 1").unwrap().rows, [[SqlValue::Text("416E6E".into())]]);
    assert!(database.execute("SELECT * FROM bad").unwrap_err().is_refused());
    assert!(database.schema().tables().iter().all(|table| table.name != "bad"));
}

#[test]
fn rows_of_a_with_can_be_counted() {
    let sample = Sample::new();
    let database = sample.open();
    for query in [
        "WITH q AS (SELECT id FROM singer) SELECT count(*) FROM q",
        "WITH q AS (SELECT id FROM singer) SELECT count(*) FROM q AS T1",
        "WITH adult AS (SELECT id FROM singer) SELECT count(*) FROM adult",
        "WITH p AS (SELECT id FROM singer), q AS (SELECT 1 FROM p) SELECT count(*) FROM q",
        "SELECT count(*) FROM (SELECT id FROM singer)",
    ] {
        let rows = database.execute(query).unwrap().rows;
        assert_eq!(rows, [[SqlValue::Integer(3)]], "{query}");
    }
}

#[test]
fn what_would_run_for_ever_or_fill_the_memory_is_stopped() {
    let sample = Sample::new();
    let database = sample.open();
    let recursion = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    assert!(database.execute(recursion).unwrap_err().is_refused());
    let started = Instant::now();
    let join = "SELECT count(*) FROM number AS a, number AS b, number AS c, number AS d WHERE a.value + b.value = c.value - d.value";
    assert!(database.execute(join).unwrap_err().is_stopped());
    let sorting = "SELECT a.value FROM number AS a, number AS b, number AS c ORDER BY a.value + b.value DESC, c.value";
    assert!(database.execute(sorting).unwrap_err().is_stopped());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let long = "replace(".repeat(7) + "'aaaaaaaaaa'" + ", 'a', 'aaaaaaaaaa')".repeat(7).as_str();
    assert!(database.execute(&format!("SELECT {long} FROM singer")).unwrap_err().is_stopped());
    let concatenated = "SELECT length(group_concat(a.value)) FROM number AS a, number AS b, number AS c";
    assert!(database.execute(concatenated).unwrap_err().is_stopped());
    let deep = format!("SELECT name FROM singer WHERE {}age{} = 1", "(".repeat(5000), ")".repeat(5000));
    assert!(database.execute(&deep).is_err());
    // The next query has all its time.
    assert_eq!(database.execute("SELECT count(*) FROM number").unwrap().rows, [[SqlValue::Integer(3000)]]);
}

#[test]
fn rows_beyond_the_limit_are_cut_off_and_that_is_said() {
    let sample = Sample::new();
    let database = sample.open();
    let rows = database.execute("SELECT value, value * 0.5 FROM number").unwrap();
    assert!(rows.truncated && rows.rows.len() == 100);
    let all = database.execute("SELECT name FROM singer").unwrap();
    assert!(!all.truncated && all.columns == ["name"]);
}

#[test]
fn answers_are_equal_as_multisets_of_rows() {
    let sample = Sample::new();
    let database = sample.open();
    let key = |query| database.execute(query).unwrap().key();
    assert_eq!(key("SELECT name FROM singer ORDER BY name DESC"), key("SELECT name FROM singer"));
    assert_eq!(key("SELECT count(*) FROM singer"), key("SELECT max(id) * 1.0 FROM singer"));
    assert_ne!(key("SELECT singer_id FROM concert"), key("SELECT DISTINCT singer_id FROM concert"));
    assert_ne!(key("SELECT name FROM singer WHERE id = 1"), key("SELECT age FROM singer WHERE id = 1"));
    assert!(database.execute("SELECT max(age) FROM singer WHERE id > 9").unwrap().is_empty());
}

#[test]
fn a_query_may_end_only_if_it_prepares() {
    let sample = Sample::new();
    let queries = SqlQuery::new(Arc::new(sample.open()));
    let after = |text: &str| queries.advance(&queries.start(), text.as_bytes()).unwrap();
    assert!(queries.may_end(&after("SELECT name FROM singer")));
    assert!(!queries.may_end(&after("SELECT name FROM singer WHERE")));
    assert!(queries.explain_end(&after("SELECT name FROM singer WHERE")).is_some());
    assert!(queries.failure().is_none());
}

#[test]
fn a_file_that_is_no_database_is_an_error_and_not_a_panic() {
    let sample = Sample::new();
    let text = sample.0.join("text.txt");
    std::fs::write(&text, "this is no database, however long it may be ".repeat(100)).unwrap();
    for path in [text, sample.0.join("missing.sqlite"), sample.0.clone()] {
        let error = Database::open(&path).unwrap_err();
        assert!(error.is_unreadable(), "{}: {error}", path.display());
    }
    let empty = sample.0.join("empty.sqlite");
    Connection::open(&empty).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
    assert!(Database::open(&empty).unwrap_err().to_string().contains("no table"));
}

#[test]
fn the_questions_of_chinook_and_northwind_are_accepted_and_prepare() {
    for name in ["chinook", "northwind"] {
        let (Some(questions), Some(file)) = (shared(&format!("{name}/questions.jsonl")), shared(&format!("{name}/{name}.sqlite"))) else {
            return;
        };
        let database = Database::open(file).unwrap();
        let queries = SqlSelect::new(database.schema());
        for case in json_lines(&questions) {
            let query = case["query"].as_str().unwrap();
            for pieces in [&[1][..], &[3, 1, 5], &[9, 2]] {
                walk(&queries, query, pieces).unwrap();
            }
            database.check(query).unwrap();
        }
    }
}
