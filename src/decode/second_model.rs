//! A second model that follows the particles of a run, token by token.

use super::Draft;
use crate::lm::{LanguageModel, LmError};
use crate::next_token::NextToken;
use crate::vocab::TokenId;
use std::collections::HashMap;

/// A model with the contexts of the texts it was asked about last. The vocabulary must be the run's.
pub(super) struct SecondModel<L: LanguageModel> {
    model: L,
    prompt: Vec<TokenId>,
    places: HashMap<Vec<TokenId>, Place<L::Context>>,
}

/// Where a text stands.
pub(super) struct Place<X> {
    context: X,
    /// What may follow.
    pub(super) row: NextToken,
    /// The log-probability of the tokens up to here.
    pub(super) log_prob: f64,
}

impl<L: LanguageModel> SecondModel<L> {
    pub(super) fn new(model: L, prompt: &[TokenId]) -> Self {
        Self { model, prompt: prompt.to_vec(), places: HashMap::new() }
    }

    /// The probability that the text ends at `place`, over all end tokens.
    pub(super) fn end_log_prob(&self, place: &Place<L::Context>) -> f64 {
        let ends: Vec<f64> = self.model.vocabulary().ends().iter().map(|end| place.row.log_prob(*end)).collect();
        crate::log_math::log_sum_exp(&ends)
    }

    /// Goes to all of `paths`, in one batch where their parents are known, and forgets all other places.
    pub(super) fn follow(&mut self, paths: &[&[TokenId]]) -> Result<(), LmError> {
        let mut missing: Vec<&[TokenId]> = Vec::new();
        for path in paths {
            let known = (0..=path.len()).rev().find(|length| self.places.contains_key(&path[..*length]));
            missing.extend((known.map_or(0, |known| known + 1)..=path.len()).map(|length| &path[..length]));
        }
        missing.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        missing.dedup();
        for level in missing.chunk_by(|a, b| a.len() == b.len()) {
            self.extend(level)?;
        }
        let wanted: std::collections::HashSet<&[TokenId]> = paths.iter().copied().collect();
        self.places.retain(|path, _| wanted.contains(&path[..]));
        Ok(())
    }

    /// The place of a path that was followed last.
    pub(super) fn place(&self, path: &[TokenId]) -> &Place<L::Context> {
        &self.places[path]
    }

    /// Whether the draft's tokens mean to this model what they mean to the run's.
    pub(super) fn agrees(&self, draft: &Draft<'_>) -> bool {
        let vocabulary = self.model.vocabulary();
        draft.tokens.iter().all(|token| token.index() < vocabulary.len()) && vocabulary.text(draft.tokens).starts_with(draft.text)
    }

    /// Goes to paths of one length, whose parents are known.
    fn extend(&mut self, paths: &[&[TokenId]]) -> Result<(), LmError> {
        if paths[0].is_empty() {
            let context = self.model.prefill(&self.prompt)?;
            let row = self.model.next_token(&context)?;
            self.places.insert(Vec::new(), Place { context, row, log_prob: 0.0 });
            return Ok(());
        }
        let parents = paths.iter().map(|path| path.split_last().expect("it is not empty"));
        let batch: Vec<_> = parents.clone().map(|(last, parent)| (self.places[parent].context.clone(), *last)).collect();
        let contexts = self.model.extend(&batch)?;
        let mut places = Vec::with_capacity(paths.len());
        for ((last, parent), context) in parents.zip(contexts) {
            let log_prob = self.places[parent].log_prob + self.places[parent].row.log_prob(*last);
            let row = self.model.next_token(&context)?;
            places.push(Place { context, row, log_prob });
        }
        self.places.extend(paths.iter().map(|path| path.to_vec()).zip(places));
        Ok(())
    }
}
