//! Temperature, top-k, top-p and min-p: changes of the distribution before all else.

use super::{NextToken, RowError};
use crate::vocab::TokenId;

/// How the model's distribution is changed before a constraint is asked. The change belongs to the
/// target: samples and evidence are of the changed model. The record keeps both log-probabilities.
///
/// Applied in the order temperature, top-k, top-p, min-p.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Truncation {
    /// Logits are divided by this; 1 changes nothing, smaller is more peaked. Positive and finite.
    pub temperature: f64,
    /// Only this many most probable tokens are kept (at least 1), if any number is given.
    pub top_k: Option<usize>,
    /// Only the most probable tokens that together reach this probability are kept; 1 keeps all.
    pub top_p: f64,
    /// Only tokens of at least this fraction of the largest probability are kept; 0 keeps all.
    pub min_p: f64,
}

impl Default for Truncation {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, min_p: 0.0 }
    }
}

impl Truncation {
    /// Whether nothing is changed.
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with the numbers, in words; `None` where they can be used.
    pub fn problem(&self) -> Option<String> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Some(format!(
                "the temperature must be a positive number, not {}; for the most probable text use a small one such as 0.01",
                self.temperature
            ));
        }
        if self.top_k == Some(0) {
            return Some("top-k must keep at least 1 token".into());
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Some(format!("top-p must be above 0 and at most 1, not {}", self.top_p));
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            return Some(format!("min-p must be between 0 and 1, not {}", self.min_p));
        }
        None
    }

    /// The changed distribution.
    ///
    /// # Errors
    /// Never for usable numbers: the largest token always stays.
    pub fn apply(&self, row: &NextToken) -> Result<NextToken, RowError> {
        let mut log_weights: Vec<f64> = (0..row.len()).map(|token| row.log_prob(TokenId::new(token as u32)) / self.temperature).collect();
        let tempered = NextToken::from_log_weights(&log_weights)?;
        if self.top_k.is_none() && self.top_p == 1.0 && self.min_p == 0.0 {
            return Ok(tempered);
        }
        let mut walk = tempered.walk();
        let (mut kept, mut kept_mass, mut largest) = (Vec::new(), 0.0, None);
        while kept.len() < self.top_k.unwrap_or(usize::MAX) && kept_mass < self.top_p {
            let Some(token) = walk.largest() else { break };
            let prob = tempered.prob(token);
            if prob < *largest.get_or_insert(prob) * self.min_p {
                break;
            }
            walk.remove(token);
            kept_mass += prob;
            kept.push((token, log_weights[token.index()]));
        }
        log_weights.fill(f64::NEG_INFINITY);
        for (token, log_weight) in kept {
            log_weights[token.index()] = log_weight;
        }
        NextToken::from_log_weights(&log_weights)
    }
}
