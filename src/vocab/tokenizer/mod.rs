//! A model's own tokenizer: text to tokens, and the exact bytes of each token.
//!
//! Built over the crate `tokenizers`, from the metadata that a GGUF file carries ([`TokenizerMetadata`])
//! or from a `tokenizer.json` ([`Tokenizer::from_json`]). Two families cover the models that tamis runs:
//! *byte-level* byte-pair encoding, whose tokens are written in an alphabet of 256 printable characters
//! that stand for bytes, and *SentencePiece* pieces, where ▁ stands for a space and `<0x0A>` for a byte.
//! How a text is cut before merging differs from model to model and is named in the metadata; a name that
//! is not known is an error, since a wrong cut gives wrong tokens silently.

mod byte_level;
mod gguf;
mod json;
mod pieces;

pub use gguf::TokenizerMetadata;
pub use json::EndTokens;

use super::{Canonical, TokenId, Vocabulary, VocabularyError};
use std::fmt;
use std::sync::Arc;
use tokenizers::{Decoder, Model, Normalizer, PostProcessor, PreTokenizer, TokenizerImpl};

/// Control tokens that end an answer in some chat format or other.
const ENDS: [&str; 8] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<end_of_turn>", "</s>", "<eos>"];

/// A tokenizer with its vocabulary.
pub struct Tokenizer {
    encoder: Box<dyn Encoder>,
    vocabulary: Arc<Vocabulary>,
    bos: Option<TokenId>,
    add_bos: bool,
    /// Whether texts are cut as GPT-2 and its descendants cut them, and bytes merged within the pieces.
    cuts_words: bool,
}

/// The crate's tokenizer, of whatever parts.
trait Encoder: Send + Sync {
    fn encode(&self, text: &str) -> tokenizers::Result<Vec<u32>>;
    fn spelling(&self, id: u32) -> Option<String>;
}

impl<M, N, PT, PP, D> Encoder for TokenizerImpl<M, N, PT, PP, D>
where
    M: Model + Send + Sync,
    N: Normalizer + Send + Sync,
    PT: PreTokenizer + Send + Sync,
    PP: PostProcessor + Send + Sync,
    D: Decoder + Send + Sync,
{
    fn encode(&self, text: &str) -> tokenizers::Result<Vec<u32>> {
        Ok(self.encode_fast(text, false)?.get_ids().to_vec())
    }

    fn spelling(&self, id: u32) -> Option<String> {
        self.id_to_token(id)
    }
}

impl Tokenizer {
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
        let ids = self.encoder.encode(text).map_err(|error| VocabularyError::with_source("the text cannot be tokenized", error))?;
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocabulary.len()) {
            let spelling = self.encoder.spelling(*id).unwrap_or_default();
            return Err(VocabularyError::new(format!("the text has the token {spelling:?}, of which the model knows nothing")));
        }
        let tokens: Vec<TokenId> = ids.into_iter().map(TokenId::new).collect();
        // A chat template may have written it already.
        let bos = self.bos.filter(|bos| self.add_bos && tokens.first() != Some(bos));
        Ok(bos.into_iter().chain(tokens).collect())
    }

    /// The rule that an answer be written in the tokens that this tokenizer itself would write.
    ///
    /// # Errors
    /// If the tokenizer is not byte-level, or cuts texts in a way of its own: others put a space before a
    /// text or change it, so that what they would write of an answer alone is not what follows a prompt.
    pub fn canonical(self: &Arc<Self>) -> Result<Canonical, VocabularyError> {
        if !self.cuts_words {
            return Err(VocabularyError::new(
                "which tokens the tokenizer itself would write is known of byte-level tokenizers that cut texts as GPT-2, Llama 3 or Qwen 2 do; this one is another",
            ));
        }
        let tokenizer = self.clone();
        Ok(Canonical::cutting(self.vocabulary.clone(), move |text| {
            let ids = tokenizer.encoder.encode(std::str::from_utf8(text).ok()?).ok()?;
            Some(ids.into_iter().map(TokenId::new).collect())
        }))
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// How the model's file spells a token: what chat templates call it.
    pub fn spelling(&self, token: TokenId) -> Option<String> {
        self.encoder.spelling(token.get())
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocabulary", &self.vocabulary).field("bos", &self.bos).finish_non_exhaustive()
    }
}
