//! What can go wrong with a database or a query on it.

use rusqlite::ErrorCode;
use std::fmt;

/// Why a database could not be read, or a query not be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseError {
    kind: Kind,
    message: String,
    offset: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unreadable,
    Refused,
    Stopped,
    Failed,
}

impl DatabaseError {
    pub(super) fn unreadable(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unreadable, message: message.into(), offset: None }
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, message: message.into(), offset: None }
    }

    /// What SQLite says about a query.
    pub(super) fn of_query(error: &rusqlite::Error) -> Self {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted | ErrorCode::TooBig | ErrorCode::OutOfMemory) => Kind::Stopped,
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::SystemIoFailure
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked,
            ) => Kind::Failed,
            _ => Kind::Refused,
        };
        let (message, offset) = match error {
            rusqlite::Error::SqlInputError { msg, offset, .. } => (msg.clone(), usize::try_from(*offset).ok()),
            _ if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => ("it ran too long and was stopped".into(), None),
            rusqlite::Error::SqliteFailure(_, Some(message)) => (message.clone(), None),
            _ => (error.to_string(), None),
        };
        Self { kind, message, offset }
    }

    /// Whether the file is the trouble: it is not there, or no database that can be used.
    pub fn is_unreadable(&self) -> bool {
        self.kind == Kind::Unreadable
    }

    /// Whether the query is the trouble: it does not prepare, or wants what it may not have.
    pub fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether the query passed a limit on time or memory.
    pub fn is_stopped(&self) -> bool {
        self.kind == Kind::Stopped
    }

    /// The byte of the query at which SQLite found fault, where it says so.
    pub fn offset(&self) -> Option<usize> {
        self.offset
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.offset {
            Some(offset) => write!(f, " (byte {offset})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DatabaseError {}
