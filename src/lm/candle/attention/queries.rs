//! Queries as attention reads them: scaled, rounded to bf16, and filled up with zeros as keys are.

use crate::lm::candle::context::KEY_CHUNK;
use crate::simd::{LANES, Pairs, Vector};

/// The queries of a pass, line after line: each row's heads.
#[derive(Default)]
pub(in super::super) struct Queries {
    /// Elements of a line.
    size: usize,
    /// For vectors.
    values: Vec<f32>,
    /// The same for tiles.
    pairs: Vec<Pairs>,
}

/// Some lines, to be written.
pub(in super::super) struct QueryLines<'a> {
    size: usize,
    values: &'a mut [f32],
    pairs: &'a mut [Pairs],
}

impl Queries {
    /// Makes room for lines of [`PageShape::key_size`](crate::lm::candle::context::PageShape::key_size) elements.
    pub(in super::super) fn resize(&mut self, lines: usize, size: usize) {
        self.size = size;
        self.values.resize(lines * size, 0.0);
        self.pairs.resize(lines * size / KEY_CHUNK, Pairs::default());
    }

    pub(in super::super) fn lines_mut(&mut self) -> QueryLines<'_> {
        QueryLines { size: self.size, values: &mut self.values, pairs: &mut self.pairs }
    }

    pub(super) fn line(&self, line: usize) -> &[f32] {
        &self.values[line * self.size..][..self.size]
    }

    pub(super) fn pairs(&self, line: usize) -> &[Pairs] {
        &self.pairs[line * self.size / KEY_CHUNK..][..self.size / KEY_CHUNK]
    }
}

impl QueryLines<'_> {
    /// Takes the first lines.
    ///
    /// # Panics
    /// If there are fewer.
    pub(in super::super) fn split_off(&mut self, lines: usize) -> Self {
        let values = self.values.split_off_mut(..lines * self.size).expect("there are as many lines");
        let pairs = self.pairs.split_off_mut(..lines * self.size / KEY_CHUNK).expect("and as many as bf16");
        Self { size: self.size, values, pairs }
    }

    /// Writes queries of `head_size` elements.
    #[inline(always)]
    pub(in super::super) fn round<V: Vector>(self, queries: &[f32], head_size: usize, scale: f32) {
        let lines = self.values.chunks_exact_mut(self.size).zip(self.pairs.chunks_exact_mut(self.size / KEY_CHUNK));
        for (query, (values, pairs)) in queries.chunks_exact(head_size).zip(lines) {
            let halves = pairs.iter_mut().flat_map(|pairs| pairs.0.as_chunks_mut::<{ LANES / 2 }>().0);
            for (start, (values, half)) in (0..).step_by(LANES).zip(values.chunks_exact_mut(LANES).zip(halves)) {
                let query = &query[start.min(head_size)..head_size.min(start + LANES)];
                let rounded = V::load_part(query, 0.0).mul(V::splat(scale)).to_bf16_precision();
                rounded.store_part(values);
                half.as_flattened_mut().copy_from_slice(&rounded.to_high_halves().0);
            }
        }
    }
}
