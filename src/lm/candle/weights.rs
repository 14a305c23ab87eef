//! A GGUF file, mapped and checked, and the weights of a model taken from it.
//!
//! The header is read by candle over the mapping; tensors are then taken straight from the mapping into
//! the layout that the kernels want, without a copy between. Everything that a header says is checked
//! before it is believed: a tensor must lie in the file, and have the shape that the metadata implies,
//! so a broken file is an error here and not a crash later.

use super::config::Config;
use super::kernels::{Matrix, Pool};
use crate::lm::LmError;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use memmap2::Mmap;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// A mapped GGUF file.
pub(super) struct GgufFile {
    map: Mmap,
    content: Content,
}

impl GgufFile {
    /// Maps `path` and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, LmError> {
        let shown = path.display();
        let file = File::open(path).map_err(|error| LmError::not_found(format!("cannot open the model {shown}")).caused_by(error))?;
        // SAFETY: the mapping is read-only and private to this value. Another process could still change
        // or truncate the file while it is mapped, as with any mapped file; models are written under
        // another name and renamed when whole, and the mapping is dropped once the weights are taken.
        let map =
            unsafe { Mmap::map(&file) }.map_err(|error| LmError::corrupt(format!("cannot map the model {shown}")).caused_by(error))?;
        let content = Content::read(&mut HeaderReader { bytes: Cursor::new(&map), value: Watched::Nothing }).map_err(|error| {
            let message = error.to_string();
            // Candle gives no kinds of errors; this text is pinned by a test.
            if message.contains("unknown dtype") {
                LmError::unsupported(format!("{shown} stores weights in a format that tamis does not read ({SUPPORTED}): {message}"))
            } else {
                LmError::corrupt(format!("{shown} is not a whole GGUF file; fetch it again: {message}"))
            }
        })?;
        Ok(Self { map, content })
    }

    /// What the file says about itself.
    pub(super) fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// The dimensions of a tensor, slowest first.
    fn shape(&self, name: &str) -> Result<&[usize], LmError> {
        let info = self.content.tensor_infos.get(name);
        info.map(|info| info.shape.dims()).ok_or_else(|| LmError::corrupt(format!("the model lacks the tensor {name}")))
    }

    /// The format and bytes of tensor `name`, which must have this shape.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<(GgmlDType, &[u8]), LmError> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(LmError::corrupt(format!("the tensor {name} has shape {found:?}, but the metadata implies {shape:?}")));
        }
        let info = &self.content.tensor_infos[name];
        let (format, columns) = (info.ggml_dtype, shape[shape.len() - 1]);
        if !columns.is_multiple_of(format.block_size()) {
            return Err(LmError::corrupt(format!("the rows of {name} have {columns} elements, no multiple of a {format:?} block")));
        }
        let bytes = || {
            let elements = shape.iter().try_fold(1usize, |product, dimension| product.checked_mul(*dimension))?;
            let length = (elements / format.block_size()).checked_mul(format.type_size())?;
            let start = usize::try_from(self.content.tensor_data_offset.checked_add(info.offset)?).ok()?;
            self.map.get(start..start.checked_add(length)?).filter(|_| start.is_multiple_of(8))
        };
        let bytes = bytes().ok_or_else(|| {
            LmError::corrupt(format!("the tensor {name} does not lie in the file ({} bytes long); fetch it again", self.map.len()))
        })?;
        Ok((format, bytes))
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize, pool: &Pool) -> Result<Matrix, LmError> {
        let (format, bytes) = self.tensor(name, &[rows, columns])?;
        if matches!(format, GgmlDType::Q8_1 | GgmlDType::Q8K | GgmlDType::Q2K | GgmlDType::Q3K) {
            return Err(LmError::unsupported(format!(
                "the tensor {name} is stored as {format:?}, which tamis does not read ({SUPPORTED})"
            )));
        }
        Matrix::from_ggml(format, rows, columns, bytes, pool)
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
        match self.tensor(name, &[length])? {
            (GgmlDType::F32, bytes) => Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            (GgmlDType::F16, bytes) => Ok(bytes.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()),
            (GgmlDType::BF16, bytes) => Ok(bytes.as_chunks().0.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect()),
            (format, _) => Err(LmError::unsupported(format!("the vector {name} is stored as {format:?}; tamis reads F32, F16 and BF16"))),
        }
    }

    fn optional_vector(&self, name: &str, length: usize) -> Result<Option<Vec<f32>>, LmError> {
        self.has(name).then(|| self.vector(name, length)).transpose()
    }
}

/// What to choose instead of an unreadable format.
const SUPPORTED: &str = "it reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

/// Reads a header, and stops at an alignment of zero, by which candle would divide.
struct HeaderReader<'a> {
    bytes: Cursor<&'a Mmap>,
    value: Watched,
}

/// Which part of the entry `general.alignment` comes next.
enum Watched {
    Nothing,
    Type,
    Value,
}

impl Read for HeaderReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        let read = &buffer[..count];
        self.value = match self.value {
            Watched::Value if read.iter().all(|byte| *byte == 0) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "general.alignment is zero"));
            }
            Watched::Type => Watched::Value,
            _ if read.strip_suffix(b"\0").unwrap_or(read) == b"general.alignment" => Watched::Type,
            _ => Watched::Nothing,
        };
        Ok(count)
    }
}

impl Seek for HeaderReader<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}

/// The weights of one layer. Vectors that a family lacks are `None`.
pub(super) struct Layer {
    pub attention_norm: Vec<f32>,
    pub query: Matrix,
    pub key: Matrix,
    pub value: Matrix,
    pub query_bias: Option<Vec<f32>>,
    pub key_bias: Option<Vec<f32>>,
    pub value_bias: Option<Vec<f32>>,
    pub query_norm: Option<Vec<f32>>,
    pub key_norm: Option<Vec<f32>>,
    pub attention_output: Matrix,
    pub attention_output_norm: Option<Vec<f32>>,
    pub feed_forward_norm: Vec<f32>,
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
    pub feed_forward_output_norm: Option<Vec<f32>>,
}

/// All weights of a model.
pub(super) struct Weights {
    pub embedding: Matrix,
    pub layers: Vec<Layer>,
    pub output_norm: Vec<f32>,
    /// `None` where the embedding serves as the head.
    pub head: Option<Matrix>,
    /// Each rotary pair's angle is divided by its factor (Llama 3.1 and later).
    pub rope_factors: Option<Vec<f32>>,
}

impl Weights {
    /// Takes the weights of a model of this shape; `pool` repacks them.
    pub(super) fn read(file: &GgufFile, config: &Config, pool: &Pool) -> Result<Self, LmError> {
        let width = config.width;
        let vocabulary = match file.shape("token_embd.weight")? {
            [rows, _] => *rows,
            shape => return Err(LmError::corrupt(format!("the tensor token_embd.weight has shape {shape:?}, not rows of {width}"))),
        };
        let head = if file.has("output.weight") { Some(file.matrix("output.weight", vocabulary, width, pool)?) } else { None };
        let rope_factors = file.optional_vector("rope_freqs.weight", config.rope.dimensions / 2)?;
        if rope_factors.iter().flatten().any(|factor| !(factor.is_finite() && *factor > 0.0)) {
            return Err(LmError::corrupt("the tensor rope_freqs.weight holds factors that are not positive"));
        }
        // Not with_capacity: the number of layers is only a claim until their tensors are found.
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            layers.push(Layer::read(file, config, layer, pool)?);
        }
        Ok(Self {
            embedding: file.matrix("token_embd.weight", vocabulary, width, pool)?,
            layers,
            output_norm: file.vector("output_norm.weight", width)?,
            head,
            rope_factors,
        })
    }

    /// The matrix that makes logits.
    pub(super) fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

impl Layer {
    fn read(file: &GgufFile, config: &Config, layer: usize, pool: &Pool) -> Result<Self, LmError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let matrix = |part, rows, columns| file.matrix(&name(part), rows, columns, pool);
        let vector = |part, length| file.vector(&name(part), length);
        let vector_if = |wanted: bool, part, length| wanted.then(|| file.vector(&name(part), length)).transpose();
        let bias = |part, length| file.optional_vector(&name(part), length);
        let (width, wide) = (config.width, config.feed_forward);
        let (queries, keys) = (config.query_width(), config.key_width());
        Ok(Self {
            attention_norm: vector("attn_norm.weight", width)?,
            query: matrix("attn_q.weight", queries, width)?,
            key: matrix("attn_k.weight", keys, width)?,
            value: matrix("attn_v.weight", keys, width)?,
            query_bias: bias("attn_q.bias", queries)?,
            key_bias: bias("attn_k.bias", keys)?,
            value_bias: bias("attn_v.bias", keys)?,
            query_norm: vector_if(config.head_norms, "attn_q_norm.weight", config.head_size)?,
            key_norm: vector_if(config.head_norms, "attn_k_norm.weight", config.head_size)?,
            attention_output: matrix("attn_output.weight", width, queries)?,
            attention_output_norm: vector_if(config.output_norms, "post_attention_norm.weight", width)?,
            feed_forward_norm: vector("ffn_norm.weight", width)?,
            gate: matrix("ffn_gate.weight", wide, width)?,
            up: matrix("ffn_up.weight", wide, width)?,
            down: matrix("ffn_down.weight", width, wide)?,
            feed_forward_output_norm: vector_if(config.output_norms, "post_ffw_norm.weight", width)?,
        })
    }
}
