//! The product of one tile with AVX-512 and its VNNI instructions: sixteen rows of weights to a vector.
//!
//! `dpbusd` multiplies 64 unsigned codes with 64 signed ones and adds each four to a 32-bit sum, so that
//! every format is the same to it, and nothing can overflow.
//!
//! The only unsafe operations are loads through the pointer of an array of the vector's size.

use super::activations::QuantisedBlock;
use super::fetch_ahead;
use super::format::{BLOCK, Format, TILE};
use std::arch::x86_64::*;

/// The products of the tile's rows with `M` rows of activations.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn dot<F: Format, const M: usize>(tile: &[u8], rows: [&[QuantisedBlock]; M]) -> [[f32; TILE]; M] {
    let layout = F::LAYOUT;
    let mut totals = [_mm512_setzero_ps(); M];
    for (block, bytes) in tile.chunks_exact(layout.block_bytes()).enumerate() {
        fetch_ahead::<F>(bytes);
        let inputs: [&QuantisedBlock; M] = std::array::from_fn(|m| &rows[m][block]);
        for part in 0..layout.scales {
            let sums = integer_sums::<F, M>(bytes, part, inputs);
            let scale = load_scale::<F>(bytes, part);
            for m in 0..M {
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(inputs[m].scale));
                totals[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[m]), scale, totals[m]);
            }
        }
        if layout.minimum {
            let minimum = load_scale::<F>(bytes, layout.scales);
            for m in 0..M {
                totals[m] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(inputs[m].scaled_sum), totals[m]);
            }
        }
    }
    totals.map(|total| {
        let mut array = [0.0; TILE];
        // SAFETY: sixteen f32 are written through the pointer of an array of so many; it may be unaligned.
        unsafe { _mm512_storeu_ps(array.as_mut_ptr(), total) }
        array
    })
}

/// For one part of the block: the sums of codes less zero, times those of the activations.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn integer_sums<F: Format, const M: usize>(block: &[u8], part: usize, inputs: [&QuantisedBlock; M]) -> [__m512i; M] {
    let layout = F::LAYOUT;
    let mut sums = [_mm512_setzero_si512(); M];
    if layout.zero > 0 {
        for m in 0..M {
            let sum = if layout.scales == 2 { inputs[m].sums[part] } else { inputs[m].sums[0] + inputs[m].sums[1] };
            sums[m] = _mm512_set1_epi32(sum * -i32::from(layout.zero));
        }
    }
    let codes = |word: usize| load(&block[word * TILE * 4..]);
    let input = |m: usize, word: usize| _mm512_set1_epi32(inputs[m].codes[word]);
    let words = BLOCK / 4 / layout.scales;
    if layout.bits == 4 {
        let low_half = _mm512_set1_epi8(15);
        for word in 0..words / 2 {
            let packed = codes(word);
            let low = _mm512_and_si512(packed, low_half);
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(packed), low_half);
            for m in 0..M {
                sums[m] = _mm512_dpbusd_epi32(sums[m], low, input(m, word));
                sums[m] = _mm512_dpbusd_epi32(sums[m], high, input(m, word + words / 2));
            }
        }
    } else {
        for word in part * words..(part + 1) * words {
            let codes = codes(word);
            for m in 0..M {
                sums[m] = _mm512_dpbusd_epi32(sums[m], codes, input(m, word));
            }
        }
    }
    sums
}

/// One scale for each of the tile's rows.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_scale<F: Format>(block: &[u8], which: usize) -> __m512 {
    let layout = F::LAYOUT;
    let scales = &block[layout.code_bytes() + which * layout.scale_bytes()..];
    if layout.half_scales {
        let scales: &[u8; 32] = scales.first_chunk().expect("a block has its scales");
        // SAFETY: 32 bytes are read through the pointer of an array of so many; it may be unaligned.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(scales.as_ptr().cast()) })
    } else {
        _mm512_castsi512_ps(load(scales))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8]) -> __m512i {
    let bytes: &[u8; 64] = bytes.first_chunk().expect("a block has its codes");
    // SAFETY: 64 bytes are read through the pointer of an array of so many; it may be unaligned.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
