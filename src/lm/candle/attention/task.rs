//! One task: some rows, one key head, one range of positions.
//!
//! Scores of all pages first, then probabilities, then the mixture of values. A line is a query head of a row.

use super::products;
use super::queries::Queries;
use super::shared::{Row, Stretch};
use super::{Attention, RANGE_PAGES};
use crate::lm::candle::context::{KEY_CHUNK, PAGE};
use crate::lm::candle::kernels::{LINES, Tiles};
use crate::simd::{self, HighHalves, Lanes, Pairs, Vector, Wide};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::ops::Range;

/// Memory of a thread, kept between tasks.
#[derive(Default)]
pub(super) struct Scratch {
    /// Queries for tiles: `[line][element]`.
    queries: Vec<Pairs>,
    /// Scores, then probabilities: `[line][page of the range][position]`.
    scores: Vec<Lanes>,
    /// Probabilities as bf16.
    probs: Vec<HighHalves>,
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

pub(super) struct Task<'a> {
    pub attention: &'a Attention,
    pub rows: &'a [Row<'a>],
    pub stretches: &'a [Stretch],
    /// Which rows.
    pub numbers: Range<usize>,
    pub queries: &'a Queries,
    /// Which key head.
    pub head: usize,
    /// Of the range.
    pub first_page: usize,
    pub scratch: &'a mut Scratch,
    /// Of these rows, as [`Parts`](super::Parts) has it.
    pub output: &'a mut [Lanes],
}

/// Some lines and the pages that all of them have.
struct Clip {
    lines: Range<usize>,
    pages: Range<usize>,
}

/// Values that are read soon, to be fetched a few at a time: more would have the processor wait.
struct Values<'a> {
    blocks: std::slice::Iter<'a, &'a [Pairs]>,
    keys: usize,
    current: std::slice::Iter<'a, Pairs>,
    some: usize,
}

impl<'a> Values<'a> {
    /// Those of some blocks, behind `keys` lines of each, to be fetched in `times` parts.
    fn new(blocks: &'a [&'a [Pairs]], keys: usize, times: usize) -> Self {
        let lines: usize = blocks.iter().map(|block| block.len() - keys).sum();
        Self { blocks: blocks.iter(), keys, current: [].iter(), some: lines.div_ceil(times) }
    }

    #[inline(always)]
    fn fetch_some(&mut self) {
        for _ in 0..self.some {
            match self.current.next() {
                Some(line) => fetch(std::slice::from_ref(line)),
                None => self.current = self.blocks.next().map_or_else(|| [].iter(), |block| block[self.keys..].iter()),
            }
        }
    }
}

impl Wide for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let stride = self.attention.shape.columns() + 1;
        self.output.fill(Lanes::default());
        self.output.chunks_exact_mut(stride).for_each(|line| line[stride - 1].0[0] = f32::NEG_INFINITY);
        let starts = self.numbers.clone().map(|row| self.seen(row)).filter(|seen| !seen.is_empty()).map(|seen| seen.start / PAGE);
        let Some(start) = starts.min() else { return };
        let clips: SmallVec<[Clip; 4]> = self.stretches.iter().filter_map(|stretch| self.clip(stretch, start)).collect();
        let lines = self.numbers.len() * self.attention.group;
        self.scratch.scores.resize(lines * RANGE_PAGES, Lanes::default());
        self.scratch.probs.resize(lines * RANGE_PAGES, HighHalves::default());
        let mut tiles = if clips.iter().any(|clip| clip.lines.len() >= LINES) { Tiles::shape() } else { None };
        if tiles.is_some() {
            self.scratch.queries.clear();
            for number in (0..lines).map(self.query_number()) {
                self.scratch.queries.extend_from_slice(self.queries.pairs(number));
            }
        }
        for clip in &clips {
            self.score::<V>(clip, tiles.as_mut());
        }
        let blocks: SmallVec<[_; 2 * RANGE_PAGES]> = clips.iter().flat_map(|clip| self.blocks(clip)).collect();
        let mut values = Values::new(&blocks, self.attention.shape.keys(), self.numbers.len() * self.attention.group * RANGE_PAGES);
        for row in self.numbers.clone() {
            self.softmax::<V>(row, start, &mut values);
        }
        for clip in &clips {
            self.mix::<V>(clip, tiles.as_mut());
        }
    }
}

impl<'a> Task<'a> {
    /// The positions of the range that a row sees.
    fn seen(&self, row: usize) -> Range<usize> {
        let visible = self.attention.visible(&self.rows[row]);
        let range = self.first_page * PAGE..(self.first_page + RANGE_PAGES) * PAGE;
        visible.start.max(range.start)..visible.end.min(range.end)
    }

    /// What of a stretch is met here, from page `start` on.
    fn clip(&self, stretch: &Stretch, start: usize) -> Option<Clip> {
        let rows = stretch.rows.start.max(self.numbers.start)..stretch.rows.end.min(self.numbers.end);
        let pages = stretch.pages.start.max(start)..stretch.pages.end.min(self.first_page + RANGE_PAGES);
        let line = |row: usize| (row - self.numbers.start) * self.attention.group;
        (!rows.is_empty() && !pages.is_empty()).then(|| Clip { lines: line(rows.start)..line(rows.end), pages })
    }

    /// The head's keys and values in the pages of a clip.
    fn blocks(&self, clip: &Clip) -> SmallVec<[&'a [Pairs]; RANGE_PAGES]> {
        let Attention { shape, layer, group, .. } = *self.attention;
        let row = &self.rows[self.numbers.start + clip.lines.start / group];
        clip.pages.clone().map(|page| row.block(page, self.head, layer, shape)).collect()
    }

    /// What gives the number of a line's query.
    fn query_number(&self) -> impl Fn(usize) -> usize + use<> {
        let Attention { shape, group, .. } = *self.attention;
        let (first, head) = (self.numbers.start, self.head);
        move |line| ((first + line / group) * shape.key_heads + head) * group + line % group
    }

    /// The scores of a clip's lines with its pages: tiles for sixteen lines at once, vectors for the rest. The
    /// next pages are fetched meanwhile.
    #[inline(always)]
    fn score<V: Vector>(&mut self, clip: &Clip, mut tiles: Option<&mut Tiles>) {
        let shape = self.attention.shape;
        let chunks = shape.key_size() / KEY_CHUNK;
        let blocks = self.blocks(clip);
        let number = self.query_number();
        let Scratch { queries, scores, .. } = &mut *self.scratch;
        blocks.iter().take(2).for_each(|block| fetch(&block[..shape.keys()]));
        for (first, pages) in (0..).step_by(2).zip(blocks.chunks(2)) {
            blocks.iter().skip(first + 2).take(2).for_each(|block| fetch(&block[..shape.keys()]));
            let at = |line: usize| line * RANGE_PAGES + clip.pages.start - self.first_page + first;
            let mut lines = clip.lines.clone();
            while let Some(tiles) = tiles.as_mut().filter(|_| lines.len() >= LINES) {
                let queries = &queries[lines.start * chunks..][..LINES * chunks];
                tiles.score(queries, pages, &mut scores[at(lines.start)..], RANGE_PAGES);
                lines.start += LINES;
            }
            for (offset, page) in pages.iter().enumerate() {
                let keys = &page[..shape.keys()];
                for lines in simd::pieces(lines.clone(), V::SUMS) {
                    let query = |m: usize| self.queries.line(number(lines.start + m));
                    let scores = &mut scores[at(lines.start) + offset..];
                    match lines.len() {
                        8 => score::<V, 8>(query, keys, scores),
                        4 => score::<V, 4>(query, keys, scores),
                        3 => score::<V, 3>(query, keys, scores),
                        2 => score::<V, 2>(query, keys, scores),
                        _ => score::<V, 1>(query, keys, scores),
                    }
                }
            }
        }
    }

    /// Turns a row's scores in the pages from `start` on into probabilities, not normalised, the largest 1; notes
    /// the largest score and their sum. Values are fetched meanwhile.
    #[inline(always)]
    fn softmax<V: Vector>(&mut self, row: usize, start: usize, values: &mut Values<'_>) {
        let seen = self.seen(row);
        let end = self.rows[row].page_count().clamp(start, self.first_page + RANGE_PAGES);
        let group = self.attention.group;
        let first = (row - self.numbers.start) * group;
        let stride = self.output.len() / (self.numbers.len() * group);
        for line in first..first + group {
            let places = line * RANGE_PAGES..(line + 1) * RANGE_PAGES;
            let (scores, probs) = (&mut self.scratch.scores[places.clone()], &mut self.scratch.probs[places]);
            let place = |position: usize| position - self.first_page * PAGE;
            if seen.is_empty() {
                let pages = start - self.first_page..end - self.first_page;
                scores[pages.clone()].fill(Lanes::default());
                probs[pages].fill(HighHalves::default());
                continue;
            }
            for hidden in (start * PAGE..seen.start).chain(seen.end..end * PAGE).map(place) {
                scores[hidden / PAGE].0[hidden % PAGE] = f32::NEG_INFINITY;
            }
            let pages = place(start * PAGE) / PAGE..place(end * PAGE) / PAGE;
            let (scores, probs) = (&mut scores[pages.clone()], &mut probs[pages]);
            // In this order a NaN is passed over here; the exponential finds it.
            let mut largest = V::splat(f32::NEG_INFINITY);
            for scores in scores.iter() {
                largest = V::load(&scores.0).max(largest);
            }
            let largest = largest.largest();
            let mut sum = V::splat(0.0);
            for (scores, probs) in scores.iter_mut().zip(probs) {
                let rounded = V::load(&scores.0).sub(V::splat(largest)).exp_to_bf16_precision();
                rounded.store(&mut scores.0);
                *probs = rounded.to_high_halves();
                sum = sum.add(rounded);
                values.fetch_some();
            }
            let found = &mut self.output[(line + 1) * stride - 1].0;
            (found[0], found[1]) = (largest, sum.sum());
        }
    }

    /// Adds the values of a clip's pages to the mixtures of its lines.
    #[inline(always)]
    fn mix<V: Vector>(&mut self, clip: &Clip, tiles: Option<&mut Tiles>) {
        let shape = self.attention.shape;
        let columns = shape.columns();
        let stride = columns + 1;
        let mut values = self.blocks(clip);
        values.iter_mut().for_each(|block| *block = &block[shape.keys()..]);
        let at = |line: usize| line * RANGE_PAGES + clip.pages.start - self.first_page;
        let Scratch { scores, probs, .. } = &mut *self.scratch;
        let mut lines = clip.lines.clone();
        if let Some(tiles) = tiles {
            while lines.len() >= LINES {
                let output = &mut self.output[lines.start * stride..];
                tiles.mix((&probs[at(lines.start)..], RANGE_PAGES), &values, columns, (output, stride));
                lines.start += LINES;
            }
        }
        for (page, values) in values.iter().enumerate() {
            for lines in simd::pieces(lines.clone(), V::SUMS) {
                let probs = &scores[at(lines.start) + page..];
                let output = &mut self.output[lines.start * stride..];
                match lines.len() {
                    8 => mix::<V, 8>(probs, values, columns, output),
                    4 => mix::<V, 4>(probs, values, columns, output),
                    3 => mix::<V, 3>(probs, values, columns, output),
                    2 => mix::<V, 2>(probs, values, columns, output),
                    _ => mix::<V, 1>(probs, values, columns, output),
                }
            }
        }
    }
}

#[inline(always)]
fn fetch(lines: &[Pairs]) {
    simd::fetch(lines.as_ptr(), size_of_val(lines));
}

/// The scores of `M` lines with a page, [`products::score`], put away.
#[inline(always)]
fn score<'a, V: Vector, const M: usize>(query: impl Fn(usize) -> &'a [f32], keys: &[Pairs], scores: &mut [Lanes]) {
    let sums = products::score::<V, M>(std::array::from_fn(query), keys);
    for (m, sum) in sums.into_iter().enumerate() {
        sum.store(&mut scores[m * RANGE_PAGES].0);
    }
}

/// Adds a page's values to the mixtures of `M` lines.
#[inline(always)]
fn mix<V: Vector, const M: usize>(probs: &[Lanes], values: &[Pairs], columns: usize, output: &mut [Lanes]) {
    products::mix::<V, M>(std::array::from_fn(|m| &probs[m * RANGE_PAGES]), values, columns, output, columns + 1);
}
