//! The command line: arguments as data, then objects, then the run.
//!
//! One file a command; `error.rs` holds the classes of failure and their exit codes, `files.rs` how input
//! is read and output written, `progress.rs` what is shown meanwhile. Nothing here computes: a command
//! makes the library's objects from its arguments, runs them and hands the result to a report.

mod check;
mod error;
#[cfg(all(feature = "candle", feature = "sqlite"))]
mod eval;
// Without a model runtime a plan is made and checked, and then there is nothing to run it with.
#[cfg_attr(not(feature = "candle"), allow(dead_code))]
mod files;
#[cfg_attr(not(feature = "candle"), allow(dead_code))]
mod generate;
mod grammar;
#[cfg(feature = "candle")]
mod model;
#[cfg_attr(not(feature = "candle"), allow(dead_code))]
mod model_args;
#[cfg(feature = "candle")]
mod models;
#[cfg(feature = "candle")]
mod progress;
mod report;
mod schema;
#[cfg(feature = "candle")]
mod screen;
#[cfg(all(feature = "candle", feature = "sqlite"))]
mod sql;

pub use error::CliError;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Draw text from a language model under a constraint, with true weights.
///
/// Every answer satisfies the constraint, and comes with its probability under the model given that it
/// does.
#[derive(Debug, Parser)]
#[command(name = "tamis", version, max_term_width = 100, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a check failed, or anything else went wrong
  2  bad options or bad input (a schema that is none, a missing file)
  3  impossible: no text satisfies the constraint, or all particles died
  4  the model: it cannot be had, read or run, or the prompt is too long for it";

#[derive(Debug, Subcommand)]
enum Command {
    Generate(Box<generate::GenerateArgs>),
    Check(check::CheckArgs),
    #[cfg(all(feature = "candle", feature = "sqlite"))]
    Sql(Box<sql::SqlArgs>),
    #[cfg(all(feature = "candle", feature = "sqlite"))]
    Eval(Box<eval::EvalArgs>),
    Report(report::ReportArgs),
    #[cfg(feature = "candle")]
    Models(models::ModelsArgs),
}

/// Runs the command of the process's arguments and gives its exit code.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Generate(args) => generate::run(*args),
        Command::Check(args) => check::run(&args),
        #[cfg(all(feature = "candle", feature = "sqlite"))]
        Command::Sql(args) => sql::run(&args),
        #[cfg(all(feature = "candle", feature = "sqlite"))]
        Command::Eval(args) => eval::run(&args),
        Command::Report(args) => report::run(&args),
        #[cfg(feature = "candle")]
        Command::Models(args) => models::run(&args),
    };
    done.unwrap_or_else(|error| {
        error.print();
        error.exit_code()
    })
}
