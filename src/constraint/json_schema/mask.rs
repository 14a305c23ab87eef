//! The mask of a state: all tokens that may come, by one walk through the vocabulary.
//!
//! Outside quotes nearly every token dies at its first byte, which a glance at the place tells. Inside them
//! the walk carries a small cursor (`quoted.rs`), and plain text that may be any is taken at once; then only
//! what tokens hold from their first quote or backslash on is walked. States after a closing quote are shared
//! by all texts that make no difference, and remember what follows them by a byte.

use super::JsonSchema;
use super::machine::{JsonState, Place};
use super::members::Patterns;
use super::quoted::{Cursor, Next, Quoted};
use super::text::Inside;
use crate::vocab::{TokenSet, TokenTrie};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::rc::Rc;

/// Where a walk through the tokens stands.
#[derive(Clone)]
pub(super) enum Step<'a> {
    Between(Rc<Between<'a>>),
    /// In quotes; with the number of the token's bytes before the text.
    Quoted(Rc<Quoted<'a>>, Cursor, usize),
}

/// Where it was found to lead; `None`: nowhere.
pub(super) type Known<'a, K> = RefCell<SmallVec<[(K, Option<Step<'a>>); 1]>>;

/// A state outside quotes, or in quotes of many rules.
pub(super) struct Between<'a> {
    state: JsonState,
    following: Known<'a, u8>,
}

/// A walk through the tokens.
struct Walk<'a> {
    schema: &'a JsonSchema,
    /// The bytes of the token down to where the walk is.
    bytes: Vec<u8>,
    /// Whether a name that ends is taken for one that no rule mentions.
    any_name: bool,
}

impl JsonSchema {
    pub(super) fn fill_mask(&self, state: &JsonState, trie: &TokenTrie, out: &mut TokenSet) {
        out.clear();
        let mut walk = Walk { schema: self, bytes: Vec::with_capacity(trie.longest()), any_name: false };
        let start = walk.step_of(state.clone());
        let Step::Quoted(quoted, cursor, _) = &start else { return walk.run(trie, start, out) };
        let characters = quoted.free_characters(cursor);
        if characters >= trie.longest() as u64 && quoted.may_close_anywhere(cursor) {
            out.union_with(trie.plain_text());
            walk.run(trie.after_plain_text(), start, out);
        } else if let Some((mentioned, at, other)) = quoted.mentioned(self, cursor) {
            out.union_with(trie.plain_text());
            quoted.closed.borrow_mut().push((Patterns::new(), other.map(|state| walk.step_of(state))));
            walk.any_name = true;
            walk.run(trie.after_plain_text(), start.clone(), out);
            walk.any_name = false;
            walk.run_mentioned(trie.other_than_plain_text(), Rc::new(mentioned), at, out);
        } else if characters > 0 {
            trie.plain_text_up_to(characters, out);
            walk.run(trie.other_than_plain_text(), start, out);
        } else if let Some(automaton) = quoted.automaton(cursor) {
            out.union_with(&automaton.mask(trie));
            walk.run(trie.other_than_plain_text(), start, out);
        } else {
            walk.run(trie, start, out);
        }
    }
}

impl<'a> Walk<'a> {
    /// Walks the tokens in which a name that is mentioned ends, of which `out` tells as if it were any other.
    fn run_mentioned(&mut self, trie: &TokenTrie, mentioned: Rc<Quoted<'a>>, start: Cursor, out: &mut TokenSet) {
        let canonical = self.schema.options.canonical_escapes;
        let enter = |cursor: &Option<Cursor>, byte| match cursor {
            None => Some(None),
            Some(cursor) => mentioned.next(cursor, byte, canonical).map(|next| match next {
                Next::Text(cursor) => Some(cursor),
                Next::Closed => None,
            }),
        };
        // Also tokens that end within the name are taken out: the walk below finds them again.
        trie.walk(Some(start), enter, |token| {
            out.remove(token);
        });
        self.bytes.clear();
        self.run(trie, Step::Quoted(mentioned.clone(), start, 0), out);
    }

    fn run(&mut self, trie: &TokenTrie, start: Step<'a>, out: &mut TokenSet) {
        let found = |token| {
            out.insert(token);
        };
        let enter = |(step, depth): &(Step<'a>, usize), byte| {
            self.bytes.truncate(*depth);
            self.bytes.push(byte);
            Some((self.enter(step, byte)?, depth + 1))
        };
        trie.walk((start, 0), enter, found);
    }

    fn enter(&mut self, step: &Step<'a>, byte: u8) -> Option<Step<'a>> {
        match step {
            Step::Between(between) => self.follow(between, byte),
            Step::Quoted(quoted, cursor, begun) => match quoted.next(cursor, byte, self.schema.options.canonical_escapes)? {
                Next::Closed => self.close(quoted, cursor, *begun),
                Next::Text(cursor) => {
                    (quoted.is_exact || self.replay(quoted, *begun).is_some()).then(|| Step::Quoted(quoted.clone(), cursor, *begun))
                }
            },
        }
    }

    fn step_of(&self, state: JsonState) -> Step<'a> {
        match Quoted::new(self.schema, &state) {
            Some((quoted, cursor)) => Step::Quoted(Rc::new(quoted), cursor, self.bytes.len()),
            None => Step::Between(Rc::new(Between { state, following: RefCell::default() })),
        }
    }

    fn follow(&self, between: &Rc<Between<'a>>, byte: u8) -> Option<Step<'a>> {
        if !between.state.place.may_take(byte) {
            return None;
        }
        if matches!(&between.state.place, Place::InNumber(number) if number.stays_the_same(byte)) {
            return Some(Step::Between(between.clone()));
        }
        let known = between.following.borrow().iter().find(|(other, _)| *other == byte).map(|(_, step)| step.clone());
        let mut step = known.unwrap_or_else(|| {
            let mut after = between.state.clone();
            let step = self.schema.take(&mut after, &[byte]).is_ok().then(|| self.step_of(after));
            between.following.borrow_mut().push((byte, step.clone()));
            step
        })?;
        if let Step::Quoted(_, _, begun) = &mut step {
            *begun = self.bytes.len();
        }
        Some(step)
    }

    /// The state after all bytes of the walk since the quotes that it is in.
    fn replay(&self, quoted: &Quoted<'a>, begun: usize) -> Option<JsonState> {
        let mut state = quoted.state.clone();
        self.schema.take(&mut state, &self.bytes[begun..]).is_ok().then_some(state)
    }

    /// What follows the closing quote, the last of the bytes.
    fn close(&self, quoted: &Quoted<'a>, cursor: &Cursor, begun: usize) -> Option<Step<'a>> {
        let replayed = || self.replay(quoted, begun).map(|state| self.step_of(state));
        let group = match &quoted.state.place {
            _ if !quoted.closes_alike => None,
            Place::InName { .. } if self.any_name && begun == 0 => Some(Patterns::new()),
            Place::InName { inside: Inside::Between, name } => self.unmentioned(quoted, name, begun),
            Place::InName { .. } => None,
            _ => match quoted.may_close(cursor) {
                Some(true) => Some(SmallVec::new()),
                Some(false) => return None,
                None => None,
            },
        };
        let Some(group) = group else { return replayed() };
        let known = quoted.closed.borrow().iter().find(|(other, _)| *other == group).map(|(_, step)| step.clone());
        known.unwrap_or_else(|| {
            let step = replayed();
            quoted.closed.borrow_mut().push((group, step.clone()));
            step
        })
    }

    /// The patterns that match the name that has ended; `None` where a rule mentions it, or it is not spelled
    /// plainly.
    fn unmentioned(&self, quoted: &Quoted<'a>, begun_name: &[u8], begun: usize) -> Option<Patterns> {
        let (_, added) = self.bytes[begun..].split_last()?;
        if added.contains(&b'\\') {
            return None;
        }
        let name: SmallVec<[u8; 64]> = begun_name.iter().chain(added).copied().collect();
        self.schema.patterns_of_unmentioned(quoted.state.top()?, std::str::from_utf8(&name).ok()?)
    }
}

impl Place {
    /// Whether JSON may go on with the byte here; "yes" where that takes a longer look.
    fn may_take(&self, byte: u8) -> bool {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self {
            Self::Value { .. } => is_space || matches!(byte, b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'),
            Self::Name { .. } => is_space || matches!(byte, b'"' | b'}'),
            Self::Colon { .. } => is_space || byte == b':',
            Self::After => is_space || matches!(byte, b',' | b'}' | b']'),
            Self::InLiteral { missing, .. } => missing.first() == Some(&byte),
            Self::InNumber(_) => is_space || matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' | b',' | b'}' | b']'),
            Self::InName { .. } | Self::InString(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::constraint::json_schema::Options;
    use crate::constraint::{Constraint, JsonSchema};
    use crate::vocab::{Token, TokenSet, Vocabulary};

    /// Tokens that cross quotes, spell by escapes, and cut characters.
    const TOKENS: [&[u8]; 46] = [
        b"a",
        b"b",
        b"ab",
        b"/",
        b"1",
        b"12",
        b".5",
        b"e1",
        b"-",
        b"\"",
        b"{\"",
        b"\":",
        b"a\":",
        b"b\":",
        b"ab\":\"",
        b"\",\"",
        b"\",\"b\":1}",
        b"\\",
        b"\\u0061",
        b"\\u0061\":",
        b"u0061\":1",
        b"\\u00",
        b"61",
        b"\\u",
        b"\\u03",
        b"u0",
        b"0",
        b"6",
        b"e9",
        b"\\ud8",
        b"\":[",
        b"\\/b\":",
        b"\\n",
        b"n\"",
        b"\\\"",
        b"\xC3",
        b"\xA9",
        b"\xC3\xA9\"",
        b"\n",
        b" ",
        b"{",
        b"}",
        b"[",
        b"],",
        b"1}",
        b"aaaaaaaaaaaaaaaaaaaa",
    ];

    /// Compares masks with single answers at every prefix of the texts.
    fn compare(schema: &str, texts: &[&str]) {
        let tokens = TOKENS.iter().map(|bytes| Token::Text(bytes.to_vec())).chain([Token::End]);
        let vocabulary = Vocabulary::new(tokens).unwrap();
        for (canonical, max_depth) in [(false, 1_000), (true, 2)] {
            let options = Options { canonical_escapes: canonical, plain_numbers: canonical, max_depth, ..Options::default() };
            let schema = JsonSchema::parse_with_options(schema, &options).unwrap();
            for text in texts {
                for end in 0..=text.len() {
                    let Some(state) = schema.advance(&schema.start(), &text.as_bytes()[..end]) else { continue };
                    let mut mask = TokenSet::new(vocabulary.len());
                    schema.mask(&state, vocabulary.trie(), &mut mask);
                    for token in vocabulary.tokens() {
                        let Some(bytes) = vocabulary.bytes(token) else { continue };
                        let (begun, bytes_shown) = (String::from_utf8_lossy(&text.as_bytes()[..end]), String::from_utf8_lossy(bytes));
                        assert_eq!(
                            mask.contains(token),
                            schema.allows(&state, bytes),
                            "{bytes_shown:?} after {begun:?}, canonical: {canonical}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn masks_of_names_are_single_answers() {
        let texts = [r#"{"a":"b","ab":"a","/b":"\u0061","b":1}"#, r#"{"/":"a","ab":"","\u0061":"é"}"#, r#"{"":{"a":"b"},"b":12,"a":"1"}"#];
        for rules in [
            r#""properties": {"a": {"type": "string"}, "ab": false, "/b": {"const": "a"}}"#,
            r#""properties": {"a": {}, "b": {}, "ab": {}}, "additionalProperties": false"#,
            r#""properties": {"b": {}}, "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": false"#,
            r#""patternProperties": {"^a": {"type": "string"}, "b$": {"type": "integer"}}"#,
            r#""required": ["a", "b"], "maxProperties": 3"#,
            r#""required": ["a", "b"], "maxProperties": 2, "additionalProperties": {"type": ["string", "integer"]}"#,
            r#""propertyNames": {"maxLength": 1}"#,
            r#""propertyNames": {"enum": ["a", "b"]}, "properties": {"a": {}, "ab": {}}, "additionalProperties": false"#,
            r#""dependentRequired": {"a": ["ab"]}, "maxProperties": 2"#,
            r#""dependentSchemas": {"a": {"properties": {"ab": {"type": "integer"}}}}, "minProperties": 2"#,
            r#""properties": {"a": {}}, "unevaluatedProperties": false"#,
            r#""properties": {"a": {}}, "unevaluatedProperties": {"type": "string"}"#,
            r#""not": {"required": ["ab"]}"#,
            r#""oneOf": [{"properties": {"a": {"const": "a"}}, "additionalProperties": false}, {"required": ["b"]}]"#,
        ] {
            compare(&format!(r#"{{"type": "object", {rules}}}"#), &texts);
        }
        // Values that nest deeper than the options have it.
        let nested = r#""properties": {"a": {"items": {"type": "array"}, "minItems": 1, "type": "array"}, "b": {}}"#;
        for rules in [
            "",
            r#", "additionalProperties": false"#,
            r#", "additionalProperties": {"required": ["b"], "properties": {"b": {"type": "object"}}, "type": "object"}"#,
        ] {
            compare(&format!(r#"{{"type": "object", {nested}{rules}}}"#), &texts);
        }
        compare(r#"{"items": {"type": "object"}, "uniqueItems": true}"#, &[r#"[{"a":"b"},{"a":"b"},{"b":1}]"#, r#"[{"a":1},{"ab":1}]"#]);
    }

    #[test]
    fn masks_of_strings_and_numbers_are_single_answers() {
        let texts = [
            "[\"ab\",\"\\u0061\",\"aab\"]",
            "[\"aaaaaaaa\",\"é\"]",
            "[12,1.5,1e1,-1]",
            "[-0.5,1234567890123456.7]",
            "[\"\",\"b\\n\",\"a/\"]",
        ];
        for items in [
            r#"{"type": "string"}"#,
            r#"{"maxLength": 3}"#,
            r#"{"minLength": 2, "maxLength": 22}"#,
            r#"{"pattern": "^a+b?$"}"#,
            r#"{"pattern": "a"}"#,
            r#"{"pattern": "^(a|é)*$", "minLength": 2, "maxLength": 4}"#,
            r#"{"pattern": "^(a*)b\\1$", "maxLength": 5}"#,
            r#"{"enum": ["a", "ab", "é", 12]}"#,
            r#"{"anyOf": [{"const": "ab"}, {"pattern": "^b"}, {"maxLength": 1}]}"#,
            r#"{"format": "date"}"#,
            r#"{"type": "integer"}"#,
            r#"{"type": "integer", "maximum": 12}"#,
            r#"{"not": {"const": "a"}}"#,
        ] {
            compare(&format!(r#"{{"items": {items}}}"#), &texts);
            compare(&format!(r#"{{"items": {items}, "uniqueItems": true}}"#), &texts);
        }
    }
}
