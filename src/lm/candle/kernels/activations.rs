//! Rows of activations, and their quantisation to eight bits.
//!
//! Each row is quantised alone, in blocks of [`BLOCK`] columns: a code is the nearest multiple of the
//! block's scale, which is its largest magnitude over 127. So what a row gives does not depend on the rows
//! beside it.

use super::format::BLOCK;
use super::pool::Pool;
use crate::simd::{self, LANES, ROUND, Vector, Wide};

/// Fewer values than this are faster done by one thread than handed to another.
const SERIAL: usize = 8192;

/// Rows of `f32` that matrices are multiplied with, and the codes that quantised matrices read.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    columns: usize,
    values: Vec<f32>,
    blocks: Vec<QuantisedBlock>,
}

/// [`BLOCK`] quantised activations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct QuantisedBlock {
    /// Codes from -127 to 127, four to a word, the first in the lowest byte.
    pub codes: [i32; BLOCK / 4],
    pub scale: f32,
    /// The scale times the sum of the codes.
    pub scaled_sum: f32,
    /// Sums of the codes of each half.
    pub sums: [i32; 2],
}

/// One row, as kernels read it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub values: &'a [f32],
    /// Empty where the columns do not make up whole blocks: then no matrix is quantised either.
    pub blocks: &'a [QuantisedBlock],
}

impl Activations {
    /// Makes room for `rows` rows of `columns`; what they hold is not defined.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        self.values.resize(rows * columns, 0.0);
        let blocks = if columns.is_multiple_of(BLOCK) { rows * columns / BLOCK } else { 0 };
        self.blocks.resize(blocks, QuantisedBlock::default());
    }

    /// The rows, end to end.
    #[cfg(test)]
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows, end to end, to be written; then [`Activations::finish`] is due.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Makes the codes of the values, after `finish` has given these their last form: it gets the number
    /// of the first of some rows, and the rows.
    pub(crate) fn finish(&mut self, pool: &Pool, finish: impl Fn(usize, &mut [f32]) + Sync) {
        self.finish_beside(&mut [], pool, |first, rows, _| finish(first, rows));
    }

    /// The same with other rows, of as many columns, that are changed at once: `finish` gets those too.
    pub(crate) fn finish_beside(&mut self, others: &mut [f32], pool: &Pool, finish: impl Fn(usize, &mut [f32], &mut [f32]) + Sync) {
        let rows = self.rows();
        let rows = if self.values.len() < SERIAL { rows } else { rows.div_ceil(pool.threads()) }.max(1);
        let values = self.values.chunks_mut((rows * self.columns).max(1)).enumerate();
        let blocks = self.blocks.chunks_mut((rows * self.columns / BLOCK).max(1)).chain(std::iter::repeat_with(Default::default));
        let others = others.chunks_mut((rows * self.columns).max(1)).chain(std::iter::repeat_with(Default::default));
        pool.run_with(values.zip(blocks).zip(others), |(((part, values), blocks), others)| {
            finish(part * rows, values, others);
            simd::run(Quantise { values, blocks });
        });
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    pub(super) fn row(&self, row: usize) -> Row<'_> {
        let per_row = self.columns / BLOCK;
        Row {
            values: &self.values[row * self.columns..][..self.columns],
            blocks: self.blocks.get(row * per_row..(row + 1) * per_row).unwrap_or_default(),
        }
    }
}

struct Quantise<'a> {
    values: &'a [f32],
    blocks: &'a mut [QuantisedBlock],
}

impl Wide for Quantise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for (values, block) in self.values.as_chunks::<BLOCK>().0.iter().zip(self.blocks) {
            *block = quantised::<V>(values);
        }
    }
}

#[inline(always)]
fn quantised<V: Vector>(values: &[f32; BLOCK]) -> QuantisedBlock {
    let [first, second] = values.as_chunks().0 else { unreachable!("a block is two vectors") };
    let (first, second) = (V::load(first), V::load(second));
    // What is NaN or infinite counts as infinite, so that a maximum cannot hide it.
    let infinite = V::splat(f32::INFINITY);
    let (first_size, second_size) =
        (first.abs().select_less(infinite, first.abs(), infinite), second.abs().select_less(infinite, second.abs(), infinite));
    let largest = first_size.max(second_size).largest();
    if largest == f32::INFINITY {
        return QuantisedBlock { scale: f32::NAN, scaled_sum: f32::NAN, ..QuantisedBlock::default() };
    }
    let scale = largest / 127.0;
    // Where it is infinite, the values are too small to tell from zero.
    let inverse = if (1.0 / scale).is_finite() { 1.0 / scale } else { 0.0 };
    let mut block = QuantisedBlock { scale, ..QuantisedBlock::default() };
    for (half, values) in [first, second].into_iter().enumerate() {
        let whole = values.mul(V::splat(inverse)).add(V::splat(ROUND)).sub(V::splat(ROUND));
        // Exact: no more than sixteen times 127.
        block.sums[half] = (whole.sum() + ROUND).to_bits().cast_signed() - ROUND.to_bits().cast_signed();
        for (word, codes) in block.codes[half * LANES / 4..].iter_mut().zip(whole.to_bytes().as_chunks::<4>().0) {
            *word = i32::from_le_bytes(codes.map(|code| code as u8));
        }
    }
    block.scaled_sum = scale * (block.sums[0] + block.sums[1]) as f32;
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantised(values: &[f32; BLOCK]) -> QuantisedBlock {
        let mut block = QuantisedBlock::default();
        simd::run(Quantise { values, blocks: std::slice::from_mut(&mut block) });
        block
    }

    #[test]
    fn codes_are_the_nearest_multiples_of_the_scale() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| ((i * 37 + 5) % 41) as f32 * 0.3 - 5.5);
        let block = quantised(&values);
        let codes: Vec<i8> = block.codes.iter().flat_map(|word| word.to_le_bytes()).map(|byte| byte as i8).collect();
        for (value, code) in values.iter().zip(&codes) {
            assert!((value - f32::from(*code) * block.scale).abs() <= block.scale * 0.501);
        }
        assert_eq!(codes.iter().map(|code| code.unsigned_abs()).max(), Some(127));
        assert_eq!(block.sums[0] + block.sums[1], codes.iter().map(|code| i32::from(*code)).sum::<i32>());
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_no_number_poisons_its_block() {
        assert_eq!(quantised(&[0.0; BLOCK]), QuantisedBlock::default());
        assert_eq!(quantised(&[1e-44; BLOCK]).codes, [0; BLOCK / 4]);
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; BLOCK];
            values[17] = broken;
            assert!(quantised(&values).scale.is_nan());
        }
    }
}
