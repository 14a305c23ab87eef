//! The model that a command runs: named, had, loaded.

use super::CliError;
use super::progress::Progress;
use tamis::lm::candle::CandleLm;
use tamis::report::{ModelInfo, PromptInfo};
use tamis::vocab::TokenId;

/// A model ready to run, and what a report says of it.
pub struct Model {
    /// The model.
    pub lm: CandleLm,
    /// What a report says of it.
    pub info: ModelInfo,
    /// How long it took to read, in seconds; a download is not counted.
    pub load_seconds: f64,
}

impl Model {
    /// Has the model called `name`, fetching it where it must, and reads it.
    // TO JOIN: the model source and the tokenizer when they land.
    pub fn load(name: &str, _threads: Option<usize>, _progress: &Progress) -> Result<Self, CliError> {
        Err(CliError::model(format!("the model {name} cannot be had: model sources are not joined to the command yet")))
    }

    /// The tokens of a prompt: in the chat template, or as they are.
    pub fn prompt(&self, _prompt: &PromptInfo) -> Result<Vec<TokenId>, CliError> {
        Err(CliError::model("chat templates are not joined to the command yet"))
    }
}
