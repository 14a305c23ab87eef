//! Where tokens are proposed from, when that is not the model itself.
//!
//! A proposal changes no target: each weight makes up for it ([`crate::sampler::corrected`]). A good one
//! puts mass where the constraint and the rest of the text will want it; any at all is right, provided
//! that it can propose every token that the model can.

use super::Draft;
use super::critic::CriticError;
use super::second_model::SecondModel;
use crate::lm::LanguageModel;
use crate::next_token::NextToken;
use crate::vocab::TokenId;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A source of distributions to propose tokens from.
pub trait Proposal: Send + Sync {
    /// For each text so far, with the distribution that the model gives there, the one to propose from. It
    /// must be over the same vocabulary and give no token of the model's probability zero.
    ///
    /// # Errors
    /// The proposal's own; the run ends with them.
    fn rows(&self, places: &[(Draft<'_>, &NextToken)]) -> Result<Vec<NextToken>, CriticError>;
}

/// A proposal in the user's own code: a function of the text so far and the model's distribution.
pub struct Propose<F>(F);

impl<F: Fn(&Draft<'_>, &NextToken) -> Result<NextToken, CriticError> + Send + Sync> Propose<F> {
    /// The proposal that `row` is.
    pub fn new(row: F) -> Self {
        Self(row)
    }
}

impl<F: Fn(&Draft<'_>, &NextToken) -> Result<NextToken, CriticError> + Send + Sync> Proposal for Propose<F> {
    fn rows(&self, places: &[(Draft<'_>, &NextToken)]) -> Result<Vec<NextToken>, CriticError> {
        places.iter().map(|(draft, row)| (self.0)(draft, row)).collect()
    }
}

impl<F> fmt::Debug for Propose<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Propose")
    }
}

/// Proposes what a second model of the same vocabulary would write.
pub struct ModelProposal<L: LanguageModel> {
    model: Mutex<SecondModel<L>>,
}

impl<L: LanguageModel> ModelProposal<L> {
    /// What `model` would write after `prompt`.
    pub fn new(model: L, prompt: &[TokenId]) -> Self {
        Self { model: Mutex::new(SecondModel::new(model, prompt)) }
    }
}

impl<L: LanguageModel + Send> Proposal for ModelProposal<L> {
    fn rows(&self, places: &[(Draft<'_>, &NextToken)]) -> Result<Vec<NextToken>, CriticError> {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if places.iter().any(|(draft, _)| !model.agrees(draft)) {
            return Err("the proposing model has another vocabulary than the run's, so its tokens mean other texts".into());
        }
        model.follow(&places.iter().map(|(draft, _)| draft.tokens).collect::<Vec<_>>())?;
        Ok(places.iter().map(|(draft, _)| model.place(draft.tokens).row.clone()).collect())
    }
}

impl<L: LanguageModel> fmt::Debug for ModelProposal<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelProposal")
    }
}
