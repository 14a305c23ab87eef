//! What must still come: bytes that are forced, and the fewest that end the text.
//!
//! The fewest bytes are a lower bound. It counts, for every open value, what the rules ask that hold for
//! certain: missing required properties, items below `minItems`, the rest of strings. Branches count with
//! the cheapest of them, and whatever is negated with nothing.

use super::JsonSchema;
use super::container::{Body, Container};
use super::expected::{Expected, ExpectedId, Meaning};
use super::machine::{JsonState, Place};
use super::node::{Kind, Node, NodeId};
use super::open_string::OpenString;
use super::plan::{Plan, Verdict};
use std::sync::Arc;

/// As good as endless: no value satisfies the node.
const ENDLESS: u64 = 1 << 40;
/// Recursive schemas are followed so many levels down.
const ROUNDS: usize = 8;
/// The longest string that is told to be forced at once.
const FORCED_LIMIT: usize = 256;

impl JsonSchema {
    /// The bytes that must come next, as far as they are one string.
    pub(super) fn forced_bytes(&self, state: &JsonState, out: &mut Vec<u8>) {
        let mut state = state.clone();
        for _ in 0..FORCED_LIMIT {
            let open = match &state.place {
                Place::InString(string) => string.is_free(),
                Place::InName { .. } => !state.top.as_ref().is_some_and(|top| self.judges_names(top)),
                Place::InNumber(_) | Place::InLiteral { .. } => false,
                // White space may come.
                _ => self.options.indent.is_none() && state.whitespace < self.options.max_whitespace,
            };
            if open || self.is_complete(&state) {
                return;
            }
            let mut next = None;
            for byte in 0..=255 {
                let mut after = state.clone();
                if self.take(&mut after, &[byte]).is_ok() {
                    if next.is_some() {
                        return;
                    }
                    next = Some((byte, after));
                }
            }
            let Some((byte, after)) = next else { return };
            out.push(byte);
            state = after;
        }
    }

    /// A lower bound on the bytes from here to the end of the text.
    pub(super) fn fewest_bytes(&self, state: &JsonState) -> u64 {
        let mut containers: Vec<&Arc<Container>> = Vec::new();
        let mut at = state.top.as_ref();
        while let Some(container) = at {
            containers.push(container);
            at = container.parent.as_ref();
        }
        // From the outermost inwards: which entries must hold for the document to.
        let mut around: Option<(&Body, Vec<bool>)> = None;
        let mut bytes = 0;
        for (level, container) in containers.iter().rev().enumerate() {
            let needed = self.needed(self.expected(container.expected), around.as_ref());
            let innermost = level + 1 == containers.len();
            bytes += self.bytes_of_container(container, &needed, innermost.then_some(&state.place));
            around = Some((container, needed));
        }
        bytes + self.bytes_of_place(&state.place, around.as_ref())
    }

    /// Which entries of a value's plan must hold for the document to.
    fn needed(&self, expected: &Expected, around: Option<&(&Body, Vec<bool>)>) -> Vec<bool> {
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return Vec::new() };
        let mut needed = vec![false; plan.entries.len()];
        match around {
            None => needed[usize::from(plan.roots[0])] = true,
            Some((container, above)) => {
                for link in expected.links.iter().filter(|link| link.meaning == Meaning::Must) {
                    if above[usize::from(link.entry)] && container.is_open(link.entry) {
                        needed[usize::from(plan.roots[usize::from(link.root)])] = true;
                    }
                }
            }
        }
        for at in 0..needed.len() {
            if needed[at] {
                plan.entries[at].all.iter().for_each(|below| needed[usize::from(*below)] = true);
            }
        }
        needed
    }

    fn needed_nodes<'a>(&'a self, plan: Option<&'a Plan>, needed: &'a [bool]) -> impl Iterator<Item = (usize, &'a Node)> {
        let entries = plan.into_iter().flat_map(|plan| &plan.entries).zip(needed).enumerate();
        entries.filter(|(_, (_, needed))| **needed).map(|(at, (entry, _))| (at, self.node(entry.node)))
    }

    /// What an open container still needs besides the member that is being written, with its bracket.
    /// `place` is where it stands, for the innermost one.
    fn bytes_of_container(&self, container: &Body, needed: &[bool], place: Option<&Place>) -> u64 {
        let nodes = self.needed_nodes(self.plan_around(container), needed).filter(|(at, _)| container.is_open(*at as u16));
        if let Some(array) = container.array() {
            // An item that is being written or must come is counted for itself.
            let begun = match place {
                None | Some(Place::Value { or_end: false, .. }) => 1,
                Some(Place::Value { .. } | Place::After) => 0,
                Some(_) => 1,
            };
            let first = u64::from(matches!(place, Some(Place::Value { or_end: true, .. })));
            let missing = |node: &Node| {
                let count = node.arrays.min_items.unwrap_or(0).saturating_sub(array.count + begun);
                let item = node.arrays.items.map_or(1, |items| if node.arrays.prefix.is_empty() { self.least_bytes(items) } else { 1 });
                count.saturating_mul(item + 1).saturating_sub(first.min(count)).min(ENDLESS)
            };
            return 1 + nodes.map(|(_, node)| missing(node)).max().unwrap_or(0);
        }
        let missing = |node: &Node| {
            let names = node.objects.required.iter().filter(|name| !container.has_seen(name));
            // Quotes, colon, comma.
            names.map(|name| name.len() as u64 + 4 + self.least_property(node, name)).sum::<u64>().min(ENDLESS)
        };
        let missing = nodes.map(|(_, node)| missing(node)).max().unwrap_or(0);
        match place {
            // The first has no comma before it.
            Some(Place::Name { or_end: true }) => 1 + missing.saturating_sub(1),
            Some(Place::Name { or_end: false }) => 1 + missing.saturating_sub(1).max(4),
            Some(Place::InName { name, .. }) => 1 + missing.saturating_sub(2 + name.len() as u64).max(3),
            _ => 1 + missing,
        }
    }

    fn bytes_of_place(&self, place: &Place, around: Option<&(&Body, Vec<bool>)>) -> u64 {
        match place {
            Place::Value { or_end: true, .. } | Place::Name { .. } | Place::InName { .. } | Place::After => 0,
            Place::Value { expected, .. } => self.least_expected(*expected, around),
            Place::Colon { expected } => 1 + self.least_expected(*expected, around),
            Place::InLiteral { missing, .. } => missing.len() as u64,
            Place::InNumber(number) => u64::from(!number.phase.is_complete()),
            Place::InString(string) => 1 + self.least_of_string(string, around),
        }
    }

    fn least_expected(&self, id: ExpectedId, around: Option<&(&Body, Vec<bool>)>) -> u64 {
        let expected = self.expected(id);
        let needed = self.needed(expected, around);
        let plan = expected.plan.map(|plan| self.plan(plan));
        let nodes = plan.into_iter().flat_map(|plan| &plan.entries).zip(needed).filter(|(_, needed)| *needed);
        nodes.map(|(entry, _)| self.least_bytes(entry.node)).max().unwrap_or(1)
    }

    fn least_of_string(&self, string: &OpenString, around: Option<&(&Body, Vec<bool>)>) -> u64 {
        let expected = self.expected(string.expected);
        let needed = self.needed(expected, around);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return 0 };
        string.least_bytes(self, plan, |entry| needed[entry] && string.own[entry] == Verdict::Open)
    }

    fn least_property(&self, node: &Node, name: &str) -> u64 {
        let mut least = 1;
        node.objects.children(name, |child| least = least.max(self.least_bytes(child)));
        least
    }

    /// A lower bound on the bytes of a value that satisfies a node.
    fn least_bytes(&self, node: NodeId) -> u64 {
        self.least.get_or_init(|| {
            let mut least = vec![1; self.nodes.len()];
            for _ in 0..ROUNDS {
                let next: Vec<u64> = self.nodes.iter().map(|node| least_of_node(node, &least)).collect();
                if next == least {
                    break;
                }
                least = next;
            }
            least
        })[node.index()]
    }
}

/// The least bytes of a value of a node, given such bounds for all nodes.
fn least_of_node(node: &Node, least: &[u64]) -> u64 {
    let of = |id: &NodeId| least[id.index()];
    let kinds = Kind::ALL.into_iter().filter(|kind| node.allows_kind(*kind));
    let own = kinds.map(|kind| least_of_kind(node, kind, least)).min().unwrap_or(ENDLESS);
    let all = node.applicators.all.iter().map(of);
    let lists = node.applicators.any.iter().chain(&node.applicators.one);
    let any = lists.map(|list| list.iter().map(of).min().unwrap_or(ENDLESS));
    all.chain(any).fold(own, u64::max).min(ENDLESS)
}

fn least_of_kind(node: &Node, kind: Kind, least: &[u64]) -> u64 {
    match kind {
        Kind::Null | Kind::True => 4,
        Kind::False => 5,
        Kind::Number => 1,
        Kind::String => {
            let listed = node.enumeration.as_ref().and_then(|list| list.strings.iter().map(String::len).min()).unwrap_or(0) as u64;
            let matched = node.strings.automata().iter().map(|automaton| automaton.fewest_bytes(automaton.start()));
            let matched = matched.max().unwrap_or(0);
            2 + listed.max(matched).max(node.strings.min_length.unwrap_or(0)).min(ENDLESS)
        }
        Kind::Array => {
            let count = node.arrays.min_items.unwrap_or(0);
            let prefix = node.arrays.prefix.iter().take(usize::try_from(count).unwrap_or(usize::MAX));
            let prefix: u64 = prefix.map(|item| least[item.index()]).fold(0, u64::saturating_add);
            let rest = count.saturating_sub(node.arrays.prefix.len() as u64);
            let item = node.arrays.items.map_or(1, |items| least[items.index()]);
            let commas = count.saturating_sub(1);
            prefix.saturating_add(rest.saturating_mul(item)).saturating_add(commas).saturating_add(2).min(ENDLESS)
        }
        Kind::Object => {
            let members = node.objects.required.iter().map(|name| {
                let mut value = 1;
                node.objects.children(name, |child| value = value.max(least[child.index()]));
                name.len() as u64 + 3 + value
            });
            let commas = (node.objects.required.len() as u64).saturating_sub(1);
            (2 + commas + members.fold(0, u64::saturating_add)).min(ENDLESS)
        }
    }
}
