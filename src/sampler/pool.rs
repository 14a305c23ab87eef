//! One weight for all particles that stand at the same place.

use super::Draw;
use crate::log_math::log_mean_exp;

/// Gives every draw the mean of their weights, and all bounds of Z that any of them found.
///
/// The draws must be of one row at one constraint state, each made with the labels that those before it
/// learnt or with fewer, by a sampler that never fails ([`super::TokenSampler::may_fail`]). Then each
/// token is independent of the others' weights, so that the mean is a proper weight for it, of a variance
/// that falls with their number. A sampler that may give up makes dead draws depend on weights, and
/// pooling would bend the mean: such draws must be left alone.
///
/// # Panics
/// If some are dead and others not, as only a sampler that may fail does.
pub fn pool(draws: &mut [&mut Draw]) {
    let log_weights: Vec<f64> = draws.iter().filter_map(|draw| draw.log_weight()).collect();
    if log_weights.is_empty() {
        return;
    }
    assert_eq!(log_weights.len(), draws.len(), "draws of a sampler that may fail cannot be pooled");
    let mean = log_mean_exp(&log_weights).min(0.0);
    let low = draws.iter().map(|draw| draw.record().log_z_low).fold(f64::NEG_INFINITY, f64::max);
    let high = draws.iter().map(|draw| draw.record().log_z_high).fold(0.0, f64::min);
    for draw in draws {
        if let Draw::Token { log_weight, record, .. } = draw {
            *log_weight = mean;
            (record.log_z, record.log_z_low, record.log_z_high) = (mean, low, high);
        }
    }
}
