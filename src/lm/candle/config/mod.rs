//! A model's shape: [`Config`], read from GGUF metadata ([`gguf`]) or a Hugging Face `config.json`
//! ([`hugging_face`]).
//!
//! One forward pass serves all families of this module; where they differ is data here. A family that
//! differs in more than this is refused by name, never run approximately. Shapes are only believed after
//! the tensors have been found to have them ([`weights`](super::weights)), so that no number from a
//! broken file decides an allocation.

pub(super) mod gguf;
pub(super) mod hugging_face;

use super::numeric::Pairing;
use crate::lm::LmError;

/// The nonlinearity of the feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    Silu,
    GeluTanh,
}

/// Rotary positions of one kind of layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rope {
    /// Pair `i` turns by `position / base^(2 i / dimensions)` radians, divided by `factor`.
    pub base: f64,
    /// How many of a head's elements turn.
    pub dimensions: usize,
    /// Linear stretching of positions; 1 for none.
    pub factor: f64,
    pub pairing: Pairing,
}

/// Layers that attend only to the newest positions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// How many positions such a layer sees, its own among them.
    pub size: usize,
    /// Which layers are such.
    pub layers: Vec<bool>,
    pub rope: Rope,
}

/// A model's shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub architecture: String,
    pub layers: usize,
    pub width: usize,
    pub feed_forward: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub head_size: usize,
    pub context_length: usize,
    pub epsilon: f32,
    pub rope: Rope,
    /// Each rotary pair's angle is divided by its factor (Llama 3.1 and later), where no tensor of the
    /// model says otherwise. Layers with a window do without.
    pub rope_factors: Option<Vec<f32>>,
    pub window: Option<Window>,
    pub activation: Activation,
    /// Embeddings are multiplied by this.
    pub embedding_scale: f32,
    /// Scores of keys are multiplied by this.
    pub score_scale: f32,
    /// Queries and keys are normed head by head.
    pub head_norms: bool,
    /// Outputs of attention and feed-forward are normed before they are added.
    pub output_norms: bool,
    /// Whether the embedding serves as the head; `None` where the tensors tell.
    pub tied_head: Option<bool>,
}

/// More layers than any model of these families has: what claims more is broken.
const MOST_LAYERS: usize = 1000;

impl Config {
    /// Refuses shapes that contradict themselves.
    fn checked(self) -> Result<Self, LmError> {
        let Self { layers, heads, key_heads, head_size, rope: Rope { base, dimensions, factor, .. }, .. } = &self;
        let sizes = [*layers, self.width, self.feed_forward, *heads, *head_size, self.context_length];
        if *layers > MOST_LAYERS || sizes.contains(&0) {
            return Err(LmError::corrupt(format!("no model has {layers} layers of width {}, {heads} heads of {head_size}", self.width)));
        }
        if *key_heads == 0 || !heads.is_multiple_of(*key_heads) {
            return Err(LmError::corrupt(format!("{heads} attention heads cannot share {key_heads} key heads")));
        }
        if dimensions % 2 != 0 || dimensions > head_size {
            return Err(LmError::corrupt(format!("{dimensions} rotary dimensions do not fit heads of {head_size} elements")));
        }
        let local = self.window.as_ref().map_or(1.0, |window| window.rope.base.min(window.rope.factor));
        if [*base, *factor, local].iter().any(|number| !(number.is_finite() && *number > 0.0)) {
            return Err(LmError::corrupt(format!("rotary base {base} and factor {factor} must be positive")));
        }
        if self.window.as_ref().is_some_and(|window| window.size == 0) {
            return Err(LmError::corrupt("a window of attention cannot be empty"));
        }
        if !(self.epsilon.is_finite() && self.epsilon >= 0.0 && self.score_scale.is_finite()) {
            return Err(LmError::corrupt(format!("a norm cannot add {}", self.epsilon)));
        }
        Ok(self)
    }

    /// Elements of all queries of a position.
    pub(super) fn query_width(&self) -> usize {
        self.heads * self.head_size
    }

    /// Elements of all keys (or values) of a position in one layer.
    pub(super) fn key_width(&self) -> usize {
        self.key_heads * self.head_size
    }

    /// The window of `layer`, counted from 0; `None` where it sees everything.
    pub(super) fn window(&self, layer: usize) -> Option<&Window> {
        self.window.as_ref().filter(|window| window.layers[layer])
    }
}

/// Gemma 3 sees everything in each layer whose number, counted from 1, is a multiple of `period`.
fn all_but_every(period: usize, layers: usize) -> Vec<bool> {
    (1..=layers.min(MOST_LAYERS)).map(|layer| !layer.is_multiple_of(period)).collect()
}

/// An error that says which of the kinds of models in `known` could be run.
fn unknown_architecture<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> LmError {
    let known: Vec<_> = known.collect();
    let more = if cfg!(feature = "all-models") {
        ""
    } else {
        "; built with its feature all-models it also runs GGUF files of phi2, phi3 and glm4"
    };
    LmError::unsupported(format!("tamis does not run models of architecture {name:?}; it runs {}{more}", known.join(", ")))
}
