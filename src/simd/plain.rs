//! Vectors for any machine: arrays that the compiler makes the best of.

use super::{HighHalves, LANES, Pairs, ROUND, Vector, fold_halves, multiply_add};

/// Sixteen numbers.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

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
    fn load_member<const MEMBER: usize>(pairs: &Pairs) -> Self {
        Self(pairs.0.map(|pair| f32::from_bits(u32::from(pair[MEMBER]) << 16)))
    }

    #[inline(always)]
    fn to_high_halves(self) -> HighHalves {
        HighHalves(self.0.map(|lane| (lane.to_bits() >> 16) as u16))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        fold_halves(self.0, |a, b| a + b)
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        fold_halves(self.0, |a, b| if a > b { a } else { b })
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
