//! Unrolled applicators: all the nodes that judge one value, and the verdict from their own rules.
//!
//! A plan begins with some *roots*, the nodes that a value is sent to, and lists every node that these
//! reach without leaving the value, each once, callers before callees. While the value is being written
//! a node's own rules are known to hold, known to fail, or open; `Plan::own_verdicts` and what follows combine them in
//! Kleene's three-valued logic, so that a branch counts as failed as soon as it has and no sooner.

use super::node::{Kind, Node, NodeId};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// A verdict that may still be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Verdict {
    Fails,
    Open,
    Holds,
}

impl Verdict {
    fn not(self) -> Self {
        match self {
            Self::Fails => Self::Holds,
            Self::Open => Self::Open,
            Self::Holds => Self::Fails,
        }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

/// One verdict for each entry of a plan.
pub(super) type Verdicts = SmallVec<[Verdict; 8]>;

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) entries: Vec<Entry>,
    /// The entries of the roots, in their order.
    pub(super) roots: SmallVec<[u16; 2]>,
}

/// A node and the entries of the nodes that it applies to the same value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    all: Vec<u16>,
    any: Vec<Vec<u16>>,
    one: Vec<Vec<u16>>,
    not: Vec<u16>,
    conditional: Option<(u16, u16, u16)>,
    dependent: Vec<(Arc<str>, u16)>,
}

impl Plan {
    /// The plan of `roots`, which must not repeat. The graph has no cycle of applicators: compiling
    /// refuses those.
    pub(super) fn new(nodes: &[Node], roots: &[NodeId]) -> Self {
        let mut finished: Vec<NodeId> = Vec::new();
        let mut seen: HashMap<NodeId, ()> = HashMap::new();
        // Depth first without recursion; a node is finished after all that it applies.
        let mut open: Vec<(NodeId, bool)> = roots.iter().rev().map(|root| (*root, false)).collect();
        while let Some((id, left)) = open.pop() {
            if left {
                finished.push(id);
            } else if seen.insert(id, ()).is_none() {
                open.push((id, true));
                open.extend(nodes[id.0 as usize].applicators.nodes().map(|id| (id, false)));
            }
        }
        finished.reverse();
        let place: HashMap<NodeId, u16> = finished.iter().enumerate().map(|(at, id)| (*id, at as u16)).collect();
        let at = |id: &NodeId| place[id];
        let list = |ids: &Vec<NodeId>| ids.iter().map(at).collect::<Vec<_>>();
        let entries = finished
            .iter()
            .map(|id| {
                let applicators = &nodes[id.0 as usize].applicators;
                Entry {
                    node: *id,
                    all: list(&applicators.all),
                    any: applicators.any.iter().map(list).collect(),
                    one: applicators.one.iter().map(list).collect(),
                    not: list(&applicators.not),
                    conditional: applicators.conditional.map(|(a, b, c)| (at(&a), at(&b), at(&c))),
                    dependent: applicators.dependent.iter().map(|(name, id)| (name.clone(), at(id))).collect(),
                }
            })
            .collect();
        Self { entries, roots: roots.iter().map(at).collect() }
    }

    /// The nodes' own verdicts on a value of which only the kind is known.
    pub(super) fn own_verdicts(&self, nodes: &[Node], kind: Kind) -> Verdicts {
        self.entries
            .iter()
            .map(|entry| {
                let node = &nodes[entry.node.0 as usize];
                match (node.allows_kind(kind), node.holds_for(kind)) {
                    (false, _) => Verdict::Fails,
                    (true, true) => Verdict::Holds,
                    (true, false) => Verdict::Open,
                }
            })
            .collect()
    }

    /// Turns the nodes' own verdicts into those of the nodes with all that they apply, in place.
    /// `present` tells whether an object has a property: certainly, certainly not, or not yet. `also`
    /// judges an entry once all that it applies are decided.
    pub(super) fn combine(
        &self,
        verdicts: &mut Verdicts,
        present: impl Fn(&str) -> Verdict,
        mut also: impl FnMut(usize, &[Verdict]) -> bool,
    ) {
        for at in (0..self.entries.len()).rev() {
            let entry = &self.entries[at];
            if verdicts[at] == Verdict::Fails {
                continue;
            }
            verdicts[at] = verdicts[at].min(entry.applied(verdicts, &present));
            if verdicts[at] != Verdict::Fails && !also(at, verdicts) {
                verdicts[at] = Verdict::Fails;
            }
        }
    }

    /// Whether the entry at `at`, or one that it applies and that holds, evaluates a member by itself.
    /// `own` tells of an entry's own rules; `combined` are final verdicts, or all `Open` to ask whether it
    /// may come to be evaluated.
    pub(super) fn evaluates(
        &self,
        at: u16,
        combined: &[Verdict],
        present: &dyn Fn(&str) -> Verdict,
        own: &dyn Fn(u16) -> bool,
        include_self: bool,
    ) -> bool {
        let entry = &self.entries[usize::from(at)];
        if include_self && own(at) {
            return true;
        }
        let below = |at: &u16| combined[usize::from(*at)] != Verdict::Fails && self.evaluates(*at, combined, present, own, true);
        entry.all.iter().any(below)
            || entry.any.iter().flatten().any(below)
            || entry.one.iter().flatten().any(below)
            || entry.conditional.is_some_and(|(condition, then, otherwise)| {
                let holds = combined[usize::from(condition)];
                (holds != Verdict::Fails && (below(&condition) || below(&then))) || (holds != Verdict::Holds && below(&otherwise))
            })
            || entry.dependent.iter().any(|(name, at)| present(name) != Verdict::Fails && below(at))
    }
}

impl Entry {
    fn applied(&self, verdicts: &[Verdict], present: &impl Fn(&str) -> Verdict) -> Verdict {
        let of = |at: &u16| verdicts[usize::from(*at)];
        let mut verdict = Verdict::Holds;
        for at in &self.all {
            verdict = verdict.min(of(at));
        }
        for list in &self.any {
            verdict = verdict.min(list.iter().map(of).max().unwrap_or(Verdict::Fails));
        }
        for list in &self.one {
            verdict = verdict.min(exactly_one(list.iter().map(of)));
        }
        for at in &self.not {
            verdict = verdict.min(of(at).not());
        }
        if let Some((condition, then, otherwise)) = &self.conditional {
            let (condition, then, otherwise) = (of(condition), of(then), of(otherwise));
            let either = condition.min(then).max(condition.not().min(otherwise));
            // Where both branches hold the condition does not matter.
            verdict = verdict.min(either.max(then.min(otherwise)));
        }
        for (name, at) in &self.dependent {
            verdict = verdict.min(present(name).not().max(of(at)));
        }
        verdict
    }
}

fn exactly_one(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let (mut holding, mut open) = (0, 0);
    for verdict in verdicts {
        match verdict {
            Verdict::Holds => holding += 1,
            Verdict::Open => open += 1,
            Verdict::Fails => {}
        }
    }
    match (holding, open) {
        (1, 0) => Verdict::Holds,
        (2.., _) | (0, 0) => Verdict::Fails,
        _ => Verdict::Open,
    }
}
