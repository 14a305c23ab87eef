//! Unrolled applicators: all the nodes that judge one value, and the verdict from their own rules.
//!
//! A plan begins with some *roots*, the nodes that a value is sent to, and lists every node that these
//! reach without leaving the value, each once, callers before callees. While the value is being written
//! a node's own rules are known to hold, known to fail, or open; `Plan::combine` joins them in
//! Kleene's three-valued logic, so that a branch counts as failed as soon as it has and no sooner.

use super::members::{ArrayPlan, ObjectPlan};
use super::node::{Kind, Node, NodeId};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

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
    /// The entries' own verdicts on a value of which only the kind is known.
    own_by_kind: [Verdicts; 7],
    /// The same with all that they apply.
    by_kind: [Verdicts; 7],
    /// For each entry the roots that reach it, as bits; empty where there is one root, or more than 64.
    reached_by: Vec<u64>,
    /// What the members of an object or array are sent to; worked out when the first one is met.
    pub(super) object: OnceLock<ObjectPlan>,
    pub(super) array: OnceLock<ArrayPlan>,
}

/// A node and the entries of the nodes that it applies to the same value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: NodeId,
    /// Whether it applies nothing.
    leaf: bool,
    /// Whether it stands for a value of a list, and evaluates nothing.
    is_value: bool,
    pub(super) all: Vec<u16>,
    pub(super) any: Vec<Vec<u16>>,
    pub(super) one: Vec<Vec<u16>>,
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
                open.extend(nodes[id.index()].applicators.nodes().map(|id| (id, false)));
            }
        }
        finished.reverse();
        let place: HashMap<NodeId, u16> = finished.iter().enumerate().map(|(at, id)| (*id, at as u16)).collect();
        let at = |id: &NodeId| place[id];
        let list = |ids: &Vec<NodeId>| ids.iter().map(at).collect::<Vec<_>>();
        let entries: Vec<Entry> = finished
            .iter()
            .map(|id| {
                let applicators = &nodes[id.index()].applicators;
                Entry {
                    node: *id,
                    leaf: applicators.nodes().next().is_none(),
                    is_value: nodes[id.index()].is_value,
                    all: list(&applicators.all),
                    any: applicators.any.iter().map(list).collect(),
                    one: applicators.one.iter().map(list).collect(),
                    not: list(&applicators.not),
                    conditional: applicators.conditional.map(|(a, b, c)| (at(&a), at(&b), at(&c))),
                    dependent: applicators.dependent.iter().map(|(name, id)| (name.clone(), at(id))).collect(),
                }
            })
            .collect();
        let roots: SmallVec<[u16; 2]> = roots.iter().map(at).collect();
        let own_by_kind = Kind::ALL.map(|kind| entries.iter().map(|entry| nodes[entry.node.index()].verdict_by_kind(kind)).collect());
        let reached_by = reached_by(&entries, &roots);
        let mut plan =
            Self { entries, roots, own_by_kind, by_kind: Default::default(), reached_by, object: OnceLock::new(), array: OnceLock::new() };
        plan.by_kind = plan.own_by_kind.clone();
        for kind in Kind::ALL {
            let mut verdicts = std::mem::take(&mut plan.by_kind[kind as usize]);
            let present = if kind == Kind::Object { Verdict::Open } else { Verdict::Fails };
            plan.combine(&mut verdicts, |_| present, |_, _| true);
            plan.by_kind[kind as usize] = verdicts;
        }
        plan
    }

    /// The nodes' own verdicts on a value of which only the kind is known.
    pub(super) fn own_verdicts(&self, kind: Kind) -> &Verdicts {
        &self.own_by_kind[kind as usize]
    }

    /// The verdict of an entry, with all that it applies, on a value of which only the kind is known.
    pub(super) fn verdict_by_kind(&self, entry: u16, kind: Kind) -> Verdict {
        self.by_kind[kind as usize][usize::from(entry)]
    }

    /// Whether no value at all satisfies the entry, as far as the kinds of values tell.
    pub(super) fn is_impossible(&self, entry: u16) -> bool {
        Kind::ALL.iter().all(|kind| self.verdict_by_kind(entry, *kind) == Verdict::Fails)
    }

    /// Lets the entries fail that only roots outside `live` reach: nobody asks for them any more.
    pub(super) fn forget(&self, own: &mut Verdicts, live: u64) {
        for (own, reached_by) in own.iter_mut().zip(&self.reached_by) {
            if reached_by & live == 0 {
                *own = Verdict::Fails;
            }
        }
    }

    /// Whether a verdict may turn to `Fails` without a rule's failing: by a property's being there
    /// (`dependentSchemas`), or by another rule's holding.
    pub(super) fn presence_matters(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| !entry.dependent.is_empty() || !entry.not.is_empty() || !entry.one.is_empty() || entry.conditional.is_some())
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
            if !entry.leaf {
                verdicts[at] = verdicts[at].min(entry.applied(verdicts, &present));
            }
            if verdicts[at] != Verdict::Fails && !also(at, verdicts) {
                verdicts[at] = Verdict::Fails;
            }
        }
    }

    /// Whether an entry that the one at `at` applies, and that holds, evaluates a member by itself.
    /// `own` tells of an entry's own rules; `combined` are final verdicts, or all `Open` to ask whether it
    /// may come to be evaluated.
    pub(super) fn evaluates(&self, at: u16, combined: &[Verdict], present: &dyn Fn(&str) -> Verdict, own: &dyn Fn(u16) -> bool) -> bool {
        let mut seen = vec![false; self.entries.len()];
        let mut open: SmallVec<[u16; 16]> = SmallVec::new();
        self.entries[usize::from(at)].applied_entries(combined, present, |entry| open.push(entry));
        while let Some(at) = open.pop() {
            let entry = &self.entries[usize::from(at)];
            if entry.is_value || combined[usize::from(at)] == Verdict::Fails || std::mem::replace(&mut seen[usize::from(at)], true) {
                continue;
            }
            if own(at) {
                return true;
            }
            entry.applied_entries(combined, present, |entry| open.push(entry));
        }
        false
    }
}

/// For each entry, the roots that reach it as bits.
fn reached_by(entries: &[Entry], roots: &[u16]) -> Vec<u64> {
    if roots.len() < 2 || roots.len() > 64 {
        return Vec::new();
    }
    let mut reached = vec![0; entries.len()];
    for (bit, root) in roots.iter().enumerate() {
        reached[usize::from(*root)] |= 1 << bit;
    }
    // Callers stand before callees.
    for at in 0..entries.len() {
        let bits = reached[at];
        entries[at].all_applied(|below| reached[usize::from(below)] |= bits);
    }
    reached
}

impl Entry {
    /// Calls `each` with every entry that this one applies.
    fn all_applied(&self, mut each: impl FnMut(u16)) {
        let conditional = self.conditional.into_iter().flat_map(|(a, b, c)| [a, b, c]);
        let listed = self.all.iter().chain(self.any.iter().flatten()).chain(self.one.iter().flatten()).chain(&self.not);
        listed.copied().chain(conditional).chain(self.dependent.iter().map(|(_, at)| *at)).for_each(&mut each);
    }

    /// Calls `each` with the entries that this one applies so that what they evaluate counts for it.
    fn applied_entries(&self, combined: &[Verdict], present: &dyn Fn(&str) -> Verdict, mut each: impl FnMut(u16)) {
        self.all.iter().chain(self.any.iter().flatten()).chain(self.one.iter().flatten()).copied().for_each(&mut each);
        if let Some((condition, then, otherwise)) = self.conditional {
            let holds = combined[usize::from(condition)];
            if holds != Verdict::Fails {
                each(condition);
                each(then);
            }
            if holds != Verdict::Holds {
                each(otherwise);
            }
        }
        self.dependent.iter().filter(|(name, _)| present(name) != Verdict::Fails).for_each(|(_, at)| each(*at));
    }

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
