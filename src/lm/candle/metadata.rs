//! What a GGUF file says of its tokenizer and chat template, in plain types.

use super::chat::ChatTemplate;
use crate::lm::LmError;
use crate::vocab::tokenizer::{EndTokens, Tokenizer, TokenizerMetadata};
use candle_core::quantized::gguf_file::Value;
use std::collections::HashMap;

/// The model's tokenizer.
pub(super) fn tokenizer(metadata: &HashMap<String, Value>) -> Result<Tokenizer, LmError> {
    let fields = Fields(metadata);
    let described = TokenizerMetadata {
        model: fields.required_text("model")?,
        pre: fields.text("pre").unwrap_or_default(),
        tokens: fields.list("tokens", |value| value.to_string().ok().cloned())?.ok_or_else(|| missing("tokens"))?,
        scores: fields.list("scores", |value| value.to_f32().ok())?.unwrap_or_default(),
        token_types: fields
            .list("token_type", |value| value.to_i32().ok().or_else(|| value.to_u32().ok().and_then(|kind| kind.try_into().ok())))?
            .ok_or_else(|| missing("token_type"))?,
        merges: fields.list("merges", |value| value.to_string().ok().cloned())?.unwrap_or_default(),
        bos: fields.number("bos_token_id"),
        ends: ends(metadata).ids,
        add_bos: fields.flag("add_bos_token"),
        add_space_prefix: fields.flag("add_space_prefix"),
    };
    Tokenizer::new(described).map_err(|error| LmError::unsupported("the model's tokenizer cannot be used").caused_by(error))
}

/// The tokens that end a text.
pub(super) fn ends(metadata: &HashMap<String, Value>) -> EndTokens {
    let ids = ["eos_token_id", "eot_token_id", "eom_token_id"].iter().filter_map(|name| Fields(metadata).number(name));
    EndTokens { ids: ids.collect(), spellings: Vec::new() }
}

/// The model's chat template, if it has one.
pub(super) fn chat_template(metadata: &HashMap<String, Value>, tokenizer: &Tokenizer) -> Option<ChatTemplate> {
    let source = metadata.get("tokenizer.chat_template")?.to_string().ok()?;
    let spelling = |token| tokenizer.spelling(token).unwrap_or_default();
    let bos = tokenizer.bos().map(spelling).unwrap_or_default();
    let eos = Fields(metadata).number("eos_token_id").map(crate::vocab::TokenId::new).map(spelling).unwrap_or_default();
    Some(ChatTemplate::new(source.clone(), bos, eos))
}

struct Fields<'a>(&'a HashMap<String, Value>);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(&format!("tokenizer.ggml.{name}"))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.to_string().ok().cloned()
    }

    fn required_text(&self, name: &str) -> Result<String, LmError> {
        self.text(name).ok_or_else(|| missing(name))
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.to_u32().ok()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.to_bool().ok()
    }

    /// A list of which every element must be of its type; `None` where there is none.
    fn list<T>(&self, name: &str, element: impl Fn(&Value) -> Option<T>) -> Result<Option<Vec<T>>, LmError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.to_vec().ok().and_then(|values| values.iter().map(element).collect::<Option<Vec<T>>>());
        list.map(Some).ok_or_else(|| LmError::corrupt(format!("tokenizer.ggml.{name} is not a list of what it should be")))
    }
}

fn missing(name: &str) -> LmError {
    LmError::corrupt(format!(
        "the model's file has no tokenizer.ggml.{name}; take a GGUF file that carries its tokenizer, or give one with --tokenizer PATH"
    ))
}
