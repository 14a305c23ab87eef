//! The byte automaton: JSON as RFC 8259 has it, strict, with the schema's verdicts at every turn.
//!
//! Each byte either continues a scalar, moves between the members of a container, or is white space.
//! Where a value begins, a member's name or a scalar goes on, or a value ends, something may newly fail;
//! then, and only then, it is asked whether the document can still be completed. Names and scalars that
//! go on are asked about once for all the bytes that came together ([`JsonSchema::take`]).

use super::JsonSchema;
use super::container::{ArrayMembers, Body, Container, Members, ObjectMembers};
use super::expected::{ExpectedId, Meaning};
use super::node::Kind;
use super::open_number::{OpenNumber, Phase};
use super::open_string::OpenString;
use super::plan::{Verdict, Verdicts};
use super::refusal::{NO_DEEPER, Refusal};
use super::survival::kind_refusal;
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

    /// Whether bytes are plain text in a string or name that may be any: nothing has to be looked at.
    pub(super) fn is_more_of_the_same(&self, state: &JsonState, bytes: &[u8]) -> bool {
        let is_free = match &state.place {
            Place::InString(string) => string.is_free() && string.inside == Inside::Between,
            Place::InName { inside: Inside::Between, .. } => state.top().is_none_or(|top| !self.judges_names(top)),
            _ => false,
        };
        is_free && bytes.iter().all(|byte| is_plain(*byte))
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
                let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
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
            Place::InName { name, inside } => state.top.as_ref().map_or(Ok(()), |top| self.name_survives(top, name, *inside)),
            Place::Name { or_end: false } => state.top.as_ref().map_or(Ok(()), |top| self.name_survives(top, &[], Inside::Between)),
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
            Phase::Exponent if self.options.plain_numbers => return Err(Refusal::Json("a number without an exponent")),
            // The interval of what the digits so far can become is asked for before they end: afterwards it
            // may be seen less sharply.
            Phase::Exponent | Phase::Point => number.judge_prefix(self),
            _ => None,
        };
        number.push(phase, byte);
        if !self.options.plain_numbers {
            return self.scalar_survives(state, failure);
        }
        // Where no exponent can move it, the point tells more.
        let after = if phase == Phase::Point { number.judge_prefix(self) } else { None };
        self.scalar_survives(state, failure.or(after))?;
        self.is_written_plainly(state)
    }

    /// Whether the number in progress keeps to the plain way to write numbers.
    fn is_written_plainly(&self, state: &JsonState) -> Step {
        let Place::InNumber(number) = &state.place else { return Ok(()) };
        let needed = number.digits_needed();
        Err(Refusal::Json(match number.phase {
            _ if number.digits + needed > self.most_digits => "no further digit, as numbers are written plainly",
            Phase::Point if self.must_be_whole(state, number) => "a whole number, without a decimal point",
            Phase::Zero if number.is_minus_zero() && self.must_be_whole(state, number) => "a digit other than 0, as zero has no minus",
            _ => return Ok(()),
        }))
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
            Kind::Number => Place::InNumber(OpenNumber::new(self, expected, own, byte, recorded)),
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
        let deep = self.fail_too_deep(state.top(), plan, kind, &mut own);
        let fails = |root: u16| {
            let entry = plan.roots[usize::from(root)];
            deep.as_ref().map_or_else(|| plan.verdict_by_kind(entry, kind), |verdicts| verdicts[usize::from(entry)]) == Verdict::Fails
        };
        let refusal = |root: u16| match plan.verdict_by_kind(plan.roots[usize::from(root)], kind) {
            Verdict::Fails => kind_refusal(plan, root, kind),
            _ => Refusal::Json(NO_DEEPER),
        };
        let Some(top) = &state.top else {
            return if fails(0) { Err(refusal(0)) } else { Ok((id, own)) };
        };
        let mut failing: SmallVec<[u16; 8]> = SmallVec::new();
        let (mut live, mut any_live, mut failed_root) = (0u64, false, None);
        for link in expected.links.iter().filter(|link| top.is_open(link.entry)) {
            any_live = true;
            live |= 1u64.checked_shl(u32::from(link.root)).unwrap_or(0);
            if link.meaning == Meaning::Must && fails(link.root) {
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
            Some(root) if !self.survives(top, &failing) => Err(refusal(root)),
            _ => Ok((id, own)),
        }
    }

    fn open(&self, state: &mut JsonState, expected: ExpectedId, own: Verdicts, kind: Kind, recorded: bool) -> Step {
        let depth = state.top.as_ref().map_or(0, |top| top.depth) + 1;
        if depth > self.options.max_depth {
            return Err(Refusal::Json(NO_DEEPER));
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
}

/// Whether a byte within quotes is a whole character that stands as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7F) && !matches!(byte, b'"' | b'\\')
}
