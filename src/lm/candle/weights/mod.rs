//! The weights of a model, taken from its files and checked.
//!
//! A [`WeightSource`] finds tensors, in a GGUF file ([`gguf`]) or in a folder of safetensors
//! ([`safetensors`]); all are asked for by the names that they have in GGUF. Tensors are taken straight
//! from the mapped file into the layout that the kernels want, without a copy between. Everything that a
//! header says is checked before it is believed: a tensor must lie in the file, have the shape that the
//! configuration implies, and hold numbers; and no tensor may be left over, since a model that has more
//! than its family would be run wrongly. So a broken file is an error here and not a crash later.

mod finite;
pub(super) mod gguf;
pub(super) mod safetensors;

use super::config::Config;
use crate::lm::LmError;
use candle_core::quantized::GgmlDType;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;

/// Where tensors are found. Their names are those of GGUF.
pub(super) trait WeightSource {
    /// The tensor `name`, where there is one.
    fn find(&self, name: &str) -> Result<Option<Stored<'_>>, LmError>;

    /// What the files call the tensor `name`.
    fn spelling<'a>(&self, name: &'a str) -> Cow<'a, str>;

    /// What the files call their tensors, without those that no model needs.
    fn spellings(&self) -> Vec<&str>;

    /// The bytes of memory that all tensors will take.
    fn memory(&self) -> u64;

    /// The tensor has been taken, and its bytes in the file need no memory any more.
    fn release(&self, stored: Stored<'_>);

    /// What must be added to the weights of norms.
    fn norm_offset(&self) -> f32 {
        0.0
    }
}

/// A tensor as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub format: GgmlDType,
    /// Its dimensions, slowest first.
    pub shape: &'a [usize],
    /// Its rows, as many bytes as its format and shape make.
    pub bytes: &'a [u8],
}

impl Stored<'_> {
    /// The bytes of memory that it will take: the kernels keep quantised weights as they are, and all
    /// others in full precision.
    fn memory(self) -> u64 {
        let length = self.bytes.len() as u64;
        if matches!(self.format, GgmlDType::F16 | GgmlDType::BF16) { 2 * length } else { length }
    }
}

/// What to choose instead of an unreadable format.
const SUPPORTED: &str = "it reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

/// The weights of one layer, its matrices of type `M`. Vectors that a family lacks are `None`.
pub(super) struct Layer<M> {
    pub attention_norm: Vec<f32>,
    pub query: M,
    pub key: M,
    pub value: M,
    pub query_bias: Option<Vec<f32>>,
    pub key_bias: Option<Vec<f32>>,
    pub value_bias: Option<Vec<f32>>,
    pub query_norm: Option<Vec<f32>>,
    pub key_norm: Option<Vec<f32>>,
    pub attention_output: M,
    pub attention_output_norm: Option<Vec<f32>>,
    pub feed_forward_norm: Vec<f32>,
    pub gate: M,
    pub up: M,
    pub down: M,
    pub feed_forward_output_norm: Option<Vec<f32>>,
}

/// All weights of a model.
pub(super) struct Weights<M> {
    pub embedding: M,
    pub layers: Vec<Layer<M>>,
    pub output_norm: Vec<f32>,
    /// `None` where the embedding serves as the head.
    pub head: Option<M>,
    /// Each rotary pair's angle is divided by its factor (Llama 3.1 and later).
    pub rope_factors: Option<Vec<f32>>,
}

/// Makes a matrix of so many rows and columns of a tensor.
pub(super) type MakeMatrix<'a, M> = dyn Fn(Stored<'_>, usize, usize) -> Result<M, LmError> + 'a;

/// Takes tensors from a source, and remembers which.
struct Reader<'a, M> {
    source: &'a dyn WeightSource,
    make: &'a MakeMatrix<'a, M>,
    taken: RefCell<HashSet<String>>,
}

impl<M> Reader<'_, M> {
    fn find(&self, name: &str) -> Result<Option<Stored<'_>>, LmError> {
        let found = self.source.find(name)?;
        if found.is_some() {
            self.taken.borrow_mut().insert(self.source.spelling(name).into_owned());
        }
        Ok(found)
    }

    /// The tensor `name`, which must have this shape and hold numbers.
    fn checked(&self, name: &str, shape: &[usize]) -> Result<Option<Stored<'_>>, LmError> {
        let Some(stored) = self.find(name)? else { return Ok(None) };
        let name = self.source.spelling(name);
        if stored.shape != shape {
            let found = stored.shape;
            return Err(LmError::corrupt(format!("the tensor {name} has shape {found:?}, but the metadata implies {shape:?}")));
        }
        match finite::all_finite(stored.format, stored.bytes) {
            Some(true) => Ok(Some(stored)),
            Some(false) => Err(LmError::corrupt(format!("the tensor {name} holds weights that are no numbers (NaN or infinite)"))),
            None => Err(LmError::unsupported(format!(
                "the tensor {name} is stored as {:?}, which tamis does not read ({SUPPORTED})",
                stored.format
            ))),
        }
    }

    fn missing(&self, name: &str) -> LmError {
        LmError::corrupt(format!("the model lacks the tensor {}", self.source.spelling(name)))
    }

    fn optional_matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Option<M>, LmError> {
        let Some(stored) = self.checked(name, &[rows, columns])? else { return Ok(None) };
        let matrix = (self.make)(stored, rows, columns)?;
        self.source.release(stored);
        Ok(Some(matrix))
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<M, LmError> {
        self.optional_matrix(name, rows, columns)?.ok_or_else(|| self.missing(name))
    }

    fn optional_vector(&self, name: &str, length: usize) -> Result<Option<Vec<f32>>, LmError> {
        let Some(Stored { format, bytes, .. }) = self.checked(name, &[length])? else { return Ok(None) };
        Ok(Some(match format {
            GgmlDType::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            GgmlDType::F16 => bytes.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect(),
            GgmlDType::BF16 => bytes.as_chunks().0.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect(),
            format => {
                return Err(LmError::unsupported(format!("the vector {name} is stored as {format:?}; tamis reads F32, F16 and BF16")));
            }
        }))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
        self.optional_vector(name, length)?.ok_or_else(|| self.missing(name))
    }

    /// The weights of a norm.
    fn norm(&self, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
        let offset = self.source.norm_offset();
        let mut norm = self.vector(name, length)?;
        norm.iter_mut().for_each(|weight| *weight += offset);
        Ok(norm)
    }

    /// Refuses a model with tensors that were not asked for.
    fn nothing_left(&self) -> Result<(), LmError> {
        let taken = self.taken.borrow();
        let mut left: Vec<&str> = self.source.spellings().into_iter().filter(|name| !taken.contains(*name)).collect();
        left.sort_unstable();
        let Some(first) = left.first() else { return Ok(()) };
        let others = if left.len() > 1 { format!(" and {} others", left.len() - 1) } else { String::new() };
        Err(LmError::unsupported(format!("the model has tensors that its architecture has no use for in tamis ({first}{others})")))
    }
}

/// The number of tokens that the model has embeddings of.
pub(super) fn vocabulary_size(source: &dyn WeightSource) -> Result<usize, LmError> {
    let name = "token_embd.weight";
    let stored = source.find(name)?.ok_or_else(|| LmError::corrupt(format!("the model lacks the tensor {}", source.spelling(name))))?;
    match stored.shape {
        [rows, _] => Ok(*rows),
        shape => Err(LmError::corrupt(format!("the tensor {} has shape {shape:?}, not rows of embeddings", source.spelling(name)))),
    }
}

impl<M> Weights<M> {
    /// Takes the weights of a model of this shape; `make` makes matrices.
    pub(super) fn read(source: &dyn WeightSource, config: &Config, make: &MakeMatrix<'_, M>) -> Result<Self, LmError> {
        let reader = Reader { source, make, taken: RefCell::default() };
        let width = config.width;
        let vocabulary = vocabulary_size(source)?;
        let head = match config.tied_head {
            Some(true) => None,
            Some(false) => Some(reader.matrix("output.weight", vocabulary, width)?),
            None => reader.optional_matrix("output.weight", vocabulary, width)?,
        };
        let rope_factors = reader.optional_vector("rope_freqs.weight", config.rope.dimensions / 2)?;
        if rope_factors.iter().flatten().any(|factor| *factor <= 0.0) {
            return Err(LmError::corrupt("the tensor rope_freqs.weight holds factors that are not positive"));
        }
        // Not with_capacity: the number of layers is only a claim until their tensors are found.
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            layers.push(Layer::read(&reader, config, layer)?);
        }
        let embedding = reader.matrix("token_embd.weight", vocabulary, width)?;
        let output_norm = reader.norm("output_norm.weight", width)?;
        reader.nothing_left()?;
        Ok(Self { embedding, layers, output_norm, head, rope_factors: rope_factors.or_else(|| config.rope_factors.clone()) })
    }

    /// The matrix that makes logits.
    pub(super) fn head(&self) -> &M {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

impl<M> Layer<M> {
    fn read(reader: &Reader<'_, M>, config: &Config, layer: usize) -> Result<Self, LmError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let matrix = |part, rows, columns| reader.matrix(&name(part), rows, columns);
        let norm = |part, length| reader.norm(&name(part), length);
        let norm_if = |wanted: bool, part, length| wanted.then(|| norm(part, length)).transpose();
        let bias = |part, length| reader.optional_vector(&name(part), length);
        let (width, wide) = (config.width, config.feed_forward);
        let (queries, keys) = (config.query_width(), config.key_width());
        Ok(Self {
            attention_norm: norm("attn_norm.weight", width)?,
            query: matrix("attn_q.weight", queries, width)?,
            key: matrix("attn_k.weight", keys, width)?,
            value: matrix("attn_v.weight", keys, width)?,
            query_bias: bias("attn_q.bias", queries)?,
            key_bias: bias("attn_k.bias", keys)?,
            value_bias: bias("attn_v.bias", keys)?,
            query_norm: norm_if(config.head_norms, "attn_q_norm.weight", config.head_size)?,
            key_norm: norm_if(config.head_norms, "attn_k_norm.weight", config.head_size)?,
            attention_output: matrix("attn_output.weight", width, queries)?,
            attention_output_norm: norm_if(config.output_norms, "post_attention_norm.weight", width)?,
            feed_forward_norm: norm("ffn_norm.weight", width)?,
            gate: matrix("ffn_gate.weight", wide, width)?,
            up: matrix("ffn_up.weight", wide, width)?,
            down: matrix("ffn_down.weight", width, wide)?,
            feed_forward_output_norm: norm_if(config.output_norms, "post_ffw_norm.weight", width)?,
        })
    }
}
