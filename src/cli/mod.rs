//! The command line: arguments as data, then objects, then the run.
//!
//! One file a command; `error.rs` holds the classes of failure and their exit codes, `files.rs` how input
//! is read and output written. Nothing here computes: a command makes the library's objects from its
//! arguments, runs them and hands the result to a report.

mod error;

pub use error::CliError;
