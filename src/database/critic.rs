//! The database as a critic: what a query gives, and what the part of it that is written would give.

use super::{Database, DatabaseError};
use crate::constraint::sql::clauses;
use crate::decode::Draft;
use crate::decode::critic::{Critic, CriticError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most scores that are kept. A run of some hundred particles has fewer; then all are forgotten, and
/// those still needed are worked out again.
const KEPT: usize = 4096;

/// Scores a query by running it within the database's limits.
///
/// A complete query that fails or takes too long scores `-inf`; one that gives nothing (no row, or only
/// NULL) scores the logarithm of a factor, 1 by default: the answer to a question may well be "none".
/// Before the end it scores the longest part that stands by itself, up to the last clause that is
/// complete, so that particles on the way to nothing are noticed early; that part of the score cancels.
/// A text is run once, as long as it is among the last few thousand. The order of clauses and the paper's
/// checks at their ends are after Loula et al. 2025 (arXiv 2504.13139).
#[derive(Debug)]
pub struct Executes {
    database: Arc<Database>,
    empty_factor: f64,
    steering_factor: f64,
    scores: Mutex<HashMap<String, f64>>,
}

impl Executes {
    /// Queries must run; what they give does not matter.
    pub fn new(database: Arc<Database>) -> Self {
        Self { database, empty_factor: 1.0, steering_factor: 1.0, scores: Mutex::default() }
    }

    /// Multiplies the target's probability of a query that gives nothing by this factor.
    #[must_use]
    pub fn empty_factor(mut self, factor: f64) -> Self {
        self.empty_factor = factor;
        self
    }

    /// Steers away from queries whose part so far gives no row, by this factor. The target stays.
    #[must_use]
    pub fn steering_factor(mut self, factor: f64) -> Self {
        self.steering_factor = factor;
        self
    }

    fn score(&self, query: &str, complete: bool) -> Result<f64, CriticError> {
        let key = format!("{}{query}", if complete { "=" } else { "<" });
        if let Some(known) = self.scores.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(*known);
        }
        let score = if complete { self.of_result(self.database.execute(query))? } else { self.of_part(query)? };
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        if scores.len() >= KEPT {
            scores.clear();
        }
        scores.insert(key, score);
        Ok(score)
    }

    fn of_result(&self, result: Result<super::SqlRows, DatabaseError>) -> Result<f64, CriticError> {
        match result {
            Ok(rows) if rows.is_empty() => Ok(self.empty_factor.ln()),
            Ok(_) => Ok(0.0),
            Err(error) if error.is_refused() || error.is_stopped() => Ok(f64::NEG_INFINITY),
            Err(error) => Err(error.into()),
        }
    }

    /// A part never scores `-inf`: what follows may make it quick, or right.
    fn of_part(&self, part: &str) -> Result<f64, CriticError> {
        match self.database.execute(&format!("SELECT 1 FROM ({part}) LIMIT 1")) {
            Ok(rows) if rows.rows.is_empty() => Ok(self.steering_factor.ln()),
            Err(error) if !error.is_refused() && !error.is_stopped() => Err(error.into()),
            _ => Ok(0.0),
        }
    }
}

impl Critic for Executes {
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        let Ok(text) = std::str::from_utf8(draft.text) else { return Ok(if draft.complete { f64::NEG_INFINITY } else { 0.0 }) };
        if draft.complete {
            return self.score(text, true);
        }
        if self.steering_factor == 1.0 {
            return Ok(0.0);
        }
        // All but the clause that is being written, if there is a FROM in it.
        match clauses(text).as_slice() {
            [whole @ .., last] if whole.iter().any(|clause| clause.keyword == "FROM") => self.score(text[..last.start].trim(), false),
            _ => Ok(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executes() -> Executes {
        Executes::new(Arc::new(Database::sample().unwrap())).empty_factor(0.5).steering_factor(0.25)
    }

    fn score(critic: &Executes, text: &str, complete: bool) -> f64 {
        critic.log_score(&Draft { text: text.as_bytes(), tokens: &[], complete, by_end_token: complete }).unwrap()
    }

    #[test]
    fn a_query_that_gives_nothing_costs_the_factor_and_one_that_does_not_run_all() {
        let critic = executes();
        for (query, factor) in [
            ("SELECT count(*) FROM book", 1.0),
            ("SELECT title FROM book WHERE year > 3000", 0.5),
            ("SELECT max(days) FROM loan WHERE days > 3000", 0.5),
            ("SELECT count(*) FROM book WHERE year > 3000", 1.0),
            ("SELECT price FROM book", 0.0),
        ] {
            // The second answer is the one that was kept.
            assert_eq!([score(&critic, query, true), score(&critic, query, true)], [f64::ln(factor); 2], "{query}");
        }
    }

    #[test]
    fn before_the_end_what_counts_is_the_part_up_to_the_last_whole_clause() {
        let critic = executes();
        for (part, factor) in [
            ("SELECT title FROM book WHERE year > 3000 ORDER BY ti", 0.25),
            // The condition may still go on.
            ("SELECT title FROM book WHERE year > 3000", 1.0),
            ("SELECT title FROM book WHERE year > 1900 ORDER BY ti", 1.0),
            ("SELECT title FROM bo", 1.0),
            // A count of nothing is a row.
            ("SELECT count(*) FROM book WHERE year > 3000 LIMIT", 1.0),
            // What does not run by itself may still become right.
            ("SELECT price FROM book WHERE ", 1.0),
        ] {
            assert_eq!(score(&critic, part, false), f64::ln(factor), "{part}");
        }
        let without = Executes::new(critic.database.clone());
        assert_eq!(score(&without, "SELECT title FROM book WHERE year > 3000 ORDER BY ti", false), 0.0);
    }

    #[test]
    fn the_scores_that_are_kept_are_bounded() {
        let critic = executes();
        for number in 0..KEPT + 100 {
            let query = format!("SELECT title FROM book WHERE book_id = {number}");
            assert_eq!(score(&critic, &query, true) == 0.0, (1..=12).contains(&number), "{query}");
        }
        assert!(critic.scores.lock().unwrap().len() <= KEPT);
    }
}
