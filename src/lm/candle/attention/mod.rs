//! Attention of many rows over shared pages, for one layer.
//!
//! Rows whose contexts share pages meet them together (`shared.rs`): each is loaded once for all of them. Work
//! is cut into tasks of one key head, some rows and one range of positions (`task.rs`). What a task finds is a
//! mixture of values, the largest score and the sum of probabilities, and a row's output is that of all ranges
//! together (`parts.rs`), as in "Flash-Decoding" (Dao, Haziza, Massa, Sizov 2023).
//!
//! Queries, keys, values and probabilities are rounded to bf16, which most models were trained with; sums
//! are f32. Keys and values are read by each pass from memory, so that half their size is half the time;
//! and machines multiply bf16 fast (`kernels/amx.rs`). Vectors do the rest, with the same bits
//! (`products.rs`). Positions that a row does not see get probability zero, which changes no sum's bits. So a
//! row's result depends on its own history alone: not on its neighbours, nor on how work was cut.

mod parts;
mod products;
mod queries;
mod shared;
mod task;

pub(super) use parts::Parts;
pub(super) use queries::{Queries, QueryLines};
pub(super) use shared::{Row, Stretch, stretches};

use super::context::{PAGE, PageShape};
use super::kernels::Pool;
use crate::simd;
use std::ops::Range;
use task::{SCRATCH, Task};

/// Positions that are met at once.
const RANGE: usize = 256;
const RANGE_PAGES: usize = RANGE / PAGE;
/// The most rows that one task takes.
const TASK_ROWS: usize = 16;

/// One layer's attention.
pub(super) struct Attention {
    pub shape: PageShape,
    /// Query heads to each key head.
    pub group: usize,
    pub layer: usize,
    /// How many of the newest positions are seen, if not all.
    pub window: Option<usize>,
}

impl Attention {
    /// Finds what each row sees in each range, to be joined by [`Parts::join`]; queries and stretches are those of
    /// the rows.
    pub(super) fn run(&self, rows: &[Row<'_>], stretches: &[Stretch], queries: &Queries, parts: &mut Parts, pool: &Pool) {
        let visible = || rows.iter().map(|row| self.visible(row));
        let first = visible().map(|seen| seen.start).min().unwrap_or(0) / RANGE;
        let last = visible().map(|seen| seen.end - 1).max().unwrap_or(0) / RANGE;
        let ranges = last + 1 - first;
        parts.reset(self, ranges, rows.len());
        // A few tasks a thread; any cut gives the same bits.
        let blocks = (2 * pool.threads()).div_ceil(self.shape.key_heads * ranges);
        let per_task = rows.len().div_ceil(blocks).clamp(1, TASK_ROWS);
        let row_lines = self.group * parts.stride();
        let parts = parts.lines.chunks_exact_mut((rows.len() * row_lines).max(1)).enumerate();
        let tasks = parts.flat_map(|(number, part)| {
            let blocks = part.chunks_mut(per_task * row_lines).zip((0..).step_by(per_task));
            blocks.map(move |(output, start)| (number / ranges, first + number % ranges, start..start + output.len() / row_lines, output))
        });
        pool.run_with(tasks, |(head, range, numbers, output)| {
            SCRATCH.with_borrow_mut(|scratch| {
                let first_page = range * RANGE_PAGES;
                simd::run(Task { attention: self, rows, stretches, numbers, queries, head, first_page, scratch, output });
            });
        });
    }

    /// The positions that a row sees.
    fn visible(&self, row: &Row<'_>) -> Range<usize> {
        let end = row.position + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention_weights::AttentionWeights;
    use super::super::config::{Activation, Config, Rope, Window};
    use super::super::context::{Memory, Page};
    use super::super::numeric::Pairing;
    use super::*;
    use crate::simd::{LANES, Lanes, Pairs, Vector, Wide};
    use std::sync::Arc;

    fn config(group: usize, head_size: usize, window: Option<usize>) -> Config {
        let rope = Rope { base: 1e4, dimensions: head_size, factor: 1.0, pairing: Pairing::Halves };
        Config {
            architecture: "test".into(),
            layers: 1,
            width: 96,
            feed_forward: 96,
            heads: group,
            key_heads: 1,
            head_size,
            context_length: 1000,
            epsilon: 1e-5,
            rope: rope.clone(),
            rope_factors: None,
            window: window.map(|size| Window { size, layers: vec![true], rope }),
            activation: Activation::Silu,
            embedding_scale: 1.0,
            score_scale: 0.25,
            head_norms: false,
            output_norms: false,
            tied_head: None,
        }
    }

    /// Numbers that bf16 has, from -2 to 2.
    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 * step).sin() * 32.0).round() / 16.0).collect()
    }

    fn bf16(number: f32) -> u16 {
        (number.to_bits() >> 16) as u16
    }

    /// Pages of one layer and one head.
    fn lay_out(shape: PageShape, keys: &[f32], values: &[f32]) -> Vec<Pairs> {
        let (size, length) = (shape.head_size, keys.len() / shape.head_size);
        let mut pages = vec![Pairs::default(); length.div_ceil(PAGE) * shape.layer()];
        for position in 0..length {
            let (key_lines, value_lines) = pages[position / PAGE * shape.block()..][..shape.block()].split_at_mut(shape.keys());
            let place = position % PAGE;
            for element in 0..size {
                key_lines[element / 2].0[place][element % 2] = bf16(keys[position * size + element]);
                let line = place / 2 * shape.columns() + element / LANES;
                value_lines[line].0[element % LANES][place % 2] = bf16(values[position * size + element]);
            }
        }
        pages
    }

    /// Writes queries as [`Queries`] has them.
    struct Round<'a>(QueryLines<'a>, &'a [f32], usize);

    impl Wide for Round<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            self.0.round::<V>(self.1, self.2, 0.25);
        }
    }

    fn attend(attention: &Attention, rows: &[Row<'_>], queries: &[f32], threads: usize) -> Vec<f32> {
        let mut rounded = Queries::default();
        rounded.resize(rows.len() * attention.group, attention.shape.key_size());
        simd::run(Round(rounded.lines_mut(), queries, attention.shape.head_size));
        let mut parts = Parts::default();
        // What was there before must not matter.
        parts.lines.resize(10_000, Lanes([f32::NAN; LANES]));
        attention.run(rows, &stretches(rows), &rounded, &mut parts, &Pool::new(threads));
        let mut output = vec![0.0; queries.len()];
        output.chunks_exact_mut(queries.len() / rows.len()).enumerate().for_each(|(row, output)| parts.join(row, output));
        output
    }

    /// Values that are one-hot by position come out as the weights themselves.
    #[test]
    fn attention_mixes_values_by_the_weights_that_are_told() {
        const LENGTH: usize = 20;
        let group = 3;
        // Whole vectors, and a part of one.
        for (size, window) in [(32, None), (32, Some(7)), (40, None), (21, Some(7))] {
            let config = config(group, size, window);
            let shape = PageShape::new(&config);
            let (queries, keys) = (numbers(LENGTH * group * size, 0.7), numbers(LENGTH * size, 1.3));
            let values: Vec<f32> = (0..LENGTH * size).map(|i| if i % size == i / size { 1.0 } else { 0.0 }).collect();
            let open = lay_out(shape, &keys, &values);
            let rows: Vec<_> = (0..LENGTH).map(|position| Row { pages: &[], open: &open, position }).collect();
            let attention = Attention { shape, group, layer: 0, window };
            let mixed = attend(&attention, &rows, &queries, 1);
            let mut weights = AttentionWeights::new(&config, 0, LENGTH);
            weights.fill(&config, 0, &queries, &keys);
            for (line, mixed) in mixed.chunks_exact(size).enumerate() {
                let (position, head) = (line / group, line % group);
                for (found, expected) in mixed.iter().zip(weights.of(0, head, position)) {
                    // Probabilities have eight bits.
                    assert!((found - expected).abs() <= expected / 200.0, "position {position}: {found}, not {expected}");
                }
            }
        }
    }

    /// Alone a row is met by vectors, with others by tiles where the machine has them.
    #[test]
    fn a_row_has_the_same_bits_with_any_others_and_any_threads() {
        for (group, size, window) in [(3, 64, None), (4, 96, Some(100)), (7, 128, None), (1, 40, Some(300)), (2, 256, None)] {
            let config = config(group, size, window);
            let shape = PageShape::new(&config);
            let memory = Arc::new(Memory::default());
            let (keys, values) = (numbers(640 * size, 0.37), numbers(640 * size, 1.91));
            let page = |number: usize| {
                let part = number * PAGE * size..(number + 1) * PAGE * size;
                Arc::new(Page(memory.count(lay_out(shape, &keys[part.clone()], &values[part]).into())))
            };
            let pages: Vec<_> = (0..39).map(page).collect();
            // Another history from the thirtieth page on, and one that is shorter.
            let others: Vec<_> = pages[..30].iter().cloned().chain([page(7), page(8)]).collect();
            let tails: Vec<_> =
                (1..20).map(|tail| lay_out(shape, &numbers(tail * size, 0.11 * tail as f32), &values[..tail * size])).collect();
            let row = |number: usize| {
                let pages = [&pages[..], &others, &pages[..3]][number / 7 % 3];
                Row { pages, open: &tails[number % 19], position: pages.len() * PAGE + number % 19 }
            };
            let rows: Vec<_> = (0..40).map(row).collect();
            let attention = Attention { shape, group, layer: 0, window };
            let width = group * size;
            let queries = numbers(rows.len() * width, 0.53);
            let together = attend(&attention, &rows, &queries, 2);
            assert_eq!(together, attend(&attention, &rows, &queries, 1));
            for (number, together) in together.chunks_exact(width).enumerate() {
                let queries = &queries[number * width..][..width];
                assert_eq!(attend(&attention, &[row(number)], queries, 1), together, "row {number}, heads of {size}");
                assert_eq!(attend(&attention, &[row(number), row((number + 1) % 40)], &[queries, queries].concat(), 3)[..width], *together);
            }
        }
    }
}
