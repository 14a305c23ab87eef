//! The product of one tile with AVX2: eight rows of weights to a vector.
//!
//! `maddubs` multiplies 32 unsigned codes with 32 signed ones and adds neighbours, to sixteen bits. That
//! is exact as long as no sum passes 32767: with activations of at most 127, the products of 8 words of
//! four-bit codes can be added before they must be widened, of 4 words of five-bit codes, of 2 words of
//! six-bit codes. Eight-bit codes are made signed, and their sign given to the activation.
//!
//! The only unsafe operations are loads through the pointer of an array of the vector's size.

use super::activations::QuantisedBlock;
use super::fetch_ahead;
use super::format::{BLOCK, Format, TILE};
use std::arch::x86_64::*;

/// Rows of a vector.
const ROWS: usize = TILE / 2;

/// The products of the tile's rows with `M` rows of activations.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dot<F: Format, const M: usize>(tile: &[u8], rows: [&[QuantisedBlock]; M]) -> [[f32; TILE]; M] {
    let layout = F::LAYOUT;
    let mut totals = [[_mm256_setzero_ps(); 2]; M];
    for (block, bytes) in tile.chunks_exact(layout.block_bytes()).enumerate() {
        fetch_ahead::<F>(bytes);
        let inputs: [&QuantisedBlock; M] = std::array::from_fn(|m| &rows[m][block]);
        for half in 0..2 {
            for part in 0..layout.scales {
                let sums = integer_sums::<F, M>(bytes, half, part, inputs);
                let scale = load_scale::<F>(bytes, part, half);
                for m in 0..M {
                    let scale = _mm256_mul_ps(scale, _mm256_set1_ps(inputs[m].scale));
                    totals[m][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[m]), scale, totals[m][half]);
                }
            }
            if layout.minimum {
                let minimum = load_scale::<F>(bytes, layout.scales, half);
                for m in 0..M {
                    totals[m][half] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(inputs[m].scaled_sum), totals[m][half]);
                }
            }
        }
    }
    totals.map(|halves| {
        let mut total = [0.0; TILE];
        for (half, total) in halves.into_iter().zip(total.as_chunks_mut::<ROWS>().0) {
            store(half, total);
        }
        total
    })
}

/// For half of the tile's rows and one part of the block: the sums of codes less zero, times those of the
/// activations.
#[inline]
#[target_feature(enable = "avx2")]
fn integer_sums<F: Format, const M: usize>(block: &[u8], half: usize, part: usize, inputs: [&QuantisedBlock; M]) -> [__m256i; M] {
    let layout = F::LAYOUT;
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); M];
    let codes = |word: usize| load(&block[word * TILE * 4 + half * 32..]);
    let input = |m: usize, word: usize| _mm256_set1_epi32(inputs[m].codes[word]);
    let words = BLOCK / 4 / layout.scales;
    match layout.largest_code {
        255 => {
            for word in part * words..(part + 1) * words {
                let signed = _mm256_xor_si256(codes(word), _mm256_set1_epi8(-128));
                let magnitude = _mm256_abs_epi8(signed);
                for m in 0..M {
                    let products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(input(m, word), signed));
                    sums[m] = _mm256_add_epi32(sums[m], _mm256_madd_epi16(products, ones));
                }
            }
            // Zero was code 128, which is taken off already.
            return sums;
        }
        15 => {
            let low_half = _mm256_set1_epi8(15);
            for word in 0..words / 2 {
                let packed = codes(word);
                let low = _mm256_and_si256(packed, low_half);
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low_half);
                for m in 0..M {
                    sums[m] = _mm256_add_epi16(sums[m], _mm256_maddubs_epi16(low, input(m, word)));
                    sums[m] = _mm256_add_epi16(sums[m], _mm256_maddubs_epi16(high, input(m, word + words / 2)));
                }
            }
            sums = sums.map(|sum| _mm256_madd_epi16(sum, ones));
        }
        largest => {
            let exact = if largest == 31 { 4 } else { 2 };
            for first in (part * words..(part + 1) * words).step_by(exact) {
                let mut narrow = [_mm256_setzero_si256(); M];
                for word in first..first + exact {
                    let codes = codes(word);
                    for m in 0..M {
                        narrow[m] = _mm256_add_epi16(narrow[m], _mm256_maddubs_epi16(codes, input(m, word)));
                    }
                }
                for m in 0..M {
                    sums[m] = _mm256_add_epi32(sums[m], _mm256_madd_epi16(narrow[m], ones));
                }
            }
        }
    }
    if layout.zero > 0 {
        for m in 0..M {
            let sum = if layout.scales == 2 { inputs[m].sums[part] } else { inputs[m].sums[0] + inputs[m].sums[1] };
            sums[m] = _mm256_sub_epi32(sums[m], _mm256_set1_epi32(sum * i32::from(layout.zero)));
        }
    }
    sums
}

/// One scale for half of the tile's rows.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn load_scale<F: Format>(block: &[u8], which: usize, half: usize) -> __m256 {
    let layout = F::LAYOUT;
    let scales = &block[layout.code_bytes() + which * layout.scale_bytes() + half * layout.scale_bytes() / 2..];
    if layout.half_scales {
        let scales: &[u8; 16] = scales.first_chunk().expect("a block has its scales");
        // SAFETY: sixteen bytes are read through the pointer of an array of so many; it may be unaligned.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(scales.as_ptr().cast()) })
    } else {
        _mm256_castsi256_ps(load(scales))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8]) -> __m256i {
    let bytes: &[u8; 32] = bytes.first_chunk().expect("a block has its codes");
    // SAFETY: 32 bytes are read through the pointer of an array of so many; it may be unaligned.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(vector: __m256, to: &mut [f32; ROWS]) {
    // SAFETY: eight f32 are written through the pointer of an array of so many; it may be unaligned.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) }
}
