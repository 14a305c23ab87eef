//! Matching a whole text by backtracking, exactly as ECMA-262 has it.
//!
//! For patterns that no automaton of bearable size stands for: back-references, and repetitions that
//! would unroll to millions of states. The tree is compiled to instructions for a machine with an
//! explicit stack, so that no text can exhaust the program's own. Without back-references a place is
//! never tried twice, which keeps the time polynomial; with them a number of steps is the limit.

use super::escapes;
use super::syntax::Node;
use regex_syntax::hir::ClassUnicode;
use std::collections::HashSet;

/// A pattern, compiled.
#[derive(Debug)]
pub(super) struct Matcher {
    code: Vec<Instruction>,
    registers: usize,
    captures: bool,
    word: ClassUnicode,
}

#[derive(Debug)]
enum Instruction {
    /// One character of the class, before the position where `back`.
    Class {
        class: ClassUnicode,
        back: bool,
    },
    /// Go on at the first; if that fails, at the second.
    Split(usize, usize),
    Jump(usize),
    /// Keeps the position.
    Save(usize),
    Clear(std::ops::Range<usize>),
    Zero(usize),
    /// Counts up to the second number, and forgets the position kept in the register that follows.
    Increment(usize, u32),
    /// Goes on only if the register holds at least, or less than, this.
    AtLeast(usize, u32),
    Below(usize, u32),
    /// Goes on only if the register holds less than this, or the position has moved since it was kept in the
    /// register that follows.
    BelowOrMoved(usize, u32),
    BackReference {
        groups: Vec<usize>,
        back: bool,
    },
    Start,
    End,
    WordBoundary {
        negated: bool,
    },
    /// Runs the instructions after it up to their `Match`; goes on at `after`.
    Look {
        negated: bool,
        after: usize,
    },
    Match,
}

/// The most steps of one match, and places to come back to.
const STEP_LIMIT: usize = 2_000_000;
const STACK_LIMIT: usize = 200_000;
/// A register that holds nothing.
const EMPTY: usize = usize::MAX;

impl Matcher {
    pub(super) fn new(node: &Node, captures: bool) -> Self {
        let groups = groups(node);
        let mut compiler = Compiler { code: Vec::new(), registers: 2 * (groups + 1), captures };
        compiler.node(node, false);
        compiler.code.push(Instruction::Match);
        Self { code: compiler.code, registers: compiler.registers, captures, word: escapes::word() }
    }

    /// Whether some part of `text` matches; `None` where that would take too long to tell.
    pub(super) fn matches(&self, text: &str) -> Option<bool> {
        let text: Vec<char> = text.chars().collect();
        let mut run = Run { matcher: self, text: &text, steps: 0, tried: HashSet::new() };
        for start in 0..=text.len() {
            let mut registers = vec![EMPTY; self.registers];
            if run.from(0, start, &mut registers)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

fn groups(node: &Node) -> usize {
    match node {
        Node::Concat(nodes) | Node::Alternation(nodes) => nodes.iter().map(groups).max().unwrap_or(0),
        Node::Repeat { inner, .. } | Node::Look { inner, .. } => groups(inner),
        Node::Group(index, inner) => (*index).max(groups(inner)),
        _ => 0,
    }
}

struct Compiler {
    code: Vec<Instruction>,
    registers: usize,
    captures: bool,
}

impl Compiler {
    fn node(&mut self, node: &Node, back: bool) {
        match node {
            Node::Empty => {}
            Node::Class(class) => self.code.push(Instruction::Class { class: class.clone(), back }),
            Node::Concat(nodes) if back => nodes.iter().rev().for_each(|node| self.node(node, back)),
            Node::Concat(nodes) => nodes.iter().for_each(|node| self.node(node, back)),
            Node::Alternation(nodes) => self.alternation(nodes, back),
            Node::Repeat { inner, min, max, greedy } => self.repeat(inner, *min, *max, *greedy, back),
            Node::Group(_, inner) if !self.captures => self.node(inner, back),
            Node::Group(index, inner) => {
                self.code.push(Instruction::Save(2 * index + usize::from(back)));
                self.node(inner, back);
                self.code.push(Instruction::Save(2 * index + usize::from(!back)));
            }
            Node::BackReference(groups) => self.code.push(Instruction::BackReference { groups: groups.clone(), back }),
            Node::Start => self.code.push(Instruction::Start),
            Node::End => self.code.push(Instruction::End),
            Node::WordBoundary { negated } => self.code.push(Instruction::WordBoundary { negated: *negated }),
            Node::Look { ahead, negated, inner } => {
                let look = self.hole();
                self.node(inner, !ahead);
                self.code.push(Instruction::Match);
                self.code[look] = Instruction::Look { negated: *negated, after: self.code.len() };
            }
        }
    }

    /// An instruction that is written later.
    fn hole(&mut self) -> usize {
        self.code.push(Instruction::Match);
        self.code.len() - 1
    }

    fn alternation(&mut self, nodes: &[Node], back: bool) {
        let mut ends = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let last = at + 1 == nodes.len();
            let split = (!last).then(|| self.hole());
            self.node(node, back);
            if let Some(split) = split {
                ends.push(self.hole());
                self.code[split] = Instruction::Split(split + 1, self.code.len());
            }
        }
        let end = self.code.len();
        ends.into_iter().for_each(|hole| self.code[hole] = Instruction::Jump(end));
    }

    fn repeat(&mut self, inner: &Node, min: u32, max: Option<u32>, greedy: bool, back: bool) {
        let (count, kept) = (self.registers, self.registers + 1);
        self.registers += 2;
        self.code.push(Instruction::Zero(count));
        let top = self.hole();
        if let Some(max) = max {
            self.code.push(Instruction::Below(count, max));
        }
        self.code.push(Instruction::Save(kept));
        if let Some((first, last)) = captured(inner).filter(|_| self.captures) {
            self.code.push(Instruction::Clear(2 * first..2 * last + 2));
        }
        self.node(inner, back);
        // A turn that takes nothing fails, unless it is still wanted.
        self.code.push(Instruction::BelowOrMoved(count, min));
        self.code.push(Instruction::Increment(count, max.unwrap_or(min)));
        self.code.push(Instruction::Jump(top));
        let end = self.code.len();
        self.code.push(Instruction::AtLeast(count, min));
        self.code[top] = if greedy { Instruction::Split(top + 1, end) } else { Instruction::Split(end, top + 1) };
    }
}

/// The first and last group in a node.
fn captured(node: &Node) -> Option<(usize, usize)> {
    let join = |a: Option<(usize, usize)>, b: Option<(usize, usize)>| match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    };
    match node {
        Node::Concat(nodes) | Node::Alternation(nodes) => nodes.iter().map(captured).fold(None, join),
        Node::Repeat { inner, .. } | Node::Look { inner, .. } => captured(inner),
        Node::Group(index, inner) => join(Some((*index, *index)), captured(inner)),
        _ => None,
    }
}

struct Run<'a> {
    matcher: &'a Matcher,
    text: &'a [char],
    steps: usize,
    /// Where a choice was made before, without success.
    tried: HashSet<(usize, usize, Vec<usize>)>,
}

impl Run<'_> {
    /// Whether the instructions from `at` match at `position`; the registers then hold what was captured.
    fn from(&mut self, at: usize, position: usize, registers: &mut Vec<usize>) -> Option<bool> {
        let mut stack: Vec<(usize, usize, Vec<usize>)> = Vec::new();
        let (mut at, mut position) = (at, position);
        loop {
            self.steps += 1;
            if self.steps > STEP_LIMIT || stack.len() > STACK_LIMIT {
                return None;
            }
            let goes_on = match &self.matcher.code[at] {
                Instruction::Match => return Some(true),
                Instruction::Split(first, second) => {
                    if self.matcher.captures || self.tried.insert((at, position, registers.clone())) {
                        stack.push((*second, position, registers.clone()));
                        at = *first;
                        continue;
                    }
                    false
                }
                Instruction::Jump(to) => {
                    at = *to;
                    continue;
                }
                Instruction::Look { negated, after } => {
                    let mut inside = registers.clone();
                    // What was tried in an earlier run of the look-around may have matched.
                    let tried = std::mem::take(&mut self.tried);
                    let matches = self.from(at + 1, position, &mut inside)?;
                    self.tried = tried;
                    if matches != *negated {
                        if matches {
                            *registers = inside;
                        }
                        at = *after;
                        continue;
                    }
                    false
                }
                instruction => self.simple(instruction, &mut position, registers),
            };
            if goes_on {
                at += 1;
                continue;
            }
            match stack.pop() {
                None => return Some(false),
                Some(choice) => (at, position, *registers) = choice,
            }
        }
    }

    /// An instruction that the next one follows, or nothing.
    fn simple(&self, instruction: &Instruction, position: &mut usize, registers: &mut [usize]) -> bool {
        match instruction {
            Instruction::Class { class, back } => {
                let Some(character) = self.beside(*position, *back) else { return false };
                *position = if *back { *position - 1 } else { *position + 1 };
                contains(class, character)
            }
            Instruction::Save(register) => {
                registers[*register] = *position;
                true
            }
            Instruction::Clear(range) => {
                registers[range.clone()].fill(EMPTY);
                true
            }
            Instruction::Zero(register) => {
                registers[*register] = 0;
                true
            }
            Instruction::Increment(register, limit) => {
                registers[*register] = (registers[*register] + 1).min(*limit as usize);
                registers[*register + 1] = EMPTY;
                true
            }
            Instruction::AtLeast(register, min) => registers[*register] >= *min as usize,
            Instruction::Below(register, max) => registers[*register] < *max as usize,
            Instruction::BelowOrMoved(register, min) => registers[*register] < *min as usize || registers[*register + 1] != *position,
            Instruction::BackReference { groups, back } => self.refers_back(groups, *back, position, registers),
            Instruction::Start => *position == 0,
            Instruction::End => *position == self.text.len(),
            Instruction::WordBoundary { negated } => {
                let word = |back| self.beside(*position, back).is_some_and(|character| contains(&self.matcher.word, character));
                (word(true) != word(false)) != *negated
            }
            Instruction::Split(..) | Instruction::Jump(_) | Instruction::Look { .. } | Instruction::Match => false,
        }
    }

    /// A group that captured nothing refers back to the empty text.
    fn refers_back(&self, groups: &[usize], back: bool, position: &mut usize, registers: &[usize]) -> bool {
        let captured = groups.iter().map(|group| (registers[2 * group], registers[2 * group + 1]));
        let Some((from, to)) = captured.into_iter().find(|(from, to)| *from != EMPTY && *to != EMPTY) else { return true };
        let wanted = &self.text[from..to];
        let (begin, end) = match back {
            false => (*position, *position + wanted.len()),
            true => match position.checked_sub(wanted.len()) {
                Some(begin) => (begin, *position),
                None => return false,
            },
        };
        *position = if back { begin } else { end };
        self.text.get(begin..end) == Some(wanted)
    }

    fn beside(&self, position: usize, back: bool) -> Option<char> {
        let at = if back { position.checked_sub(1)? } else { position };
        self.text.get(at).copied()
    }
}

fn contains(class: &ClassUnicode, character: char) -> bool {
    let at = class.ranges().partition_point(|range| range.end() < character);
    class.ranges().get(at).is_some_and(|range| range.start() <= character)
}
