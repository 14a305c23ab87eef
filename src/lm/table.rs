//! The exact toy model: next-token probabilities written down, or computed by a closure.
//!
//! Everything that tamis claims about a real model is proved on this one first, because here the truth
//! can be had: [`TableLm::complete_texts`] goes through every text up to a length and gives its
//! probability, which estimates are then compared with. It also runs the examples that need no weights.

use super::{LanguageModel, LmError};
use crate::next_token::NextToken;
use crate::vocab::{TokenId, Vocabulary};
use std::fmt;
use std::sync::Arc;

type Row = dyn Fn(&[TokenId]) -> Vec<f64> + Send + Sync;

/// A language model whose next-token probabilities are a function of the tokens so far.
///
/// ```
/// use tamis::lm::{LanguageModel, TableLm};
/// use tamis::vocab::{Token, TokenId, Vocabulary};
/// let vocabulary = Vocabulary::new([Token::Text(b"a".to_vec()), Token::End])?;
/// // The longer the text, the likelier its end.
/// let mut model = TableLm::new(vocabulary, |tokens| vec![1.0, 1.0 + tokens.len() as f64]);
/// let context = model.prefill(&[TokenId::new(0), TokenId::new(0)])?;
/// assert!((model.next_token(&context)?.prob(TokenId::new(1)) - 0.75).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TableLm {
    vocabulary: Arc<Vocabulary>,
    row: Arc<Row>,
}

impl TableLm {
    /// The model that gives the tokens probabilities in proportion to `row(tokens so far)`, one number a
    /// token of the vocabulary. The numbers are checked when the model is asked.
    pub fn new(vocabulary: impl Into<Arc<Vocabulary>>, row: impl Fn(&[TokenId]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        Self { vocabulary: vocabulary.into(), row: Arc::new(row) }
    }

    /// The model that gives the tokens the same probabilities at every step, in proportion to `weights`.
    ///
    /// # Errors
    /// If the weights are not one a token, one of them is negative or not finite, or all are zero.
    pub fn independent(vocabulary: impl Into<Arc<Vocabulary>>, weights: &[f64]) -> Result<Self, LmError> {
        let vocabulary = vocabulary.into();
        let weights = weights.to_vec();
        distribution(&vocabulary, &weights)?;
        Ok(Self::new(vocabulary, move |_| weights.clone()))
    }

    /// The model whose probabilities depend on the last token alone: `first` where there is none, and
    /// then the token's row of `rows`. All of them are proportions.
    ///
    /// # Errors
    /// If there is not one row a token, or a row is not as [`TableLm::independent`] wants it.
    pub fn markov(vocabulary: impl Into<Arc<Vocabulary>>, first: &[f64], rows: &[Vec<f64>]) -> Result<Self, LmError> {
        let vocabulary = vocabulary.into();
        let (first, rows) = (first.to_vec(), rows.to_vec());
        if rows.len() != vocabulary.len() {
            return Err(LmError::other(format!("the table has {} rows but the vocabulary {} tokens", rows.len(), vocabulary.len())));
        }
        for row in rows.iter().chain([&first]) {
            distribution(&vocabulary, row)?;
        }
        Ok(Self::new(vocabulary, move |tokens| tokens.last().map_or(&first, |last| &rows[last.index()]).clone()))
    }

    /// Every token sequence that may follow `prompt` as a complete text of at most `max_tokens` text
    /// tokens, with its probability, ordered by tokens. The token that ends it is not in the sequence;
    /// where several end a text, their probabilities are added.
    ///
    /// `allows(text)` tells whether a text may begin so, `is_complete(text)` whether it may end so. The
    /// probabilities are the model's own, not divided by their sum: that sum is the evidence. With
    /// `|_| true` for both, these are all texts. Exponential in `max_tokens`.
    ///
    /// # Errors
    /// If the model's numbers are no distribution somewhere.
    pub fn complete_texts(
        &self,
        prompt: &[TokenId],
        max_tokens: usize,
        allows: impl Fn(&[u8]) -> bool,
        is_complete: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<(Vec<TokenId>, f64)>, LmError> {
        let mut found = Vec::new();
        let mut open = vec![(Vec::new(), 1.0)];
        while let Some((tokens, probability)) = open.pop() {
            let row = self.row(&[prompt, &tokens[..]].concat())?;
            if is_complete(&self.vocabulary.text(&tokens)) {
                let end: f64 = self.vocabulary.ends().iter().map(|end| row.prob(*end)).sum();
                if end > 0.0 {
                    found.push((tokens.clone(), probability * end));
                }
            }
            if tokens.len() == max_tokens {
                continue;
            }
            for token in self.vocabulary.tokens().filter(|token| self.vocabulary.bytes(*token).is_some() && row.prob(*token) > 0.0) {
                let longer = [&tokens[..], &[token]].concat();
                if allows(&self.vocabulary.text(&longer)) {
                    open.push((longer, probability * row.prob(token)));
                }
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn row(&self, tokens: &[TokenId]) -> Result<NextToken, LmError> {
        distribution(&self.vocabulary, &(self.row)(tokens))
    }

    fn check(&self, tokens: &[TokenId]) -> Result<(), LmError> {
        match tokens.iter().find(|token| token.index() >= self.vocabulary.len()) {
            Some(token) => Err(LmError::other(format!("token {token} is outside the model's vocabulary of {}", self.vocabulary.len()))),
            None => Ok(()),
        }
    }
}

fn distribution(vocabulary: &Vocabulary, weights: &[f64]) -> Result<NextToken, LmError> {
    if weights.len() != vocabulary.len() {
        return Err(LmError::other(format!(
            "the table gives {} probabilities for a vocabulary of {} tokens",
            weights.len(),
            vocabulary.len()
        )));
    }
    if let Some(token) = weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite())) {
        return Err(LmError::numeric(format!("the table gives token {token} the probability {}", weights[token])));
    }
    let log_weights: Vec<f64> = weights.iter().map(|weight| weight.ln()).collect();
    Ok(NextToken::from_log_weights(&log_weights)?)
}

/// The tokens so far: all that a [`TableLm`] remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableContext(Arc<[TokenId]>);

impl TableContext {
    /// The tokens, the prompt's first.
    pub fn tokens(&self) -> &[TokenId] {
        &self.0
    }
}

impl LanguageModel for TableLm {
    type Context = TableContext;

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    fn context_length(&self) -> usize {
        usize::MAX
    }

    fn prefill(&mut self, prompt: &[TokenId]) -> Result<TableContext, LmError> {
        self.check(prompt)?;
        Ok(TableContext(prompt.into()))
    }

    fn extend(&mut self, batch: &[(TableContext, TokenId)]) -> Result<Vec<TableContext>, LmError> {
        batch
            .iter()
            .map(|(context, token)| {
                self.check(&[*token])?;
                Ok(TableContext(context.0.iter().copied().chain([*token]).collect()))
            })
            .collect()
    }

    fn next_token(&self, context: &TableContext) -> Result<NextToken, LmError> {
        self.row(&context.0)
    }
}

impl fmt::Debug for TableLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableLm").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Token;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new([Token::Text(b"a".to_vec()), Token::Text(b"b".to_vec()), Token::End, Token::End, Token::Control]).unwrap()
    }

    #[test]
    fn complete_texts_carry_their_joint_probability_and_control_tokens_none() {
        let model = TableLm::independent(vocabulary(), &[0.4, 0.2, 0.1, 0.1, 0.2]).unwrap();
        let texts = model.complete_texts(&[], 1, |_| true, |_| true).unwrap();
        let expected = [(vec![], 0.2), (vec![TokenId::new(0)], 0.08), (vec![TokenId::new(1)], 0.04)];
        assert_eq!(texts.len(), expected.len());
        for ((tokens, probability), (expected_tokens, expected_probability)) in texts.iter().zip(&expected) {
            assert_eq!(tokens, expected_tokens);
            assert!((probability - expected_probability).abs() < 1e-15);
        }
    }

    #[test]
    fn a_markov_row_is_the_last_tokens_and_the_prompt_counts() {
        let end_only = vec![0.0, 0.0, 1.0, 0.0, 0.0];
        let rows = [vec![0.0, 0.5, 0.5, 0.0, 0.0], end_only.clone(), end_only.clone(), end_only.clone(), end_only];
        let model = TableLm::markov(vocabulary(), &[1.0, 0.0, 0.0, 0.0, 0.0], &rows).unwrap();
        assert_eq!(model.complete_texts(&[TokenId::new(1)], 3, |_| true, |_| true).unwrap(), [(vec![], 1.0)]);
        let total: f64 = model.complete_texts(&[], 3, |_| true, |text| text == b"ab").unwrap().iter().map(|found| found.1).sum();
        assert!((total - 0.5).abs() < 1e-15);
    }

    #[test]
    fn a_row_that_is_no_distribution_is_an_error_and_names_the_token() {
        let error = TableLm::independent(vocabulary(), &[0.5, -0.1, 0.6, 0.0, 0.0]).unwrap_err();
        assert!(error.is_numeric() && error.to_string().contains("token 1"), "{error}");
        assert!(TableLm::independent(vocabulary(), &[1.0]).unwrap_err().to_string().contains("1 probabilities"));
        assert!(TableLm::independent(vocabulary(), &[0.0; 5]).is_err());
    }
}
