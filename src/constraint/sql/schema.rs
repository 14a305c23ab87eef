//! What a database holds, as plain data: tables, columns, types, keys.

use crate::constraint::ConstraintError;
use std::collections::HashSet;

/// The tables of a database.
///
/// ```
/// use tamis::constraint::sql::{SqlColumn, SqlSchema, SqlTable};
/// let singer = SqlTable::new("singer", [SqlColumn::new("id", "INTEGER").key(), SqlColumn::new("name", "TEXT")]);
/// let concert = SqlTable::new("concert", [SqlColumn::new("singer_id", "INTEGER")]).foreign_key("singer_id", "singer", "id");
/// let schema = SqlSchema::new([singer, concert])?;
/// assert_eq!(schema.tables().len(), 2);
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlSchema {
    tables: Vec<SqlTable>,
}

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlTable {
    /// Its name as the database spells it.
    pub name: String,
    /// Its columns in their order.
    pub columns: Vec<SqlColumn>,
    /// Its references to other tables.
    pub foreign_keys: Vec<SqlForeignKey>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name as the database spells it.
    pub name: String,
    /// The type it was declared with; may be empty.
    pub declared_type: String,
    /// Whether it is (a part of) the primary key.
    pub primary_key: bool,
}

/// A column that refers to another table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlForeignKey {
    /// The column that refers.
    pub column: String,
    /// The table it refers to.
    pub table: String,
    /// The column it refers to.
    pub target: String,
}

impl SqlColumn {
    /// A column that is no key.
    pub fn new(name: impl Into<String>, declared_type: impl Into<String>) -> Self {
        Self { name: name.into(), declared_type: declared_type.into(), primary_key: false }
    }

    /// The same as a part of the primary key.
    #[must_use]
    pub fn key(mut self) -> Self {
        self.primary_key = true;
        self
    }
}

impl SqlTable {
    /// A table without references.
    pub fn new(name: impl Into<String>, columns: impl IntoIterator<Item = SqlColumn>) -> Self {
        Self { name: name.into(), columns: columns.into_iter().collect(), foreign_keys: Vec::new() }
    }

    /// Adds that `column` refers to the column `target` of `table`.
    #[must_use]
    pub fn foreign_key(mut self, column: impl Into<String>, table: impl Into<String>, target: impl Into<String>) -> Self {
        self.foreign_keys.push(SqlForeignKey { column: column.into(), table: table.into(), target: target.into() });
        self
    }
}

impl SqlSchema {
    /// The most tables: sets of tables are kept in 128 bits.
    pub const MAX_TABLES: usize = 128;
    /// The most columns of a table, as many as SQLite's own default.
    pub const MAX_COLUMNS: usize = 2000;
    /// The most columns of all tables: words are numbered in 16 bits.
    pub const MAX_ALL_COLUMNS: usize = 60_000;

    /// The schema with these tables. Those without columns are left out.
    ///
    /// # Errors
    /// If no table is left, there are too many, or two names are equal (case does not count in SQL).
    pub fn new(tables: impl IntoIterator<Item = SqlTable>) -> Result<Self, ConstraintError> {
        let tables: Vec<SqlTable> = tables.into_iter().filter(|table| !table.columns.is_empty()).collect();
        if tables.is_empty() {
            return Err(ConstraintError::unsatisfiable("the database has no table, so there is nothing to select from"));
        }
        if tables.len() > Self::MAX_TABLES {
            let message =
                format!("the database has {} tables, more than {}; give a schema of those that matter", tables.len(), Self::MAX_TABLES);
            return Err(ConstraintError::too_large(message));
        }
        let columns: usize = tables.iter().map(|table| table.columns.len()).sum();
        if columns > Self::MAX_ALL_COLUMNS {
            let message =
                format!("the tables have {columns} columns, more than {}; give a schema of those that matter", Self::MAX_ALL_COLUMNS);
            return Err(ConstraintError::too_large(message));
        }
        let mut names = HashSet::new();
        for table in &tables {
            if !names.insert(table.name.to_ascii_lowercase()) {
                return Err(ConstraintError::invalid(format!("two tables are called {}", table.name)));
            }
            if table.columns.len() > Self::MAX_COLUMNS {
                let message = format!("the table {} has {} columns, more than {}", table.name, table.columns.len(), Self::MAX_COLUMNS);
                return Err(ConstraintError::too_large(message));
            }
            let mut columns = HashSet::new();
            if let Some(twice) = table.columns.iter().find(|column| !columns.insert(column.name.to_ascii_lowercase())) {
                return Err(ConstraintError::invalid(format!("the table {} has two columns called {}", table.name, twice.name)));
            }
        }
        Ok(Self { tables })
    }

    /// The tables, in the order they were given.
    pub fn tables(&self) -> &[SqlTable] {
        &self.tables
    }
}
