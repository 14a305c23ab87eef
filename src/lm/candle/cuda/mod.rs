//! The engine on an NVIDIA GPU (feature `cuda`): weights, keys, values and logits stay on the device.
//!
//! Nothing of CUDA is needed to build this, and only the driver to run it: `kernels.cu` holds our own kernels
//! for all of the forward pass, `kernels.ptx` is what the compiler made of it (`compile`), and the driver
//! translates that for the GPU at hand. The laws are those of the CPU: a row's bits depend on its own tokens
//! alone, since every kernel cuts its sums in the same places whatever the batch.
//!
//! A step is `pass.rs`: one upload of what it needs to know, the kernels of `launch.rs`, one download. Keys
//! and values are in the pages of `pages.rs`. What comes back of a row of logits is a [`ChunkSummary`] for
//! each chunk of it and the chunks of largest mass (`rows.rs`): samplers walk on that as on any row, draw the
//! very tokens that they would draw from a row on the host, and fetch more only where they look beyond.
//!
//! [`ChunkSummary`]: crate::next_token::ChunkSummary

mod device;
mod engine;
mod launch;
mod pages;
mod pass;
mod rows;
mod weights;

pub(super) use device::CudaDevice;
pub(super) use engine::{CudaEngine, State};
