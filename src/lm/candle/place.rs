//! What becomes of new positions between their projection and attention: queries and keys are normed and
//! turned, all are rounded to bf16, and keys and values are laid out in pages and kept.

use super::attention::{Queries, QueryLines};
use super::config::Config;
use super::context::{Memory, PAGE, Page, PageShape, Slot};
use super::forward::{Continuation, Sequence};
use super::kernels::{Matrix, Pool};
use super::numeric;
use super::weights::Layer;
use crate::next_token::{NextToken, RowError};
use crate::simd::{self, HighHalves, LANES, Pairs, Vector, Wide};
use smallvec::SmallVec;
use std::sync::Arc;

/// The pages and slots that a sequence gains, filled layer by layer ([`place`]).
pub(super) struct Growth {
    pages: Vec<Box<[Pairs]>>,
    /// Earlier slots that stay slots.
    kept: Vec<Arc<Slot>>,
    slots: Vec<Box<[HighHalves]>>,
}

impl Growth {
    pub(super) fn new(sequence: &Sequence<'_>, shape: PageShape) -> Self {
        let filled = sequence.tail.len() + sequence.tokens.len();
        let kept = if filled < PAGE { sequence.tail.to_vec() } else { Vec::new() };
        let page = |_| vec![Pairs::default(); shape.layers * shape.layer()].into_boxed_slice();
        let slot = |_| vec![HighHalves::default(); shape.layers * shape.slot_layer()].into_boxed_slice();
        Self { pages: (0..filled / PAGE).map(page).collect(), slots: (kept.len()..filled % PAGE).map(slot).collect(), kept }
    }

    pub(super) fn finish(self, row: Option<Result<NextToken, RowError>>, memory: &Arc<Memory>) -> Continuation {
        let mut tail = self.kept;
        tail.extend(self.slots.into_iter().map(|slot| Arc::new(Slot(memory.count(slot)))));
        Continuation { pages: self.pages.into_iter().map(|page| Arc::new(Page(memory.count(page)))).collect(), tail, row }
    }
}

/// One layer of a pass's new positions, all `[row][element]`.
pub(super) struct Projected<'a> {
    pub queries: &'a mut [f32],
    pub keys: &'a mut [f32],
    pub values: &'a mut [f32],
    /// The cosine and sine of each pair.
    pub rotations: &'a [(f32, f32)],
}

impl<'a> Projected<'a> {
    /// Takes the first rows.
    fn split_off(&mut self, rows: usize, config: &Config) -> Self {
        let (queries, keys) = (rows * config.query_width(), rows * config.key_width());
        let all = "each row has its own";
        Projected {
            queries: self.queries.split_off_mut(..queries).expect(all),
            keys: self.keys.split_off_mut(..keys).expect(all),
            values: self.values.split_off_mut(..keys).expect(all),
            rotations: self.rotations.split_off(..rows * config.rope.dimensions / 2).expect(all),
        }
    }

    /// Adds biases, norms queries and keys, and turns them.
    fn finish(&mut self, config: &Config, layer: &Layer<Matrix>) {
        let (queries, keys, values) = (&mut *self.queries, &mut *self.keys, &mut *self.values);
        for (rows, bias) in [(&mut *queries, &layer.query_bias), (&mut *keys, &layer.key_bias), (values, &layer.value_bias)] {
            if let Some(bias) = bias {
                rows.chunks_exact_mut(bias.len()).for_each(|row| numeric::add(row, bias));
            }
        }
        for (heads, norm) in [(&mut *queries, &layer.query_norm), (&mut *keys, &layer.key_norm)] {
            if let Some(norm) = norm {
                let unnormed = heads.to_vec();
                numeric::rms_norm(&unnormed, norm, config.epsilon, heads);
            }
        }
        for (heads, width) in [(queries, config.query_width()), (keys, config.key_width())] {
            for (row, rotation) in heads.chunks_exact_mut(width).zip(self.rotations.chunks_exact(config.rope.dimensions / 2)) {
                numeric::rotate(row, config.head_size, config.rope.pairing, rotation);
            }
        }
    }
}

/// Memory for new positions, kept from layer to layer.
#[derive(Default)]
pub(super) struct Placed {
    /// Queries as attention reads them.
    pub queries: Queries,
    /// One layer of the new positions, as slots have it.
    slots: Vec<HighHalves>,
    /// One layer of all sequences' open pages, end to end.
    pub open: Vec<Pairs>,
}

impl Placed {
    /// Makes room for the new positions of some sequences.
    pub(super) fn begin(&mut self, config: &Config, sequences: &[Sequence<'_>]) {
        let shape = PageShape::new(config);
        let rows: usize = sequences.iter().map(|sequence| sequence.tokens.len()).sum();
        let open: usize = sequences.iter().map(Sequence::open_pages).sum();
        self.queries.resize(rows * config.heads, shape.key_size());
        self.slots.resize(rows * shape.slot_layer(), HighHalves::default());
        // Positions that are not written must be numbers: their probability is zero.
        self.open.clear();
        self.open.resize(open * shape.layer(), Pairs::default());
    }
}

/// Finishes what was projected, and lays out this layer's unfinished pages: what was there before, then this pass's
/// positions. Keeps the latter.
pub(super) fn place(
    placed: &mut Placed,
    config: &Config,
    (number, layer): (usize, &Layer<Matrix>),
    sequences: &[Sequence<'_>],
    mut projected: Projected<'_>,
    growths: &mut [Growth],
    pool: &Pool,
) {
    let shape = PageShape::new(config);
    let mut queries = placed.queries.lines_mut();
    let mut slots = &mut placed.slots[..];
    let mut layouts = placed.open.chunks_exact_mut(shape.layer());
    let mut pages = Vec::new();
    for (sequence, growth) in sequences.iter().zip(growths) {
        let (mut tail, mut left) = (sequence.tail, sequence.tokens.len());
        let (mut full, mut open) = (growth.pages.iter_mut(), growth.slots.as_mut_slice());
        for layout in layouts.by_ref().take(sequence.open_pages()) {
            let before = std::mem::take(&mut tail).iter().map(|slot| &slot.0[number * shape.slot_layer()..][..shape.slot_layer()]);
            let before: SmallVec<_> = before.collect();
            let new = left.min(PAGE - before.len());
            left -= new;
            pages.push(OpenPage {
                config,
                number,
                layer,
                layout,
                projected: projected.split_off(new, config),
                queries: queries.split_off(new * config.heads),
                slots: slots.split_off_mut(..new * shape.slot_layer()).expect("each row has a slot"),
                before,
                kept: full.next().map_or_else(|| Kept::Slots(std::mem::take(&mut open)), |page| Kept::Page(page)),
            });
        }
    }
    pool.run_with(pages.into_iter(), simd::run);
}

/// One layer of a page that a pass writes to.
struct OpenPage<'a> {
    config: &'a Config,
    number: usize,
    layer: &'a Layer<Matrix>,
    /// As [`PageShape::layer`] tells.
    layout: &'a mut [Pairs],
    /// Its positions from before this pass.
    before: SmallVec<[&'a [HighHalves]; PAGE]>,
    /// Its new positions.
    projected: Projected<'a>,
    /// Room for these.
    queries: QueryLines<'a>,
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

    /// Finishes and rounds the new positions, lays out all, and keeps the new.
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { config, number, layer, layout, before, mut projected, queries, slots, kept } = self;
        let shape = PageShape::new(config);
        let (size, key_vectors) = (shape.head_size, shape.key_size() / LANES);
        projected.finish(config, layer);
        queries.round::<V>(projected.queries, size, config.score_scale);
        let heads = projected.keys.chunks_exact(size).zip(projected.values.chunks_exact(size));
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
            Kept::Page(page) => page[number * shape.layer()..][..shape.layer()].copy_from_slice(layout),
            Kept::Slots(open) => {
                for (open, new) in open.iter_mut().zip(new) {
                    open[number * shape.slot_layer()..][..shape.slot_layer()].copy_from_slice(new);
                }
            }
        }
    }
}
