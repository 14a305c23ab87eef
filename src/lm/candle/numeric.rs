//! Arithmetic on rows: norms, exponentials, activations, rotary positions.
//!
//! All of it is elementwise or a sum in [`LANES`] fixed lanes, so that a row's bits depend on the row
//! alone. The exponential is a polynomial that vectorises (relative error below 2e-7) instead of a call
//! per element into the C library; NaN comes out as NaN, so that broken weights are noticed.

use super::config::Activation;
use super::wide::{self, Wide, multiply_add};

/// The number of partial sums of a reduction: two vectors of eight.
pub(super) const LANES: usize = 16;

/// `e^x`; zero below -87, infinite above 88.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the rounded quotient in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_145_75;
    const LN_2_LOW: f32 = 1.428_606_8e-6;
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let quotient = shifted - ROUND;
    let rest = multiply_add::<FUSED>(quotient, -LN_2_HIGH, x);
    let rest = multiply_add::<FUSED>(quotient, -LN_2_LOW, rest);
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = multiply_add::<FUSED>(sum, rest, coefficient);
    }
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let scale = f32::from_bits((exponent.wrapping_add(127) << 23) as u32);
    let value = sum * scale;
    let value = if x < -87.0 { 0.0 } else { value };
    if x > 88.0 { f32::INFINITY } else { value }
}

/// The sum of the lanes, always in the same order.
#[inline(always)]
pub(super) fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    let mut lanes = lanes;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Scales each row of `weight.len()` numbers to root mean square 1, then multiplies it by `weight`.
pub(super) fn rms_norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) {
    wide::run(RmsNorm { input, weight, epsilon, output });
}

struct RmsNorm<'a> {
    input: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    output: &'a mut [f32],
}

impl Wide for RmsNorm<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let width = self.weight.len();
        for (input, output) in self.input.chunks_exact(width).zip(self.output.chunks_exact_mut(width)) {
            let mut lanes = [0.0; LANES];
            for chunk in input.chunks(LANES) {
                for (lane, value) in lanes.iter_mut().zip(chunk) {
                    *lane = multiply_add::<FUSED>(*value, *value, *lane);
                }
            }
            let scale = 1.0 / (sum_lanes(lanes) / width as f32 + self.epsilon).sqrt();
            for ((output, input), weight) in output.iter_mut().zip(input).zip(self.weight) {
                *output = input * scale * weight;
            }
        }
    }
}

/// `gate = activation(gate) * up`, element by element.
pub(super) fn gated(activation: Activation, gate: &mut [f32], up: &[f32]) {
    match activation {
        Activation::Silu => wide::run(Silu { gate, up }),
        Activation::GeluTanh => wide::run(GeluTanh { gate, up }),
    }
}

struct Silu<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Wide for Silu<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (gate, up) in self.gate.iter_mut().zip(self.up) {
            *gate = *gate / (1.0 + exp::<FUSED>(-*gate)) * up;
        }
    }
}

struct GeluTanh<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Wide for GeluTanh<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        // (1 + tanh u) / 2 is the logistic function at 2u; twice the square root of 2/pi is this.
        const SLOPE: f32 = 1.595_769;
        for (gate, up) in self.gate.iter_mut().zip(self.up) {
            let x = *gate;
            let u = SLOPE * (x + 0.044_715 * x * x * x);
            *gate = x / (1.0 + exp::<FUSED>(-u)) * up;
        }
    }
}

/// Which elements of a head form the pairs that a rotary position turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairing {
    /// Neighbours: 0 and 1, 2 and 3, ... (the llama files of GGUF, whose rows are permuted so).
    Neighbours,
    /// Halves: 0 and n/2, 1 and n/2 + 1, ... (Qwen, Gemma).
    Halves,
}

/// Turns the first `2 * rotation.len()` elements of every head in `heads` by `rotation`, the cosine and
/// sine of each pair's angle.
pub(super) fn rotate(heads: &mut [f32], head_size: usize, pairing: Pairing, rotation: &[(f32, f32)]) {
    let half = rotation.len();
    for head in heads.chunks_exact_mut(head_size) {
        for (pair, (cos, sin)) in rotation.iter().enumerate() {
            let (first, second) = match pairing {
                Pairing::Neighbours => (2 * pair, 2 * pair + 1),
                Pairing::Halves => (pair, pair + half),
            };
            let (x, y) = (head[first], head[second]);
            head[first] = x * cos - y * sin;
            head[second] = x * sin + y * cos;
        }
    }
}

/// `total += addend`, element by element.
pub(super) fn add(total: &mut [f32], addend: &[f32]) {
    for (total, addend) in total.iter_mut().zip(addend) {
        *total += addend;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ExpAll<'a>(&'a mut [f32]);

    impl Wide for ExpAll<'_> {
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            for x in self.0 {
                *x = exp::<FUSED>(*x);
            }
        }
    }

    #[test]
    fn the_exponential_is_right_to_single_precision_and_keeps_nan() {
        let points: Vec<f32> = (-86_999..88_000).map(|i| i as f32 * 1e-3).collect();
        let mut values = points.clone();
        wide::run(ExpAll(&mut values));
        for (x, value) in points.iter().zip(&values) {
            let expected = f64::from(*x).exp();
            assert!((f64::from(*value) / expected - 1.0).abs() < 3e-7, "e^{x} is {expected}, not {value}");
        }
        let mut special = [f32::NEG_INFINITY, f32::NAN, 1e9, 0.0, -1e9];
        wide::run(ExpAll(&mut special));
        assert!(special[1].is_nan());
        assert_eq!([special[0], special[2], special[3], special[4]], [0.0, f32::INFINITY, 1.0, 0.0]);
    }

    #[test]
    fn a_normed_row_does_not_depend_on_its_neighbours() {
        let weight: Vec<f32> = (0..24).map(|i| 1.0 + i as f32 * 0.1).collect();
        let rows: Vec<f32> = (0..72).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut together = vec![0.0; 72];
        rms_norm(&rows, &weight, 1e-5, &mut together);
        for row in 0..3 {
            let mut alone = vec![0.0; 24];
            rms_norm(&rows[row * 24..][..24], &weight, 1e-5, &mut alone);
            assert_eq!(alone, together[row * 24..][..24]);
            let square: f32 = alone.iter().zip(&weight).map(|(x, w)| (x / w).powi(2)).sum();
            assert!((square / 24.0 - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn activations_agree_with_their_definitions() {
        let points: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.25).collect();
        let ones = vec![1.0; points.len()];
        let (mut silu, mut gelu) = (points.clone(), points.clone());
        gated(Activation::Silu, &mut silu, &ones);
        gated(Activation::GeluTanh, &mut gelu, &ones);
        for (i, x) in points.iter().map(|x| f64::from(*x)).enumerate() {
            let expected = x / (1.0 + (-x).exp());
            assert!((f64::from(silu[i]) - expected).abs() < 2e-6);
            let expected = 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
            assert!((f64::from(gelu[i]) - expected).abs() < 2e-6, "gelu({x})");
        }
    }
}
