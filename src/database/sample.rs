//! The sample database: a script that comes with the program, run once.

use super::{Database, DatabaseError};
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;

const SCRIPT: &str = include_str!("../../examples/sample.sql");

impl Database {
    /// A small lending library (authors, books, members, loans) to try things on, built in the folder for
    /// temporary files where it is not there yet.
    ///
    /// # Errors
    /// If that folder cannot be written.
    pub fn sample() -> Result<Self, DatabaseError> {
        let path = std::env::temp_dir().join(format!("tamis-sample-{}-{}.sqlite", env!("CARGO_PKG_VERSION"), SCRIPT.len()));
        if !path.is_file() {
            build(&path).map_err(|why| DatabaseError::unreadable(format!("the sample database {}: {why}", path.display())))?;
        }
        Self::open(path)
    }
}

/// Builds the database beside its place and moves it there, so that it is whole whoever else builds it too.
fn build(path: &PathBuf) -> Result<(), String> {
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let _ = fs::remove_file(&draft);
    let connection = Connection::open(&draft).map_err(|error| error.to_string())?;
    connection.execute_batch(SCRIPT).map_err(|error| error.to_string())?;
    drop(connection);
    fs::rename(&draft, path).map_err(|error| error.to_string())
}
