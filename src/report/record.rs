//! The record of a run: everything that is known of it, as data with a schema.
//!
//! It is what `tamis generate --json` prints, what `--record FILE` keeps and what `tamis report` draws: a
//! JSON object, always of this one form. [`Record::new`] makes it from a posterior (`recording.rs`),
//! [`Record::read`] from its JSON; `record.schema.json` says the same as the types below in the words of
//! JSON Schema ([`Record::SCHEMA`]).
//!
//! Conventions:
//!
//! - Every `log_*` and `*_log_prob` is a natural logarithm (nats), as is `entropy`; times are seconds,
//!   offsets bytes.
//! - `null` in a logarithm is minus infinity (JSON has none): the probability is zero. What does not
//!   apply is absent: evidence and posterior where the sampler does not weigh what it draws.
//! - Text is UTF-8, with U+FFFD where bytes are none; `bytes` stands beside exactly such text.
//! - Tokens stand once each in `tokens`, whoever shares them; particles and other tokens name them by
//!   index. A token's `parent` comes before it, so that the list is the genealogy of the run. All tokens
//!   ever drawn are there where `history` is true, else only those of the particles at the end.
//! - Before step 0 there is one empty text with weight one at each place. A step is told as it was before
//!   any resampling after it; `ancestors` names for each place the one that is copied there, and each copy
//!   then has the log-weight `log_evidence` of the step.
//! - An answer's log-probabilities are those of its heaviest particle; the same text may be written in
//!   other tokens too. `raw` is the model's own, `sampler` that after temperature and truncation,
//!   `constrained` that of drawing each token among the allowed ones by the estimates of Z that were used,
//!   `posterior` that of the answer under the model given that the constraint holds.
//!
//! A reader refuses a `schema_version` that it does not know. Fields are added without a new version, and
//! change or go only with one.

use super::{ConstraintInfo, ModelInfo, OptionsInfo, PromptInfo, Timings};
use crate::vocab::TokenId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A run, whole. See the head of this module for units and conventions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The version of this form.
    pub schema_version: u32,
    /// The version of tamis that made it.
    pub tamis: String,
    /// The units, for readers without this page.
    pub units: Units,
    /// The model.
    pub model: ModelInfo,
    /// What the model was given to go on from.
    pub prompt: PromptInfo,
    /// What the answers had to satisfy, all of them.
    pub constraints: Vec<ConstraintInfo>,
    /// How the answers were drawn.
    pub options: OptionsInfo,
    /// Whether no answer was found.
    pub impossible: bool,
    /// Why it was known without a run that no text satisfies the constraint, where it was.
    pub unsatisfiable: Option<String>,
    /// The logarithm of the evidence; absent where the sampler does not weigh.
    #[serde(default, with = "optional_nats", skip_serializing_if = "Option::is_none")]
    pub log_evidence: Option<f64>,
    /// The evidence: the estimated probability that the model, left to itself, answers validly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<f64>,
    /// The effective sample size of the final weights.
    pub ess: f64,
    /// How often the constraint was asked about a single token, over all `tokens`.
    pub checks: u64,
    /// The distinct texts, most probable first.
    pub answers: Vec<Answer>,
    /// The particles at the end, by place.
    pub particles: Vec<Particle>,
    /// What happened at each step.
    pub steps: Vec<Step>,
    /// Whether `tokens` holds every token drawn, those of lost particles too.
    pub history: bool,
    /// The tokens, by step and place: the genealogy.
    pub tokens: Vec<Token>,
    /// Where particles died, those first that died last; only the last few.
    pub deaths: Vec<Death>,
    /// How long it took.
    pub timings: Timings,
}

/// The units of a record, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Units {
    /// Of every `log_*`, `*_log_prob` and of `entropy`.
    pub logarithms: String,
    /// Of `timings`.
    pub timings: String,
    /// Of every `offset`.
    pub offset: String,
}

impl Default for Units {
    fn default() -> Self {
        Self { logarithms: "natural (nats); null is minus infinity".into(), timings: "seconds".into(), offset: "bytes".into() }
    }
}

/// A distinct text among the particles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Its bytes, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// Its posterior probability: the weights of the particles that wrote it.
    pub probability: f64,
    /// Those of its heaviest particle.
    pub log_prob: LogProbs,
    /// The places of the particles that wrote it, heaviest first.
    pub particles: Vec<usize>,
}

/// A particle at the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Particle {
    /// The text it wrote.
    pub text: String,
    /// Its bytes, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// Its normalised weight.
    pub weight: f64,
    /// The logarithm of that weight.
    #[serde(with = "nats")]
    pub log_weight: f64,
    /// Whether the text is complete; the weight is zero where it is not.
    pub complete: bool,
    /// The log-probabilities of its tokens.
    pub log_prob: LogProbs,
    /// Its tokens, as indices into the record's `tokens`.
    pub tokens: Vec<usize>,
}

/// The log-probabilities of a text, which must not be mixed; the head of this module tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogProbs {
    /// The model's own.
    #[serde(with = "nats")]
    pub raw: f64,
    /// In the distributions that were sampled from.
    #[serde(with = "nats")]
    pub sampler: f64,
    /// Of drawing each token among the allowed ones.
    #[serde(with = "nats")]
    pub constrained: f64,
    /// Under the model given that the constraint holds; absent for texts that are not complete.
    #[serde(default, with = "optional_nats", skip_serializing_if = "Option::is_none")]
    pub posterior: Option<f64>,
}

/// A drawn token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Token {
    /// The step at which it was drawn.
    pub step: usize,
    /// The place of the particle that drew it.
    pub particle: usize,
    /// The token before it, as an index into the record's `tokens`; `null` for the first of a text.
    pub parent: Option<usize>,
    /// Its id in the vocabulary.
    pub token: TokenId,
    /// Its text; empty for a token that ends the text.
    pub text: String,
    /// Its bytes, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// The offset of its first byte in the text.
    pub offset: usize,
    /// The model's own log-probability; minus this is the surprisal.
    #[serde(with = "nats")]
    pub model_log_prob: f64,
    /// The log-probability after temperature and truncation.
    #[serde(with = "nats")]
    pub sampler_log_prob: f64,
    /// The log-probability among the allowed tokens, by the estimate of Z that was used.
    #[serde(with = "nats")]
    pub constrained_log_prob: f64,
    /// The entropy of the model's own distribution.
    pub entropy: f64,
    /// The estimate of the constraint mass Z that was used as weight.
    #[serde(with = "nats")]
    pub log_z: f64,
    /// A certain lower bound of it.
    #[serde(with = "nats")]
    pub log_z_low: f64,
    /// A certain upper bound of it.
    #[serde(with = "nats")]
    pub log_z_high: f64,
    /// How often the constraint was asked.
    pub checks: u32,
    /// How many tokens were refused before this one was accepted.
    pub rejects: u32,
    /// Whether the exact mask was used.
    pub masked: bool,
    /// Whether it is certain that nothing else was allowed.
    pub forced: bool,
    /// What else could have come, most probable first: what the draw asked about and what is likeliest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

/// A token that could have come where another one was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alternative {
    /// Its id in the vocabulary.
    pub token: TokenId,
    /// Its text; empty for a token that ends the text.
    pub text: String,
    /// Its bytes, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// The log-probability after temperature and truncation.
    #[serde(with = "nats")]
    pub log_prob: f64,
    /// Whether the constraint allows it; `null` where nobody asked.
    pub allowed: Option<bool>,
    /// Whether it was this draw that asked.
    pub asked: bool,
}

/// A step of all particles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// Counted from 0.
    pub step: usize,
    /// The effective sample size before any resampling.
    pub ess: f64,
    /// The logarithm of the evidence so far.
    #[serde(with = "nats")]
    pub log_evidence: f64,
    /// What the step added to each log-weight.
    #[serde(with = "all_nats")]
    pub log_increments: Vec<f64>,
    /// The log-weights after the step and before any resampling, not normalised.
    #[serde(with = "all_nats")]
    pub log_weights: Vec<f64>,
    /// How many particles had not finished.
    pub unfinished: usize,
    /// Where the particles were resampled: for each place, the one that is copied there.
    pub ancestors: Option<Vec<usize>>,
}

/// Where and why a particle died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Death {
    /// What it had written.
    pub text: String,
    /// Its bytes, where they are no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
    /// How many tokens that was.
    pub tokens: usize,
    /// Whether it had used up the tokens it was given.
    pub out_of_tokens: bool,
    /// What the constraint wanted there.
    pub wanted: Option<Wanted>,
}

/// What a constraint wanted, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Wanted {
    /// The offset of the refused byte in the text.
    pub offset: usize,
    /// What was wanted.
    pub expected: String,
    /// The refused byte; `null` where the end was refused.
    pub found: Option<u8>,
    /// The JSON pointer of the value that was being written, for constraints on JSON.
    pub instance_pointer: Option<String>,
    /// The JSON pointer of the keyword that refused, for constraints by a schema.
    pub schema_pointer: Option<String>,
}

impl Record {
    /// The version of the form that this code writes and reads.
    pub const SCHEMA_VERSION: u32 = 1;

    /// The form as a JSON Schema (draft 2020-12).
    pub const SCHEMA: &str = include_str!("record.schema.json");

    /// The record as JSON on one line, without a line break at its end: records of several runs, a line
    /// each, are JSON Lines.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record holds nothing that JSON has not")
    }

    /// A record from its JSON.
    ///
    /// # Errors
    /// If it is no JSON, no record, one of another version, or one that names tokens or places that it
    /// does not hold.
    pub fn read(json: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: Option<u64>,
        }
        let version: Version = serde_json::from_slice(json).map_err(|error| RecordError::of_json(&error))?;
        match version.schema_version {
            Some(version) if version == u64::from(Self::SCHEMA_VERSION) => {}
            Some(version) => {
                let known = Self::SCHEMA_VERSION;
                return Err(RecordError(format!("it is a record of version {version}, and this tamis reads version {known}")));
            }
            None => return Err(RecordError("it is no record of a run: it has no \"schema_version\"".into())),
        }
        let record: Self = serde_json::from_slice(json).map_err(|error| RecordError::of_json(&error))?;
        match record.inconsistency() {
            Some(problem) => Err(RecordError(problem)),
            None => Ok(record),
        }
    }

    /// What points to something that is not there, as a JSON pointer and a sentence.
    fn inconsistency(&self) -> Option<String> {
        let places = self.particles.len();
        for (index, token) in self.tokens.iter().enumerate() {
            if token.parent.is_some_and(|parent| parent >= index) {
                return Some(format!("/tokens/{index}/parent: a parent must come before its child"));
            }
            if token.step >= self.steps.len() || token.particle >= places {
                return Some(format!("/tokens/{index}: there is no such step or place"));
            }
        }
        for (index, particle) in self.particles.iter().enumerate() {
            if particle.tokens.iter().any(|token| *token >= self.tokens.len()) {
                return Some(format!("/particles/{index}/tokens: there is no such token"));
            }
        }
        for (index, answer) in self.answers.iter().enumerate() {
            if answer.particles.iter().any(|particle| *particle >= places) {
                return Some(format!("/answers/{index}/particles: there is no such particle"));
            }
        }
        for (index, step) in self.steps.iter().enumerate() {
            let ancestors = step.ancestors.as_deref();
            if step.log_weights.len() != places || ancestors.is_some_and(|ancestors| ancestors.len() != places) {
                return Some(format!("/steps/{index}: it does not speak of {places} particles"));
            }
            if ancestors.is_some_and(|ancestors| ancestors.iter().any(|ancestor| *ancestor >= places)) {
                return Some(format!("/steps/{index}/ancestors: there is no such place"));
            }
        }
        None
    }
}

/// Why some bytes are no record that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError(String);

impl RecordError {
    fn of_json(error: &serde_json::Error) -> Self {
        // The message ends with line and column.
        Self(error.to_string())
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RecordError {}

/// A logarithm, minus infinity as `null`.
mod nats {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON writes what is not finite as null.
        serializer.serialize_f64(*value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
    }
}

/// A logarithm that may be absent.
mod optional_nats {
    use serde::{Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        super::nats::deserialize(deserializer).map(Some)
    }
}

/// Logarithms in a list.
mod all_nats {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        values.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let values: Vec<Option<f64>> = Vec::deserialize(deserializer)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(f64::NEG_INFINITY)).collect())
    }
}
