//! The product of one tile of weights in full precision, for models that are not quantised.

use super::format::TILE;
use crate::lm::candle::wide::{self, Wide, multiply_add};

/// The products of a tile's rows, `[column][row]`, with `M` rows of activations. Sums run over columns in
/// order.
pub(super) fn dot<const M: usize>(tile: &[f32], rows: [&[f32]; M]) -> [[f32; TILE]; M] {
    let mut totals = [[0.0; TILE]; M];
    wide::run(Dot { tile, rows, totals: &mut totals });
    totals
}

struct Dot<'a, const M: usize> {
    tile: &'a [f32],
    rows: [&'a [f32]; M],
    totals: &'a mut [[f32; TILE]; M],
}

impl<const M: usize> Wide for Dot<'_, M> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let mut totals = [[0.0; TILE]; M];
        for (column, weights) in self.tile.as_chunks::<TILE>().0.iter().enumerate() {
            for m in 0..M {
                let input = self.rows[m][column];
                for row in 0..TILE {
                    totals[m][row] = multiply_add::<FUSED>(weights[row], input, totals[m][row]);
                }
            }
        }
        *self.totals = totals;
    }
}
