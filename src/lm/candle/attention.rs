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
use super::numeric::{exp, sum_lanes};
use super::wide::{self, Wide, multiply_add};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// The most rows that one task takes.
const TASK_ROWS: usize = 16;
/// Rows of the innermost kernels: with [`PAGE`] positions each, their sums fill half of the sixteen
/// vector registers.
const ROWS: usize = 4;

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
                tasks.push((head, block.clone(), Mutex::new(part)));
            }
        }
        pool.run(tasks.len(), |index| {
            let (head, block, part) = &tasks[index];
            let mut part = part.lock().expect("no other task has this part");
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.queries.clear();
                for row in block.clone() {
                    let query = &queries[row * width + head * share..][..share];
                    scratch.queries.extend(query.iter().map(|element| element * self.score_scale));
                }
                wide::run(Task { attention: self, rows: &rows[block.clone()], head: *head, scratch, output: &mut part });
            });
        });
        for (head, block, part) in tasks {
            let part = part.into_inner().expect("no task panicked");
            for (row, part) in block.zip(part.chunks_exact(share)) {
                output[row * width + head * share..][..share].copy_from_slice(part);
            }
        }
    }

    /// The pages that a row at `position` sees any part of.
    fn visible_pages(&self, position: usize) -> Range<usize> {
        let first = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        first / PAGE..position / PAGE + 1
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
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Attention { shape, group, .. } = *self.attention;
        let size = shape.head_size;
        let pages = self.rows.iter().map(|row| row.position / PAGE + 1).max().unwrap_or(0);
        let first_page = self.rows.iter().map(|row| self.attention.visible_pages(row.position).start).min().unwrap_or(0);
        let stride = (pages - first_page) * PAGE;
        let Scratch { queries, scores } = self.scratch;
        // Scores of pages that a row sees are all written before they are read.
        scores.resize(self.rows.len() * group * stride, 0.0);

        for_each_run(self.attention, self.rows, self.head, first_page..pages, |page, rows, block| {
            let keys = &block[..PAGE * size];
            let column = (page - first_page) * PAGE;
            for lines in pieces(rows.start * group..rows.end * group) {
                let queries = &queries[lines.start * size..lines.end * size];
                let scores = &mut scores[lines.start * stride + column..];
                match lines.len() {
                    4 => score::<4, FUSED>(queries, keys, size, scores, stride),
                    3 => score::<3, FUSED>(queries, keys, size, scores, stride),
                    2 => score::<2, FUSED>(queries, keys, size, scores, stride),
                    _ => score::<1, FUSED>(queries, keys, size, scores, stride),
                }
            }
        });
        let mut inverse = [0.0; TASK_ROWS * 64];
        let mut inverse_long = Vec::new();
        let inverse: &mut [f32] = if self.rows.len() * group <= inverse.len() {
            &mut inverse
        } else {
            inverse_long.resize(self.rows.len() * group, 0.0);
            &mut inverse_long
        };
        for (index, row) in self.rows.iter().enumerate() {
            let visible = self.attention.visible_pages(row.position);
            let first_seen = self.attention.window.map_or(0, |window| (row.position + 1).saturating_sub(window));
            for line in index * group..(index + 1) * group {
                let scores = &mut scores[line * stride..][(visible.start - first_page) * PAGE..(visible.end - first_page) * PAGE];
                scores[row.position + 1 - visible.start * PAGE..].fill(f32::NEG_INFINITY);
                scores[..first_seen - visible.start * PAGE].fill(f32::NEG_INFINITY);
                inverse[line] = 1.0 / softmax::<FUSED>(scores);
            }
        }
        let output = self.output;
        for_each_run(self.attention, self.rows, self.head, first_page..pages, |page, rows, block| {
            let values = &block[PAGE * size..];
            let column = (page - first_page) * PAGE;
            for lines in pieces(rows.start * group..rows.end * group) {
                let output = &mut output[lines.start * size..lines.end * size];
                let scores = &scores[lines.start * stride + column..];
                match lines.len() {
                    4 => mix::<4, FUSED>(scores, stride, values, size, output),
                    3 => mix::<3, FUSED>(scores, stride, values, size, output),
                    2 => mix::<2, FUSED>(scores, stride, values, size, output),
                    _ => mix::<1, FUSED>(scores, stride, values, size, output),
                }
            }
        });
        for (output, inverse) in output.chunks_exact_mut(size).zip(inverse) {
            for element in output {
                *element *= *inverse;
            }
        }
    }
}

/// Calls `visit` with each page, each run of rows that see it, and the page's block of this head.
#[inline(always)]
fn for_each_run(
    attention: &Attention,
    rows: &[Row<'_>],
    head: usize,
    pages: Range<usize>,
    mut visit: impl FnMut(usize, Range<usize>, &[f32]),
) {
    let shape = attention.shape;
    let block = |row: &Row<'_>, page: usize| -> Option<*const f32> {
        attention.visible_pages(row.position).contains(&page).then(|| block_of(shape, attention.layer, row, page, head).as_ptr())
    };
    for page in pages {
        let mut start = 0;
        while start < rows.len() {
            let Some(here) = block(&rows[start], page) else {
                start += 1;
                continue;
            };
            let mut end = start + 1;
            while end < rows.len() && block(&rows[end], page) == Some(here) {
                end += 1;
            }
            visit(page, start..end, block_of(shape, attention.layer, &rows[start], page, head));
            start = end;
        }
    }
}

#[inline(always)]
fn block_of<'a>(shape: PageShape, layer: usize, row: &Row<'a>, page: usize, head: usize) -> &'a [f32] {
    let layer_of_page = match row.pages.get(page) {
        Some(page) => &page.0[layer * shape.layer()..],
        None => &row.open[(page - row.pages.len()) * shape.layer()..],
    };
    &layer_of_page[head * shape.block()..][..shape.block()]
}

/// Cuts `lines` into pieces of at most [`ROWS`].
#[inline(always)]
fn pieces(lines: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    lines.clone().step_by(ROWS).map(move |start| start..(start + ROWS).min(lines.end))
}

/// The scores of `M` queries with a page's keys: to `scores[m * stride..][..PAGE]`.
#[inline(always)]
fn score<const M: usize, const FUSED: bool>(queries: &[f32], keys: &[f32], size: usize, scores: &mut [f32], stride: usize) {
    let mut sums = [[0.0f32; PAGE]; M];
    let queries: [&[f32]; M] = std::array::from_fn(|m| &queries[m * size..][..size]);
    for (element, keys) in keys.as_chunks::<PAGE>().0.iter().enumerate().take(size) {
        for m in 0..M {
            let query = queries[m][element];
            for position in 0..PAGE {
                sums[m][position] = multiply_add::<FUSED>(query, keys[position], sums[m][position]);
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        scores[m * stride..][..PAGE].copy_from_slice(sums);
    }
}

/// Turns scores into unnormalised probabilities, the largest 1; returns their sum.
#[inline(always)]
fn softmax<const FUSED: bool>(scores: &mut [f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; PAGE];
    for chunk in scores.as_chunks::<PAGE>().0 {
        for lane in 0..PAGE {
            largest[lane] = largest[lane].max(chunk[lane]);
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; PAGE];
    for chunk in scores.as_chunks_mut::<PAGE>().0 {
        for lane in 0..PAGE {
            chunk[lane] = exp::<FUSED>(chunk[lane] - largest);
            sums[lane] += chunk[lane];
        }
    }
    sum_lanes(sums)
}

/// Adds a page's values, weighted by `M` lines of probabilities, to `output[m * size..][..size]`.
#[inline(always)]
fn mix<const M: usize, const FUSED: bool>(probs: &[f32], stride: usize, values: &[f32], size: usize, output: &mut [f32]) {
    let probs: [&[f32; PAGE]; M] = std::array::from_fn(|m| probs[m * stride..].first_chunk().expect("a line covers its pages"));
    let mut start = 0;
    while start + PAGE <= size {
        let mut sums: [[f32; PAGE]; M] =
            std::array::from_fn(|m| *output[m * size + start..].first_chunk().expect("an output has its head's size"));
        for position in 0..PAGE {
            let values: &[f32; PAGE] = values[position * size + start..].first_chunk().expect("a page has its head's size");
            for m in 0..M {
                for lane in 0..PAGE {
                    sums[m][lane] = multiply_add::<FUSED>(probs[m][position], values[lane], sums[m][lane]);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            output[m * size + start..][..PAGE].copy_from_slice(sums);
        }
        start += PAGE;
    }
    for element in start..size {
        for m in 0..M {
            for position in 0..PAGE {
                output[m * size + element] =
                    multiply_add::<FUSED>(probs[m][position], values[position * size + element], output[m * size + element]);
            }
        }
    }
}
