//! Integrals of smooth functions over [0, 1] that fall steeply near 0.

use std::sync::OnceLock;

/// Nodes of one panel: exact for polynomials of degree 31.
const NODES: usize = 16;

/// The integral of `f` over [0, 1] for an `f` that is smooth except that it may have poles at -`scale` or
/// beyond: Gauss-Legendre on panels that halve towards 0, until they are as short as `scale`.
///
/// On the panel [h, 2h] such poles are at least h away, which leaves an error of 5.8^-32, below rounding.
pub(super) fn integrate_towards_zero(scale: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut end) = (0.0, 1.0);
    while end > scale && end > f64::MIN_POSITIVE {
        sum += panel(end / 2.0, end, &f);
        end /= 2.0;
    }
    sum + panel(0.0, end, &f)
}

fn panel(start: f64, end: f64, f: &impl Fn(f64) -> f64) -> f64 {
    let (middle, half) = ((start + end) / 2.0, (end - start) / 2.0);
    half * rule().iter().map(|(node, weight)| weight * f(middle + half * node)).sum::<f64>()
}

/// Nodes and weights of Gauss-Legendre on [-1, 1]: the roots of the Legendre polynomial, by Newton's method.
fn rule() -> &'static [(f64, f64); NODES] {
    static RULE: OnceLock<[(f64, f64); NODES]> = OnceLock::new();
    RULE.get_or_init(|| {
        std::array::from_fn(|at| {
            let n = NODES as f64;
            let mut root = (std::f64::consts::PI * (at as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 0.0;
            for _ in 0..20 {
                let (mut previous, mut value) = (1.0, root);
                for degree in 2..=NODES {
                    let degree = degree as f64;
                    (previous, value) = (value, ((2.0 * degree - 1.0) * root * value - (degree - 1.0) * previous) / degree);
                }
                slope = n * (root * value - previous) / (root * root - 1.0);
                root -= value / slope;
            }
            (root, 2.0 / ((1.0 - root * root) * slope * slope))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_and_steep_poles_are_integrated_to_rounding() {
        for power in [0, 1, 7, 31] {
            assert!((integrate_towards_zero(1.0, |x| x.powi(power)) - 1.0 / f64::from(power + 1)).abs() < 1e-14);
        }
        for scale in [0.5f64, 1e-3, 1e-9, 1e-15] {
            let exact = scale * ((1.0 + scale) / scale).ln();
            let found = integrate_towards_zero(scale, |x| scale / (scale + x));
            assert!((found / exact - 1.0).abs() < 1e-13, "{scale}: {found}, exactly {exact}");
        }
    }
}
