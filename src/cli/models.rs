//! `tamis models`: what is here, what can be had.

use super::CliError;
use super::files::{Output, json_bytes};
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
                    "alias": alias.name, "default": alias.name == ALIASES[0].name, "description": alias.description, "licence": alias.licence, "terms": alias.terms,
                    "bytes": alias.size, "here": here, "path": path,
                })
            })
            .collect();
        Output::Stdout.write(&json_bytes(&json!({"models": models, "cache": folder})))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = String::new();
    for (alias, here, _) in &models {
        let state = if *here { "here" } else { "fetched at first use" };
        let size = alias.size / 1_000_000;
        lines += &format!("{:<14}{size:>5} MB  {:<12}{state:<22}{}\n", alias.name, alias.licence, alias.description);
    }
    for (alias, ..) in models {
        if let Some(terms) = alias.terms {
            lines += &format!("\n{terms}.\n");
        }
    }
    lines += &format!(
        "\nKept in {}. Other models of the families Llama, SmolLM2, Mistral, Qwen 2 and 3 and Gemma 3 run too:\n",
        folder.display()
    );
    lines += "a GGUF file (--model PATH.gguf), a folder with config.json, tokenizer.json and *.safetensors (--model FOLDER),\n";
    lines += "and either from the hub (--model owner/name:Q4_K_M, --model owner/name).\n";
    Output::Stdout.write(lines.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
