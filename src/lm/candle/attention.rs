//! Attention of many rows over shared pages, for one layer.
//!
//! Rows whose contexts share a page meet it together: it is loaded once for all of them. Work is cut
//! into tasks of one key head and a few rows. Within a task pages are visited in order, and for each the
//! runs of neighbouring rows that hold it; a score is a sum over the head's elements in order, an output
//! a sum over positions in order, and softmax sums positions in [`PAGE`] lanes. Positions that a row does
//! not see get probability zero, which changes no sum's bits. So a row's result depends on its own
//! history alone, not on its neighbours nor on how positions were gathered into pages.

use super::context::{PAGE, Page, PageShape};
use super::kernels::Pool;
use crate::simd::{self, LANES, Vector, Wide};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// The most rows that one task takes.
const TASK_ROWS: usize = 16;

/// A row's view of the positions before it.
pub(super) struct Row<'a> {
    /// Full pages, finished before this pass.
    pub pages: &'a [Arc<Page>],
    /// This layer's pages that this pass writes (see [`PageShape::layer`]), after the full ones.
    pub open: &'a [f32],
    /// The row's own position: it sees this one and those before.
    pub position: usize,
}

/// One layer's attention.
pub(super) struct Attention {
    pub shape: PageShape,
    /// Query heads to each key head.
    pub group: usize,
    pub layer: usize,
    /// How many of the newest positions are seen, if not all.
    pub window: Option<usize>,
    pub score_scale: f32,
}

impl Attention {
    /// Writes each row's output, heads in order, to `output`; `queries` has the same layout.
    pub(super) fn run(&self, rows: &[Row<'_>], queries: &[f32], output: &mut [f32], pool: &Pool) {
        let share = self.group * self.shape.head_size;
        let width = self.shape.key_heads * share;
        // A few tasks a thread; any cut gives the same bits.
        let per_task = (rows.len() / pool.threads()).clamp(1, TASK_ROWS);
        let blocks: Vec<Range<usize>> = (0..rows.len()).step_by(per_task).map(|start| start..(start + per_task).min(rows.len())).collect();
        let mut parts: Vec<f32> = vec![0.0; rows.len() * width];
        let mut rest = &mut parts[..];
        let mut tasks = Vec::with_capacity(self.shape.key_heads * blocks.len());
        for head in 0..self.shape.key_heads {
            for block in &blocks {
                let (part, after) = rest.split_at_mut(block.len() * share);
                rest = after;
                tasks.push((head, block.clone(), part));
            }
        }
        pool.run_with(tasks.iter_mut(), |(head, block, part)| {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.queries.clear();
                for row in block.clone() {
                    let query = &queries[row * width + *head * share..][..share];
                    scratch.queries.extend(query.iter().map(|element| element * self.score_scale));
                }
                simd::run(Task { attention: self, rows: &rows[block.clone()], head: *head, scratch, output: part });
            });
        });
        for (head, block, part) in tasks {
            for (row, part) in block.zip(part.chunks_exact(share)) {
                output[row * width + head * share..][..share].copy_from_slice(part);
            }
        }
    }

    /// The first position that a row at `position` sees.
    fn first_seen(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// The pages that a row at `position` sees any part of.
    fn visible_pages(&self, position: usize) -> Range<usize> {
        self.first_seen(position) / PAGE..position / PAGE + 1
    }

    /// Each page, in order, with each run of rows that see it.
    fn runs<'a>(&self, rows: &[Row<'a>], head: usize) -> Vec<Run<'a>> {
        let visible: Vec<Range<usize>> = rows.iter().map(|row| self.visible_pages(row.position)).collect();
        let pages = visible.iter().map(|pages| pages.start).min().unwrap_or(0)..visible.iter().map(|pages| pages.end).max().unwrap_or(0);
        let mut runs: Vec<Run<'a>> = Vec::with_capacity(pages.len());
        for page in pages {
            for (number, row) in rows.iter().enumerate().filter(|(number, _)| visible[*number].contains(&page)) {
                let block = block_of(self.shape, self.layer, row, page, head);
                match runs.last_mut() {
                    Some(run) if run.page == page && run.rows.end == number && run.block.as_ptr() == block.as_ptr() => run.rows.end += 1,
                    _ => runs.push(Run { page, rows: number..number + 1, block }),
                }
            }
        }
        runs
    }
}

/// Memory of a thread, kept between tasks.
#[derive(Default)]
struct Scratch {
    /// The task's queries, scaled: `[row][head of the group][element]`.
    queries: Vec<f32>,
    /// Scores, then probabilities: `[row][head of the group][position]`.
    scores: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

struct Task<'a> {
    attention: &'a Attention,
    rows: &'a [Row<'a>],
    head: usize,
    scratch: &'a mut Scratch,
    /// `[row][head of the group][element]`, zero before.
    output: &'a mut [f32],
}

impl Wide for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Attention { shape, group, .. } = *self.attention;
        let size = shape.head_size;
        let runs = self.attention.runs(self.rows, self.head);
        let (first, last) = (runs.first().map_or(0, |run| run.page), runs.last().map_or(0, |run| run.page));
        let stride = (last + 1 - first) * PAGE;
        let Scratch { queries, scores } = self.scratch;
        // Scores of pages that a row sees are all written before they are read.
        scores.resize(self.rows.len() * group * stride, 0.0);
        let place = Place { group, size, stride, first };
        let mut left = &runs[..];
        loop {
            left = match left {
                [] => break,
                // Two pages at once: each element of a query is loaded for both.
                [run, next, rest @ ..] if V::SUMS > 4 && next.page == run.page + 1 && next.rows == run.rows => {
                    place.score::<V, 2>([run, next], rest, queries, scores);
                    rest
                }
                [run, rest @ ..] => {
                    place.score::<V, 1>([run], rest, queries, scores);
                    rest
                }
            };
        }
        let mut sums = Vec::with_capacity(self.rows.len() * group);
        for (index, row) in self.rows.iter().enumerate() {
            let visible = self.attention.visible_pages(row.position);
            let first_seen = self.attention.first_seen(row.position);
            for line in index * group..(index + 1) * group {
                let scores = &mut scores[line * stride..][(visible.start - first) * PAGE..(visible.end - first) * PAGE];
                scores[row.position + 1 - visible.start * PAGE..].fill(f32::NEG_INFINITY);
                scores[..first_seen - visible.start * PAGE].fill(f32::NEG_INFINITY);
                sums.push(softmax::<V>(scores));
            }
        }
        let output = self.output;
        for (number, run) in runs.iter().enumerate() {
            if let Some(next) = runs.get(number + 1) {
                simd::fetch(next.values());
            }
            place.mix::<V>(run, scores, output);
        }
        for (output, sum) in output.chunks_exact_mut(size).zip(sums) {
            let inverse = V::splat(1.0 / sum);
            for elements in output.chunks_mut(PAGE) {
                V::load_part(elements, 0.0).mul(inverse).store_part(elements);
            }
        }
    }
}

/// Neighbouring rows that see the same page.
struct Run<'a> {
    page: usize,
    rows: Range<usize>,
    /// The page's keys and values of one head.
    block: &'a [f32],
}

impl Run<'_> {
    /// `[element][position]`.
    fn keys(&self) -> &[[f32; PAGE]] {
        self.block[..self.block.len() / 2].as_chunks().0
    }

    /// `[position][element]`.
    fn values(&self) -> &[f32] {
        &self.block[self.block.len() / 2..]
    }

    /// Its lines: a line is a head of a row.
    fn lines(&self, group: usize) -> Range<usize> {
        self.rows.start * group..self.rows.end * group
    }
}

/// Where lines of a task are.
struct Place {
    group: usize,
    /// Elements of a head.
    size: usize,
    /// Scores of a line.
    stride: usize,
    /// The first page that has scores.
    first: usize,
}

impl Place {
    /// The scores of a run's lines with the keys of `P` neighbouring pages. Those of the next two are fetched
    /// meanwhile.
    #[inline(always)]
    fn score<V: Vector, const P: usize>(&self, runs: [&Run<'_>; P], next: &[Run<'_>], queries: &[f32], scores: &mut [f32]) {
        let Self { size, stride, .. } = *self;
        let keys = runs.map(Run::keys);
        let mut next = next.iter().take(2);
        for lines in simd::pieces(runs[0].lines(self.group), V::SUMS) {
            if let Some(next) = next.next() {
                simd::fetch(next.keys().as_flattened());
            }
            let queries = &queries[lines.start * size..lines.end * size];
            let scores = &mut scores[lines.start * stride + (runs[0].page - self.first) * PAGE..];
            match lines.len() {
                8 => score::<V, 8, P>(queries, keys, scores, stride),
                4 => score::<V, 4, P>(queries, keys, scores, stride),
                3 => score::<V, 3, P>(queries, keys, scores, stride),
                2 => score::<V, 2, P>(queries, keys, scores, stride),
                _ => score::<V, 1, P>(queries, keys, scores, stride),
            }
        }
    }

    /// Adds the values of a run's page to its lines' outputs.
    #[inline(always)]
    fn mix<V: Vector>(&self, run: &Run<'_>, scores: &[f32], output: &mut [f32]) {
        let Self { size, stride, .. } = *self;
        let values = run.values();
        for lines in simd::pieces(run.lines(self.group), V::SUMS) {
            let output = &mut output[lines.start * size..lines.end * size];
            let scores = &scores[lines.start * stride + (run.page - self.first) * PAGE..];
            match lines.len() {
                8 => mix::<V, 8>(scores, stride, values, size, output),
                4 => mix::<V, 4>(scores, stride, values, size, output),
                3 => mix::<V, 3>(scores, stride, values, size, output),
                2 => mix::<V, 2>(scores, stride, values, size, output),
                _ => mix::<V, 1>(scores, stride, values, size, output),
            }
        }
    }
}

fn block_of<'a>(shape: PageShape, layer: usize, row: &Row<'a>, page: usize, head: usize) -> &'a [f32] {
    let layer_of_page = match row.pages.get(page) {
        Some(page) => &page.0[layer * shape.layer()..],
        None => &row.open[(page - row.pages.len()) * shape.layer()..],
    };
    &layer_of_page[head * shape.block()..][..shape.block()]
}

/// The scores of `M` queries with the keys of `P` pages, `[element][position]`: to
/// `scores[m * stride..][..P * PAGE]`.
#[inline(always)]
fn score<V: Vector, const M: usize, const P: usize>(queries: &[f32], keys: [&[[f32; PAGE]]; P], scores: &mut [f32], stride: usize) {
    let size = keys[0].len();
    let mut sums = [[V::splat(0.0); P]; M];
    let queries: [&[f32]; M] = std::array::from_fn(|m| &queries[m * size..][..size]);
    let keys = keys.map(|keys| &keys[..size]);
    for element in 0..size {
        let keys: [V; P] = std::array::from_fn(|page| V::load(&keys[page][element]));
        for m in 0..M {
            let query = V::splat(queries[m][element]);
            for page in 0..P {
                sums[m][page] = keys[page].mul_add(query, sums[m][page]);
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        for (sums, scores) in sums.into_iter().zip(scores[m * stride..][..P * PAGE].as_chunks_mut().0) {
            sums.store(scores);
        }
    }
}

/// Turns scores, whole pages of them, into unnormalised probabilities, the largest 1; returns their sum.
#[inline(always)]
fn softmax<V: Vector>(scores: &mut [f32]) -> f32 {
    let scores = scores.as_chunks_mut::<PAGE>().0;
    let mut largest = V::splat(f32::NEG_INFINITY);
    for chunk in scores.iter() {
        // In this order a NaN is passed over here; the exponential finds it.
        largest = V::load(chunk).max(largest);
    }
    let largest = V::splat(largest.largest());
    let mut sum = V::splat(0.0);
    for chunk in scores {
        let probs = V::load(chunk).sub(largest).exp();
        probs.store(chunk);
        sum = sum.add(probs);
    }
    sum.sum()
}

/// Adds a page's values, `[position][element]`, weighted by `M` lines of probabilities, to
/// `output[m * size..][..size]`.
#[inline(always)]
fn mix<V: Vector, const M: usize>(probs: &[f32], stride: usize, values: &[f32], size: usize, output: &mut [f32]) {
    let probs: [&[f32; PAGE]; M] = std::array::from_fn(|m| probs[m * stride..].first_chunk().expect("a line covers its pages"));
    let mut start = 0;
    // Two vectors at once: each probability is loaded for both.
    while V::SUMS > 4 && start + 2 * LANES <= size {
        mix_columns::<V, M, 2>(probs, values, size, start, output);
        start += 2 * LANES;
    }
    while start + LANES <= size {
        mix_columns::<V, M, 1>(probs, values, size, start, output);
        start += LANES;
    }
    // Heads are seldom of other sizes than whole vectors.
    for element in start..size {
        for m in 0..M {
            let sum = &mut output[m * size + element];
            for (prob, values) in probs[m].iter().zip(values.chunks_exact(size)) {
                *sum = simd::multiply_add::<V>(values[element], *prob, *sum);
            }
        }
    }
}

/// The same for `C` whole vectors of elements from `start` on.
#[inline(always)]
fn mix_columns<V: Vector, const M: usize, const C: usize>(
    probs: [&[f32; PAGE]; M],
    values: &[f32],
    size: usize,
    start: usize,
    output: &mut [f32],
) {
    // A call for a part of a vector would have all sums put away.
    let whole = "the vector is within the head";
    let mut sums: [[V; C]; M] = std::array::from_fn(|m| {
        let outputs = &output[m * size + start..][..C * LANES];
        std::array::from_fn(|column| V::load(outputs[column * LANES..].first_chunk().expect(whole)))
    });
    for position in 0..PAGE {
        let values = &values[position * size + start..][..C * LANES];
        let values: [V; C] = std::array::from_fn(|column| V::load(values[column * LANES..].first_chunk().expect(whole)));
        for m in 0..M {
            let prob = V::splat(probs[m][position]);
            for column in 0..C {
                sums[m][column] = values[column].mul_add(prob, sums[m][column]);
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        let outputs = &mut output[m * size + start..][..C * LANES];
        for (column, sums) in sums.into_iter().enumerate() {
            sums.store(outputs[column * LANES..].first_chunk_mut().expect(whole));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention_weights::AttentionWeights;
    use super::super::config::{Activation, Config, Rope, Window};
    use super::super::numeric::Pairing;
    use super::*;

    /// Values that are one-hot by position come out as the weights themselves.
    #[test]
    fn attention_mixes_values_by_the_weights_that_are_told() {
        const LENGTH: usize = 20;
        let group = 3;
        // Whole vectors, and a part of one.
        for (size, window) in [(32, None), (32, Some(7)), (40, None), (21, Some(7))] {
            let rope = Rope { base: 1e4, dimensions: size, factor: 1.0, pairing: Pairing::Halves };
            let config = Config {
                architecture: "test".into(),
                layers: 1,
                width: 96,
                feed_forward: 96,
                heads: group,
                key_heads: 1,
                head_size: size,
                context_length: 100,
                epsilon: 1e-5,
                rope: rope.clone(),
                rope_factors: None,
                window: window.map(|size| Window { size, layers: vec![true], rope: rope.clone() }),
                activation: Activation::Silu,
                embedding_scale: 1.0,
                score_scale: 0.2,
                head_norms: false,
                output_norms: false,
                tied_head: None,
            };
            let shape = PageShape::new(&config);
            let numbers = |count: usize, step: f32| -> Vec<f32> { (0..count).map(|i| (i as f32 * step).sin() * 2.0).collect() };
            let (queries, keys) = (numbers(LENGTH * group * size, 0.7), numbers(LENGTH * size, 1.3));
            let mut open = vec![0.0; LENGTH.div_ceil(PAGE) * shape.layer()];
            for position in 0..LENGTH {
                let (key_block, value_block) = open[position / PAGE * shape.block()..][..shape.block()].split_at_mut(PAGE * size);
                for element in 0..size {
                    key_block[element * PAGE + position % PAGE] = keys[position * size + element];
                }
                value_block[position % PAGE * size + position] = 1.0;
            }
            let rows: Vec<_> = (0..LENGTH).map(|position| Row { pages: &[], open: &open, position }).collect();
            let attention = Attention { shape, group, layer: 0, window, score_scale: config.score_scale };
            let mut mixed = vec![0.0; LENGTH * group * size];
            attention.run(&rows, &queries, &mut mixed, &Pool::new(1));
            let mut weights = AttentionWeights::new(&config, 0, LENGTH);
            weights.fill(&config, 0, &queries, &keys);
            for (line, mixed) in mixed.chunks_exact(size).enumerate() {
                let (position, head) = (line / group, line % group);
                for (found, expected) in mixed.iter().zip(weights.of(0, head, position)) {
                    assert!((found - expected).abs() < 1e-5, "position {position}: {found}, not {expected}");
                }
            }
        }
    }
}
