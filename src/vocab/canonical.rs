//! Canonical tokenisation: only the token sequences that the tokenizer itself would write.
//!
//! A text can be written in many token sequences; a tokenizer writes one of them, the *canonical* one, and
//! a model has seen hardly any other. Without a filter the model puts some probability on the others, and
//! a constraint, which sees bytes, cannot tell. A [`TokenFilter`] is a rule on token sequences beside the
//! constraint's on bytes; like the constraint's, its "no" to a prefix must be certain, and its answer at the
//! end is exact.
//!
//! For byte-pair encoding without cuts, a sequence is canonical exactly if each two neighbours are: merging
//! the two tokens' bytes gives these two tokens again (Berglund and van der Merwe 2023, "Formalizing BPE
//! tokenization"). Tokenizers of language models cut the text into words first. Within one word the
//! theorem holds, and a run of ASCII letters with the space before it is never cut, save after an apostrophe
//! (`'s`). So pairs are judged there, and everything else at the end, by tokenizing the whole text.
//!
//! `Tokenizer::canonical` makes it for a model's own tokenizer (feature `candle`).

use super::{TokenId, Vocabulary};
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A rule on token sequences.
pub trait TokenFilter: Send + Sync {
    /// Whether the text token `next` may follow the text tokens `written`. "Yes" when in doubt: a wrong "no"
    /// bends the distribution.
    fn allows(&self, written: &[TokenId], next: TokenId) -> bool;

    /// Whether the answer may be these text tokens. Exact.
    fn may_end(&self, written: &[TokenId]) -> bool;
}

type Encode = dyn Fn(&[u8]) -> Option<Vec<TokenId>> + Send + Sync;

/// The token sequences that an encoder writes.
pub struct Canonical {
    encode: Box<Encode>,
    vocabulary: Arc<Vocabulary>,
    cuts: bool,
    /// Pairs judged before.
    pairs: Mutex<FxHashMap<(TokenId, TokenId), bool>>,
}

impl Canonical {
    /// For an encoder that merges bytes over the whole text, without cuts: every pair of neighbours decides.
    ///
    /// `encode` gives the tokens of a text, or `None` where there are none.
    pub fn whole(vocabulary: Arc<Vocabulary>, encode: impl Fn(&[u8]) -> Option<Vec<TokenId>> + Send + Sync + 'static) -> Self {
        Self { encode: Box::new(encode), vocabulary, cuts: false, pairs: Mutex::default() }
    }

    /// For an encoder that cuts texts as GPT-2 and its descendants do, and merges bytes within the pieces.
    pub fn cutting(vocabulary: Arc<Vocabulary>, encode: impl Fn(&[u8]) -> Option<Vec<TokenId>> + Send + Sync + 'static) -> Self {
        Self { cuts: true, ..Self::whole(vocabulary, encode) }
    }

    /// Whether the encoder certainly merges over the boundary between these texts as if they stood alone.
    fn is_judged(&self, before: &[u8], after: &[u8]) -> bool {
        if !self.cuts {
            return true;
        }
        // A word is cut off with one space before it, however many there are.
        let in_a_word = before.last().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b' ')
            && after.first().is_some_and(u8::is_ascii_alphabetic);
        in_a_word && !before.contains(&b'\'') && !after.contains(&b'\'')
    }

    fn is_pair(&self, left: TokenId, right: TokenId, text: &[u8]) -> bool {
        let known = self.pairs.lock().unwrap_or_else(PoisonError::into_inner).get(&(left, right)).copied();
        known.unwrap_or_else(|| {
            let is_pair = (self.encode)(text).is_some_and(|tokens| tokens == [left, right]);
            self.pairs.lock().unwrap_or_else(PoisonError::into_inner).insert((left, right), is_pair);
            is_pair
        })
    }
}

/// The longest contraction after which a word is cut (`'re`), in bytes.
const CONTRACTION: usize = 3;

impl TokenFilter for Canonical {
    fn allows(&self, written: &[TokenId], next: TokenId) -> bool {
        let Some(after) = self.vocabulary.bytes(next) else { return true };
        let Some((last, earlier)) = written.split_last() else {
            return self.cuts || (self.encode)(after).is_some_and(|tokens| tokens == [next]);
        };
        let Some(before) = self.vocabulary.bytes(*last) else { return true };
        // The bytes in which an apostrophe could cut the word between the two tokens.
        let mut near = before.to_vec();
        for token in earlier.iter().rev() {
            if !self.cuts || near.len() >= CONTRACTION {
                break;
            }
            near.splice(0..0, self.vocabulary.bytes(*token).unwrap_or_default().iter().copied());
        }
        let both = [before, after].concat();
        // A token may begin or end within a character: then its other neighbours decide.
        let is_text = !self.cuts || std::str::from_utf8(&both).is_ok();
        !(is_text && self.is_judged(&near, after)) || self.is_pair(*last, next, &both)
    }

    fn may_end(&self, written: &[TokenId]) -> bool {
        (self.encode)(&self.vocabulary.text(written)).is_some_and(|tokens| tokens == written)
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canonical").field("vocabulary", &self.vocabulary).field("cuts", &self.cuts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Token;

    /// Texts of tokens 0 to 7, and the merges that make the later ones, first things first.
    const TEXTS: [&[u8]; 8] = [b"a", b"b", b"c", b"ab", b"bc", b"abc", b"aa", b"aab"];
    const MERGES: [(usize, usize, usize); 5] = [(0, 1, 3), (1, 2, 4), (3, 2, 5), (0, 0, 6), (0, 3, 7)];

    /// Byte-pair encoding as it is defined: the first merge that applies, at its leftmost place, until none does.
    fn encode(text: &[u8]) -> Option<Vec<TokenId>> {
        let mut tokens: Vec<usize> = text.iter().map(|byte| TEXTS.iter().position(|text| *text == [*byte])).collect::<Option<_>>()?;
        while let Some((at, merged)) =
            MERGES.iter().find_map(|(left, right, merged)| Some((tokens.windows(2).position(|pair| pair == [*left, *right])?, *merged)))
        {
            tokens.splice(at..at + 2, [merged]);
        }
        Some(tokens.into_iter().map(|token| TokenId::new(token as u32)).collect())
    }

    #[test]
    fn the_sequences_that_pass_are_exactly_those_that_the_tokenizer_writes() {
        let vocabulary = Vocabulary::new(TEXTS.iter().map(|text| Token::Text(text.to_vec())).chain([Token::End])).unwrap();
        let canonical = Canonical::whole(Arc::new(vocabulary), encode);
        let (mut open, mut passed, mut refused) = (vec![Vec::new()], 0, 0);
        while let Some(written) = open.pop() {
            // No prefix that passes is a mistake: this is the theorem.
            assert!(canonical.may_end(&written), "{written:?}");
            passed += 1;
            if written.len() == 4 {
                continue;
            }
            for next in (0..8).map(TokenId::new) {
                let longer = [&written[..], &[next]].concat();
                if canonical.allows(&written, next) {
                    open.push(longer);
                } else {
                    assert!(!canonical.may_end(&longer), "{longer:?} is canonical and was refused");
                    refused += 1;
                }
            }
        }
        assert!(passed > 100 && refused > 100, "{passed} {refused}");
    }

    #[test]
    fn where_words_are_cut_only_letters_within_a_word_are_judged() {
        let texts: [&[u8]; 7] = [b"'", b"s", b" a", b"b", b"1", b"a", b" "];
        let vocabulary = Vocabulary::new(texts.iter().map(|text| Token::Text(text.to_vec())).chain([Token::End])).unwrap();
        // An encoder that never agrees: what is allowed was not asked about.
        let canonical = Canonical::cutting(Arc::new(vocabulary), |_| None);
        let allows =
            |written: &[u32], next| canonical.allows(&written.iter().copied().map(TokenId::new).collect::<Vec<_>>(), TokenId::new(next));
        assert!(!allows(&[2], 3), "b after a");
        assert!(!allows(&[6], 3), "a space and its word");
        assert!(allows(&[], 3) && allows(&[4], 3) && allows(&[3], 2) && allows(&[3], 0), "at the edges of words");
        assert!(allows(&[0, 1], 3), "'s may be a contraction");
        assert!(!allows(&[2, 3, 1], 3), "a word without an apostrophe");
    }
}
