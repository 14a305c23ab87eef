//! Terminals as regular expressions: what Lark's definition of a terminal says, in the syntax of the
//! crate `regex`.
//!
//! Lark's regular expressions are Python's. They are translated where the two differ without notice
//! (`[`, `&`, `~` within a class), and refused where an automaton cannot follow: look-around other than
//! one `(?!...)` at the end of a terminal, anchors, word boundaries, back-references.

use super::problem::{Place, Problem};
use super::syntax::{Expression, Import, Terminal, parse};
use crate::constraint::ConstraintError;
use std::collections::HashMap;
use std::fmt::Write;

const COMMON: &str = include_str!("common.lark");

/// The most bytes of a terminal's pattern, once the terminals that it names are written out.
const MAX_PATTERN: usize = 1 << 16;

/// A terminal as a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pub(super) text: String,
    /// What must not follow: `(?!ahead)`.
    pub(super) ahead: Option<String>,
    /// The string that the terminal is, where it is one.
    pub(super) literal: Option<Literal>,
}

/// A terminal that is one string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) ignore_case: bool,
}

/// The patterns of named terminals, made when first asked for.
pub(super) struct Patterns<'a> {
    definitions: HashMap<&'a str, &'a Terminal>,
    /// `None` while a definition is being read: meeting it again is a circle.
    made: HashMap<String, Option<Pattern>>,
}

impl<'a> Patterns<'a> {
    /// Of the terminals of a file and what it imports.
    pub(super) fn new(terminals: &'a [Terminal], imports: &[Import]) -> Result<Self, ConstraintError> {
        let mut patterns = Self { definitions: HashMap::new(), made: HashMap::new() };
        if !imports.is_empty() {
            let common = parse(COMMON)?;
            let mut common = Patterns::new(&common.terminals, &[])?;
            for import in imports {
                if !common.definitions.contains_key(import.name.as_str()) {
                    let mut names: Vec<&str> = common.definitions.keys().copied().filter(|name| !name.starts_with('_')).collect();
                    names.sort_unstable();
                    let message = format!("`common` has no terminal {}; it has {}", import.name, names.join(", "));
                    return Err(Problem::invalid(message).at(import.place));
                }
                let pattern = common.named(&import.name, import.place)?;
                if patterns.made.insert(import.alias.clone(), Some(pattern)).is_some() {
                    return Err(Problem::invalid(format!("{} is imported twice", import.alias)).at(import.place));
                }
            }
        }
        for terminal in terminals {
            if patterns.made.contains_key(&terminal.name) || patterns.definitions.insert(&terminal.name, terminal).is_some() {
                return Err(Problem::invalid(format!("the terminal {} is defined twice", terminal.name)).at(terminal.place));
            }
        }
        Ok(patterns)
    }

    /// The pattern of the terminal `name`, which is used at `place`.
    pub(super) fn named(&mut self, name: &str, place: Place) -> Result<Pattern, ConstraintError> {
        match self.made.get(name) {
            Some(Some(pattern)) => return Ok(pattern.clone()),
            Some(None) => return Err(Problem::invalid(format!("the terminal {name} is defined by itself")).at(place)),
            None => {}
        }
        let Some(terminal) = self.definitions.get(name).copied() else {
            return Err(Problem::invalid(format!("the terminal {name} is not defined")).at(place));
        };
        self.made.insert(name.into(), None);
        let pattern = self.of(&terminal.body, terminal.place)?;
        self.made.insert(name.into(), Some(pattern.clone()));
        Ok(pattern)
    }

    /// Whether `name` was asked for, directly or by another terminal.
    pub(super) fn is_used(&self, name: &str) -> bool {
        self.made.contains_key(name)
    }

    /// The pattern of an expression of terminals.
    pub(super) fn of(&mut self, expression: &Expression, place: Place) -> Result<Pattern, ConstraintError> {
        let pattern = match expression {
            Expression::Text { text, ignore_case, .. } => Pattern {
                text: literal(text, *ignore_case),
                ahead: None,
                literal: Some(Literal { text: text.clone(), ignore_case: *ignore_case }),
            },
            Expression::Range { first, last, .. } => plain(format!(r"[\x{{{:X}}}-\x{{{:X}}}]", u32::from(*first), u32::from(*last))),
            Expression::Regex { pattern, flags, place } => regex(pattern, flags, *place)?,
            Expression::Name { name, arguments, place } if super::syntax::is_terminal(name) && arguments.is_empty() => {
                self.named(name, *place)?
            }
            Expression::Name { name, place, .. } => {
                return Err(Problem::invalid(format!("a terminal cannot be made of the rule {name}")).at(*place));
            }
            Expression::Repeat { inner, min, max, place } => {
                let inner = self.of(inner, *place)?;
                let max = max.map_or(String::new(), |max| max.to_string());
                plain(format!("(?:{}){{{min},{max}}}", without_ahead(inner, *place)?))
            }
            Expression::Choice(alternatives) => {
                let mut patterns = Vec::with_capacity(alternatives.len());
                for alternative in alternatives {
                    let pattern = self.of(alternative, place)?;
                    patterns.push(without_ahead(pattern, place)?);
                }
                // Lark's order: a longer alternative is tried before a shorter one.
                patterns.sort_by_cached_key(|text| std::cmp::Reverse(widths(text)));
                plain(format!("(?:{})", patterns.join("|")))
            }
            Expression::Sequence(parts) => self.sequence(parts, place)?,
        };
        match pattern.text.len() > MAX_PATTERN {
            true => Err(Problem::too_large(format!("the terminal's pattern has more than {MAX_PATTERN} bytes")).at(place)),
            false => Ok(pattern),
        }
    }

    fn sequence(&mut self, parts: &[Expression], place: Place) -> Result<Pattern, ConstraintError> {
        let mut whole = plain(String::new());
        whole.literal = Some(Literal { text: String::new(), ignore_case: false });
        for part in parts {
            let part = self.of(part, place)?;
            whole.text = without_ahead(whole.clone(), place)? + &part.text;
            whole.literal = match (whole.literal, part.literal) {
                // A look-ahead alone adds nothing to a string.
                (Some(whole), None) if part.text == EMPTY && !whole.text.is_empty() => Some(whole),
                (Some(whole), Some(part)) if whole.text.is_empty() || whole.ignore_case == part.ignore_case => {
                    Some(Literal { text: whole.text + &part.text, ignore_case: part.ignore_case })
                }
                _ => None,
            };
            whole.ahead = part.ahead;
            if whole.text.len() > MAX_PATTERN {
                break;
            }
        }
        Ok(whole)
    }
}

const EMPTY: &str = "(?:)";

fn plain(text: String) -> Pattern {
    Pattern { text, ahead: None, literal: None }
}

fn without_ahead(pattern: Pattern, place: Place) -> Result<String, ConstraintError> {
    match pattern.ahead {
        Some(_) => Err(Problem::unsupported("a look-ahead (?!...) can only stand at the end of a terminal").at(place)),
        None => Ok(pattern.text),
    }
}

/// Lark's measure of an alternative: its greatest and least width, then the length of its pattern.
fn widths(pattern: &str) -> (usize, usize, usize) {
    let Ok(hir) = regex_syntax::parse(pattern) else { return (0, 0, pattern.len()) };
    let widths = hir.properties();
    (widths.maximum_len().unwrap_or(usize::MAX), widths.minimum_len().unwrap_or(0), pattern.len())
}

/// A string as a pattern. ASCII letters match only each other's other case, not the Kelvin sign.
fn literal(text: &str, ignore_case: bool) -> String {
    if !ignore_case {
        return regex_syntax::escape(text);
    }
    let mut pattern = String::new();
    for character in text.chars() {
        let (upper, lower) = (character.to_ascii_uppercase(), character.to_ascii_lowercase());
        let _ = match character {
            _ if upper != lower => write!(pattern, "[{upper}{lower}]"),
            _ if character.is_ascii() => write!(pattern, "{}", regex_syntax::escape(character.encode_utf8(&mut [0; 4]))),
            _ => write!(pattern, "(?i:{character})"),
        };
    }
    pattern
}

/// A regular expression of Python's as a pattern.
fn regex(source: &str, flags: &str, place: Place) -> Result<Pattern, ConstraintError> {
    let mut kept = String::new();
    for flag in flags.chars() {
        match flag {
            'i' | 's' | 'm' | 'x' if !kept.contains(flag) => kept.push(flag),
            // Patterns are of Unicode anyway.
            'i' | 's' | 'm' | 'x' | 'u' => {}
            _ => return Err(Problem::unsupported(format!("the flag {flag} of a regular expression: there are i, s, m, x and u")).at(place)),
        }
    }
    let (body, ahead) = split_ahead(source).ok_or_else(|| {
        Problem::unsupported(format!(
            "/{source}/ looks around, which no automaton can do; only one (?!...) is possible, at the very end and outside alternatives"
        ))
        .at(place)
    })?;
    let wrapped = |body: &str| -> Result<String, ConstraintError> {
        let body = translate(body);
        // The line break ends a comment, which the flag x makes possible.
        let text = match (kept.is_empty(), kept.contains('x')) {
            (true, _) => format!("(?:{body})"),
            (_, true) => format!("(?{kept}:{body}\n)"),
            _ => format!("(?{kept}:{body})"),
        };
        match regex_syntax::parse(&text) {
            Ok(hir) if hir.properties().look_set().is_empty() => Ok(text),
            Ok(_) => {
                let message = format!("/{source}/ has an anchor or a word boundary; the end of a word is (?!\\w) at the end of a terminal");
                Err(Problem::unsupported(message).at(place))
            }
            Err(error) => {
                let why = match &error {
                    regex_syntax::Error::Parse(error) => error.kind().to_string(),
                    regex_syntax::Error::Translate(error) => error.kind().to_string(),
                    other => other.to_string(),
                };
                Err(Problem::syntax(format!("the regular expression /{source}/ does not parse: {why}")).at(place))
            }
        }
    };
    Ok(Pattern { text: wrapped(body)?, ahead: ahead.map(wrapped).transpose()?, literal: None })
}

/// Parts a `(?!...)` at the end from what stands before it. `None` where there is any other look-around.
fn split_ahead(source: &str) -> Option<(&str, Option<&str>)> {
    let bytes = source.as_bytes();
    let (mut at, mut in_class, mut depth, mut bars) = (0, false, 0usize, false);
    let mut ahead = None;
    while at < bytes.len() {
        // By bytes: a place may lie within a character.
        let rest = &bytes[at..];
        match bytes[at] {
            b'\\' => {
                at += 1 + source[at + 1..].chars().next().map_or(0, char::len_utf8);
                continue;
            }
            b'[' if !in_class => {
                in_class = true;
                // A bracket in first place is a member.
                let skipped = if rest.starts_with(b"[^]") { 2 } else { usize::from(rest.starts_with(b"[]")) };
                at += skipped;
            }
            b']' => in_class = false,
            b'|' if !in_class && depth == 0 => bars = true,
            b'(' if !in_class => {
                if [&b"(?="[..], b"(?<=", b"(?<!"].iter().any(|look| rest.starts_with(look)) {
                    return None;
                }
                if rest.starts_with(b"(?!") {
                    if depth > 0 || ahead.is_some() || bars {
                        return None;
                    }
                    ahead = Some(at);
                }
                depth += 1;
            }
            b')' if !in_class => {
                depth = depth.saturating_sub(1);
                // What was looked ahead from must have been the end.
                if depth == 0 && ahead.is_some() && at + 1 < bytes.len() {
                    return None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    match ahead {
        Some(start) => Some((&source[..start], Some(source[start + 3..].strip_suffix(')')?))),
        None => Some((source, None)),
    }
}

/// Python's syntax to that of the crate `regex`: the signs that form sets within a class are escaped.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut characters = source.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('Z') => out.push_str(r"\z"),
                // A slash is escaped for Lark's sake; other escapes mean the same in both.
                Some('/') => out.push('/'),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            '[' if in_class => out.push_str(r"\["),
            '[' => {
                in_class = true;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if characters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' | ' ' | '#' if in_class => out.extend(['\\', character]),
            '-' if in_class && characters.peek() == Some(&'-') => out.push_str(r"\-"),
            _ => out.push(character),
        }
    }
    out
}
