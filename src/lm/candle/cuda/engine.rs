//! [`CudaEngine`]: prompts, steps and rows on a GPU.

use super::device::CudaDevice;
use super::pages::{DevicePage, PagePool};
use super::pass::{Copy, Pass, Row, Sequence};
use super::rows::DeviceRow;
use super::weights::DeviceWeights;
use crate::lm::LmError;
use crate::lm::candle::config::Config;
use crate::lm::candle::context::{PAGE, PageShape};
use crate::lm::candle::engine::{self, Engine};
use crate::lm::candle::kernels::Pool;
use crate::lm::candle::weights::WeightSource;
use crate::next_token::{ChunkSummary, NextToken};
use crate::vocab::TokenId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Prompt tokens computed in one pass: whole pages.
const CHUNK: usize = 32 * PAGE;

/// A token prefix: its keys and values, and what follows it.
pub(in crate::lm::candle) struct State {
    pages: Vec<Arc<DevicePage>>,
    /// The number of tokens.
    depth: usize,
    row: Arc<DeviceRow>,
    largest: f32,
    summaries: Box<[ChunkSummary]>,
}

/// Runs a model on a GPU.
pub(in crate::lm::candle) struct CudaEngine {
    device: CudaDevice,
    config: Config,
    weights: DeviceWeights,
    pool: Arc<PagePool>,
    pass: Pass,
    row_bytes: Arc<AtomicUsize>,
}

impl CudaEngine {
    /// Takes the weights of a model of this shape to the device.
    pub(in crate::lm::candle) fn new(device: CudaDevice, config: Config, source: &dyn WeightSource, pool: &Pool) -> Result<Self, LmError> {
        let row_bytes = Arc::default();
        let pass = Pass::new(device.clone(), &config, Arc::clone(&row_bytes))?;
        let weights = DeviceWeights::read(&device, &config, source, pool)?;
        let pages = PagePool::new(device.clone(), PageShape::new(&config));
        Ok(Self { device, config, weights, pool: Arc::new(pages), pass, row_bytes })
    }

    /// Bytes of the logits that a state keeps.
    fn row_size(&self) -> usize {
        self.weights.head().outputs * size_of::<f32>()
    }

    /// The pages of a state that is one token longer; the page that must be copied for that.
    fn grown(&self, state: &State) -> Result<(Vec<Arc<DevicePage>>, Option<Copy>), LmError> {
        let (full, own) = (state.depth / PAGE, state.depth % PAGE);
        let mut pages = state.pages.clone();
        if own == 0 {
            pages.push(self.pool.take(1)?);
            return Ok((pages, None));
        }
        if pages[full].claim_next(own) {
            return Ok((pages, None));
        }
        let page = self.pool.take(own + 1)?;
        let copy = Copy { from: pages[full].address(), to: page.address(), positions: own };
        pages[full] = page;
        Ok((pages, Some(copy)))
    }
}

fn state(pages: Vec<Arc<DevicePage>>, depth: usize, row: Row) -> engine::State {
    let Row { logits, largest, summaries } = row;
    engine::State::Cuda(State { pages, depth, row: Arc::new(logits), largest, summaries })
}

impl Engine for CudaEngine {
    fn device(&self) -> String {
        self.device.name().into()
    }

    fn vocabulary_size(&self) -> usize {
        self.weights.embedding.outputs
    }

    fn context_length(&self) -> usize {
        self.config.context_length
    }

    /// Nine tenths of what is free: passes need some too.
    fn free_memory(&self) -> usize {
        self.device.free_memory().unwrap_or(0) / 10 * 9
    }

    fn memory_in_use(&self) -> usize {
        self.pool.bytes_in_use() + self.row_bytes.load(Ordering::Relaxed)
    }

    fn prompt_bytes(&self, tokens: usize) -> usize {
        tokens.div_ceil(PAGE) * self.pool.page_bytes() + self.row_size()
    }

    /// At most: a page for each, where all must be copied.
    fn growth_bytes(&self, states: &[&engine::State]) -> usize {
        states.len() * (self.pool.page_bytes() + self.row_size())
    }

    fn prefill(&mut self, prompt: &[TokenId], known: Option<(&engine::State, usize)>) -> Result<engine::State, LmError> {
        let mut start = known.map_or(0, |(_, tokens)| tokens);
        let mut pages = known.map_or_else(Vec::new, |(state, tokens)| state.cuda().pages[..tokens / PAGE].to_vec());
        loop {
            let end = prompt.len().min(start + CHUNK);
            while pages.len() * PAGE < end {
                pages.push(self.pool.take(PAGE.min(end - pages.len() * PAGE))?);
            }
            let last = end == prompt.len();
            let sequence = Sequence { pages: &pages, start, tokens: &prompt[start..end], wants_row: last };
            let row = self.pass.forward(&self.config, &self.weights, &[sequence], &[])?.pop();
            if let Some(row) = row {
                return Ok(state(pages, end, row));
            }
            start = end;
        }
    }

    fn extend(&mut self, batch: &[(&engine::State, TokenId)]) -> Result<Vec<engine::State>, LmError> {
        let mut copies = Vec::new();
        let mut grown = Vec::with_capacity(batch.len());
        for (state, _) in batch {
            let (pages, copy) = self.grown(state.cuda())?;
            grown.push(pages);
            copies.extend(copy);
        }
        let sequences: Vec<Sequence<'_>> = batch
            .iter()
            .zip(&grown)
            .map(|((state, token), pages)| Sequence {
                pages,
                start: state.cuda().depth,
                tokens: std::slice::from_ref(token),
                wants_row: true,
            })
            .collect();
        let rows = self.pass.forward(&self.config, &self.weights, &sequences, &copies)?;
        drop(sequences);
        Ok(batch.iter().zip(grown).zip(rows).map(|(((old, _), pages), row)| state(pages, old.cuda().depth + 1, row)).collect())
    }

    fn next_token(&self, state: &engine::State) -> Result<NextToken, LmError> {
        let State { row, largest, summaries, .. } = state.cuda();
        Ok(NextToken::from_distant_logits(row.clone(), *largest, summaries)?)
    }
}
