//! From the tree of a pattern to the form that `regex-automata` compiles, with a mark for each
//! look-around.

use super::escapes;
use super::syntax::Node;
use regex_syntax::hir::{Capture, Class, Hir, Look, Repetition};

/// The pattern's regular part. Each look-around is written as an empty capture whose index is its place
/// in `looks`, from 1, and is left to `alternating.rs`. There are no back-references.
pub(super) fn hir<'a>(node: &'a Node, looks: &mut Vec<&'a Node>) -> Hir {
    match node {
        Node::Empty | Node::BackReference(_) => Hir::empty(),
        Node::Class(class) => Hir::class(Class::Unicode(class.clone())),
        Node::Concat(nodes) => Hir::concat(nodes.iter().map(|node| hir(node, looks)).collect()),
        Node::Alternation(nodes) => Hir::alternation(nodes.iter().map(|node| hir(node, looks)).collect()),
        Node::Repeat { inner, min, max, greedy } => {
            Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub: Box::new(hir(inner, looks)) })
        }
        Node::Group(_, inner) => hir(inner, looks),
        Node::Start => Hir::look(Look::Start),
        Node::End => Hir::look(Look::End),
        Node::WordBoundary { negated } => Hir::look(if *negated { Look::WordAsciiNegate } else { Look::WordAscii }),
        Node::Look { .. } => {
            looks.push(node);
            Hir::capture(Capture { index: looks.len() as u32, name: None, sub: Box::new(Hir::empty()) })
        }
    }
}

/// Any characters, any number of them.
pub(super) fn anything() -> Hir {
    let any = Hir::class(Class::Unicode(escapes::any()));
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(any) })
}

/// A pattern that matches more: without back-references, and less to compile the higher the `level`.
///
/// Level 0 takes a back-reference for any text of its group. Level 1 also forgets the upper limits of
/// repetitions and lowers the lower ones; level 2 also forgets look-around.
pub(super) fn relaxed(node: &Node, level: u8) -> Node {
    Relaxation { groups: &groups(node), level }.relaxed(node)
}

/// Whether [`relaxed`] at level 0 is the pattern itself.
pub(super) fn has_back_references(node: &Node) -> bool {
    match node {
        Node::BackReference(_) => true,
        Node::Concat(nodes) | Node::Alternation(nodes) => nodes.iter().any(has_back_references),
        Node::Repeat { inner, .. } | Node::Group(_, inner) | Node::Look { inner, .. } => has_back_references(inner),
        _ => false,
    }
}

/// The limit of repetitions from level 1 on.
const COUNTED: u32 = 16;

struct Relaxation<'a> {
    groups: &'a [(usize, &'a Node)],
    level: u8,
}

impl Relaxation<'_> {
    fn relaxed(&self, node: &Node) -> Node {
        match node {
            Node::Concat(nodes) => Node::Concat(nodes.iter().map(|node| self.relaxed(node)).collect()),
            Node::Alternation(nodes) => Node::Alternation(nodes.iter().map(|node| self.relaxed(node)).collect()),
            Node::Repeat { inner, min, max, greedy } => {
                let inner = Box::new(self.relaxed(inner));
                let (min, max) = match self.level {
                    0 => (*min, *max),
                    _ => ((*min).min(COUNTED), max.filter(|max| *max <= COUNTED)),
                };
                Node::Repeat { inner, min, max, greedy: *greedy }
            }
            Node::Group(index, inner) => Node::Group(*index, Box::new(self.relaxed(inner))),
            // A look-ahead that must fail may not be widened.
            Node::Look { negated: true, .. } if self.level > 0 || has_back_references(node) => Node::Empty,
            Node::Look { .. } if self.level > 1 => Node::Empty,
            Node::Look { ahead, negated, inner } => Node::Look { ahead: *ahead, negated: *negated, inner: Box::new(self.relaxed(inner)) },
            Node::BackReference(indices) => {
                let inside = indices.iter().filter_map(|index| self.groups.iter().find(|(group, _)| group == index));
                Node::Alternation(std::iter::once(Node::Empty).chain(inside.map(|(_, node)| captured(node))).collect())
            }
            other => other.clone(),
        }
    }
}

/// What a group may have captured, as far as that is the same elsewhere.
fn captured(node: &Node) -> Node {
    match node {
        Node::Concat(nodes) => Node::Concat(nodes.iter().map(captured).collect()),
        Node::Alternation(nodes) => Node::Alternation(nodes.iter().map(captured).collect()),
        Node::Repeat { inner, min, max, greedy } => {
            Node::Repeat { inner: Box::new(captured(inner)), min: *min, max: *max, greedy: *greedy }
        }
        Node::Group(_, inner) => captured(inner),
        Node::Class(_) => node.clone(),
        Node::BackReference(_) => Node::Repeat { inner: Box::new(Node::Class(escapes::any())), min: 0, max: None, greedy: true },
        Node::Empty | Node::Start | Node::End | Node::WordBoundary { .. } | Node::Look { .. } => Node::Empty,
    }
}

/// All capturing groups, with their insides.
fn groups(node: &Node) -> Vec<(usize, &Node)> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match node {
            Node::Concat(nodes) | Node::Alternation(nodes) => open.extend(nodes),
            Node::Repeat { inner, .. } | Node::Look { inner, .. } => open.push(inner),
            Node::Group(index, inner) => {
                found.push((*index, &**inner));
                open.push(inner);
            }
            _ => {}
        }
    }
    found
}
