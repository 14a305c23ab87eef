//! `tamis check`: texts against a constraint, or suites of schemas against their labels.

use super::CliError;
use super::files::{Output, json_bytes, read_bytes, read_text};
use super::grammar::GrammarSource;
use super::schema::SchemaArgs;
use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tamis::check::{refusal, suite};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, JsonSchema, Regex, Rejection};

/// Check texts against a constraint, and tell where and why they fail.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("by").required(true).args(["schema", "regex", "grammar", "suite"])),
    after_help = "Examples:
  tamis check --schema person.json data.json more.json
  echo '{\"age\": -1}' | tamis check --schema person.json -
  echo -n '{\"age\": ' | tamis check --schema person.json --explain -
  tamis check --regex '[0-9]{4}-[0-9]{2}' dates.txt
  tamis check --grammar sqlite_select query.sql
  tamis check --suite JSON-Schema-Test-Suite/tests/draft2020-12 --json

Exits with 1 if any text fails, or any instance of a suite is judged wrong."
)]
pub struct CheckArgs {
    /// The JSON Schema that the texts must satisfy.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,

    /// The regular expression that each text must match as a whole; a newline at its end is left out.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    regex: Option<String>,

    /// The grammar that each text must be of as a whole: a Lark file, or the name of one that comes with
    /// tamis (`json`, `sqlite_select`, ...); a newline at the text's end may be left out.
    #[arg(long, value_name = "FILE|NAME")]
    grammar: Option<PathBuf>,

    /// A folder or file of schemas with labelled instances: JSON-Schema-Test-Suite or MaskBench.
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    suite: Option<PathBuf>,

    #[command(flatten)]
    reading: SchemaArgs,

    /// Take the texts as beginnings, and tell what could come next.
    #[arg(long, conflicts_with = "suite")]
    explain: bool,

    /// Judge each instance of the suite in five spellings (compact, spaced, indented, properties shuffled,
    /// characters escaped), each whole, byte by byte and cut at random.
    #[arg(long, requires = "suite")]
    all_spellings: bool,

    /// Print the verdicts as JSON, one object a line.
    #[arg(long)]
    json: bool,

    /// The texts; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "suite")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let mut options = Options::default();
    args.reading.apply(&mut options)?;
    let passed = match &args.suite {
        Some(path) => {
            // Suites are full of keywords that are none.
            options.unknown_keywords = true;
            check_suite(path, options, args)?
        }
        None => check_files(args, &mut options)?,
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_files(args: &CheckArgs, options: &mut Options) -> Result<bool, CliError> {
    // Files are laid out by people: as much white space and depth as they like.
    options.max_whitespace = u32::MAX;
    match (&args.schema, &args.regex, &args.grammar) {
        (Some(path), ..) => {
            let schema = JsonSchema::parse_with_options(&read_text(path)?, options);
            let schema = schema.map_err(|error| CliError::constraint(&path.display().to_string(), &error))?;
            for note in schema.notes() {
                eprintln!("{}: {note}", path.display());
            }
            if args.explain { explain_files(args, &schema, |state| schema.outlook(state)) } else { judge_files(args, &schema) }
        }
        (_, Some(pattern), _) => {
            let regex = Regex::new(pattern).map_err(|error| CliError::constraint("--regex", &error))?;
            if args.explain { explain_files(args, &regex, |state| wanted(&regex, state)) } else { judge_files(args, &regex) }
        }
        (.., Some(path)) => {
            let source = GrammarSource::read(path)?;
            let grammar = source.compile().map_err(|error| CliError::constraint(&source.name, &error))?;
            if args.explain { explain_files(args, &grammar, |state| wanted(&grammar, state)) } else { judge_files(args, &grammar) }
        }
        _ => Err(CliError::usage("give --schema, --regex or --grammar")),
    }
}

/// What may come at `state`, for constraints on text: no text holds the byte 0xFF, whose refusal tells of
/// all others.
fn wanted<C: Constraint>(constraint: &C, state: &C::State) -> Vec<String> {
    constraint.explain(state, b"\xFF").iter().map(|refused| refused.expected().to_owned()).collect()
}

/// The bytes of a text; for a regular expression without the newline that editors end a file with.
fn read_text_of(args: &CheckArgs, path: &Path) -> Result<Vec<u8>, CliError> {
    let mut text = read_bytes(path)?;
    if args.regex.is_some() && text.ends_with(b"\n") {
        text.pop();
    }
    Ok(text)
}

/// Tells what could come next at the end of each text; whether all of them can be gone on with.
fn explain_files<C: Constraint>(args: &CheckArgs, constraint: &C, outlook: impl Fn(&C::State) -> Vec<String>) -> Result<bool, CliError> {
    let mut passed = true;
    for path in &args.files {
        let text = read_text_of(args, path)?;
        let start = constraint.start();
        let Some(state) = constraint.advance(&start, &text) else {
            passed = false;
            let refused = constraint.explain(&start, &text);
            Output::Stdout.write(&if args.json {
                json_bytes(&verdict_json(path, refused.as_ref()))
            } else {
                verdict_line(path, &text, refused.as_ref())
            })?;
            continue;
        };
        let (next, cost) = (outlook(&state), constraint.closing_cost(&state));
        if args.json {
            let valid = constraint.may_end(&state);
            Output::Stdout
                .write(&json_bytes(&json!({ "file": path, "complete": valid, "next": next, "fewest_bytes_to_the_end": cost })))?;
            continue;
        }
        let mut out = format!("{}: after {} bytes may come\n", path.display(), text.len());
        for words in next {
            let _ = writeln!(out, "  {words}");
        }
        if let Some(cost) = cost.filter(|cost| *cost > 0) {
            let _ = writeln!(out, "  (at least {cost} more bytes to the end)");
        }
        Output::Stdout.write(out.as_bytes())?;
    }
    Ok(passed)
}

fn judge_files<C: Constraint>(args: &CheckArgs, constraint: &C) -> Result<bool, CliError> {
    let mut passed = true;
    for path in &args.files {
        let text = read_text_of(args, path)?;
        let refused = refusal(constraint, &text);
        // Files end in a newline; a grammar may not.
        let without_newline = args.grammar.as_ref().and(text.strip_suffix(b"\n"));
        let refused = match (refused, without_newline) {
            (Some(_), Some(text)) => refusal(constraint, text),
            (refused, _) => refused,
        };
        passed &= refused.is_none();
        let line = if args.json { json_bytes(&verdict_json(path, refused.as_ref())) } else { verdict_line(path, &text, refused.as_ref()) };
        Output::Stdout.write(&line)?;
    }
    Ok(passed)
}

fn verdict_line(path: &Path, text: &[u8], refused: Option<&Rejection>) -> Vec<u8> {
    let Some(refused) = refused else { return format!("{}: valid\n", path.display()).into_bytes() };
    let before = &text[..refused.offset().min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("{}:{line}:{column}: invalid at {refused}\n", path.display()).into_bytes()
}

fn verdict_json(path: &Path, refused: Option<&Rejection>) -> Value {
    json!({
        "file": path,
        "valid": refused.is_none(),
        "offset": refused.map(Rejection::offset),
        "instance_pointer": refused.and_then(Rejection::instance_pointer),
        "schema_pointer": refused.and_then(Rejection::schema_pointer),
        "expected": refused.map(Rejection::expected),
        "reason": refused.map(ToString::to_string),
    })
}

fn check_suite(path: &Path, options: Options, args: &CheckArgs) -> Result<bool, CliError> {
    let mut suite_options = suite::SuiteOptions::default();
    suite_options.schema = options;
    suite_options.all_spellings = args.all_spellings;
    let report = suite::run(path, &suite_options, |_, _| {}).map_err(|error| CliError::usage(error.to_string()))?;
    let passed = report.wrong.is_empty();
    if args.json {
        let value = serde_json::to_value(&report).map_err(|error| CliError::failure(error.to_string()))?;
        Output::Stdout.write(&json_bytes(&value))?;
        return Ok(passed);
    }
    let mut out = String::new();
    for wrong in &report.wrong {
        let verdict = if wrong.valid { "refused, but valid" } else { "accepted, but invalid" };
        let reason = wrong.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let _ = writeln!(out, "{}: {}: {}: {verdict}{reason}", wrong.file.display(), wrong.schema, wrong.test);
    }
    let unsupported: usize = report.unsupported.values().sum();
    let _ = writeln!(out, "{} schemas", report.schemas);
    let _ = writeln!(out, "{:>7} instances judged right", report.right);
    let _ = writeln!(out, "{:>7} wrongly accepted", report.wrongly_accepted);
    let _ = writeln!(out, "{:>7} wrongly refused", report.wrongly_rejected);
    let _ = writeln!(out, "{unsupported:>7} of schemas that are not supported");
    for (keyword, count) in &report.unsupported {
        let _ = writeln!(out, "{count:>15} by {keyword}");
    }
    let milliseconds = |times: &suite::Times| {
        format!("median {:.3} ms, 99th percentile {:.3} ms, in all {:.2} s", times.median * 1e3, times.p99 * 1e3, times.total)
    };
    let _ = writeln!(out, "compiling a schema: {}", milliseconds(&report.compile));
    let _ = writeln!(out, "checking an instance: {}", milliseconds(&report.check));
    Output::Stdout.write(out.as_bytes())?;
    Ok(passed)
}
