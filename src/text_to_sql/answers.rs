//! Queries grouped by the answer that they give.

use crate::constraint::sql::{canonical, clauses};
use crate::database::{AnswerKey, Database, SqlRows};
use crate::decode::Posterior;
use std::collections::BTreeMap;

/// An answer, and the queries that give it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqlAnswer {
    /// The posterior probability of the answer: of all queries that give it.
    pub probability: f64,
    /// The most probable of these queries.
    pub query: String,
    /// All of them with their probabilities, the most probable first.
    pub queries: Vec<(String, f64)>,
    /// What they give, or why it could not be had; `None` where nothing was executed.
    pub rows: Option<Result<SqlRows, String>>,
    /// The clauses of `query`, each with how sure the model is of it.
    pub clauses: Vec<ClauseShare>,
}

/// A clause, and how sure the model is of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClauseShare {
    /// The clause as it is written.
    pub text: String,
    /// The posterior probability of queries that have this clause, case and white space aside.
    pub probability: f64,
}

/// What two queries must share to be one answer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Same {
    Answer(AnswerKey),
    /// Of what cannot be compared, the text.
    Text(String),
}

/// The answers of a run, the most probable first. With a database each query is executed within its limits
/// and those of one result are one answer; without, those that differ in case and white space alone are.
pub fn answers(posterior: &Posterior, database: Option<&Database>) -> Vec<SqlAnswer> {
    let mut groups: BTreeMap<Same, SqlAnswer> = BTreeMap::new();
    for answer in &posterior.answers {
        let query = answer.text_lossy().trim().to_owned();
        let rows = database.map(|database| database.execute(&query).map_err(|error| error.to_string()));
        let same = match &rows {
            // What was cut off may differ in the rest.
            Some(Ok(rows)) if !rows.truncated => Same::Answer(rows.key()),
            _ => Same::Text(canonical(&query)),
        };
        let group = groups.entry(same).or_insert_with(|| SqlAnswer {
            probability: 0.0,
            query: query.clone(),
            queries: Vec::new(),
            rows,
            clauses: Vec::new(),
        });
        group.probability += answer.probability;
        // The posterior's answers come with the most probable first.
        group.queries.push((query, answer.probability));
    }
    let shares = shares(posterior);
    let mut answers: Vec<SqlAnswer> = groups.into_values().collect();
    for answer in &mut answers {
        let share = |text: &str| ClauseShare { text: text.to_owned(), probability: shares.get(&canonical(text)).copied().unwrap_or(0.0) };
        answer.clauses = clauses(&answer.query).iter().map(|clause| share(clause.text)).collect();
    }
    answers.sort_by(|a, b| b.probability.total_cmp(&a.probability).then_with(|| a.query.cmp(&b.query)));
    answers
}

/// For each clause, the probability of the queries that have it.
fn shares(posterior: &Posterior) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for answer in &posterior.answers {
        let text = answer.text_lossy();
        let mut own: Vec<String> = clauses(&text).iter().map(|clause| canonical(clause.text)).collect();
        own.sort();
        own.dedup();
        for clause in own {
            *shares.entry(clause).or_insert(0.0) += answer.probability;
        }
    }
    shares
}
