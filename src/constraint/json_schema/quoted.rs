//! Names and strings as a walk through the tokens sees them: the state that each walk begins in, and a small
//! cursor for the text since then.
//!
//! Nearly all tokens that may come inside quotes are text. To take a state of the machine along for each of
//! them would be slow, and is not needed where the rules are few: one automaton, limits of length, a list.
//! The state is made up for only where the quotes close, and once for all texts after which the same follows.

use super::JsonSchema;
use super::container::Body;
use super::escape::Characters;
use super::machine::{JsonState, Place};
use super::mask::Known;
use super::members::Patterns;
use super::open_string::OpenString;
use super::pattern::Pattern;
use super::strings::{StringRules, TextAutomaton};
use super::text::{self, Decoded, Inside};
use crate::constraint::{Constraint, RegexState};
use crate::vocab::{TokenSet, TokenTrie};
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

/// A name or string in which a walk began.
pub(super) struct Quoted<'a> {
    pub(super) state: JsonState,
    rules: Rules<'a>,
    /// Whether the rules are all that is asked of the text before it closes.
    pub(super) is_exact: bool,
    /// Whether all texts that may close a string are the same to what follows; of names, all that no rule of
    /// the object mentions and the same patterns match.
    pub(super) closes_alike: bool,
    /// What follows the closing quote, where texts are alike, by the patterns that match a name.
    pub(super) closed: Known<'a, Patterns>,
}

/// What is asked of the text.
enum Rules<'a> {
    /// Nothing: it is a name.
    AnyName,
    Text {
        max_length: Option<u64>,
        length_cap: u64,
        strings: Option<&'a StringRules>,
        automaton: Option<&'a TextAutomaton>,
    },
    /// To be one of a list (sorted; what is missing of each), or, of a name, to match a pattern.
    OneOf {
        texts: Vec<Cow<'a, [u8]>>,
        pattern: Option<&'a Pattern>,
    },
}

/// Where a walk stands in the text.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) inside: Inside,
    /// The bytes of the text since the walk began.
    added: u32,
    /// In code points, from the start of the text.
    length: u64,
    automaton: Option<RegexState>,
    /// Those of the list that are still possible.
    texts: (u32, u32),
}

/// What a byte leads to.
pub(super) enum Next {
    Text(Cursor),
    /// Out of the quotes, if the text may end.
    Closed,
}

impl<'a> Quoted<'a> {
    /// The name or string that a state is in, where its rules are few.
    pub(super) fn new(schema: &'a JsonSchema, state: &JsonState) -> Option<(Self, Cursor)> {
        let (inside, quoted) = match &state.place {
            Place::InString(string) => (string.inside, Self::of_string(schema, state, string)?),
            Place::InName { inside, name } => (*inside, Self::of_name(schema, state, name)?),
            _ => return None,
        };
        let (mut cursor, place) = (Cursor { inside, added: 0, length: 0, automaton: None, texts: (0, 0) }, &state.place);
        match (&quoted.rules, place) {
            (Rules::Text { .. }, Place::InString(string)) => {
                (cursor.length, cursor.automaton) = (string.length(), string.automaton(schema))
            }
            (Rules::OneOf { texts, pattern }, _) => {
                cursor.texts = (0, texts.len() as u32);
                if let (Some(pattern), Place::InName { name, .. }) = (pattern, place) {
                    cursor.automaton = pattern.state_after(name);
                }
            }
            _ => {}
        }
        Some((quoted, cursor))
    }

    fn of_string(schema: &'a JsonSchema, state: &JsonState, string: &OpenString) -> Option<Self> {
        let survives = |failing| schema.survives_without(state, string, failing);
        let quoted =
            |rules, is_exact, closes_alike| Self { state: state.clone(), rules, is_exact, closes_alike, closed: RefCell::default() };
        if let Some(texts) = string.missing_of_listed(schema, survives) {
            let texts = texts.into_iter().map(Cow::Borrowed).collect();
            return Some(quoted(Rules::OneOf { texts, pattern: None }, false, false));
        }
        let (strings, closes_alike) = string.only_rules(schema, survives)?;
        let own_max = strings.and_then(|strings| strings.max_length);
        let max_length = own_max.into_iter().chain(schema.options.max_string).min();
        let automaton = strings.and_then(|strings| strings.automata().first());
        let rules = Rules::Text { max_length, length_cap: string.length_cap(), strings, automaton };
        Some(quoted(rules, true, closes_alike))
    }

    fn of_name(schema: &'a JsonSchema, state: &JsonState, name: &[u8]) -> Option<Self> {
        let closes_alike = state.top().is_none_or(|top| schema.names_close_alike(top));
        let quoted = |rules, is_exact| Self { state: state.clone(), rules, is_exact, closes_alike, closed: RefCell::default() };
        let asked = state.top().map_or(Some((None, true)), |top| schema.names_asked(top));
        let (rules, is_exact) = match asked? {
            (None, _) => (Rules::AnyName, true),
            (Some(Names { listed, pattern }), is_exact) => {
                let texts = listed.into_iter().filter_map(|other| other.as_bytes().strip_prefix(name).map(Cow::Borrowed)).collect();
                (Rules::OneOf { texts, pattern }, is_exact)
            }
        };
        Some(quoted(rules, is_exact))
    }

    /// Of a name that may be any: whether all are the same to what follows but those that a rule mentions, or
    /// that the object has. With what is missing of these, as a name of its own, and the state after another.
    pub(super) fn mentioned(&self, schema: &'a JsonSchema, cursor: &Cursor) -> Option<(Self, Cursor, Option<JsonState>)> {
        let (Rules::AnyName, true, Inside::Between) = (&self.rules, self.closes_alike, cursor.inside) else { return None };
        let Place::InName { name, .. } = &self.state.place else { return None };
        let names = schema.mentioned_names(self.state.top()?)?;
        let missing = names.iter().filter_map(|other| other.as_bytes().strip_prefix(&name[..]));
        let mut texts: Vec<_> = missing.map(|rest| Cow::Owned(rest.to_vec())).collect();
        texts.sort();
        texts.dedup();
        let cursor = Cursor { texts: (0, texts.len() as u32), ..*cursor };
        let mut other = self.state.clone();
        // Nobody calls a property so.
        let unheard = format!("{}\"", char::MAX);
        let other = schema.take(&mut other, unheard.as_bytes()).is_ok().then_some(other);
        let rules = Rules::OneOf { texts, pattern: None };
        let mentioned = Self { state: self.state.clone(), rules, is_exact: true, closes_alike: false, closed: RefCell::default() };
        Some((mentioned, cursor, other))
    }

    /// How many characters of plain text may come, whatever they are.
    pub(super) fn free_characters(&self, cursor: &Cursor) -> u64 {
        match &self.rules {
            _ if cursor.inside != Inside::Between => 0,
            Rules::AnyName => u64::MAX,
            Rules::Text { max_length, automaton: None, .. } => max_length.map_or(u64::MAX, |max| max.saturating_sub(cursor.length)),
            _ => 0,
        }
    }

    /// Whether the text may end at the cursor and the same follows then, and whatever text comes before.
    pub(super) fn may_close_anywhere(&self, cursor: &Cursor) -> bool {
        self.closes_alike && matches!(self.rules, Rules::Text { automaton: None, .. }) && self.may_close(cursor) == Some(true)
    }

    /// The automaton that plain text must keep to, where that and lengths are all.
    pub(super) fn automaton(&self, cursor: &Cursor) -> Option<PlainAutomaton<'a>> {
        let Rules::Text { max_length, strings: Some(strings), automaton: Some(automaton), .. } = &self.rules else { return None };
        let state = cursor.automaton.filter(|_| cursor.inside == Inside::Between)?;
        Some(PlainAutomaton { strings, automaton, max_length: *max_length, start: (state, cursor.length) })
    }

    pub(super) fn next(&self, cursor: &Cursor, byte: u8, canonical: bool) -> Option<Next> {
        let (inside, decoded) = text::step(cursor.inside, byte, canonical).ok()?;
        let mut after = Cursor { inside, ..*cursor };
        match decoded {
            Decoded::End => return Some(Next::Closed),
            Decoded::Nothing if !self.may_escape(cursor, &inside.characters(canonical)?) => return None,
            Decoded::Nothing => {}
            Decoded::Byte(byte) => self.push(&mut after, &[byte])?,
            Decoded::Character(character) => self.push(&mut after, character.encode_utf8(&mut [0; 4]).as_bytes())?,
        }
        Some(Next::Text(after))
    }

    /// Whether one of the characters may come.
    fn may_escape(&self, cursor: &Cursor, characters: &Characters) -> bool {
        match &self.rules {
            Rules::AnyName => true,
            Rules::Text { max_length, strings, automaton, .. } => {
                let taken = |((strings, automaton), state): ((&&StringRules, &&TextAutomaton), RegexState)| {
                    strings.takes_one_of(characters, automaton, state, cursor.length)
                };
                max_length.is_none_or(|max| cursor.length < max)
                    && strings.as_ref().zip(automaton.as_ref()).zip(cursor.automaton).is_none_or(taken)
            }
            Rules::OneOf { texts, pattern } => {
                let (low, high) = (cursor.texts.0 as usize, cursor.texts.1 as usize);
                characters.follow_in(&texts[low..high], cursor.added as usize)
                    || pattern.zip(cursor.automaton).is_some_and(|(pattern, state)| pattern.takes_one_of(characters, state))
            }
        }
    }

    fn push(&self, cursor: &mut Cursor, bytes: &[u8]) -> Option<()> {
        match &self.rules {
            Rules::AnyName => {}
            Rules::Text { max_length, length_cap, strings, automaton } => {
                if bytes[0] & 0xC0 != 0x80 {
                    if max_length.is_some_and(|max| cursor.length >= max) {
                        return None;
                    }
                    cursor.length = (cursor.length + 1).min(*length_cap);
                }
                if let (Some(automaton), Some(state), Some(strings)) = (automaton, cursor.automaton, strings) {
                    let state = automaton.advance(state, bytes)?;
                    if strings.length_refusal(automaton, state, cursor.length).is_some() {
                        return None;
                    }
                    cursor.automaton = Some(state);
                }
            }
            Rules::OneOf { texts, pattern } => {
                for byte in bytes {
                    let (low, high) = (cursor.texts.0 as usize, cursor.texts.1 as usize);
                    let (at, open) = (cursor.added as usize, &texts[low..high]);
                    let first = low + open.partition_point(|text| text.get(at).is_none_or(|other| other < byte));
                    let last = low + open.partition_point(|text| text.get(at).is_none_or(|other| other <= byte));
                    (cursor.texts, cursor.added) = ((first as u32, last as u32), cursor.added + 1);
                }
                cursor.automaton = pattern.zip(cursor.automaton).and_then(|(pattern, state)| pattern.automaton().advance(&state, bytes));
                if cursor.texts.0 == cursor.texts.1 && cursor.automaton.is_none() {
                    return None;
                }
            }
        }
        Some(())
    }

    /// Whether the text may end at the cursor; `None` where the whole text must tell.
    pub(super) fn may_close(&self, cursor: &Cursor) -> Option<bool> {
        match &self.rules {
            Rules::Text { strings: None, .. } => Some(true),
            Rules::Text { strings: Some(strings), automaton, .. } if !strings.needs_text() => {
                let long_enough = strings.min_length.is_none_or(|min| cursor.length >= min);
                Some(long_enough && automaton.zip(cursor.automaton).is_none_or(|(automaton, state)| automaton.may_end(state)))
            }
            _ => None,
        }
    }
}

/// An automaton and limits of length, as a walk through plain text follows them.
pub(super) struct PlainAutomaton<'a> {
    strings: &'a StringRules,
    automaton: &'a TextAutomaton,
    max_length: Option<u64>,
    start: (RegexState, u64),
}

impl PlainAutomaton<'_> {
    /// The tokens that are plain text and may come.
    pub(super) fn mask(&self, trie: &TokenTrie) -> Arc<TokenSet> {
        let make = || {
            let mut mask = TokenSet::new(trie.vocabulary_size());
            let found = |token| {
                mask.insert(token);
            };
            trie.walk(self.start, |at, byte| self.next(*at, byte), found);
            mask
        };
        let (state, _) = self.start;
        let is_limited = self.max_length.is_some() || self.strings.min_length.is_some();
        // Few texts come by a state at the same length.
        if is_limited { Arc::new(make()) } else { self.automaton.masks().get_or_make((trie.id(), state.number() as u32), make) }
    }

    fn next(&self, (state, length): (RegexState, u64), byte: u8) -> Option<(RegexState, u64)> {
        if byte < 0x20 || matches!(byte, b'"' | b'\\') {
            return None;
        }
        let state = self.automaton.next(state, byte)?;
        let length = length + u64::from(byte & 0xC0 != 0x80);
        if self.max_length.is_some_and(|max| length > max) || self.strings.length_refusal(self.automaton, state, length).is_some() {
            return None;
        }
        Some((state, length))
    }
}

/// The names that may come.
pub(super) struct Names<'a> {
    listed: Vec<&'a str>,
    pattern: Option<&'a Pattern>,
}

impl JsonSchema {
    /// The names that an object may still have, where not any, and whether nothing else judges a name before
    /// it has ended. `None` where rules of another kind judge it.
    fn names_asked<'a>(&'a self, object: &Body) -> Option<(Option<Names<'a>>, bool)> {
        if !self.judges_names(object) {
            return Some((None, true));
        }
        let (mut asked, mut is_exact) = (None, !self.options.declared_order);
        let (plan, members) = (self.plan_around(object)?, object.object()?);
        for (entry, _) in self.open_entries(object) {
            let rules = &self.node(plan.entries[usize::from(entry)].node).objects;
            let new = |name: &&Arc<str>| !object.has_seen(name);
            let missing = || rules.required.iter().filter(new).map(|name| &**name);
            let left = rules.max_properties.map(|max| max.saturating_sub(members.seen.len() as u64));
            let closed = self.is_closed(object, rules);
            let full = left.is_some_and(|left| left <= missing().count() as u64);
            is_exact &=
                rules.names.is_none() && (rules.additional.is_some() || rules.unevaluated.is_none_or(|node| !self.forbids(object, node)));
            if !closed && !full {
                continue;
            }
            let patterns = rules.patterns.iter().filter(|(_, node)| !self.forbids(object, *node)).map(|(pattern, _)| pattern);
            let patterns: Vec<_> = patterns.filter(|_| !full).collect();
            if asked.is_some() || patterns.len() > 1 || (closed && full) || self.survives(object, &[entry]) {
                is_exact = false;
                continue;
            }
            let listed = if full {
                missing().collect()
            } else {
                let possible = rules.properties.iter().filter(|(_, node)| !self.forbids(object, *node)).map(|(name, _)| name);
                possible.filter(new).map(|name| &**name).collect()
            };
            asked = Some(Names { listed, pattern: patterns.first().copied() });
        }
        (asked.is_some() || is_exact).then_some((asked, is_exact))
    }
}
