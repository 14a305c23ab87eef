//! Tokenizers from a `tokenizer.json`, the file of the crate `tokenizers`.

use super::gguf::{LLAMA3, QWEN2, byte_piece};
use super::{ENDS, Tokenizer, byte_level};
use crate::vocab::{Token, TokenId, Vocabulary, VocabularyError};
use serde_json::Value;
use std::sync::Arc;
use tokenizers::{DecoderWrapper, Tokenizer as Parts};

/// The tokens that end a text, as a model's settings name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndTokens {
    /// By number.
    pub ids: Vec<u32>,
    /// By spelling.
    pub spellings: Vec<String>,
}

/// How tokens stand for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// In the alphabet of 256 characters.
    ByteLevel,
    /// As SentencePiece's pieces.
    Pieces,
}

impl Tokenizer {
    /// The tokenizer that `json` describes, for a model with embeddings of `size` tokens. Embeddings
    /// beyond the tokenizer's are control tokens that no text has; tokens beyond the embeddings cannot be
    /// used.
    ///
    /// # Errors
    /// If the file is broken, does not say how its tokens stand for bytes in a way that tamis knows, or
    /// no token ends a text.
    pub fn from_json(json: &[u8], size: usize, ends: &EndTokens) -> Result<Self, VocabularyError> {
        outline(json)?;
        let mut parts = Parts::from_bytes(json)
            .map_err(|error| VocabularyError::with_source("this is no tokenizer.json that tamis can read", error))?;
        // These are for training in batches; a prompt is neither cut nor filled up.
        parts.with_padding(None);
        parts.with_truncation(None).map_err(|error| VocabularyError::with_source("the tokenizer cannot be used", error))?;
        let spelling = Spelling::of(parts.get_decoder())?;
        check_template(&parts)?;
        let begin = begin(&parts)?;
        let added = parts.get_added_tokens_decoder();
        let is_end = |id: u32, token: &str| ends.ids.contains(&id) || ends.spellings.iter().any(|end| end == token);
        let tokens = (0..size as u32).map(|id| {
            let Some(token) = parts.id_to_token(id) else { return Token::Control };
            let bytes = match added.get(&id) {
                _ if is_end(id, &token) => return Token::End,
                Some(added) if added.special && ENDS.contains(&token.as_str()) => return Token::End,
                Some(added) if added.special => return Token::Control,
                Some(_) => token.into_bytes(),
                None => spelling.bytes(&token),
            };
            if bytes.is_empty() { Token::Control } else { Token::Text(bytes) }
        });
        let vocabulary = Arc::new(Vocabulary::new(tokens)?);
        let cuts_words = spelling == Spelling::ByteLevel && cuts_words(&parts);
        Ok(Self { encoder: Box::new(parts.into_inner()), vocabulary, bos: begin, add_bos: begin.is_some(), cuts_words })
    }
}

/// Refuses what the crate would panic at: broken JSON, and the one kind of part that it reads unchecked.
fn outline(json: &[u8]) -> Result<(), VocabularyError> {
    fn has_precompiled(step: &Value) -> bool {
        let inner = step.get("normalizers").and_then(Value::as_array);
        step["type"] == "Precompiled" || step.get("precompiled_charsmap").is_some() || inner.into_iter().flatten().any(has_precompiled)
    }
    // All of it: a part that is passed over is not checked for characters that are none.
    let outline: Result<Value, _> = serde_json::from_slice(json);
    let outline = outline.map_err(|error| VocabularyError::new(format!("this is no tokenizer.json: {error}")))?;
    if has_precompiled(&outline["normalizer"]) {
        return Err(VocabularyError::new("the tokenizer normalises texts by a precompiled map of characters, which tamis does not do"));
    }
    Ok(())
}

/// Refuses a template that puts beside a text what is not there: the crate looks it up unchecked.
fn check_template(parts: &Parts) -> Result<(), VocabularyError> {
    fn missing(step: &Value) -> Option<String> {
        let pieces = step["single"].as_array().into_iter().flatten();
        let mut absent = pieces.filter_map(|piece| match piece["SpecialToken"]["id"].as_str() {
            Some(token) => step["special_tokens"].get(token).is_none().then(|| format!("{token:?}, which its special_tokens lack")),
            None => (piece["Sequence"]["id"] != "A").then(|| "a second text, and there is one".to_owned()),
        });
        absent.next().or_else(|| step["processors"].as_array().into_iter().flatten().find_map(missing))
    }
    let steps = serde_json::to_value(parts.get_post_processor());
    let steps = steps.map_err(|error| VocabularyError::with_source("the tokenizer's post_processor cannot be read", Box::new(error)))?;
    match missing(&steps) {
        Some(missing) => Err(VocabularyError::new(format!("the tokenizer's post_processor has a template with {missing}"))),
        None => Ok(()),
    }
}

/// The token that the file's own rules put before a text.
fn begin(parts: &Parts) -> Result<Option<TokenId>, VocabularyError> {
    let failed = |error| VocabularyError::with_source("the tokenizer cannot be used", error);
    let text = "a";
    let bare = parts.encode_fast(text, false).map_err(failed)?;
    let whole = parts.encode_fast(text, true).map_err(failed)?;
    let (bare, whole) = (bare.get_ids(), whole.get_ids());
    let before = whole.windows(bare.len().max(1)).position(|window| window == bare).unwrap_or(0);
    match whole[..before] {
        [] => Ok(None),
        [begin] => Ok(Some(TokenId::new(begin))),
        _ => Err(VocabularyError::new(format!("the tokenizer puts {before} tokens before a text; tamis knows how to put one"))),
    }
}

/// Whether byte-level texts are cut by patterns that are known, and nothing but merges writes the pieces.
fn cuts_words(parts: &Parts) -> bool {
    let value = |part: Result<Value, serde_json::Error>| part.unwrap_or_default();
    let cut = value(serde_json::to_value(parts.get_pre_tokenizer()));
    let model = value(serde_json::to_value(parts.get_model()));
    let steps = cut["pretokenizers"].as_array().cloned().unwrap_or_else(|| vec![cut]);
    let is_known = |step: &Value| match step["type"].as_str() {
        Some("Digits") => true,
        Some("ByteLevel") => step["add_prefix_space"] == false,
        Some("Split") => {
            let pattern = step["pattern"]["Regex"].as_str();
            pattern.is_some_and(|pattern| [QWEN2, LLAMA3].contains(&pattern)) && step["behavior"] == "Isolated" && step["invert"] == false
        }
        _ => false,
    };
    let cuts = |step: &Value| step["type"] == "Split" || step["use_regex"] == true;
    model["type"] == "BPE"
        && model["dropout"].is_null()
        && model["ignore_merges"] == false
        && steps.iter().all(is_known)
        && steps.iter().any(cuts)
}

impl Spelling {
    /// How the tokens of a tokenizer with this decoder are spelled.
    fn of(decoder: Option<&DecoderWrapper>) -> Result<Self, VocabularyError> {
        let failed = |error| VocabularyError::with_source("the tokenizer's decoder cannot be read", error);
        let decoder = serde_json::to_value(decoder).map_err(|error| failed(Box::new(error)))?;
        let steps = match decoder.get("decoders") {
            Some(Value::Array(steps)) => steps.clone(),
            _ => vec![decoder],
        };
        let kind = |step: &Value| step["type"].as_str().unwrap_or("none").to_owned();
        let is_space = |step: &Value| step["type"] == "Metaspace" || step["type"] == "Replace" && step["content"] == " ";
        if steps.iter().any(|step| step["type"] == "ByteLevel") {
            Ok(Self::ByteLevel)
        } else if steps.iter().any(is_space) {
            Ok(Self::Pieces)
        } else {
            let kinds: Vec<String> = steps.iter().map(kind).collect();
            Err(VocabularyError::new(format!(
                "the tokenizer turns tokens into text by {}; tamis knows ByteLevel, and Metaspace or Replace",
                kinds.join(", ")
            )))
        }
    }

    fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => byte_level::bytes(token),
            Self::Pieces => byte_piece(token).map_or_else(|| token.replace('▁', " ").into_bytes(), |byte| vec![byte]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::tokenizer::byte_level::tests::alphabet;
    use serde_json::json;

    fn byte_level() -> Value {
        let mut vocab: serde_json::Map<_, _> =
            alphabet().into_iter().zip(0..).map(|(character, id)| (character.into(), json!(id))).collect();
        vocab.insert("ab".into(), json!(256));
        let added = |id: u32, content: &str, special: bool| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special});
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        json!({
            "version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}, "padding": null,
            "added_tokens": [added(257, "<|im_end|>", true), added(258, "<|role|>", true), added(259, "<tool>", false)],
            "normalizer": null, "pre_tokenizer": level, "post_processor": null, "decoder": level,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": [["a", "b"]]},
        })
    }

    fn tokenizer(json: &Value) -> Result<Tokenizer, VocabularyError> {
        Tokenizer::from_json(json.to_string().as_bytes(), 300, &EndTokens::default())
    }

    #[test]
    fn every_text_is_the_bytes_of_its_tokens() {
        let tokenizer = tokenizer(&byte_level()).unwrap();
        for text in ["", "ab", "Hello, wörld! 123\n\t 🙂", "<tool>x"] {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.vocabulary().text(&tokens), text.as_bytes(), "{text:?}");
        }
        assert_eq!(tokenizer.encode("ab<|role|>").unwrap(), [256, 258].map(TokenId::new));
    }

    #[test]
    fn special_tokens_have_no_bytes_and_the_settings_say_which_end() {
        let default = tokenizer(&byte_level()).unwrap();
        assert_eq!(default.vocabulary().ends(), [TokenId::new(257)]);
        let ends = EndTokens { ids: vec![258], spellings: vec!["<tool>".into()] };
        let named = Tokenizer::from_json(byte_level().to_string().as_bytes(), 300, &ends).unwrap();
        assert_eq!(named.vocabulary().ends(), [257, 258, 259].map(TokenId::new));
    }

    #[test]
    fn the_vocabulary_has_the_size_of_the_embeddings() {
        let larger = tokenizer(&byte_level()).unwrap();
        assert_eq!((larger.vocabulary().len(), larger.vocabulary().bytes(TokenId::new(299))), (300, None));
        let smaller = Tokenizer::from_json(byte_level().to_string().as_bytes(), 259, &EndTokens::default()).unwrap();
        assert!(smaller.encode("a<tool>").unwrap_err().to_string().contains("<tool>"));
    }

    #[test]
    fn what_the_file_puts_before_a_text_is_put_there_once() {
        let mut json = byte_level();
        json["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|role|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<|role|>": {"id": "<|role|>", "ids": [258], "tokens": ["<|role|>"]}},
        });
        let tokenizer = tokenizer(&json).unwrap();
        assert_eq!(tokenizer.bos(), Some(TokenId::new(258)));
        assert_eq!(tokenizer.encode("ab").unwrap(), [258, 256].map(TokenId::new));
        assert_eq!(tokenizer.encode("<|role|>ab").unwrap(), [258, 256].map(TokenId::new));
    }

    #[test]
    fn pieces_stand_for_spaces_and_bytes() {
        let vocab = json!({"<unk>": 0, "</s>": 1, "<0x0A>": 2, "▁": 3, "a": 4, "▁a": 5});
        let added = json!({"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added],
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": [["▁", "a"]]},
        });
        let tokenizer = Tokenizer::from_json(json.to_string().as_bytes(), 6, &EndTokens::default()).unwrap();
        assert_eq!(tokenizer.encode("a a\n").unwrap(), [4, 5, 2].map(TokenId::new));
        assert_eq!(tokenizer.vocabulary().text(&[4, 5, 2].map(TokenId::new)), b"a a\n");
    }

    #[test]
    fn canonical_tokens_are_known_of_byte_level_merges_behind_known_cuts_alone() {
        use crate::vocab::TokenFilter;
        let canonical = |json: &Value| Arc::new(tokenizer(json).unwrap()).canonical();
        let own = canonical(&byte_level()).unwrap();
        let [a, b, ab] = [u32::from(b'a'), u32::from(b'b'), 256].map(TokenId::new);
        assert!(own.may_end(&[ab]) && !own.may_end(&[a, b]) && !own.allows(&[a], b) && own.allows(&[b], ab));
        let mut other = byte_level();
        other["model"]["ignore_merges"] = json!(true);
        assert!(canonical(&other).is_err(), "whole pieces come before merges");
        other = byte_level();
        other["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "[a-z]"}, "behavior": "Isolated", "invert": false}, byte_level()["pre_tokenizer"]]});
        assert!(canonical(&other).unwrap_err().to_string().contains("GPT-2"));
        other["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(QWEN2);
        assert!(canonical(&other).is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert!(Tokenizer::from_json(b"{\n", 4, &EndTokens::default()).unwrap_err().to_string().contains("line 2"));
        let mut json = byte_level();
        json["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": "AAAA"}]});
        assert!(tokenizer(&json).unwrap_err().to_string().contains("precompiled"));
        json["normalizer"] = Value::Null;
        json["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        assert!(tokenizer(&json).unwrap_err().to_string().contains("WordPiece"));
        json["decoder"] = Value::Null;
        assert!(tokenizer(&json).unwrap_err().to_string().contains("none"));
        let mut lacking = byte_level();
        let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
        let template = |first: Value| json!({"type": "TemplateProcessing", "single": [first, text("A")], "pair": [text("A"), text("B")], "special_tokens": {}});
        lacking["post_processor"] = template(json!({"SpecialToken": {"id": "<s>", "type_id": 0}}));
        assert!(tokenizer(&lacking).unwrap_err().to_string().contains("\"<s>\""));
        lacking["post_processor"] = json!({"type": "Sequence", "processors": [template(text("B"))]});
        assert!(tokenizer(&lacking).unwrap_err().to_string().contains("a second text"));
        let mut endless = byte_level();
        endless["added_tokens"] = json!([]);
        assert!(tokenizer(&endless).unwrap_err().to_string().contains("ends a text"));
    }
}
