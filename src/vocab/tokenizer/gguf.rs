//! Tokenizers from what a GGUF file says of them.

use super::pieces::Pieces;
use super::{ENDS, Encoder, Tokenizer, byte_level};
use crate::vocab::{Token, TokenId, Vocabulary, VocabularyError};
use std::sync::Arc;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, Decoder, DecoderWrapper, Model, Normalizer, NormalizerWrapper, PostProcessor, PostProcessorWrapper, PreTokenizer,
    PreTokenizerWrapper, SplitDelimiterBehavior, TokenizerImpl,
};

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

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// How Qwen 2 and Llama 3 cut texts: as GPT-2 does, with other rules for digits and line ends.
pub(super) const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(super) const LLAMA3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The cuts that are known by name.
const KNOWN_PRE: &str = "default, gpt-2, smollm, qwen2, llama-bpe, llama3, smaug-bpe";

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
        let vocabulary = Arc::new(Vocabulary::new(tokens(&metadata, byte_level))?);
        let bos = metadata.bos.map(TokenId::new);
        let add_bos = metadata.add_bos.unwrap_or(!byte_level) && bos.is_some();
        let encoder = if byte_level { byte_level_encoder(metadata)? } else { pieces_encoder(metadata)? };
        Ok(Self { encoder, vocabulary, bos, add_bos, cuts_words: byte_level })
    }
}

/// The crate's tokenizer over the model `M`.
type Parts<M> = TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

fn byte_level_encoder(metadata: TokenizerMetadata) -> Result<Box<dyn Encoder>, VocabularyError> {
    let mut merges = Vec::with_capacity(metadata.merges.len());
    for merge in &metadata.merges {
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(VocabularyError::new(format!("the merge {merge:?} is no pair of tokens")));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
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
    let special = SpecialTokens::of(&metadata);
    let ids: Vocab = metadata.tokens.into_iter().zip(0..).collect();
    let model = BPE::builder().vocab_and_merges(ids, merges).build();
    let model = model.map_err(|error| VocabularyError::with_source("the tokenizer's merges do not fit its tokens", error))?;
    let mut tokenizer = Parts::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    special.add_to(tokenizer)
}

fn pieces_encoder(metadata: TokenizerMetadata) -> Result<Box<dyn Encoder>, VocabularyError> {
    if metadata.scores.len() != metadata.tokens.len() {
        let (tokens, scores) = (metadata.tokens.len(), metadata.scores.len());
        return Err(VocabularyError::new(format!("the tokenizer has {tokens} tokens but the scores of {scores}")));
    }
    let special = SpecialTokens::of(&metadata);
    let in_texts = metadata.token_types.iter().map(|kind| matches!(*kind, NORMAL | USER_DEFINED)).collect();
    let unknown = metadata.token_types.iter().position(|kind| *kind == UNKNOWN).map(|id| id as u32);
    let mut bytes = [None; 256];
    for ((id, token), _) in (0..).zip(&metadata.tokens).zip(&metadata.token_types).filter(|(_, kind)| **kind == BYTE) {
        if let Some(byte) = byte_piece(token) {
            bytes[usize::from(byte)] = Some(id);
        }
    }
    let all_bytes = bytes.iter().all(Option::is_some).then(|| Box::new(bytes.map(Option::unwrap_or_default)));
    let mut tokenizer = Parts::new(Pieces::new(metadata.tokens, metadata.scores, in_texts, all_bytes, unknown));
    let failed = |error| VocabularyError::with_source("the tokenizer's spaces cannot be replaced", error);
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if metadata.add_space_prefix.unwrap_or(true) {
        steps.push(Prepend::new("▁".to_owned()).into());
    }
    steps.push(Replace::new(" ", "▁").map_err(failed)?.into());
    tokenizer.with_normalizer(Some(Normalizers::new(steps))).map_err(failed)?;
    special.add_to(tokenizer)
}

/// Tokens that are found in a text before all others.
struct SpecialTokens {
    control: Vec<AddedToken>,
    user_defined: Vec<AddedToken>,
}

impl SpecialTokens {
    fn of(metadata: &TokenizerMetadata) -> Self {
        let of_kind = |kind, special| {
            let tokens = metadata.tokens.iter().zip(&metadata.token_types).filter(|(_, other)| **other == kind);
            tokens.map(|(token, _)| AddedToken::from(token.clone(), special).normalized(false)).collect()
        };
        Self { control: of_kind(CONTROL, true), user_defined: of_kind(USER_DEFINED, false) }
    }

    fn add_to<M, N, PT, PP, D>(self, mut tokenizer: TokenizerImpl<M, N, PT, PP, D>) -> Result<Box<dyn Encoder>, VocabularyError>
    where
        M: Model + Send + Sync + 'static,
        N: Normalizer + Send + Sync + 'static,
        PT: PreTokenizer + Send + Sync + 'static,
        PP: PostProcessor + Send + Sync + 'static,
        D: Decoder + Send + Sync + 'static,
    {
        let failed = |error| VocabularyError::with_source("the tokenizer's special tokens cannot be added", error);
        tokenizer.add_special_tokens(self.control).map_err(failed)?;
        tokenizer.add_tokens(self.user_defined).map_err(failed)?;
        Ok(Box::new(tokenizer))
    }
}

/// The tokens as bytes.
fn tokens(metadata: &TokenizerMetadata, byte_level: bool) -> impl Iterator<Item = Token> + '_ {
    metadata.tokens.iter().zip(&metadata.token_types).enumerate().map(move |(id, (token, kind))| {
        let ends = metadata.ends.contains(&(id as u32)) || (*kind == CONTROL && ENDS.contains(&token.as_str()));
        let bytes = match *kind {
            _ if ends => return Token::End,
            CONTROL | UNKNOWN | UNUSED => return Token::Control,
            USER_DEFINED => token.clone().into_bytes(),
            BYTE => byte_piece(token).map_or_else(|| token.clone().into_bytes(), |byte| vec![byte]),
            _ if byte_level => byte_level::bytes(token),
            _ => token.replace('▁', " ").into_bytes(),
        };
        if bytes.is_empty() { Token::Control } else { Token::Text(bytes) }
    })
}

/// The byte of a SentencePiece byte token, `<0x0A>`.
pub(super) fn byte_piece(token: &str) -> Option<u8> {
    u8::from_str_radix(token.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::tokenizer::byte_level::tests::alphabet;

    /// A byte-level tokenizer of all bytes, "ab", and two control tokens.
    fn metadata() -> TokenizerMetadata {
        let mut tokens: Vec<String> = alphabet().into_iter().map(String::from).collect();
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

    /// A SentencePiece tokenizer: control tokens, all bytes, a user's token, pieces.
    fn pieces() -> TokenizerMetadata {
        let mut tokens: Vec<(String, i32, f32)> = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL), ("\n\n", USER_DEFINED)]
            .map(|(token, kind)| (token.into(), kind, 0.0))
            .into();
        tokens.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), BYTE, 0.0)));
        let texts = ["▁", "a", "b", "▁a", "ab", "▁ab", "▁▁"];
        tokens.extend(texts.iter().enumerate().map(|(rank, text)| (text.to_string(), NORMAL, -(rank as f32))));
        TokenizerMetadata {
            model: "llama".into(),
            tokens: tokens.iter().map(|(token, ..)| token.clone()).collect(),
            token_types: tokens.iter().map(|(_, kind, _)| *kind).collect(),
            scores: tokens.iter().map(|(.., score)| *score).collect(),
            bos: Some(1),
            ..Default::default()
        }
    }

    #[test]
    fn pieces_write_every_text_after_a_space_and_a_beginning() {
        let tokenizer = Tokenizer::new(pieces()).unwrap();
        for text in ["", "ab", "a  ab b\n\n\nü🙂"] {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokens[0], TokenId::new(1));
            let written = tokenizer.vocabulary().text(&tokens);
            // Every stretch between special tokens begins with a space of its own.
            assert_eq!(String::from_utf8(written).unwrap().replace(' ', ""), text.replace(' ', ""), "{text:?}");
        }
        let bare = Tokenizer::new(TokenizerMetadata { add_space_prefix: Some(false), add_bos: Some(false), ..pieces() }).unwrap();
        let tokens = bare.encode("a  ab b\n\n\nü🙂").unwrap();
        assert_eq!(bare.vocabulary().text(&tokens), "a  ab b\n\n\nü🙂".as_bytes());
        assert!(tokens.contains(&TokenId::new(3)), "the user's token is found");
    }

    #[test]
    fn a_beginning_that_a_template_wrote_is_not_written_twice() {
        let tokenizer = Tokenizer::new(pieces()).unwrap();
        let begins = |text: &str| tokenizer.encode(text).unwrap().iter().filter(|token| token.get() == 1).count();
        assert_eq!((begins("<s>a"), begins("a"), begins("a<s>")), (1, 1, 2));
    }

    #[test]
    fn unknown_kinds_and_cuts_are_named() {
        let error = Tokenizer::new(TokenizerMetadata { model: "rwkv".into(), ..metadata() }).unwrap_err();
        assert!(error.to_string().contains("rwkv") && error.to_string().contains("gpt2"));
        let error = Tokenizer::new(TokenizerMetadata { pre: "tekken".into(), ..metadata() }).unwrap_err();
        assert!(error.to_string().contains("tekken") && error.to_string().contains("smollm"));
        assert!(Tokenizer::new(TokenizerMetadata { ends: vec![999], ..metadata() }).is_err());
        assert!(Tokenizer::new(TokenizerMetadata { scores: vec![], ..pieces() }).unwrap_err().to_string().contains("scores"));
    }
}
