//! [`Config`] from the metadata of a GGUF file.

use super::{Activation, Config, Rope, Window, all_but_every, unknown_architecture};
use crate::lm::LmError;
use crate::lm::candle::numeric::Pairing;
use candle_core::quantized::gguf_file::Value;
use std::collections::HashMap;

/// How a family differs from the others.
struct Family {
    name: &'static str,
    pairing: Pairing,
    activation: Activation,
    head_norms: bool,
    /// Gemma's ways: normed outputs, scaled embeddings, windows.
    gemma: bool,
}

const FAMILIES: [Family; 4] = [
    Family { name: "llama", pairing: Pairing::Neighbours, activation: Activation::Silu, head_norms: false, gemma: false },
    Family { name: "qwen2", pairing: Pairing::Halves, activation: Activation::Silu, head_norms: false, gemma: false },
    Family { name: "qwen3", pairing: Pairing::Halves, activation: Activation::Silu, head_norms: true, gemma: false },
    Family { name: "gemma3", pairing: Pairing::Halves, activation: Activation::GeluTanh, head_norms: true, gemma: true },
];

/// Gemma 3: one layer in six sees everything; the others turn by this base.
const GEMMA_PERIOD: usize = 6;
const GEMMA_LOCAL_BASE: f64 = 10_000.0;
/// Gemma 3 27B, told by its depth, scales scores by the width per head instead of the head's size.
const GEMMA_27B_LAYERS: usize = 62;

/// Reads the shape of a model from GGUF metadata.
pub(in crate::lm::candle) fn read(metadata: &HashMap<String, Value>) -> Result<Config, LmError> {
    let Some(Value::String(architecture)) = metadata.get("general.architecture") else {
        return Err(LmError::corrupt("the metadata does not name the model's architecture (general.architecture)"));
    };
    let family = FAMILIES.iter().find(|family| family.name == architecture);
    let family = family.ok_or_else(|| unknown_architecture(architecture, FAMILIES.iter().map(|family| family.name)))?;
    let keys = Keys { metadata, architecture };
    if keys.number("expert_count")?.unwrap_or(0) > 0 {
        return Err(LmError::unsupported(format!("this {architecture} model mixes experts, which tamis does not run; use a dense model")));
    }
    let layers = keys.required("block_count")?;
    let width = keys.required("embedding_length")?;
    let heads = keys.required("attention.head_count")?;
    let head_size = match keys.number("attention.key_length")? {
        Some(size) => size,
        None if width.is_multiple_of(heads) => width / heads,
        None => return Err(LmError::corrupt(format!("width {width} is not a multiple of {heads} heads"))),
    };
    let value_size = keys.number("attention.value_length")?.unwrap_or(head_size);
    if value_size != head_size {
        return Err(LmError::unsupported(format!("keys of {head_size} and values of {value_size} elements: tamis needs them equal")));
    }
    for capping in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if keys.real(capping)?.is_some_and(|cap| cap != 0.0) {
            return Err(LmError::unsupported(format!("this {architecture} model caps its logits ({capping}), which tamis does not do")));
        }
    }
    let rope = Rope {
        base: keys.real("rope.freq_base")?.unwrap_or(10_000.0),
        dimensions: keys.number("rope.dimension_count")?.unwrap_or(head_size),
        factor: keys.rope_factor()?,
        pairing: family.pairing,
    };
    let window = match keys.number("attention.sliding_window")? {
        Some(size) if size > 0 && family.gemma => {
            let base = keys.real("rope.freq_base_swa")?.unwrap_or(GEMMA_LOCAL_BASE);
            Some(Window { size, layers: keys.windowed_layers(layers)?, rope: Rope { base, factor: 1.0, ..rope.clone() } })
        }
        // Mistral 7B v0.1 has one for all layers; llama.cpp, too, ignores it in llama files.
        _ => None,
    };
    let epsilon = keys.real("attention.layer_norm_rms_epsilon")?.ok_or_else(|| keys.missing("attention.layer_norm_rms_epsilon"))?;
    let score_size = if family.gemma && layers == GEMMA_27B_LAYERS { width / heads } else { head_size };
    Config {
        architecture: architecture.clone(),
        layers,
        width,
        feed_forward: keys.required("feed_forward_length")?,
        heads,
        key_heads: keys.number("attention.head_count_kv")?.unwrap_or(heads),
        head_size,
        context_length: keys.required("context_length")?,
        epsilon: epsilon as f32,
        rope,
        rope_factors: None,
        window,
        activation: family.activation,
        embedding_scale: if family.gemma { (width as f32).sqrt() } else { 1.0 },
        score_scale: 1.0 / (score_size as f32).sqrt(),
        head_norms: family.head_norms,
        output_norms: family.gemma,
        tied_head: None,
    }
    .checked()
}

/// Access to the keys of one architecture.
struct Keys<'a> {
    metadata: &'a HashMap<String, Value>,
    architecture: &'a str,
}

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(&format!("{}.{key}", self.architecture))
    }

    fn missing(&self, key: &str) -> LmError {
        LmError::corrupt(format!("the metadata lacks {}.{key}", self.architecture))
    }

    fn wrong(&self, key: &str, wanted: &str, value: &Value) -> LmError {
        LmError::corrupt(format!("{}.{key} must be {wanted}, not {value:?}", self.architecture))
    }

    /// A whole number of at most 32 bits, which no dimension of a model passes.
    fn number(&self, key: &str) -> Result<Option<usize>, LmError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = match value {
            Value::U8(number) => Some(u64::from(*number)),
            Value::U16(number) => Some(u64::from(*number)),
            Value::U32(number) => Some(u64::from(*number)),
            Value::U64(number) => Some(*number),
            Value::I32(number) => u64::try_from(*number).ok(),
            Value::I64(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.map(|number| Some(number as usize)).ok_or_else(|| self.wrong(key, "a whole number", value))
    }

    fn required(&self, key: &str) -> Result<usize, LmError> {
        match self.number(key)? {
            Some(0) => Err(LmError::corrupt(format!("{}.{key} must not be 0", self.architecture))),
            Some(number) => Ok(number),
            None => Err(self.missing(key)),
        }
    }

    fn real(&self, key: &str) -> Result<Option<f64>, LmError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::F32(number)) if number.is_finite() => Ok(Some(f64::from(*number))),
            Some(Value::F64(number)) if number.is_finite() => Ok(Some(*number)),
            Some(value) => Err(self.wrong(key, "a finite number", value)),
        }
    }

    /// Which layers have a window: each by name, or all but every so-and-so-many-th.
    fn windowed_layers(&self, layers: usize) -> Result<Vec<bool>, LmError> {
        let key = "attention.sliding_window_pattern";
        let Some(value @ Value::Array(list)) = self.get(key) else {
            return Ok(all_but_every(self.number(key)?.unwrap_or(GEMMA_PERIOD), layers));
        };
        let list: Option<Vec<bool>> = list.iter().map(|value| value.to_bool().ok()).collect();
        list.filter(|list| list.len() == layers).ok_or_else(|| self.wrong(key, "a number or a list of one flag a layer", value))
    }

    fn rope_factor(&self) -> Result<f64, LmError> {
        match self.get("rope.scaling.type") {
            None => Ok(self.real("rope.scale_linear")?.unwrap_or(1.0)),
            Some(Value::String(kind)) if kind == "none" => Ok(1.0),
            Some(Value::String(kind)) if kind == "linear" => Ok(self.real("rope.scaling.factor")?.unwrap_or(1.0)),
            Some(Value::String(kind)) => {
                Err(LmError::unsupported(format!("tamis does not stretch rotary positions by {kind:?}; it knows \"none\" and \"linear\"")))
            }
            Some(value) => Err(self.wrong("rope.scaling.type", "a text", value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(architecture: &str, extra: &[(&str, Value)]) -> HashMap<String, Value> {
        let numbers = [
            ("block_count", 2),
            ("embedding_length", 32),
            ("attention.head_count", 4),
            ("feed_forward_length", 64),
            ("context_length", 128),
        ];
        let mut metadata: HashMap<_, _> =
            numbers.iter().map(|(key, number)| (format!("{architecture}.{key}"), Value::U32(*number))).collect();
        metadata.insert("general.architecture".into(), Value::String(architecture.into()));
        metadata.insert(format!("{architecture}.attention.layer_norm_rms_epsilon"), Value::F32(1e-5));
        for (key, value) in extra {
            metadata.insert(format!("{architecture}.{key}"), value.clone());
        }
        metadata
    }

    #[test]
    fn a_shape_is_read_with_its_defaults() {
        let config = read(&metadata("llama", &[])).unwrap();
        assert_eq!((config.heads, config.key_heads, config.head_size, config.query_width()), (4, 4, 8, 32));
        assert_eq!((config.rope.base, config.rope.factor, config.rope.pairing), (10_000.0, 1.0, Pairing::Neighbours));
        assert_eq!(config.window(0), None);
    }

    #[test]
    fn gemma_sees_everything_in_one_layer_of_six() {
        let layers = ("block_count", Value::U32(18));
        let entries = [layers, ("attention.sliding_window", Value::U32(512)), ("rope.freq_base", Value::F32(1e6))];
        let config = read(&metadata("gemma3", &entries)).unwrap();
        let open: Vec<_> = (0..18).filter(|layer| config.window(*layer).is_none()).collect();
        assert_eq!(open, [5, 11, 17]);
        assert_eq!((config.rope.base, config.window(0).unwrap().rope.base), (1e6, 10_000.0));
    }

    #[test]
    fn windows_may_be_listed_layer_by_layer() {
        let flags = |flags: &[bool]| Value::Array(flags.iter().map(|flag| Value::Bool(*flag)).collect());
        let windowed = |value| {
            let entries = [("attention.sliding_window", Value::U32(4)), ("attention.sliding_window_pattern", value)];
            read(&metadata("gemma3", &entries)).map(|config| [0, 1].map(|layer| config.window(layer).is_some()))
        };
        assert_eq!(windowed(flags(&[false, true])).unwrap(), [false, true]);
        assert_eq!(windowed(Value::U32(2)).unwrap(), [true, false]);
        assert!(windowed(flags(&[true])).unwrap_err().to_string().contains("sliding_window_pattern"));
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        let refused = |metadata| read(&metadata).unwrap_err();
        let error = refused(metadata("mamba", &[]));
        assert!(error.is_unsupported() && error.to_string().contains("mamba") && error.to_string().contains("qwen3"));
        let error = refused(metadata("llama", &[("rope.scaling.type", Value::String("yarn".into()))]));
        assert!(error.is_unsupported() && error.to_string().contains("yarn"));
        assert!(refused(metadata("llama", &[("expert_count", Value::U32(8))])).is_unsupported());
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_with_their_key() {
        for (key, value) in [
            ("block_count", Value::U32(0)),
            ("block_count", Value::String("two".into())),
            ("embedding_length", Value::U64(1 << 40)),
            ("embedding_length", Value::I32(-1)),
            ("attention.layer_norm_rms_epsilon", Value::F32(f32::NAN)),
        ] {
            let error = read(&metadata("llama", &[(key, value)])).unwrap_err();
            assert!(error.is_corrupt() && error.to_string().contains(key), "{error}");
        }
        for (key, value) in [("attention.head_count_kv", 3), ("rope.dimension_count", 7), ("rope.dimension_count", 10)] {
            assert!(read(&metadata("llama", &[(key, Value::U32(value))])).unwrap_err().is_corrupt());
        }
    }
}
