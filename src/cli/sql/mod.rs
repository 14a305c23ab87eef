//! `tamis sql`: a question on a database; candidate queries, their probabilities and what they give.

mod args;
mod show;
mod table;

pub use args::SqlArgs;

use super::CliError;
use super::files::{Output, json_bytes, read_text};
use super::model::Model;
use super::progress::Progress;
use super::screen::look;
use std::process::ExitCode;
use std::sync::Arc;
use tamis::constraint::sql::SqlOptions;
use tamis::database::{Database, DatabaseError, Executes};
use tamis::report::Look;
use tamis::text_to_sql::{SqlExample, TextToSql, answers};

/// Runs the command.
pub fn run(args: &SqlArgs) -> Result<ExitCode, CliError> {
    let output = Output::new("--output", args.output.clone())?;
    let (file, question) = args.question()?;
    let database = Arc::new(file.map_or_else(Database::sample, Database::open).map_err(unreadable)?);
    let examples = args.examples.as_deref().map_or_else(|| Ok(Vec::new()), read_examples)?;
    let examples = examples.into_iter().map(|logged| logged.example);
    let options = SqlOptions::profile(args.profile.into());
    let asking = TextToSql::new(database.clone()).options(options).shown(args.shown).max_tokens(args.max_tokens).examples(examples);
    let progress = Progress::new(true);
    let mut model = Model::load(&args.model, &progress)?;
    let prompt = model.lm.raw_prompt(&asking.prompt(question))?;
    let mut decoding = asking.decoding().particles(args.particles).seed(args.seed);
    if !args.dry_run && (args.empty_factor != 1.0 || args.steering_factor != 1.0) {
        decoding = decoding.critic(Executes::new(database.clone()).empty_factor(args.empty_factor).steering_factor(args.steering_factor));
    }
    let mut live = progress.run(args.particles);
    let (mut tokens, mut writing) = (0, args.particles);
    let posterior = decoding.run_watched(&mut model.lm, &prompt, |step| {
        tokens += writing;
        writing = step.unfinished;
        live.step(step, tokens);
    });
    drop(live);
    let posterior = posterior.map_err(super::generate::of_decoding)?;
    let found = answers(&posterior, (!args.dry_run).then_some(&*database));
    if args.json {
        output.write(&json_bytes(&show::to_json(question, &database, &found, &posterior)))?;
    } else if !found.is_empty() {
        let look = if output.is_stdout() { look() } else { Look::PLAIN };
        output.write(show::to_text(&found, &posterior, look).as_bytes())?;
    }
    if found.is_empty() {
        let message = format!("no query: all {} particles died", args.particles);
        return Err(CliError::impossible(message).hint("allow longer queries with --max-tokens, or more particles"));
    }
    Ok(ExitCode::SUCCESS)
}

fn unreadable(error: DatabaseError) -> CliError {
    CliError::usage(error.to_string())
}

/// An example of a log of queries.
pub struct Logged {
    pub example: SqlExample,
    /// The database that it is about, where the log says so.
    pub database: Option<String>,
}

/// Reads JSON lines of `{"question": ..., "query": ...}`, each perhaps with a `"db_id"`.
pub fn read_examples(path: &std::path::Path) -> Result<Vec<Logged>, CliError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let wrong = |why: &str| CliError::usage(format!("{}, line {}: {why}", path.display(), number + 1));
            let value: serde_json::Value = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
            match (value["question"].as_str(), value["query"].as_str()) {
                (Some(question), Some(query)) => Ok(Logged {
                    example: SqlExample { question: question.into(), query: query.into() },
                    database: value["db_id"].as_str().map(str::to_owned),
                }),
                _ => Err(wrong("an object with the strings \"question\" and \"query\" is wanted")),
            }
        })
        .collect()
}
