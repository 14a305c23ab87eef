//! Real models: GGUF files and folders of safetensors, run for many particles at once.
//!
//! The forward pass is our own, because particles need what stock models lack: a batch of contexts of
//! different lengths that share their histories. [`CandleLm`] is what users see; an engine computes
//! (`engine.rs`). The one on the CPU (`cpu.rs`) works on plain slices of `f32`: `weights.rs` maps a file and
//! checks it against `config.rs`; `context.rs` holds keys and values in shared pages; `forward.rs` is one
//! pass over a batch, `attention/` its only part that sees other positions, `place.rs` what makes pages of them. The one on a GPU is `cuda/`, and
//! `replay.rs` runs what only candle-transformers has. `source.rs` says where models come from, and `fetch.rs`
//! gets them; `metadata.rs` reads a file's tokenizer and `chat.rs` applies its chat template.
//!
//! Every row is computed in one fixed order of operations that depends on its own tokens alone, never on
//! the batch, on the pages' layout or on the number of threads: that is what makes rows equal to the bit.
//! To add a family of models, extend `config.rs`; candle's own types do not leave this module.

mod attention;
mod attention_weights;
mod chat;
mod config;
mod context;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod engine;
mod fetch;
mod files;
mod folder;
mod forward;
#[cfg(feature = "hub")]
mod hub;
mod kernels;
mod mapped;
mod memory;
mod metadata;
mod model;
mod numeric;
mod place;
#[cfg(feature = "all-models")]
mod replay;
mod source;
mod weights;

pub use attention_weights::AttentionWeights;
pub use chat::ChatTemplate;
pub use context::CandleContext;
pub use device::Device;
pub use model::{CandleLm, CandleOptions};
pub use source::{ALIASES, Alias, FetchProgress, ModelSource, cache_folder};
