//! Labels of a constraint, narrowed by a rule on token sequences.

use crate::sampler::{Known, Labels};
use crate::vocab::{TokenFilter, TokenId, TokenSet, Vocabulary};

/// Where fewer tokens than this are allowed, the filter is asked about all of them at once.
const FEW: usize = 256;

/// The labels that both the constraint and the filter allow.
///
/// What the constraint's labels know stays known where it is a "no". Its "yes" is not the last word, so
/// that there is no mask, unless few tokens are in it.
pub(super) struct Filtered<'a, L> {
    labels: L,
    filter: Option<(&'a dyn TokenFilter, &'a Vocabulary, Vec<TokenId>)>,
    few: Option<TokenSet>,
}

impl<'a, L: Labels> Filtered<'a, L> {
    /// `labels` as they are without a filter. `written` gives the text tokens so far.
    pub(super) fn new(
        labels: L,
        filter: Option<&'a dyn TokenFilter>,
        vocabulary: &'a Vocabulary,
        written: impl FnOnce() -> Vec<TokenId>,
    ) -> Self {
        let filter = filter.map(|filter| (filter, vocabulary, written()));
        let mut filtered = Self { labels, filter, few: None };
        if filtered.filter.is_some()
            && let Known::All(mask) = filtered.labels.known()
            && mask.len() <= FEW
        {
            let mut few = TokenSet::new(mask.vocabulary_size());
            for token in mask.iter().filter(|token| filtered.passes(*token)) {
                few.insert(token);
            }
            filtered.few = Some(few);
        }
        filtered
    }

    fn passes(&self, token: TokenId) -> bool {
        self.filter.as_ref().is_none_or(|(filter, vocabulary, written)| match vocabulary.is_end(token) {
            true => filter.may_end(written),
            false => filter.allows(written, token),
        })
    }
}

impl<L: Labels> Labels for Filtered<'_, L> {
    fn check(&mut self, token: TokenId) -> bool {
        match &self.few {
            Some(few) => few.contains(token),
            None => self.labels.check(token) && self.passes(token),
        }
    }

    fn known(&self) -> Known<'_> {
        match (&self.few, self.labels.known()) {
            (Some(few), _) => Known::All(few),
            (None, known) if self.filter.is_none() => known,
            (None, Known::Some { refused, .. }) => Known::Some { allowed: &[], refused },
            (None, Known::All(_)) => Known::Some { allowed: &[], refused: &[] },
        }
    }

    fn mask(&mut self) -> Option<&TokenSet> {
        if self.filter.is_none() { self.labels.mask() } else { self.few.as_ref() }
    }

    fn checks(&self) -> u32 {
        self.labels.checks()
    }
}
