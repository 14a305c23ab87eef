//! Texts that end by themselves: at a stop string, or where a closure says so.
//!
//! Generation usually stops when a stop string appears, and what was written before it is the answer. Here
//! that is a constraint of its own: the texts of the inner constraint, each followed by a stop string. So
//! the stop string never has to be part of the inner constraint's texts, it may begin in one token and end
//! in another, and a stop string that comes before the text is complete is refused while it is written.
//! The engine ends a particle when the state says that it has ended ([`Constraint::ended`]); bytes that the
//! last token brings after the stop string belong to no answer.

use super::{Constraint, ConstraintError, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use smallvec::SmallVec;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The texts of a constraint, ended by the first stop string that comes or by the model's own end.
///
/// Put it around the whole constraint, not into a product: it is the whole text that ends.
///
/// ```
/// use tamis::constraint::{Constraint, Regex, Stop};
/// let words = Stop::at(Regex::new("[a-z ]+")?, ["\n\n", "END"]);
/// let state = words.advance(&words.start(), b"some words\n").unwrap();
/// assert_eq!(words.ended(&state), None);
/// let state = words.advance(&state, b"\nmore").unwrap();
/// assert_eq!(words.ended(&state), Some("\n\nmore".len()));
/// assert!(!words.allows(&words.start(), b"\n\n"), "nothing was written yet");
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stop<C> {
    inner: C,
    strings: Vec<Vec<u8>>,
    /// The trie of the vocabulary that masks were asked for first, and of those of its tokens in which a stop
    /// string may begin.
    beginning: Arc<OnceLock<(u64, TokenTrie)>>,
}

impl<C: Constraint> Stop<C> {
    /// The texts of `inner`, each ended by one of `strings`. Empty strings are left out: they would end
    /// every text before it begins.
    pub fn at<S: Into<Vec<u8>>>(inner: C, strings: impl IntoIterator<Item = S>) -> Self {
        let strings = strings.into_iter().map(Into::into).filter(|string: &Vec<u8>| !string.is_empty()).collect();
        Self { inner, strings, beginning: Arc::default() }
    }

    /// Whether a stop string may begin in the bytes.
    fn may_begin_in(&self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.strings.iter().any(|string| string[0] == *byte))
    }

    /// The inner constraint's state, where no stop string has begun.
    fn plain<'a>(&self, state: &'a StopState<C::State>) -> Option<&'a C::State> {
        match state {
            StopState::Open { inner: Some(inner), begun } if begun.is_empty() => Some(inner),
            _ => None,
        }
    }

    /// Adds the tokens of the trie that may come next, asking at every byte.
    fn add_mask(&self, state: &StopState<C::State>, trie: &TokenTrie, out: &mut TokenSet) {
        let enter = |state: &StopState<C::State>, byte| self.take(state, byte);
        trie.walk(state.clone(), enter, |token| {
            out.insert(token);
        });
    }

    fn take(&self, state: &StopState<C::State>, byte: u8) -> Option<StopState<C::State>> {
        let StopState::Open { inner, begun } = state else { return Some(state.clone().one_more()) };
        let mut still: SmallVec<[Begun; 2]> = SmallVec::new();
        let fresh = (0..self.strings.len()).map(|string| Begun { string, read: 0, complete: false });
        for mut match_ in begun.iter().copied().chain(fresh) {
            let string = &self.strings[match_.string];
            if string[match_.read] != byte {
                continue;
            }
            if match_.read == 0 {
                match_.complete = inner.as_ref().is_some_and(|inner| self.inner.may_end(inner));
            }
            match_.read += 1;
            if match_.read == string.len() {
                // The first to end stops the text; of several at once the longest, which comes first here.
                return match_.complete.then_some(StopState::Ended { dropped: string.len() });
            }
            still.push(match_);
        }
        let inner = inner.as_ref().and_then(|inner| self.inner.advance(inner, &[byte]));
        let alive = inner.is_some() || still.iter().any(|match_| match_.complete);
        alive.then_some(StopState::Open { inner, begun: still })
    }
}

/// Where a text stands between its beginning and its stop string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StopState<S> {
    /// No stop string has come yet.
    Open {
        /// Where the inner constraint stands, if all that was written can be its text.
        inner: Option<S>,
        /// The stop strings that have begun.
        begun: SmallVec<[Begun; 2]>,
    },
    /// The text has ended.
    Ended {
        /// How many bytes were written from the beginning of the stop string on.
        dropped: usize,
    },
}

impl<S> StopState<S> {
    fn one_more(self) -> Self {
        match self {
            Self::Ended { dropped } => Self::Ended { dropped: dropped + 1 },
            open => open,
        }
    }
}

/// A stop string that may have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Begun {
    string: usize,
    /// How many of its bytes were read.
    read: usize,
    /// Whether the text before it was complete.
    complete: bool,
}

impl<C: Constraint> Constraint for Stop<C> {
    type State = StopState<C::State>;

    fn start(&self) -> Self::State {
        StopState::Open { inner: Some(self.inner.start()), begun: SmallVec::new() }
    }

    fn advance(&self, state: &Self::State, bytes: &[u8]) -> Option<Self::State> {
        if let StopState::Ended { dropped } = state {
            return Some(StopState::Ended { dropped: dropped + bytes.len() });
        }
        // No stop string is near: the inner constraint takes all at once.
        if let Some(inner) = self.plain(state).filter(|_| !self.may_begin_in(bytes)) {
            return self.inner.advance(inner, bytes).map(|inner| StopState::Open { inner: Some(inner), begun: SmallVec::new() });
        }
        bytes.iter().try_fold(state.clone(), |state, byte| self.take(&state, *byte))
    }

    fn allows(&self, state: &Self::State, bytes: &[u8]) -> bool {
        match self.plain(state).filter(|_| !self.may_begin_in(bytes)) {
            Some(inner) => self.inner.allows(inner, bytes),
            None => self.advance(state, bytes).is_some(),
        }
    }

    /// The inner constraint's mask, but for the tokens in which a stop string may begin.
    fn mask(&self, state: &Self::State, trie: &TokenTrie, out: &mut TokenSet) {
        let first: SmallVec<[u8; 4]> = self.strings.iter().map(|string| string[0]).collect();
        let (known, beginning) = self.beginning.get_or_init(|| (trie.id(), trie.holding(&first)));
        let Some(inner) = self.plain(state).filter(|_| *known == trie.id()) else {
            out.clear();
            return self.add_mask(state, trie, out);
        };
        self.inner.mask(inner, trie, out);
        for token in beginning.tokens() {
            out.remove(*token);
        }
        self.add_mask(state, beginning, out);
    }

    fn may_end(&self, state: &Self::State) -> bool {
        match state {
            StopState::Open { inner, .. } => inner.as_ref().is_some_and(|inner| self.inner.may_end(inner)),
            StopState::Ended { .. } => true,
        }
    }

    fn ended(&self, state: &Self::State) -> Option<usize> {
        match state {
            StopState::Ended { dropped } => Some(*dropped),
            StopState::Open { .. } => None,
        }
    }

    fn forced(&self, state: &Self::State, out: &mut Vec<u8>) {
        if let Some(inner) = self.plain(state)
            && !self.inner.may_end(inner)
        {
            self.inner.forced(inner, out);
        }
    }

    fn closing_cost(&self, state: &Self::State) -> Option<usize> {
        let StopState::Open { inner, begun } = state else { return Some(0) };
        let stops = begun.iter().filter(|match_| match_.complete).map(|match_| self.strings[match_.string].len() - match_.read);
        match inner {
            Some(inner) => self.inner.closing_cost(inner).map(|cost| stops.fold(cost, usize::min)),
            None => stops.min(),
        }
    }

    fn explain(&self, state: &Self::State, bytes: &[u8]) -> Option<Rejection> {
        let refused = (1..=bytes.len()).find(|end| self.advance(state, &bytes[..*end]).is_none())? - 1;
        let wanted = match self.advance(state, &bytes[..refused]) {
            Some(StopState::Open { inner: Some(inner), .. }) => self.inner.explain(&inner, &bytes[refused..=refused]),
            _ => None,
        };
        Some(wanted.map_or_else(
            || Rejection::new(refused, Some(bytes[refused]), "a stop string, or a text complete before it"),
            |wanted| wanted.after(refused),
        ))
    }

    fn explain_end(&self, state: &Self::State) -> Option<Rejection> {
        match state {
            StopState::Open { inner: Some(inner), .. } => self.inner.explain_end(inner),
            StopState::Open { inner: None, .. } => Some(Rejection::new(0, None, "the rest of a stop string")),
            StopState::Ended { .. } => None,
        }
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.inner.failure()
    }
}

type Judge = dyn Fn(&[u8]) -> bool + Send + Sync;

/// The texts of a constraint, ended as soon as a closure says that enough was written.
///
/// The closure is asked after every byte, and must always answer the same about the same bytes. Where it
/// says so before the text is complete, the text is refused. The model's own end ends texts too.
///
/// ```
/// use tamis::constraint::{Constraint, Regex, Until};
/// let three_lines = Until::new(Regex::new("(?s).*")?, |text| text.iter().filter(|byte| **byte == b'\n').count() == 3);
/// let state = three_lines.advance(&three_lines.start(), b"a\nb\nc\nd").unwrap();
/// assert_eq!(three_lines.ended(&state), Some(1), "the d is too much");
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone)]
pub struct Until<C> {
    inner: C,
    is_enough: Arc<Judge>,
}

impl<C: Constraint> Until<C> {
    /// The texts of `inner`, up to where `is_enough`.
    pub fn new(inner: C, is_enough: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self { inner, is_enough: Arc::new(is_enough) }
    }
}

impl<C: fmt::Debug> fmt::Debug for Until<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Where a text stands before its closure is content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UntilState<S> {
    /// Not enough was written.
    Open {
        /// Where the inner constraint stands.
        inner: S,
        /// The text so far: a closure may look at all of it.
        text: Vec<u8>,
    },
    /// The text has ended.
    Ended {
        /// How many bytes were written after its end.
        dropped: usize,
    },
}

impl<C: Constraint> Constraint for Until<C> {
    type State = UntilState<C::State>;

    fn start(&self) -> Self::State {
        UntilState::Open { inner: self.inner.start(), text: Vec::new() }
    }

    fn advance(&self, state: &Self::State, bytes: &[u8]) -> Option<Self::State> {
        let mut state = state.clone();
        for (at, byte) in bytes.iter().enumerate() {
            let (inner, text) = match &mut state {
                UntilState::Ended { dropped } => return Some(UntilState::Ended { dropped: *dropped + bytes.len() - at }),
                UntilState::Open { inner, text } => (inner, text),
            };
            *inner = self.inner.advance(inner, &[*byte])?;
            text.push(*byte);
            if (self.is_enough)(text) {
                if !self.inner.may_end(inner) {
                    return None;
                }
                state = UntilState::Ended { dropped: 0 };
            }
        }
        Some(state)
    }

    fn may_end(&self, state: &Self::State) -> bool {
        match state {
            UntilState::Open { inner, .. } => self.inner.may_end(inner),
            UntilState::Ended { .. } => true,
        }
    }

    fn ended(&self, state: &Self::State) -> Option<usize> {
        match state {
            UntilState::Ended { dropped } => Some(*dropped),
            UntilState::Open { .. } => None,
        }
    }

    fn closing_cost(&self, state: &Self::State) -> Option<usize> {
        match state {
            UntilState::Open { inner, .. } => self.inner.closing_cost(inner),
            UntilState::Ended { .. } => Some(0),
        }
    }

    fn explain(&self, state: &Self::State, bytes: &[u8]) -> Option<Rejection> {
        let refused = (1..=bytes.len()).find(|end| self.advance(state, &bytes[..*end]).is_none())? - 1;
        let wanted = match self.advance(state, &bytes[..refused]) {
            Some(UntilState::Open { inner, .. }) => self.inner.explain(&inner, &bytes[refused..=refused]),
            _ => None,
        };
        Some(wanted.map_or_else(
            || Rejection::new(refused, Some(bytes[refused]), "a text that is complete where it is enough"),
            |wanted| wanted.after(refused),
        ))
    }

    fn explain_end(&self, state: &Self::State) -> Option<Rejection> {
        match state {
            UntilState::Open { inner, .. } => self.inner.explain_end(inner),
            UntilState::Ended { .. } => None,
        }
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.inner.failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Regex;
    use proptest::prelude::*;

    fn stop() -> Stop<Regex> {
        Stop::at(Regex::new("a+b?|ba").unwrap(), ["\n\n", "\nb", "ab\n"])
    }

    /// The text and what came after, found in the plain way.
    fn reference(text: &[u8]) -> Option<(Vec<u8>, usize)> {
        let strings: [&[u8]; 3] = [b"\n\n", b"\nb", b"ab\n"];
        for end in 1..=text.len() {
            if let Some(string) = strings.iter().filter(|string| text[..end].ends_with(string)).max_by_key(|string| string.len()) {
                return Some((text[..end - string.len()].to_vec(), text.len() - end + string.len()));
            }
        }
        None
    }

    proptest! {
        #[test]
        fn the_first_stop_string_ends_the_text_wherever_tokens_are_cut(
            text in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..8),
            cut in 0usize..8,
        ) {
            let stop = stop();
            let whole = stop.advance(&stop.start(), &text);
            let cut = cut.min(text.len());
            let halves = stop.advance(&stop.start(), &text[..cut]).and_then(|state| stop.advance(&state, &text[cut..]));
            prop_assert_eq!(&whole, &halves);
            let is_complete = |text: &[u8]| {
                let inner = Regex::new("a+b?|ba").unwrap();
                inner.advance(&inner.start(), text).is_some_and(|state| inner.may_end(&state))
            };
            match reference(&text) {
                Some((before, dropped)) if is_complete(&before) => prop_assert_eq!(stop.ended(&whole.unwrap()), Some(dropped)),
                Some(_) => prop_assert_eq!(whole, None),
                None => if let Some(state) = whole {
                    prop_assert_eq!(stop.ended(&state), None);
                    prop_assert_eq!(stop.may_end(&state), is_complete(&text));
                } else {
                    // Refused: then no way of going on ends well either.
                    for rest in [&b"\n\n"[..], b"\nb", b"b\n", b"a\n\n", b"b\n\n", b"\n", b"b", b"a"] {
                        let longer = [&text[..], rest].concat();
                        if let Some((before, _)) = reference(&longer) {
                            prop_assert!(!is_complete(&before), "{:?}", longer);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_refusal_says_what_was_wanted() {
        let stop = stop();
        let refused = stop.explain(&stop.start(), b"aabb").unwrap();
        assert_eq!(refused.offset(), 3);
        let open = stop.advance(&stop.start(), b"a\n").unwrap();
        assert!(stop.explain_end(&open).unwrap().to_string().contains("stop string"));
        assert_eq!(stop.closing_cost(&open), Some(1));
    }
}
