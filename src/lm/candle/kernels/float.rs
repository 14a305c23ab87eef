//! The product of one tile of weights in full precision, for models that are not quantised.

use super::format::TILE;
use crate::simd::{self, Vector, Wide};

/// The products of a tile's rows, `[column][row]`, with `M` rows of activations. Sums run over columns in
/// order.
pub(super) fn dot<const M: usize>(tile: &[f32], rows: [&[f32]; M]) -> [[f32; TILE]; M] {
    simd::run(Dot { tile, rows })
}

struct Dot<'a, const M: usize> {
    tile: &'a [f32],
    rows: [&'a [f32]; M],
}

impl<const M: usize> Wide for Dot<'_, M> {
    type Output = [[f32; TILE]; M];

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        let mut totals = [V::splat(0.0); M];
        let tile = self.tile.as_chunks::<TILE>().0;
        let rows = self.rows.map(|row| &row[..tile.len()]);
        for (column, weights) in tile.iter().enumerate() {
            let weights = V::load(weights);
            for m in 0..M {
                totals[m] = weights.mul_add(V::splat(rows[m][column]), totals[m]);
            }
        }
        let mut output = [[0.0; TILE]; M];
        for m in 0..M {
            totals[m].store(&mut output[m]);
        }
        output
    }
}
