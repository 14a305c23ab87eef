//! The engine on the CPU: passes of `forward.rs` over pages of `context.rs`.

use super::attention_weights::AttentionWeights;
use super::config::Config;
use super::context::{Memory, PAGE, Page, PageShape, Slot};
use super::engine::{self, Engine};
use super::forward::{Continuation, Pass, Sequence};
use super::kernels::{Matrix, Pool};
use super::memory;
use super::weights::Weights;
use crate::lm::LmError;
use crate::next_token::{NextToken, RowError};
use crate::vocab::TokenId;
use std::sync::Arc;

/// Prompt tokens computed in one pass: whole pages, enough rows to load each weight seldom, few enough
/// for their intermediate results to stay in the cache.
const CHUNK: usize = 8 * PAGE;

/// A token prefix: its keys and values, and what follows.
pub(super) struct State {
    pages: Arc<[Arc<Page>]>,
    /// Positions after the last full page, fewer than [`PAGE`].
    tail: Vec<Arc<Slot>>,
    row: Result<NextToken, RowError>,
}

/// Runs a model on the cores of this machine.
pub(super) struct CpuEngine {
    config: Config,
    weights: Weights<Matrix>,
    pool: Pool,
    memory: Arc<Memory>,
    /// Kept between passes, so that a step allocates only what contexts keep.
    pass: Pass,
}

impl CpuEngine {
    pub(super) fn new(config: Config, weights: Weights<Matrix>, pool: Pool) -> Self {
        Self { config, weights, pool, memory: Arc::default(), pass: Pass::default() }
    }

    fn forward(&mut self, sequences: &[Sequence<'_>]) -> Vec<Continuation> {
        self.pass.forward(&self.config, &self.weights, sequences, &self.memory, &self.pool)
    }

    fn shape(&self) -> PageShape {
        PageShape::new(&self.config)
    }
}

/// The state after `pages`, one pass later.
fn state(pages: Arc<[Arc<Page>]>, continuation: Continuation) -> engine::State {
    let Continuation { pages: new_pages, tail, row } = continuation;
    let pages = if new_pages.is_empty() { pages } else { pages.iter().cloned().chain(new_pages).collect() };
    engine::State::Cpu(State { pages, tail, row: row.expect("it was wanted") })
}

impl Engine for CpuEngine {
    fn device(&self) -> String {
        "CPU".into()
    }

    fn vocabulary_size(&self) -> usize {
        self.weights.embedding.rows()
    }

    fn context_length(&self) -> usize {
        self.config.context_length
    }

    fn free_memory(&self) -> usize {
        memory::available().try_into().unwrap_or(usize::MAX)
    }

    fn memory_in_use(&self) -> usize {
        self.memory.in_use()
    }

    fn prompt_bytes(&self, tokens: usize) -> usize {
        self.shape().bytes(tokens)
    }

    fn growth_bytes(&self, states: &[&engine::State]) -> usize {
        // A token takes a slot; the sixteenth makes a page of them, which takes sixteen.
        let grows = |state: &&engine::State| self.shape().bytes(if state.cpu().tail.len() + 1 == PAGE { PAGE } else { 1 });
        states.iter().map(grows).sum()
    }

    fn prefill(&mut self, prompt: &[TokenId], known: Option<(&engine::State, usize)>) -> Result<engine::State, LmError> {
        let mut pages = known.map_or_else(Vec::new, |(state, tokens)| state.cpu().pages[..tokens / PAGE].to_vec());
        loop {
            let rest = &prompt[pages.len() * PAGE..];
            let last = rest.len() <= CHUNK;
            let tokens = if last { rest } else { &rest[..CHUNK] };
            let sequence = Sequence { pages: &pages, tail: &[], tokens, wants_logits: last };
            let continuation = self.forward(&[sequence]).remove(0);
            if last {
                return Ok(state(pages.into(), continuation));
            }
            pages.extend(continuation.pages);
        }
    }

    fn extend(&mut self, batch: &[(&engine::State, TokenId)]) -> Result<Vec<engine::State>, LmError> {
        let states: Vec<&State> = batch.iter().map(|(state, _)| state.cpu()).collect();
        // Neighbours that share pages read them together. Order changes no bits.
        let mut order: Vec<usize> = (0..batch.len()).collect();
        let chain = |number: usize| states[number].pages.iter().map(Arc::as_ptr);
        order.sort_by(|a, b| chain(*a).cmp(chain(*b)));
        let sequence = |number: &usize| {
            let State { pages, tail, .. } = states[*number];
            Sequence { pages, tail, tokens: std::slice::from_ref(&batch[*number].1), wants_logits: true }
        };
        let sequences: Vec<Sequence<'_>> = order.iter().map(sequence).collect();
        let continuations = self.forward(&sequences);
        let mut extended: Vec<_> = batch.iter().map(|_| None).collect();
        for (number, continuation) in order.into_iter().zip(continuations) {
            extended[number] = Some(state(states[number].pages.clone(), continuation));
        }
        Ok(extended.into_iter().flatten().collect())
    }

    fn attention_weights(&mut self, text: &[TokenId], first: usize) -> Result<AttentionWeights, LmError> {
        self.pass.weights_of_attention = Some(AttentionWeights::new(&self.config, first, text.len()));
        self.forward(&[Sequence { pages: &[], tail: &[], tokens: text, wants_logits: false }]);
        Ok(self.pass.weights_of_attention.take().expect("a pass leaves it there"))
    }

    fn next_token(&self, state: &engine::State) -> Result<NextToken, LmError> {
        Ok(state.cpu().row.clone()?)
    }
}
