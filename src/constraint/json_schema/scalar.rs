//! Strings and numbers while they are written, and what the nodes think of them so far.

use super::JsonSchema;
use super::container::Expected;
use super::decimal::Decimal;
use super::node::{Kind, Node, NodeId};
use super::number::{Bound, NumberRules};
use super::plan::{Verdict, Verdicts};
use super::refusal::Reason;
use super::strings::{Limit, TextAutomaton};
use super::text::Inside;
use crate::constraint::RegexState;
use smallvec::SmallVec;

/// A string that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenString {
    pub(super) inside: Inside,
    pub(super) expected: Expected,
    pub(super) own: Verdicts,
    /// The states of the patterns of the entries with open rules, in their order; `None`: it is dead.
    automata: SmallVec<[Option<RegexState>; 2]>,
    /// The text so far, where a list of strings is open, or a rule that is judged at the end.
    text: Option<SmallVec<[u8; 16]>>,
    /// In code points, where a limit is open; no further than any limit reaches.
    length: u64,
}

/// A number that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenNumber {
    pub(super) phase: Phase,
    pub(super) expected: Expected,
    pub(super) own: Verdicts,
    /// The text so far, where any rule is open.
    text: Option<SmallVec<[u8; 16]>>,
}

/// Where in the spelling of a number it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Phase {
    pub(super) fn first(byte: u8) -> Self {
        match byte {
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            _ => Self::Whole,
        }
    }

    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits)
    }

    /// The phase after one more byte of the number; `None` where the byte is none of it.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Minus | Self::Point | Self::ExponentSign => "a digit",
            Self::Exponent => "a digit or the sign of the exponent",
            Self::Zero => "a decimal point or the end of the number",
            _ => "a digit or the end of the number",
        }
    }
}

/// An entry's rule that has just failed.
pub(super) type Failure = Option<(NodeId, Reason)>;

impl OpenString {
    pub(super) fn new(schema: &JsonSchema, expected: Expected, own: Verdicts) -> Self {
        let mut string = Self { inside: Inside::Between, expected, own, automata: SmallVec::new(), text: None, length: 0 };
        let (mut automata, mut text) = (SmallVec::new(), None);
        for (_, node) in string.open_entries(schema) {
            automata.extend(node.strings.automata().iter().map(|automaton| Some(automaton.start())));
            if node.enumeration.is_some() || node.strings.needs_text() {
                text = Some(SmallVec::new());
            }
        }
        (string.automata, string.text) = (automata, text);
        string
    }

    fn open_entries<'a>(&'a self, schema: &'a JsonSchema) -> impl Iterator<Item = (usize, &'a Node)> {
        open_entries(schema, &self.expected, &self.own)
    }

    /// Whether no rule is open: any text will do.
    pub(super) fn is_free(&self) -> bool {
        !self.own.contains(&Verdict::Open)
    }

    /// Takes bytes of the text: one as it stands, or those of a whole character. Tells of an entry that
    /// failed by it.
    pub(super) fn push(&mut self, schema: &JsonSchema, bytes: &[u8]) -> Failure {
        if self.is_free() {
            return None;
        }
        if let Some(text) = &mut self.text {
            text.extend_from_slice(bytes);
        }
        let begins = bytes[0] & 0xC0 != 0x80;
        let cap = self.open_entries(schema).map(|(_, node)| cap(node)).max().unwrap_or(0);
        if begins && self.length < cap {
            self.length += 1;
        }
        let mut automata = std::mem::take(&mut self.automata);
        let mut at = 0;
        let mut failures: SmallVec<[(usize, Reason); 2]> = SmallVec::new();
        // An entry that has failed keeps its place among the automata until the string ends.
        for (entry, node) in self.entries_with_automata(schema) {
            let states = &mut automata[at..at + node.strings.automata().len()];
            at += states.len();
            if self.own[entry] != Verdict::Open {
                continue;
            }
            for (state, automaton) in states.iter_mut().zip(node.strings.automata()) {
                *state = state.and_then(|state| automaton.advance(state, bytes));
            }
            if let Some(reason) = self.prefix_reason(node, states) {
                failures.push((entry, reason));
            }
        }
        self.automata = automata;
        self.fail(failures)
    }

    /// Tells of an entry that fails because a character must follow, and none can.
    pub(super) fn must_go_on(&mut self, schema: &JsonSchema) -> Failure {
        let mut at = 0;
        let mut failures: SmallVec<[(usize, Reason); 2]> = SmallVec::new();
        for (entry, node) in self.entries_with_automata(schema) {
            let states = &self.automata[at..at + node.strings.automata().len()];
            at += states.len();
            if self.own[entry] != Verdict::Open {
                continue;
            }
            let stuck = |(state, automaton): (&Option<RegexState>, &TextAutomaton)| state.is_some_and(|state| automaton.is_stuck(state));
            if node.strings.max_length.is_some_and(|max| self.length >= max) {
                failures.push((entry, Reason::MaxLength));
            } else if let Some(at) = states.iter().zip(node.strings.automata()).position(stuck) {
                failures.push((entry, Reason::Text(at)));
            } else if let (Some(enumeration), Some(text)) = (&node.enumeration, &self.text)
                && !enumeration.strings.iter().any(|string| string.len() > text.len() && string.as_bytes().starts_with(text))
            {
                failures.push((entry, Reason::Enumeration));
            }
        }
        self.fail(failures)
    }

    /// Decides all verdicts: the string has ended.
    pub(super) fn finish(&mut self, schema: &JsonSchema) -> Failure {
        let mut at = 0;
        let mut failure = None;
        let mut own = self.own.clone();
        for (entry, node) in self.entries_with_automata(schema) {
            let states = &self.automata[at..at + node.strings.automata().len()];
            at += states.len();
            if self.own[entry] != Verdict::Open {
                continue;
            }
            let reason = self.prefix_reason(node, states).or_else(|| self.end_reason(node, states));
            own[entry] = reason.is_none().into();
            if let (Some(reason), None, Some(plan)) = (reason, &failure, &self.expected.plan) {
                failure = Some((plan.entries[entry].node, reason));
            }
        }
        self.own = own;
        failure
    }

    /// The entries that had open rules when the string began, as the automata are laid out.
    fn entries_with_automata<'a>(&'a self, schema: &'a JsonSchema) -> impl Iterator<Item = (usize, &'a Node)> {
        let entries = self.expected.plan.iter().flat_map(|plan| &plan.entries);
        let nodes = entries.map(|entry| schema.node(entry.node)).enumerate();
        nodes.filter(|(_, node)| node.allows_kind(Kind::String) && !node.holds_for(Kind::String))
    }

    fn prefix_reason(&self, node: &Node, states: &[Option<RegexState>]) -> Option<Reason> {
        if let Some(dead) = states.iter().position(Option::is_none) {
            return Some(Reason::Text(dead));
        }
        if node.strings.max_length.is_some_and(|max| self.length > max) {
            return Some(Reason::MaxLength);
        }
        let too_far = |(automaton, state): (_, &Option<RegexState>)| node.strings.length_refusal(automaton, (*state)?, self.length);
        match node.strings.automata().iter().zip(states).find_map(too_far) {
            Some(Limit::Min) => return Some(Reason::MinLength),
            Some(Limit::Max) => return Some(Reason::MaxLength),
            None => {}
        }
        match (&node.enumeration, &self.text) {
            (Some(enumeration), Some(text)) if !enumeration.has_prefix(text) => Some(Reason::Enumeration),
            _ => None,
        }
    }

    fn end_reason(&self, node: &Node, states: &[Option<RegexState>]) -> Option<Reason> {
        let goes_on = |(state, automaton): (&Option<RegexState>, &TextAutomaton)| !state.is_some_and(|state| automaton.may_end(state));
        if node.strings.min_length.is_some_and(|min| self.length < min) {
            return Some(Reason::MinLength);
        }
        if let Some(at) = states.iter().zip(node.strings.automata()).position(goes_on) {
            return Some(Reason::Text(at));
        }
        let text = self.text.as_ref().filter(|_| node.strings.needs_text());
        if let Some(rule) = text.and_then(|text| node.strings.refusal(std::str::from_utf8(text).ok()?)) {
            return Some(Reason::WholeText(rule));
        }
        match (&node.enumeration, &self.text) {
            (Some(enumeration), Some(text)) if !enumeration.has_string(text) => Some(Reason::Enumeration),
            _ => None,
        }
    }

    fn fail(&mut self, failures: SmallVec<[(usize, Reason); 2]>) -> Failure {
        let mut first = None;
        for (entry, reason) in failures {
            self.own[entry] = Verdict::Fails;
            if let (None, Some(plan)) = (&first, &self.expected.plan) {
                first = Some((plan.entries[entry].node, reason));
            }
        }
        first
    }
}

/// How far a string's length is counted: one past the last at which a limit can tell.
fn cap(node: &Node) -> u64 {
    let rules = &node.strings;
    rules.min_length.unwrap_or(0).max(rules.max_length.map_or(0, |max| max.saturating_add(1)))
}

impl OpenNumber {
    pub(super) fn new(expected: Expected, own: Verdicts, byte: u8) -> Self {
        let text = own.contains(&Verdict::Open).then(|| SmallVec::from_slice(&[byte]));
        Self { phase: Phase::first(byte), expected, own, text }
    }

    /// Takes one more byte, after which the number is in `phase`.
    pub(super) fn push(&mut self, phase: Phase, byte: u8) {
        self.phase = phase;
        if let Some(text) = &mut self.text {
            text.push(byte);
        }
    }

    /// Tells of an entry that fails by what is written so far.
    pub(super) fn judge_prefix(&mut self, schema: &JsonSchema) -> Failure {
        let text = self.text.take()?;
        let failure = {
            let text = std::str::from_utf8(&text).expect("numbers are written in ASCII");
            self.judge(schema, |node| number_prefix_reason(node, text, schema.options.exponents))
        };
        self.text = Some(text);
        failure
    }

    /// Decides all verdicts: the number has ended.
    pub(super) fn finish(&mut self, schema: &JsonSchema) -> Failure {
        let text = self.text.take()?;
        let value = std::str::from_utf8(&text).ok().and_then(Decimal::parse)?;
        let failure = self.judge(schema, |node| number_reason(node, &value));
        for own in &mut self.own {
            if *own == Verdict::Open {
                *own = Verdict::Holds;
            }
        }
        failure
    }

    fn judge(&mut self, schema: &JsonSchema, reason: impl Fn(&Node) -> Option<Reason>) -> Failure {
        let failing: SmallVec<[(usize, NodeId, Reason); 2]> = match &self.expected.plan {
            None => SmallVec::new(),
            Some(plan) => open_entries(schema, &self.expected, &self.own)
                .filter_map(|(entry, node)| Some((entry, plan.entries[entry].node, reason(node)?)))
                .collect(),
        };
        for (entry, ..) in &failing {
            self.own[*entry] = Verdict::Fails;
        }
        failing.into_iter().next().map(|(_, node, reason)| (node, reason))
    }
}

fn number_prefix_reason(node: &Node, text: &str, exponents: bool) -> Option<Reason> {
    let integer = node.types.integer;
    if integer && !exponents && text.split_once('.').is_some_and(|(_, decimals)| decimals.bytes().any(|digit| digit != b'0')) {
        return Some(Reason::Integer);
    }
    if !node.numbers.may_accept(text, integer, exponents) {
        return Some(Reason::Number);
    }
    let enumeration = node.enumeration.as_ref()?;
    let may_be = |value: &Decimal| {
        let bound = Some(Bound { value: value.clone(), exclusive: false });
        NumberRules { minimum: bound.clone(), maximum: bound, multiple_of: None }.may_accept(text, value.is_integer(), exponents)
    };
    (!enumeration.numbers.iter().any(may_be)).then_some(Reason::Enumeration)
}

fn number_reason(node: &Node, value: &Decimal) -> Option<Reason> {
    if node.types.integer && !value.is_integer() {
        return Some(Reason::Integer);
    }
    if !node.numbers.accepts(value) {
        let bounds = NumberRules { multiple_of: None, ..node.numbers.clone() };
        return Some(if bounds.accepts(value) { Reason::MultipleOf } else { Reason::Number });
    }
    let enumeration = node.enumeration.as_ref()?;
    (!enumeration.numbers.contains(value)).then_some(Reason::Enumeration)
}

fn open_entries<'a>(schema: &'a JsonSchema, expected: &'a Expected, own: &'a Verdicts) -> impl Iterator<Item = (usize, &'a Node)> {
    let entries = expected.plan.iter().flat_map(|plan| &plan.entries);
    entries.zip(own).enumerate().filter(|(_, (_, own))| **own == Verdict::Open).map(|(at, (entry, _))| (at, schema.node(entry.node)))
}

impl JsonSchema {
    /// Whether a string that begins so (or that is this, where `complete`) may satisfy the node.
    pub(super) fn may_be_string(&self, id: NodeId, text: &[u8], complete: bool) -> bool {
        let plan = self.plan(id);
        let expected = Expected { plan: Some(plan.clone()), ..Expected::default() };
        let own = plan.own_verdicts(&self.nodes, Kind::String);
        let mut string = OpenString::new(self, expected, own);
        for byte in text {
            string.push(self, &[*byte]);
        }
        if complete {
            string.finish(self);
        }
        let mut verdicts = string.own;
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        verdicts[usize::from(plan.roots[0])] != Verdict::Fails
    }
}
