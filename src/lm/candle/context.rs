//! Contexts: immutable token prefixes with their keys and values, shared by reference count.
//!
//! Positions come in [`Page`]s of [`PAGE`] positions. A context refers to the full pages of its prefix
//! and, for the positions of its unfinished page, to one [`Slot`] each. Pages and slots never change once
//! they are written, so a fork is a clone, siblings cannot see each other's tokens, and no position is
//! copied per particle; only when sixteen slots have come together are they copied into a page, once.
//! (Pages that are appended to in place need either unsafe code or a copy of half a page per token.)
//! Nothing here refers to a parent, so long chains cost nothing to drop.

use super::config::Config;
use super::engine::State;
use crate::simd::{HighHalves, LANES, Pairs};
use crate::vocab::TokenId;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of positions of a page: a vector of them.
pub(super) const PAGE: usize = LANES;
/// Pairs of positions of a page.
pub(super) const POSITION_PAIRS: usize = PAGE / 2;
/// A head's keys are filled up to a multiple of this many elements.
pub(super) const KEY_CHUNK: usize = 32;

/// Sizes of the parts of a page.
///
/// Keys and values are bf16, in pairs that the instructions for bf16 want: keys of two elements, values of two
/// positions. Keys are transposed, so that a query meets those of sixteen positions at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageShape {
    pub layers: usize,
    pub key_heads: usize,
    pub head_size: usize,
}

impl PageShape {
    pub(super) fn new(config: &Config) -> Self {
        Self { layers: config.layers, key_heads: config.key_heads, head_size: config.head_size }
    }

    /// Elements of a head's key, with those that fill it up.
    pub(super) fn key_size(self) -> usize {
        self.head_size.next_multiple_of(KEY_CHUNK)
    }

    /// Vectors of a head's value, the last filled up.
    pub(super) fn columns(self) -> usize {
        self.head_size.div_ceil(LANES)
    }

    /// The lines of keys of one head in one layer: `[pair of elements][position]`.
    pub(super) fn keys(self) -> usize {
        self.key_size() / 2
    }

    /// The lines of one head in one layer: keys, then values as `[pair of positions][column][element]`.
    pub(super) fn block(self) -> usize {
        self.keys() + POSITION_PAIRS * self.columns()
    }

    /// The lines of one layer: the blocks of its heads.
    pub(super) fn layer(self) -> usize {
        self.key_heads * self.block()
    }

    /// Vectors of one head in one layer of a slot: a key, then a value.
    pub(super) fn slot_block(self) -> usize {
        self.key_size() / LANES + self.columns()
    }

    /// Vectors of one layer of a slot: the blocks of its heads.
    pub(super) fn slot_layer(self) -> usize {
        self.key_heads * self.slot_block()
    }

    /// Bytes of the full pages and of the slots of `positions` positions after the last full page.
    pub(super) fn bytes(self, positions: usize) -> usize {
        let pages = positions / PAGE * self.layer() * size_of::<Pairs>();
        let slots = positions % PAGE * self.slot_layer() * size_of::<HighHalves>();
        self.layers * (pages + slots)
    }
}

/// Keys and values of sixteen positions in all layers, laid out as [`PageShape`] tells.
pub(super) struct Page(pub(super) Counted<Pairs>);

/// Keys and values of one position in all layers, likewise.
pub(super) struct Slot(pub(super) Counted<HighHalves>);

/// How much of a model's memory is taken by keys and values.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bytes: AtomicUsize,
}

impl Memory {
    /// Bytes in use.
    pub(super) fn in_use(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts `values` as long as they live.
    pub(super) fn count<T>(self: &Arc<Self>, values: Box<[T]>) -> Counted<T> {
        self.bytes.fetch_add(size_of_val(&*values), Ordering::Relaxed);
        Counted { values, memory: self.clone() }
    }
}

/// Numbers that a [`Memory`] knows of until they are dropped.
pub(super) struct Counted<T> {
    values: Box<[T]>,
    memory: Arc<Memory>,
}

impl<T> Deref for Counted<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.memory.bytes.fetch_sub(size_of_val(&*self.values), Ordering::Relaxed);
    }
}

/// A token prefix in the memory of a [`CandleLm`](super::CandleLm). A clone is a fork.
#[derive(Clone)]
pub struct CandleContext(pub(super) Arc<Node>);

pub(super) struct Node {
    /// The model whose memory this is.
    pub model: u64,
    /// The number of tokens.
    pub depth: usize,
    pub state: State,
}

impl CandleContext {
    /// The number of tokens.
    pub fn depth(&self) -> usize {
        self.0.depth
    }
}

impl fmt::Debug for CandleContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleContext").field("depth", &self.depth()).finish_non_exhaustive()
    }
}

/// The newest prompts, so that one which begins like an earlier one is computed from where they part.
pub(super) struct PrefixCache {
    /// Newest last.
    prompts: Vec<(Vec<TokenId>, CandleContext)>,
    capacity: usize,
}

impl PrefixCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { prompts: Vec::new(), capacity }
    }

    /// The context of this very prompt.
    pub(super) fn get(&mut self, prompt: &[TokenId]) -> Option<CandleContext> {
        let found = self.prompts.iter().position(|(tokens, _)| tokens == prompt)?;
        let entry = self.prompts.remove(found);
        let context = entry.1.clone();
        self.prompts.push(entry);
        Some(context)
    }

    /// The context of an earlier prompt that begins like this one, and how many tokens they share: those of
    /// whole pages, and not all of this prompt, since only a pass gives the row of its last token.
    pub(super) fn shared(&self, prompt: &[TokenId]) -> Option<(CandleContext, usize)> {
        let usable = prompt.len().saturating_sub(1) / PAGE;
        let shared = |tokens: &[TokenId]| tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let candidates = self.prompts.iter().map(|(tokens, context)| ((shared(tokens) / PAGE).min(usable), context));
        let (pages, context) = candidates.max_by_key(|(pages, _)| *pages).filter(|(pages, _)| *pages > 0)?;
        Some((context.clone(), pages * PAGE))
    }

    pub(super) fn clear(&mut self) {
        self.prompts.clear();
    }

    pub(super) fn insert(&mut self, prompt: &[TokenId], context: CandleContext) {
        if self.prompts.len() >= self.capacity {
            self.prompts.remove(0);
        }
        self.prompts.push((prompt.to_vec(), context));
    }
}
