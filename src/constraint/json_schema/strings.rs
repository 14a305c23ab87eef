//! What a schema asks of strings: patterns, formats and limits of length, together.
//!
//! Patterns and formats are automata over the text. Those of one schema object are joined to one where it
//! stays small, so that a prefix that satisfies each but not all is refused at once. Lengths are counted,
//! in code points, and held against how many of them each state of an automaton still needs and still can
//! take. What no automaton tells is checked when the string ends.

use super::escape::Characters;
use super::format::Format;
use super::pattern::Pattern;
use crate::constraint::automaton::{Problem, Remaining, StateMasks};
use crate::constraint::{Constraint, Regex, RegexState};
use std::sync::Arc;

/// Automata are joined up to this number of states.
const JOINT_STATES: usize = 2_048;

/// A rule for the text of a string.
#[derive(Clone, Debug)]
pub(super) enum TextRule {
    Pattern(Pattern),
    Format(&'static Format),
}

impl TextRule {
    fn automaton(&self) -> &Regex {
        match self {
            Self::Pattern(pattern) => pattern.automaton(),
            Self::Format(format) => format.automaton(),
        }
    }

    fn is_exact(&self) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_exact(),
            Self::Format(format) => format.is_exact(),
        }
    }

    fn confirms(&self, text: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.confirms(text),
            Self::Format(format) => format.confirms(text),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Pattern(pattern) => format!("a string that matches the pattern {:?}", pattern.source()),
            Self::Format(format) => format!("a string of the format {:?}", format.name),
        }
    }

    fn keyword(&self) -> &'static str {
        match self {
            Self::Pattern(_) => "pattern",
            Self::Format(_) => "format",
        }
    }
}

/// One automaton of one or several rules.
#[derive(Clone, Debug)]
pub(super) struct TextAutomaton {
    regex: Regex,
    /// By state; only where the length is limited.
    remaining: Arc<[Remaining]>,
    /// How many rules it joins.
    rules: usize,
}

impl TextAutomaton {
    pub(super) fn start(&self) -> RegexState {
        self.regex.start()
    }

    pub(super) fn advance(&self, state: RegexState, bytes: &[u8]) -> Option<RegexState> {
        self.regex.advance(&state, bytes)
    }

    pub(super) fn masks(&self) -> &StateMasks {
        self.regex.masks()
    }

    pub(super) fn next(&self, state: RegexState, byte: u8) -> Option<RegexState> {
        self.regex.next(state, byte)
    }

    pub(super) fn may_end(&self, state: RegexState) -> bool {
        self.regex.may_end(&state)
    }

    /// The fewest bytes from `state` to the end of a text.
    pub(super) fn fewest_bytes(&self, state: RegexState) -> u64 {
        self.regex.closing_cost(&state).unwrap_or(0) as u64
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct StringRules {
    /// In code points.
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    rules: Vec<TextRule>,
    automata: Vec<TextAutomaton>,
}

impl StringRules {
    pub(super) fn is_empty(&self) -> bool {
        self.min_length.is_none() && self.max_length.is_none() && self.rules.is_empty()
    }

    pub(super) fn add(&mut self, rule: TextRule) {
        self.rules.push(rule);
    }

    /// Makes the automata, once all rules are there. False where no text satisfies the rules together, as
    /// far as that can be told.
    pub(super) fn join(&mut self) -> bool {
        let mut joined: Vec<(Regex, usize)> = Vec::new();
        for rule in &self.rules {
            let regex = rule.automaton();
            match joined.last_mut().map(|(last, count)| (last.intersection(regex, JOINT_STATES), last, count)) {
                Some((Ok(both), last, count)) => (*last, *count) = (both, *count + 1),
                Some((Err(Problem::NoText), ..)) => return false,
                Some((Err(Problem::TooLarge), ..)) | None => joined.push((regex.clone(), 1)),
            }
        }
        let limited = self.min_length.is_some() || self.max_length.is_some();
        self.automata = joined
            .into_iter()
            .map(|(regex, rules)| {
                let remaining = if limited { regex.remaining().into() } else { Arc::default() };
                TextAutomaton { regex, remaining, rules }
            })
            .collect();
        let contradictory = self.min_length > self.max_length && self.max_length.is_some();
        !contradictory && self.automata.iter().all(|automaton| self.length_refusal(automaton, automaton.start(), 0).is_none())
    }

    pub(super) fn automata(&self) -> &[TextAutomaton] {
        &self.automata
    }

    /// Whether the verdict on a whole string needs its text.
    pub(super) fn needs_text(&self) -> bool {
        !self.rules.iter().all(TextRule::is_exact)
    }

    /// The first rule that a text which the automata accept does not satisfy after all.
    pub(super) fn refusal(&self, text: &str) -> Option<usize> {
        self.rules.iter().position(|rule| !rule.confirms(text))
    }

    /// Which limit a string of `length` code points that is at `state` cannot keep to.
    pub(super) fn length_refusal(&self, automaton: &TextAutomaton, state: RegexState, length: u64) -> Option<Limit> {
        let remaining = automaton.remaining.get(state.number())?;
        if self.max_length.is_some_and(|max| length + u64::from(remaining.least) > max) {
            return Some(Limit::Max);
        }
        let most = u64::from(remaining.most?);
        self.min_length.is_some_and(|min| length + most < min).then_some(Limit::Min)
    }

    /// Whether one of the characters may come in a string of `length` code points that is at `state`.
    pub(super) fn takes_one_of(&self, characters: &Characters, automaton: &TextAutomaton, state: RegexState, length: u64) -> bool {
        let good = |state| self.length_refusal(automaton, state, length + 1).is_none();
        characters.can_be_taken(state, |state, byte| automaton.next(state, byte), good)
    }

    /// What the rules of an automaton ask for, and their keyword where it is one.
    pub(super) fn automaton_words(&self, automaton: usize) -> (String, &'static str) {
        let first: usize = self.automata[..automaton].iter().map(|automaton| automaton.rules).sum();
        match &self.rules[first..first + self.automata[automaton].rules] {
            [rule] => (rule.words(), rule.keyword()),
            rules => (rules.iter().map(TextRule::words).collect::<Vec<_>>().join(" and "), ""),
        }
    }

    /// What a rule asks for, and its keyword.
    pub(super) fn rule_words(&self, rule: usize) -> (String, &'static str) {
        (self.rules[rule].words(), self.rules[rule].keyword())
    }
}

/// A limit of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Min,
    Max,
}
