//! The kernels of `src/lm/candle/cuda/kernels.cu`, without a GPU: their very source, compiled for the CPU, beside
//! plain references.
//!
//! `cuda_fp16.h` stands in for CUDA, `fibers.h` for the threads of a block, `host.cpp` runs a kernel, and `host.rs`
//! calls that as one would call a device. Every launch is run twice, the threads and blocks of the second one in
//! reverse, and must leave the same bits. What this cannot show: that the driver and the GPU do what CUDA's manuals
//! say (`tests/lm_cuda.rs`, where there is a GPU), and that `launch.rs` gives the shapes that are given here.
//!
//! Needs a C++ compiler: `$CXX`, or else `c++`.
// Fibers are glibc's.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod attention;
mod host;
mod multiply;
mod rows;
mod stream;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Threads of most blocks.
const THREADS: usize = 256;
/// Positions of a page.
const PAGE: usize = 16;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Numbers of -`size` to `size`.
fn numbers(rng: &mut ChaCha8Rng, count: usize, size: f32) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-size..size)).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}
