//! What a query gives: columns, values, and whether that is all.

use super::DatabaseOptions;
use rusqlite::types::ValueRef;
use rusqlite::{Result, Statement};
use std::fmt;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text; bytes that are no UTF-8 are replaced.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The rows of a query.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SqlRows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows in the order they came.
    pub rows: Vec<Vec<SqlValue>>,
    /// Whether there were more than the limits let be kept.
    pub truncated: bool,
}

/// What two queries have in common that give the same answer: the multiset of their rows, in whatever
/// order, under whatever column names. Numbers count by value: 3 is 3.0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey(Vec<Vec<String>>);

impl SqlRows {
    /// The answer, to be compared.
    pub fn key(&self) -> AnswerKey {
        let mut rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(SqlValue::key).collect()).collect();
        rows.sort();
        AnswerKey(rows)
    }

    /// Whether the answer says nothing: no row, or nothing but NULL.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().flatten().all(|value| *value == SqlValue::Null)
    }
}

impl SqlValue {
    /// The value as a word that equals another's where the values are equal.
    fn key(&self) -> String {
        match self {
            Self::Null => "n".into(),
            Self::Integer(number) => format!("i{number}"),
            #[expect(clippy::cast_possible_truncation, reason = "the value is whole and within 2^53")]
            Self::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => format!("i{}", *number as i64),
            // Sums in another order differ in their last digits.
            Self::Real(number) => format!("r{number:.9e}"),
            Self::Text(text) => format!("t{text}"),
            Self::Blob(bytes) => format!("b{bytes:?}"),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            _ => 8,
        }
    }
}

impl fmt::Display for SqlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Blob(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl From<ValueRef<'_>> for SqlValue {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

/// Steps the statement until it is done or a limit is reached.
pub(super) fn read(statement: &mut Statement<'_>, options: &DatabaseOptions) -> Result<SqlRows> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let mut kept = SqlRows { columns, rows: Vec::new(), truncated: false };
    let mut bytes = 0;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if kept.rows.len() == options.rows || bytes > options.bytes {
            kept.truncated = true;
            break;
        }
        let values: Vec<SqlValue> = (0..width).map(|column| Ok(row.get_ref(column)?.into())).collect::<Result<_>>()?;
        bytes += values.iter().map(SqlValue::size).sum::<usize>();
        kept.rows.push(values);
    }
    Ok(kept)
}
