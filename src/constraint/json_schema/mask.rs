//! The mask of a state: all tokens that may come, by one walk through the vocabulary.
//!
//! Outside strings nearly every token dies at its first byte, which a glance at the place tells. Inside a
//! string most tokens are plain text: where any text will do, they are all taken at once and only tokens
//! with a quote, a backslash or a control character are walked. Where a pattern or a length must hold, the
//! walk carries the pattern's state alone and makes a whole state of it only where the text leaves the
//! plain. Where names or strings are listed, the first bytes are those of the list.

use super::JsonSchema;
use super::container::Body;
use super::machine::{JsonState, Place};
use super::node::NodeId;
use super::open_string::PlainString;
use super::text::{self, Decoded, Inside};
use crate::vocab::{TokenSet, TokenTrie};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::rc::Rc;

/// Where a walk through the tokens stands.
enum Step<'a> {
    /// In the plain text of the string that the state is in.
    Plain(PlainString<'a>),
    /// In the plain text of a name that may be any: what it has got since the walk began.
    Name(Inside, SmallVec<[u8; 16]>),
    /// After the closing quote of a string that may hold any text: many tokens come by here, and what follows
    /// is worked out once for all of them.
    Shared(Rc<JsonState>),
    /// Anywhere; with the bytes that may come, where they are known to be few.
    Whole(Box<JsonState>, Option<Box<Bytes>>),
}

/// A set of bytes.
type Bytes = [bool; 256];

/// A walk from one state.
struct Walk<'a> {
    schema: &'a JsonSchema,
    base: &'a JsonState,
    /// What follows a shared state by a byte. The states are kept, so that their addresses stay theirs.
    following: FxHashMap<(*const JsonState, u8), Option<Rc<JsonState>>>,
    closed: Option<Option<Rc<JsonState>>>,
}

impl JsonSchema {
    pub(super) fn fill_mask(&self, state: &JsonState, trie: &TokenTrie, out: &mut TokenSet) {
        out.clear();
        let mut trie = trie;
        let mut plain_text = None;
        match &state.place {
            Place::InString(string) => {
                let plain = string.plain(self, |failing| self.survives_without(state, string, failing));
                let fits = plain.as_ref().is_some_and(|plain| plain.inside == Inside::Between && plain.fits(trie.longest()));
                plain_text = plain.map(Step::Plain);
                if fits {
                    out.union_with(trie.plain_text());
                    trie = trie.other_than_plain_text();
                }
            }
            Place::InName { inside: Inside::Between, .. } if state.top().is_none_or(|top| !self.judges_names(top)) => {
                out.union_with(trie.plain_text());
                trie = trie.other_than_plain_text();
                plain_text = Some(Step::Name(Inside::Between, SmallVec::new()));
            }
            _ => {}
        }
        let start = plain_text.unwrap_or_else(|| Step::Whole(Box::new(state.clone()), self.listed_bytes(state)));
        let found = |token| {
            out.insert(token);
        };
        let mut walk = Walk { schema: self, base: state, following: FxHashMap::default(), closed: None };
        trie.walk(start, |step, byte| walk.enter(step, byte), found);
    }

    /// The bytes that may come in a name or string that has to be one of a list; `None` where there is no
    /// such list, or the place is another.
    fn listed_bytes(&self, state: &JsonState) -> Option<Box<Bytes>> {
        let (begun, listed) = match &state.place {
            Place::InName { inside: Inside::Between, name } => (&name[..], self.only_names(state.top()?)?),
            Place::InString(string) if string.inside == Inside::Between => {
                string.listed(self, |failing| self.survives_without(state, string, failing))?
            }
            _ => return None,
        };
        let mut bytes = Box::new([false; 256]);
        bytes[usize::from(b'"')] = true;
        bytes[usize::from(b'\\')] = true;
        for text in listed {
            if let Some(next) = text.as_bytes().strip_prefix(begun).and_then(|rest| rest.first()) {
                bytes[usize::from(*next)] = true;
            }
        }
        Some(bytes)
    }

    /// The names that an object may have, where it is closed without patterns.
    fn only_names<'a>(&'a self, object: &'a Body) -> Option<Vec<&'a str>> {
        let closed = |rules: &super::node::ObjectRules| rules.additional == Some(NodeId::NONE) && rules.patterns.is_empty();
        let (entry, node) = self.open_entries(object).find(|(_, node)| closed(&node.objects))?;
        if self.survives(object, &[entry]) {
            return None;
        }
        Some(node.objects.properties.iter().map(|(name, _)| &**name).filter(|name| !object.has_seen(name)).collect())
    }
}

impl<'a> Walk<'a> {
    fn enter(&mut self, step: &Step<'a>, byte: u8) -> Option<Step<'a>> {
        let mut whole = match step {
            Step::Shared(state) => return self.follow(state, byte).map(Step::Shared),
            Step::Whole(state, listed) => {
                if !state.place.may_take(byte) || listed.as_ref().is_some_and(|listed| !listed[usize::from(byte)]) {
                    return None;
                }
                state.clone()
            }
            Step::Plain(plain) => {
                if let Ok((inside, Decoded::Byte(byte))) = text::step(plain.inside, byte, false) {
                    return plain.push(byte, inside).map(Step::Plain);
                }
                if byte == b'"' && plain.inside == Inside::Between && self.base.is_in_free_string() {
                    return self.close().map(Step::Shared);
                }
                let mut whole = self.base.clone();
                if let Place::InString(string) = &mut whole.place {
                    string.catch_up(plain);
                }
                Box::new(whole)
            }
            Step::Name(inside, added) => {
                let mut added = added.clone();
                if let Ok((inside, Decoded::Byte(byte))) = text::step(*inside, byte, false) {
                    added.push(byte);
                    return Some(Step::Name(inside, added));
                }
                let mut whole = self.base.clone();
                if let Place::InName { inside: place, name } = &mut whole.place {
                    *place = *inside;
                    name.extend_from_slice(&added);
                }
                Box::new(whole)
            }
        };
        self.schema.take(&mut whole, &[byte]).is_ok().then_some(Step::Whole(whole, None))
    }

    /// The state after the closing quote.
    fn close(&mut self) -> Option<Rc<JsonState>> {
        let (schema, base) = (self.schema, self.base);
        self.closed.get_or_insert_with(|| after(schema, base, b'"')).clone()
    }

    fn follow(&mut self, state: &Rc<JsonState>, byte: u8) -> Option<Rc<JsonState>> {
        if !state.place.may_take(byte) {
            return None;
        }
        let schema = self.schema;
        self.following.entry((Rc::as_ptr(state), byte)).or_insert_with(|| after(schema, state, byte)).clone()
    }
}

fn after(schema: &JsonSchema, state: &JsonState, byte: u8) -> Option<Rc<JsonState>> {
    let mut after = state.clone();
    schema.take(&mut after, &[byte]).is_ok().then(|| Rc::new(after))
}

impl JsonState {
    /// Whether the state is in a string that may hold any text, between two characters.
    fn is_in_free_string(&self) -> bool {
        matches!(&self.place, Place::InString(string) if string.is_free() && string.inside == Inside::Between)
    }
}

impl Place {
    /// Whether JSON may go on with the byte here; "yes" where that takes a longer look.
    fn may_take(&self, byte: u8) -> bool {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return true;
        }
        match self {
            Self::Value { .. } => matches!(byte, b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'),
            Self::Name { .. } => matches!(byte, b'"' | b'}'),
            Self::Colon { .. } => byte == b':',
            Self::After => matches!(byte, b',' | b'}' | b']'),
            Self::InLiteral { missing, .. } => missing.first() == Some(&byte),
            Self::InNumber(_) => matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' | b',' | b'}' | b']'),
            Self::InName { .. } | Self::InString(_) => true,
        }
    }
}
