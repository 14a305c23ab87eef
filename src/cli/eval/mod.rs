//! `tamis eval sql`: how often the answers are right, on questions with gold queries.

mod results;

use super::CliError;
use super::files::{json_bytes, read_text};
use super::generate::at_least_one;
use super::model::Model;
use super::model_args::ModelArgs;
use super::progress::Progress;
use super::sql::{Logged, read_examples};
use clap::{Args, Subcommand, ValueEnum};
use results::{Results, Settings};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tamis::database::{AnswerKey, Database, DatabaseOptions};
use tamis::text_to_sql::{Interval, Method, Outcome, Summary, TextToSql, judge};

/// Measure a model on a benchmark.
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    Sql(EvalSqlArgs),
}

/// Questions on databases, judged by what the queries give (execution accuracy).
#[derive(Debug, Args)]
struct EvalSqlArgs {
    /// JSON lines of {"db_id", "question", "query"}.
    #[arg(long, value_name = "FILE")]
    questions: PathBuf,

    /// The folder with a database for each id: ID.sqlite or ID/ID.sqlite.
    #[arg(long, value_name = "FOLDER")]
    databases: PathBuf,

    /// How queries are drawn.
    #[arg(long, value_enum, default_value_t = MethodName::Awrs)]
    method: MethodName,

    /// A log to take examples for the prompt from: JSON lines of {"question", "query"}, with a "db_id" where
    /// they are about one database. An example with the question's own text is left out.
    #[arg(long, value_name = "FILE")]
    examples: Option<PathBuf>,

    /// Only this many questions, spread evenly over the file.
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    limit: Option<usize>,

    /// Keep the outcome of each question in this file, and go on where it ends.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,

    /// How many queries are written side by side.
    #[arg(short = 'n', long, value_name = "N", default_value = "8", value_parser = at_least_one())]
    particles: usize,

    /// The most tokens of a query.
    #[arg(long, value_name = "N", default_value = "96", value_parser = at_least_one())]
    max_tokens: usize,

    /// The seed of all random choices.
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    Awrs,
    Masked,
    Improper,
    Direct,
    Rerank,
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Awrs => Self::Awrs,
            MethodName::Masked => Self::Masked,
            MethodName::Improper => Self::Improper,
            MethodName::Direct => Self::Direct,
            MethodName::Rerank => Self::Rerank,
        }
    }
}

/// A question with what is right.
struct Case {
    id: u64,
    database: String,
    question: String,
    gold: String,
}

/// A database, and the same with double-quoted strings for gold queries that need them.
struct Judged {
    asking: TextToSql,
    gold: Database,
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Result<ExitCode, CliError> {
    let Benchmark::Sql(args) = &args.benchmark;
    let cases = cases(args)?;
    let mut results = Results::open(args.results.as_deref(), settings(args))?;
    let examples = args.examples.as_deref().map_or_else(|| Ok(Vec::new()), read_examples)?;
    let mut databases: HashMap<String, Judged> = HashMap::new();
    let progress = Progress::new(true);
    let mut model = Model::load(&args.model, &progress)?;
    let bar = progress.count("questions", cases.len() as u64);
    for case in &cases {
        bar.at(results.outcomes().len() as u64);
        if results.of(case.id).is_some() {
            continue;
        }
        let judged = match databases.entry(case.database.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(open(args, &case.database, &examples)?),
        };
        let gold = gold(judged, case)?;
        let asking = judged.asking.clone().without_example(&case.question);
        let prompt = model.lm.raw_prompt(&asking.prompt(&case.question))?;
        let started = Instant::now();
        let method = Method::from(args.method);
        let posterior = method.run(&asking, &mut model.lm, &prompt, args.particles, args.seed).map_err(super::generate::of_decoding)?;
        let seconds = started.elapsed().as_secs_f64();
        results.add(Outcome { id: case.id, seconds, ..judge(&posterior, asking.database(), &gold) })?;
    }
    drop(bar);
    let wanted: Vec<Outcome> = cases.iter().filter_map(|case| results.of(case.id).cloned()).collect();
    let summary = Summary::new(&wanted);
    let text =
        if args.json { json_bytes(&serde_json::to_value(&summary).expect("numbers are JSON")) } else { table(&summary).into_bytes() };
    std::io::stdout().write_all(&text).map_err(|error| CliError::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &EvalSqlArgs) -> Settings {
    Settings {
        method: args.method,
        model: args.model.model.clone(),
        examples: args.examples.clone(),
        particles: args.particles,
        max_tokens: args.max_tokens,
        seed: args.seed,
    }
}

fn cases(args: &EvalSqlArgs) -> Result<Vec<Case>, CliError> {
    let text = read_text(&args.questions)?;
    let mut cases = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: String| CliError::usage(format!("{}, line {}: {why}", args.questions.display(), number + 1));
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let text = |key: &str| value[key].as_str().map(str::to_owned).ok_or_else(|| wrong(format!("the string {key:?} is wanted")));
        let id = value["id"].as_u64().unwrap_or(number as u64);
        cases.push(Case { id, database: text("db_id")?, question: text("question")?, gold: text("query")? });
    }
    let count = args.limit.unwrap_or(cases.len()).min(cases.len());
    let kept: Vec<usize> = (0..count).map(|place| place * cases.len() / count).collect();
    let mut place = 0;
    cases.retain(|_| {
        place += 1;
        kept.binary_search(&(place - 1)).is_ok()
    });
    Ok(cases)
}

fn open(args: &EvalSqlArgs, name: &str, log: &[Logged]) -> Result<Judged, CliError> {
    let places = [args.databases.join(format!("{name}.sqlite")), args.databases.join(name).join(format!("{name}.sqlite"))];
    let file = places.iter().find(|place| place.is_file());
    let file = file.ok_or_else(|| {
        CliError::usage(format!("there is no database {name}: neither {} nor {}", places[0].display(), places[1].display()))
    })?;
    let wrong = |error: tamis::database::DatabaseError| CliError::usage(error.to_string());
    let mut options = DatabaseOptions::default();
    options.rows = 100_000;
    options.bytes = 64 << 20;
    let database = Database::with_options(file, options.clone()).map_err(wrong)?;
    options.double_quoted_strings = true;
    let gold = Database::with_options(file, options).map_err(wrong)?;
    let own = log.iter().filter(|logged| logged.database.as_deref().is_none_or(|database| database == name));
    let examples = own.map(|logged| logged.example.clone());
    Ok(Judged { asking: TextToSql::new(Arc::new(database)).max_tokens(args.max_tokens).examples(examples), gold })
}

fn gold(judged: &Judged, case: &Case) -> Result<AnswerKey, CliError> {
    let rows = judged.gold.execute(&case.gold);
    rows.map(|rows| rows.key()).map_err(|error| CliError::usage(format!("the gold query of question {} fails: {error}", case.id)))
}

fn table(summary: &Summary) -> String {
    let line =
        |name: &str, interval: &Interval| format!("  {name:<34} {:.3}  [{:.3}, {:.3}]\n", interval.mean, interval.low, interval.high);
    let mut out = format!("{} questions; means with 95% intervals:\n", summary.questions);
    out.push_str(&line("execution accuracy, weighted", &summary.weighted));
    out.push_str(&line("execution accuracy, best answer", &summary.best));
    out.push_str(&line("particles that came to a query", &summary.valid));
    out.push_str(&line("queries that prepare", &summary.prepares));
    out.push_str(&line("seconds a question", &summary.seconds));
    out.push_str(&line("constraint checks a token", &summary.checks));
    out.push_str(&line("tokens a particle", &summary.tokens));
    out
}
