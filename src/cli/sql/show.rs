//! Answers as a person reads them, and as JSON.

use serde_json::{Value, json};
use std::fmt::Write;
use tamis::database::{Database, SqlRows, SqlValue};
use tamis::decode::Posterior;
use tamis::report::probability_in_words;
use tamis::text_to_sql::SqlAnswer;

/// The most rows, and the most cells of a column, that are printed.
const ROWS: usize = 8;
const CELLS: usize = 28;

/// The answers in order, each with its query, clauses and first rows.
pub fn to_text(answers: &[SqlAnswer], posterior: &Posterior) -> String {
    let mut out = String::new();
    let queries: usize = answers.iter().map(|answer| answer.queries.len()).sum();
    let _ = writeln!(out, "{} from {}:", count(answers.len(), "answer"), count(queries, "distinct query").replace("querys", "queries"));
    for answer in answers {
        let _ = writeln!(out, "\n{:>6.1}%  {}", 100.0 * answer.probability, answer.query);
        let doubtful = answer.clauses.iter().filter(|clause| clause.probability < 0.995);
        let shares: Vec<String> = doubtful.map(|clause| format!("{} {:.0}%", clause.text, 100.0 * clause.probability)).collect();
        if !shares.is_empty() {
            let _ = writeln!(out, "         {}", shares.join("  |  "));
        }
        for (query, probability) in answer.queries.iter().skip(1) {
            let _ = writeln!(out, "         same answer, {:.1}%: {query}", 100.0 * probability);
        }
        match &answer.rows {
            Some(Ok(rows)) => out.push_str(&table(rows)),
            Some(Err(why)) => {
                let _ = writeln!(out, "         not executed: {why}");
            }
            None => {}
        }
    }
    let _ = writeln!(
        out,
        "\nThe model alone would have written a valid query with probability {}. Effective sample size {:.1} of {}.",
        probability_in_words(posterior.log_evidence),
        posterior.ess(),
        posterior.particles.len()
    );
    out
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn table(rows: &SqlRows) -> String {
    let cell = |text: &str| {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.chars().count() > CELLS { text.chars().take(CELLS - 1).chain(['…']).collect() } else { text }
    };
    let head: Vec<String> = rows.columns.iter().map(|name| cell(name)).collect();
    let body: Vec<Vec<String>> =
        rows.rows.iter().take(ROWS).map(|row| row.iter().map(|value| cell(&value.to_string())).collect()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| body.iter().map(|row| row[column].chars().count()).chain([head[column].chars().count()]).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("         {}\n", padded.join("  ").trim_end())
    };
    let mut out = line(&head);
    out.push_str(&line(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>()));
    body.iter().for_each(|row| out.push_str(&line(row)));
    match (rows.rows.len().saturating_sub(ROWS), rows.truncated) {
        (0, false) if rows.rows.is_empty() => out.push_str("         (no rows)\n"),
        (0, _) => {}
        (more, false) => out.push_str(&format!("         ... and {more} more\n")),
        (more, true) => out.push_str(&format!("         ... and {more} more, cut off there\n")),
    }
    out
}

/// Everything, for a program.
pub fn to_json(question: &str, database: &Database, answers: &[SqlAnswer], posterior: &Posterior) -> Value {
    let answers: Vec<Value> = answers
        .iter()
        .map(|answer| {
            let (result, error) = match &answer.rows {
                Some(Ok(rows)) => (rows_to_json(rows), Value::Null),
                Some(Err(why)) => (Value::Null, json!(why)),
                None => (Value::Null, Value::Null),
            };
            json!({
                "probability": answer.probability,
                "query": answer.query,
                "queries": answer.queries.iter().map(|(query, probability)| json!({"query": query, "probability": probability})).collect::<Vec<_>>(),
                "clauses": answer.clauses.iter().map(|clause| json!({"text": clause.text, "probability": clause.probability})).collect::<Vec<_>>(),
                "result": result,
                "error": error,
            })
        })
        .collect();
    json!({
        "question": question,
        "database": database.path().display().to_string(),
        "answers": answers,
        "log_evidence": posterior.log_evidence.is_finite().then_some(posterior.log_evidence),
        "ess": posterior.ess(),
        "particles": posterior.particles.len(),
    })
}

fn rows_to_json(rows: &SqlRows) -> Value {
    let value = |value: &SqlValue| match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(number) => json!(number),
        SqlValue::Real(number) => json!(number),
        SqlValue::Text(text) => json!(text),
        SqlValue::Blob(bytes) => json!({ "bytes": bytes }),
    };
    let body: Vec<Vec<Value>> = rows.rows.iter().map(|row| row.iter().map(value).collect()).collect();
    json!({ "columns": rows.columns, "rows": body, "truncated": rows.truncated })
}
