//! Tiny models as folders in Hugging Face's layout, with the very weights of their GGUF files.

use super::Tiny;
use candle_core::quantized::{GgmlDType, QTensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that is removed when dropped.
pub struct TempFolder(PathBuf);

impl TempFolder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tamis-test-folder-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).unwrap();
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tensor as safetensors store it.
#[derive(Clone)]
pub struct Plain {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub type Tensors = BTreeMap<String, Plain>;

/// A safetensors file with these tensors.
pub fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let views = tensors.iter().map(|(name, Plain { dtype, shape, bytes })| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

impl Tiny {
    /// The folder of the model whose GGUF file is `self.gguf(seed)`, without a tokenizer.
    pub fn folder(&self, seed: u64) -> TempFolder {
        let folder = TempFolder::new();
        folder.write("config.json", self.config_json().to_string());
        folder.write("model.safetensors", safetensors(&self.plain_tensors(seed)));
        folder
    }

    pub fn config_json(&self) -> Value {
        let model_type = if self.architecture == "gemma3" { "gemma3_text" } else { self.architecture };
        let mut config = json!({
            "architectures": ["SomethingForCausalLM"], "model_type": model_type,
            "num_hidden_layers": self.layers, "hidden_size": self.width, "intermediate_size": self.feed_forward,
            "num_attention_heads": self.heads, "num_key_value_heads": self.key_heads, "head_dim": self.head_size,
            "vocab_size": self.vocabulary, "max_position_embeddings": self.context_length, "rms_norm_eps": 1e-5,
            "rope_theta": 1e4, "hidden_act": "silu", "tie_word_embeddings": true,
        });
        if self.architecture == "gemma3" {
            config["hidden_act"] = Value::Null;
            config["hidden_activation"] = json!("gelu_pytorch_tanh");
            config["query_pre_attn_scalar"] = json!(self.head_size);
            config["sliding_window"] = json!(self.window);
        }
        config
    }

    pub fn plain_tensors(&self, seed: u64) -> Tensors {
        let tensors = self.tensors(&mut ChaCha8Rng::seed_from_u64(seed));
        tensors.iter().map(|(name, tensor)| (self.hugging_face_name(name), self.plain(name, tensor))).collect()
    }

    fn hugging_face_name(&self, name: &str) -> String {
        let gemma = self.architecture == "gemma3";
        match name {
            "token_embd.weight" => return "model.embed_tokens.weight".into(),
            "output_norm.weight" => return "model.norm.weight".into(),
            _ => {}
        }
        let [_, layer, part, kind] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let part = match part {
            "attn_norm" => "input_layernorm",
            "ffn_norm" if gemma => "pre_feedforward_layernorm",
            "ffn_norm" | "post_attention_norm" => "post_attention_layernorm",
            "post_ffw_norm" => "post_feedforward_layernorm",
            "attn_q_norm" => "self_attn.q_norm",
            "attn_k_norm" => "self_attn.k_norm",
            "attn_q" => "self_attn.q_proj",
            "attn_k" => "self_attn.k_proj",
            "attn_v" => "self_attn.v_proj",
            "attn_output" => "self_attn.o_proj",
            "ffn_gate" => "mlp.gate_proj",
            "ffn_up" => "mlp.up_proj",
            "ffn_down" => "mlp.down_proj",
            _ => panic!("{name}"),
        };
        format!("model.layers.{layer}.{part}.{kind}")
    }

    /// The tensor as it was before it was converted to GGUF.
    fn plain(&self, name: &str, tensor: &QTensor) -> Plain {
        let dtype = match tensor.dtype() {
            GgmlDType::F32 => Dtype::F32,
            GgmlDType::F16 => Dtype::F16,
            GgmlDType::BF16 => Dtype::BF16,
            other => panic!("{other:?} is not of safetensors"),
        };
        let shape = tensor.shape().dims().to_vec();
        let mut bytes = tensor.data().unwrap().into_owned();
        if self.architecture == "llama" && (name.contains("attn_q") || name.contains("attn_k")) {
            // GGUF's rows are neighbours where the originals are halves apart.
            let row = bytes.len() / shape[0];
            let half = self.head_size / 2;
            let from = |to: usize| {
                let (head, element) = (to / self.head_size, to % self.head_size);
                head * self.head_size + 2 * (element % half) + element / half
            };
            bytes = (0..shape[0]).flat_map(|to| bytes[from(to) * row..][..row].to_vec()).collect();
        }
        if self.architecture == "gemma3" && name.contains("norm") {
            // Exact: the weights are near 1.
            let weights = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes) - 1.0);
            bytes = weights.flat_map(f32::to_le_bytes).collect();
        }
        Plain { dtype, shape, bytes }
    }
}

/// A byte-level `tokenizer.json`: token `b` is byte `b`, 256 is `<|im_start|>`, 257 is `<|im_end|>`.
pub fn tokenizer_json() -> Value {
    let mut next = 0x100;
    let mut vocabulary = serde_json::Map::new();
    for byte in 0..=255u8 {
        let printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let character = if printable { u32::from(byte) } else { next };
        next += u32::from(!printable);
        vocabulary.insert(char::from_u32(character).unwrap().to_string(), byte.into());
    }
    let added = |id: u32, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [added(256, "<|im_start|>"), added(257, "<|im_end|>")], "pre_tokenizer": level, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": []},
    })
}
