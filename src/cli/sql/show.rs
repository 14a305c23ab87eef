//! Answers as a person reads them, and as JSON.

use super::table::{cut, table};
use serde_json::{Value, json};
use std::fmt::Write;
use tamis::database::{Database, SqlRows, SqlValue};
use tamis::decode::Posterior;
use tamis::report::{Look, probability_in_words};
use tamis::text_to_sql::SqlAnswer;

/// Answers below this are summed up in a line.
const LEAST: f64 = 0.005;
/// The most queries that are listed below another one of the same answer, and the most characters of a clause.
const ALIKE: usize = 3;
const CLAUSE: usize = 48;
/// What stands before each line of an answer but the first: as wide as a probability.
const MARGIN: &str = "         ";

/// The answers in order, each with its query, clauses and first rows.
pub fn to_text(answers: &[SqlAnswer], posterior: &Posterior, look: Look) -> String {
    let mut out = String::new();
    let queries: usize = answers.iter().map(|answer| answer.queries.len()).sum();
    let is_executed = answers.iter().any(|answer| answer.rows.is_some());
    let _ = match is_executed {
        true => {
            writeln!(out, "{} from {}:", count(answers.len(), "answer", "answers"), count(queries, "distinct query", "distinct queries"))
        }
        false => writeln!(out, "{}, not executed:", count(answers.len(), "query", "queries")),
    };
    let likely = answers.iter().take(look.candidates).take_while(|answer| answer.probability >= LEAST).count().max(1);
    let (shown, rest) = answers.split_at(likely.min(answers.len()));
    for answer in shown {
        let _ = writeln!(out, "\n{}  {}", percent(answer.probability), answer.query);
        for line in details(answer, look.width.saturating_sub(MARGIN.len())) {
            let _ = writeln!(out, "{MARGIN}{line}");
        }
    }
    if !rest.is_empty() {
        let probability = rest.iter().map(|answer| answer.probability).sum();
        let further = if is_executed { ["further answer", "further answers"] } else { ["further query", "further queries"] };
        let _ = writeln!(out, "\n{}  in {} (--json lists all)", percent(probability), count(rest.len(), further[0], further[1]));
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

/// What stands below the query.
fn details(answer: &SqlAnswer, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let doubtful = answer.clauses.iter().filter(|clause| clause.probability < 0.995);
    let shares: Vec<String> = doubtful.map(|clause| format!("{} {:.0}%", cut(&clause.text, CLAUSE), 100.0 * clause.probability)).collect();
    if !shares.is_empty() {
        lines.push(format!("by clause: {}", shares.join(" | ")));
    }
    let alike = &answer.queries[1..];
    let same = if answer.rows.is_some() { "same answer" } else { "same query" };
    lines.extend(alike.iter().take(ALIKE).map(|(query, probability)| format!("{same},{}: {query}", percent(*probability))));
    if let Some(more) = alike.get(ALIKE..).filter(|more| !more.is_empty()) {
        let probability = more.iter().map(|(_, probability)| probability).sum();
        lines.push(format!("{same},{}: {}", percent(probability), count(more.len(), "further query", "further queries")));
    }
    match &answer.rows {
        Some(Ok(rows)) => lines.extend(table(rows, width)),
        Some(Err(why)) => lines.push(format!("not executed: {why}")),
        None => {}
    }
    lines
}

/// Seven cells wide.
fn percent(probability: f64) -> String {
    format!("{:>6.1}%", 100.0 * probability)
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
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
