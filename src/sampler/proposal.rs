//! Drawing from one distribution in place of another, with the weight that makes up for it.
//!
//! A draw (X, w) that is properly weighted for a proposal r is so for the target p when w is multiplied by
//! p(X) / r(X), provided that r gives no allowed token of p probability zero.

use super::{Draw, DrawRecord};
use crate::next_token::NextToken;
use crate::vocab::TokenId;

/// A token that `target` can draw and `proposal` cannot, if there is one: with it, weights would be wrong.
/// Linear in the vocabulary.
///
/// # Panics
/// If the two are over vocabularies of different sizes.
pub fn uncovered(target: &NextToken, proposal: &NextToken) -> Option<TokenId> {
    assert_eq!(target.len(), proposal.len(), "target and proposal are over different vocabularies");
    let missing = target.probs().zip(proposal.probs()).position(|(target, proposal)| target > 0.0 && proposal == 0.0)?;
    Some(TokenId::new(missing as u32))
}

/// A draw from `proposal`, weighted for `target`.
///
/// The certain bounds of Z are widened to what holds for the target: at least the drawn token's
/// probability, at most one. The weight, and with it the estimate `log_z`, may be above 0.
pub fn corrected(draw: Draw, target: &NextToken, proposal: &NextToken) -> Draw {
    let widened = |record: DrawRecord, log_z, log_z_low| DrawRecord { log_z, log_z_low, log_z_high: 0.0, ..record };
    match draw {
        Draw::Token { token, log_weight, record } => {
            let target = target.log_prob(token);
            let log_weight = log_weight + target - proposal.log_prob(token);
            let record = DrawRecord { forced: false, ..widened(record, log_weight, target) };
            if log_weight > f64::NEG_INFINITY { Draw::Token { token, log_weight, record } } else { Draw::Dead(record) }
        }
        Draw::Dead(record) => Draw::Dead(widened(record, f64::NEG_INFINITY, f64::NEG_INFINITY)),
    }
}
