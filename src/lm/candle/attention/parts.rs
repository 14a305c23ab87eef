//! What rows find in parts of their histories, and how it is put together.

use super::Attention;
use crate::simd::{self, LANES, Lanes, Vector, Wide};

/// What the rows of a pass found in each range of their histories.
#[derive(Default)]
pub(in super::super) struct Parts {
    /// `[key head][range][row][head of the group]`: a line of [`Parts::columns`] vectors of the mixture of values,
    /// not normalised, and one that begins with the largest score and the sum of probabilities.
    pub(super) lines: Vec<Lanes>,
    ranges: usize,
    rows: usize,
    group: usize,
    columns: usize,
    head_size: usize,
}

impl Parts {
    /// Makes room; what it holds is not defined.
    pub(super) fn reset(&mut self, attention: &Attention, ranges: usize, rows: usize) {
        let Attention { shape, group, .. } = *attention;
        (self.ranges, self.rows, self.group, self.columns, self.head_size) = (ranges, rows, group, shape.columns(), shape.head_size);
        self.lines.resize(shape.key_heads * ranges * rows * group * self.stride(), Lanes::default());
    }

    /// Vectors from line to line.
    pub(super) fn stride(&self) -> usize {
        self.columns + 1
    }

    /// Writes a row's output, heads in order.
    pub(in super::super) fn join(&self, row: usize, output: &mut [f32]) {
        simd::run(Join { parts: self, row, output });
    }
}

struct Join<'a> {
    parts: &'a Parts,
    row: usize,
    output: &'a mut [f32],
}

impl Wide for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Parts { ranges, rows, group, columns, head_size, .. } = *self.parts;
        for (head, output) in self.output.chunks_exact_mut(head_size).enumerate() {
            let line = |range: usize| {
                let number = ((head / group * ranges + range) * rows + self.row) * group + head % group;
                self.parts.lines[number * self.parts.stride()..][..self.parts.stride()].split_at(columns)
            };
            let found = |range: usize| (line(range).1[0].0[0], line(range).1[0].0[1]);
            let mut overall = f32::NEG_INFINITY;
            for range in 0..ranges {
                overall = overall.max(found(range).0);
            }
            output.fill(0.0);
            let mut total = 0.0;
            for start in (0..ranges).step_by(LANES) {
                let some = start..ranges.min(start + LANES);
                // A range of which nothing is seen has no largest score, and weighs nothing.
                let mut weights = [f32::NEG_INFINITY; LANES];
                for range in some.clone() {
                    weights[range - start] = found(range).0 - overall;
                }
                V::load(&weights).exp().store(&mut weights);
                for range in some {
                    let weight = weights[range - start];
                    total = simd::multiply_add::<V>(found(range).1, weight, total);
                    for (elements, values) in output.chunks_mut(LANES).zip(line(range).0) {
                        V::load(&values.0).mul_add(V::splat(weight), V::load_part(elements, 0.0)).store_part(elements);
                    }
                }
            }
            for elements in output.chunks_mut(LANES) {
                V::load_part(elements, 0.0).div(V::splat(total)).store_part(elements);
            }
        }
    }
}
