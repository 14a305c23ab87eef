//! A question in English and a database go in; queries with their probabilities and answers come out.
//!
//! [`TextToSql`] makes the prompt of a question (`prompt.rs`), and the run that draws queries for it: any
//! text of the model that is a query on the database, ended by a new line. What the run gives is grouped
//! by *the answer* that queries give (`answers.rs`): two queries that are written differently and say the
//! same count together. `evaluation.rs` measures how often the answer is right.

mod answers;
mod evaluation;
mod prompt;

pub use answers::{ClauseShare, SqlAnswer, answers};
pub use evaluation::{Interval, Method, Outcome, Summary, bootstrap, judge};
pub use prompt::SqlExample;

use crate::constraint::Stop;
use crate::constraint::sql::SqlOptions;
use crate::database::{Database, SqlQuery};
use crate::decode::ConstrainedDecoding;
use std::sync::Arc;

/// What turns questions on a database into queries.
///
/// ```no_run
/// use std::sync::Arc;
/// use tamis::{database::Database, lm::candle::CandleLm, text_to_sql::{TextToSql, answers}};
/// let asking = TextToSql::new(Arc::new(Database::open("chinook.sqlite")?));
/// let mut model = CandleLm::load("model.gguf")?;
/// let prompt = model.raw_prompt(&asking.prompt("How many artists are there?"))?;
/// let posterior = asking.decoding().particles(8).run(&mut model, &prompt)?;
/// for answer in answers(&posterior, Some(asking.database())) {
///     println!("{:.2}  {}", answer.probability, answer.query);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextToSql {
    database: Arc<Database>,
    options: SqlOptions,
    examples: Vec<SqlExample>,
    shown: usize,
    max_tokens: usize,
}

impl TextToSql {
    /// With examples made from the database's own schema, four of them shown, and queries of at most 96 tokens.
    pub fn new(database: Arc<Database>) -> Self {
        let examples = prompt::made_from(&database);
        Self { database, options: SqlOptions::default(), examples, shown: 4, max_tokens: 96 }
    }

    /// Which queries may be written.
    #[must_use]
    pub fn options(mut self, options: SqlOptions) -> Self {
        self.options = options;
        self
    }

    /// Adds examples, say from a log of queries. Those nearest to the question are shown.
    #[must_use]
    pub fn examples(mut self, examples: impl IntoIterator<Item = SqlExample>) -> Self {
        self.examples.extend(examples);
        self
    }

    /// Without the examples of exactly this question: to measure on questions that may be among them.
    #[must_use]
    pub fn without_example(mut self, question: &str) -> Self {
        self.examples.retain(|example| example.question != question);
        self
    }

    /// How many examples a prompt shows.
    #[must_use]
    pub fn shown(mut self, shown: usize) -> Self {
        self.shown = shown;
        self
    }

    /// The most tokens of a query.
    #[must_use]
    pub fn max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// The database.
    pub fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// The prompt of a question, for a model to go on from as it is (without a chat template).
    pub fn prompt(&self, question: &str) -> String {
        prompt::prompt(&self.database, &self.examples, self.shown, question)
    }

    /// The constraint on what follows the prompt: a query that prepares, and the end of its line.
    pub fn constraint(&self) -> Stop<SqlQuery> {
        Stop::at(SqlQuery::with_options(self.database.clone(), self.options.clone()), ["\n"])
    }

    /// A run that draws queries.
    pub fn decoding(&self) -> ConstrainedDecoding<Stop<SqlQuery>> {
        ConstrainedDecoding::new(self.constraint()).max_tokens(self.max_tokens)
    }
}
