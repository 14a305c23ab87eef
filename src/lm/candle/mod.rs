//! Real models: GGUF files of the llama family, run on the CPU for many particles at once.
//!
//! The forward pass is our own, on plain slices of `f32`, because particles need what stock models lack:
//! a batch of contexts of different lengths that share their histories. [`weights`] maps a file and
//! checks it against [`config`]; [`context`] holds keys and values in shared pages; [`forward`] is one
//! pass over a batch, [`attention`] its only part that sees other positions; [`model`] joins them to a
//! [`LanguageModel`](crate::lm::LanguageModel). [`source`] says where models come from, and [`fetch`] gets
//! them; [`metadata`] reads a file's tokenizer and [`chat`] applies its chat template.
//!
//! Every row is computed in one fixed order of operations that depends on its own tokens alone, never on
//! the batch, on the pages' layout or on the number of threads: that is what makes rows equal to the bit.
//! To add a family of models, extend [`config`]; candle's own types do not leave this module.

mod attention;
mod chat;
mod config;
mod context;
mod fetch;
mod forward;
mod kernels;
mod metadata;
mod model;
mod numeric;
mod source;
mod weights;

pub use chat::ChatTemplate;
pub use context::CandleContext;
pub use model::{CandleLm, CandleOptions};
pub use source::{ALIASES, Alias, FetchProgress, ModelSource, cache_folder};
