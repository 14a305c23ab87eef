//! Which model runs, and how: the arguments of all commands that have one.

use super::generate::at_least_one;
use clap::Args;
use std::path::PathBuf;
#[cfg(feature = "candle")]
use tamis::lm::candle::Device;

/// The model of a command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// The model: an alias (see `tamis models`), a GGUF file, a folder of safetensors, or a hub id
    /// (owner/name).
    #[arg(short, long, value_name = "MODEL", default_value = "smollm2-135m")]
    pub model: String,

    /// A tokenizer.json, or a folder with one, to use instead of the model's own tokenizer.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,

    /// What runs the model: cpu, cuda (the first NVIDIA GPU), cuda:N, or auto: a GPU if tamis was built for
    /// one and there is one.
    #[cfg(feature = "candle")]
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Device,

    /// Threads for the model; all cores if not given. The result is the same for any number.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one())]
    pub threads: Option<usize>,
}
