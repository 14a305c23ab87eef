//! Regular expressions: the whole text must match, from its first byte to its last.
//!
//! The pattern is compiled to a dense DFA over bytes by `regex-automata`, once, and reduced to its states
//! that lead to a match (`automaton.rs`), so that prefixes are judged exactly. A particle's state is a
//! number, and asking about a byte is one look-up.
//! Patterns match Unicode text, and a text that matches is valid UTF-8.

use super::automaton::{LiveAutomaton, Problem, Remaining, StateMasks, common_classes};
use super::{Constraint, ConstraintError, Rejection};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;
use std::fmt;
use std::sync::Arc;

/// The texts that match a regular expression as a whole.
///
/// The syntax is that of the crate `regex`: Unicode classes, no look-around but `^` and `$` (which hold
/// only at the ends, as the match spans the whole text), no back-references.
///
/// ```
/// use tamis::constraint::{Constraint, Regex};
/// let date = Regex::new("[0-9]{4}-[0-9]{2}-[0-9]{2}")?;
/// let state = date.advance(&date.start(), b"2026-11").unwrap();
/// assert!(!date.may_end(&state));
/// assert_eq!(date.closing_cost(&state), Some(3));
/// let mut forced = Vec::new();
/// date.forced(&state, &mut forced);
/// assert_eq!(forced, b"-");
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone)]
pub struct Regex {
    pattern: Arc<str>,
    automaton: Arc<LiveAutomaton>,
}

const START: RegexState = RegexState(0);
/// What a state of the automaton takes: its transitions.
const BYTES_PER_STATE: usize = 256 * size_of::<u32>();
/// The most work that making an automaton deterministic may take, a second or two: bytes of its sets of
/// NFA states times the classes of bytes, for each of which every set is followed. The largest of 500
/// patterns of published schemas takes a third.
const DETERMINIZE_WORK: usize = 1 << 29;

/// Where in a [`Regex`] a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegexState(u32);

impl RegexState {
    /// The state's number, below [`Regex::states`].
    pub(super) fn number(self) -> usize {
        self.0 as usize
    }
}

impl Regex {
    /// The most memory that the automaton of a pattern may take, in bytes.
    pub const SIZE_LIMIT: usize = 64 << 20;

    /// Compiles `pattern`.
    ///
    /// # Errors
    /// If the pattern does not parse (with line and column), uses what a DFA cannot (a Unicode word
    /// boundary), matches no text at all, or grows past [`Regex::SIZE_LIMIT`] or what can be made in a
    /// second or two.
    pub fn new(pattern: &str) -> Result<Self, ConstraintError> {
        Self::compile(pattern, MatchKind::All, Self::SIZE_LIMIT)
    }

    /// The prefixes of a text that a search from its first byte could find, as Python's `re.match` does:
    /// alternatives in their order, repetitions greedy or not. The longest of them is the one it finds.
    pub(super) fn leftmost_first(pattern: &str, size_limit: usize) -> Result<Self, ConstraintError> {
        Self::compile(pattern, MatchKind::LeftmostFirst, size_limit)
    }

    fn compile(pattern: &str, kind: MatchKind, size_limit: usize) -> Result<Self, ConstraintError> {
        let hir = regex_syntax::Parser::new().parse(pattern).map_err(|error| syntax_error(pattern, &error))?;
        Self::compile_hir(pattern, &hir, kind, size_limit)
    }

    /// Compiles the parsed form of `pattern`, within `size_limit` bytes.
    pub(super) fn from_hir(pattern: &str, hir: &Hir, size_limit: usize) -> Result<Self, ConstraintError> {
        Self::compile_hir(pattern, hir, MatchKind::All, size_limit)
    }

    fn compile_hir(pattern: &str, hir: &Hir, kind: MatchKind, size_limit: usize) -> Result<Self, ConstraintError> {
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().shrink(false).nfa_size_limit(Some(size_limit)))
            .build_from_hir(hir)
            .map_err(|error| too_large(pattern, &error))?;
        let work_limit = DETERMINIZE_WORK / nfa.byte_classes().alphabet_len();
        let unsupported = |error: &dyn fmt::Display| {
            ConstraintError::unsupported(format!("the pattern `{pattern}` cannot be an automaton over bytes: {error}"))
        };
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .match_kind(kind)
                    .dfa_size_limit(Some(size_limit))
                    .determinize_size_limit(Some(size_limit.min(work_limit))),
            )
            .build_from_nfa(&nfa)
            .map_err(|error| match error.is_size_limit_exceeded() {
                true => too_large(pattern, &error),
                false => unsupported(&error),
            })?;
        let first = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).map_err(|error| unsupported(&error))?;
        let classes = common_classes(|byte| dfa.byte_classes().get(byte));
        // Match states of `regex-automata` are one transition late: "may end" is asked of the transition at
        // the end of the input.
        let step = |state: &StateID, byte| Some(dfa.next_state(*state, byte));
        let accepts = |state: &StateID| dfa.is_match_state(dfa.next_eoi_state(*state));
        let state_limit = size_limit / BYTES_PER_STATE;
        Self::from_automaton(pattern, LiveAutomaton::explore(first, &classes, state_limit, step, accepts))
    }

    /// The regex of an automaton that was made otherwise; `pattern` is what messages call it.
    pub(super) fn from_automaton(pattern: &str, automaton: Result<LiveAutomaton, Problem>) -> Result<Self, ConstraintError> {
        match automaton {
            Ok(automaton) => Ok(Self { pattern: pattern.into(), automaton: Arc::new(automaton) }),
            Err(Problem::TooLarge) => Err(too_large(pattern, &"too many states")),
            Err(Problem::NoText) => Err(ConstraintError::unsatisfiable(format!("no text matches the pattern `{pattern}`"))),
        }
    }

    /// The texts that match both, if their automaton has no more than `limit` states.
    pub(super) fn intersection(&self, other: &Self, limit: usize) -> Result<Self, Problem> {
        let automaton = self.automaton.intersection(&other.automaton, limit)?;
        Ok(Self { pattern: format!("{} and {}", self.pattern, other.pattern).into(), automaton: Arc::new(automaton) })
    }

    /// For each state, how many code points may still come.
    pub(super) fn remaining(&self) -> Vec<Remaining> {
        self.automaton.remaining()
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The number of states of the automaton.
    pub fn states(&self) -> usize {
        self.automaton.states()
    }

    /// Masks of its states, for those who walk along it.
    pub(super) fn masks(&self) -> &StateMasks {
        self.automaton.masks()
    }

    pub(super) fn next(&self, state: RegexState, byte: u8) -> Option<RegexState> {
        self.automaton.next(state.0, byte).map(RegexState)
    }

    /// What may come at `state`, in words.
    fn expected(&self, state: RegexState) -> String {
        let bytes: Vec<u8> = (0..=255).filter(|byte| self.next(state, *byte).is_some()).collect();
        let end = if self.may_end(&state) { "the end of the text" } else { "" };
        match (ranges(&bytes), end) {
            (bytes, "") => bytes,
            (bytes, end) if bytes.is_empty() => end.to_owned(),
            (bytes, end) => format!("{bytes} or {end}"),
        }
    }
}

impl Constraint for Regex {
    type State = RegexState;

    fn start(&self) -> RegexState {
        START
    }

    fn advance(&self, state: &RegexState, bytes: &[u8]) -> Option<RegexState> {
        bytes.iter().try_fold(*state, |state, byte| self.next(state, *byte))
    }

    fn may_end(&self, state: &RegexState) -> bool {
        self.automaton.distance(state.0) == 0
    }

    /// All of them: up to the first state with a choice or a possible end.
    fn forced(&self, state: &RegexState, out: &mut Vec<u8>) {
        let mut state = *state;
        while !self.may_end(&state) {
            let mut open = (0..=255).filter_map(|byte| Some((byte, self.next(state, byte)?)));
            let (Some((byte, next)), None) = (open.next(), open.next()) else { return };
            out.push(byte);
            state = next;
        }
    }

    /// Exact.
    fn closing_cost(&self, state: &RegexState) -> Option<usize> {
        Some(self.automaton.distance(state.0) as usize)
    }

    fn explain(&self, state: &RegexState, bytes: &[u8]) -> Option<Rejection> {
        let mut state = *state;
        for (offset, byte) in bytes.iter().enumerate() {
            match self.next(state, *byte) {
                Some(next) => state = next,
                None => return Some(Rejection::new(offset, Some(*byte), self.expected(state))),
            }
        }
        None
    }

    fn explain_end(&self, state: &RegexState) -> Option<Rejection> {
        (!self.may_end(state)).then(|| Rejection::new(0, None, self.expected(*state)))
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.pattern).finish()
    }
}

fn syntax_error(pattern: &str, error: &regex_syntax::Error) -> ConstraintError {
    let (what, start) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start),
        other => return ConstraintError::syntax(format!("the pattern `{pattern}` does not parse: {other}")),
    };
    ConstraintError::syntax(format!("the pattern `{pattern}` does not parse: {what}")).at_line(start.line, start.column)
}

fn too_large(pattern: &str, error: &dyn fmt::Display) -> ConstraintError {
    ConstraintError::too_large(format!("the automaton of the pattern `{pattern}` grows too large ({error}); use smaller repetitions"))
}

/// Bytes as a short list of ranges: `'0'..'9', 0x80..0xBF`.
fn ranges(bytes: &[u8]) -> String {
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for byte in bytes {
        match ranges.last_mut() {
            Some((_, last)) if u16::from(*last) + 1 == u16::from(*byte) => *last = *byte,
            _ => ranges.push((*byte, *byte)),
        }
    }
    let name = |byte: u8| if byte.is_ascii_graphic() { format!("'{}'", byte as char) } else { format!("0x{byte:02X}") };
    let mut words: Vec<String> = ranges
        .iter()
        .map(|(first, last)| if first == last { name(*first) } else { format!("{}..{}", name(*first), name(*last)) })
        .collect();
    if words.len() > 8 {
        words.truncate(8);
        words.push("...".into());
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_prefixes_are_known_at_the_first_byte() {
        let regex = Regex::new("(ab|ac)d").unwrap();
        assert!(regex.allows(&regex.start(), b"ac"));
        let rejection = regex.explain(&regex.start(), b"ad").unwrap();
        assert_eq!((rejection.offset(), rejection.found(), rejection.expected()), (1, Some(b'd'), "'b'..'c'"));
        // A class that is empty kills one branch only.
        let regex = Regex::new("x[a&&b]|yz").unwrap();
        assert!(!regex.allows(&regex.start(), b"x") && regex.allows(&regex.start(), b"yz"));
    }

    #[test]
    fn texts_are_matched_whole_and_stay_utf8() {
        let regex = Regex::new("(?s).{2}").unwrap();
        let state = regex.advance(&regex.start(), "é".as_bytes()).unwrap();
        assert!(!regex.may_end(&state) && !regex.allows(&state, b"\xFF") && !regex.allows(&state, b"abc"));
        let half = regex.advance(&state, &"é".as_bytes()[..1]).unwrap();
        assert!(!regex.may_end(&half) && !regex.allows(&half, b"a") && regex.may_end(&regex.advance(&half, &[0xA9]).unwrap()));
    }

    #[test]
    fn merged_states_are_equal() {
        let regex = Regex::new("(aa|ba)c*").unwrap();
        let state = |text: &[u8]| regex.advance(&regex.start(), text).unwrap();
        assert_eq!(state(b"aa"), state(b"baccc"));
    }

    #[test]
    fn bad_patterns_say_what_and_where() {
        let error = Regex::new("a(b").unwrap_err();
        assert!(error.to_string().contains("column 2"), "{error}");
        assert!(Regex::new("[a&&b]").unwrap_err().is_unsatisfiable());
        assert!(Regex::new(r"\bé").unwrap_err().is_unsupported());
        for large in ["(?:.{1000}){1000}", r"(?:.{0,63}\.){1,127}|\p{Lu}", "(?:.*)(?:foo|bar).{0,200}(?s:.*)"] {
            assert!(Regex::new(large).unwrap_err().is_too_large());
        }
        // Here work is what runs out: memory would, ten times later.
        let error = Regex::new(r"(?:.{0,63}\.){1,127}|\p{Lu}").unwrap_err().to_string();
        assert!(error.contains("size limit of") && !error.contains(&Regex::SIZE_LIMIT.to_string()), "{error}");
    }
}
