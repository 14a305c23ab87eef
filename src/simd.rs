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

mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use plain::Plain;
use std::ops::Range;

/// The number of lanes of every [`Vector`].
pub(crate) const LANES: usize = 16;

/// Bytes of a line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Work that gains from wide vectors.
///
/// Arithmetic on vectors stands in loops and in functions that are `#[inline(always)]`, not in closures: one that the
/// compiler does not inline is compiled for a machine that has no such vectors, an operation a call.
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

/// Has the processor fetch `bytes` bytes that are read soon, if they are there.
#[inline(always)]
pub(crate) fn fetch<T>(start: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..bytes).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: nothing is read: an address that is not there is passed over.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_byte_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, bytes);
}

/// The numbers of a vector, in one line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub [f32; LANES]);

/// Sixteen numbers of half the precision: bf16, which is the high half of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(32))]
pub(crate) struct HighHalves(pub [u16; LANES]);

/// Sixteen pairs of bf16, in one line of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Pairs(pub [[u16; 2]; LANES]);

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
    /// One member of each pair, the first or the second.
    fn load_member<const MEMBER: usize>(pairs: &Pairs) -> Self;
    /// The lanes cut down to bf16: exact after [`to_bf16_precision`](Vector::to_bf16_precision).
    fn to_high_halves(self) -> HighHalves;

    /// The sum of the lanes: halves are added to each other, and halves of these.
    fn sum(self) -> f32;
    /// The largest lane. Not for lanes that are NaN.
    fn largest(self) -> f32;

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

    /// The sizes of the lanes; NaN for NaN.
    #[inline(always)]
    fn abs(self) -> Self {
        self.max(Self::splat(0.0).sub(self))
    }

    /// The nearest numbers of eight significant bits, as bf16 has: the high part of Veltkamp's splitting. Those
    /// beyond 2^111 become NaN.
    #[inline(always)]
    fn split(self) -> Self {
        let product = self.mul(Self::splat(65_537.0));
        product.sub(product.sub(self))
    }

    /// The same, and zero for what is below 2^-50.
    ///
    /// So the products of two such numbers are multiples of 2^-114, and sums of them never subnormal, which
    /// some instructions for bf16 would take for zero.
    #[inline(always)]
    fn to_bf16_precision(self) -> Self {
        let rounded = self.split();
        rounded.abs().select_less(Self::splat(2.0_f32.powi(-50)), Self::splat(0.0), rounded)
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

    /// `e^x` to bf16 precision, for x up to 0: within 5e-5 before it is rounded, and zero below -34.
    #[inline(always)]
    fn exp_to_bf16_precision(self) -> Self {
        let shifted = self.mul_add(Self::splat(std::f32::consts::LOG2_E), Self::splat(ROUND));
        let rest = shifted.sub(Self::splat(ROUND)).mul_add(Self::splat(-std::f32::consts::LN_2), self);
        let mut sum = Self::splat(1.0 / 24.0);
        for coefficient in [1.0 / 6.0, 0.5, 1.0, 1.0] {
            sum = sum.mul_add(rest, Self::splat(coefficient));
        }
        self.select_less(Self::splat(-34.0), Self::splat(0.0), sum.scale_by_power(shifted).split())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation on two vectors, as bits.
    struct Everything([f32; LANES], [f32; LANES]);

    impl Wide for Everything {
        type Output = (Vec<[u32; LANES]>, [u64; LANES], [i8; LANES], HighHalves);

        #[inline(always)]
        fn run<V: Vector>(self) -> Self::Output {
            let (a, b) = (V::load(&self.0), V::load_part(&self.1[..11], 1.5));
            let shifted = b.add(V::splat(ROUND));
            let pairs = Pairs(self.0.map(|lane| [lane.to_bits() as u16, (lane.to_bits() >> 16) as u16]));
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
                a.to_bf16_precision(),
                V::load_member::<0>(&pairs),
                V::load_member::<1>(&pairs),
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
            (results.map(bits).to_vec(), V::store_doubles(doubles).map(f64::to_bits), whole.to_bytes(), a.to_high_halves())
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
                assert_eq!((output.1, output.2, output.3), (plain.1, plain.2, plain.3));
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

    struct ToBf16([f32; LANES]);

    impl Wide for ToBf16 {
        /// Numbers rounded and their exponentials.
        type Output = ([f32; LANES], [f32; LANES]);

        #[inline(always)]
        fn run<V: Vector>(self) -> Self::Output {
            let mut outputs = ([0.0; LANES], [0.0; LANES]);
            V::load(&self.0).to_bf16_precision().store(&mut outputs.0);
            V::load(&self.0).exp_to_bf16_precision().store(&mut outputs.1);
            outputs
        }
    }

    #[test]
    fn bf16_precision_is_the_nearest_number_of_eight_bits() {
        let is_bf16 = |number: f32| number.to_bits() & 0xffff == 0;
        for start in 0..4000 {
            let numbers = std::array::from_fn(|lane| -((start * LANES + lane) as f32).powi(2) * 1.1e-8);
            let (rounded, exponentials) = run(ToBf16(numbers));
            for lane in 0..LANES {
                let (x, found) = (numbers[lane], exponentials[lane]);
                assert!(is_bf16(rounded[lane]) && (rounded[lane] - x).abs() <= x.abs() / 256.0);
                // Half of the last place of eight bits, and what the exponential is off.
                let expected = if x < -34.0 { 0.0 } else { x.exp() };
                assert!(is_bf16(found) && (found - expected).abs() <= expected * (1.0 / 256.0 + 6e-5), "e^{x} is {expected}, not {found}");
            }
        }
        let special = [1e-15, 8e-16, -8e-16, -0.0, f32::NEG_INFINITY, f32::NAN, 1.0, -1e30];
        let (rounded, exponentials) = run(ToBf16(std::array::from_fn(|lane| special[lane % 8])));
        assert!(rounded[0] > 0.0 && rounded[1..4] == [0.0; 3] && rounded[4..6].iter().all(|lane| lane.is_nan()) && rounded[6] == 1.0);
        assert!(exponentials[3..5] == [1.0, 0.0] && exponentials[5].is_nan() && exponentials[7] == 0.0);
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
