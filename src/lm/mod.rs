//! Language models: token prefixes in, next-token distributions out.
//!
//! A [`LanguageModel`] keeps *contexts*: immutable, reference-counted token prefixes with what the model
//! computed for them. Particles fork by cloning a context and release it by dropping it, so that those
//! which share a history share its keys and values. The law (`tests/lm_laws.rs`): a context's row is the
//! same to the bit whatever its batch, its siblings or the order of extension.
//!
//! [`table`] is the exact toy model of the proofs; [`candle`] (feature `candle`) loads real models.

#[cfg(feature = "candle")]
pub mod candle;
mod error;
pub mod table;

pub use error::LmError;
pub use table::{TableContext, TableLm};

use crate::next_token::NextToken;
use crate::vocab::{TokenId, Vocabulary};
use std::sync::Arc;

/// A causal language model over a [`Vocabulary`].
pub trait LanguageModel {
    /// An immutable token prefix. A clone is a fork and costs a reference count.
    type Context: Clone + Send + Sync;

    /// The model's tokens.
    fn vocabulary(&self) -> &Arc<Vocabulary>;

    /// The most tokens, prompt and answer together, that the model can attend to.
    fn context_length(&self) -> usize;

    /// The context of a prompt. An empty prompt is allowed only where the model can begin from nothing.
    ///
    /// # Errors
    /// If the prompt is longer than the model's context, names tokens outside the vocabulary, or the
    /// model fails.
    fn prefill(&mut self, prompt: &[TokenId]) -> Result<Self::Context, LmError>;

    /// The contexts one token longer, in the order given: one forward pass for all; equal
    /// (context, token) pairs are computed once.
    ///
    /// # Errors
    /// If a context would pass the model's length, or the model fails.
    fn extend(&mut self, batch: &[(Self::Context, TokenId)]) -> Result<Vec<Self::Context>, LmError>;

    /// What may follow the context.
    ///
    /// # Errors
    /// If the model's logits are no distribution (NaN).
    fn next_token(&self, context: &Self::Context) -> Result<NextToken, LmError>;
}
