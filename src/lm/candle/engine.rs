//! What runs a model: an [`Engine`] makes [`State`]s of token prefixes, and rows of states.
//!
//! [`CandleLm`](super::CandleLm) is what users see, whichever engine it runs on: `cpu.rs` for all cores,
//! `cuda/` for a GPU, `replay.rs` for models that only candle-transformers has. It checks what it is given, computes equal pairs once, and remembers prompts; an engine only computes.

use super::attention_weights::AttentionWeights;
use super::cpu;
#[cfg(feature = "cuda")]
use super::cuda;
#[cfg(feature = "all-models")]
use super::replay;
use crate::lm::LmError;
use crate::next_token::NextToken;
use crate::vocab::TokenId;

/// Computes with one model.
pub(super) trait Engine: Send {
    /// What computes, in words.
    fn device(&self) -> String;

    /// The number of tokens that the model has embeddings of.
    fn vocabulary_size(&self) -> usize;

    /// The most tokens that the model can attend to.
    fn context_length(&self) -> usize;

    /// Bytes that states may still take.
    fn free_memory(&self) -> usize;

    /// Bytes that all states hold that live.
    fn memory_in_use(&self) -> usize;

    /// The bytes that a state of this many tokens would take.
    fn prompt_bytes(&self, tokens: usize) -> usize;

    /// The bytes that these states would take in addition, one token longer.
    fn growth_bytes(&self, states: &[&State]) -> usize;

    /// The state of a prompt, which has tokens. With `known`, the state of a text that begins with the same
    /// tokens, as many as are told: a multiple of [`PAGE`](super::context::PAGE), and fewer than the prompt has.
    fn prefill(&mut self, prompt: &[TokenId], known: Option<(&State, usize)>) -> Result<State, LmError>;

    /// The states one token longer, in order. No two pairs are equal.
    fn extend(&mut self, batch: &[(&State, TokenId)]) -> Result<Vec<State>, LmError>;

    /// The attention weights of a text that has tokens, from position `first` of it on.
    fn attention_weights(&mut self, _text: &[TokenId], _first: usize) -> Result<AttentionWeights, LmError> {
        Err(LmError::unsupported(format!("attention weights are told by our own pass on the CPU, not by {}", self.device())))
    }

    /// What may follow.
    fn next_token(&self, state: &State) -> Result<NextToken, LmError>;
}

/// What an engine holds of a token prefix. It belongs to the engine that made it.
pub(super) enum State {
    Cpu(cpu::State),
    #[cfg(feature = "cuda")]
    Cuda(cuda::State),
    #[cfg(feature = "all-models")]
    Replay(replay::State),
}

/// Declares how an engine gets at a state of its own.
macro_rules! own_states {
    ($($(#[$feature:meta])* $name:ident => $variant:ident($type:ty),)*) => {
        impl State {
            $($(#[$feature])*
            pub(super) fn $name(&self) -> &$type {
                match self {
                    Self::$variant(state) => state,
                    #[allow(unreachable_patterns, reason = "with one engine there are no others")]
                    _ => unreachable!("a state of another engine"),
                }
            })*
        }
    };
}

own_states! {
    cpu => Cpu(cpu::State),
    #[cfg(feature = "cuda")]
    cuda => Cuda(cuda::State),
    #[cfg(feature = "all-models")]
    replay => Replay(replay::State),
}
