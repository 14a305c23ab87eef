//! The automata of all terminals in one table: what a token may look like, byte by byte.
//!
//! The automaton of a regular expression also tells where a token is, so far, exactly one of the grammar's
//! strings that it could be mistaken for (its *keywords*): such states are told apart from all others.

use super::pattern::{Literal, Pattern};
use super::problem::{Place, Problem};
use crate::constraint::regex::{Regex, RegexState};
use crate::constraint::{Constraint, ConstraintError};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Where in a token a text stands: a row of the table.
pub(super) type LexState = u32;
/// A terminal's number.
pub(super) type TerminalId = u32;

/// Between tokens: the token before is complete and cannot go on.
pub(super) const BETWEEN: LexState = 0;
/// No token looks like this.
pub(super) const DEAD: LexState = u32::MAX;

/// The most bytes of one terminal's automaton.
const TERMINAL_LIMIT: usize = 8 << 20;
/// The most states of all of them together.
const MAX_STATES: usize = 1 << 17;

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub(super) fn union_with(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    /// The only member, where there is exactly one.
    pub(super) fn single(&self) -> Option<u8> {
        let count: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        (count == 1).then(|| (0..=255).find(|byte| self.contains(*byte)).expect("it has a member"))
    }
}

/// What is known of a state.
#[derive(Clone, Debug)]
struct State {
    terminal: TerminalId,
    /// The fewest bytes that complete the token: 0 where it is complete.
    distance: u32,
    /// The bytes that the token may go on with.
    bytes: ByteSet,
    /// The strings of the grammar that the token is so far, in states of regular expressions.
    keywords: SmallVec<[TerminalId; 1]>,
}

/// What is known of a terminal.
#[derive(Clone, Debug)]
struct Terminal {
    name: String,
    start: LexState,
    /// Where the automaton of its look-ahead starts.
    ahead: Option<LexState>,
    /// Whether the tokens of some regular expression may be this string.
    is_keyword: bool,
}

/// A terminal as the grammar defines it.
pub(super) struct Definition {
    /// As the grammar's author would call it.
    pub(super) name: String,
    pub(super) priority: i64,
    pub(super) pattern: Pattern,
    /// Where it is defined or first used.
    pub(super) place: Place,
}

/// The automata of all terminals.
#[derive(Debug)]
pub(super) struct Lexicon {
    /// `transitions[state * 256 + byte]`, or [`DEAD`].
    transitions: Vec<LexState>,
    states: Vec<State>,
    /// For each state, whether its token is complete: asked for every byte, and so apart from the rest.
    complete: Vec<bool>,
    terminals: Vec<Terminal>,
}

impl Lexicon {
    /// Compiles the terminals; their numbers are their places in `definitions`.
    ///
    /// # Errors
    /// If one matches the empty text, or grows past a limit. The messages name the terminal.
    pub(super) fn new(definitions: &[Definition]) -> Result<Self, ConstraintError> {
        let between = State { terminal: 0, distance: 0, bytes: ByteSet::default(), keywords: SmallVec::new() };
        let mut lexicon = Self { transitions: vec![DEAD; 256], states: vec![between], complete: Vec::new(), terminals: Vec::new() };
        for (id, definition) in definitions.iter().enumerate() {
            let id = id as TerminalId;
            let regex = compile(&definition.pattern.text, definition)?;
            if regex.may_end(&regex.start()) {
                let message = format!("the terminal {} matches the empty text; make what uses it optional instead", definition.name);
                return Err(Problem::invalid(message).at(definition.place));
            }
            let keywords: Vec<(TerminalId, &Literal)> = match definition.pattern.literal {
                Some(_) => Vec::new(),
                None => definitions
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| other.priority >= definition.priority)
                    .filter_map(|(id, other)| Some((id as TerminalId, other.pattern.literal.as_ref()?)))
                    .filter(|(_, literal)| may_be(&regex, literal))
                    .collect(),
            };
            let start = lexicon.add(id, &regex, &keywords)?;
            let ahead = match &definition.pattern.ahead {
                Some(ahead) => {
                    let ahead = compile(ahead, definition)?;
                    if ahead.may_end(&ahead.start()) {
                        let message =
                            format!("what must not follow the terminal {} includes the empty text, which always follows", definition.name);
                        return Err(Problem::invalid(message).at(definition.place));
                    }
                    Some(lexicon.add(id, &ahead, &[])?)
                }
                None => None,
            };
            lexicon.terminals.push(Terminal { name: definition.name.clone(), start, ahead, is_keyword: false });
        }
        lexicon.complete = lexicon.states.iter().map(|state| state.distance == 0).collect();
        for state in &lexicon.states {
            for keyword in &state.keywords {
                lexicon.terminals[*keyword as usize].is_keyword = true;
            }
        }
        Ok(lexicon)
    }

    /// Adds an automaton run side by side with `keywords`, and gives its start.
    fn add(&mut self, terminal: TerminalId, regex: &Regex, keywords: &[(TerminalId, &Literal)]) -> Result<LexState, ConstraintError> {
        // A state of the regular expression, the keywords that the token may still become, and its
        // length so far as long as there are any.
        type Key = (RegexState, SmallVec<[u32; 2]>, usize);
        let first = self.states.len();
        let mut numbers: FxHashMap<Key, usize> = FxHashMap::default();
        let start: Key = (regex.start(), (0..keywords.len() as u32).collect(), 0);
        numbers.insert(start.clone(), first);
        let mut open: Vec<Key> = vec![start];
        let mut at = 0;
        while at < open.len() {
            if first + open.len() > MAX_STATES {
                return Err(ConstraintError::too_large(format!("the automata of the terminals have more than {MAX_STATES} states")));
            }
            let (state, alive, length) = open[at].clone();
            let mut bytes = ByteSet::default();
            for byte in 0..=255u8 {
                let Some(next) = regex.next(state, byte) else {
                    self.transitions.push(DEAD);
                    continue;
                };
                bytes.insert(byte);
                let alive: SmallVec<[u32; 2]> =
                    alive.iter().copied().filter(|keyword| matches(keywords[*keyword as usize].1, length, byte)).collect();
                let length = if alive.is_empty() { 0 } else { length + 1 };
                let key = (next, alive, length);
                let number = *numbers.entry(key.clone()).or_insert_with(|| {
                    open.push(key);
                    first + open.len() - 1
                });
                self.transitions.push(number as LexState);
            }
            let is_whole = |keyword: &&u32| keywords[**keyword as usize].1.text.len() == length;
            self.states.push(State {
                terminal,
                distance: regex.closing_cost(&state).map_or(u32::MAX, |cost| cost as u32),
                bytes,
                keywords: alive.iter().filter(is_whole).map(|keyword| keywords[*keyword as usize].0).collect(),
            });
            at += 1;
        }
        Ok(first as LexState)
    }

    pub(super) fn next(&self, state: LexState, byte: u8) -> LexState {
        self.transitions[state as usize * 256 + usize::from(byte)]
    }

    /// Whether the token is complete.
    pub(super) fn is_complete(&self, state: LexState) -> bool {
        self.complete[state as usize]
    }

    /// Whether the token is complete, cannot go on, and nothing that follows matters to it.
    pub(super) fn is_settled(&self, id: LexState) -> bool {
        let state = &self.states[id as usize];
        let terminal = &self.terminals[state.terminal as usize];
        state.distance == 0
            && state.bytes == ByteSet::default()
            && state.keywords.is_empty()
            && terminal.ahead.is_none()
            && !terminal.is_keyword
    }

    /// The fewest bytes that complete the token.
    pub(super) fn distance(&self, state: LexState) -> u32 {
        self.states[state as usize].distance
    }

    pub(super) fn bytes(&self, state: LexState) -> &ByteSet {
        &self.states[state as usize].bytes
    }

    pub(super) fn terminal(&self, state: LexState) -> TerminalId {
        self.states[state as usize].terminal
    }

    /// The strings of the grammar that a token of a regular expression is so far.
    pub(super) fn keywords(&self, state: LexState) -> &[TerminalId] {
        &self.states[state as usize].keywords
    }

    pub(super) fn is_keyword(&self, terminal: TerminalId) -> bool {
        self.terminals[terminal as usize].is_keyword
    }

    pub(super) fn start(&self, terminal: TerminalId) -> LexState {
        self.terminals[terminal as usize].start
    }

    /// Where what must not follow a token of the terminal starts.
    pub(super) fn ahead(&self, terminal: TerminalId) -> Option<LexState> {
        self.terminals[terminal as usize].ahead
    }

    pub(super) fn name(&self, terminal: TerminalId) -> &str {
        &self.terminals[terminal as usize].name
    }
}

fn compile(pattern: &str, definition: &Definition) -> Result<Regex, ConstraintError> {
    let name = &definition.name;
    Regex::leftmost_first(pattern, TERMINAL_LIMIT).map_err(|error| {
        let problem = match error.is_unsatisfiable() {
            true => Problem::unsatisfiable(format!("the terminal {name} matches no text")),
            false => Problem::too_large(format!(
                "the automaton of the terminal {name} passes {} MiB; use smaller repetitions",
                TERMINAL_LIMIT >> 20
            )),
        };
        problem.at(definition.place)
    })
}

/// Whether a token of `regex` may be `literal`, as it is written or in one case.
fn may_be(regex: &Regex, literal: &Literal) -> bool {
    let matches = |text: &str| regex.advance(&regex.start(), text.as_bytes()).is_some_and(|state| regex.may_end(&state));
    let text = &literal.text;
    matches(text) || literal.ignore_case && (matches(&text.to_ascii_lowercase()) || matches(&text.to_ascii_uppercase()))
}

/// Whether `byte` may stand at `position` of the string.
fn matches(literal: &Literal, position: usize, byte: u8) -> bool {
    literal.text.as_bytes().get(position).is_some_and(|own| *own == byte || literal.ignore_case && own.eq_ignore_ascii_case(&byte))
}
