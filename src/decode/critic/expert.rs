//! A second model as a critic: products of experts, and contrasts.

use super::{Critic, CriticError, Draft};
use crate::decode::second_model::SecondModel;
use crate::lm::LanguageModel;
use crate::vocab::TokenId;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The likelihood of a text under a second model of the same vocabulary, to some power.
///
/// With exponent 1 the target is the product of both models; with a negative one it is their contrast:
/// what the run's model likes and this one does not. While a text is written, the likelihood of its
/// tokens so far steers.
pub struct Expert<L: LanguageModel> {
    model: Mutex<SecondModel<L>>,
    exponent: f64,
}

impl<L: LanguageModel> Expert<L> {
    /// The likelihood of what `model` would write after `prompt`, to the power of `exponent`.
    pub fn new(model: L, prompt: &[TokenId], exponent: f64) -> Self {
        Self { model: Mutex::new(SecondModel::new(model, prompt)), exponent }
    }
}

impl<L: LanguageModel + Send> Critic for Expert<L> {
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        Ok(self.log_scores(&[*draft])?[0])
    }

    fn log_scores(&self, drafts: &[Draft<'_>]) -> Result<Vec<f64>, CriticError> {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if drafts.iter().any(|draft| !model.agrees(draft)) {
            return Err("the second model has another vocabulary than the run's, so its tokens mean other texts".into());
        }
        // The row before the last token scores it; one after it is needed for an end alone.
        let scored = |draft: &Draft<'_>| draft.tokens.len() - usize::from(!draft.by_end_token && !draft.tokens.is_empty());
        model.follow(&drafts.iter().map(|draft| &draft.tokens[..scored(draft)]).collect::<Vec<_>>())?;
        let score = |draft: &Draft<'_>| {
            let (before, last) = draft.tokens.split_at(scored(draft));
            let place = model.place(before);
            let rest = match last {
                [last] => place.row.log_prob(*last),
                _ if draft.by_end_token => model.end_log_prob(place),
                _ => 0.0,
            };
            self.exponent * (place.log_prob + rest)
        };
        Ok(drafts.iter().map(score).collect())
    }
}

impl<L: LanguageModel> fmt::Debug for Expert<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expert").field("exponent", &self.exponent).finish_non_exhaustive()
    }
}
