//! A model's own tokenizer: text to tokens, and the exact bytes of each token.
//!
//! Built from the metadata that a GGUF file carries, over the crate `tokenizers`. Two families cover the
//! models that tamis runs: *byte-level* byte-pair encoding, whose tokens are written in an alphabet of
//! 256 printable characters that stand for bytes, and *SentencePiece* pieces, where ▁ stands for a space
//! and `<0x0A>` for a byte. How a text is cut before merging differs from model to model and is named
//! in the metadata; a name that is not known is an error, since a wrong cut gives wrong tokens silently.

use super::{Token, TokenId, Vocabulary, VocabularyError};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

/// What a model's file says of its tokenizer, in the terms of GGUF (`tokenizer.ggml.*`).
#[derive(Clone, Debug, Default)]
pub struct TokenizerMetadata {
    /// `gpt2` (byte-level) or `llama` (SentencePiece).
    pub model: String,
    /// How texts are cut before merging, for `gpt2`.
    pub pre: String,
    /// All tokens, as the file spells them.
    pub tokens: Vec<String>,
    /// One a token, for `llama`: pieces of higher score are merged first.
    pub scores: Vec<f32>,
    /// One a token: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
    pub token_types: Vec<i32>,
    /// Pairs to merge, first things first, as `left right`, for `gpt2`.
    pub merges: Vec<String>,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// Tokens that end a text.
    pub ends: Vec<u32>,
    /// Whether a text begins with `bos`; `None` leaves it to the model's family.
    pub add_bos: Option<bool>,
    /// Whether a text begins with a space, for `llama`.
    pub add_space_prefix: Option<bool>,
}

/// Control tokens that end an answer in some chat format or other.
const ENDS: [&str; 7] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "</s>", "<eos>"];

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// How GPT-2 cuts texts, and its descendants with other rules for digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The cuts that are known by name.
const KNOWN_PRE: &str = "default, gpt-2, smollm, qwen2, llama-bpe, llama3, smaug-bpe";

/// A tokenizer with its vocabulary.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocabulary: Arc<Vocabulary>,
    bos: Option<TokenId>,
    add_bos: bool,
    spellings: Vec<String>,
}

impl Tokenizer {
    /// The tokenizer that `metadata` describes.
    ///
    /// # Errors
    /// If its kind or cut is not one that tamis knows, or its parts contradict each other.
    pub fn new(metadata: TokenizerMetadata) -> Result<Self, VocabularyError> {
        let size = metadata.tokens.len();
        if metadata.token_types.len() != size {
            return Err(VocabularyError::new(format!("the tokenizer has {size} tokens but the types of {}", metadata.token_types.len())));
        }
        if let Some(id) = metadata.ends.iter().chain(&metadata.bos).find(|id| **id as usize >= size) {
            return Err(VocabularyError::new(format!("the tokenizer names token {id}, but has {size}")));
        }
        let byte_level = match metadata.model.as_str() {
            "gpt2" => true,
            "llama" => false,
            other => {
                return Err(VocabularyError::new(format!(
                    "the tokenizer is of the kind {other:?}; tamis knows gpt2 (byte-level) and llama (SentencePiece)"
                )));
            }
        };
        let mut inner = if byte_level { byte_level_tokenizer(&metadata)? } else { sentence_piece_tokenizer(&metadata)? };
        let added = |kind, special| {
            let of_kind = metadata.tokens.iter().zip(&metadata.token_types).filter(move |(_, other)| **other == kind);
            of_kind.map(|(token, _)| AddedToken::from(token.clone(), special).normalized(false)).collect::<Vec<_>>()
        };
        let failed = |error| VocabularyError::with_source("the tokenizer's special tokens cannot be added", error);
        inner.add_special_tokens(added(CONTROL, true)).map_err(failed)?;
        inner.add_tokens(added(USER_DEFINED, false)).map_err(failed)?;
        let vocabulary = Arc::new(Vocabulary::new(tokens(&metadata, byte_level))?);
        let bos = metadata.bos.map(TokenId::new);
        let add_bos = metadata.add_bos.unwrap_or(!byte_level) && bos.is_some();
        Ok(Self { inner, vocabulary, bos, add_bos, spellings: metadata.tokens })
    }

    /// The tokens, with their bytes.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The tokens of a text, with the token that begins a text where the model wants one. Control tokens
    /// that are spelled out in it (`<|im_start|>`) become those tokens, so that chat templates work.
    ///
    /// # Errors
    /// If the text cannot be written in the model's tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, VocabularyError> {
        let encoding =
            self.inner.encode_fast(text, false).map_err(|error| VocabularyError::with_source("the text cannot be tokenized", error))?;
        let tokens: Vec<TokenId> = encoding.get_ids().iter().map(|id| TokenId::new(*id)).collect();
        // A chat template may have written it already.
        let bos = self.bos.filter(|bos| self.add_bos && tokens.first() != Some(bos));
        Ok(bos.into_iter().chain(tokens).collect())
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// How the model's file spells a token: what chat templates call it.
    pub fn spelling(&self, token: TokenId) -> Option<&str> {
        self.spellings.get(token.index()).map(String::as_str)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocabulary", &self.vocabulary).field("bos", &self.bos).finish_non_exhaustive()
    }
}

fn vocabulary_map(metadata: &TokenizerMetadata) -> ahash_map::Map {
    metadata.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect()
}

/// The map that the crate `tokenizers` takes.
mod ahash_map {
    pub(super) type Map = tokenizers::models::bpe::Vocab;
}

fn byte_level_tokenizer(metadata: &TokenizerMetadata) -> Result<tokenizers::Tokenizer, VocabularyError> {
    let mut merges = Vec::with_capacity(metadata.merges.len());
    for merge in &metadata.merges {
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(VocabularyError::new(format!("the merge {merge:?} is no pair of tokens")));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    let model = BPE::builder().vocab_and_merges(vocabulary_map(metadata), merges).build();
    let model = model.map_err(|error| VocabularyError::with_source("the tokenizer's merges do not fit its tokens", error))?;
    let cut = |pattern: &str| {
        let split = Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false);
        split.map(PreTokenizerWrapper::from).map_err(|error| VocabularyError::with_source("the tokenizer's cut does not compile", error))
    };
    let bytes = |use_regex| PreTokenizerWrapper::from(ByteLevel::new(false, true, use_regex));
    let steps = match metadata.pre.as_str() {
        "" | "default" | "gpt-2" => vec![bytes(true)],
        "smollm" => vec![Digits::new(true).into(), bytes(true)],
        "qwen2" => vec![cut(QWEN2)?, bytes(false)],
        "llama-bpe" | "llama3" | "smaug-bpe" => vec![cut(LLAMA3)?, bytes(false)],
        other => {
            return Err(VocabularyError::new(format!(
                "the tokenizer cuts texts by {other:?}, which tamis does not know; it knows {KNOWN_PRE}"
            )));
        }
    };
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    Ok(tokenizer)
}

/// SentencePiece's merges are implied by its scores: of all neighbours that together are a piece, the
/// piece of highest score is made first.
fn sentence_piece_tokenizer(metadata: &TokenizerMetadata) -> Result<tokenizers::Tokenizer, VocabularyError> {
    if metadata.scores.len() != metadata.tokens.len() {
        let (tokens, scores) = (metadata.tokens.len(), metadata.scores.len());
        return Err(VocabularyError::new(format!("the tokenizer has {tokens} tokens but the scores of {scores}")));
    }
    let ids: HashMap<&str, usize> = metadata.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let mut merges = Vec::new();
    for (id, token) in metadata.tokens.iter().enumerate().filter(|(id, _)| metadata.token_types[*id] == NORMAL) {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(left), Some(right)) = (ids.get(left), ids.get(right)) {
                merges.push((id, *left, *right));
            }
        }
    }
    let score = |id: usize| metadata.scores[id];
    merges.sort_by(|a, b| score(b.0).total_cmp(&score(a.0)).then((a.1, a.2).cmp(&(b.1, b.2))));
    let merges = merges.into_iter().map(|(_, left, right)| (metadata.tokens[left].clone(), metadata.tokens[right].clone())).collect();
    let unknown = metadata.token_types.iter().position(|kind| *kind == UNKNOWN).map(|id| metadata.tokens[id].clone());
    let mut builder = BPE::builder().vocab_and_merges(vocabulary_map(metadata), merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        builder = builder.unk_token(unknown);
    }
    let model = builder.build().map_err(|error| VocabularyError::with_source("the tokenizer's pieces contradict each other", error))?;
    let space = Replace::new(" ", "▁").map_err(|error| VocabularyError::with_source("the tokenizer's spaces cannot be replaced", error))?;
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if metadata.add_space_prefix.unwrap_or(true) {
        steps.push(Prepend::new("▁".to_owned()).into());
    }
    steps.push(space.into());
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(Normalizers::new(steps)))
        .map_err(|error| VocabularyError::with_source("the tokenizer's spaces cannot be replaced", error))?;
    Ok(tokenizer)
}

/// The tokens as bytes.
fn tokens(metadata: &TokenizerMetadata, byte_level: bool) -> impl Iterator<Item = Token> + '_ {
    let alphabet = byte_alphabet();
    metadata.tokens.iter().zip(&metadata.token_types).enumerate().map(move |(id, (token, kind))| {
        let ends = metadata.ends.contains(&(id as u32)) || (*kind == CONTROL && ENDS.contains(&token.as_str()));
        let bytes = match *kind {
            _ if ends => return Token::End,
            CONTROL | UNKNOWN | UNUSED => return Token::Control,
            USER_DEFINED => token.clone().into_bytes(),
            BYTE => byte_piece(token).map_or_else(|| token.clone().into_bytes(), |byte| vec![byte]),
            _ if byte_level => token
                .chars()
                .flat_map(|character| match alphabet.get(&character) {
                    Some(byte) => vec![*byte],
                    None => character.to_string().into_bytes(),
                })
                .collect(),
            _ => token.replace('▁', " ").into_bytes(),
        };
        if bytes.is_empty() { Token::Control } else { Token::Text(bytes) }
    })
}

/// The byte of a SentencePiece byte token, `<0x0A>`.
fn byte_piece(token: &str) -> Option<u8> {
    u8::from_str_radix(token.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

/// The characters that stand for bytes in byte-level vocabularies: printable bytes stand for themselves,
/// the others, in their order, for the characters from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => (char::from(byte), byte),
            _ => {
                next += 1;
                (char::from_u32(next - 1).expect("below the surrogates"), byte)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte-level tokenizer of all bytes, "ab", and two control tokens.
    fn metadata() -> TokenizerMetadata {
        let mut alphabet: Vec<(char, u8)> = byte_alphabet().into_iter().collect();
        alphabet.sort_by_key(|(_, byte)| *byte);
        let mut tokens: Vec<String> = alphabet.iter().map(|(character, _)| character.to_string()).collect();
        tokens.extend(["ab".into(), "<|im_end|>".into(), "<pad>".into()]);
        let mut token_types = vec![NORMAL; tokens.len()];
        token_types[257] = CONTROL;
        token_types[258] = CONTROL;
        TokenizerMetadata {
            model: "gpt2".into(),
            pre: "smollm".into(),
            tokens,
            token_types,
            merges: vec!["a b".into()],
            ..Default::default()
        }
    }

    #[test]
    fn every_text_is_the_bytes_of_its_tokens() {
        let tokenizer = Tokenizer::new(metadata()).unwrap();
        for text in ["", "ab", "Hello, wörld! 123\n\t 🙂", "\u{0}\u{7f}"] {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.vocabulary().text(&tokens), text.as_bytes(), "{text:?}");
        }
        assert_eq!(tokenizer.encode("ab").unwrap(), [TokenId::new(256)]);
    }

    #[test]
    fn control_tokens_have_no_bytes_and_chat_ends_end() {
        let tokenizer = Tokenizer::new(metadata()).unwrap();
        assert_eq!(tokenizer.encode("<|im_end|><pad>").unwrap(), [TokenId::new(257), TokenId::new(258)]);
        assert!(tokenizer.vocabulary().is_end(TokenId::new(257)));
        assert_eq!(tokenizer.vocabulary().bytes(TokenId::new(258)), None);
    }

    #[test]
    fn unknown_kinds_and_cuts_are_named() {
        let error = Tokenizer::new(TokenizerMetadata { model: "rwkv".into(), ..metadata() }).unwrap_err();
        assert!(error.to_string().contains("rwkv") && error.to_string().contains("gpt2"));
        let error = Tokenizer::new(TokenizerMetadata { pre: "tekken".into(), ..metadata() }).unwrap_err();
        assert!(error.to_string().contains("tekken") && error.to_string().contains("smollm"));
        assert!(Tokenizer::new(TokenizerMetadata { ends: vec![999], ..metadata() }).is_err());
    }
}
