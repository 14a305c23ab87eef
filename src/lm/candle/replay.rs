//! The engine for other architectures: candle-transformers' own code (feature `all-models`).
//!
//! These models keep one sequence, whose newest token alone can be followed: no batch, no fork, no way
//! back. So a context is its list of tokens, and what the model holds of another text is thrown away and
//! computed again. Tokens are always given one by one, so that a context's row is the same to the bit
//! whichever of them were the prompt. That is right but slow: a step costs, for each particle that is not
//! the last one again, a pass over its whole text. It is there so that nobody with such a model is
//! turned away; to run a family well, extend [`config`](super::config).

use super::device::Device;
use super::engine::{self, Engine};
use super::weights::gguf::GgufFile;
use super::weights::{WeightSource, vocabulary_size};
use crate::lm::LmError;
use crate::next_token::NextToken;
use crate::vocab::TokenId;
use candle_core::quantized::gguf_file::Value;
use candle_core::{DType, Tensor};
use candle_transformers::models::{quantized_glm4, quantized_phi, quantized_phi3};
use std::collections::HashMap;
use std::io::Cursor;

/// The architectures that are run so.
const ARCHITECTURES: [&str; 3] = ["phi3", "phi2", "glm4"];

enum Runner {
    Phi3(quantized_phi3::ModelWeights),
    Phi2(quantized_phi::ModelWeights),
    Glm4(quantized_glm4::ModelWeights),
}

impl Runner {
    /// The logits after `token` at `position`, after those before it; position 0 begins anew.
    fn forward(&mut self, token: TokenId, position: usize) -> candle_core::Result<Vec<f32>> {
        let input = Tensor::new(&[[token.get()]], &candle_core::Device::Cpu)?;
        let logits = match self {
            Self::Phi3(model) => model.forward(&input, position),
            Self::Phi2(model) => model.forward(&input, position),
            Self::Glm4(model) => model.forward(&input, position),
        };
        logits?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}

/// A token prefix, with the logits of what follows it.
pub(super) struct State {
    tokens: Vec<TokenId>,
    logits: Vec<f32>,
}

/// Runs a model of an architecture that no other engine runs, from a GGUF file.
pub(super) struct ReplayEngine {
    runner: Runner,
    /// The text that the runner holds.
    held: Vec<TokenId>,
    vocabulary_size: usize,
    context_length: usize,
}

fn architecture(file: &GgufFile) -> &str {
    let name = file.metadata().get("general.architecture").and_then(|name| name.to_string().ok());
    name.map_or("", String::as_str)
}

impl ReplayEngine {
    /// Whether the file's architecture is one of those that are run so.
    pub(super) fn runs(file: &GgufFile) -> bool {
        ARCHITECTURES.contains(&architecture(file))
    }

    /// Reads the model of the file, whose architecture must be one of these.
    pub(super) fn new(file: &GgufFile, device: &Device) -> Result<Self, LmError> {
        let architecture = architecture(file);
        if matches!(device, Device::Cuda(_)) {
            return Err(LmError::unsupported(format!("a {architecture} model runs on the CPU alone")));
        }
        let context_length = context_length(file.metadata(), architecture)?;
        let vocabulary_size = vocabulary_size(file)?;
        // The library's models know one way of turning; with another they would run wrongly.
        if let Some(name) = file.spellings().into_iter().find(|name| name.starts_with("rope_factors")) {
            return Err(LmError::unsupported(format!("this {architecture} model stretches its positions ({name}), which is not run")));
        }
        let (content, bytes) = file.read_again()?;
        let (reader, cpu) = (&mut Cursor::new(bytes), &candle_core::Device::Cpu);
        let runner = match architecture {
            "phi3" => quantized_phi3::ModelWeights::from_gguf(false, content, reader, cpu).map(Runner::Phi3),
            "phi2" => quantized_phi::ModelWeights::from_gguf(content, reader, cpu).map(Runner::Phi2),
            _ => quantized_glm4::ModelWeights::from_gguf(content, reader, cpu, DType::F32).map(Runner::Glm4),
        };
        let runner = runner.map_err(|error| LmError::corrupt(format!("the {architecture} model cannot be read")).caused_by(error))?;
        Ok(Self { runner, held: Vec::new(), vocabulary_size, context_length })
    }

    /// The state of `tokens`.
    fn replay(&mut self, tokens: Vec<TokenId>) -> Result<engine::State, LmError> {
        // The last token is computed in any case, since its logits are wanted.
        if self.held.len() >= tokens.len() || !tokens.starts_with(&self.held) {
            self.held.clear();
        }
        let mut logits = Vec::new();
        for (position, token) in tokens.iter().enumerate().skip(self.held.len()) {
            let computed = self.runner.forward(*token, position);
            // After an error the runner may hold anything.
            logits = computed.inspect_err(|_| self.held.clear()).map_err(|error| LmError::other("the model failed").caused_by(error))?;
            self.held.push(*token);
        }
        Ok(engine::State::Replay(State { tokens, logits }))
    }
}

fn context_length(metadata: &HashMap<String, Value>, architecture: &str) -> Result<usize, LmError> {
    let key = format!("{architecture}.context_length");
    let length = metadata.get(&key).and_then(|length| length.to_u32().ok());
    length.map(|length| length as usize).ok_or_else(|| LmError::corrupt(format!("the metadata lacks {key}")))
}

impl Engine for ReplayEngine {
    fn device(&self) -> String {
        "CPU, by candle-transformers".into()
    }

    fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    fn context_length(&self) -> usize {
        self.context_length
    }

    fn free_memory(&self) -> usize {
        usize::MAX
    }

    /// Keys and values are the runner's own, of one text.
    fn memory_in_use(&self) -> usize {
        0
    }

    fn prompt_bytes(&self, _tokens: usize) -> usize {
        0
    }

    fn growth_bytes(&self, _states: &[&engine::State]) -> usize {
        0
    }

    fn prefill(&mut self, prompt: &[TokenId], _known: Option<(&engine::State, usize)>) -> Result<engine::State, LmError> {
        self.replay(prompt.to_vec())
    }

    fn extend(&mut self, batch: &[(&engine::State, TokenId)]) -> Result<Vec<engine::State>, LmError> {
        batch.iter().map(|(state, token)| self.replay(state.replay().tokens.iter().chain([token]).copied().collect())).collect()
    }

    fn next_token(&self, state: &engine::State) -> Result<NextToken, LmError> {
        Ok(NextToken::from_logits(&state.replay().logits)?)
    }
}
