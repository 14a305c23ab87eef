//! One pass of the model over a batch of sequences, on the device.
//!
//! The host says once what the pass is about (tokens, positions, tables of pages), launches the kernels of all
//! layers, and waits once, for the rows' summaries. Steps of the same number of rows launch the same kernels
//! with the same arguments, so from the second time on they are replayed as a graph, which spares the host some
//! hundred launches: small models are otherwise limited by these.

use super::device::{CudaDevice, failed};
use super::launch::{HEAD_PIECE, Heads, LARGEST_HEAD, Launcher, Places, SUMMARY_WORDS, Turn};
use super::pages::DevicePage;
use super::rows::{DeviceRow, LIKELIEST, StepLogits};
use super::weights::{DeviceLayer, DeviceWeights};
use crate::lm::LmError;
use crate::lm::candle::config::{Activation, Config};
use crate::lm::candle::context::PAGE;
use crate::lm::candle::numeric::{Pairing, rotations};
use crate::next_token::{CHUNK, ChunkSummary};
use crate::vocab::TokenId;
use cudarc::driver::{CudaGraph, CudaSlice, DriverError, PinnedHostSlice, sys};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// A history and the tokens that follow it.
pub(super) struct Sequence<'a> {
    /// Pages of all positions, those of the new tokens too.
    pub pages: &'a [Arc<DevicePage>],
    /// The position of the first new token.
    pub start: usize,
    /// At least one.
    pub tokens: &'a [TokenId],
    /// Whether the row after the last token is wanted.
    pub wants_row: bool,
}

/// What a pass gives of one row.
pub(super) struct Row {
    pub logits: DeviceRow,
    pub largest: f32,
    pub summaries: Box<[ChunkSummary]>,
}

/// A page to be copied before a pass: from, to, how many positions.
pub(super) struct Copy {
    pub from: u64,
    pub to: u64,
    pub positions: usize,
}

/// The memory of passes and what makes them quick.
pub(super) struct Pass {
    device: CudaDevice,
    inputs: Inputs,
    buffers: Option<Buffers>,
    rotations: Rotations,
    graphs: HashMap<usize, Graph>,
    /// Numbers of rows of steps that have run once: their kernels are loaded.
    warm: HashSet<usize>,
    /// Bytes of logits of all steps that live.
    row_bytes: Arc<AtomicUsize>,
}

/// A pass that was recorded.
struct Graph(CudaGraph);

// SAFETY: the driver's graphs may be used from any thread, by one at a time; a pass has its own, and using them
// takes `&mut Pass`.
unsafe impl Send for Graph {}

/// Words that a pass reads.
struct Inputs {
    words: CudaSlice<u64>,
    host: Vec<u64>,
}

/// Where the parts of [`Inputs`] are.
struct Layout {
    rows: usize,
    wanted: usize,
    pages: Range<usize>,
    last: Range<usize>,
    tokens: Range<usize>,
    positions: Range<usize>,
    starts: Range<usize>,
    tables: Range<usize>,
}

/// Intermediate results, `[row][element]`, for as many rows as `rows` and `wanted` say.
struct Buffers {
    rows: usize,
    wanted: usize,
    stream: CudaSlice<f32>,
    normed: CudaSlice<f32>,
    projected: CudaSlice<f32>,
    attended: CudaSlice<f32>,
    addend: CudaSlice<f32>,
    both: CudaSlice<f32>,
    gate: CudaSlice<f32>,
    logits: CudaSlice<f32>,
    /// The largest logit of each chunk.
    largest: CudaSlice<f32>,
    outputs: CudaSlice<u64>,
    /// Where outputs come to on the host.
    host: PinnedHostSlice<u64>,
}

/// Where the parts of the outputs are, in words.
struct OutputLayout {
    largest: Range<usize>,
    summaries: Range<usize>,
    numbers: Range<usize>,
    copies: Range<usize>,
}

impl OutputLayout {
    fn new(rows: usize, size: usize) -> Self {
        let largest = 0..rows.div_ceil(2);
        let summaries = largest.end..largest.end + rows * size.div_ceil(CHUNK) * SUMMARY_WORDS;
        let numbers = summaries.end..summaries.end + rows * LIKELIEST / 2;
        let copies = numbers.end..numbers.end + rows * LIKELIEST * CHUNK / 2;
        Self { largest, summaries, numbers, copies }
    }

    fn words(&self) -> usize {
        self.copies.end
    }
}

/// Cosines and sines for positions up to a bound that grows.
struct Rotations {
    positions: usize,
    /// Of layers that see everything, and of windowed ones.
    tables: [CudaSlice<f32>; 2],
}

/// The halves of words, low half first.
fn halves(words: &[u64]) -> impl Iterator<Item = u32> {
    words.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32])
}

impl Inputs {
    /// Appends numbers of 32 bits, two to a word.
    fn push_halves(&mut self, numbers: impl Iterator<Item = u32>) -> Range<usize> {
        let start = self.host.len();
        let mut numbers = numbers.peekable();
        while let Some(low) = numbers.next() {
            self.host.push(u64::from(low) | u64::from(numbers.next().unwrap_or(0)) << 32);
        }
        start..self.host.len()
    }

    fn push(&mut self, words: impl Iterator<Item = u64>) -> Range<usize> {
        let start = self.host.len();
        self.host.extend(words);
        start..self.host.len()
    }

    /// Sends what was appended. True if it went to another place than before.
    fn send(&mut self, device: &CudaDevice) -> Result<bool, DriverError> {
        let grows = self.host.len() > self.words.len();
        if grows {
            self.words = device.stream().alloc_zeros(self.host.len().next_power_of_two())?;
        }
        device.stream().memcpy_htod(&self.host, &mut self.words.slice_mut(..self.host.len()))?;
        Ok(grows)
    }
}

impl Pass {
    pub(super) fn new(device: CudaDevice, config: &Config, row_bytes: Arc<AtomicUsize>) -> Result<Self, LmError> {
        if config.head_size > LARGEST_HEAD || !config.head_size.is_multiple_of(HEAD_PIECE) {
            let size = config.head_size;
            return Err(LmError::unsupported(format!(
                "a GPU runs heads of a multiple of {HEAD_PIECE} elements up to {LARGEST_HEAD}, and the model's have {size}; run it on the CPU"
            )));
        }
        let empty = || device.stream().alloc_zeros(1).map_err(failed);
        let rotations = Rotations { positions: 0, tables: [empty()?, empty()?] };
        let inputs = Inputs { words: device.stream().alloc_zeros(1).map_err(failed)?, host: Vec::new() };
        Ok(Self { device, inputs, buffers: None, rotations, graphs: HashMap::new(), warm: HashSet::new(), row_bytes })
    }

    /// Runs the model over the sequences' new tokens, after copying pages; the rows that are wanted, in order.
    pub(super) fn forward(
        &mut self,
        config: &Config,
        weights: &DeviceWeights,
        sequences: &[Sequence<'_>],
        copies: &[Copy],
    ) -> Result<Vec<Row>, LmError> {
        self.copy_pages(config, copies).map_err(failed)?;
        let last = sequences.iter().map(|sequence| sequence.start + sequence.tokens.len()).max().unwrap_or(0);
        self.reach(config, weights, last).map_err(failed)?;
        let layout = self.send(sequences).map_err(failed)?;
        self.make_room(config, weights, &layout).map_err(failed)?;
        self.run(config, weights, &layout).map_err(failed)?;
        if layout.wanted == 0 { Ok(Vec::new()) } else { self.fetch(weights, layout.wanted).map_err(failed) }
    }

    fn copy_pages(&mut self, config: &Config, copies: &[Copy]) -> Result<(), DriverError> {
        if copies.is_empty() {
            return Ok(());
        }
        self.inputs.host.clear();
        let from = self.inputs.push(copies.iter().map(|copy| copy.from));
        let to = self.inputs.push(copies.iter().map(|copy| copy.to));
        let positions = self.inputs.push_halves(copies.iter().map(|copy| copy.positions as u32));
        if self.inputs.send(&self.device)? {
            self.graphs.clear();
        }
        let part = |range: Range<usize>| self.inputs.words.slice(range);
        let launcher = Launcher { stream: self.device.stream(), kernels: self.device.kernels() };
        launcher.copy_pages(&part(from), &part(to), &part(positions), config.layers * config.key_heads, config.head_size, copies.len())
    }

    /// Sees to it that rotations of all positions below `positions` are there.
    fn reach(&mut self, config: &Config, weights: &DeviceWeights, positions: usize) -> Result<(), DriverError> {
        if positions <= self.rotations.positions {
            return Ok(());
        }
        let positions = positions.next_power_of_two().max(1024);
        let table = |rope, factors| {
            let mut table = Vec::new();
            rotations(rope, factors, 0..positions, &mut table);
            let numbers: Vec<f32> = table.into_iter().flat_map(|(cos, sin)| [cos, sin]).collect();
            self.device.stream().clone_htod(&numbers)
        };
        self.rotations.tables[0] = table(&config.rope, weights.rope_factors.as_deref())?;
        if let Some(window) = &config.window {
            self.rotations.tables[1] = table(&window.rope, None)?;
        }
        self.rotations.positions = positions;
        self.graphs.clear();
        Ok(())
    }

    /// Sends what the kernels need to know of the sequences.
    fn send(&mut self, sequences: &[Sequence<'_>]) -> Result<Layout, DriverError> {
        let positions = || {
            sequences.iter().flat_map(|sequence| (sequence.start..).take(sequence.tokens.len()).map(move |position| (sequence, position)))
        };
        let inputs = &mut self.inputs;
        inputs.host.clear();
        let pages = inputs.push(positions().map(|(sequence, position)| sequence.pages[position / PAGE].address()));
        let mut end = 0;
        let ends = sequences.iter().filter_map(|sequence| {
            end += sequence.tokens.len() as u32;
            sequence.wants_row.then_some(end - 1)
        });
        let last = inputs.push_halves(ends);
        let tokens = inputs.push_halves(sequences.iter().flat_map(|sequence| sequence.tokens).map(|token| token.get()));
        let position_words = inputs.push_halves(positions().map(|(_, position)| position as u32));
        let mut start = 0;
        let starts = sequences.iter().flat_map(|sequence| {
            let first = start;
            start += sequence.pages.len() as u32;
            std::iter::repeat_n(first, sequence.tokens.len())
        });
        let starts = inputs.push_halves(starts);
        // Last, since its length is another in each step, and all before it must stay where it is.
        let tables = inputs.push(sequences.iter().flat_map(|sequence| sequence.pages).map(|page| page.address()));
        if inputs.send(&self.device)? {
            self.graphs.clear();
        }
        let wanted = sequences.iter().filter(|sequence| sequence.wants_row).count();
        Ok(Layout { rows: pages.len(), wanted, pages, last, tokens, positions: position_words, starts, tables })
    }

    fn make_room(&mut self, config: &Config, weights: &DeviceWeights, layout: &Layout) -> Result<(), DriverError> {
        let (mut rows, mut wanted) = (layout.rows, layout.wanted);
        if let Some(buffers) = &self.buffers {
            if buffers.rows >= rows && buffers.wanted >= wanted {
                return Ok(());
            }
            (rows, wanted) = (rows.max(buffers.rows), wanted.max(buffers.wanted));
        }
        // The old memory is free before the new is asked for.
        self.buffers = None;
        self.graphs.clear();
        let (rows, wanted) = (rows.next_power_of_two(), wanted.next_power_of_two());
        let numbers = |count: usize| self.device.stream().alloc_zeros::<f32>(count.max(1));
        let (width, queries, wide, size) = (config.width, config.query_width(), config.feed_forward, weights.head().outputs);
        let words = OutputLayout::new(wanted, size).words();
        // SAFETY: it is written by a copy before it is read.
        let host = unsafe { self.device.context().alloc_pinned_with_flags(words.max(1), 0) }?;
        self.buffers = Some(Buffers {
            rows,
            wanted,
            stream: numbers(rows * width)?,
            normed: numbers(rows * width)?,
            projected: numbers(rows * (queries + 2 * config.key_width()))?,
            attended: numbers(rows * queries)?,
            addend: numbers(rows * width)?,
            both: numbers(rows * 2 * wide)?,
            gate: numbers(rows * wide)?,
            logits: numbers(wanted * size)?,
            largest: numbers(wanted * size.div_ceil(CHUNK))?,
            outputs: self.device.stream().alloc_zeros(words.max(1))?,
            host,
        });
        Ok(())
    }

    /// Launches the kernels, one by one or as a graph.
    fn run(&mut self, config: &Config, weights: &DeviceWeights, layout: &Layout) -> Result<(), DriverError> {
        let Self { device, inputs, buffers, rotations, graphs, warm, .. } = self;
        let buffers = buffers.as_mut().expect("room was made");
        let launcher = Launcher { stream: device.stream(), kernels: device.kernels() };
        let mut all = || Kernel { config, weights, layout, inputs, rotations, launcher: &launcher }.run(buffers);
        // A step, in which each row is wanted, looks the same whenever it has as many rows.
        if layout.rows != layout.wanted || warm.insert(layout.rows) {
            return all();
        }
        if let Some(graph) = graphs.get(&layout.rows) {
            return graph.0.launch();
        }
        device.stream().begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED)?;
        let launched = all();
        let graph = device.stream().end_capture(sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)?;
        launched?;
        match graph {
            Some(graph) => {
                graph.launch()?;
                graphs.insert(layout.rows, Graph(graph));
                Ok(())
            }
            None => all(),
        }
    }

    /// Keeps the logits on the device and brings their summaries here.
    fn fetch(&mut self, weights: &DeviceWeights, rows: usize) -> Result<Vec<Row>, DriverError> {
        let stream = self.device.stream();
        let buffers = self.buffers.as_mut().expect("room was made");
        let size = weights.head().outputs;
        let layout = OutputLayout::new(rows, size);
        stream.memcpy_dtoh(&buffers.outputs.slice(..layout.words()), &mut buffers.host)?;
        let logits = stream.clone_dtod(&buffers.logits.slice(..rows * size))?;
        stream.synchronize()?;
        let step = Arc::new(StepLogits::new(self.device.clone(), logits, size, self.row_bytes.clone()));
        let words = buffers.host.as_slice()?;
        let chunks = size.div_ceil(CHUNK);
        let mut largest = halves(&words[layout.largest]).map(f32::from_bits);
        let mut summaries = words[layout.summaries].chunks_exact(chunks * SUMMARY_WORDS);
        let mut numbers = words[layout.numbers].chunks_exact(LIKELIEST / 2);
        let mut copies = words[layout.copies].chunks_exact(LIKELIEST * CHUNK / 2);
        let row = |index| {
            let summary = |words: &[u64; SUMMARY_WORDS]| {
                let [sum, largest, surprise] = words.map(f64::from_bits);
                ChunkSummary { sum, largest, surprise }
            };
            Some(Row {
                largest: largest.next()?,
                summaries: summaries.next()?.as_chunks().0.iter().map(summary).collect(),
                logits: DeviceRow {
                    step: step.clone(),
                    index,
                    numbers: halves(numbers.next()?).collect(),
                    copies: halves(copies.next()?).map(f32::from_bits).collect(),
                    whole: OnceLock::new(),
                },
            })
        };
        Ok((0..rows).map_while(row).collect())
    }
}

/// The kernels of a pass, in order.
struct Kernel<'a> {
    config: &'a Config,
    weights: &'a DeviceWeights,
    layout: &'a Layout,
    inputs: &'a Inputs,
    rotations: &'a Rotations,
    launcher: &'a Launcher<'a>,
}

impl Kernel<'_> {
    fn run(&self, buffers: &mut Buffers) -> Result<(), DriverError> {
        let Self { config, weights, layout, launcher, .. } = self;
        let tokens = self.inputs.words.slice(layout.tokens.clone());
        launcher.embed(&weights.embedding, &tokens, config.embedding_scale, layout.rows, &mut buffers.stream)?;
        for (index, layer) in weights.layers.iter().enumerate() {
            self.attention(index, layer, buffers)?;
            self.feed_forward(layer, buffers)?;
        }
        if layout.wanted > 0 { self.rows(buffers) } else { Ok(()) }
    }

    fn attention(&self, index: usize, layer: &DeviceLayer, buffers: &mut Buffers) -> Result<(), DriverError> {
        let Self { config, layout, launcher, inputs, .. } = self;
        let rows = layout.rows;
        launcher.rms_norm(&buffers.stream, &layer.attention_norm, config.epsilon, rows, false, &mut buffers.normed)?;
        launcher.multiply(&buffers.normed, &layer.projection, layer.projection_bias.as_ref(), rows, false, &mut buffers.projected)?;
        let heads = Heads { layer: index, heads: config.heads, key_heads: config.key_heads, size: config.head_size };
        let window = config.window(index);
        let turn = Turn {
            query_norm: layer.query_norm.as_ref(),
            key_norm: layer.key_norm.as_ref(),
            epsilon: config.epsilon,
            rotations: &self.rotations.tables[usize::from(window.is_some())],
            pairs: config.rope.dimensions / 2,
            neighbours: config.rope.pairing == Pairing::Neighbours,
            score_scale: config.score_scale,
        };
        let part = |range: &Range<usize>| inputs.words.slice(range.clone());
        let places = Places {
            pages: part(&layout.pages),
            positions: part(&layout.positions),
            starts: part(&layout.starts),
            tables: part(&layout.tables),
        };
        launcher.place(&mut buffers.projected, heads, &turn, &places, rows)?;
        launcher.attend(&buffers.projected, heads, &places, window.map(|window| window.size), rows, &mut buffers.attended)?;
        let Buffers { stream, addend, attended, .. } = buffers;
        match &layer.attention_output_norm {
            None => launcher.multiply(attended, &layer.attention_output, None, rows, true, stream),
            Some(norm) => {
                launcher.multiply(attended, &layer.attention_output, None, rows, false, addend)?;
                launcher.rms_norm(addend, norm, config.epsilon, rows, true, stream)
            }
        }
    }

    fn feed_forward(&self, layer: &DeviceLayer, buffers: &mut Buffers) -> Result<(), DriverError> {
        let Self { config, layout, launcher, .. } = self;
        let rows = layout.rows;
        let Buffers { stream, normed, both, gate, addend, .. } = buffers;
        launcher.rms_norm(stream, &layer.feed_forward_norm, config.epsilon, rows, false, normed)?;
        launcher.multiply(normed, &layer.gate_and_up, None, rows, false, both)?;
        launcher.gated(both, config.feed_forward, config.activation == Activation::GeluTanh, rows, gate)?;
        match &layer.feed_forward_output_norm {
            None => launcher.multiply(gate, &layer.down, None, rows, true, stream),
            Some(norm) => {
                launcher.multiply(gate, &layer.down, None, rows, false, addend)?;
                launcher.rms_norm(addend, norm, config.epsilon, rows, true, stream)
            }
        }
    }

    /// Logits of the rows that are wanted, and what is told of them.
    fn rows(&self, buffers: &mut Buffers) -> Result<(), DriverError> {
        let Self { config, weights, layout, launcher, .. } = self;
        let (rows, head) = (layout.wanted, weights.head());
        let Buffers { stream, normed, addend, logits, largest, outputs, .. } = buffers;
        launcher.gather(stream, &self.inputs.words.slice(layout.last.clone()), rows, config.width, addend)?;
        launcher.rms_norm(addend, &weights.output_norm, config.epsilon, rows, false, normed)?;
        launcher.multiply(normed, head, None, rows, false, logits)?;
        let parts = OutputLayout::new(rows, head.outputs);
        let (mut row_largest, mut rest) = outputs.split_at_mut(parts.largest.end);
        let (mut summaries, mut rest) = rest.split_at_mut(parts.summaries.len());
        let (mut numbers, mut copies) = rest.split_at_mut(parts.numbers.len());
        launcher.summarise(logits, head.outputs, rows, largest, &mut row_largest, &mut summaries)?;
        launcher.likeliest_chunks(logits, &summaries.as_view(), head.outputs, rows, LIKELIEST, &mut numbers, &mut copies)
    }
}
