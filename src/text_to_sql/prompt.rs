//! What a model is shown: the schema, examples, the question.

use crate::constraint::sql::SqlTable;
use crate::database::Database;
use std::collections::HashSet;
use std::fmt::Write;

/// A question and the query that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlExample {
    /// The question.
    pub question: String,
    /// The query.
    pub query: String,
}

/// Tables with more columns than this show no values.
const COLUMNS_WITH_VALUES: usize = 40;

/// The prompt. Its last line is `SQL:`, and a query goes on from there.
pub(super) fn prompt(database: &Database, examples: &[SqlExample], shown: usize, question: &str) -> String {
    let mut text = String::from("Tables of a SQLite database:\n");
    let columns: usize = database.schema().tables().iter().map(|table| table.columns.len()).sum();
    for table in database.schema().tables() {
        describe(&mut text, database, table, columns <= COLUMNS_WITH_VALUES);
    }
    text.push('\n');
    for example in nearest(examples, shown, question) {
        let query = example.query.trim().trim_end_matches(';').split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "Question: {}\nSQL: {query}\n", one_line(&example.question));
    }
    let _ = write!(text, "Question: {}\nSQL:", one_line(question));
    text
}

/// `singer(id INTEGER key, name TEXT, band_id INTEGER -> band.id)`, and a few values.
fn describe(text: &mut String, database: &Database, table: &SqlTable, values: bool) {
    let columns = table.columns.iter().map(|column| {
        let mut words = vec![name(&column.name), column.declared_type.to_ascii_uppercase()];
        if column.primary_key {
            words.push("key".into());
        }
        if let Some(key) = table.foreign_keys.iter().find(|key| key.column.eq_ignore_ascii_case(&column.name)) {
            words.push(format!("-> {}.{}", key.table, key.target));
        }
        words.retain(|word| !word.is_empty());
        if values && column.declared_type.to_ascii_uppercase().contains("CHAR") | column.declared_type.eq_ignore_ascii_case("TEXT") {
            let values = database.example_values(&table.name, &column.name, 2);
            if !values.is_empty() {
                words.push(format!("({})", values.iter().map(|value| format!("'{}'", one_line(value))).collect::<Vec<_>>().join(", ")));
            }
        }
        words.join(" ")
    });
    let _ = writeln!(text, "{}({})", name(&table.name), columns.collect::<Vec<_>>().join(", "));
}

/// A name as a query writes it.
fn name(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The examples most like the question, the most like it last: what stands near is imitated most.
fn nearest<'a>(examples: &'a [SqlExample], shown: usize, question: &str) -> Vec<&'a SqlExample> {
    let wanted = words(question);
    let mut scored: Vec<(f64, usize)> =
        examples.iter().enumerate().map(|(place, example)| (likeness(&wanted, &words(&example.question)), place)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(shown);
    scored.iter().rev().map(|(_, place)| &examples[*place]).collect()
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The cosine of the two sets of words.
fn likeness(a: &HashSet<String>, b: &HashSet<String>) -> f64 {
    let common = a.intersection(b).count() as f64;
    if common == 0.0 { 0.0 } else { common / ((a.len() * b.len()) as f64).sqrt() }
}

/// Examples that any database gives of itself: counts, lists, the largest, a join along a key.
pub(super) fn made_from(database: &Database) -> Vec<SqlExample> {
    let mut examples = Vec::new();
    let mut add = |question: String, query: String| examples.push(SqlExample { question, query });
    for table in database.schema().tables().iter().take(3) {
        let (called, first) = (words_of(&table.name), &table.columns[0]);
        add(format!("How many {called} are there?"), format!("SELECT count(*) FROM {}", name(&table.name)));
        let column = table.columns.iter().find(|column| !column.primary_key).unwrap_or(first);
        let asked = words_of(&column.name);
        add(format!("What is the {asked} of each {called}?"), format!("SELECT {} FROM {}", name(&column.name), name(&table.name)));
        add(
            format!("Which {asked} has the most {called}?"),
            format!("SELECT {0} FROM {1} GROUP BY {0} ORDER BY count(*) DESC LIMIT 1", name(&column.name), name(&table.name)),
        );
        if let Some(key) = table.foreign_keys.iter().find(|key| !key.target.is_empty()) {
            add(
                format!("Show {} with their {called}.", words_of(&key.table)),
                format!(
                    "SELECT T1.{0}, T2.{1} FROM {2} AS T1 JOIN {3} AS T2 ON T1.{0} = T2.{4}",
                    name(&key.target),
                    name(&first.name),
                    name(&key.table),
                    name(&table.name),
                    name(&key.column)
                ),
            );
        }
    }
    examples
}

/// `InvoiceLine` and `invoice_line` as "invoice line".
fn words_of(name: &str) -> String {
    let mut words = String::new();
    for (place, character) in name.char_indices() {
        let begins = character.is_uppercase() && place > 0 && name[..place].ends_with(|c: char| c.is_lowercase());
        if begins || character == '_' {
            words.push(' ');
        }
        if character != '_' {
            words.extend(character.to_lowercase());
        }
    }
    words
}
