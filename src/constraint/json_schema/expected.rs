//! What is asked of a value that is to come, worked out once and numbered.
//!
//! A member of a container is judged by all nodes that the container's entries send it to: a plan, and
//! links that tell what the verdict of each of its roots means around it. Both are kept in lists that
//! only grow, so that a state holds small numbers, equal numbers mean equal things, and looking one up
//! takes no lock. Making one takes a lock; that happens once for each property name of a schema.

use super::node::{Node, NodeId};
use super::plan::Plan;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The number of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PlanId(u32);

/// The number of an [`Expected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ExpectedId(u32);

impl ExpectedId {
    /// Nothing is asked: the first of every list.
    pub(super) const NOTHING: Self = Self(0);
}

/// What a value's verdict by one of its roots means to an entry of the container around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) root: u16,
    pub(super) entry: u16,
    pub(super) meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Meaning {
    /// The entry fails if the root does.
    Must,
    /// The entry counts the items for which the root holds.
    Contains,
    /// The entry fails if the root does, unless the member turns out to be evaluated.
    Unevaluated,
}

/// What is asked of a value that is to come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Expected {
    /// The nodes that judge it; none where anything goes.
    pub(super) plan: Option<PlanId>,
    pub(super) links: Box<[Link]>,
    /// Entries of the container that fail whatever the value is.
    pub(super) impossible: Box<[u16]>,
}

impl Expected {
    pub(super) fn has(&self, meaning: Meaning) -> bool {
        self.links.iter().any(|link| link.meaning == meaning)
    }
}

/// All plans and expectations of a schema so far.
#[derive(Debug)]
pub(super) struct Table {
    plans: boxcar::Vec<Plan>,
    expected: boxcar::Vec<Expected>,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    plans: HashMap<SmallVec<[NodeId; 4]>, PlanId>,
    expected: HashMap<Expected, ExpectedId>,
}

impl Table {
    pub(super) fn new() -> Self {
        let table = Self { plans: boxcar::Vec::new(), expected: boxcar::Vec::new(), numbers: Mutex::default() };
        table.expected.push(Expected::default());
        table
    }

    pub(super) fn plan(&self, id: PlanId) -> &Plan {
        &self.plans[id.0 as usize]
    }

    pub(super) fn expected(&self, id: ExpectedId) -> &Expected {
        &self.expected[id.0 as usize]
    }

    /// The plan of `roots`, which must not repeat.
    pub(super) fn plan_of(&self, nodes: &[Node], roots: &[NodeId]) -> PlanId {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = SmallVec::from_slice(roots);
        *numbers.plans.entry(key).or_insert_with(|| PlanId(self.plans.push(Plan::new(nodes, roots)) as u32))
    }

    pub(super) fn number(&self, expected: Expected) -> ExpectedId {
        if expected == Expected::default() {
            return ExpectedId::NOTHING;
        }
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = &mut numbers.expected;
        *numbers.entry(expected).or_insert_with_key(|expected| ExpectedId(self.expected.push(expected.clone()) as u32))
    }
}

/// Gathers the nodes that one member is sent to.
#[derive(Default)]
pub(super) struct ExpectedBuilder {
    roots: SmallVec<[NodeId; 4]>,
    links: Vec<Link>,
}

impl ExpectedBuilder {
    /// The member is sent to `node` by the entry.
    pub(super) fn add(&mut self, node: NodeId, entry: u16, meaning: Meaning) {
        if node == NodeId::ANY && meaning != Meaning::Contains {
            return;
        }
        let root = self.roots.iter().position(|other| *other == node).unwrap_or_else(|| {
            self.roots.push(node);
            self.roots.len() - 1
        });
        let link = Link { root: root as u16, entry, meaning };
        if !self.links.contains(&link) {
            self.links.push(link);
        }
    }

    pub(super) fn finish(self, table: &Table, nodes: &[Node]) -> ExpectedId {
        if self.roots.is_empty() {
            return ExpectedId::NOTHING;
        }
        let id = table.plan_of(nodes, &self.roots);
        let plan = table.plan(id);
        let impossible =
            self.links.iter().filter(|link| link.meaning == Meaning::Must && plan.is_impossible(plan.roots[usize::from(link.root)]));
        let impossible = impossible.map(|link| link.entry).collect();
        table.number(Expected { plan: Some(id), links: self.links.into(), impossible })
    }
}
