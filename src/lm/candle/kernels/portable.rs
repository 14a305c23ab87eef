//! The product of one tile, for any machine: what the vector kernels must agree with.
//!
//! Within a block everything is an exact integer; blocks are then added up in `f32`, in order. Where both
//! fuse multiplication with addition, the vector kernels give the same bits.

use super::activations::QuantisedBlock;
use super::format::{BLOCK, Format, Layout, TILE};
use crate::simd::{self, Vector, Wide, multiply_add};
use half::f16;
use std::marker::PhantomData;

/// The products of the tile's rows with `M` rows of activations.
pub(super) fn dot<F: Format, const M: usize>(tile: &[u8], rows: [&[QuantisedBlock]; M]) -> [[f32; TILE]; M] {
    let mut totals = [[0.0; TILE]; M];
    for (row, totals) in rows.into_iter().zip(&mut totals) {
        simd::run(Dot::<F> { tile, row, totals, format: PhantomData });
    }
    totals
}

struct Dot<'a, F> {
    tile: &'a [u8],
    row: &'a [QuantisedBlock],
    totals: &'a mut [f32; TILE],
    format: PhantomData<F>,
}

impl<F: Format> Wide for Dot<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let (layout, totals) = (F::LAYOUT, self.totals);
        for (bytes, input) in self.tile.chunks_exact(layout.block_bytes()).zip(self.row) {
            let sums = integer_sums(layout, bytes, input);
            for part in 0..layout.scales {
                for (row, total) in totals.iter_mut().enumerate() {
                    let scale = scale(layout, bytes, part, row) * input.scale;
                    *total = multiply_add::<V>(sums[part][row] as f32, scale, *total);
                }
            }
            if layout.minimum {
                for (row, total) in totals.iter_mut().enumerate() {
                    *total = multiply_add::<V>(scale(layout, bytes, layout.scales, row), input.scaled_sum, *total);
                }
            }
        }
    }
}

/// For each part of the block that has scales of its own, and each row: the sum of codes less zero, times
/// those of the activations.
#[inline(always)]
fn integer_sums(layout: Layout, block: &[u8], input: &QuantisedBlock) -> [[i32; TILE]; 2] {
    let mut sums = [[0; TILE]; 2];
    for (word, inputs) in input.codes.iter().enumerate() {
        let part = if layout.scales == 2 { word / 4 } else { 0 };
        for (row, sum) in sums[part].iter_mut().enumerate() {
            for (byte, input) in inputs.to_le_bytes().into_iter().enumerate() {
                *sum += (i32::from(code(layout, block, row, word * 4 + byte)) - i32::from(layout.zero)) * i32::from(input.cast_signed());
            }
        }
    }
    sums
}

/// The code of one weight of a block.
#[inline(always)]
pub(super) fn code(layout: Layout, block: &[u8], row: usize, column: usize) -> u8 {
    let (word, byte) = (column / 4, column % 4);
    if layout.bits == 8 {
        return block[(word * TILE + row) * 4 + byte];
    }
    let words = BLOCK / 8;
    block[(word % words * TILE + row) * 4 + byte] >> (word / words * 4) & 15
}

/// One of a row's scales in a block; its minimum is the one after the last.
#[inline(always)]
pub(super) fn scale(layout: Layout, block: &[u8], which: usize, row: usize) -> f32 {
    let scales = &block[layout.code_bytes() + which * layout.scale_bytes()..];
    if layout.half_scales {
        f16::from_le_bytes([scales[row * 2], scales[row * 2 + 1]]).to_f32()
    } else {
        f32::from_le_bytes([scales[row * 4], scales[row * 4 + 1], scales[row * 4 + 2], scales[row * 4 + 3]])
    }
}
