//! Vectors of sixteen `f32`, on whatever the machine has.
//!
//! Work on rows is written once, as a [`Wide`] value that is generic in its [`Vector`]; [`run`] picks the
//! widest implementation that this machine can execute: one register of AVX-512, two of AVX2, or a plain
//! array that the compiler makes the best of. Sixteen lanes everywhere, so that sums are formed in the
//! same order: AVX2 and AVX-512 give the same bits, and so does any machine that fuses multiplication
//! with addition. On one machine the choice never changes.
//!
//! Vectorisation is explicit because the compiler's own comes and goes with the optimisation level.

#![cfg_attr(not(feature = "candle"), allow(dead_code, reason = "most callers are language models"))]

use std::ops::Range;

/// The number of lanes of every [`Vector`].
pub(crate) const LANES: usize = 16;

/// Work that gains from wide vectors.
pub(crate) trait Wide {
    /// What comes out.
    type Output;

    /// Does it. Implementations, and what they call with a `V`, are `#[inline(always)]`, or they would
    /// not be compiled for the wider machine.
    fn run<V: Vector>(self) -> Self::Output;
}

/// Does the work with the widest vectors that the machine has.
#[inline]
pub(crate) fn run<W: Wide>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the function asks of its caller only that the machine has these features.
            return unsafe { x86::with_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { x86::with_avx2(work) };
        }
    }
    work.run::<Plain>()
}

/// Has the processor fetch the values, which are read soon.
#[inline(always)]
pub(crate) fn fetch(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(LANES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// Sixteen `f32`.
///
/// Comparisons are those of the machine: where a lane of either operand is NaN, [`max`](Vector::max) gives
/// the second, and [`select_less`](Vector::select_less) takes the second choice.
pub(crate) trait Vector: Copy {
    /// Sixteen `f64`.
    type Doubles: Copy;

    /// Whether [`mul_add`](Vector::mul_add) rounds once.
    const FUSED: bool;
    /// How many sums to form side by side: enough of them to hide the time that an addition takes, few
    /// enough to stay in registers. 4 or 8.
    const SUMS: usize;

    fn splat(value: f32) -> Self;
    fn load(values: &[f32; LANES]) -> Self;
    fn store(self, values: &mut [f32; LANES]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// `self * factor + addend`.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// In each lane `then` where `self < bound`, else `otherwise`.
    fn select_less(self, bound: Self, then: Self, otherwise: Self) -> Self;
    /// `self * 2^k`, where `k` was added to [`ROUND`] to give `shifted`. Wrong unless -127 < k < 128.
    fn scale_by_power(self, shifted: Self) -> Self;

    /// The lanes, which are whole numbers from -128 to 127.
    fn to_bytes(self) -> [i8; LANES];

    fn to_doubles(self) -> Self::Doubles;
    /// `self * 2^k` in `f64`, where `k` was added to [`ROUND`] to give `shifted`. Wrong unless
    /// -1023 < k < 1024.
    fn scale_doubles_by_power(self, shifted: Self) -> Self::Doubles;
    fn add_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    fn mul_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// Not for lanes that are NaN.
    fn max_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    fn store_doubles(doubles: Self::Doubles) -> [f64; LANES];
    fn load_doubles(values: &[f64; LANES]) -> Self::Doubles;
    /// The lanes whose bit is set, the lowest bit for the first; zero in the others.
    fn keep_doubles(doubles: Self::Doubles, bits: u16) -> Self::Doubles;

    /// Up to sixteen numbers, then `fill`.
    #[inline(always)]
    fn load_part(values: &[f32], fill: f32) -> Self {
        match values.first_chunk() {
            Some(values) => Self::load(values),
            None => {
                let mut lanes = [fill; LANES];
                lanes[..values.len()].copy_from_slice(values);
                Self::load(&lanes)
            }
        }
    }

    /// Writes as many lanes as there are places.
    #[inline(always)]
    fn store_part(self, values: &mut [f32]) {
        match values.first_chunk_mut() {
            Some(values) => self.store(values),
            None => {
                let mut lanes = [0.0; LANES];
                self.store(&mut lanes);
                values.copy_from_slice(&lanes[..values.len()]);
            }
        }
    }

    /// The sum of the lanes: halves are added to each other, and halves of these.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        fold_halves(lanes, |a, b| a + b)
    }

    /// The largest lane. Not for lanes that are NaN.
    #[inline(always)]
    fn largest(self) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        fold_halves(lanes, f32::max)
    }

    /// `e^x` as a factor near 1 and the power of two that it is to be scaled by, added to [`ROUND`]. Both
    /// together have a relative error below 2e-7.
    #[inline(always)]
    fn exp_parts(self) -> (Self, Self) {
        const LN_2_HIGH: f32 = 0.693_145_75;
        const LN_2_LOW: f32 = 1.428_606_8e-6;
        let shifted = self.mul_add(Self::splat(std::f32::consts::LOG2_E), Self::splat(ROUND));
        let quotient = shifted.sub(Self::splat(ROUND));
        let rest = quotient.mul_add(Self::splat(-LN_2_HIGH), self);
        let rest = quotient.mul_add(Self::splat(-LN_2_LOW), rest);
        let mut sum = Self::splat(1.0 / 5040.0);
        for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            sum = sum.mul_add(rest, Self::splat(coefficient));
        }
        (sum, shifted)
    }

    /// `e^x`, with a relative error below 2e-7; zero below -87, infinite above 88, NaN for NaN.
    #[inline(always)]
    fn exp(self) -> Self {
        let (factor, shifted) = self.exp_parts();
        let value = factor.scale_by_power(shifted);
        let value = self.select_less(Self::splat(-87.0), Self::splat(0.0), value);
        Self::splat(88.0).select_less(self, Self::splat(f32::INFINITY), value)
    }
}

/// Adding this leaves the nearest integer in the low bits of the sum: 1.5 * 2^23.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Combines lanes always in the same order.
#[inline(always)]
pub(crate) fn fold_halves<T: Copy>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = combine(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Cuts `range` into pieces of `most` (4 or 8), then of at most 4: the lengths 8, 4, 3, 2 and 1.
#[inline(always)]
pub(crate) fn pieces(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let left = range.end - start;
        let piece = start..start + if left >= most { most } else { left.min(4) };
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// `a * b + c` as the vectors of type `V` do it: rounded once or twice. (Once, where the machine cannot,
/// would be a call into the C library.)
#[inline(always)]
pub(crate) fn multiply_add<V: Vector>(a: f32, b: f32, c: f32) -> f32 {
    if V::FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// An array, for any machine.
#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn with(self, other: Self, combine: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| combine(self.0[lane], other.0[lane])))
    }
}

impl Vector for Plain {
    type Doubles = [f64; LANES];

    const FUSED: bool = cfg!(target_arch = "aarch64");
    const SUMS: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; LANES]) {
        *values = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.with(other, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.with(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| multiply_add::<Self>(self.0[lane], factor.0[lane], addend.0[lane])))
    }

    #[inline(always)]
    fn select_less(self, bound: Self, then: Self, otherwise: Self) -> Self {
        Self(std::array::from_fn(|lane| if self.0[lane] < bound.0[lane] { then.0[lane] } else { otherwise.0[lane] }))
    }

    #[inline(always)]
    fn scale_by_power(self, shifted: Self) -> Self {
        self.with(shifted, |value, shifted| {
            let power = shifted.to_bits().wrapping_sub(ROUND.to_bits());
            value * f32::from_bits(power.wrapping_add(127) << 23)
        })
    }

    #[inline(always)]
    fn to_bytes(self) -> [i8; LANES] {
        self.0.map(|lane| lane as i8)
    }

    #[inline(always)]
    fn to_doubles(self) -> Self::Doubles {
        self.0.map(f64::from)
    }

    #[inline(always)]
    fn scale_doubles_by_power(self, shifted: Self) -> Self::Doubles {
        std::array::from_fn(|lane| {
            let power = shifted.0[lane].to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
            f64::from(self.0[lane]) * f64::from_bits((i64::from(power.wrapping_add(1023)) << 52).cast_unsigned())
        })
    }

    #[inline(always)]
    fn add_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn mul_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn max_doubles(a: Self::Doubles, b: Self::Doubles) -> Self::Doubles {
        std::array::from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn store_doubles(doubles: Self::Doubles) -> [f64; LANES] {
        doubles
    }

    #[inline(always)]
    fn load_doubles(values: &[f64; LANES]) -> Self::Doubles {
        *values
    }

    #[inline(always)]
    fn keep_doubles(doubles: Self::Doubles, bits: u16) -> Self::Doubles {
        std::array::from_fn(|lane| if bits >> lane & 1 == 1 { doubles[lane] } else { 0.0 })
    }
}

/// The vectors of x86-64.
///
/// Methods of [`Vector`] cannot ask for features of the machine, so they call the intrinsics unsafely.
/// SAFETY, for all of them: the types `Avx2` and `Avx512` are known to this module alone, which
/// names them only to `with_avx2` and `with_avx512`: whoever runs code that is generic in a vector,
/// with one of these, has promised the features. Pointers come from arrays of the vector's size.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, ROUND, Vector, Wide};
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation on two vectors, as bits.
    struct Everything([f32; LANES], [f32; LANES]);

    impl Wide for Everything {
        type Output = (Vec<[u32; LANES]>, [u64; LANES], [i8; LANES]);

        #[inline(always)]
        fn run<V: Vector>(self) -> Self::Output {
            let (a, b) = (V::load(&self.0), V::load_part(&self.1[..11], 1.5));
            let shifted = b.add(V::splat(ROUND));
            let results = [
                a.add(b),
                a.sub(b),
                a.mul(b),
                a.div(b),
                a.max(b),
                b.max(a),
                a.select_less(b, V::splat(1.0), b),
                a.scale_by_power(shifted),
                a.exp(),
                b.exp(),
                V::splat(a.sum()),
                V::splat(b.largest()),
            ];
            let bits = |vector: V| {
                let mut lanes = [0.0; LANES];
                vector.store_part(&mut lanes[..9]);
                vector.store(&mut lanes);
                lanes.map(f32::to_bits)
            };
            let (factor, shifted) = (b, a.mul(V::splat(40.0)).add(V::splat(ROUND)));
            let scaled = factor.scale_doubles_by_power(shifted);
            let doubles = V::add_doubles(V::mul_doubles(a.to_doubles(), scaled), V::max_doubles(a.to_doubles(), b.to_doubles()));
            let doubles = V::keep_doubles(V::load_doubles(&V::store_doubles(doubles)), self.0[0].to_bits() as u16 ^ 0x5a3c);
            let whole = a.mul(V::splat(5.0)).add(V::splat(ROUND)).sub(V::splat(ROUND));
            (results.map(bits).to_vec(), V::store_doubles(doubles).map(f64::to_bits), whole.to_bytes())
        }
    }

    #[test]
    fn every_machine_computes_the_same() {
        for seed in 1..50 {
            let a = std::array::from_fn(|lane| ((lane * 31 + seed * 17) % 97) as f32 * 0.37 - 17.0);
            let b = std::array::from_fn(|lane| ((lane * 13 + seed * 29) % 89) as f32 * 0.31 - 13.0);
            let plain = Everything(a, b).run::<Plain>();
            #[cfg(target_arch = "x86_64")]
            for output in x86::same_on_all(|| Everything(a, b)) {
                assert_eq!((output.1, output.2), (plain.1, plain.2));
                for (number, (output, plain)) in output.0.iter().zip(&plain.0).enumerate() {
                    // The exponential fuses where the machine can.
                    let near = |a: u32, b: u32| (f32::from_bits(a) / f32::from_bits(b) - 1.0).abs() < 4e-7;
                    let exact = number != 8 && number != 9;
                    for (a, b) in output.iter().zip(plain) {
                        assert!(a == b || !exact && near(*a, *b), "operation {number}: {output:x?}, {plain:x?}");
                    }
                }
            }
            assert!(!plain.0.is_empty());
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_and_avx512_give_the_same_bits() {
        for seed in 1..50 {
            let a = std::array::from_fn(|lane| ((lane * 31 + seed * 17) % 97) as f32 * 0.37 - 17.0);
            let outputs = x86::same_on_all(|| Everything(a, a.map(|x: f32| x.sin())));
            assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn pieces_make_up_the_range() {
        for (length, most, expected) in [(0, 4, vec![]), (7, 4, vec![4, 3]), (7, 8, vec![4, 3]), (17, 8, vec![8, 8, 1])] {
            let pieces: Vec<_> = pieces(5..5 + length, most).collect();
            assert_eq!(pieces.iter().map(Range::len).collect::<Vec<_>>(), expected);
            assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    struct ExpAll<'a>(&'a mut [f32]);

    impl Wide for ExpAll<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            for chunk in self.0.chunks_mut(LANES) {
                V::load_part(chunk, 0.0).exp().store_part(chunk);
            }
        }
    }

    #[test]
    fn the_exponential_is_right_to_single_precision_and_keeps_nan() {
        let points: Vec<f32> = (-86_999..88_000).map(|i| i as f32 * 1e-3).collect();
        for plain in [false, true] {
            let mut values = points.clone();
            if plain {
                ExpAll(&mut values).run::<Plain>()
            } else {
                run(ExpAll(&mut values))
            }
            for (x, value) in points.iter().zip(&values) {
                let expected = f64::from(*x).exp();
                assert!((f64::from(*value) / expected - 1.0).abs() < 3e-7, "e^{x} is {expected}, not {value}");
            }
            let mut special = [f32::NEG_INFINITY, f32::NAN, 1e9, 0.0, -1e9, f32::INFINITY];
            if plain {
                ExpAll(&mut special).run::<Plain>()
            } else {
                run(ExpAll(&mut special))
            }
            assert!(special[1].is_nan());
            assert_eq!([special[0], special[2], special[3], special[4], special[5]], [0.0, f32::INFINITY, 1.0, 0.0, f32::INFINITY]);
        }
    }
}
