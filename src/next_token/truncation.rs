//! Temperature, top-k, top-p and min-p: changes of the distribution before all else.

use super::{CHUNK, NextToken, RowError};
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
        let tempered = match self.temperature {
            1.0 => row.clone(),
            temperature => NextToken::build(row.logits.map(|logit| (logit - row.largest) / temperature))?,
        };
        if self.top_k.is_none() && self.top_p == 1.0 && self.min_p == 0.0 {
            return Ok(tempered);
        }
        // Few tokens hold most of the mass: only those that may stay are sorted.
        let kept = [1.0 / 16.0, 1.0 / 1024.0, 1e-6, 0.0].iter().find_map(|floor| self.kept(&tempered, *floor)).unwrap_or_default();
        NextToken::build(tempered.logits.only(&kept))
    }

    /// The tokens that stay, looked for among those of at least the fraction `floor` of the largest
    /// probability; `None` where others might stay too.
    fn kept(&self, row: &NextToken, floor: f64) -> Option<Vec<TokenId>> {
        // At 1 every token stays: sums of probabilities may reach it by rounding before the last.
        let top_p = if self.top_p < 1.0 { self.top_p } else { f64::INFINITY };
        let mut candidates = Vec::new();
        for chunk in (0..row.chunk_sums.len()).filter(|chunk| row.chunk_largest[*chunk] >= floor) {
            let masses = row.masses(chunk).into_iter().enumerate().filter(|(_, mass)| *mass > 0.0 && *mass >= floor);
            candidates.extend(masses.map(|(place, mass)| (TokenId::new((chunk * CHUNK + place) as u32), mass / row.total)));
        }
        candidates.sort_unstable_by(|(a, a_prob), (b, b_prob)| b_prob.total_cmp(a_prob).then(a.get().cmp(&b.get())));
        let least = candidates.first().map_or(0.0, |(_, largest)| largest * self.min_p);
        let (mut kept, mut kept_prob) = (Vec::new(), 0.0);
        for (token, prob) in candidates {
            if kept.len() >= self.top_k.unwrap_or(usize::MAX) || kept_prob >= top_p || prob < least {
                return Some(kept);
            }
            kept_prob += prob;
            kept.push(token);
        }
        let full = kept.len() >= self.top_k.unwrap_or(usize::MAX) || kept_prob >= top_p;
        (full || floor <= self.min_p).then_some(kept)
    }
}
