//! [`CandleLm`]: a model file as a [`LanguageModel`].

use super::attention_weights::AttentionWeights;
use super::chat::ChatTemplate;
use super::context::{CandleContext, Node, PrefixCache};
use super::device::Device;
use super::engine::{Engine, State};
use super::files::{ModelFiles, Parts};
use super::kernels::Pool;
use crate::lm::{LanguageModel, LmError};
use crate::next_token::NextToken;
use crate::vocab::tokenizer::Tokenizer;
use crate::vocab::{Canonical, TokenId, Vocabulary};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many prompts are remembered.
const REMEMBERED: usize = 4;

/// How a model is run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CandleOptions {
    /// What computes.
    pub device: Device,
    /// Threads that compute; 0 for as many as the machine has. Results do not depend on it.
    pub threads: usize,
    /// A `tokenizer.json`, or a folder with one, to use instead of the model's own.
    pub tokenizer: Option<PathBuf>,
    /// The most bytes that keys and values of all contexts may take together; `None` for what is free when
    /// the model has been loaded. A token of the default model takes 46 kB on the CPU, once for all contexts
    /// that share it.
    pub context_memory: Option<usize>,
}

impl CandleOptions {
    pub(super) fn pool(&self) -> Pool {
        Pool::new(match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        })
    }
}

/// A model from a GGUF file or a folder of safetensors, on the CPU or a GPU.
///
/// Rows are the same to the bit for any batch, order and number of threads, on the same device.
pub struct CandleLm {
    id: u64,
    engine: Box<dyn Engine>,
    vocabulary: Arc<Vocabulary>,
    tokenizer: Option<Arc<Tokenizer>>,
    chat: Option<ChatTemplate>,
    prefixes: PrefixCache,
    memory_limit: usize,
}

impl CandleLm {
    /// Loads the model at `path`, with the tokenizer and chat template that it carries, to run on all cores.
    ///
    /// # Errors
    /// As [`CandleLm::load_with`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LmError> {
        Self::load_with(path, &CandleOptions::default())
    }

    /// Loads the model at `path`: a GGUF file, or a folder with `config.json`, safetensors and
    /// `tokenizer.json`.
    ///
    /// # Errors
    /// If a file cannot be opened, is truncated or contradicts itself, or holds an architecture, a format
    /// or a tokenizer that tamis does not run; if weights are no numbers; if memory does not suffice; if the
    /// device is not there.
    pub fn load_with(path: impl AsRef<Path>, options: &CandleOptions) -> Result<Self, LmError> {
        let Parts { engine, tokenizer, chat } = ModelFiles::open(path.as_ref())?.read(options)?;
        let model = Self::new(engine, tokenizer.vocabulary().clone(), options)?;
        Ok(Self { tokenizer: Some(Arc::new(tokenizer)), chat, ..model })
    }

    /// Loads the weights of the model at `path`; its tokens are those of `vocabulary`.
    ///
    /// # Errors
    /// As [`CandleLm::load_with`], and if the vocabulary is not of the model's size.
    pub fn with_vocabulary(path: &Path, vocabulary: Arc<Vocabulary>, options: &CandleOptions) -> Result<Self, LmError> {
        Self::new(ModelFiles::open(path)?.engine(options)?, vocabulary, options)
    }

    fn new(engine: Box<dyn Engine>, vocabulary: Arc<Vocabulary>, options: &CandleOptions) -> Result<Self, LmError> {
        static MODELS: AtomicU64 = AtomicU64::new(0);
        if engine.vocabulary_size() != vocabulary.len() {
            return Err(LmError::corrupt(format!(
                "the model has embeddings of {} tokens, but its tokenizer has {}",
                engine.vocabulary_size(),
                vocabulary.len()
            )));
        }
        Ok(Self {
            id: MODELS.fetch_add(1, Ordering::Relaxed),
            memory_limit: options.context_memory.unwrap_or_else(|| engine.free_memory()),
            engine,
            vocabulary,
            tokenizer: None,
            chat: None,
            prefixes: PrefixCache::new(REMEMBERED),
        })
    }

    /// What computes: `CPU`, or a GPU's name.
    pub fn device(&self) -> String {
        self.engine.device()
    }

    /// The tokens that ask the model for an answer to `message`, in its chat template.
    ///
    /// # Errors
    /// If the model has no chat template, or it fails.
    pub fn chat_prompt(&self, message: &str) -> Result<Vec<TokenId>, LmError> {
        self.chat_prompt_with_system(message, None)
    }

    /// The same with a system message; `None` leaves it to the template.
    ///
    /// # Errors
    /// As [`CandleLm::chat_prompt`].
    pub fn chat_prompt_with_system(&self, message: &str, system: Option<&str>) -> Result<Vec<TokenId>, LmError> {
        let chat = self.chat.as_ref();
        let chat = chat.ok_or_else(|| LmError::other("the model has no chat template; give the prompt as it is, with --raw"))?;
        self.raw_prompt(&chat.prompt(message, system)?)
    }

    /// The tokens of a text that the model is to go on from.
    ///
    /// # Errors
    /// If the model was loaded without a tokenizer, or the text cannot be written in its tokens.
    pub fn raw_prompt(&self, text: &str) -> Result<Vec<TokenId>, LmError> {
        self.tokenizer()?.encode(text).map_err(|error| LmError::other("the prompt cannot be tokenized").caused_by(error))
    }

    /// The rule that an answer be written in the tokens that the model's tokenizer itself would write, for
    /// [`ConstrainedDecoding::token_filter`](crate::decode::ConstrainedDecoding::token_filter).
    ///
    /// # Errors
    /// If the model was loaded without a tokenizer, or it is not one of which that is known
    /// ([`Tokenizer::canonical`]).
    pub fn canonical_tokens(&self) -> Result<Canonical, LmError> {
        self.tokenizer()?.canonical().map_err(|error| LmError::unsupported("no canonical tokens").caused_by(error))
    }

    fn tokenizer(&self) -> Result<&Arc<Tokenizer>, LmError> {
        self.tokenizer.as_ref().ok_or_else(|| LmError::other("the model was loaded without its tokenizer"))
    }

    fn check_token(&self, token: TokenId) -> Result<(), LmError> {
        if token.index() < self.vocabulary.len() {
            return Ok(());
        }
        Err(LmError::other(format!("there is no token {token}: the vocabulary has {}", self.vocabulary.len())))
    }

    fn check_length(&self, tokens: usize) -> Result<(), LmError> {
        let length = self.engine.context_length();
        if tokens <= length {
            return Ok(());
        }
        Err(LmError::too_long(format!("{tokens} tokens do not fit into the model's context of {length}; shorten the prompt or the answer")))
    }

    /// Bytes that keys and values take, of all contexts that live and of prompts that are remembered.
    pub fn memory_in_use(&self) -> usize {
        self.engine.memory_in_use()
    }

    /// Makes sure that `needed` more bytes of keys and values may be had: prompts are forgotten first.
    fn check_memory(&mut self, needed: usize) -> Result<(), LmError> {
        let limit = self.memory_limit;
        let fits = |model: &Self| model.memory_in_use().saturating_add(needed) <= limit;
        if !fits(self) {
            self.prefixes.clear();
        }
        if fits(self) {
            return Ok(());
        }
        Err(LmError::too_little_memory(format!(
            "contexts take {} bytes and would take {needed} more, but may take {limit}; use fewer particles, a shorter prompt or \
             answer, or allow more memory",
            self.memory_in_use()
        )))
    }

    /// How much each token of `text` attends to those before it, from position `first` of it on: for analysis.
    /// One pass over the whole text; the memory is that of `layers * heads * (text.len() - first) *
    /// text.len()` numbers.
    ///
    /// # Errors
    /// If `first` is not a position of the text, the text does not fit into the model's context or names
    /// tokens outside the vocabulary, memory does not suffice, or the model does not run on the CPU.
    pub fn attention_weights(&mut self, text: &[TokenId], first: usize) -> Result<AttentionWeights, LmError> {
        if first >= text.len() {
            return Err(LmError::other(format!("there is no position {first} in a text of {} tokens", text.len())));
        }
        self.check_text(text)?;
        self.check_memory(self.engine.prompt_bytes(text.len()))?;
        self.engine.attention_weights(text, first)
    }

    fn check_text(&self, text: &[TokenId]) -> Result<(), LmError> {
        self.check_length(text.len())?;
        text.iter().try_for_each(|token| self.check_token(*token))
    }

    fn context(&self, depth: usize, state: State) -> CandleContext {
        CandleContext(Arc::new(Node { model: self.id, depth, state }))
    }
}

impl LanguageModel for CandleLm {
    type Context = CandleContext;

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    fn context_length(&self) -> usize {
        self.engine.context_length()
    }

    fn prefill(&mut self, prompt: &[TokenId]) -> Result<CandleContext, LmError> {
        if prompt.is_empty() {
            return Err(LmError::other("the prompt has no tokens, and the model cannot begin from nothing"));
        }
        self.check_text(prompt)?;
        if let Some(context) = self.prefixes.get(prompt) {
            return Ok(context);
        }
        let known = self.prefixes.shared(prompt);
        let new = prompt.len() - known.as_ref().map_or(0, |(_, tokens)| *tokens);
        self.check_memory(self.engine.prompt_bytes(new))?;
        let state = self.engine.prefill(prompt, known.as_ref().map(|(context, tokens)| (&context.0.state, *tokens)))?;
        let context = self.context(prompt.len(), state);
        self.prefixes.insert(prompt, context.clone());
        Ok(context)
    }

    fn extend(&mut self, batch: &[(CandleContext, TokenId)]) -> Result<Vec<CandleContext>, LmError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut numbers = HashMap::new();
        let mut distinct = Vec::new();
        let mut wanted = Vec::with_capacity(batch.len());
        for (context, token) in batch {
            if context.0.model != self.id {
                return Err(LmError::other("a context of another model cannot be extended by this one"));
            }
            self.check_token(*token)?;
            self.check_length(context.depth() + 1)?;
            let number = *numbers.entry((Arc::as_ptr(&context.0), *token)).or_insert_with(|| {
                distinct.push((&*context.0, *token));
                distinct.len() - 1
            });
            wanted.push(number);
        }
        let states: Vec<&State> = distinct.iter().map(|(node, _)| &node.state).collect();
        self.check_memory(self.engine.growth_bytes(&states))?;
        let pairs: Vec<(&State, TokenId)> = distinct.iter().map(|(node, token)| (&node.state, *token)).collect();
        let extended = self.engine.extend(&pairs)?;
        let contexts: Vec<CandleContext> =
            distinct.iter().zip(extended).map(|((node, _), state)| self.context(node.depth + 1, state)).collect();
        Ok(wanted.into_iter().map(|number| contexts[number].clone()).collect())
    }

    fn next_token(&self, context: &CandleContext) -> Result<NextToken, LmError> {
        self.engine.next_token(&context.0.state)
    }
}

impl fmt::Debug for CandleLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleLm").field("device", &self.device()).field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}
