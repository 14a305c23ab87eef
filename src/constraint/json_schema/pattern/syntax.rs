//! The syntax of ECMA-262 regular expressions, as a tree.
//!
//! The flag `u` is taken to be set, so that a character is a code point. What is an error under it and
//! yet means something without it is read as without it (the standard's annex B), since schemas in the
//! wild are full of `\-` and `[\w-.]`.

use super::escapes;
use crate::constraint::ConstraintError;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// A node of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Empty,
    /// One character of a class.
    Class(ClassUnicode),
    Concat(Vec<Node>),
    Alternation(Vec<Node>),
    Repeat {
        inner: Box<Node>,
        min: u32,
        max: Option<u32>,
        greedy: bool,
    },
    /// A capturing group, numbered from 1.
    Group(usize, Box<Node>),
    /// What the groups captured (several, where groups of different branches share a name).
    BackReference(Vec<usize>),
    Start,
    End,
    /// `\b`, or `\B` where `negated`.
    WordBoundary {
        negated: bool,
    },
    Look {
        ahead: bool,
        negated: bool,
        inner: Box<Node>,
    },
}

/// The deepest nesting of groups.
const DEPTH_LIMIT: usize = 250;

/// Parses a pattern. `strict`: an escape of a letter that means nothing is an error.
pub(super) fn parse(source: &str, strict: bool) -> Result<Node, ConstraintError> {
    let (groups, names) = groups(source);
    let mut parser = Parser { source, at: 0, strict, opened: 0, groups, names, depth: 0, flags: Flags::default() };
    let node = parser.alternation()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.error("`)` closes no group")),
    }
}

/// The flags that a group can set for its inside: `(?ims-ims:...)`.
#[derive(Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    multiline: bool,
    dot_all: bool,
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    strict: bool,
    /// The capturing groups opened so far, and in all.
    opened: usize,
    groups: usize,
    /// The named ones among them.
    names: Vec<(String, usize)>,
    depth: usize,
    flags: Flags,
}

/// The number of capturing groups and those that have a name.
fn groups(source: &str) -> (usize, Vec<(String, usize)>) {
    let (mut count, mut names, mut in_class, mut rest) = (0, Vec::new(), false, source);
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\\' => rest = rest.chars().next().map_or("", |escaped| &rest[escaped.len_utf8()..]),
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => match rest.strip_prefix("?<").filter(|after| !after.starts_with(['=', '!'])) {
                Some(after) => {
                    count += 1;
                    names.push((after.split('>').next().unwrap_or_default().to_owned(), count));
                }
                None if !rest.starts_with('?') => count += 1,
                None => {}
            },
            _ => {}
        }
    }
    (count, names)
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn error(&self, what: impl std::fmt::Display) -> ConstraintError {
        ConstraintError::invalid(format!("the pattern {:?} is no regular expression of ECMA-262: at byte {}, {what}", self.source, self.at))
    }

    fn alternation(&mut self) -> Result<Node, ConstraintError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(ConstraintError::too_large(format!("the pattern {:?} nests deeper than {DEPTH_LIMIT}", self.source)));
        }
        let mut branches = vec![self.concat()?];
        while self.take("|") {
            branches.push(self.concat()?);
        }
        self.depth -= 1;
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternation(branches) })
    }

    fn concat(&mut self) -> Result<Node, ConstraintError> {
        let mut nodes = Vec::new();
        while let Some(character) = self.peek().filter(|character| !matches!(character, '|' | ')')) {
            let begin = self.at;
            let node = self.atom(character)?;
            let read = &self.source[begin..self.at];
            let assertion = matches!(read, "^" | "$" | r"\b" | r"\B") || ["(?<=", "(?<!"].iter().any(|start| read.starts_with(start));
            match self.peek() {
                Some('*' | '+' | '?') if assertion => return Err(self.error("an assertion is repeated")),
                _ if assertion => nodes.push(node),
                _ => nodes.push(self.quantified(node)?),
            }
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Concat(nodes),
        })
    }

    fn atom(&mut self, character: char) -> Result<Node, ConstraintError> {
        let begin = self.at;
        self.next();
        Ok(match character {
            '^' if self.flags.multiline => either(Node::Start, behind(Node::Class(escapes::line_terminators()))),
            '$' if self.flags.multiline => either(Node::End, ahead(Node::Class(escapes::line_terminators()))),
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Class(match self.flags.dot_all {
                true => escapes::any(),
                false => escapes::negated(escapes::line_terminators()),
            }),
            '(' => return self.group(),
            '[' => Node::Class(self.class()?),
            '\\' => return self.escape(),
            '*' | '+' | '?' => {
                self.at = begin;
                return Err(self.error(format!("`{character}` repeats nothing")));
            }
            '{' if self.repetition()?.is_some() => {
                self.at = begin;
                return Err(self.error("`{` repeats nothing"));
            }
            literal => Node::Class(self.folded(escapes::one(literal))),
        })
    }

    /// The class with both cases of its letters, where case is ignored.
    fn folded(&self, mut class: ClassUnicode) -> ClassUnicode {
        if self.flags.ignore_case {
            class.case_fold_simple();
        }
        class
    }

    fn quantified(&mut self, node: Node) -> Result<Node, ConstraintError> {
        let begin = self.at;
        let (min, max) = match self.next() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.repetition()? {
                Some(limits) => limits,
                None => {
                    self.at = begin;
                    return Ok(node);
                }
            },
            _ => {
                self.at = begin;
                return Ok(node);
            }
        };
        let greedy = !self.take("?");
        if matches!(self.peek(), Some('*' | '+' | '?')) {
            return Err(self.error("a repetition is repeated"));
        }
        Ok(Node::Repeat { inner: Box::new(node), min, max, greedy })
    }

    /// The limits of `{m}`, `{m,}`, `{m,n}`, the brace taken; anything else leaves the brace a character.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, ConstraintError> {
        let Some((inside, _)) = self.rest().split_once('}') else { return Ok(None) };
        let (low, high) = inside.split_once(',').map_or((inside, None), |(low, high)| (low, Some(high)));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if low.is_empty() || !digits(low) || !high.is_none_or(digits) {
            return Ok(None);
        }
        let length = inside.len() + 1;
        let count = |text: &str| {
            text.parse::<u32>().map_err(|_| ConstraintError::too_large(format!("the pattern {:?} repeats {text} times", self.source)))
        };
        let min = count(low)?;
        let max = match high {
            None => Some(min),
            Some("") => None,
            Some(high) => Some(count(high)?),
        };
        if max.is_some_and(|max| max < min) {
            return Err(self.error("the limits of a repetition are out of order"));
        }
        self.at += length;
        Ok(Some((min, max)))
    }

    fn group(&mut self) -> Result<Node, ConstraintError> {
        let begin = self.at - 1;
        let flags = self.flags;
        let look = |ahead, negated| move |inner| Node::Look { ahead, negated, inner: Box::new(inner) };
        let wrap: Box<dyn FnOnce(Node) -> Node> = if self.take("?=") {
            Box::new(look(true, false))
        } else if self.take("?!") {
            Box::new(look(true, true))
        } else if self.take("?<=") {
            Box::new(look(false, false))
        } else if self.take("?<!") {
            Box::new(look(false, true))
        } else if self.take("?:") {
            Box::new(|inner| inner)
        } else if self.take("?<") {
            let source = self.source;
            let Some((name, _)) = source[self.at..].split_once('>') else { return Err(self.error("the name of a group is not closed")) };
            let starts = |character: char| character.is_alphabetic() || matches!(character, '_' | '$');
            if !name.starts_with(starts) || !name.chars().all(|character| starts(character) || character.is_alphanumeric()) {
                return Err(self.error(format!("{name:?} cannot name a group")));
            }
            self.at += name.len() + 1;
            self.capture()
        } else if self.take("?") {
            self.modifiers()?;
            Box::new(|inner| inner)
        } else {
            self.capture()
        };
        let inner = self.alternation()?;
        self.flags = flags;
        if !self.take(")") {
            self.at = begin;
            return Err(self.error("a group is not closed"));
        }
        Ok(wrap(inner))
    }

    fn capture(&mut self) -> Box<dyn FnOnce(Node) -> Node> {
        self.opened += 1;
        let index = self.opened;
        Box::new(move |inner| Node::Group(index, Box::new(inner)))
    }

    /// The flags of `(?i-s:...)`, up to the colon.
    fn modifiers(&mut self) -> Result<(), ConstraintError> {
        let source = self.source;
        let Some((flags, _)) = source[self.at..].split_once(':').filter(|(flags, _)| flags.bytes().all(|flag| b"ims-".contains(&flag)))
        else {
            return Err(self.error("`(?` begins no group; flags hold for a group, `(?i:...)`"));
        };
        let length = flags.len() + 1;
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let set = |flag, before| (before || on.contains(flag)) && !off.contains(flag);
        let Flags { ignore_case, multiline, dot_all } = self.flags;
        self.flags = Flags { ignore_case: set('i', ignore_case), multiline: set('m', multiline), dot_all: set('s', dot_all) };
        self.at += length;
        Ok(())
    }

    /// An escape outside a class, its backslash taken.
    fn escape(&mut self) -> Result<Node, ConstraintError> {
        match self.peek() {
            Some('b') => self.at += 1,
            Some('B') => {
                self.at += 1;
                return Ok(Node::WordBoundary { negated: true });
            }
            Some('1'..='9') => {
                let digits: String = self.rest().chars().take_while(char::is_ascii_digit).collect();
                match digits.parse::<usize>() {
                    Ok(index) if index <= self.groups => {
                        self.at += digits.len();
                        return Ok(Node::BackReference(vec![index]));
                    }
                    _ => return Err(self.error(format!("there is no group {digits} to refer back to"))),
                }
            }
            Some('k') if !self.names.is_empty() => {
                let name = self.rest()[1..].strip_prefix('<').and_then(|after| after.split_once('>')).map(|(name, _)| name.to_owned());
                let Some(name) = name else { return Err(self.error("`\\k` names no group")) };
                let named: Vec<usize> = self.names.iter().filter(|(other, _)| *other == name).map(|(_, index)| *index).collect();
                if named.is_empty() {
                    return Err(self.error(format!("no group is named {name:?}")));
                }
                self.at += name.len() + 3;
                return Ok(Node::BackReference(named));
            }
            _ => {
                let class = self.escaped_class()?;
                return Ok(Node::Class(self.folded(class)));
            }
        }
        Ok(Node::WordBoundary { negated: false })
    }

    /// The characters of an escape, its backslash taken.
    fn escaped_class(&mut self) -> Result<ClassUnicode, ConstraintError> {
        let (class, length) = escapes::class(self.rest(), self.strict).map_err(|what| match what {
            escapes::Problem::Syntax(what) => self.error(what),
            escapes::Problem::Unsupported(what) => ConstraintError::unsupported(format!("the pattern {:?} {what}", self.source)),
        })?;
        self.at += length;
        Ok(class)
    }

    /// A class, its opening bracket taken.
    fn class(&mut self) -> Result<ClassUnicode, ConstraintError> {
        let begin = self.at - 1;
        let negated = self.take("^");
        let mut class = ClassUnicode::empty();
        while let Some(low) = self.class_atom(begin)? {
            if !self.rest().starts_with('-') || self.rest().starts_with("-]") {
                class.union(&low);
                continue;
            }
            self.at += 1;
            let Some(high) = self.class_atom(begin)? else { break };
            match (single(&low), single(&high)) {
                (Some(low), Some(high)) if low <= high => class.push(ClassUnicodeRange::new(low, high)),
                (Some(low), Some(high)) => return Err(self.error(format!("the range {low}-{high} is out of order"))),
                // `[\d-x]`: the hyphen is a character.
                _ => {
                    class.union(&low);
                    class.union(&escapes::one('-'));
                    class.union(&high);
                }
            }
        }
        let class = self.folded(class);
        Ok(if negated { escapes::negated(class) } else { class })
    }

    /// One character or escape of a class; `None` where the class ends.
    fn class_atom(&mut self, begin: usize) -> Result<Option<ClassUnicode>, ConstraintError> {
        match self.next() {
            None => {
                self.at = begin;
                Err(self.error("a class is not closed"))
            }
            Some(']') => Ok(None),
            Some('\\') if self.take("b") => Ok(Some(escapes::one('\u{8}'))),
            Some('\\') => self.escaped_class().map(Some),
            Some(character) => Ok(Some(escapes::one(character))),
        }
    }
}

fn single(class: &ClassUnicode) -> Option<char> {
    match class.ranges() {
        [range] if range.start() == range.end() => Some(range.start()),
        _ => None,
    }
}

fn either(a: Node, b: Node) -> Node {
    Node::Alternation(vec![a, b])
}

fn ahead(inner: Node) -> Node {
    Node::Look { ahead: true, negated: false, inner: Box::new(inner) }
}

fn behind(inner: Node) -> Node {
    Node::Look { ahead: false, negated: false, inner: Box::new(inner) }
}
