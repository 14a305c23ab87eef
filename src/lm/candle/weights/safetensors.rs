//! A folder of safetensors, mapped and checked, in the layout that Hugging Face's models have.

use super::{Stored, WeightSource};
use crate::lm::LmError;
use crate::lm::candle::mapped;
use candle_core::quantized::GgmlDType;
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

/// Mapped safetensors files with the tensors of one model.
pub(in crate::lm::candle) struct SafetensorsFiles {
    files: Vec<File>,
    /// Which file has the tensor of this name.
    places: HashMap<String, usize>,
    layout: &'static Layout,
    /// Whether it is a Gemma, which has four norms a layer and stores them less one.
    gemma: bool,
}

struct File {
    map: Mmap,
    metadata: Metadata,
    /// Where the tensors begin.
    start: usize,
}

/// What may stand before the names of a language model's parts, and what its head is called: in a model
/// with a head, in one without, and in two spellings beside one that sees.
const LAYOUTS: [Layout; 4] = [
    Layout { prefix: "model.", head: "lm_head.weight" },
    Layout { prefix: "", head: "lm_head.weight" },
    Layout { prefix: "language_model.model.", head: "language_model.lm_head.weight" },
    Layout { prefix: "model.language_model.", head: "lm_head.weight" },
];

struct Layout {
    prefix: &'static str,
    head: &'static str,
}

/// What stands before the names of what sees, which is not run.
const OTHERS: [&str; 3] = ["vision_tower.", "multi_modal_projector.", "vision_model."];

impl SafetensorsFiles {
    /// Maps `paths` and reads their headers.
    pub(in crate::lm::candle) fn open(paths: &[PathBuf], gemma: bool) -> Result<Self, LmError> {
        let mut files = Vec::new();
        let mut places = HashMap::new();
        for path in paths {
            let map = mapped::map(path)?;
            let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| {
                LmError::corrupt(format!("{} is not a whole safetensors file; fetch it again", path.display())).caused_by(error)
            })?;
            for name in metadata.offset_keys() {
                if places.insert(name.clone(), files.len()).is_some() {
                    return Err(LmError::corrupt(format!("the tensor {name} is stored twice, the second time in {}", path.display())));
                }
            }
            // Before the header stands its length, in eight bytes.
            files.push(File { map, metadata, start: header + 8 });
        }
        let embedded = |layout: &&Layout| places.contains_key(&format!("{}embed_tokens.weight", layout.prefix));
        let layout = LAYOUTS.iter().find(embedded).ok_or_else(|| {
            LmError::corrupt("the model lacks the tensor model.embed_tokens.weight, under any of the names that tamis knows")
        })?;
        Ok(Self { files, places, layout, gemma })
    }

    /// The tensor of this spelling.
    fn stored(&self, spelling: &str) -> Result<Option<Stored<'_>>, LmError> {
        let Some(place) = self.places.get(spelling) else { return Ok(None) };
        let File { map, metadata, start } = &self.files[*place];
        let Some(info) = metadata.info(spelling) else { return Ok(None) };
        let format = match info.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                return Err(LmError::unsupported(format!(
                    "the tensor {spelling} is stored as {other:?}; from safetensors tamis reads F32, F16 and BF16"
                )));
            }
        };
        let (from, to) = info.data_offsets;
        // The library has checked that it lies in the file and has the length of its shape.
        let bytes = map.get(start + from..start + to);
        let bytes = bytes.ok_or_else(|| LmError::corrupt(format!("the tensor {spelling} does not lie in its file; fetch it again")))?;
        Ok(Some(Stored { format, shape: &info.shape, bytes }))
    }

    /// The name of a layer's part.
    fn part<'a>(&self, part: &'a str) -> &'a str {
        match part {
            "attn_norm" => "input_layernorm",
            "attn_q" => "self_attn.q_proj",
            "attn_k" => "self_attn.k_proj",
            "attn_v" => "self_attn.v_proj",
            "attn_q_norm" => "self_attn.q_norm",
            "attn_k_norm" => "self_attn.k_norm",
            "attn_output" => "self_attn.o_proj",
            "post_attention_norm" => "post_attention_layernorm",
            // In most families attention has no norm behind it, and this one is named for its place.
            "ffn_norm" if !self.gemma => "post_attention_layernorm",
            "ffn_norm" => "pre_feedforward_layernorm",
            "post_ffw_norm" => "post_feedforward_layernorm",
            "ffn_gate" => "mlp.gate_proj",
            "ffn_up" => "mlp.up_proj",
            "ffn_down" => "mlp.down_proj",
            other => other,
        }
    }
}

impl WeightSource for SafetensorsFiles {
    fn find(&self, name: &str) -> Result<Option<Stored<'_>>, LmError> {
        self.stored(&self.spelling(name))
    }

    fn spelling<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Layout { prefix, head } = self.layout;
        let spelled = match name {
            "token_embd.weight" => format!("{prefix}embed_tokens.weight"),
            "output_norm.weight" => format!("{prefix}norm.weight"),
            "output.weight" => return Cow::Borrowed(*head),
            _ => {
                let Some((layer, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else { return name.into() };
                let (part, kind) = part.rsplit_once('.').unwrap_or((part, "weight"));
                format!("{prefix}layers.{layer}.{}.{kind}", self.part(part))
            }
        };
        spelled.into()
    }

    fn spellings(&self) -> Vec<&str> {
        let names = self.places.keys().map(String::as_str);
        // A tied head may be stored all the same; rotary angles follow from the configuration.
        let needless = |name: &str| name.ends_with("lm_head.weight") || name.ends_with("rotary_emb.inv_freq");
        let other = |name: &str| OTHERS.iter().any(|other| name.strip_prefix("model.").unwrap_or(name).starts_with(other));
        names.filter(|name| !needless(name) && !other(name)).collect()
    }

    fn memory(&self) -> u64 {
        self.spellings().into_iter().filter_map(|spelling| self.stored(spelling).ok()?).map(Stored::memory).sum()
    }

    fn release(&self, stored: Stored<'_>) {
        self.files.iter().for_each(|file| mapped::release(&file.map, stored.bytes));
    }

    fn norm_offset(&self) -> f32 {
        if self.gemma { 1.0 } else { 0.0 }
    }
}
