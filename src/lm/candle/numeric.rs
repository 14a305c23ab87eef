//! Arithmetic on rows: norms, activations, rotary positions.
//!
//! All of it is elementwise or a sum in sixteen fixed lanes ([`crate::simd`]), so that a row's bits
//! depend on the row alone. NaN comes out as NaN, so that broken weights are noticed.

use super::config::{Activation, Rope};
use crate::simd::{self, LANES, Vector, Wide};

/// Scales each row of `weight.len()` numbers to root mean square 1, then multiplies it by `weight`.
pub(super) fn rms_norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) {
    simd::run(RmsNorm { input, weight, epsilon, output });
}

struct RmsNorm<'a> {
    input: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    output: &'a mut [f32],
}

impl Wide for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let width = self.weight.len();
        for (input, output) in self.input.chunks_exact(width).zip(self.output.chunks_exact_mut(width)) {
            let mut squares = V::splat(0.0);
            for chunk in input.chunks(LANES) {
                let values = V::load_part(chunk, 0.0);
                squares = values.mul_add(values, squares);
            }
            let scale = V::splat(1.0 / (squares.sum() / width as f32 + self.epsilon).sqrt());
            for ((output, input), weight) in output.chunks_mut(LANES).zip(input.chunks(LANES)).zip(self.weight.chunks(LANES)) {
                V::load_part(input, 0.0).mul(scale).mul(V::load_part(weight, 0.0)).store_part(output);
            }
        }
    }
}

/// `gate = activation(gate) * up`, element by element.
pub(super) fn gated(activation: Activation, gate: &mut [f32], up: &[f32]) {
    simd::run(Gated { activation, gate, up });
}

struct Gated<'a> {
    activation: Activation,
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Wide for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let one = V::splat(1.0);
        for (gate, up) in self.gate.chunks_mut(LANES).zip(self.up.chunks(LANES)) {
            let (x, up) = (V::load_part(gate, 0.0), V::load_part(up, 0.0));
            // Both are x times the logistic function at `slope`.
            let slope = match self.activation {
                Activation::Silu => x,
                Activation::GeluTanh => {
                    // (1 + tanh u) / 2 is the logistic function at 2u; twice the square root of 2/pi is this.
                    let cube = x.mul(x).mul(x);
                    V::splat(1.595_769).mul(cube.mul_add(V::splat(0.044_715), x))
                }
            };
            let logistic = one.add(V::splat(0.0).sub(slope).exp());
            x.div(logistic).mul(up).store_part(gate);
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

/// The cosine and sine of each pair's angle, position after position.
pub(super) fn rotations(rope: &Rope, factors: Option<&[f32]>, positions: impl Iterator<Item = usize>, rotations: &mut Vec<(f32, f32)>) {
    let frequency = |pair: usize| {
        let frequency = rope.base.powf(-((2 * pair) as f64) / rope.dimensions as f64);
        let factor = factors.map_or(1.0, |factors| f64::from(factors[pair]));
        frequency / factor / rope.factor
    };
    let frequencies: Vec<f64> = (0..rope.dimensions / 2).map(frequency).collect();
    rotations.clear();
    for position in positions {
        rotations.extend(frequencies.iter().map(|frequency| {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            (cos as f32, sin as f32)
        }));
    }
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
