//! The byte automaton: JSON as RFC 8259 has it, strict, with the schema's verdicts at every turn.
//!
//! Each byte either continues a scalar, moves between the members of a container, or is white space.
//! Where a value begins, a member's name or a scalar goes on, or a value ends, something may newly fail;
//! then, and only then, it is asked whether the document can still be completed. Names and scalars that
//! go on are asked about once for all the bytes that came together ([`JsonSchema::take`]).

use super::JsonSchema;
use super::container::{ArrayMembers, Body, Container, Members, ObjectMembers};
use super::expected::{ExpectedId, Meaning};
use super::node::{Kind, NodeId};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::{Reason, Refusal};
use super::scalar::{Failure, OpenNumber, OpenString, Phase};
use super::text::{self, Decoded, Inside};
use super::value::{Recorded, Value};
use smallvec::SmallVec;
use std::sync::Arc;

/// Where in a JSON text, and in its schema, a text stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonState {
    pub(super) place: Place,
    /// The innermost open object or array.
    pub(super) top: Option<Arc<Container>>,
    /// The length of the run of white space that the text ends in.
    pub(super) whitespace: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Before a value; with `or_end`, the array may end instead.
    Value {
        expected: ExpectedId,
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
        expected: ExpectedId,
    },
    InString(OpenString),
    InNumber(OpenNumber),
    /// In `null`, `true` or `false`: what is missing.
    InLiteral {
        kind: Kind,
        missing: &'static [u8],
        expected: ExpectedId,
        own: Verdicts,
    },
    /// After a value.
    After,
}

pub(super) type Step = Result<(), Refusal>;

impl JsonSchema {
    pub(super) fn start_state(&self) -> JsonState {
        JsonState { place: Place::Value { expected: self.root, or_end: false }, top: None, whitespace: 0 }
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

    /// Takes bytes that come together.
    ///
    /// # Errors
    /// Where they cannot come. The state is then of no use.
    pub(super) fn take(&self, state: &mut JsonState, bytes: &[u8]) -> Step {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if let Place::InString(string) = &state.place
                && string.is_free()
                && string.inside == Inside::Between
            {
                let plain = rest.iter().take_while(|byte| matches!(byte, 0x20..=0x7F) && !matches!(byte, b'"' | b'\\')).count();
                if plain > 0 {
                    rest = &rest[plain..];
                    continue;
                }
            }
            self.step(state, *byte)?;
            rest = after;
        }
        self.settle(state)
    }

    /// Asks about the name or scalar that the bytes taken last have left open.
    fn settle(&self, state: &mut JsonState) -> Step {
        match &mut state.place {
            Place::InString(string) if !string.is_free() => {
                let failure = string.judge_prefix(self);
                if string.is_too_long(self) {
                    return Err(Refusal::Json("a shorter string, as the options limit it"));
                }
                self.scalar_survives(state, failure)
            }
            Place::InNumber(number) => {
                let failure = number.judge_prefix(self);
                self.scalar_survives(state, failure)
            }
            Place::InName { name, .. } => {
                let Some(top) = &state.top else { return Ok(()) };
                self.name_survives(top, name)
            }
            Place::Name { or_end: false } => {
                let Some(top) = &state.top else { return Ok(()) };
                self.name_survives(top, &[])
            }
            _ => Ok(()),
        }
    }

    /// Takes one byte, and leaves open what [`JsonSchema::settle`] asks.
    fn step(&self, state: &mut JsonState, byte: u8) -> Step {
        match &mut state.place {
            Place::InString(string) => {
                let (inside, decoded) = text::step(string.inside, byte, self.options.canonical_escapes).map_err(Refusal::Json)?;
                string.inside = inside;
                match decoded {
                    Decoded::End => return self.end_string(state),
                    Decoded::Nothing => {}
                    Decoded::Byte(byte) => string.push(self, &[byte]),
                    Decoded::Character(character) => string.push(self, character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                Ok(())
            }
            Place::InName { inside, name } => {
                let (next, decoded) = text::step(*inside, byte, self.options.canonical_escapes).map_err(Refusal::Json)?;
                *inside = next;
                match decoded {
                    Decoded::End => return self.end_name(state),
                    Decoded::Nothing => {}
                    Decoded::Byte(byte) => name.push(byte),
                    Decoded::Character(character) => name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                Ok(())
            }
            Place::InNumber(number) => match number.phase.next(byte) {
                Some(phase) => self.number_goes_on(state, phase, byte),
                None if number.phase.is_complete() && matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') => {
                    let number = number.clone();
                    self.end_number(state, number)?;
                    self.step(state, byte)
                }
                None => Err(Refusal::Json(number.phase.expected())),
            },
            Place::InLiteral { missing, .. } => {
                let Some((first, rest)) = missing.split_first() else { return Err(Refusal::Json("the end of the literal")) };
                if *first != byte {
                    return Err(Refusal::Json("the rest of null, true or false"));
                }
                *missing = rest;
                if !rest.is_empty() {
                    return Ok(());
                }
                let Place::InLiteral { kind, expected, own, .. } = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
                self.end_value(state, expected, own, None, Some(Value::literal(kind)))
            }
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => self.space(state, byte),
            _ => {
                self.end_space(state, byte)?;
                state.whitespace = 0;
                self.step_between(state, byte)
            }
        }
    }

    fn number_goes_on(&self, state: &mut JsonState, phase: Phase, byte: u8) -> Step {
        let Place::InNumber(number) = &mut state.place else { return Ok(()) };
        let failure = match phase {
            Phase::Exponent if !self.options.exponents => return Err(Refusal::Json("a number without an exponent")),
            // The interval of what the digits so far can become is asked for before they end: afterwards it
            // may be seen less sharply.
            Phase::Exponent | Phase::Point => number.judge_prefix(self),
            _ => None,
        };
        number.push(phase, byte);
        self.scalar_survives(state, failure)
    }

    /// A byte that is no white space, outside scalars and names.
    fn step_between(&self, state: &mut JsonState, byte: u8) -> Step {
        match std::mem::replace(&mut state.place, Place::After) {
            Place::Value { or_end: true, .. } if byte == b']' => self.close(state),
            Place::Value { expected, or_end } => self.begin_value(state, expected, byte, or_end),
            Place::Name { .. } if byte == b'"' => {
                self.property_fits(state)?;
                state.place = Place::InName { inside: Inside::Between, name: SmallVec::new() };
                Ok(())
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
        let Some(top) = &state.top else { return Err(Refusal::Json("the end of the text")) };
        match (byte, top.array()) {
            (b'}', None) | (b']', Some(_)) => self.close(state),
            (b',', None) => {
                self.property_fits(state)?;
                state.place = Place::Name { or_end: false };
                Ok(())
            }
            (b',', Some(_)) => {
                let expected = self.expected_item(top);
                self.item_begins(state)?;
                state.place = Place::Value { expected, or_end: false };
                Ok(())
            }
            (_, None) => Err(Refusal::Json("',' or '}'")),
            (_, Some(_)) => Err(Refusal::Json("',' or ']'")),
        }
    }

    fn begin_value(&self, state: &mut JsonState, expected: ExpectedId, byte: u8, or_end: bool) -> Step {
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
        if or_end {
            self.item_begins(state)?;
        }
        let (expected, own) = self.own_verdicts(state, expected, kind)?;
        let recorded = state.top.as_ref().is_some_and(|top| top.recorded.is_some());
        state.place = match kind {
            Kind::Null => Place::InLiteral { kind, missing: b"ull", expected, own },
            Kind::True => Place::InLiteral { kind, missing: b"rue", expected, own },
            Kind::False => Place::InLiteral { kind, missing: b"alse", expected, own },
            Kind::String => Place::InString(OpenString::new(self, expected, own, recorded)),
            Kind::Number => Place::InNumber(OpenNumber::new(expected, own, byte, recorded)),
            Kind::Array | Kind::Object => return self.open(state, expected, own, kind, recorded),
        };
        Ok(())
    }

    /// The verdicts on a value that begins, as far as its kind tells; nothing is expected any more where
    /// all that ask for it have failed.
    fn own_verdicts(&self, state: &mut JsonState, id: ExpectedId, kind: Kind) -> Result<(ExpectedId, Verdicts), Refusal> {
        let expected = self.expected(id);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return Ok((id, Verdicts::new())) };
        let mut own = plan.own_verdicts(kind).clone();
        let Some(top) = &state.top else {
            return match plan.verdict_by_kind(plan.roots[0], kind) {
                Verdict::Fails => Err(kind_refusal(plan, 0, kind)),
                _ => Ok((id, own)),
            };
        };
        let mut failing: SmallVec<[u16; 8]> = SmallVec::new();
        let (mut live, mut any_live, mut failed_root) = (0u64, false, None);
        for link in expected.links.iter().filter(|link| top.is_open(link.entry)) {
            any_live = true;
            live |= 1u64.checked_shl(u32::from(link.root)).unwrap_or(0);
            if link.meaning == Meaning::Must && plan.verdict_by_kind(plan.roots[usize::from(link.root)], kind) == Verdict::Fails {
                failing.push(link.entry);
                failed_root.get_or_insert(link.root);
            }
        }
        if !any_live {
            return Ok((ExpectedId::NOTHING, Verdicts::new()));
        }
        if live.count_ones() < plan.roots.len() as u32 {
            plan.forget(&mut own, live);
        }
        match failed_root {
            Some(root) if !self.survives(top, &failing) => Err(kind_refusal(plan, root, kind)),
            _ => Ok((id, own)),
        }
    }

    fn open(&self, state: &mut JsonState, expected: ExpectedId, own: Verdicts, kind: Kind, recorded: bool) -> Step {
        let depth = state.top.as_ref().map_or(0, |top| top.depth) + 1;
        if depth > self.options.max_depth {
            return Err(Refusal::Json("no deeper nesting"));
        }
        let mut body = Body {
            parent: state.top.take(),
            expected,
            own,
            members: Members::Object(ObjectMembers::default()),
            recorded: recorded.then(|| Recorded::new(true)),
            depth,
        };
        if kind == Kind::Object {
            state.place = Place::Name { or_end: true };
        } else {
            body.members = Members::Array(ArrayMembers::default());
            let plan = self.plan_around(&body);
            if !recorded && plan.is_some_and(|plan| self.array_plan(plan).unique) {
                body.recorded = Some(Recorded::new(false));
            }
            state.place = Place::Value { expected: self.expected_item(&body), or_end: true };
        }
        state.top = Some(Arc::new(Container::new(body)));
        Ok(())
    }

    /// Closes the innermost container.
    fn close(&self, state: &mut JsonState) -> Step {
        let Some(top) = state.top.take() else { return Err(Refusal::Json("a value")) };
        let (verdicts, refused) = self.final_verdicts(&top);
        state.top = top.parent.clone();
        state.place = Place::After;
        let wanted = state.top.as_ref().is_some_and(|around| around.recorded.is_some());
        let value = top.recorded.clone().filter(|_| wanted).map(|members| Value::container(members, top.is_object()));
        self.decided(state, top.expected, &verdicts, value).map_err(|duplicate| match (duplicate, refused) {
            (Some(node), _) => Refusal::Schema(Some(node), Reason::UniqueItems),
            (None, Some((node, reason))) => Refusal::Schema(Some(node), reason),
            (None, None) => Refusal::Schema(None, Reason::Kind),
        })
    }

    fn end_string(&self, state: &mut JsonState) -> Step {
        let Place::InString(mut string) = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
        if string.is_too_long(self) {
            return Err(Refusal::Json("a shorter string, as the options limit it"));
        }
        let failure = string.finish(self);
        let value = string.value();
        self.end_value(state, string.expected, string.own, failure, value)
    }

    fn end_number(&self, state: &mut JsonState, mut number: OpenNumber) -> Step {
        state.place = Place::After;
        state.whitespace = 0;
        let (failure, value) = number.finish(self);
        self.end_value(state, number.expected, number.own, failure, value)
    }

    /// A property's name has ended.
    fn end_name(&self, state: &mut JsonState) -> Step {
        let Place::InName { name, .. } = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
        let Some(top) = &mut state.top else { return Ok(()) };
        let name: Arc<str> = String::from_utf8_lossy(&name).into();
        if top.has_seen(&name) {
            return Err(Refusal::Duplicate(name));
        }
        if self.options.declared_order && !self.keeps_order(top, &name) {
            return Err(Refusal::Json("properties in the order of the schema, as the options want them"));
        }
        let id = self.expected_property(top, &name);
        let expected = self.expected(id);
        let mut failing = self.failing_by_name(top, name.as_bytes(), true);
        if self.options.declared_order {
            failing.extend(self.failing_by_order(top, &name));
        }
        let impossible = expected.impossible.iter().filter(|entry| top.is_open(**entry));
        failing.extend(impossible.map(|entry| (*entry, Reason::Forbidden(name.clone()))));
        let entries: SmallVec<[u16; 8]> = failing.iter().map(|(entry, _)| *entry).collect();
        let pending = expected.has(Meaning::Unevaluated).then(|| name.clone());
        Container::edit(top, |body| {
            body.fail(&entries);
            if let Members::Object(object) = &mut body.members {
                object.seen.insert(name.clone());
                object.current.0 = Some(name);
                object.pending = pending;
            }
        });
        // What depends on the property's being there may fail by it.
        if self.presence_matters(top) || !failing.is_empty() {
            self.survives_or(top, &failing)?;
        }
        state.place = Place::Colon { expected: id };
        Ok(())
    }

    /// Whether a verdict may change by a property's being there.
    fn presence_matters(&self, object: &Body) -> bool {
        self.plan_around(object).is_some_and(|plan| self.object_plan(plan).presence_matters)
    }

    /// A scalar has ended, with these verdicts of its entries' own rules.
    fn end_value(&self, state: &mut JsonState, expected: ExpectedId, mut own: Verdicts, failure: Failure, value: Option<Value>) -> Step {
        if let Some(plan) = self.expected(expected).plan {
            self.plan(plan).combine(&mut own, |_| Verdict::Fails, |_, _| true);
        }
        self.decided(state, expected, &own, value).map_err(|duplicate| match duplicate {
            Some(node) => Refusal::Schema(Some(node), Reason::UniqueItems),
            None => refusal(failure),
        })
    }

    /// A value has ended, its verdicts are decided: tells the container around it. `state.top` is that.
    ///
    /// # Errors
    /// If the document cannot be completed; with the node that wants unique items, where that is why.
    fn decided(&self, state: &mut JsonState, id: ExpectedId, verdicts: &Verdicts, value: Option<Value>) -> Result<(), Option<NodeId>> {
        let expected = self.expected(id);
        let plan = expected.plan.map(|plan| self.plan(plan));
        let holds = |root: u16| plan.is_some_and(|plan| verdicts[usize::from(plan.roots[usize::from(root)])] == Verdict::Holds);
        let Some(top) = &mut state.top else {
            return if plan.is_some() && !holds(0) { Err(None) } else { Ok(()) };
        };
        let around = self.plan_around(top);
        let mut failed: SmallVec<[u16; 4]> = SmallVec::new();
        let mut duplicate = None;
        for link in expected.links.iter().filter(|link| top.is_open(link.entry)) {
            if link.meaning == Meaning::Must && !holds(link.root) {
                failed.push(link.entry);
            }
        }
        if let (Some(recorded), Some(value), Some(plan)) = (&top.recorded, &value, around)
            && !top.is_object()
            && recorded.contains(value)
        {
            for (at, _) in self.open_entries(top).filter(|(_, node)| node.arrays.unique) {
                failed.push(at);
                duplicate = Some(plan.entries[usize::from(at)].node);
            }
        }
        // Most often nothing is to be noted of a property.
        let noted = expected.has(Meaning::Unevaluated) || top.recorded.is_some() || !failed.is_empty();
        if top.is_object() && !noted {
            return Ok(());
        }
        let array = around.filter(|_| !top.is_object()).map(|plan| self.array_plan(plan));
        Container::edit(top, |body| {
            let name = match &mut body.members {
                Members::Object(object) => {
                    let name = object.pending.take();
                    for link in expected.links.iter().filter(|link| link.meaning == Meaning::Unevaluated && !holds(link.root)) {
                        object.unevaluated.extend(name.clone().map(|name| (link.entry, name)));
                    }
                    object.current.0.clone()
                }
                Members::Array(items) => {
                    for link in expected.links.iter() {
                        match link.meaning {
                            Meaning::Contains if holds(link.root) => {
                                if array.is_some_and(|array| array.notes_matches) {
                                    items.matched.push((link.entry, items.count));
                                }
                                self.count_match(body.expected, items, link.entry);
                            }
                            Meaning::Unevaluated if !holds(link.root) => items.unevaluated.push((link.entry, items.count)),
                            _ => {}
                        }
                    }
                    items.index.0 += 1;
                    let cap = array.map_or(self.options.max_items.unwrap_or(0), |array| array.count_cap);
                    items.count = (items.count + 1).min(cap);
                    None
                }
            };
            if let (Some(recorded), Some(value)) = (&mut body.recorded, value) {
                recorded.push(name, value);
            }
            let past = self.past_contains(body);
            failed.extend(past.into_iter().filter(|entry| body.is_open(*entry)));
            body.fail(&failed);
        });
        if failed.is_empty() || self.survives(top, &[]) { Ok(()) } else { Err(duplicate) }
    }

    /// Counts an item that matches `contains`, no further than its limits tell.
    fn count_match(&self, array: ExpectedId, items: &mut ArrayMembers, entry: u16) {
        let Some(plan) = self.expected(array).plan.map(|plan| self.plan(plan)) else { return };
        let Some(contains) = &self.node(plan.entries[usize::from(entry)].node).arrays.contains else { return };
        let cap = contains.min.max(contains.max.map_or(0, |max| max.saturating_add(1)));
        match items.contained.iter_mut().find(|(other, _)| *other == entry) {
            Some((_, count)) => *count = (*count + 1).min(cap),
            None => items.contained.push((entry, 1.min(cap))),
        }
    }

    /// The open entries whose `maxContains` is passed.
    fn past_contains(&self, array: &Body) -> SmallVec<[u16; 1]> {
        let Some(items) = array.array().filter(|items| !items.contained.is_empty()) else { return SmallVec::new() };
        let past = self.open_entries(array).filter(|(at, node)| {
            let max = node.arrays.contains.and_then(|contains| contains.max);
            max.is_some_and(|max| items.contained.iter().any(|(entry, count)| entry == at && *count > max))
        });
        past.map(|(at, _)| at).collect()
    }

    /// After an entry of the scalar in progress has failed: whether the document can be completed.
    fn scalar_survives(&self, state: &JsonState, failure: Failure) -> Step {
        if failure.is_none() {
            return Ok(());
        }
        let (expected, own) = match &state.place {
            Place::InString(string) => (string.expected, &string.own),
            Place::InNumber(number) => (number.expected, &number.own),
            _ => return Ok(()),
        };
        let expected = self.expected(expected);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return Ok(()) };
        let mut verdicts = own.clone();
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        match self.survives_roots(state.top.as_deref(), expected, plan, &verdicts) {
            true => Ok(()),
            false => Err(refusal(failure)),
        }
    }

    /// A further item begins in the innermost array, or must: whatever its value, some entries may fail.
    fn item_begins(&self, state: &mut JsonState) -> Step {
        let Some(top) = &mut state.top else { return Ok(()) };
        let Some(items) = top.array() else { return Ok(()) };
        if self.options.max_items.is_some_and(|max| items.count >= max) {
            return Err(Refusal::Json("no further item, as the options limit them"));
        }
        let mut failing: SmallVec<[(u16, Reason); 2]> = SmallVec::new();
        for (at, node) in self.open_entries(top) {
            if node.arrays.max_items.is_some_and(|max| items.count >= max) {
                failing.push((at, Reason::MaxItems));
            }
        }
        let impossible = self.expected(self.expected_item(top)).impossible.iter().filter(|entry| top.is_open(**entry));
        failing.extend(impossible.map(|entry| (*entry, Reason::NoItem)));
        if failing.is_empty() {
            return Ok(());
        }
        self.survives_or(top, &failing)?;
        Container::edit(top, |body| failing.iter().for_each(|(entry, _)| body.fail(&[*entry])));
        Ok(())
    }

    /// Whether the options leave room for a further property.
    fn property_fits(&self, state: &JsonState) -> Step {
        let seen = state.top.as_ref().and_then(|top| top.object()).map_or(0, |object| object.seen.len() as u64);
        match self.options.max_properties.is_some_and(|max| seen >= max) {
            true => Err(Refusal::Json("no further property, as the options limit them")),
            false => Ok(()),
        }
    }

    /// Whether the document could be completed if this entry of an open string failed.
    pub(super) fn survives_without(&self, state: &JsonState, string: &OpenString, failing: usize) -> bool {
        let expected = self.expected(string.expected);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return true };
        let mut verdicts = string.own.clone();
        verdicts[failing] = Verdict::Fails;
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        self.survives_roots(state.top.as_deref(), expected, plan, &verdicts)
    }

    /// Whether some property with a name that begins so may come.
    fn name_survives(&self, object: &Body, name: &[u8]) -> Step {
        let failing = self.failing_by_name(object, name, false);
        if failing.is_empty() { Ok(()) } else { self.survives_or(object, &failing) }
    }

    /// Whether the document survives that these entries of a container fail, with the first as the reason.
    fn survives_or(&self, container: &Body, failing: &[(u16, Reason)]) -> Step {
        let entries: SmallVec<[u16; 8]> = failing.iter().map(|(entry, _)| *entry).collect();
        if self.survives(container, &entries) {
            return Ok(());
        }
        let first =
            failing.first().and_then(|(entry, reason)| Some((self.plan_around(container)?.entries[usize::from(*entry)].node, reason)));
        Err(match first {
            Some((node, reason)) => Refusal::Schema(Some(node), reason.clone()),
            None => Refusal::Schema(None, Reason::AdditionalProperties),
        })
    }
}

/// The refusal of a value by its kind: by a node that must hold, or else by all that a root applies.
fn kind_refusal(plan: &Plan, root: u16, kind: Kind) -> Refusal {
    let root = plan.roots[usize::from(root)];
    let mut needed = vec![root];
    while let Some(entry) = needed.pop() {
        if plan.own_verdicts(kind)[usize::from(entry)] == Verdict::Fails {
            return Refusal::Schema(Some(plan.entries[usize::from(entry)].node), Reason::Kind);
        }
        needed.extend(plan.entries[usize::from(entry)].all.iter().rev());
    }
    let possible = Kind::ALL.into_iter().filter(|kind| plan.verdict_by_kind(root, *kind) != Verdict::Fails);
    Refusal::Kinds(plan.entries[usize::from(root)].node, possible.fold(0, |bits, kind| bits | kind.bit()))
}

fn refusal(failure: Failure) -> Refusal {
    match failure {
        Some((node, reason)) => Refusal::Schema(Some(node), reason),
        None => Refusal::Schema(None, Reason::Kind),
    }
}
