//! The arguments of `tamis sql`, as data.

use crate::cli::CliError;
use crate::cli::generate::{any_number, at_least_one};
use crate::cli::model_args::ModelArgs;
use clap::builder::ValueParser;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use tamis::constraint::sql::SqlProfile;

const USAGE: &str = "\
tamis sql [OPTIONS] <DATABASE> <QUESTION>
       tamis sql [OPTIONS] --sample <QUESTION>";

const EXAMPLES: &str = r#"Examples:
  On the sample database, a small lending library:
      tamis sql --sample "How many books are there?"

  On your own, with a log of questions and queries to learn from:
      tamis sql chinook.sqlite --examples log.jsonl "Which artist has the most albums?"

  The queries alone, nothing is executed:
      tamis sql chinook.sqlite --dry-run "How many tracks are longer than ten minutes?""#;

/// Ask a SQLite database a question in English.
///
/// Prints the candidate queries grouped by the answer that they give, with the probabilities of answers
/// and clauses under the model. Every query prepares on the database, and nothing can be changed by one:
/// it is opened read-only, behind SQLite's authorizer, with limits on time, memory and rows.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_long_help = EXAMPLES, after_help = "Run `tamis sql --help` for examples.")]
pub struct SqlArgs {
    /// The database, a SQLite file. Left out with --sample.
    #[arg(value_name = "DATABASE")]
    pub first: Option<String>,

    /// The question.
    #[arg(value_name = "QUESTION")]
    pub second: Option<String>,

    /// Use the sample database that comes with tamis.
    #[arg(long)]
    pub sample: bool,

    #[command(flatten)]
    pub model: ModelArgs,

    /// JSON lines of {"question", "query"}: those nearest to the question are shown to the model.
    #[arg(long, value_name = "FILE", help_heading = "Prompt")]
    pub examples: Option<PathBuf>,

    /// How many examples are shown.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "4", value_parser = count(), help_heading = "Prompt")]
    pub shown: usize,

    /// How much of SQL a query may use.
    #[arg(long, value_enum, default_value_t = ProfileName::Spider, help_heading = "Constraint")]
    pub profile: ProfileName,

    /// Multiply the probability of queries that give nothing by this. Changes the target.
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value = "1", value_parser = factor(), help_heading = "Constraint")]
    pub empty_factor: f64,

    /// Steer away from queries whose FROM and WHERE give no row, by this factor. The target stays.
    #[arg(long, value_name = "F", allow_negative_numbers = true, default_value = "1", value_parser = factor(), help_heading = "Sampling")]
    pub steering_factor: f64,

    /// How many queries are written side by side.
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, default_value = "8", value_parser = at_least_one(), help_heading = "Sampling")]
    pub particles: usize,

    /// The seed of all random choices.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "0", value_parser = any_number(), help_heading = "Sampling")]
    pub seed: u64,

    /// The most tokens of a query.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "96", value_parser = at_least_one(), help_heading = "Sampling")]
    pub max_tokens: usize,

    /// Print the queries and execute none.
    #[arg(long, conflicts_with_all = ["empty_factor", "steering_factor"], help_heading = "Output")]
    pub dry_run: bool,

    /// Print everything as one JSON object.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Write to this file instead of standard output, whole or not at all.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

/// A part of SQLite's SELECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// Joins, subqueries, groups, set operations, the five aggregates.
    Spider,
    /// The same with CASE, CAST, functions, column aliases, outer joins and more.
    Extended,
    /// The same with WITH, USING, FILTER, window functions, NULLS FIRST and NULLS LAST.
    Analytic,
}

impl From<ProfileName> for SqlProfile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Spider => Self::Spider,
            ProfileName::Extended => Self::Extended,
            ProfileName::Analytic => Self::Analytic,
        }
    }
}

impl SqlArgs {
    /// The database's file (`None`: the sample) and the question.
    pub fn question(&self) -> Result<(Option<&Path>, &str), CliError> {
        let asked = match (self.first.as_deref(), self.second.as_deref(), self.sample) {
            (Some(""), Some(_), false) => return Err(CliError::usage("the name of the database is empty")),
            (Some(file), Some(question), false) => (Some(Path::new(file)), question),
            (Some(question), None, true) => (None, question),
            (Some(_), Some(_), true) => return Err(CliError::usage("with --sample give the question alone, without a database")),
            (None, _, true) => {
                return Err(CliError::usage("a question is wanted").hint("for instance: tamis sql --sample \"How many books are there?\""));
            }
            (_, _, false) => {
                return Err(CliError::usage("a database and a question are wanted: tamis sql DATABASE QUESTION")
                    .hint("to try it without a database: tamis sql --sample QUESTION"));
            }
        };
        match asked.1.trim().is_empty() {
            true => Err(CliError::usage("the question is empty").hint("ask in English, in quotes: \"How many books are there?\"")),
            false => Ok(asked),
        }
    }
}

fn count() -> ValueParser {
    ValueParser::new(|text: &str| text.parse::<usize>().map_err(|_| "a whole number from 0 is wanted"))
}

fn factor() -> ValueParser {
    ValueParser::new(|text: &str| match text.parse::<f64>() {
        Ok(factor) if factor > 0.0 && factor <= 1.0 => Ok(factor),
        _ => Err("a number above 0, at most 1, is wanted".to_owned()),
    })
}
