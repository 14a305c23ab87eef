//! Reading a database's tables, columns and keys.

use crate::constraint::sql::{SqlColumn, SqlTable};
use rusqlite::{Connection, Result};

/// The ordinary tables and views; virtual tables are code and stay out.
pub(super) fn read(connection: &Connection) -> Result<Vec<SqlTable>> {
    let mut tables = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    // The list comes in no useful order; the schema table keeps the one in which they were made.
    let mut order = connection.prepare("SELECT name FROM sqlite_schema ORDER BY rowid")?;
    let made: Vec<String> = order.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut names: Vec<(usize, String)> =
        names.into_iter().map(|name| (made.iter().position(|other| *other == name).unwrap_or(usize::MAX), name)).collect();
    names.sort();
    names.into_iter().map(|(_, name)| table(connection, name)).collect()
}

/// A view that names tables which are gone has no columns here, and so is left out by the schema.
fn table(connection: &Connection, name: String) -> Result<SqlTable> {
    let mut columns = Vec::new();
    if let Ok(mut info) = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)".replace("?1", &literal(&name)).as_str()) {
        let mut rows = info.query([])?;
        while let Ok(Some(row)) = rows.next() {
            let column = SqlColumn::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            columns.push(if row.get::<_, i64>(2)? > 0 { column.key() } else { column });
        }
    }
    let mut keys = connection.prepare(&format!("SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list({})", literal(&name)))?;
    let mut table = SqlTable::new(name, columns);
    let mut rows = keys.query([])?;
    while let Some(row) = rows.next()? {
        let target: Option<String> = row.get(2)?;
        table = table.foreign_key(row.get::<_, String>(0)?, row.get::<_, String>(1)?, target.unwrap_or_default());
    }
    Ok(table)
}

/// The text as a string literal. (Parameters are off.)
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
