//! A string while it is written, and what the nodes think of it so far.
//!
//! Rules are asked when bytes that came together have been taken, not at each of them: what has failed
//! for a prefix fails for every text that begins so, and asking late gives the same answer. Patterns are
//! followed byte by byte, since their automata must be.

use super::JsonSchema;
use super::container::Aside;
use super::escape::{Begun, Characters, Follows};
use super::expected::ExpectedId;
use super::node::{Kind, Node, NodeId};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::{Failure, Reason};
use super::strings::{Limit, StringRules, TextAutomaton};
use super::text::Inside;
use super::value::Value;
use crate::constraint::RegexState;
use smallvec::SmallVec;

/// A string that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenString {
    pub(super) inside: Inside,
    pub(super) expected: ExpectedId,
    pub(super) own: Verdicts,
    /// Whether any text will do and nobody wants to know it.
    free: bool,
    /// Whether the value is compared with others.
    recorded: bool,
    /// How far the length is counted: one past the last at which a limit can tell.
    length_cap: Aside<u64>,
    /// In code points.
    length: u64,
    /// The states of the patterns of the entries with open rules, in their order; `None`: it is dead.
    automata: SmallVec<[Option<RegexState>; 2]>,
    /// The text so far, where a list of strings is open, or a rule that is judged at the end, or the value
    /// is compared.
    text: Option<SmallVec<[u8; 16]>>,
}

impl OpenString {
    pub(super) fn new(schema: &JsonSchema, expected: ExpectedId, own: Verdicts, recorded: bool) -> Self {
        let mut string = Self {
            inside: Inside::Between,
            expected,
            own,
            free: false,
            recorded,
            length_cap: Aside(schema.options.max_string.map_or(0, |max| max.saturating_add(1))),
            length: 0,
            automata: SmallVec::new(),
            text: recorded.then(SmallVec::new),
        };
        if let Some(plan) = schema.expected(expected).plan {
            for (entry, node) in schema.string_entries(schema.plan(plan)) {
                string.automata.extend(node.strings.automata().iter().map(|automaton| Some(automaton.start())));
                if string.own[entry] == Verdict::Open {
                    string.length_cap.0 = string.length_cap.0.max(length_cap(node));
                    if node.enumeration.is_some() || node.strings.needs_text() {
                        string.text.get_or_insert_default();
                    }
                }
            }
        }
        string.free_if_decided(schema);
        string
    }

    /// Whether any text will do and nobody wants to know it.
    pub(super) fn is_free(&self) -> bool {
        self.free
    }

    fn free_if_decided(&mut self, schema: &JsonSchema) {
        if self.own.contains(&Verdict::Open) {
            return;
        }
        self.automata.clear();
        if !self.recorded {
            self.text = None;
        }
        if schema.options.max_string.is_none() {
            self.length = 0;
            self.free = !self.recorded;
        }
    }

    /// Takes bytes of the text: one as it stands, or those of a whole character.
    pub(super) fn push(&mut self, schema: &JsonSchema, bytes: &[u8]) {
        if self.free {
            return;
        }
        if let Some(text) = &mut self.text {
            text.extend_from_slice(bytes);
        }
        let begins = bytes[0] & 0xC0 != 0x80;
        if begins && self.length < self.length_cap.0 {
            self.length += 1;
        }
        if self.automata.is_empty() {
            return;
        }
        let Some(plan) = schema.expected(self.expected).plan else { return };
        let automata = schema.string_entries(schema.plan(plan)).flat_map(|(_, node)| node.strings.automata());
        for (state, automaton) in self.automata.iter_mut().zip(automata) {
            *state = state.and_then(|state| automaton.advance(state, bytes));
        }
    }

    /// Lets the entries fail that no text beginning so satisfies, and tells of the first; whether a limit
    /// of the options is passed is told by [`OpenString::is_too_long`].
    pub(super) fn judge_prefix(&mut self, schema: &JsonSchema) -> Failure {
        if self.free {
            return None;
        }
        let characters = self.inside.characters(schema.options.canonical_escapes);
        let failure = self.judge_begun(schema, characters.as_ref());
        self.free_if_decided(schema);
        failure
    }

    /// The same, where a text goes on with one of `characters`, if there are any.
    fn judge_begun(&mut self, schema: &JsonSchema, characters: Option<&Characters>) -> Failure {
        self.judge(schema, |string, node, states| {
            string.prefix_reason(node, states).or_else(|| string.escape_reason(node, states, characters?))
        })
    }

    /// Whether the string is longer than the options allow, or must become so.
    pub(super) fn is_too_long(&self, schema: &JsonSchema) -> bool {
        let begun = u64::from(!matches!(self.inside, Inside::Between | Inside::Utf8 { .. }));
        schema.options.max_string.is_some_and(|max| self.length + begun > max)
    }

    /// Decides all verdicts: the string has ended.
    pub(super) fn finish(&mut self, schema: &JsonSchema) -> Failure {
        if self.free {
            return None;
        }
        let failure =
            self.judge(schema, |string, node, states| string.prefix_reason(node, states).or_else(|| string.end_reason(node, states)));
        self.own.iter_mut().filter(|own| **own == Verdict::Open).for_each(|own| *own = Verdict::Holds);
        failure
    }

    /// The value, where it is compared with others.
    pub(super) fn value(&self) -> Option<Value> {
        self.text.as_ref().filter(|_| self.recorded).map(|text| Value::string(text))
    }

    fn judge(&mut self, schema: &JsonSchema, reason: impl Fn(&Self, &Node, &[Option<RegexState>]) -> Option<Reason>) -> Failure {
        let plan = schema.plan(schema.expected(self.expected).plan?);
        let mut failing: SmallVec<[(usize, Reason); 2]> = SmallVec::new();
        let mut at = 0;
        for (entry, node) in schema.string_entries(plan) {
            let end = at + node.strings.automata().len();
            if self.own[entry] == Verdict::Open
                && let Some(reason) = reason(self, node, &self.automata[at..end])
            {
                failing.push((entry, reason));
            }
            at = end;
        }
        for (entry, _) in &failing {
            self.own[*entry] = Verdict::Fails;
        }
        failing.into_iter().next().map(|(entry, reason)| (plan.entries[entry].node, reason))
    }

    /// The only rules that are still open (`None` inside: there are none), where the document does not survive
    /// their failing (`survives`) and they are but lengths and one automaton; and whether all texts that end
    /// then are the same to what follows.
    pub(super) fn only_rules<'a>(
        &self,
        schema: &'a JsonSchema,
        survives: impl Fn(usize) -> bool,
    ) -> Option<(Option<&'a StringRules>, bool)> {
        let mut only = None;
        for (entry, node) in self.open_entries(schema) {
            if only.is_some() || node.strings.automata().len() > 1 || node.enumeration.is_some() || survives(entry) {
                return None;
            }
            only = Some(&node.strings);
        }
        Some((only, !self.recorded))
    }

    fn open_entries<'a>(&self, schema: &'a JsonSchema) -> impl Iterator<Item = (usize, &'a Node)> {
        let plan = schema.expected(self.expected).plan.map(|plan| schema.plan(plan));
        let entries = plan.into_iter().flat_map(|plan| schema.string_entries(plan));
        entries.filter(|(entry, _)| self.own[*entry] == Verdict::Open)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn length_cap(&self) -> u64 {
        self.length_cap.0
    }

    /// The state of the only automaton of the entries that are open.
    pub(super) fn automaton(&self, schema: &JsonSchema) -> Option<RegexState> {
        let plan = schema.plan(schema.expected(self.expected).plan?);
        let mut states = self.automata.iter();
        let mut open = None;
        for (entry, node) in schema.string_entries(plan) {
            let own = states.by_ref().take(node.strings.automata().len()).last();
            if self.own[entry] == Verdict::Open {
                open = own.copied().flatten().or(open);
            }
        }
        open
    }

    /// The texts that the string may become, where they are listed.
    pub(super) fn possible_texts(&self, schema: &JsonSchema) -> Vec<String> {
        let (Some(plan), Some(text)) = (schema.expected(self.expected).plan, &self.text) else { return Vec::new() };
        let open = schema.string_entries(schema.plan(plan)).filter(|(entry, _)| self.own[*entry] == Verdict::Open);
        let listed = open.filter_map(|(_, node)| node.enumeration.as_ref()).flat_map(|enumeration| &enumeration.strings);
        listed.filter(|string| string.as_bytes().starts_with(text)).cloned().collect()
    }

    /// What is missing of the strings that it may become, where the document does not survive its being none of
    /// a list (`survives`).
    pub(super) fn missing_of_listed<'a>(&self, schema: &'a JsonSchema, survives: impl Fn(usize) -> bool) -> Option<Vec<&'a [u8]>> {
        let text = self.text.as_ref()?;
        let listed = self.open_entries(schema).filter_map(|(entry, node)| Some((entry, node.enumeration.as_ref()?)));
        let (_, enumeration) = listed.into_iter().find(|(entry, _)| !survives(*entry))?;
        Some(enumeration.strings.iter().filter_map(|string| string.as_bytes().strip_prefix(&text[..])).collect())
    }

    /// A lower bound on the bytes before the closing quote, by the rules of the entries that `counts`.
    pub(super) fn least_bytes(&self, schema: &JsonSchema, plan: &Plan, counts: impl Fn(usize) -> bool) -> u64 {
        let (mut at, mut least) = (0, 0);
        for (entry, node) in schema.string_entries(plan) {
            let states = self.automata.get(at..at + node.strings.automata().len()).unwrap_or_default();
            at += node.strings.automata().len();
            if !counts(entry) {
                continue;
            }
            least = least.max(node.strings.min_length.unwrap_or(0).saturating_sub(self.length));
            for (state, automaton) in states.iter().zip(node.strings.automata()) {
                least = least.max(state.map_or(0, |state| automaton.fewest_bytes(state)));
            }
            if let (Some(enumeration), Some(text)) = (&node.enumeration, &self.text) {
                least = least.max(enumeration.shortest_rest(text) as u64);
            }
        }
        least
    }

    /// Why none of the characters can follow.
    fn escape_reason(&self, node: &Node, states: &[Option<RegexState>], characters: &Characters) -> Option<Reason> {
        let rules = &node.strings;
        let refuses = |(state, automaton): (&Option<RegexState>, &TextAutomaton)| {
            state.is_some_and(|state| !rules.takes_one_of(characters, automaton, state, self.length))
        };
        if rules.max_length.is_some_and(|max| self.length >= max) {
            return Some(Reason::MaxLength);
        }
        if let Some(at) = states.iter().zip(rules.automata()).position(refuses) {
            return Some(Reason::Text(at));
        }
        match (&node.enumeration, &self.text) {
            (Some(enumeration), Some(text)) if !enumeration.goes_on(text, characters) => Some(Reason::Enumeration),
            _ => None,
        }
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
}

/// How far a string's length is counted: one past the last at which a limit can tell.
fn length_cap(node: &Node) -> u64 {
    let rules = &node.strings;
    rules.min_length.unwrap_or(0).max(rules.max_length.map_or(0, |max| max.saturating_add(1)))
}

impl JsonSchema {
    /// The entries of a plan with rules for strings, as the automata of a string are laid out.
    fn string_entries<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (usize, &'a Node)> {
        let entries = plan.entries.iter().zip(plan.own_verdicts(Kind::String)).enumerate();
        entries.filter(|(_, (_, own))| **own == Verdict::Open).map(|(at, (entry, _))| (at, self.node(entry.node)))
    }

    /// Whether a string that begins so may satisfy the node.
    pub(super) fn may_be_string(&self, id: NodeId, begun: Begun) -> bool {
        let expected = self.expected_alone(id);
        let Some(plan) = self.expected(expected).plan.map(|plan| self.plan(plan)) else { return true };
        let mut string = OpenString::new(self, expected, plan.own_verdicts(Kind::String).clone(), false);
        for byte in begun.text {
            string.push(self, &[*byte]);
        }
        match begun.follows {
            Follows::Nothing => string.finish(self),
            Follows::Anything => string.judge_begun(self, None),
            Follows::OneOf(characters) => string.judge_begun(self, Some(characters)),
        };
        let mut verdicts = string.own;
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        verdicts[usize::from(plan.roots[0])] != Verdict::Fails
    }
}
