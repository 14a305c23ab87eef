//! The model that a command runs: named, had, loaded.

use super::CliError;
use super::model_args::ModelArgs;
use super::progress::Progress;
use std::time::Instant;
use tamis::lm::LanguageModel;
use tamis::lm::candle::{CandleLm, CandleOptions, ModelSource};
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
    /// Has the model that the arguments name, fetching it where it must, and reads it.
    pub fn load(args: &ModelArgs, progress: &Progress) -> Result<Self, CliError> {
        let name = &args.model;
        let source = ModelSource::parse(name)?;
        let path = if source.is_here() {
            source.fetch(&mut |_| {})?
        } else {
            if let Some(terms) = source.terms() {
                anstream::eprintln!("{terms}");
            }
            let mut bar = None;
            source.fetch(&mut |fetched| {
                bar.get_or_insert_with(|| progress.download(&format!("fetching {name}"), fetched.total)).at(fetched.done);
            })?
        };
        let started = Instant::now();
        let mut options = CandleOptions::default();
        options.device = args.device;
        options.threads = args.threads.unwrap_or(0);
        options.tokenizer.clone_from(&args.tokenizer);
        let working = progress.working(&format!("reading {name}"));
        let lm = CandleLm::load_with(&path, &options)?;
        drop(working);
        let info = ModelInfo {
            name: name.clone(),
            path: Some(path),
            vocabulary_size: lm.vocabulary().len(),
            context_length: lm.context_length(),
            device: lm.device(),
        };
        Ok(Self { lm, info, load_seconds: started.elapsed().as_secs_f64() })
    }

    /// The tokens of a prompt: in the chat template, or as they are.
    pub fn prompt(&self, prompt: &PromptInfo) -> Result<Vec<TokenId>, CliError> {
        Ok(match prompt.chat {
            true => self.lm.chat_prompt_with_system(&prompt.text, prompt.system.as_deref())?,
            false => self.lm.raw_prompt(&prompt.text)?,
        })
    }
}
