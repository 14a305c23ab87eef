//! `tamis report`: the record of a run as a page for the browser.

use super::CliError;
use super::files::{Output, is_stdin, read_bytes};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tamis::report::{Record, html};

/// Draw the record of a run as a page for the browser.
///
/// The page is one file that needs no network: the answers with their probabilities, every token with what
/// was known when it was drawn, and how the particles came to be. Its name is printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tamis generate --schema person.json --record run.json \"Write as JSON: Ada Brand, a nurse, is 41.\"
  tamis report run.json
  tamis report run.json -o /tmp/page.html
  tamis generate --json --regex '[0-9]{4}' \"Which year?\" | tamis report - -o page.html
  tamis report --print-schema > record.schema.json")]
pub struct ReportArgs {
    /// The record that `tamis generate --record` or `--json` wrote; `-` reads it from standard input.
    #[arg(value_name = "RECORD", required_unless_present = "print_schema")]
    record: Option<PathBuf>,

    /// Write the page to this file, whole or not at all; `-` is standard output. If not given, it stands
    /// beside the record and ends in .html.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the JSON Schema that records satisfy, and do nothing else.
    #[arg(long, conflicts_with_all = ["record", "output"])]
    print_schema: bool,
}

/// Runs the command.
pub fn run(args: &ReportArgs) -> Result<ExitCode, CliError> {
    let Some(path) = &args.record else {
        Output::Stdout.write(Record::SCHEMA.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let record = Record::read(&read_bytes(path)?).map_err(|error| {
        let name = if is_stdin(path) { "standard input".into() } else { path.display().to_string() };
        CliError::usage(format!("{name}: {error}")).hint("records are written by `tamis generate --record FILE`")
    })?;
    let page = page_path(path, args.output.as_deref())?;
    let output = Output::new("--output", page.clone())?;
    output.write(html::page(&record).as_bytes())?;
    if let Some(page) = page {
        Output::Stdout.write(format!("{}\n", page.display()).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the page goes; `None` is standard output.
fn page_path(record: &Path, output: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
    let page = match output {
        Some(output) if output == Path::new("-") => return Ok(None),
        Some(output) => output.to_owned(),
        None if is_stdin(record) => return Ok(None),
        None => record.with_extension("html"),
    };
    if page == record {
        return Err(CliError::usage(format!("the page would take the place of the record {}", record.display()))
            .hint("name another file with --output"));
    }
    Ok(Some(page))
}
