//! Patterns of schemas: regular expressions of ECMA-262, matching anywhere in a text.
//!
//! `syntax.rs` (with `escapes.rs`) reads them; most are translated to a DFA that spans the text
//! (`translate.rs`), those with look-around by way of `alternating.rs`, and are then exact at every byte.
//! For the few that no automaton of bearable size stands for (back-references; repetitions of
//! repetitions) prefixes are judged by the automaton of a wider pattern, and the end of the text exactly,
//! by `backtrack.rs`.
//!
//! What differs from ECMA-262: the flag `u` is set, with the leniency of the standard's annex B; `\w` and
//! `\b` are of ASCII, as there.

mod alternating;
mod backtrack;
mod escapes;
mod syntax;
mod translate;

use super::escape::{Begun, Characters, Follows};
use crate::constraint::automaton::Problem;
use crate::constraint::{Constraint, ConstraintError, Regex, RegexState};
use backtrack::Matcher;
use regex_syntax::hir::Hir;
use std::sync::Arc;

/// The most memory that an automaton may take, in bytes. A pattern of a schema that needs more is judged by
/// a wider one while it is written.
const SIZE_LIMIT: usize = 16 << 20;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: Arc<str>,
    /// The texts that may match: exactly those that do where there is no `matcher`.
    automaton: Regex,
    matcher: Option<Arc<Matcher>>,
}

/// Compiles `source` so that the whole of a text matches where `source` matches some part of it.
///
/// # Errors
/// If it is no regular expression of ECMA-262, uses a property of Unicode that is not known, or no text
/// matches.
pub(super) fn compile(source: &str) -> Result<Pattern, ConstraintError> {
    let node = syntax::parse(source, false)?;
    let captures = translate::has_back_references(&node);
    let made = |automaton, exact: bool| {
        let matcher = (!exact).then(|| Arc::new(Matcher::new(&node, captures)));
        Ok(Pattern { source: source.into(), automaton, matcher })
    };
    for level in 0..3 {
        match automaton(source, &translate::relaxed(&node, level)) {
            Ok(automaton) => return made(automaton, level == 0 && !captures),
            Err(Problem::NoText) => return Err(ConstraintError::unsatisfiable(format!("no text matches the pattern {source:?}"))),
            Err(Problem::TooLarge) => {}
        }
    }
    made(Regex::from_hir(source, &translate::anything(), SIZE_LIMIT)?, false)
}

/// Whether `source` is a regular expression of ECMA-262; escapes of letters that mean nothing are not.
pub(super) fn is_valid(source: &str) -> bool {
    syntax::parse(source, true).is_ok()
}

fn automaton(source: &str, node: &syntax::Node) -> Result<Regex, Problem> {
    let mut looks = Vec::new();
    let hir = Hir::concat(vec![translate::anything(), translate::hir(node, &mut looks), translate::anything()]);
    let made = match looks.is_empty() {
        true => Regex::from_hir(source, &hir, SIZE_LIMIT),
        false => Regex::from_automaton(source, Ok(alternating::explore(node)?)),
    };
    made.map_err(|error| if error.is_unsatisfiable() { Problem::NoText } else { Problem::TooLarge })
}

impl Pattern {
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn automaton(&self) -> &Regex {
        &self.automaton
    }

    /// Whether the automaton's verdict on a whole text is exact.
    pub(super) fn is_exact(&self) -> bool {
        self.matcher.is_none()
    }

    /// Whether a text that the automaton accepts matches. A match that would take millions of steps to
    /// find is taken for none.
    pub(super) fn confirms(&self, text: &str) -> bool {
        self.matcher.as_ref().is_none_or(|matcher| matcher.matches(text) == Some(true))
    }

    /// Whether some part of a text that begins so may match.
    pub(super) fn may_match(&self, begun: Begun) -> bool {
        self.state_after(begun.text).is_some_and(|state| match begun.follows {
            Follows::Nothing => self.automaton.may_end(&state) && std::str::from_utf8(begun.text).is_ok_and(|text| self.confirms(text)),
            Follows::Anything => true,
            Follows::OneOf(characters) => self.takes_one_of(characters, state),
        })
    }

    /// Whether one of the characters may come at a state of the automaton.
    pub(super) fn takes_one_of(&self, characters: &Characters, state: RegexState) -> bool {
        characters.can_be_taken(state, |state, byte| self.automaton.next(state, byte), |_| true)
    }

    /// The automaton's state after a text; `None` where none that begins so matches.
    pub(super) fn state_after(&self, text: &[u8]) -> Option<RegexState> {
        self.automaton.advance(&self.automaton.start(), text)
    }

    /// Whether some part of `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.may_match(Begun { text: text.as_bytes(), follows: Follows::Nothing })
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_mean_what_ecma_262_says() {
        for (pattern, text, matches) in [
            ("b", "abc", true),
            ("^b", "abc", false),
            ("c$", "abc", true),
            ("^$", "", true),
            ("a.c", "a\nc", false),
            ("^[^]$", "\n", true),
            (r"^\d+$", "٣", false),
            (r"^\w+$", "é", false),
            (r"\s", "\u{FEFF}", true),
            (r"^\S$", "\u{A0}", false),
            ("^{foo}$", "{foo}", true),
            (r"^\cA$", "\u{1}", true),
            (r"^\u0041\x42$", "AB", true),
            (r"^\u{1F600}$", "😀", true),
            (r"^\uD83D\uDE00$", "😀", true),
            ("^[[a]+$", "[a", true),
            ("^[a&&b]+$", "&a", true),
            (r"^\/\-$", "/-", true),
            (r"^\p{Lu}$", "É", true),
            ("^(?<year>[0-9]{4})$", "2026", true),
            ("a #b", "a #b", true),
            ("^[a-]$", "-", true),
            (r"^[\d-x]$", "-", true),
            ("x{2,}y", "xxxy", true),
        ] {
            assert_eq!(compile(pattern).unwrap().matches(text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn look_around_and_back_references_mean_what_ecma_262_says() {
        for (pattern, text, matches) in [
            (r"^(?=.*\d)(?=.*[a-z])(?!.*\s).{4,8}$", "ab1c", true),
            (r"^(?=.*\d)(?=.*[a-z])(?!.*\s).{4,8}$", "abcd", false),
            (r"^(?=.*\d)(?=.*[a-z])(?!.*\s).{4,8}$", "ab 1", false),
            ("^(?!foo$|bar$).*$", "foo", false),
            ("^(?!foo$|bar$).*$", "foox", true),
            ("(?<=a+)b", "xaab", true),
            ("(?<=a+)b", "xb", false),
            ("(?<!a)b", "ab", false),
            ("(?<!^|a)b", "bcb", true),
            ("(?<!^|a)b", "b", false),
            (r"\bcat\b", "a cat.", true),
            (r"\bcat\b", "concat", false),
            (r"(?=\bcat\b)cat", "concat cat", true),
            (r"\b\w+(?<!\b\w{1,3})\b", "abc", false),
            (r"\b\w+(?<!\b\w{1,3})\b", "abc abcd", true),
            (r"^(?:a(?=b)|b)*$", "abb", true),
            (r"^(?:a(?=b)|b)*$", "ba", false),
            (r"(a)\1", "baab", true),
            (r"(a)\1", "aba", false),
            (r"^(?<q>['\u0022]).*\k<q>$", "'x'", true),
            (r"^(?<q>['\u0022]).*\k<q>$", "'x\"", false),
            (r"^((\w)(?!.*\2))+$", "abc", true),
            (r"^((\w)(?!.*\2))+$", "abca", false),
            (r"\1(a)", "a", true),
            (r"^(?:(a)|b)*\1$", "ab", true),
            ("(?i:a)B", "AB", true),
            ("(?i:a)B", "Ab", false),
        ] {
            assert_eq!(compile(pattern).unwrap().matches(text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn a_look_around_that_matched_matches_again() {
        let matcher = Matcher::new(&syntax::parse("b(?!b*)", false).unwrap(), false);
        assert_eq!(matcher.matches("bb"), Some(false));
    }

    #[test]
    fn look_around_is_exact_at_every_prefix() {
        let pattern = compile(r"^(?!.*aa)(?=.{3}$)[ab]*$").unwrap();
        assert!(pattern.is_exact() && pattern.state_after(b"ab").is_some() && pattern.state_after(b"aa").is_none());
        assert!(compile(r"^(?=a)b").unwrap_err().is_unsatisfiable());
    }

    #[test]
    fn what_is_too_large_for_an_automaton_is_judged_at_the_end() {
        let pattern = compile(r"^(?!.*://)(?=.{1,255}$)((.{1,63}\.){1,127}(?![0-9]*$)[a-z0-9-]+\.?)$").unwrap();
        assert!(!pattern.is_exact());
        assert!(pattern.matches("www.example.com") && !pattern.matches("www.example.123") && !pattern.matches("http://a.b"));
    }

    #[test]
    fn bad_patterns_say_what_and_where() {
        for (pattern, at) in [("a(", 1), ("a)", 1), ("[a", 0), ("*a", 0), (r"\2(a)", 1), ("a{2,1}", 2), ("(?i)a", 2), ("[b-a]", 4)] {
            let error = compile(pattern).unwrap_err().to_string();
            assert!(error.contains(&format!("{pattern:?}")) && error.contains(&format!("at byte {at},")), "{error}");
        }
        assert!(compile(r"\p{Nothing}").unwrap_err().is_unsupported());
        assert!(compile(&"(".repeat(100_000)).is_err());
    }

    /// Patterns of two letters with everything that ECMA-262 has but back-references.
    fn patterns() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec!["a", "b", ".", "[^a]", "^", "$", r"\b", r"\B", "-", ""]).prop_map(str::to_owned);
        leaf.prop_recursive(4, 16, 3, |inner| {
            let looks = prop::sample::select(vec!["?:", "?=", "?!", "?<=", "?<!", ""]);
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
                (inner.clone(), prop::sample::select(vec!["*", "+", "?", "{2}", "{1,2}?"]))
                    .prop_map(|(a, times)| format!("(?:{a}){times}")),
                (looks, inner).prop_map(|(look, a)| format!("({look}{a})")),
            ]
        })
    }

    proptest! {
        /// Two ways to match that share no code but the parser.
        #[test]
        fn automata_agree_with_backtracking(source in patterns()) {
            let node = syntax::parse(&source, false).unwrap();
            let matcher = Matcher::new(&node, false);
            let texts: Vec<String> = (0..4usize).flat_map(|length| (0..3usize.pow(length as u32)).map(move |code| {
                (0..length).map(|at| ['a', 'b', '-'][code / 3usize.pow(at as u32) % 3]).collect()
            })).collect();
            let matching: Vec<bool> = texts.iter().map(|text| matcher.matches(text).unwrap()).collect();
            match alternating::explore(&node) {
                Err(Problem::NoText) => prop_assert!(!matching.contains(&true), "{}", source),
                Err(Problem::TooLarge) => {}
                Ok(automaton) => {
                    let regex = Regex::from_automaton(&source, Ok(automaton)).unwrap();
                    for (text, matches) in texts.iter().zip(&matching) {
                        let state = regex.advance(&regex.start(), text.as_bytes());
                        prop_assert_eq!(state.is_some_and(|state| regex.may_end(&state)), *matches, "{} on {:?}", source, text);
                    }
                    // The other way to an automaton, where there is no look-around.
                    if !source.contains("(?=") && !source.contains("(?!") && !source.contains("(?<") {
                        prop_assert_eq!(regex.states(), compile(&source).unwrap().automaton.states(), "{}", source);
                    }
                }
            }
        }
    }
}
