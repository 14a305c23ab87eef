//! Arithmetic on natural logarithms of non-negative numbers, in `f64`.
//!
//! Probabilities of sequences underflow, so tamis carries their logarithms. Here `-inf` is a value (the
//! logarithm of zero) and flows through every function; NaN is a bug of the caller and is asserted
//! against in debug builds, never mapped to a number.

/// The logarithm of the sum of the exponentials of `log_values`, in nats.
///
/// An empty slice, or one of `-inf` only, gives `-inf` (the sum is zero). `+inf` anywhere gives `+inf`.
///
/// ```
/// use tamis::log_math::log_sum_exp;
/// assert!((log_sum_exp(&[0.25f64.ln(), 0.5f64.ln()]) - 0.75f64.ln()).abs() < 1e-15);
/// assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
/// ```
pub fn log_sum_exp(log_values: &[f64]) -> f64 {
    debug_assert!(log_values.iter().all(|value| !value.is_nan()), "NaN in log_sum_exp");
    let largest = log_values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    let sum: f64 = log_values.iter().map(|value| (value - largest).exp()).sum();
    largest + sum.ln()
}

/// The logarithm of the mean of the exponentials of `log_values`, in nats.
///
/// An empty slice gives `-inf`.
///
/// ```
/// use tamis::log_math::log_mean_exp;
/// assert!((log_mean_exp(&[0.25f64.ln(), 0.75f64.ln()]) - 0.5f64.ln()).abs() < 1e-15);
/// ```
pub fn log_mean_exp(log_values: &[f64]) -> f64 {
    if log_values.is_empty() {
        return f64::NEG_INFINITY;
    }
    log_sum_exp(log_values) - (log_values.len() as f64).ln()
}

/// Weights that sum to one, proportional to the exponentials of `log_weights`.
///
/// `None` where the weights are all zero (all `-inf`), or there are none: there is nothing to
/// normalise, and what that means is the caller's to say.
///
/// ```
/// use tamis::log_math::normalized;
/// let weights = normalized(&[-5000.0, -5000.0]).expect("some weight is positive");
/// assert!(weights.iter().all(|weight| (weight - 0.5).abs() < 1e-12));
/// assert_eq!(normalized(&[f64::NEG_INFINITY]), None);
/// ```
pub fn normalized(log_weights: &[f64]) -> Option<Vec<f64>> {
    let total = log_sum_exp(log_weights);
    if total == f64::NEG_INFINITY {
        return None;
    }
    Some(log_weights.iter().map(|log_weight| (log_weight - total).exp()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_zeros_are_zero_and_infinities_pass_through() {
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[0.0, f64::INFINITY]), f64::INFINITY);
        assert_eq!(log_mean_exp(&[]), f64::NEG_INFINITY);
    }

    #[test]
    fn values_far_below_underflow_keep_their_ratio() {
        let weights = normalized(&[-5000.0, -5000.0 + 3f64.ln()]).unwrap();
        assert!((weights[0] - 0.25).abs() < 1e-12 && (weights[1] - 0.75).abs() < 1e-12);
    }
}
