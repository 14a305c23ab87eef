//! [`CandleLm`]: a model file as a [`LanguageModel`].

use super::chat::ChatTemplate;
use super::config::Config;
use super::context::{CandleContext, Memory, Node, PAGE, Page, PageShape, PrefixCache};
use super::files::{ModelFiles, Parts};
use super::forward::{Continuation, Pass, Sequence};
use super::kernels::Pool;
use super::memory;
use super::weights::Weights;
use crate::lm::{LanguageModel, LmError};
use crate::next_token::NextToken;
use crate::vocab::tokenizer::Tokenizer;
use crate::vocab::{Canonical, TokenId, Vocabulary};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Prompt tokens computed in one pass: whole pages, enough rows to load each weight seldom, few enough
/// for their intermediate results to stay in the cache.
const CHUNK: usize = 8 * PAGE;
/// How many prompts are remembered.
const REMEMBERED: usize = 4;

/// How a model is run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CandleOptions {
    /// Threads that compute; 0 for as many as the machine has. Results do not depend on it.
    pub threads: usize,
    /// A `tokenizer.json`, or a folder with one, to use instead of the model's own.
    pub tokenizer: Option<PathBuf>,
    /// The most bytes that keys and values of all contexts may take together; `None` for what is free when
    /// the model has been loaded. A token of the default model takes 46 kB, once for all contexts that
    /// share it.
    pub context_memory: Option<usize>,
}

impl CandleOptions {
    fn pool(&self) -> Pool {
        Pool::new(match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        })
    }
}

/// A model of the llama family, from a GGUF file or a folder of safetensors, on the CPU.
///
/// Rows are the same to the bit for any batch, order and number of threads.
pub struct CandleLm {
    id: u64,
    config: Config,
    weights: Weights,
    vocabulary: Arc<Vocabulary>,
    tokenizer: Option<Arc<Tokenizer>>,
    chat: Option<ChatTemplate>,
    pool: Pool,
    prefixes: PrefixCache,
    memory: Arc<Memory>,
    memory_limit: usize,
    /// Kept between passes, so that a step allocates only what contexts keep.
    pass: Pass,
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
    /// or a tokenizer that tamis does not run; if weights are no numbers; if memory does not suffice.
    pub fn load_with(path: impl AsRef<Path>, options: &CandleOptions) -> Result<Self, LmError> {
        let pool = options.pool();
        let Parts { config, weights, tokenizer, chat } = ModelFiles::open(path.as_ref())?.read(options.tokenizer.as_deref(), &pool)?;
        let model = Self::from_parts(config, weights, tokenizer.vocabulary().clone(), pool, options)?;
        Ok(Self { tokenizer: Some(Arc::new(tokenizer)), chat, ..model })
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

    /// Loads the weights of the model at `path`; its tokens are those of `vocabulary`.
    ///
    /// # Errors
    /// As [`CandleLm::load_with`], and if the vocabulary is not of the model's size.
    pub fn with_vocabulary(path: &Path, vocabulary: Arc<Vocabulary>, options: &CandleOptions) -> Result<Self, LmError> {
        let files = ModelFiles::open(path)?;
        let config = files.config()?;
        let pool = options.pool();
        let weights = files.weights(&config, &pool)?;
        Self::from_parts(config, weights, vocabulary, pool, options)
    }

    fn from_parts(
        config: Config,
        weights: Weights,
        vocabulary: Arc<Vocabulary>,
        pool: Pool,
        options: &CandleOptions,
    ) -> Result<Self, LmError> {
        static MODELS: AtomicU64 = AtomicU64::new(0);
        if weights.embedding.rows() != vocabulary.len() {
            return Err(LmError::corrupt(format!(
                "the model has embeddings of {} tokens, but its tokenizer has {}",
                weights.embedding.rows(),
                vocabulary.len()
            )));
        }
        let prefixes = PrefixCache::new(REMEMBERED);
        Ok(Self {
            id: MODELS.fetch_add(1, Ordering::Relaxed),
            config,
            weights,
            vocabulary,
            tokenizer: None,
            chat: None,
            pool,
            prefixes,
            memory: Arc::default(),
            memory_limit: options.context_memory.unwrap_or_else(|| memory::available().try_into().unwrap_or(usize::MAX)),
            pass: Pass::default(),
        })
    }

    fn check_token(&self, token: TokenId) -> Result<(), LmError> {
        if token.index() < self.vocabulary.len() {
            return Ok(());
        }
        Err(LmError::other(format!("there is no token {token}: the vocabulary has {}", self.vocabulary.len())))
    }

    fn check_length(&self, tokens: usize) -> Result<(), LmError> {
        if tokens <= self.config.context_length {
            return Ok(());
        }
        Err(LmError::too_long(format!(
            "{tokens} tokens do not fit into the model's context of {}; shorten the prompt or the answer",
            self.config.context_length
        )))
    }

    fn forward(&mut self, sequences: &[Sequence<'_>]) -> Vec<Continuation> {
        self.pass.forward(&self.config, &self.weights, sequences, &self.memory, &self.pool)
    }

    /// Bytes that keys and values take, of all contexts that live and of prompts that are remembered.
    pub fn memory_in_use(&self) -> usize {
        self.memory.in_use()
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

    fn context(&self, pages: Arc<[Arc<Page>]>, continuation: Continuation) -> CandleContext {
        let Continuation { pages: new_pages, tail, logits } = continuation;
        let pages = if new_pages.is_empty() { pages } else { pages.iter().cloned().chain(new_pages).collect() };
        CandleContext(Arc::new(Node { model: self.id, pages, tail, logits }))
    }
}

impl LanguageModel for CandleLm {
    type Context = CandleContext;

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    fn context_length(&self) -> usize {
        self.config.context_length
    }

    fn prefill(&mut self, prompt: &[TokenId]) -> Result<CandleContext, LmError> {
        if prompt.is_empty() {
            return Err(LmError::other("the prompt has no tokens, and the model cannot begin from nothing"));
        }
        self.check_length(prompt.len())?;
        prompt.iter().try_for_each(|token| self.check_token(*token))?;
        if let Some(context) = self.prefixes.get(prompt) {
            return Ok(context);
        }
        let mut pages = self.prefixes.shared_pages(prompt);
        self.check_memory(PageShape::new(&self.config).bytes(prompt.len() - pages.len() * PAGE))?;
        loop {
            let rest = &prompt[pages.len() * PAGE..];
            let last = rest.len() <= CHUNK;
            let tokens = if last { rest } else { &rest[..CHUNK] };
            let sequence = Sequence { pages: &pages, tail: &[], tokens, wants_logits: last };
            let continuation = self.forward(&[sequence]).remove(0);
            if last {
                let context = self.context(pages.into(), continuation);
                self.prefixes.insert(prompt, context.clone());
                return Ok(context);
            }
            pages.extend(continuation.pages);
        }
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
                distinct.push((context, token));
                distinct.len() - 1
            });
            wanted.push(number);
        }
        // A token takes a slot; the sixteenth makes a page of them, which takes sixteen.
        let shape = PageShape::new(&self.config);
        let grows = |(context, _): &(&CandleContext, &TokenId)| shape.bytes(if context.0.tail.len() + 1 == PAGE { PAGE } else { 1 });
        self.check_memory(distinct.iter().map(grows).sum())?;
        // Neighbours that share pages read them together. Order changes no bits.
        let mut order: Vec<usize> = (0..distinct.len()).collect();
        let chain = |number: usize| distinct[number].0.0.pages.iter().map(Arc::as_ptr);
        order.sort_by(|a, b| chain(*a).cmp(chain(*b)));
        let sequences: Vec<Sequence<'_>> = order
            .iter()
            .map(|number| {
                let (context, token) = distinct[*number];
                Sequence { pages: &context.0.pages, tail: &context.0.tail, tokens: std::slice::from_ref(token), wants_logits: true }
            })
            .collect();
        let continuations = self.forward(&sequences);
        let mut extended = vec![None; distinct.len()];
        for (number, continuation) in order.into_iter().zip(continuations) {
            extended[number] = Some(self.context(distinct[number].0.0.pages.clone(), continuation));
        }
        Ok(wanted.into_iter().filter_map(|number| extended[number].clone()).collect())
    }

    fn next_token(&self, context: &CandleContext) -> Result<NextToken, LmError> {
        Ok(NextToken::from_shared_logits(context.0.logits.clone())?)
    }
}

impl fmt::Debug for CandleLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleLm").field("config", &self.config).field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}
