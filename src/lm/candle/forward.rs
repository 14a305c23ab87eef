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
use super::place::{Growth, Placed, Projected, place};
use super::weights::{Layer, Weights};
use crate::next_token::{NextToken, RowError};
use crate::simd::Pairs;
use crate::vocab::TokenId;
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
    pub(super) fn open_pages(&self) -> usize {
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
    placed: Placed,
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
        let stretches = stretches(&rows(sequences, &self.placed.open, shape));
        let mut growths: Vec<Growth> = sequences.iter().map(|sequence| Growth::new(sequence, shape)).collect();
        let mut layers = weights.layers.iter().enumerate().peekable();
        if let Some((_, first)) = layers.peek() {
            self.norm(config, None, &first.attention_norm, pool);
        }
        while let Some((number, layer)) = layers.next() {
            self.project(layer, pool);
            let projected = Projected {
                queries: &mut self.queries,
                keys: &mut self.keys,
                values: &mut self.values,
                rotations: &self.rotations[usize::from(config.window(number).is_some())],
            };
            place(&mut self.placed, config, (number, layer), sequences, projected, &mut growths, pool);
            if let Some(weights) = &mut self.weights_of_attention {
                weights.fill(config, number, &self.queries, &self.keys);
            }
            let window = config.window(number).map(|window| window.size);
            let attention = Attention { shape, group: config.heads / config.key_heads, layer: number, window };
            let rows = rows(sequences, &self.placed.open, shape);
            attention.run(&rows, &stretches, &self.placed.queries, &mut self.parts, pool);
            self.mix(config, layer, pool);
            match layers.peek() {
                Some((_, next)) => self.norm(config, Some(&layer.feed_forward_output_norm), &next.attention_norm, pool),
                None => add_to_stream(config, &layer.feed_forward_output_norm, &self.addend, &mut self.stream, self.normed.values_mut()),
            }
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
        self.placed.begin(config, sequences);
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
    fn project(&mut self, layer: &Layer<Matrix>, pool: &Pool) {
        let query = Product { matrix: &layer.query, output: &mut self.queries };
        let key = Product { matrix: &layer.key, output: &mut self.keys };
        let value = Product { matrix: &layer.value, output: &mut self.values };
        multiply(&mut [query, key, value], &self.normed, pool);
    }

    /// Norms the stream, for matrices to read; before that adds what came out of the last of them, normed if
    /// there is a weight for it, where `add` is given.
    fn norm(&mut self, config: &Config, add: Option<&Option<Vec<f32>>>, weight: &[f32], pool: &Pool) {
        let addend = &self.addend;
        self.normed.finish_beside(&mut self.stream, pool, |first, rows, stream| {
            if let Some(norm) = add {
                add_to_stream(config, norm, &addend[first * weight.len()..][..rows.len()], stream, rows);
            }
            numeric::rms_norm(stream, weight, config.epsilon, rows);
        });
    }

    /// Adds what attention found to the stream, and makes what the feed-forward layer adds.
    fn mix(&mut self, config: &Config, layer: &Layer<Matrix>, pool: &Pool) {
        let (parts, width) = (&self.parts, config.query_width());
        self.attended.finish(pool, |first, rows| {
            for (row, output) in (first..).zip(rows.chunks_exact_mut(width)) {
                parts.join(row, output);
            }
        });
        multiply(&mut [Product { matrix: &layer.attention_output, output: &mut self.addend }], &self.attended, pool);
        self.norm(config, Some(&layer.attention_output_norm), &layer.feed_forward_norm, pool);
        let gate = Product { matrix: &layer.gate, output: self.gate.values_mut() };
        let up = Product { matrix: &layer.up, output: &mut self.up };
        multiply(&mut [gate, up], &self.normed, pool);
        let (up, wide) = (&self.up, config.feed_forward);
        self.gate.finish(pool, |first, rows| numeric::gated(config.activation, rows, &up[first * wide..][..rows.len()]));
        multiply(&mut [Product { matrix: &layer.down, output: &mut self.addend }], &self.gate, pool);
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

/// Adds rows to the stream, normed if there is a weight for it; `normed` is room for that.
fn add_to_stream(config: &Config, norm: &Option<Vec<f32>>, addend: &[f32], stream: &mut [f32], normed: &mut [f32]) {
    match norm {
        None => numeric::add(stream, addend),
        Some(norm) => {
            numeric::rms_norm(addend, norm, config.epsilon, normed);
            numeric::add(stream, normed);
        }
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
