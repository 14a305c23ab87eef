//! `tamis sql`: a question on a database; candidate queries, their probabilities and what they give.

mod args;
mod show;
mod table;

pub use args::SqlArgs;

use super::CliError;
use super::files::{Output, json_bytes, read_text};
use super::generate::{deaths, of_decoding};
use super::model::Model;
use super::progress::Progress;
use super::screen::look;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tamis::constraint::sql::SqlOptions;
use tamis::database::{Database, Executes};
use tamis::report::Look;
use tamis::text_to_sql::{SqlExample, TextToSql, answers};

/// Runs the command.
pub fn run(args: &SqlArgs) -> Result<ExitCode, CliError> {
    let output = Output::new("--output", args.output.clone())?;
    let (file, question) = args.question()?;
    let database = Arc::new(file.map_or_else(sample, open)?);
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
    let posterior = posterior.map_err(of_decoding)?;
    let found = answers(&posterior, (!args.dry_run).then_some(&*database));
    if args.json {
        output.write(&json_bytes(&show::to_json(question, &database, &found, &posterior)))?;
    } else if !found.is_empty() {
        let look = if output.is_stdout() { look() } else { Look::PLAIN };
        output.write(show::to_text(&found, &posterior, look).as_bytes())?;
    }
    if found.is_empty() {
        let error = CliError::impossible(format!("no query: {}", deaths(&posterior, args.max_tokens)));
        return Err(error.hint(match posterior.deaths.first() {
            Some(last) if last.out_of_tokens => "allow longer queries with --max-tokens",
            _ => "try more particles (-n), another --seed, or a --profile with more of SQL",
        }));
    }
    Ok(ExitCode::SUCCESS)
}

fn open(file: &Path) -> Result<Database, CliError> {
    Database::open(file).map_err(|error| {
        CliError::usage(error.to_string()).hint("give a SQLite file with tables; to try it without one: tamis sql --sample QUESTION")
    })
}

fn sample() -> Result<Database, CliError> {
    Database::sample()
        .map_err(|error| CliError::failure(error.to_string()).hint("TMPDIR names the folder for it; it must be one that can be written"))
}

/// What is wrong in a line of JSON. (The parser would call it line 1.)
fn not_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    format!("no JSON: {what} in column {}", error.column())
}

/// An example of a log of queries.
pub struct Logged {
    pub example: SqlExample,
    /// The database that it is about, where the log says so.
    pub database: Option<String>,
}

/// Reads JSON lines of `{"question": ..., "query": ...}`, each perhaps with a `"db_id"`.
pub fn read_examples(path: &Path) -> Result<Vec<Logged>, CliError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let wrong = |why: &str| CliError::usage(format!("{}, line {}: {why}", path.display(), number + 1));
            let value: serde_json::Value = serde_json::from_str(line).map_err(|error| wrong(&not_json(&error)))?;
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
