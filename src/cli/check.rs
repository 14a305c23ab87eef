//! `tamis check`: texts against a constraint, or suites of schemas against their labels.

use super::CliError;
use super::files::{Output, json_bytes, read_bytes, read_text};
use super::grammar::GrammarSource;
use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tamis::check::{refusal, suite};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{AnyConstraint, JsonSchema, Regex, Rejection};

/// Check texts against a constraint, and tell where and why they fail.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("by").required(true).args(["schema", "regex", "grammar", "suite"])),
    after_help = "Examples:
  tamis check --schema person.json data.json more.json
  echo '{\"age\": -1}' | tamis check --schema person.json -
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

    /// Take `format` as an annotation.
    #[arg(long)]
    annotate_formats: bool,

    /// Take keywords that the standard does not know as annotations. Suites are always read so.
    #[arg(long)]
    unknown_keywords: bool,

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
    options.format_is_annotation = args.annotate_formats;
    options.unknown_keywords = args.unknown_keywords || args.suite.is_some();
    let passed = match &args.suite {
        Some(path) => check_suite(path, &options, args.json)?,
        None => check_files(args, &mut options)?,
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_files(args: &CheckArgs, options: &mut Options) -> Result<bool, CliError> {
    // Files are laid out by people: as much white space and depth as they like.
    options.max_whitespace = u32::MAX;
    let constraint = match (&args.schema, &args.regex, &args.grammar) {
        (Some(path), ..) => {
            let schema = JsonSchema::parse_with_options(&read_text(path)?, options);
            AnyConstraint::new(schema.map_err(|error| CliError::constraint(&path.display().to_string(), &error))?)
        }
        (_, Some(pattern), _) => AnyConstraint::new(Regex::new(pattern).map_err(|error| CliError::constraint("--regex", &error))?),
        (.., Some(path)) => {
            let source = GrammarSource::read(path)?;
            AnyConstraint::new(source.compile().map_err(|error| CliError::constraint(&source.name, &error))?)
        }
        _ => return Err(CliError::usage("give --schema, --regex or --grammar")),
    };
    let mut passed = true;
    for path in &args.files {
        let text = read_bytes(path)?;
        let text = if args.regex.is_some() { text.strip_suffix(b"\n").unwrap_or(&text) } else { &text };
        let refused = refusal(&constraint, text);
        // Files end in a newline; a grammar may not.
        let without_newline = args.grammar.as_ref().and(text.strip_suffix(b"\n"));
        let refused = match (refused, without_newline) {
            (Some(_), Some(text)) => refusal(&constraint, text),
            (refused, _) => refused,
        };
        passed &= refused.is_none();
        let line = if args.json { json_bytes(&verdict_json(path, refused.as_ref())) } else { verdict_line(path, text, refused.as_ref()) };
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

fn check_suite(path: &Path, options: &Options, as_json: bool) -> Result<bool, CliError> {
    let report = suite::run(path, options, |_, _| {}).map_err(|error| CliError::usage(error.to_string()))?;
    let passed = report.wrong.is_empty();
    if as_json {
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
