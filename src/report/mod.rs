//! Runs as others read them: a record, a page of pictures, or a summary on a terminal.
//!
//! A [`Posterior`](crate::decode::Posterior) knows what was drawn; [`RunInfo`] adds what it was drawn from
//! and with: model, prompt, constraints, options, times. A [`Record`] is all of both, as data that can be
//! kept and read again; [`html::page`] draws a record for the browser, and [`Summary`] tells what a person
//! wants first. None of them computes anything that the results do not hold already.

pub mod html;
pub mod record;
mod recording;
mod surprisal;
mod terminal;
mod words;

pub use record::{Record, RecordError};
pub use terminal::{Look, Summary, excerpt_end, weight_blocks};
pub use words::{evidence_in_words, probability_in_words};

use crate::vocab::TokenId;
use serde::{Deserialize, Serialize, Serializer};
use std::path::PathBuf;

/// What a run was made from and with, as far as its [`Posterior`](crate::decode::Posterior) does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The model.
    pub model: ModelInfo,
    /// What the model was given to go on from.
    pub prompt: PromptInfo,
    /// What the answers had to satisfy, all of them.
    pub constraints: Vec<ConstraintInfo>,
    /// How the answers were drawn.
    pub options: OptionsInfo,
    /// How long it took.
    pub timings: Timings,
}

/// The model of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// What the user called it: an alias, a path, a hub id.
    pub name: String,
    /// The file it was read from, where it was one.
    #[serde(serialize_with = "lossy")]
    pub path: Option<PathBuf>,
    /// The number of its tokens.
    pub vocabulary_size: usize,
    /// The most tokens that it can attend to.
    pub context_length: usize,
    /// What it ran on: the same seed gives the same run on the same kind of device.
    #[serde(default)]
    pub device: String,
}

/// A path as text: one that is no UTF-8 is told as well as it can be.
fn lossy<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

/// The prompt of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PromptInfo {
    /// The text as the user gave it.
    pub text: String,
    /// The system message, where there was one.
    pub system: Option<String>,
    /// Whether the model's chat template was put around it.
    pub chat: bool,
    /// The tokens that the model was given, template included.
    pub tokens: Vec<TokenId>,
}

/// A constraint of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstraintInfo {
    /// Its kind: `json_schema`, `regex`.
    pub kind: String,
    /// Where it came from (a file), or itself where it is short (a pattern).
    pub source: String,
}

/// The options of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptionsInfo {
    /// The number of particles.
    pub particles: usize,
    /// The seed, which with the inputs decides every byte of the result.
    pub seed: u64,
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// The sampler's name, with its options.
    pub sampler: String,
    /// Whether the sampler keeps the law of proper weighting. Where it does not, weights and evidence
    /// mean nothing and are not reported as if they did.
    pub properly_weighted: bool,
    /// The fraction of the particles below which the effective sample size leads to resampling.
    pub ess_threshold: f64,
    /// The scheme by which particles are resampled.
    pub resampling: String,
    /// The temperature.
    pub temperature: f64,
    /// How many of the most probable tokens were kept, where that was limited.
    pub top_k: Option<usize>,
    /// The probability that the most probable tokens kept had to reach.
    pub top_p: f64,
    /// The least fraction of the largest probability that was kept.
    pub min_p: f64,
    /// Scores that the target is multiplied by, as they were asked for.
    #[serde(default)]
    pub critics: Vec<String>,
}

impl Default for OptionsInfo {
    fn default() -> Self {
        Self {
            particles: 8,
            seed: 0,
            max_tokens: 256,
            sampler: "awrs".into(),
            properly_weighted: true,
            ess_threshold: 0.5,
            resampling: "systematic".into(),
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            critics: Vec::new(),
        }
    }
}

impl OptionsInfo {
    /// Whether the model's distribution was changed before all else.
    pub fn changes_the_model(&self) -> bool {
        self.temperature != 1.0 || self.top_k.is_some() || self.top_p < 1.0 || self.min_p > 0.0
    }
}

/// How long a run took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Reading the model, from its file to the first forward pass; a download is not counted.
    pub load: f64,
    /// From the start of the run to the first token of all particles: the prompt, mostly.
    pub first_token: f64,
    /// The run: prompt and answers.
    pub run: f64,
    /// Tokens drawn, over all particles, those that were lost at a resampling too.
    pub tokens: usize,
}

impl Timings {
    /// Tokens drawn a second, all particles together, after the first of each; `None` where there were
    /// none to measure.
    pub fn tokens_per_second(&self, particles: usize) -> Option<f64> {
        let (tokens, seconds) = (self.tokens.checked_sub(particles)?, self.run - self.first_token);
        (tokens > 0 && seconds > 0.0).then(|| tokens as f64 / seconds)
    }
}
