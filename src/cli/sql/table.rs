//! Rows as a table that fits the line.

use tamis::database::{SqlRows, SqlValue};

/// The most rows that are printed, and the most cells of a column.
const ROWS: usize = 8;
const CELLS: usize = 28;
/// Between two columns.
const GAP: &str = "  ";

/// The first rows as a table of at most so many cells a line, and what of them is left out.
pub fn table(rows: &SqlRows, width: usize) -> Vec<String> {
    let shown = &rows.rows[..rows.rows.len().min(ROWS)];
    let columns = (0..rows.columns.len()).map(|column| Column::new(&rows.columns[column], shown.iter().map(|row| &row[column])));
    let columns: Vec<Column> = columns.collect();
    let mut used = 0;
    let fitting = columns.iter().take_while(|column| {
        used += column.width + GAP.len();
        used <= width + GAP.len()
    });
    let fitting = fitting.count().clamp(1, columns.len());
    let columns = &columns[..fitting];
    let line = |cells: Vec<String>| cells.join(GAP).trim_end().to_owned();
    let mut lines = vec![line(columns.iter().map(|column| column.padded(&column.name)).collect())];
    lines.push(line(columns.iter().map(|column| "─".repeat(column.width)).collect()));
    lines.extend((0..shown.len()).map(|row| line(columns.iter().map(|column| column.padded(&column.cells[row])).collect())));
    if rows.rows.is_empty() {
        lines.push("(no rows)".into());
    }
    let mut left_out = Vec::new();
    match (rows.rows.len() - shown.len(), rows.truncated) {
        (0, _) => {}
        (1, false) => left_out.push("1 more row".into()),
        (more, false) => left_out.push(format!("{more} more rows")),
        (more, true) => left_out.push(format!("more than {more} more rows")),
    }
    match rows.columns.len() - fitting {
        0 => {}
        1 => left_out.push("1 more column".into()),
        more => left_out.push(format!("{more} more columns")),
    }
    if !left_out.is_empty() {
        lines.push(format!("... and {}", left_out.join(", ")));
    }
    lines
}

struct Column {
    name: String,
    cells: Vec<String>,
    width: usize,
    /// Numbers stand at the right.
    is_numeric: bool,
}

impl Column {
    fn new<'a>(name: &str, values: impl Iterator<Item = &'a SqlValue> + Clone) -> Self {
        let name = cell(name);
        let is_numeric = values.clone().all(|value| matches!(value, SqlValue::Integer(_) | SqlValue::Real(_) | SqlValue::Null));
        let cells: Vec<String> = values.map(|value| cell(&value.to_string())).collect();
        let width = cells.iter().chain([&name]).map(|cell| cell.chars().count()).max().unwrap_or(0);
        Self { name, cells, width, is_numeric }
    }

    fn padded(&self, cell: &str) -> String {
        let width = self.width;
        if self.is_numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    }
}

fn cell(text: &str) -> String {
    cut(&text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>(), CELLS)
}

/// The text, cut off where it is longer than so many characters.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() > most { text.chars().take(most - 1).chain(['…']).collect() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamis::database::Database;

    fn shown(query: &str, width: usize) -> String {
        table(&Database::sample().unwrap().execute(query).unwrap(), width).join("\n")
    }

    #[test]
    fn numbers_stand_at_the_right_and_text_at_the_left() {
        let lines = "title          pages\n─────────────  ─────\nThe Salt Road    312\nNorth Light       96";
        assert_eq!(shown("SELECT title, pages FROM book LIMIT 2", 80), lines);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let lines = shown("SELECT title, genre, year, pages FROM book", 30);
        assert!(lines.lines().take(10).all(|line| line.chars().count() <= 30), "{lines}");
        assert!(lines.ends_with("... and 4 more rows, 2 more columns"), "{lines}");
        assert!(shown("SELECT title FROM book WHERE year > 3000", 80).ends_with("(no rows)"));
        // A column is always shown, however narrow the line.
        assert!(shown("SELECT title FROM book", 3).contains("The Salt Road"));
    }
}
