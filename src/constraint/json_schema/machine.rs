//! The byte automaton: JSON as RFC 8259 has it, strict, with the schema's verdicts at every turn.
//!
//! Each byte either continues a scalar, moves between the members of a container, or is white space.
//! Where a value begins, a member's name or a scalar goes on, or a value ends, something may newly fail;
//! then, and only then, it is asked whether the document can still be completed.

use super::JsonSchema;
use super::container::{Body, Container, Expected, Meaning, Members};
use super::decimal::Decimal;
use super::node::{Kind, NodeId};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::{Reason, Refusal};
use super::scalar::{Failure, OpenNumber, OpenString, Phase};
use super::text::{self, Decoded, Inside};
use serde_json::Value;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where in a JSON text, and in its schema, a text stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonState {
    place: Place,
    /// The innermost open object or array.
    top: Option<Arc<Container>>,
    /// The text since the outermost open array of unique items began.
    text: Option<Arc<Vec<u8>>>,
    /// The length of the run of white space that the text ends in.
    whitespace: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// Before a value; with `or_end`, the array may end instead.
    Value {
        expected: Expected,
        or_end: bool,
    },
    /// Before a property's name; with `or_end`, the object may end instead.
    Name {
        or_end: bool,
    },
    InName {
        inside: Inside,
        name: SmallVec<[u8; 24]>,
    },
    /// Before the colon.
    Colon {
        expected: Expected,
    },
    InString(OpenString),
    InNumber(OpenNumber),
    /// In `null`, `true` or `false`: what is missing.
    InLiteral {
        missing: &'static [u8],
        expected: Expected,
        own: Verdicts,
    },
    /// After a value.
    After,
}

type Step = Result<(), Refusal>;

impl JsonSchema {
    pub(super) fn start_state(&self) -> JsonState {
        let plan = Some(self.plan(self.root).clone());
        let expected = Expected { plan, ..Expected::default() };
        JsonState { place: Place::Value { expected, or_end: false }, top: None, text: None, whitespace: 0 }
    }

    pub(super) fn is_complete(&self, state: &JsonState) -> bool {
        match &state.place {
            Place::After => state.top.is_none(),
            Place::InNumber(number) if state.top.is_none() && number.phase.is_complete() => {
                self.end_number(&mut state.clone(), number.clone()).is_ok()
            }
            _ => false,
        }
    }

    /// Takes one byte.
    pub(super) fn step(&self, state: &mut JsonState, byte: u8) -> Step {
        if let Place::InNumber(number) = &mut state.place {
            if let Some(phase) = number.phase.next(byte) {
                if phase == Phase::Exponent && !self.options.exponents {
                    return Err(Refusal::Json("a number without an exponent"));
                }
                keep(&mut state.text, byte);
                number.push(phase, byte);
                let failure = number.judge_prefix(self);
                return self.scalar_survives(state, failure);
            }
            if !number.phase.is_complete() || !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                return Err(Refusal::Json(number.phase.expected()));
            }
            let number = number.clone();
            self.end_number(state, number)?;
        }
        keep(&mut state.text, byte);
        match &mut state.place {
            Place::InString(string) => {
                let (inside, decoded) = text::step(string.inside, byte).map_err(Refusal::Json)?;
                string.inside = inside;
                let failure = match decoded {
                    Decoded::End => return self.end_string(state),
                    Decoded::Nothing if inside == Inside::Escape && !string.is_free() => string.must_go_on(self),
                    Decoded::Nothing => None,
                    Decoded::Byte(byte) => string.push(self, &[byte]),
                    Decoded::Character(character) => string.push(self, character.encode_utf8(&mut [0; 4]).as_bytes()),
                };
                self.scalar_survives(state, failure)
            }
            Place::InName { inside, name } => {
                let (next, decoded) = text::step(*inside, byte).map_err(Refusal::Json)?;
                *inside = next;
                match decoded {
                    Decoded::End => return self.end_name(state),
                    Decoded::Nothing => return Ok(()),
                    Decoded::Byte(byte) => name.push(byte),
                    Decoded::Character(character) => name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                let name = name.clone();
                self.name_survives(state, &name)
            }
            Place::InLiteral { missing, .. } => {
                let Some((first, rest)) = missing.split_first() else { return Err(Refusal::Json("the end of the literal")) };
                if *first != byte {
                    return Err(Refusal::Json("the rest of null, true or false"));
                }
                *missing = rest;
                if !rest.is_empty() {
                    return Ok(());
                }
                let Place::InLiteral { expected, own, .. } = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
                self.end_value(state, &expected, own, None)
            }
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {
                state.whitespace += 1;
                match state.whitespace > self.options.max_whitespace {
                    true => Err(Refusal::Json("no more white space")),
                    false => Ok(()),
                }
            }
            _ => {
                state.whitespace = 0;
                self.step_between(state, byte)
            }
        }
    }

    /// A byte that is no white space, outside scalars and names.
    fn step_between(&self, state: &mut JsonState, byte: u8) -> Step {
        match std::mem::replace(&mut state.place, Place::After) {
            Place::Value { or_end: true, .. } if byte == b']' => self.close(state),
            Place::Value { expected, or_end } => self.begin_value(state, expected, byte, or_end),
            Place::Name { .. } if byte == b'"' => {
                state.place = Place::InName { inside: Inside::Between, name: SmallVec::new() };
                self.name_survives(state, &[])
            }
            Place::Name { or_end: true } if byte == b'}' => self.close(state),
            Place::Name { or_end } => Err(Refusal::Json(if or_end { "a property name or '}'" } else { "a property name" })),
            Place::Colon { expected } if byte == b':' => {
                state.place = Place::Value { expected, or_end: false };
                Ok(())
            }
            Place::Colon { .. } => Err(Refusal::Json("':'")),
            _ => self.step_after(state, byte),
        }
    }

    /// A byte after a value.
    fn step_after(&self, state: &mut JsonState, byte: u8) -> Step {
        let Some(top) = &mut state.top else { return Err(Refusal::Json("the end of the text")) };
        let is_object = matches!(top.members, Members::Object { .. });
        match (byte, is_object) {
            (b'}', true) | (b']', false) => self.close(state),
            (b',', true) => {
                state.place = Place::Name { or_end: false };
                self.name_survives(state, &[])
            }
            (b',', false) => {
                if let Some(text) = &state.text
                    && matches!(top.members, Members::Array { items: Some(_), .. })
                {
                    let begin = text.len();
                    Container::edit(top, |body| {
                        if let Members::Array { items: Some((_, next)), .. } = &mut body.members {
                            *next = begin;
                        }
                    });
                }
                let expected = self.expected_item(top);
                self.expected_survives(top, &expected)?;
                state.place = Place::Value { expected, or_end: false };
                Ok(())
            }
            (_, true) => Err(Refusal::Json("',' or '}'")),
            (_, false) => Err(Refusal::Json("',' or ']'")),
        }
    }

    fn begin_value(&self, state: &mut JsonState, expected: Expected, byte: u8, or_end: bool) -> Step {
        let kind = match byte {
            b'n' => Kind::Null,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'-' | b'0'..=b'9' => Kind::Number,
            b'"' => Kind::String,
            b'[' => Kind::Array,
            b'{' => Kind::Object,
            _ => return Err(Refusal::Json(if or_end { "a value or ']'" } else { "a value" })),
        };
        if let (false, Some(top)) = (expected.failing.is_empty(), &mut state.top) {
            self.expected_survives(top, &expected)?;
            let failing = expected.failing.clone();
            Container::edit(top, |body| failing.iter().for_each(|(entry, _)| body.own[usize::from(*entry)] = Verdict::Fails));
        }
        let own = expected.plan.as_ref().map_or_else(Verdicts::new, |plan| plan.own_verdicts(&self.nodes, kind));
        if own.contains(&Verdict::Fails) {
            self.own_survive(state, &expected, &own, None).map_err(|_| self.kind_refusal(&expected, &own))?;
        }
        match kind {
            Kind::Null => state.place = Place::InLiteral { missing: b"ull", expected, own },
            Kind::True => state.place = Place::InLiteral { missing: b"rue", expected, own },
            Kind::False => state.place = Place::InLiteral { missing: b"alse", expected, own },
            Kind::String => state.place = Place::InString(OpenString::new(self, expected, own)),
            Kind::Number => {
                let mut number = OpenNumber::new(expected, own, byte);
                let failure = number.judge_prefix(self);
                state.place = Place::InNumber(number);
                return self.scalar_survives(state, failure);
            }
            Kind::Array | Kind::Object => return self.open(state, expected, own, kind),
        }
        Ok(())
    }

    fn open(&self, state: &mut JsonState, expected: Expected, own: Verdicts, kind: Kind) -> Step {
        let depth = state.top.as_ref().map_or(0, |top| top.depth) + 1;
        if depth > self.options.max_depth {
            return Err(Refusal::Json("no deeper nesting"));
        }
        let mut body = Body {
            parent: state.top.take(),
            expected,
            own,
            members: Members::Object { seen: Arc::default(), current: None, unevaluated: SmallVec::new() },
            depth,
        };
        if kind == Kind::Object {
            state.place = Place::Name { or_end: true };
            state.top = Some(Arc::new(Container::new(body)));
            return Ok(());
        }
        let unique = body.open_entries(self).any(|(_, node)| node.arrays.unique);
        let keeps_text = unique && state.text.is_none();
        if keeps_text {
            state.text = Some(Arc::default());
        }
        let items = state.text.as_ref().filter(|_| unique).map(|text| (Arc::new(BTreeSet::new()), text.len()));
        body.members = Members::Array {
            index: Default::default(),
            count: 0,
            contained: SmallVec::new(),
            matched: SmallVec::new(),
            unevaluated: SmallVec::new(),
            items,
            keeps_text,
        };
        let expected = self.expected_item(&body);
        state.place = Place::Value { expected, or_end: true };
        state.top = Some(Arc::new(Container::new(body)));
        Ok(())
    }

    /// Closes the innermost container.
    fn close(&self, state: &mut JsonState) -> Step {
        let Some(top) = state.top.take() else { return Err(Refusal::Json("a value")) };
        let (verdicts, refused) = self.final_verdicts(&top);
        if matches!(top.members, Members::Array { keeps_text: true, .. }) {
            state.text = None;
        }
        state.top = top.parent.clone();
        state.place = Place::After;
        self.decided(state, &top.expected, &verdicts).map_err(|duplicate| match (duplicate, &refused) {
            (Some(node), _) => Refusal::Schema(Some(node), Reason::UniqueItems),
            (None, Some((node, reason))) => Refusal::Schema(Some(*node), reason.clone()),
            (None, None) => Refusal::Schema(None, Reason::Kind),
        })
    }

    fn end_string(&self, state: &mut JsonState) -> Step {
        let Place::InString(mut string) = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
        let failure = string.finish(self);
        self.end_value(state, &string.expected, string.own, failure)
    }

    fn end_number(&self, state: &mut JsonState, mut number: OpenNumber) -> Step {
        state.place = Place::After;
        state.whitespace = 0;
        let failure = number.finish(self);
        self.end_value(state, &number.expected, number.own, failure)
    }

    /// A property's name has ended.
    fn end_name(&self, state: &mut JsonState) -> Step {
        let Place::InName { name, .. } = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
        let Some(top) = &mut state.top else { return Ok(()) };
        let name: Arc<str> = String::from_utf8_lossy(&name).into();
        let Err(at) = top.seen().binary_search(&name) else { return Err(Refusal::Duplicate(name)) };
        let expected = self.expected_property(top, &name);
        self.expected_survives(top, &expected)?;
        let failing = expected.failing.clone();
        Container::edit(top, |body| {
            failing.iter().for_each(|(entry, _)| body.own[usize::from(*entry)] = Verdict::Fails);
            if let Members::Object { seen, current, .. } = &mut body.members {
                Arc::make_mut(seen).insert(at, name.clone());
                *current = Some(name);
            }
        });
        // What depends on the property's being there may fail by it.
        if !self.survives(top, &[]) {
            return Err(Refusal::Schema(None, Reason::AdditionalProperties));
        }
        state.place = Place::Colon { expected: Expected { failing: SmallVec::new(), ..expected } };
        Ok(())
    }

    /// A scalar has ended, with these verdicts of its entries' own rules.
    fn end_value(&self, state: &mut JsonState, expected: &Expected, mut own: Verdicts, failure: Failure) -> Step {
        if let Some(plan) = &expected.plan {
            plan.combine(&mut own, |_| Verdict::Fails, |_, _| true);
        }
        self.decided(state, expected, &own).map_err(|duplicate| match duplicate {
            Some(node) => Refusal::Schema(Some(node), Reason::UniqueItems),
            None => refusal(failure),
        })
    }

    /// A value has ended, its verdicts are decided: tells the container around it. `state.top` is that.
    ///
    /// # Errors
    /// If the document cannot be completed; with the node that wants unique items, where that is why.
    fn decided(&self, state: &mut JsonState, expected: &Expected, verdicts: &Verdicts) -> Result<(), Option<NodeId>> {
        let holds = |plan: &Plan, root: u16| verdicts[usize::from(plan.roots[usize::from(root)])] == Verdict::Holds;
        let Some(top) = &mut state.top else {
            return match &expected.plan {
                Some(plan) if !holds(plan, 0) => Err(None),
                _ => Ok(()),
            };
        };
        let mut failed: SmallVec<[u16; 4]> = SmallVec::new();
        let mut duplicate = None;
        let counts = top.own.contains(&Verdict::Open);
        let item = state.text.as_ref().and_then(|text| unique_item(top, text));
        let is_array = matches!(top.members, Members::Array { .. });
        if expected.plan.is_none() && item.is_none() && !is_array {
            return Ok(());
        }
        Container::edit(top, |body| {
            let plan = expected.plan.as_deref();
            for link in expected.links.iter() {
                let holds = plan.is_some_and(|plan| holds(plan, link.root));
                match (link.meaning, holds, &mut body.members) {
                    (Meaning::Must, false, _) => failed.push(link.entry),
                    (Meaning::Contains, true, Members::Array { count, contained, matched, .. }) => {
                        matched.push((link.entry, *count));
                        match contained.iter_mut().find(|(entry, _)| *entry == link.entry) {
                            Some((_, contained)) => *contained += 1,
                            None => contained.push((link.entry, 1)),
                        }
                    }
                    (Meaning::Unevaluated, false, Members::Array { count, unevaluated, .. }) => unevaluated.push((link.entry, *count)),
                    (Meaning::Unevaluated, false, Members::Object { current, unevaluated, .. }) => {
                        unevaluated.extend(current.clone().map(|name| (link.entry, name)));
                    }
                    _ => {}
                }
            }
            if let Members::Array { index, count, items, .. } = &mut body.members {
                index.0 += 1;
                *count += u64::from(counts);
                if let (Some((items, _)), Some(item)) = (items, item)
                    && !Arc::make_mut(items).insert(item)
                {
                    let entries = body.expected.plan.iter().flat_map(|plan| plan.entries.iter().enumerate());
                    for (at, entry) in entries.filter(|(_, entry)| self.node(entry.node).arrays.unique) {
                        failed.push(at as u16);
                        duplicate = Some(entry.node);
                    }
                }
            }
            for entry in self.past_contains(body) {
                failed.push(entry);
            }
            failed.iter().for_each(|entry| body.own[usize::from(*entry)] = Verdict::Fails);
        });
        if failed.is_empty() || self.survives(top, &[]) { Ok(()) } else { Err(duplicate) }
    }

    /// The open entries whose `maxContains` is passed.
    fn past_contains(&self, array: &Body) -> SmallVec<[u16; 1]> {
        let Members::Array { contained, .. } = &array.members else { return SmallVec::new() };
        let past = array.open_entries(self).filter(|(at, node)| {
            let max = node.arrays.contains.and_then(|contains| contains.max);
            max.is_some_and(|max| contained.iter().any(|(entry, count)| entry == at && *count > max))
        });
        past.map(|(at, _)| at).collect()
    }

    /// After an entry of the scalar in progress has failed: whether the document can be completed.
    fn scalar_survives(&self, state: &JsonState, failure: Failure) -> Step {
        if failure.is_none() {
            return Ok(());
        }
        match &state.place {
            Place::InString(string) => self.own_survive(state, &string.expected, &string.own, failure),
            Place::InNumber(number) => self.own_survive(state, &number.expected, &number.own, failure),
            _ => Ok(()),
        }
    }

    fn own_survive(&self, state: &JsonState, expected: &Expected, own: &Verdicts, failure: Failure) -> Step {
        let Some(plan) = &expected.plan else { return Ok(()) };
        let mut verdicts = own.clone();
        plan.combine(&mut verdicts, |_| Verdict::Open, |_, _| true);
        match self.survives_roots(state.top.as_deref(), expected, &verdicts) {
            true => Ok(()),
            false => Err(refusal(failure)),
        }
    }

    /// Whether the document survives the member to come, whatever its value: entries that fail by its
    /// being there, nodes that no value satisfies.
    fn expected_survives(&self, top: &Container, expected: &Expected) -> Step {
        let mut failing: SmallVec<[u16; 8]> = expected.failing.iter().map(|(entry, _)| *entry).collect();
        let mut reason = expected.failing.first().cloned();
        if let Some(plan) = &expected.plan {
            for link in expected.links.iter().filter(|link| link.meaning == Meaning::Must) {
                let root = plan.entries[usize::from(plan.roots[usize::from(link.root)])].node;
                if root == NodeId::NONE {
                    failing.push(link.entry);
                    reason.get_or_insert((link.entry, Reason::AdditionalProperties));
                }
            }
        }
        if failing.is_empty() || self.survives(top, &failing) {
            return Ok(());
        }
        let node = reason.as_ref().and_then(|(entry, _)| Some(top.expected.plan.as_ref()?.entries[usize::from(*entry)].node));
        Err(Refusal::Schema(node, reason.map_or(Reason::AdditionalProperties, |(_, reason)| reason)))
    }

    /// Whether some property with a name that begins so may come.
    fn name_survives(&self, state: &JsonState, name: &[u8]) -> Step {
        let Some(top) = &state.top else { return Ok(()) };
        let mut failing: SmallVec<[u16; 8]> = SmallVec::new();
        let mut first = None;
        for (at, node) in top.open_entries(self) {
            if let Some(reason) = self.refused_name_bytes(top, at, node, name, false) {
                failing.push(at);
                first.get_or_insert((at, reason));
            }
        }
        if failing.is_empty() || self.survives(top, &failing) {
            return Ok(());
        }
        let node = first.as_ref().and_then(|(at, _)| Some(top.expected.plan.as_ref()?.entries[usize::from(*at)].node));
        Err(Refusal::Schema(node, first.map_or(Reason::AdditionalProperties, |(_, reason)| reason)))
    }

    /// The refusal of a value by its kind: of the outermost entry that fails.
    fn kind_refusal(&self, expected: &Expected, own: &Verdicts) -> Refusal {
        let failing = expected.plan.as_ref().and_then(|plan| {
            let at = own.iter().position(|own| *own == Verdict::Fails)?;
            Some(plan.entries[at].node)
        });
        Refusal::Schema(failing, Reason::Kind)
    }
}

impl JsonState {
    /// The innermost open object or array.
    pub(super) fn top(&self) -> Option<&Body> {
        self.top.as_deref().map(|container| &**container)
    }

    /// The JSON pointer of the value that is being written.
    pub(super) fn pointer(&self) -> String {
        let mut segments = Vec::new();
        let mut at = self.top.as_deref();
        // Between the members of a container it is the container that is being written.
        let mut between = matches!(self.place, Place::After | Place::Name { .. } | Place::InName { .. });
        while let Some(container) = at {
            if !std::mem::take(&mut between) {
                match &container.members {
                    Members::Object { current: Some(name), .. } => segments.push(super::compile::escaped(name)),
                    Members::Object { .. } => {}
                    Members::Array { index, .. } => segments.push(index.0.to_string()),
                }
            }
            at = container.parent.as_deref();
        }
        segments.iter().rev().fold(String::new(), |pointer, segment| pointer + "/" + segment)
    }

    /// What must come at the end of the text, in words.
    pub(super) fn wants(&self) -> &'static str {
        match &self.place {
            Place::Value { or_end: true, .. } => "a value or ']'",
            Place::Value { .. } => "a value",
            Place::Name { or_end: true } => "a property name or '}'",
            Place::Name { .. } => "a property name",
            Place::InName { .. } => "the rest of the property name",
            Place::Colon { .. } => "':'",
            Place::InString(_) => "the rest of the string",
            Place::InNumber(number) => number.phase.expected(),
            Place::InLiteral { .. } => "the rest of null, true or false",
            Place::After if self.top.as_ref().is_some_and(|top| matches!(top.members, Members::Object { .. })) => "',' or '}'",
            Place::After if self.top.is_some() => "',' or ']'",
            Place::After => "the end of the text",
        }
    }
}

fn keep(text: &mut Option<Arc<Vec<u8>>>, byte: u8) {
    if let Some(text) = text {
        Arc::make_mut(text).push(byte);
    }
}

fn refusal(failure: Failure) -> Refusal {
    match failure {
        Some((node, reason)) => Refusal::Schema(Some(node), reason),
        None => Refusal::Schema(None, Reason::Kind),
    }
}

/// The item that has just ended in an array of unique items, in canonical form.
fn unique_item(array: &Body, text: &[u8]) -> Option<String> {
    let Members::Array { items: Some((_, begin)), .. } = &array.members else { return None };
    let mut deserializer = serde_json::Deserializer::from_slice(&text[*begin..]);
    // The machine bounds the depth already.
    deserializer.disable_recursion_limit();
    let value = <Value as serde::Deserialize>::deserialize(&mut deserializer).expect("an item that has ended is a JSON value");
    let mut canonical = String::new();
    write_canonical(&value, &mut canonical);
    Some(canonical)
}

/// Equal values, and only those, are written alike: numbers by value, properties by name.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => match Decimal::parse(&number.to_string()) {
            Some(number) => *out += &format!("{number:?}"),
            None => *out += &number.to_string(),
        },
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            out.push('{');
            for name in names {
                *out += &format!("{name:?}:");
                write_canonical(&members[name], out);
                out.push(',');
            }
            out.push('}');
        }
        scalar => *out += &scalar.to_string(),
    }
}
