//! `tamis models`: what is here, what can be had.

use super::CliError;
use clap::Args;
use std::process::ExitCode;

/// List the models that can be named by an alias, and where they are kept.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tamis models\n  tamis models --json | jq -r '.models[].alias'")]
pub struct ModelsArgs {
    /// Print them as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(_args: &ModelsArgs) -> Result<ExitCode, CliError> {
    // TO JOIN: the model source when it lands.
    Err(CliError::failure("model sources are not joined to the command yet"))
}
