//! What an escape may become while it is written.
//!
//! The digits of an escape tell more and more of its character. Rules are asked about it at each of them, so
//! that a text which no value of a list goes on with, or no text of a pattern, is refused there: `\u03` where
//! none has a Greek letter.

use super::text::{Inside, pair};
use regex_syntax::utf8::Utf8Sequences;
use smallvec::{SmallVec, smallvec};

/// The characters that an escape may become: ranges, first and last, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Characters(SmallVec<[(char, char); 4]>);

/// A text as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    pub(super) text: &'a [u8],
    pub(super) follows: Follows<'a>,
}

/// What comes after the known part of a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Follows<'a> {
    Nothing,
    /// Nothing, or anything.
    Anything,
    /// One of these, and then anything.
    OneOf(&'a Characters),
}

impl Begun<'_> {
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.follows, Follows::Nothing)
    }

    /// Whether the text may be `other`.
    pub(super) fn may_be(&self, other: &str) -> bool {
        other.as_bytes().strip_prefix(self.text).is_some_and(|rest| match self.follows {
            Follows::Nothing => rest.is_empty(),
            Follows::Anything => true,
            Follows::OneOf(characters) => characters.begin(rest),
        })
    }
}

impl Inside {
    /// The characters that an escape which has begun may become; `None` where none has. With `canonical` as
    /// [`step`](super::text::step) has it.
    pub(super) fn characters(self, canonical: bool) -> Option<Characters> {
        const SURROGATES: (u32, u32) = (0xD800, 0xDFFF);
        let mut ranges: SmallVec<[(u32, u32); 4]> = SmallVec::new();
        match self {
            Self::Between | Self::Utf8 { .. } => return None,
            Self::Escape => ranges.extend([(0, SURROGATES.0 - 1), (SURROGATES.1 + 1, 0x10FFFF)]),
            Self::Surrogate { high, .. } => ranges.push((pair(high, 0xDC00), pair(high, 0xDFFF))),
            Self::Hex { digits, value, high } => {
                let free = 4 * (4 - u32::from(digits));
                let (first, last) = (u32::from(value) << free, ((u32::from(value) + 1) << free) - 1);
                let within = |low: u32, top: u32| (first.max(low), last.min(top));
                match high {
                    Some(high) => {
                        let (first, last) = within(0xDC00, 0xDFFF);
                        ranges.push((pair(high, first as u16), pair(high, last as u16)));
                    }
                    None => {
                        let (high_first, high_last) = within(0xD800, 0xDBFF);
                        ranges.extend([within(0, SURROGATES.0 - 1), within(SURROGATES.1 + 1, 0xFFFF)]);
                        if high_first <= high_last {
                            ranges.push((pair(high_first as u16, 0xDC00), pair(high_last as u16, 0xDFFF)));
                        }
                    }
                }
            }
        }
        if canonical {
            let needed: &[(u32, u32)] = match self {
                Self::Escape => &[(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)],
                // The others have shorter escapes.
                _ => &[(0, 7), (0xB, 0xB), (0xE, 0x1F)],
            };
            let common = |(low, top): (u32, u32)| ranges.iter().map(move |(first, last)| (low.max(*first), top.min(*last)));
            ranges = needed.iter().copied().flat_map(common).collect();
        }
        let character = |code| char::from_u32(code).expect("no surrogate is in the ranges");
        let ranges = ranges.into_iter().filter(|(first, last)| first <= last);
        Some(Characters(ranges.map(|(first, last)| (character(first), character(last))).collect()))
    }
}

impl Characters {
    /// Whether `text` begins with one of them.
    pub(super) fn begin(&self, text: &[u8]) -> bool {
        let first = text.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        first.is_some_and(|first| self.0.iter().any(|(low, top)| (*low..=*top).contains(&first)))
    }

    /// Whether one of the sorted texts, which are all the same up to their byte `at`, has one of them there.
    pub(super) fn follow_in<T: AsRef<[u8]>>(&self, texts: &[T], at: usize) -> bool {
        fn rest<T: AsRef<[u8]>>(text: &T, at: usize) -> &[u8] {
            text.as_ref().get(at..).unwrap_or_default()
        }
        self.0.iter().any(|(low, _)| {
            let mut buffer = [0; 4];
            let low = low.encode_utf8(&mut buffer).as_bytes();
            let place = texts.partition_point(|text| rest(text, at) < low);
            texts.get(place).is_some_and(|text| self.begin(rest(text, at)))
        })
    }

    /// Whether an automaton at `start` may take one of them so as to come to a state that is `good`.
    pub(super) fn can_be_taken<S: Copy + PartialEq>(&self, start: S, next: impl Fn(S, u8) -> Option<S>, good: impl Fn(S) -> bool) -> bool {
        self.0.iter().flat_map(|(low, top)| Utf8Sequences::new(*low, *top)).any(|sequence| {
            let mut states: SmallVec<[S; 8]> = smallvec![start];
            for bytes in &sequence {
                let mut after: SmallVec<[S; 8]> = SmallVec::new();
                for state in states.iter().flat_map(|state| (bytes.start..=bytes.end).filter_map(|byte| next(*state, byte))) {
                    if !after.contains(&state) {
                        after.push(state);
                    }
                }
                states = after;
            }
            states.into_iter().any(&good)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::step;
    use super::*;
    use proptest::prelude::*;

    /// The escapes that a character has, in small letters.
    fn escapes(character: char, canonical: bool) -> Vec<String> {
        let short = [('"', '"'), ('\\', '\\'), ('/', '/'), ('b', '\u{8}'), ('f', '\u{c}'), ('n', '\n'), ('r', '\r'), ('t', '\t')];
        let short = short.into_iter().filter(|(_, meant)| *meant == character).map(|(letter, _)| format!("\\{letter}"));
        let long = character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        short.chain([long]).filter(|escape| after(escape, canonical).is_some()).collect()
    }

    fn after(spelling: &str, canonical: bool) -> Option<Inside> {
        spelling.bytes().try_fold(Inside::Between, |inside, byte| step(inside, byte, canonical).ok().map(|(next, _)| next))
    }

    fn characters() -> impl Strategy<Value = char> {
        prop_oneof![
            any::<char>(),
            prop::char::range('\0', '\u{7f}'),
            prop::char::range('\u{d700}', '\u{e100}'),
            prop::char::range('\u{1f500}', '\u{1f700}')
        ]
    }

    proptest! {
        #[test]
        fn what_an_escape_may_become_is_what_its_completions_become(one in characters(), other in characters(), canonical in any::<bool>()) {
            for escape in escapes(one, canonical) {
                for begun in (1..escape.len()).map(|end| &escape[..end]) {
                    let found = after(begun, canonical).unwrap().characters(canonical).unwrap();
                    let contains = |character: char| found.begin(character.to_string().as_bytes());
                    prop_assert!(contains(one), "{} becomes {:?}", begun, one);
                    let completes = escapes(other, canonical).iter().any(|escape| escape.starts_with(begun));
                    prop_assert_eq!(contains(other), completes, "{} becomes {:?}", begun, other);
                }
            }
        }
    }
}
