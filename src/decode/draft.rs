//! What critics and proposals are shown of a particle.

use crate::vocab::TokenId;

/// A text while it is written, or when it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft<'a> {
    /// The text.
    pub text: &'a [u8],
    /// The text tokens that it was written in. Their bytes go beyond `text` where a stop string was cut off.
    pub tokens: &'a [TokenId],
    /// Whether it is complete.
    pub complete: bool,
    /// Whether an end token made it complete (a stop string may, too).
    pub by_end_token: bool,
}

/// A draft that owns its parts.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnedDraft {
    pub(super) text: Vec<u8>,
    pub(super) tokens: Vec<TokenId>,
    pub(super) complete: bool,
    pub(super) by_end_token: bool,
}

impl OwnedDraft {
    pub(super) fn borrowed(&self) -> Draft<'_> {
        Draft { text: &self.text, tokens: &self.tokens, complete: self.complete, by_end_token: self.by_end_token }
    }
}
