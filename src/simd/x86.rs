//! The vectors of x86-64.
//!
//! Methods of [`Vector`] cannot ask for features of the machine, so they call the intrinsics unsafely.
//! SAFETY, for all of them: the types `Avx2` and `Avx512` are known to this module alone, which
//! names them only to `with_avx2` and `with_avx512`: whoever runs code that is generic in a vector,
//! with one of these, has promised the features. Pointers come from arrays of the vector's size.

use super::{HighHalves, LANES, Pairs, ROUND, Vector, Wide};
use std::arch::x86_64::*;

#[target_feature(enable = "avx2,fma")]
pub(super) fn with_avx2<W: Wide>(work: W) -> W::Output {
    work.run::<Avx2>()
}

#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn with_avx512<W: Wide>(work: W) -> W::Output {
    work.run::<Avx512>()
}

/// Two registers of AVX2.
#[derive(Clone, Copy)]
struct Avx2(__m256, __m256);

/// A register of AVX-512.
#[derive(Clone, Copy)]
struct Avx512(__m512);

impl Vector for Avx2 {
    type Doubles = [__m256d; 4];

    const FUSED: bool = true;
    const SUMS: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        let [low, high] = halves(values);
        unsafe { Self(_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; LANES]) {
        let (low, high) = values.split_at_mut(LANES / 2);
        unsafe {
            _mm256_storeu_ps(low.as_mut_ptr(), self.0);
            _mm256_storeu_ps(high.as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
    }

    #[inline(always)]
    fn select_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, bound.0);
            let high = _mm256_cmp_ps::<_CMP_LT_OQ>(self.1, bound.1);
            Self(_mm256_blendv_ps(otherwise.0, then.0, low), _mm256_blendv_ps(otherwise.1, then.1, high))
        }
    }

    #[inline(always)]
    fn scale_by_power(self, shifted: Self) -> Self {
        unsafe {
            let bias = _mm256_set1_epi32(127 - ROUND.to_bits() as i32);
            let power = |shifted| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_castps_si256(shifted), bias)));
            Self(_mm256_mul_ps(self.0, power(shifted.0)), _mm256_mul_ps(self.1, power(shifted.1)))
        }
    }

    #[inline(always)]
    fn to_bytes(self) -> [i8; LANES] {
        let mut bytes = [0; LANES];
        unsafe {
            // Packing keeps the two halves of a register apart: the words come out in the order 0, 2, 1, 3.
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1));
            let words = _mm256_permute4x64_epi64::<0b_11_01_10_00>(words);
            let packed = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), packed);
        }
        bytes
    }

    #[inline(always)]
    fn load_member<const MEMBER: usize>(pairs: &Pairs) -> Self {
        let [low, high] = [0, 1].map(|half| unsafe {
            let pairs = _mm256_load_si256(pairs.0.as_ptr().add(half * LANES / 2).cast());
            // The member in the high half of each lane, zeros in the low one.
            let member =
                if MEMBER == 0 { _mm256_slli_epi32::<16>(pairs) } else { _mm256_blend_epi16::<0xaa>(_mm256_setzero_si256(), pairs) };
            _mm256_castsi256_ps(member)
        });
        Self(low, high)
    }

    #[inline(always)]
    fn to_high_halves(self) -> HighHalves {
        let mut halves = HighHalves::default();
        unsafe {
            let high = |lanes| _mm256_srli_epi32::<16>(_mm256_castps_si256(lanes));
            // Packing keeps the two halves of a register apart.
            let packed = _mm256_permute4x64_epi64::<0b_11_01_10_00>(_mm256_packus_epi32(high(self.0), high(self.1)));
            _mm256_store_si256(halves.0.as_mut_ptr().cast(), packed);
        }
        halves
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [low, high] = [self.0, self.1];
        unsafe { fold_halves(_mm256_add_ps(low, high), |a, b| _mm_add_ps(a, b)) }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        let [low, high] = [self.0, self.1];
        unsafe { fold_halves(_mm256_max_ps(low, high), |a, b| _mm_max_ps(a, b)) }
    }

    #[inline(always)]
    fn to_doubles(self) -> Self::Doubles {
        unsafe { self.quarters().map(|quarter| _mm256_cvtps_pd(quarter)) }
    }

    #[inline(always)]
    fn scale_doubles_by_power(self, shifted: Self) -> Self::Doubles {
        let (factors, powers) = (self.quarters(), shifted.quarters());
        std::array::from_fn(|i| unsafe {
            let power = _mm_add_epi32(_mm_castps_si128(powers[i]), _mm_set1_epi32(1023 - ROUND.to_bits() as i32));
            let power = _mm256_slli_epi64::<52>(_mm256_cvtepi32_epi64(power));
            _mm256_mul_pd(_mm256_cvtps_pd(factors[i]), _mm256_castsi256_pd(power))
        })
    }

    #[inline(always)]
    fn add_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm256_add_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn mul_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm256_mul_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn max_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm256_max_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn store_doubles(doubles: Self::Doubles) -> [f64; LANES] {
        let mut lanes = [0.0; LANES];
        for (doubles, lanes) in doubles.into_iter().zip(lanes.as_chunks_mut::<4>().0) {
            unsafe { _mm256_storeu_pd(lanes.as_mut_ptr(), doubles) }
        }
        lanes
    }

    #[inline(always)]
    fn load_doubles(values: &[f64; LANES]) -> Self::Doubles {
        let quarters = values.as_chunks::<4>().0;
        std::array::from_fn(|i| unsafe { _mm256_loadu_pd(quarters[i].as_ptr()) })
    }

    #[inline(always)]
    fn keep_doubles(doubles: Self::Doubles, bits: u16) -> Self::Doubles {
        std::array::from_fn(|i| unsafe {
            // Each lane's own bit, moved to where a lane has its sign.
            let bits = _mm256_set1_epi64x(i64::from(bits >> (4 * i)));
            let signs = _mm256_sllv_epi64(bits, _mm256_set_epi64x(60, 61, 62, 63));
            _mm256_blendv_pd(_mm256_setzero_pd(), doubles[i], _mm256_castsi256_pd(signs))
        })
    }
}

impl Avx2 {
    #[inline(always)]
    fn quarters(self) -> [__m128; 4] {
        unsafe {
            let high = |half| _mm256_extractf128_ps::<1>(half);
            [_mm256_castps256_ps128(self.0), high(self.0), _mm256_castps256_ps128(self.1), high(self.1)]
        }
    }
}

impl Vector for Avx512 {
    type Doubles = [__m512d; 2];

    const FUSED: bool = true;
    const SUMS: usize = 8;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        unsafe { Self(_mm512_loadu_ps(values.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        unsafe { Self(_mm512_div_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm512_max_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
    }

    #[inline(always)]
    fn select_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        unsafe { Self(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, bound.0), otherwise.0, then.0)) }
    }

    #[inline(always)]
    fn scale_by_power(self, shifted: Self) -> Self {
        unsafe {
            let bias = _mm512_set1_epi32(127 - ROUND.to_bits() as i32);
            let power = _mm512_slli_epi32::<23>(_mm512_add_epi32(_mm512_castps_si512(shifted.0), bias));
            Self(_mm512_mul_ps(self.0, _mm512_castsi512_ps(power)))
        }
    }

    #[inline(always)]
    fn to_bytes(self) -> [i8; LANES] {
        let mut bytes = [0; LANES];
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(self.0))) }
        bytes
    }

    #[inline(always)]
    fn load_member<const MEMBER: usize>(pairs: &Pairs) -> Self {
        unsafe {
            let pairs = _mm512_load_si512(pairs.0.as_ptr().cast());
            // The member in the high half of each lane, zeros in the low one.
            let member = if MEMBER == 0 { _mm512_slli_epi32::<16>(pairs) } else { _mm512_and_si512(pairs, _mm512_set1_epi32(!0xffff)) };
            Self(_mm512_castsi512_ps(member))
        }
    }

    #[inline(always)]
    fn to_high_halves(self) -> HighHalves {
        let mut halves = HighHalves::default();
        unsafe {
            let high = _mm512_srli_epi32::<16>(_mm512_castps_si512(self.0));
            _mm256_store_si256(halves.0.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(high));
        }
        halves
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [low, high] = self.halves();
        unsafe { fold_halves(_mm256_add_ps(low, high), |a, b| _mm_add_ps(a, b)) }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        let [low, high] = self.halves();
        unsafe { fold_halves(_mm256_max_ps(low, high), |a, b| _mm_max_ps(a, b)) }
    }

    #[inline(always)]
    fn to_doubles(self) -> Self::Doubles {
        self.halves().map(|half| unsafe { _mm512_cvtps_pd(half) })
    }

    #[inline(always)]
    fn scale_doubles_by_power(self, shifted: Self) -> Self::Doubles {
        let (factors, powers) = (self.halves(), shifted.halves());
        std::array::from_fn(|i| unsafe {
            let power = _mm256_add_epi32(_mm256_castps_si256(powers[i]), _mm256_set1_epi32(1023 - ROUND.to_bits() as i32));
            let power = _mm512_slli_epi64::<52>(_mm512_cvtepi32_epi64(power));
            _mm512_mul_pd(_mm512_cvtps_pd(factors[i]), _mm512_castsi512_pd(power))
        })
    }

    #[inline(always)]
    fn add_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm512_add_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn mul_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm512_mul_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn max_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm512_max_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn store_doubles(doubles: Self::Doubles) -> [f64; LANES] {
        let mut lanes = [0.0; LANES];
        for (doubles, lanes) in doubles.into_iter().zip(lanes.as_chunks_mut::<8>().0) {
            unsafe { _mm512_storeu_pd(lanes.as_mut_ptr(), doubles) }
        }
        lanes
    }

    #[inline(always)]
    fn load_doubles(values: &[f64; LANES]) -> Self::Doubles {
        let halves = values.as_chunks::<8>().0;
        std::array::from_fn(|i| unsafe { _mm512_loadu_pd(halves[i].as_ptr()) })
    }

    #[inline(always)]
    fn keep_doubles(doubles: Self::Doubles, bits: u16) -> Self::Doubles {
        std::array::from_fn(|i| unsafe { _mm512_maskz_mov_pd((bits >> (8 * i)) as u8, doubles[i]) })
    }
}

impl Avx512 {
    #[inline(always)]
    fn halves(self) -> [__m256; 2] {
        unsafe {
            let high = _mm512_shuffle_f32x4::<0b_11_10_11_10>(self.0, self.0);
            [_mm512_castps512_ps256(self.0), _mm512_castps512_ps256(high)]
        }
    }
}

/// Combines the halves of eight numbers, and the halves of these.
#[inline(always)]
fn fold_halves(lanes: __m256, combine: impl Fn(__m128, __m128) -> __m128) -> f32 {
    unsafe {
        let four = combine(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let two = combine(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(combine(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

#[inline(always)]
fn halves(values: &[f32; LANES]) -> [&[f32]; 2] {
    let (low, high) = values.split_at(LANES / 2);
    [low, high]
}

#[cfg(test)]
pub(super) fn same_on_all<W: Wide>(make: impl Fn() -> W) -> Vec<W::Output> {
    let mut outputs = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were just seen.
        outputs.push(unsafe { with_avx2(make()) });
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the features were just seen.
            outputs.push(unsafe { with_avx512(make()) });
        }
    }
    outputs
}
