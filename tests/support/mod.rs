//! What the tests of language models share: small random models, and where the real one is.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod folder;
pub mod laws;
pub mod llama_cpp;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tamis::lm::candle::{ALIASES, ModelSource};
use tamis::vocab::{Token, Vocabulary};

/// The quantised formats that models are read in.
pub const QUANTISED: [GgmlDType; 8] =
    [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K];

/// The shape of a tiny model.
#[derive(Clone)]
pub struct Tiny {
    pub architecture: &'static str,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub head_size: usize,
    pub feed_forward: usize,
    pub vocabulary: usize,
    pub context_length: usize,
    pub format: GgmlDType,
    pub window: Option<usize>,
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            architecture: "llama",
            layers: 2,
            width: 64,
            heads: 6,
            key_heads: 2,
            head_size: 24,
            feed_forward: 96,
            vocabulary: 40,
            context_length: 200,
            format: GgmlDType::Q8_0,
            window: None,
        }
    }
}

impl Tiny {
    /// The bytes of a GGUF file with random weights.
    pub fn gguf(&self, seed: u64) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        gguf(&self.metadata(), &self.tensors(&mut rng))
    }

    /// The same, written to a file of its own.
    pub fn write(&self, seed: u64) -> TempFile {
        TempFile::new(&self.gguf(seed))
    }

    pub fn metadata(&self) -> Vec<(String, Value)> {
        let key = |key: &str| format!("{}.{key}", self.architecture);
        let number = |value: usize| Value::U32(value as u32);
        let mut metadata = vec![
            ("general.architecture".to_string(), Value::String(self.architecture.into())),
            (key("block_count"), number(self.layers)),
            (key("embedding_length"), number(self.width)),
            (key("feed_forward_length"), number(self.feed_forward)),
            (key("attention.head_count"), number(self.heads)),
            (key("attention.head_count_kv"), number(self.key_heads)),
            (key("attention.key_length"), number(self.head_size)),
            (key("attention.value_length"), number(self.head_size)),
            (key("attention.layer_norm_rms_epsilon"), Value::F32(1e-5)),
            (key("context_length"), number(self.context_length)),
        ];
        if let Some(window) = self.window {
            metadata.push((key("attention.sliding_window"), number(window)));
        }
        metadata
    }

    pub fn tensors(&self, rng: &mut impl Rng) -> Vec<(String, QTensor)> {
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize], format: GgmlDType, centre: f32| {
            let spread = if shape.len() == 1 { 0.3 } else { 2.0 / (shape[1] as f32).sqrt() };
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| centre + spread * (rng.random::<f32>() * 2.0 - 1.0)).collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            tensors.push((name, QTensor::quantize(&tensor, format).unwrap()));
        };
        let (width, wide, format) = (self.width, self.feed_forward, self.format);
        let (queries, keys) = (self.heads * self.head_size, self.key_heads * self.head_size);
        // Rows that are no multiple of a block stay in full precision, as quantising tools do.
        let fit = |columns: usize| if columns.is_multiple_of(format.block_size()) { format } else { GgmlDType::F32 };
        add("token_embd.weight".into(), &[self.vocabulary, width], fit(width), 0.0);
        add("output_norm.weight".into(), &[width], GgmlDType::F32, 1.0);
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            for norm in ["attn_norm.weight", "ffn_norm.weight"] {
                add(name(norm), &[width], GgmlDType::F32, 1.0);
            }
            add(name("attn_q.weight"), &[queries, width], fit(width), 0.0);
            add(name("attn_k.weight"), &[keys, width], fit(width), 0.0);
            add(name("attn_v.weight"), &[keys, width], fit(width), 0.0);
            add(name("attn_output.weight"), &[width, queries], fit(queries), 0.0);
            add(name("ffn_gate.weight"), &[wide, width], fit(width), 0.0);
            add(name("ffn_up.weight"), &[wide, width], fit(width), 0.0);
            add(name("ffn_down.weight"), &[width, wide], fit(wide), 0.0);
            if self.architecture == "qwen2" {
                for (part, length) in [("attn_q.bias", queries), ("attn_k.bias", keys), ("attn_v.bias", keys)] {
                    add(name(part), &[length], GgmlDType::F32, 0.0);
                }
            }
            if matches!(self.architecture, "qwen3" | "gemma3") {
                add(name("attn_q_norm.weight"), &[self.head_size], GgmlDType::F32, 1.0);
                add(name("attn_k_norm.weight"), &[self.head_size], GgmlDType::F32, 1.0);
            }
            if self.architecture == "gemma3" {
                add(name("post_attention_norm.weight"), &[width], GgmlDType::F32, 1.0);
                add(name("post_ffw_norm.weight"), &[width], GgmlDType::F32, 1.0);
            }
        }
        tensors
    }

    /// The bytes of a GGUF file of Phi 3's architecture: queries, keys and values in one matrix, gate and up
    /// in another.
    pub fn phi3(&self, seed: u64) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize], format: GgmlDType| {
            let centre = if shape.len() == 1 { 1.0 } else { 0.0 };
            let spread = 2.0 / (shape[shape.len() - 1] as f32).sqrt();
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| centre + spread * (rng.random::<f32>() * 2.0 - 1.0)).collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            tensors.push((name, QTensor::quantize(&tensor, format).unwrap()));
        };
        let (width, wide, heads) = (self.width, self.feed_forward, self.heads + 2 * self.key_heads);
        add("token_embd.weight".into(), &[self.vocabulary, width], self.format);
        add("output.weight".into(), &[self.vocabulary, width], self.format);
        add("output_norm.weight".into(), &[width], GgmlDType::F32);
        for layer in 0..self.layers {
            add(format!("blk.{layer}.attn_norm.weight"), &[width], GgmlDType::F32);
            add(format!("blk.{layer}.ffn_norm.weight"), &[width], GgmlDType::F32);
            add(format!("blk.{layer}.attn_qkv.weight"), &[heads * self.head_size, width], self.format);
            add(format!("blk.{layer}.attn_output.weight"), &[width, width], self.format);
            add(format!("blk.{layer}.ffn_up.weight"), &[2 * wide, width], self.format);
            add(format!("blk.{layer}.ffn_down.weight"), &[width, wide], self.format);
        }
        let mut metadata = Self { architecture: "phi3", ..self.clone() }.metadata();
        metadata.push(("phi3.rope.dimension_count".into(), Value::U32(self.head_size as u32)));
        gguf(&metadata, &tensors)
    }

    /// A vocabulary of the model's size: one byte a token, and an end.
    pub fn vocabulary(&self) -> Arc<Vocabulary> {
        plain_vocabulary(self.vocabulary)
    }
}

/// The bytes of a GGUF file.
pub fn gguf(metadata: &[(String, Value)], tensors: &[(String, QTensor)]) -> Vec<u8> {
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    file.into_inner()
}

/// `size - 1` tokens of text, and an end.
pub fn plain_vocabulary(size: usize) -> Arc<Vocabulary> {
    let tokens = (1..size).map(|id| Token::Text(id.to_string().into_bytes())).chain([Token::End]);
    Arc::new(Vocabulary::new(tokens).unwrap())
}

/// A file that is removed when dropped.
pub struct TempFile(PathBuf);

impl TempFile {
    pub fn new(bytes: &[u8]) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tamis-test-{}-{}.gguf", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The default model's file: `TAMIS_TEST_MODEL`, or the one that `tamis` keeps, which is fetched first where
/// `TAMIS_TEST_DOWNLOAD=1` allows it. Says so where there is none.
pub fn real_model() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("TAMIS_TEST_MODEL") {
        return Some(path.into());
    }
    let source = ModelSource::parse(ALIASES[0].name).unwrap();
    if source.is_here() || std::env::var_os("TAMIS_TEST_DOWNLOAD").is_some_and(|value| value == "1") {
        return Some(source.fetch(&mut |_| {}).unwrap());
    }
    println!("skipped: the default model is not in the cache; set TAMIS_TEST_DOWNLOAD=1 to fetch it");
    None
}

/// A file of the folder that the project's tasks share; says so where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let file = folder.join(path);
    if !file.exists() {
        println!("skipped: {} is not here", file.display());
        return None;
    }
    Some(file)
}
