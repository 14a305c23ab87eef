//! `tamis models`: what is here, what can be had.

use super::CliError;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use tamis::lm::candle::{ALIASES, cache_folder};

/// List the models that can be named by an alias, and where they are kept.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tamis models\n  tamis models --json | jq -r '.models[].alias'")]
pub struct ModelsArgs {
    /// Print them as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &ModelsArgs) -> Result<ExitCode, CliError> {
    let folder = cache_folder()?;
    let mut models = Vec::new();
    for alias in &ALIASES {
        let path = alias.path()?;
        models.push((alias, path.is_file(), path));
    }
    if args.json {
        let models: Vec<_> = models
            .iter()
            .map(|(alias, here, path)| {
                json!({
                    "alias": alias.name, "description": alias.description, "licence": alias.licence,
                    "bytes": alias.size, "here": here, "path": path,
                })
            })
            .collect();
        println!("{:#}", json!({"models": models, "cache": folder}));
        return Ok(ExitCode::SUCCESS);
    }
    for (alias, here, _) in models {
        let state = if here { "here" } else { "fetched at first use" };
        println!("{:<14}{:>5} MB  {:<12}{:<22}{}", alias.name, alias.size / 1_000_000, alias.licence, state, alias.description);
    }
    println!(
        "\nKept in {}. Any GGUF file of the llama family runs too: --model PATH.gguf,\nor from the hub: --model owner/name:Q4_K_M.",
        folder.display()
    );
    Ok(ExitCode::SUCCESS)
}
