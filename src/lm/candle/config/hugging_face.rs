//! [`Config`] from the `config.json` that stands beside safetensors files.

use super::{Activation, Config, Rope, Window, all_but_every, unknown_architecture};
use crate::lm::LmError;
use crate::lm::candle::numeric::Pairing;
use serde::Deserialize;
use serde_json::Value;
use std::f64::consts::PI;

/// What tamis reads of a `config.json`. Numbers that it may leave out have their family's default.
#[derive(Deserialize)]
struct Fields {
    model_type: Option<String>,
    /// The language model of one that also sees.
    text_config: Option<Box<Fields>>,
    num_hidden_layers: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    /// What Gemma calls it.
    hidden_activation: Option<String>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    rope_scaling: Option<Value>,
    /// The newer spelling of the three above.
    rope_parameters: Option<Value>,
    partial_rotary_factor: Option<f64>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    sliding_window_pattern: Option<usize>,
    /// Its newer spelling.
    _sliding_window_pattern: Option<usize>,
    layer_types: Option<Vec<String>>,
    query_pre_attn_scalar: Option<f64>,
    attn_logit_softcapping: Option<f64>,
    final_logit_softcapping: Option<f64>,
    use_bidirectional_attention: Option<bool>,
    tie_word_embeddings: Option<bool>,
    quantization_config: Option<Value>,
}

/// How a family differs from the others.
struct Family {
    model_type: &'static str,
    activation: Activation,
    head_norms: bool,
    windows: Windows,
}

/// Which layers attend to the newest positions only, where a window is given.
#[derive(Clone, Copy, PartialEq)]
enum Windows {
    None,
    /// All of them.
    Mistral,
    /// If it is switched on, all from a certain one on.
    Qwen,
    /// All but every sixth. With it come Gemma's other ways: normed outputs, scaled embeddings.
    Gemma,
}

const FAMILIES: [Family; 6] = [
    Family { model_type: "llama", activation: Activation::Silu, head_norms: false, windows: Windows::None },
    Family { model_type: "mistral", activation: Activation::Silu, head_norms: false, windows: Windows::Mistral },
    Family { model_type: "qwen2", activation: Activation::Silu, head_norms: false, windows: Windows::Qwen },
    Family { model_type: "qwen3", activation: Activation::Silu, head_norms: true, windows: Windows::Qwen },
    Family { model_type: "gemma3_text", activation: Activation::GeluTanh, head_norms: true, windows: Windows::Gemma },
    Family { model_type: "gemma3", activation: Activation::GeluTanh, head_norms: true, windows: Windows::Gemma },
];

/// Reads the shape of a model from the text of a `config.json`.
pub(in crate::lm::candle) fn read(json: &[u8]) -> Result<Config, LmError> {
    let broken = |error: serde_json::Error| LmError::corrupt("config.json is not what it should be").caused_by(error);
    let outer: Fields = serde_json::from_slice(json).map_err(broken)?;
    if outer.quantization_config.is_some() {
        return Err(LmError::unsupported(
            "config.json has a quantization_config: these weights are packed in a way that tamis does not read; \
             take the unquantised model, or a GGUF file of it",
        ));
    }
    let name = outer.model_type.clone().ok_or_else(|| missing("model_type"))?;
    let family = FAMILIES.iter().find(|family| family.model_type == name);
    let family = family.ok_or_else(|| unknown_architecture(&name, FAMILIES.iter().map(|family| family.model_type)))?;
    let (tied, fields) = (outer.tie_word_embeddings, outer.text_config.map_or(Fields { text_config: None, ..outer }, |inner| *inner));
    fields.config(family, tied)
}

fn missing(key: &str) -> LmError {
    LmError::corrupt(format!("config.json lacks {key}"))
}

impl Fields {
    fn config(self, family: &Family, tied: Option<bool>) -> Result<Config, LmError> {
        let gemma = family.windows == Windows::Gemma;
        let default = |number: usize| gemma.then_some(number);
        let layers = self.num_hidden_layers.ok_or_else(|| missing("num_hidden_layers"))?;
        let width = self.hidden_size.ok_or_else(|| missing("hidden_size"))?;
        let heads = self.num_attention_heads.or(default(8)).ok_or_else(|| missing("num_attention_heads"))?;
        let head_size = match self.head_dim.or(default(256)) {
            Some(size) => size,
            None if heads > 0 && width.is_multiple_of(heads) => width / heads,
            None => return Err(LmError::corrupt(format!("hidden_size {width} is not a multiple of {heads} heads"))),
        };
        self.check_switches(family)?;
        let score_size = if gemma { self.query_pre_attn_scalar.unwrap_or(256.0) } else { head_size as f64 };
        let (rope, rope_factors) = self.rope(gemma, head_size)?;
        Config {
            architecture: family.model_type.to_owned(),
            layers,
            width,
            feed_forward: self.intermediate_size.ok_or_else(|| missing("intermediate_size"))?,
            heads,
            key_heads: self.num_key_value_heads.or(default(4)).unwrap_or(heads),
            head_size,
            context_length: self.max_position_embeddings.or(default(131_072)).ok_or_else(|| missing("max_position_embeddings"))?,
            epsilon: self.rms_norm_eps.unwrap_or(1e-6) as f32,
            window: self.window(family, layers, &rope)?,
            rope,
            rope_factors,
            activation: family.activation,
            embedding_scale: if gemma { (width as f32).sqrt() } else { 1.0 },
            score_scale: 1.0 / (score_size as f32).sqrt(),
            head_norms: family.head_norms,
            output_norms: gemma,
            tied_head: tied.or(self.tie_word_embeddings),
        }
        .checked()
    }

    /// Refuses what would change the computation.
    fn check_switches(&self, family: &Family) -> Result<(), LmError> {
        let activations: &[&str] = match family.activation {
            Activation::Silu => &["silu", "swish"],
            Activation::GeluTanh => &["gelu_pytorch_tanh"],
        };
        let named = [&self.hidden_act, &self.hidden_activation];
        let refused = if named.into_iter().flatten().any(|name| !activations.contains(&name.as_str())) {
            "another activation (hidden_act) than its family"
        } else if self.attn_logit_softcapping.is_some() || self.final_logit_softcapping.is_some() {
            "capped logits (attn_logit_softcapping, final_logit_softcapping)"
        } else if self.use_bidirectional_attention == Some(true) {
            "attention to later positions (use_bidirectional_attention)"
        } else {
            return Ok(());
        };
        Err(LmError::unsupported(format!("this {} model has {refused}, which tamis does not run", family.model_type)))
    }

    /// Rotary positions of layers that see everything, and the factors of their pairs.
    fn rope(&self, gemma: bool, head_size: usize) -> Result<(Rope, Option<Vec<f32>>), LmError> {
        let parameters = self.rope_parameters("full_attention");
        let base = number(parameters, "rope_theta")?.or(self.rope_theta).unwrap_or(if gemma { 1e6 } else { 1e4 });
        let part = number(parameters, "partial_rotary_factor")?.or(self.partial_rotary_factor).unwrap_or(1.0);
        let mut rope = Rope { base, dimensions: (head_size as f64 * part) as usize, factor: 1.0, pairing: Pairing::Halves };
        let Some(scaling) = parameters.or(self.rope_scaling.as_ref()) else { return Ok((rope, None)) };
        let kind = ["rope_type", "type"].iter().find_map(|key| scaling.get(key)?.as_str()).unwrap_or("default");
        let required = |key| number(Some(scaling), key)?.ok_or_else(|| missing(&format!("the rotary scaling's {key}")));
        match kind {
            "default" => Ok((rope, None)),
            "linear" => {
                rope.factor = required("factor")?;
                Ok((rope, None))
            }
            "llama3" => {
                let stretch = Llama3 {
                    factor: required("factor")?,
                    low: required("low_freq_factor")?,
                    high: required("high_freq_factor")?,
                    original: required("original_max_position_embeddings")?,
                };
                let factors = stretch.factors(&rope)?;
                Ok((rope, Some(factors)))
            }
            other => Err(LmError::unsupported(format!(
                "tamis does not stretch rotary positions by {other:?}; it knows \"default\", \"linear\" and \"llama3\""
            ))),
        }
    }

    /// The newer spelling, for all layers or for those of one kind.
    fn rope_parameters(&self, kind: &str) -> Option<&Value> {
        let parameters = self.rope_parameters.as_ref()?;
        parameters.get(kind).or(Some(parameters))
    }

    fn window(&self, family: &Family, layers: usize, rope: &Rope) -> Result<Option<Window>, LmError> {
        let Some(size) = self.sliding_window else { return Ok(None) };
        let switched_on = match family.windows {
            Windows::None => false,
            Windows::Qwen => self.use_sliding_window == Some(true),
            Windows::Mistral | Windows::Gemma => true,
        };
        if !switched_on {
            return Ok(None);
        }
        let windowed = match &self.layer_types {
            Some(types) if types.len() != layers => {
                return Err(LmError::corrupt(format!("config.json gives layer_types of {} layers, but has {layers}", types.len())));
            }
            Some(types) => {
                if let Some(other) = types.iter().find(|kind| !matches!(kind.as_str(), "full_attention" | "sliding_attention")) {
                    return Err(LmError::unsupported(format!(
                        "tamis does not run layers of type {other:?}; it runs full_attention and sliding_attention"
                    )));
                }
                types.iter().map(|kind| kind == "sliding_attention").collect()
            }
            None => match family.windows {
                Windows::Gemma => all_but_every(self.sliding_window_pattern.or(self._sliding_window_pattern).unwrap_or(6), layers),
                Windows::Qwen => {
                    let first = self.max_window_layers.unwrap_or(28);
                    all_but_every(0, layers).iter().enumerate().map(|(layer, windowed)| *windowed && layer >= first).collect()
                }
                Windows::Mistral | Windows::None => all_but_every(0, layers),
            },
        };
        let rope = match family.windows {
            Windows::Gemma => {
                let base = number(self.rope_parameters("sliding_attention"), "rope_theta")?.or(self.rope_local_base_freq);
                Rope { base: base.unwrap_or(1e4), factor: 1.0, ..rope.clone() }
            }
            _ => rope.clone(),
        };
        Ok(Some(Window { size, layers: windowed, rope }))
    }
}

/// A number of an object that may not be there.
fn number(object: Option<&Value>, key: &str) -> Result<Option<f64>, LmError> {
    match object.and_then(|object| object.get(key)) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(LmError::corrupt(format!("{key} in config.json must be a number, not {value}"))),
        },
    }
}

/// Llama 3.1's way to longer contexts: slow turns are stretched, fast ones are not, those between in part.
struct Llama3 {
    factor: f64,
    /// Turns longer than the original context divided by this are stretched whole.
    low: f64,
    /// Turns shorter than the original context divided by this are left alone.
    high: f64,
    original: f64,
}

impl Llama3 {
    /// What each pair's angle is divided by.
    fn factors(&self, rope: &Rope) -> Result<Vec<f32>, LmError> {
        let Self { factor, low, high, original } = *self;
        if !(factor >= 1.0 && low > 0.0 && high > low && original > 0.0) {
            return Err(LmError::corrupt(format!("rotary scaling by {factor} between {low} and {high} makes no sense")));
        }
        let of_pair = |pair: usize| {
            let turn = 2.0 * PI * rope.base.powf((2 * pair) as f64 / rope.dimensions as f64);
            let kept = ((original / turn - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 / ((1.0 - kept) / factor + kept)) as f32
        };
        Ok((0..rope.dimensions / 2).map(of_pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(model_type: &str, extra: Value) -> Result<Config, LmError> {
        let mut fields = json!({
            "model_type": model_type, "num_hidden_layers": 8, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
        });
        for (key, value) in extra.as_object().unwrap() {
            fields[key] = value.clone();
        }
        read(fields.to_string().as_bytes())
    }

    #[test]
    fn a_shape_is_read_with_its_defaults() {
        let config = config("llama", json!({"head_dim": null, "tie_word_embeddings": true, "sliding_window": 7})).unwrap();
        assert_eq!((config.heads, config.key_heads, config.head_size, config.rope.base), (4, 2, 16, 10_000.0));
        assert_eq!((config.window(0), config.tied_head, config.rope.pairing), (None, Some(true), Pairing::Halves));
    }

    #[test]
    fn windows_are_those_of_the_family() {
        let windowed = |model_type, extra| {
            let config = config(model_type, extra).unwrap();
            (0..8).filter(|layer| config.window(*layer).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(windowed("mistral", json!({"sliding_window": 16})), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(windowed("mistral", json!({"sliding_window": null})).is_empty());
        assert!(windowed("qwen2", json!({"sliding_window": 16, "use_sliding_window": false, "max_window_layers": 6})).is_empty());
        assert_eq!(windowed("qwen2", json!({"sliding_window": 16, "use_sliding_window": true, "max_window_layers": 6})), [6, 7]);
        assert_eq!(windowed("gemma3_text", json!({"sliding_window": 16})), [0, 1, 2, 3, 4, 6, 7]);
        let types = ["full_attention", "sliding_attention"].repeat(4);
        assert_eq!(windowed("gemma3_text", json!({"sliding_window": 16, "layer_types": types})), [1, 3, 5, 7]);
    }

    #[test]
    fn gemma_s_text_model_is_found_in_one_that_sees() {
        let text = json!({"num_hidden_layers": 34, "hidden_size": 2560, "intermediate_size": 10240, "sliding_window": 1024,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}});
        let config = read(json!({"model_type": "gemma3", "text_config": text}).to_string().as_bytes()).unwrap();
        assert_eq!((config.layers, config.heads, config.key_heads, config.head_size), (34, 8, 4, 256));
        assert_eq!((config.rope.base, config.rope.factor), (1e6, 8.0));
        let local = &config.window(0).unwrap().rope;
        assert_eq!((local.base, local.factor, config.embedding_scale), (1e4, 1.0, 2560f32.sqrt()));
    }

    #[test]
    fn both_spellings_of_rotary_positions_are_read() {
        let old = config("gemma3_text", json!({"sliding_window": 4, "rope_theta": 2e6, "rope_local_base_freq": 3e4})).unwrap();
        let parameters = json!({"full_attention": {"rope_type": "default", "rope_theta": 2e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 3e4}});
        assert_eq!(config("gemma3_text", json!({"sliding_window": 4, "rope_parameters": parameters})).unwrap(), old);
        let old = config("qwen3", json!({"rope_theta": 5e6})).unwrap();
        assert_eq!(config("qwen3", json!({"rope_parameters": {"rope_theta": 5e6, "rope_type": "default"}})).unwrap(), old);
    }

    /// The numbers of Llama 3.2 1B.
    #[test]
    fn llama_3_stretches_slow_turns_only() {
        let scaling = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192});
        let config = config("llama", json!({"head_dim": 64, "rope_theta": 5e5, "rope_scaling": scaling})).unwrap();
        let factors = config.rope_factors.unwrap();
        assert_eq!(factors.len(), 32);
        // Turns of 2048 positions and less are pairs 0 to 14; of 8192 and more, pairs 18 and on.
        assert!(factors[..15].iter().all(|factor| *factor == 1.0) && factors[18..].iter().all(|factor| (factor - 32.0).abs() < 1e-4));
        assert!(factors[15..18].windows(2).all(|pair| 1.0 < pair[0] && pair[0] < pair[1] && pair[1] < 32.0), "{:?}", &factors[15..18]);
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        for (model_type, extra, named) in [
            ("mamba", json!({}), "mamba"),
            ("llama", json!({"hidden_act": "relu"}), "hidden_act"),
            ("llama", json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}), "dynamic"),
            ("llama", json!({"quantization_config": {"quant_method": "gptq"}}), "quantization_config"),
            ("gemma3_text", json!({"final_logit_softcapping": 30.0}), "softcapping"),
            ("gemma3_text", json!({"use_bidirectional_attention": true}), "bidirectional"),
            ("gemma3_text", json!({"sliding_window": 4, "layer_types": vec!["linear_attention"; 8]}), "linear_attention"),
        ] {
            let error = config(model_type, extra).unwrap_err();
            assert!(error.is_unsupported() && error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (extra, named) in [
            (json!({"hidden_size": "wide"}), "line 1"),
            (json!({"hidden_size": null}), "hidden_size"),
            (json!({"num_key_value_heads": 3}), "3 key heads"),
            (json!({"num_hidden_layers": 1_000_000_000}), "1000000000 layers"),
            (json!({"rope_scaling": {"type": "linear"}}), "factor"),
            (json!({"rope_parameters": {"rope_theta": "much"}}), "rope_theta"),
            (
                json!({"rope_scaling": {"type": "llama3", "factor": 0.5, "low_freq_factor": 1, "high_freq_factor": 4,
                "original_max_position_embeddings": 8192}}),
                "0.5",
            ),
        ] {
            let error = config("llama", extra).unwrap_err();
            assert!(error.is_corrupt() && error.to_string().contains(named), "{error}");
        }
        assert!(read(b"[]").unwrap_err().is_corrupt());
    }
}
