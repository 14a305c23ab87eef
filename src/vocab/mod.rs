//! Tokens: what they are as bytes, which of them end a text, and how to find them by prefix.
//!
//! A constraint speaks of bytes, a language model of token ids; a [`Vocabulary`] is the exact map
//! between the two. A token's bytes may be no valid UTF-8 alone, two tokens may have the same bytes,
//! and some tokens have none: *control* tokens steer the model and are no part of any text. The tokens
//! that end a text form a set (chat models have several); all of them mean the same to a constraint.
//! Reading a tokenizer from a model's files is in [`tokenizer`] (feature `candle`).

mod canonical;
mod token_set;
#[cfg(feature = "candle")]
pub mod tokenizer;
mod trie;

pub use canonical::{Canonical, TokenFilter};
pub use token_set::TokenSet;
pub use trie::TokenTrie;

use std::fmt;
use std::sync::OnceLock;

/// The number of a token in its vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TokenId(u32);

impl TokenId {
    /// The token with this number.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// Its number, to index with.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its number, as models count.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One token of a [`Vocabulary`] under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Text: these bytes, at least one.
    Text(Vec<u8>),
    /// No text: it steers the model (a role marker, padding), and is never part of an answer.
    Control,
    /// No text: it ends the text.
    End,
}

/// The tokens of a language model: their bytes, and which of them end a text.
pub struct Vocabulary {
    /// All tokens' bytes, end to end; token `i` has `arena[offsets[i]..offsets[i + 1]]`.
    arena: Vec<u8>,
    offsets: Vec<u32>,
    ends: TokenSet,
    end_list: Vec<TokenId>,
    /// Bytes of the longest token.
    longest: usize,
    trie: OnceLock<TokenTrie>,
}

impl Vocabulary {
    /// The vocabulary of `tokens`, numbered in their order.
    ///
    /// # Errors
    /// If there is no token, a text token is empty, none ends a text, or all the bytes together pass 4 GiB.
    ///
    /// ```
    /// use tamis::vocab::{Token, TokenId, Vocabulary};
    /// let vocabulary = Vocabulary::new([Token::Text(b"ab".to_vec()), Token::End])?;
    /// assert_eq!(vocabulary.bytes(TokenId::new(0)), Some(&b"ab"[..]));
    /// assert!(vocabulary.is_end(TokenId::new(1)));
    /// assert_eq!(vocabulary.longest(), 2);
    /// # Ok::<(), tamis::vocab::VocabularyError>(())
    /// ```
    pub fn new(tokens: impl IntoIterator<Item = Token>) -> Result<Self, VocabularyError> {
        let mut arena = Vec::new();
        let mut offsets = vec![0];
        let (mut end_list, mut longest) = (Vec::new(), 0);
        for (id, token) in tokens.into_iter().enumerate() {
            let id = u32::try_from(id).map_err(|_| VocabularyError::new("more than 2^32 tokens"))?;
            match token {
                Token::Text(bytes) if bytes.is_empty() => {
                    return Err(VocabularyError::new(format!("token {id} is text but has no bytes; make it a control token")));
                }
                Token::Text(bytes) => {
                    arena.extend_from_slice(&bytes);
                    longest = longest.max(bytes.len());
                }
                Token::Control => {}
                Token::End => end_list.push(TokenId::new(id)),
            }
            offsets.push(u32::try_from(arena.len()).map_err(|_| VocabularyError::new("the tokens' bytes pass 4 GiB"))?);
        }
        let size = offsets.len() - 1;
        if size == 0 {
            return Err(VocabularyError::new("there are no tokens"));
        }
        if end_list.is_empty() {
            return Err(VocabularyError::new("no token ends a text (an end-of-sequence token is needed)"));
        }
        let mut ends = TokenSet::new(size);
        for token in &end_list {
            ends.insert(*token);
        }
        Ok(Self { arena, offsets, ends, end_list, longest, trie: OnceLock::new() })
    }

    /// The most bytes that one token has.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The number of tokens, all kinds together.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Never: a vocabulary has at least one token.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The token's text; `None` for control and end tokens, and for ids outside the vocabulary.
    #[inline]
    pub fn bytes(&self, token: TokenId) -> Option<&[u8]> {
        let start = *self.offsets.get(token.index())? as usize;
        let end = *self.offsets.get(token.index() + 1)? as usize;
        (start < end).then(|| &self.arena[start..end])
    }

    /// Whether the token ends a text.
    #[inline]
    pub fn is_end(&self, token: TokenId) -> bool {
        self.ends.contains(token)
    }

    /// All tokens that end a text, by increasing id; never empty.
    pub fn ends(&self) -> &[TokenId] {
        &self.end_list
    }

    /// All tokens, by increasing id.
    pub fn tokens(&self) -> impl Iterator<Item = TokenId> + use<> {
        (0..self.len() as u32).map(TokenId::new)
    }

    /// The text tokens by prefix; built at first use.
    pub fn trie(&self) -> &TokenTrie {
        self.trie.get_or_init(|| TokenTrie::new(self))
    }

    /// The text of `tokens`; control and end tokens add nothing.
    pub fn text(&self, tokens: &[TokenId]) -> Vec<u8> {
        tokens.iter().filter_map(|token| self.bytes(*token)).flatten().copied().collect()
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("len", &self.len()).field("ends", &self.end_list).finish_non_exhaustive()
    }
}

/// Why a vocabulary or a tokenizer could not be made.
#[derive(Debug)]
pub struct VocabularyError {
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl VocabularyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    #[cfg(feature = "candle")]
    pub(crate) fn with_source(message: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }
}

impl fmt::Display for VocabularyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for VocabularyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_leaves_out_tokens_without_bytes() {
        let vocabulary = Vocabulary::new([Token::Text(vec![0xC3]), Token::Control, Token::Text(vec![0xA9]), Token::End]).unwrap();
        let tokens: Vec<_> = vocabulary.tokens().collect();
        assert_eq!(vocabulary.text(&tokens), "é".as_bytes());
        assert_eq!(vocabulary.bytes(TokenId::new(1)), None);
        assert_eq!(vocabulary.bytes(TokenId::new(9)), None);
    }

    #[test]
    fn a_vocabulary_without_an_end_or_with_empty_text_is_refused() {
        assert!(Vocabulary::new([Token::Control]).unwrap_err().to_string().contains("ends a text"));
        assert!(Vocabulary::new([Token::End, Token::Text(vec![])]).unwrap_err().to_string().contains("token 1"));
    }
}
