//! Scores and mixtures of a few lines with one page, by vectors: the same sums in the same order as those of
//! [`Tiles`](super::super::kernels::Tiles), so that it makes no difference who forms them. A line is a query
//! head of a row.

#![expect(clippy::needless_range_loop, reason = "several arrays are indexed alike")]

use super::super::context::{KEY_CHUNK, POSITION_PAIRS};
use crate::simd::{Lanes, Pairs, Vector};

/// The scores of `M` queries with a page's keys.
#[inline(always)]
pub(super) fn score<V: Vector, const M: usize>(queries: [&[f32]; M], keys: &[Pairs]) -> [V; M] {
    let queries = queries.map(|query| query.as_chunks::<KEY_CHUNK>().0);
    let mut sums = [V::splat(0.0); M];
    for (chunk, keys) in keys.as_chunks::<{ KEY_CHUNK / 2 }>().0.iter().enumerate() {
        let queries = queries.map(|query| query[chunk].as_chunks().0);
        sums = add_products::<V, M, { KEY_CHUNK / 2 }>(sums, queries, |pair| &keys[pair]);
    }
    sums
}

/// Adds a page's values, weighted by `M` lines of probabilities, to the `columns` vectors that begin each line
/// of `output`; lines are `stride` apart.
#[inline(always)]
pub(super) fn mix<V: Vector, const M: usize>(probs: [&Lanes; M], values: &[Pairs], columns: usize, output: &mut [Lanes], stride: usize) {
    let probs = probs.map(|probs| probs.0.as_chunks().0);
    for column in 0..columns {
        let mut sums = [V::splat(0.0); M];
        for m in 0..M {
            sums[m] = V::load(&output[m * stride + column].0);
        }
        let sums = add_products::<V, M, POSITION_PAIRS>(sums, probs, |pair| &values[pair * columns + column]);
        for m in 0..M {
            sums[m].store(&mut output[m * stride + column].0);
        }
    }
}

/// Adds the products of `N` pairs of factors, for each of `M` lines, with `N` vectors of pairs: those of first
/// members are added up, so are those of second members, and the sum of both is added to `sums`.
#[inline(always)]
fn add_products<'a, V: Vector, const M: usize, const N: usize>(
    mut sums: [V; M],
    factors: [&[[f32; 2]]; M],
    pairs: impl Fn(usize) -> &'a Pairs,
) -> [V; M] {
    let factors = factors.map(|factors| factors.first_chunk::<N>().expect("lines are as long as pages want"));
    let first = member_products::<V, M, N, 0>(factors, &pairs);
    let second = member_products::<V, M, N, 1>(factors, &pairs);
    for m in 0..M {
        sums[m] = sums[m].add(first[m].add(second[m]));
    }
    sums
}

/// The products of one member of each pair, added up. One member after the other: fewer sums at once stay in
/// registers.
#[inline(always)]
fn member_products<'a, V: Vector, const M: usize, const N: usize, const MEMBER: usize>(
    factors: [&[[f32; 2]; N]; M],
    pairs: &impl Fn(usize) -> &'a Pairs,
) -> [V; M] {
    let mut sums = [V::splat(0.0); M];
    for n in 0..N {
        let vector = V::load_member::<MEMBER>(pairs(n));
        for m in 0..M {
            sums[m] = vector.mul_add(V::splat(factors[m][n][MEMBER]), sums[m]);
        }
    }
    sums
}
