//! Products of weight matrices with a few rows of activations, where nearly all time goes.
//!
//! Weights are repacked once, at load, into tiles of sixteen rows that vectors meet side by side
//! (`format.rs`); activations are quantised to eight bits (`activations.rs`), row by row; a [`Matrix`]
//! multiplies the two over a help-first [`Pool`]. Each tile is loaded once for four or eight rows, so that a
//! batch of particles costs little more than one. `avx2.rs` and `avx512.rs` are chosen when the program
//! runs, `portable.rs` is for other machines and is what they are tested against: integers are the same on
//! all, and sums of blocks are the same to the bit wherever multiplication and addition are fused.
//!
//! A row's result depends on that row alone: not on the batch, and not on the number of threads. Unsafe
//! code of the forward pass on the CPU is here and in [`crate::simd`]: vector loads and stores, one call into
//! each vector kernel, the assembly that attention multiplies bf16 with (`amx.rs`), the weights' memory
//! (`arena.rs`), the pool's borrowed jobs, and writing an output from several threads.

#![allow(clippy::needless_range_loop, reason = "kernels index several arrays alike, and indices show it")]

mod activations;
#[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), path = "no_amx.rs")]
mod amx;
mod arena;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(feature = "cuda")]
mod dequantise;
mod float;
mod format;
mod matrix;
mod pool;
mod portable;

pub(crate) use activations::Activations;
pub(crate) use amx::{LINES, Tiles};
pub(crate) use arena::Arena;
#[cfg(feature = "cuda")]
pub(crate) use dequantise::dequantise;
#[cfg(test)]
pub(crate) use format::READ;
pub(crate) use matrix::{Matrix, Product, multiply};
pub(crate) use pool::Pool;

/// Has the processor fetch what a pass reads soon after a block of weights: its own foresight ends with a
/// page, and while it multiplies it cannot look far enough.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fetch_ahead<F: format::Format>(block: &[u8]) {
    /// Some KiB, mostly of the next tile.
    const BLOCKS: usize = 16;
    let length = F::LAYOUT.block_bytes();
    crate::simd::fetch(block.as_ptr().wrapping_add(BLOCKS * length), length);
}
