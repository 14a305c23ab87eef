//! How much each token attends to those before it: for analysis, not for decoding.
//!
//! A pass mixes values by these weights without keeping them. Here they are made again, plainly, from the
//! queries and keys of one pass over the whole text.

use super::config::Config;

/// The attention weights of the last positions of a text, in all layers and heads.
///
/// Made by [`CandleLm::attention_weights`](super::CandleLm::attention_weights).
#[derive(Clone, Debug)]
pub struct AttentionWeights {
    layers: usize,
    heads: usize,
    /// The first position whose weights are here.
    first: usize,
    /// Positions of the text.
    length: usize,
    /// `[layer][head][position from the first][position]`, zero for what is not seen.
    weights: Vec<f32>,
}

impl AttentionWeights {
    /// The number of layers.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// The number of query heads of each layer.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// The positions that weights are kept of, counted from 0.
    pub fn positions(&self) -> std::ops::Range<usize> {
        self.first..self.length
    }

    /// How much `position` attends to each position up to and with itself: numbers that add up to 1.
    ///
    /// # Panics
    /// If there is no such layer, head or position.
    pub fn of(&self, layer: usize, head: usize, position: usize) -> &[f32] {
        assert!(layer < self.layers && head < self.heads, "layer {layer} of {}, head {head} of {}", self.layers, self.heads);
        assert!(self.positions().contains(&position), "position {position} outside {:?}", self.positions());
        let line = (layer * self.heads + head) * (self.length - self.first) + position - self.first;
        &self.weights[line * self.length..][..position + 1]
    }

    /// To be filled in for a text of `length` positions, from position `first` on.
    pub(super) fn new(config: &Config, first: usize, length: usize) -> Self {
        let (layers, heads) = (config.layers, config.heads);
        Self { layers, heads, first, length, weights: vec![0.0; layers * heads * (length - first) * length] }
    }

    /// Fills in a layer from its queries and keys, `[position][head][element]`, turned already.
    pub(super) fn fill(&mut self, config: &Config, layer: usize, queries: &[f32], keys: &[f32]) {
        let (size, length, heads) = (config.head_size, self.length, self.heads);
        let group = heads / config.key_heads;
        let rows = length - self.first;
        let weights = &mut self.weights[layer * heads * rows * length..][..heads * rows * length];
        for (line, weights) in weights.chunks_exact_mut(length).enumerate() {
            let (head, position) = (line / rows, self.first + line % rows);
            let query = &queries[(position * heads + head) * size..][..size];
            let first_seen = config.window(layer).map_or(0, |window| (position + 1).saturating_sub(window.size));
            let seen = &mut weights[first_seen..=position];
            for (other, weight) in (first_seen..).zip(seen.iter_mut()) {
                let key = &keys[(other * config.key_heads + head / group) * size..][..size];
                *weight = query.iter().zip(key).map(|(query, key)| query * key).sum::<f32>() * config.score_scale;
            }
            softmax(seen);
        }
    }
}

fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}
