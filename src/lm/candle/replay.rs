//! Models of other architectures, by candle-transformers' own code (feature `all-models`).
//!
//! These models keep one sequence, whose newest token alone can be followed: no batch, no fork, no way
//! back. So a context is its list of tokens, and what the model holds of another text is thrown away and
//! computed again. Tokens are always given one by one, so that a context's row is the same to the bit
//! whichever of them were the prompt. That is right but slow: a step costs, for each particle that is not
//! the last one again, a pass over its whole text. It is there so that nobody with such a model is
//! turned away; to run a family well, extend [`config`](super::config).

use super::chat::ChatTemplate;
use super::metadata;
use super::weights::gguf::GgufFile;
use crate::lm::{LanguageModel, LmError};
use crate::next_token::NextToken;
use crate::vocab::tokenizer::Tokenizer;
use crate::vocab::{TokenId, Vocabulary};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::{quantized_glm4, quantized_phi, quantized_phi3};
use std::collections::HashMap;
use std::fmt;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

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
        let input = Tensor::new(&[[token.get()]], &Device::Cpu)?;
        let logits = match self {
            Self::Phi3(model) => model.forward(&input, position),
            Self::Phi2(model) => model.forward(&input, position),
            Self::Glm4(model) => model.forward(&input, position),
        };
        logits?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}

/// A model of an architecture that [`CandleLm`](super::CandleLm) does not run, from a GGUF file.
pub struct ReplayLm {
    runner: Runner,
    /// The text that the runner holds.
    held: Vec<TokenId>,
    vocabulary: Arc<Vocabulary>,
    tokenizer: Option<Tokenizer>,
    chat: Option<ChatTemplate>,
    context_length: usize,
}

/// A token prefix of a [`ReplayLm`], with what follows it.
#[derive(Clone, Debug)]
pub struct ReplayContext(Arc<Node>);

#[derive(Debug)]
struct Node {
    tokens: Vec<TokenId>,
    logits: Vec<f32>,
}

impl ReplayLm {
    /// Loads the GGUF file at `path`, with the tokenizer and chat template that it carries.
    ///
    /// # Errors
    /// If the file cannot be read, or holds an architecture or a tokenizer that is not run.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LmError> {
        let (content, map) = GgufFile::open(path.as_ref())?.into_parts();
        let tokenizer = metadata::tokenizer(&content.metadata)?;
        let chat = metadata::chat_template(&content.metadata, &tokenizer);
        let vocabulary = tokenizer.vocabulary().clone();
        Ok(Self { tokenizer: Some(tokenizer), chat, ..Self::read(content, &map, vocabulary)? })
    }

    /// Loads the weights of the GGUF file at `path`; its tokens are those of `vocabulary`.
    ///
    /// # Errors
    /// As [`ReplayLm::load`], and if the vocabulary is not of the model's size.
    pub fn with_vocabulary(path: &Path, vocabulary: Arc<Vocabulary>) -> Result<Self, LmError> {
        let (content, map) = GgufFile::open(path)?.into_parts();
        Self::read(content, &map, vocabulary)
    }

    fn read(content: Content, bytes: &[u8], vocabulary: Arc<Vocabulary>) -> Result<Self, LmError> {
        let architecture = content.metadata.get("general.architecture").and_then(|name| name.to_string().ok()).cloned();
        let architecture = architecture.unwrap_or_default();
        let context_length = context_length(&content.metadata, &architecture)?;
        let rows = content.tensor_infos.get("token_embd.weight").and_then(|info| info.shape.dims().first().copied());
        if rows != Some(vocabulary.len()) {
            let rows = rows.unwrap_or(0);
            return Err(LmError::corrupt(format!("the model has embeddings of {rows} tokens, but its tokenizer has {}", vocabulary.len())));
        }
        // The library's models know one way of turning; with another they would run wrongly.
        if let Some(name) = content.tensor_infos.keys().find(|name| name.starts_with("rope_factors")) {
            return Err(LmError::unsupported(format!("this {architecture} model stretches its positions ({name}), which is not run")));
        }
        let (reader, cpu) = (&mut Cursor::new(bytes), &Device::Cpu);
        let runner = match architecture.as_str() {
            "phi3" => quantized_phi3::ModelWeights::from_gguf(false, content, reader, cpu).map(Runner::Phi3),
            "phi2" => quantized_phi::ModelWeights::from_gguf(content, reader, cpu).map(Runner::Phi2),
            "glm4" => quantized_glm4::ModelWeights::from_gguf(content, reader, cpu, DType::F32).map(Runner::Glm4),
            _ => {
                let known = ARCHITECTURES.join(", ");
                return Err(LmError::unsupported(format!("the feature all-models runs {known}, not {architecture:?}")));
            }
        };
        let runner = runner.map_err(|error| LmError::corrupt(format!("the {architecture} model cannot be read")).caused_by(error))?;
        Ok(Self { runner, held: Vec::new(), vocabulary, tokenizer: None, chat: None, context_length })
    }

    /// The tokens that ask the model for an answer to `message`, in its chat template.
    ///
    /// # Errors
    /// If the model has no chat template, or it fails.
    pub fn chat_prompt(&self, message: &str) -> Result<Vec<TokenId>, LmError> {
        let chat = self.chat.as_ref();
        let chat = chat.ok_or_else(|| LmError::other("the model has no chat template; give the prompt as it is"))?;
        self.raw_prompt(&chat.prompt(message, None)?)
    }

    /// The tokens of a text that the model is to go on from.
    ///
    /// # Errors
    /// If the model was loaded without a tokenizer, or the text cannot be written in its tokens.
    pub fn raw_prompt(&self, text: &str) -> Result<Vec<TokenId>, LmError> {
        let tokenizer = self.tokenizer.as_ref().ok_or_else(|| LmError::other("the model was loaded without its tokenizer"))?;
        tokenizer.encode(text).map_err(|error| LmError::other("the prompt cannot be tokenized").caused_by(error))
    }

    /// The context of `tokens`.
    fn replay(&mut self, tokens: Vec<TokenId>) -> Result<ReplayContext, LmError> {
        if tokens.len() > self.context_length {
            return Err(LmError::too_long(format!(
                "{} tokens do not fit into the model's context of {}; shorten the prompt or the answer",
                tokens.len(),
                self.context_length
            )));
        }
        if let Some(token) = tokens.iter().find(|token| token.index() >= self.vocabulary.len()) {
            return Err(LmError::other(format!("there is no token {token}: the vocabulary has {}", self.vocabulary.len())));
        }
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
        Ok(ReplayContext(Arc::new(Node { tokens, logits })))
    }
}

fn context_length(metadata: &HashMap<String, Value>, architecture: &str) -> Result<usize, LmError> {
    let key = format!("{architecture}.context_length");
    let length = metadata.get(&key).and_then(|length| length.to_u32().ok());
    length.map(|length| length as usize).ok_or_else(|| LmError::corrupt(format!("the metadata lacks {key}")))
}

impl LanguageModel for ReplayLm {
    type Context = ReplayContext;

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    fn context_length(&self) -> usize {
        self.context_length
    }

    fn prefill(&mut self, prompt: &[TokenId]) -> Result<ReplayContext, LmError> {
        if prompt.is_empty() {
            return Err(LmError::other("the prompt has no tokens, and the model cannot begin from nothing"));
        }
        self.replay(prompt.to_vec())
    }

    fn extend(&mut self, batch: &[(ReplayContext, TokenId)]) -> Result<Vec<ReplayContext>, LmError> {
        let mut computed: HashMap<Vec<TokenId>, ReplayContext> = HashMap::new();
        let mut extended = Vec::with_capacity(batch.len());
        for (context, token) in batch {
            let tokens: Vec<TokenId> = context.0.tokens.iter().chain([token]).copied().collect();
            let context = match computed.get(&tokens) {
                Some(context) => context.clone(),
                None => {
                    let context = self.replay(tokens.clone())?;
                    computed.insert(tokens, context.clone());
                    context
                }
            };
            extended.push(context);
        }
        Ok(extended)
    }

    fn next_token(&self, context: &ReplayContext) -> Result<NextToken, LmError> {
        Ok(NextToken::from_logits(&context.0.logits)?)
    }
}

impl fmt::Debug for ReplayLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayLm").field("vocabulary", &self.vocabulary).field("held", &self.held.len()).finish_non_exhaustive()
    }
}
