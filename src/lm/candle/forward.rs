//! One pass of the model over a batch of sequences, each with its own history and its own new tokens.
//!
//! Decoding is many sequences with one new token each, reading a prompt is one sequence with many; the
//! pass does not distinguish them. Linear layers see all rows at once, so that each weight is loaded once
//! for the whole batch; everything else works row by row. Logits are computed only where they are wanted.

use super::attention::{Attention, Parts, Row, stretches};
use super::attention_weights::AttentionWeights;
use super::config::Config;
use super::context::{Memory, PAGE, Page, PageShape, Slot};
use super::kernels::{Activations, Matrix, Pool, Product, multiply};
use super::numeric::{self, rotations};
use super::weights::{Layer, Weights};
use crate::next_token::{NextToken, RowError};
use crate::simd::{self, HighHalves, LANES, Pairs, Vector, Wide};
use crate::vocab::TokenId;
use smallvec::SmallVec;
use std::sync::Arc;

/// A history and the tokens that follow it.
pub(super) struct Sequence<'a> {
    pub pages: &'a [Arc<Page>],
    pub tail: &'a [Arc<Slot>],
    /// At least one.
    pub tokens: &'a [TokenId],
    /// Whether the logits after the last token are wanted.
    pub wants_logits: bool,
}

impl Sequence<'_> {
    /// The position of its first new token.
    fn start(&self) -> usize {
        self.pages.len() * PAGE + self.tail.len()
    }

    /// The pages that are unfinished before the pass and touched by it.
    fn open_pages(&self) -> usize {
        (self.tail.len() + self.tokens.len()).div_ceil(PAGE)
    }
}

/// What a pass adds to a sequence.
pub(super) struct Continuation {
    /// Pages that are full now and were not.
    pub pages: Vec<Arc<Page>>,
    /// All positions after the last full page.
    pub tail: Vec<Arc<Slot>>,
    /// What follows, where it was wanted.
    pub row: Option<Result<NextToken, RowError>>,
}

/// A pass: its rows and intermediate results, all `[row][element]`. Its memory serves pass after pass.
#[derive(Default)]
pub(super) struct Pass {
    /// The residual stream.
    stream: Vec<f32>,
    normed: Activations,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    attended: Activations,
    addend: Vec<f32>,
    gate: Activations,
    up: Vec<f32>,
    /// One layer of the new positions, as slots have it.
    slots: Vec<HighHalves>,
    /// One layer of all sequences' open pages, end to end.
    open: Vec<Pairs>,
    /// What each row found in parts of its history.
    parts: Parts,
    /// Cosines and sines of all pairs: of layers that see everything, and of windowed ones.
    rotations: [Vec<(f32, f32)>; 2],
    logits: Vec<f32>,
    /// Filled in where it is there: a pass over the one text that it is of.
    pub(super) weights_of_attention: Option<AttentionWeights>,
}

impl Pass {
    /// Runs the model over the sequences' new tokens, which must be in the vocabulary. What contexts keep
    /// of it is counted in `memory`.
    pub(super) fn forward(
        &mut self,
        config: &Config,
        weights: &Weights<Matrix>,
        sequences: &[Sequence<'_>],
        memory: &Arc<Memory>,
        pool: &Pool,
    ) -> Vec<Continuation> {
        let shape = PageShape::new(config);
        self.begin(config, weights, sequences);
        let stretches = stretches(&rows(sequences, &self.open, shape));
        let mut growths: Vec<Growth> = sequences.iter().map(|sequence| Growth::new(sequence, shape)).collect();
        for (index, layer) in weights.layers.iter().enumerate() {
            self.project(config, layer, index, pool);
            if let Some(weights) = &mut self.weights_of_attention {
                weights.fill(config, index, &self.queries, &self.keys);
            }
            self.open_pages(sequences, &mut growths, shape, index, pool);
            let attention = Attention {
                shape,
                group: config.heads / config.key_heads,
                layer: index,
                window: config.window(index).map(|window| window.size),
                score_scale: config.score_scale,
            };
            let rows = rows(sequences, &self.open, shape);
            attention.run(&rows, &stretches, &self.queries, &mut self.parts, pool);
            self.mix(config, layer, pool);
        }
        let rows = self.rows(config, weights, sequences, pool);
        growths.into_iter().zip(rows).map(|(growth, row)| growth.finish(row, memory)).collect()
    }

    /// Makes room, and fills in embeddings and rotary positions.
    fn begin(&mut self, config: &Config, weights: &Weights<Matrix>, sequences: &[Sequence<'_>]) {
        let rows: usize = sequences.iter().map(|sequence| sequence.tokens.len()).sum();
        let (width, queries, keys, wide) = (config.width, config.query_width(), config.key_width(), config.feed_forward);
        for (buffer, width) in [
            (&mut self.stream, width),
            (&mut self.queries, queries),
            (&mut self.keys, keys),
            (&mut self.values, keys),
            (&mut self.addend, width),
            (&mut self.up, wide),
        ] {
            buffer.resize(rows * width, 0.0);
        }
        self.normed.resize(rows, width);
        self.attended.resize(rows, queries);
        self.gate.resize(rows, wide);
        let open: usize = sequences.iter().map(Sequence::open_pages).sum();
        // Positions that are not written must be numbers: their probability is zero.
        let shape = PageShape::new(config);
        self.open.clear();
        self.open.resize(open * shape.layer(), Pairs::default());
        self.slots.resize(rows * shape.slot_layer(), HighHalves::default());
        let tokens = sequences.iter().flat_map(|sequence| sequence.tokens);
        for (token, row) in tokens.zip(self.stream.chunks_exact_mut(width)) {
            weights.embedding.row(token.index(), row);
            if config.embedding_scale != 1.0 {
                row.iter_mut().for_each(|element| *element *= config.embedding_scale);
            }
        }
        let positions = || sequences.iter().flat_map(|sequence| (sequence.start()..).take(sequence.tokens.len()));
        let [global, local] = &mut self.rotations;
        rotations(&config.rope, weights.rope_factors.as_deref(), positions(), global);
        if let Some(window) = &config.window {
            rotations(&window.rope, None, positions(), local);
        }
    }

    /// Makes queries, keys and values.
    fn project(&mut self, config: &Config, layer: &Layer<Matrix>, index: usize, pool: &Pool) {
        self.norm(config, &layer.attention_norm, pool);
        let query = Product { matrix: &layer.query, output: &mut self.queries };
        let key = Product { matrix: &layer.key, output: &mut self.keys };
        let value = Product { matrix: &layer.value, output: &mut self.values };
        multiply(&mut [query, key, value], &self.normed, pool);
        for (rows, bias) in
            [(&mut self.queries, &layer.query_bias), (&mut self.keys, &layer.key_bias), (&mut self.values, &layer.value_bias)]
        {
            if let Some(bias) = bias {
                rows.chunks_exact_mut(bias.len()).for_each(|row| numeric::add(row, bias));
            }
        }
        for (heads, norm) in [(&mut self.queries, &layer.query_norm), (&mut self.keys, &layer.key_norm)] {
            if let Some(norm) = norm {
                let unnormed = heads.clone();
                numeric::rms_norm(&unnormed, norm, config.epsilon, heads);
            }
        }
        let rotations = &self.rotations[usize::from(config.window(index).is_some())];
        for (heads, width) in [(&mut self.queries, config.query_width()), (&mut self.keys, config.key_width())] {
            for (row, rotation) in heads.chunks_exact_mut(width).zip(rotations.chunks_exact(config.rope.dimensions / 2)) {
                numeric::rotate(row, config.head_size, config.rope.pairing, rotation);
            }
        }
    }

    /// Norms the stream, for matrices to read.
    fn norm(&mut self, config: &Config, weight: &[f32], pool: &Pool) {
        let stream = &self.stream;
        self.normed.finish(pool, |first, rows| {
            numeric::rms_norm(&stream[first * weight.len()..][..rows.len()], weight, config.epsilon, rows);
        });
    }

    /// Lays out this layer's unfinished pages: what was there before, then this pass's positions. Keeps the
    /// latter.
    fn open_pages(&mut self, sequences: &[Sequence<'_>], growths: &mut [Growth], shape: PageShape, layer: usize, pool: &Pool) {
        let (mut keys, mut values, mut slots) = (&self.keys[..], &self.values[..], &mut self.slots[..]);
        let mut layouts = self.open.chunks_exact_mut(shape.layer());
        let mut pages = Vec::new();
        for (sequence, growth) in sequences.iter().zip(growths) {
            let (mut tail, mut left) = (sequence.tail, sequence.tokens.len());
            let (mut full, mut open) = (growth.pages.iter_mut(), growth.slots.as_mut_slice());
            for layout in layouts.by_ref().take(sequence.open_pages()) {
                let before = std::mem::take(&mut tail).iter().map(|slot| &slot.0[layer * shape.slot_layer()..][..shape.slot_layer()]);
                let before: SmallVec<_> = before.collect();
                let new = left.min(PAGE - before.len());
                left -= new;
                pages.push(OpenPage {
                    shape,
                    layer,
                    layout,
                    keys: keys.split_off(..new * shape.width()).expect("each row has a key"),
                    values: values.split_off(..new * shape.width()).expect("and a value"),
                    slots: slots.split_off_mut(..new * shape.slot_layer()).expect("and a slot"),
                    before,
                    kept: full.next().map_or_else(|| Kept::Slots(std::mem::take(&mut open)), |page| Kept::Page(page)),
                });
            }
        }
        pool.run_with(pages.into_iter(), simd::run);
    }

    /// Adds what attention found to the stream, then what the feed-forward layer makes of it.
    fn mix(&mut self, config: &Config, layer: &Layer<Matrix>, pool: &Pool) {
        let (parts, width) = (&self.parts, config.query_width());
        self.attended.finish(pool, |first, rows| {
            for (row, output) in (first..).zip(rows.chunks_exact_mut(width)) {
                parts.join(row, output);
            }
        });
        multiply(&mut [Product { matrix: &layer.attention_output, output: &mut self.addend }], &self.attended, pool);
        self.add_to_stream(config, layer.attention_output_norm.as_deref());
        self.norm(config, &layer.feed_forward_norm, pool);
        let gate = Product { matrix: &layer.gate, output: self.gate.values_mut() };
        let up = Product { matrix: &layer.up, output: &mut self.up };
        multiply(&mut [gate, up], &self.normed, pool);
        let (up, wide) = (&self.up, config.feed_forward);
        self.gate.finish(pool, |first, rows| numeric::gated(config.activation, rows, &up[first * wide..][..rows.len()]));
        multiply(&mut [Product { matrix: &layer.down, output: &mut self.addend }], &self.gate, pool);
        self.add_to_stream(config, layer.feed_forward_output_norm.as_deref());
    }

    fn add_to_stream(&mut self, config: &Config, norm: Option<&[f32]>) {
        match norm {
            None => numeric::add(&mut self.stream, &self.addend),
            Some(norm) => {
                numeric::rms_norm(&self.addend, norm, config.epsilon, self.normed.values_mut());
                numeric::add(&mut self.stream, self.normed.values());
            }
        }
    }

    /// What follows each sequence's last token, where it is wanted.
    fn rows(
        &mut self,
        config: &Config,
        weights: &Weights<Matrix>,
        sequences: &[Sequence<'_>],
        pool: &Pool,
    ) -> Vec<Option<Result<NextToken, RowError>>> {
        let mut last = Vec::new();
        let mut end = 0;
        for sequence in sequences {
            end += sequence.tokens.len();
            if sequence.wants_logits {
                last.extend_from_slice(&self.stream[(end - 1) * config.width..end * config.width]);
            }
        }
        self.normed.resize(last.len() / config.width, config.width);
        self.normed.finish(pool, |first, rows| {
            numeric::rms_norm(&last[first * config.width..][..rows.len()], &weights.output_norm, config.epsilon, rows);
        });
        let head = weights.head();
        self.logits.resize(last.len() / config.width * head.rows(), 0.0);
        multiply(&mut [Product { matrix: head, output: &mut self.logits }], &self.normed, pool);
        let mut rows: Vec<_> = sequences.iter().map(|_| None).collect();
        let wanted = rows.iter_mut().zip(sequences).filter(|(_, sequence)| sequence.wants_logits).map(|(row, _)| row);
        let wanted = wanted.zip(self.logits.chunks_exact(head.rows()));
        pool.run_with(wanted, |(row, logits)| *row = Some(NextToken::from_logits(logits)));
        rows
    }
}

/// The new tokens' rows, with each sequence's part of a layer's open pages.
fn rows<'a>(sequences: &'a [Sequence<'_>], mut open: &'a [Pairs], shape: PageShape) -> Vec<Row<'a>> {
    let mut rows = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let part = open.split_off(..sequence.open_pages() * shape.layer()).expect("all open pages are there");
        let positions = (sequence.start()..).take(sequence.tokens.len());
        rows.extend(positions.map(|position| Row { pages: sequence.pages, open: part, position }));
    }
    rows
}

/// The pages and slots that a sequence gains, filled layer by layer ([`OpenPage`]).
struct Growth {
    pages: Vec<Box<[Pairs]>>,
    /// Earlier slots that stay slots.
    kept: Vec<Arc<Slot>>,
    slots: Vec<Box<[HighHalves]>>,
}

impl Growth {
    fn new(sequence: &Sequence<'_>, shape: PageShape) -> Self {
        let filled = sequence.tail.len() + sequence.tokens.len();
        let kept = if filled < PAGE { sequence.tail.to_vec() } else { Vec::new() };
        let page = |_| vec![Pairs::default(); shape.layers * shape.layer()].into_boxed_slice();
        let slot = |_| vec![HighHalves::default(); shape.layers * shape.slot_layer()].into_boxed_slice();
        Self { pages: (0..filled / PAGE).map(page).collect(), slots: (kept.len()..filled % PAGE).map(slot).collect(), kept }
    }

    fn finish(self, row: Option<Result<NextToken, RowError>>, memory: &Arc<Memory>) -> Continuation {
        let mut tail = self.kept;
        tail.extend(self.slots.into_iter().map(|slot| Arc::new(Slot(memory.count(slot)))));
        Continuation { pages: self.pages.into_iter().map(|page| Arc::new(Page(memory.count(page)))).collect(), tail, row }
    }
}

/// One layer of a page that a pass writes to.
struct OpenPage<'a> {
    shape: PageShape,
    layer: usize,
    /// As [`PageShape::layer`] tells.
    layout: &'a mut [Pairs],
    /// Its positions from before this pass.
    before: SmallVec<[&'a [HighHalves]; PAGE]>,
    /// Its new positions, end to end.
    keys: &'a [f32],
    values: &'a [f32],
    /// Room for these, as slots have them.
    slots: &'a mut [HighHalves],
    kept: Kept<'a>,
}

/// Where a page's positions are kept.
enum Kept<'a> {
    /// It is full.
    Page(&'a mut [Pairs]),
    /// It is not: its newest positions.
    Slots(&'a mut [Box<[HighHalves]>]),
}

impl Wide for OpenPage<'_> {
    type Output = ();

    /// Rounds the new positions, lays out all, and keeps the new.
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { shape, layer, layout, before, keys, values, slots, kept } = self;
        let (size, key_vectors) = (shape.head_size, shape.key_size() / LANES);
        let heads = keys.chunks_exact(size).zip(values.chunks_exact(size));
        for ((key, value), slot) in heads.zip(slots.chunks_exact_mut(shape.slot_block())) {
            let (key_slot, value_slot) = slot.split_at_mut(key_vectors);
            for (numbers, slot) in key.chunks(LANES).zip(key_slot).chain(value.chunks(LANES).zip(value_slot)) {
                *slot = V::load_part(numbers, 0.0).to_bf16_precision().to_high_halves();
            }
        }
        let new = slots.chunks_exact(shape.slot_layer());
        let positions: SmallVec<[&[HighHalves]; PAGE]> = before.into_iter().chain(new.clone()).collect();
        for (head, block) in layout.chunks_exact_mut(shape.block()).enumerate() {
            let slot = |place: usize| &positions[place][head * shape.slot_block()..][..shape.slot_block()];
            let (keys, values) = block.split_at_mut(shape.keys());
            for place in 0..positions.len() {
                for (vector, lines) in slot(place)[..key_vectors].iter().zip(keys.as_chunks_mut::<{ LANES / 2 }>().0) {
                    for (pair, line) in vector.0.as_chunks().0.iter().zip(lines) {
                        line.0[place] = *pair;
                    }
                }
            }
            for (pair, lines) in values.chunks_exact_mut(shape.columns()).enumerate().take(positions.len().div_ceil(2)) {
                for (column, line) in lines.iter_mut().enumerate() {
                    let member =
                        |place: usize| if place < positions.len() { slot(place)[key_vectors + column] } else { HighHalves::default() };
                    let (first, second) = (member(2 * pair), member(2 * pair + 1));
                    line.0 = std::array::from_fn(|element| [first.0[element], second.0[element]]);
                }
            }
        }
        match kept {
            Kept::Page(page) => page[layer * shape.layer()..][..shape.layer()].copy_from_slice(layout),
            Kept::Slots(open) => {
                for (open, new) in open.iter_mut().zip(new) {
                    open[layer * shape.slot_layer()..][..shape.slot_layer()].copy_from_slice(new);
                }
            }
        }
    }
}
