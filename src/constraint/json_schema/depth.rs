//! How deep values must nest, where the options limit how deep they may.
//!
//! Close to the deepest level many a name leads nowhere: its value could only be a container that no longer
//! fits. To notice that when the bracket comes would be too late for whoever has written the name. So the
//! least nesting of the values of each node is worked out beforehand, as a lower bound (what branches,
//! required properties and items ask for, not what is negated), and names, items and containers that ask
//! for more than is left are refused where they begin.

use super::JsonSchema;
use super::container::Body;
use super::expected::{Expected, Meaning};
use super::node::{Kind, Node, NodeId};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::Reason;

/// Further down than this is not looked: it is also the nesting of what nests without end.
const FORESEEN: u32 = 64;

/// The least nesting of the values of each node: 0 for a scalar, 1 for a container of scalars.
#[derive(Debug)]
pub(super) struct Depths {
    value: Vec<u32>,
    array: Vec<u32>,
    object: Vec<u32>,
}

impl Depths {
    fn new(nodes: &[Node]) -> Self {
        let mut depths = Self { value: vec![0; nodes.len()], array: vec![1; nodes.len()], object: vec![1; nodes.len()] };
        let members: Vec<[Vec<NodeId>; 2]> = nodes.iter().map(|node| [needed_items(node), needed_properties(node)]).collect();
        // Each round sees at least one level more.
        for _ in 0..FORESEEN {
            let mut changed = false;
            for (at, node) in nodes.iter().enumerate().rev() {
                let around = |members: &Vec<NodeId>| (1 + depths.deepest(members)).min(FORESEEN);
                let [array, object] = members[at].each_ref().map(around);
                (depths.array[at], depths.object[at]) = (array, object);
                let value = depths.of_value(node, at);
                changed |= std::mem::replace(&mut depths.value[at], value) != value;
            }
            if !changed {
                break;
            }
        }
        depths
    }

    fn of_value(&self, node: &Node, at: usize) -> u32 {
        let kinds = Kind::ALL.into_iter().filter(|kind| node.allows_kind(*kind));
        let own = kinds.map(|kind| self.of_kind(at, kind)).min().unwrap_or(FORESEEN);
        let branches = node.applicators.any.iter().chain(&node.applicators.one);
        let branches = branches.map(|list| list.iter().map(|id| self.value[id.index()]).min().unwrap_or(FORESEEN));
        branches.fold(own.max(self.deepest(&node.applicators.all)), u32::max)
    }

    fn of_kind(&self, at: usize, kind: Kind) -> u32 {
        match kind {
            Kind::Array => self.array[at],
            Kind::Object => self.object[at],
            _ => 0,
        }
    }

    fn deepest(&self, nodes: &[NodeId]) -> u32 {
        nodes.iter().map(|id| self.value[id.index()]).max().unwrap_or(0)
    }
}

fn needed_items(node: &Node) -> Vec<NodeId> {
    let rules = &node.arrays;
    let count = usize::try_from(rules.min_items.unwrap_or(0)).unwrap_or(usize::MAX);
    let listed = rules.prefix.iter().take(count).copied();
    let further = rules.items.filter(|_| count > rules.prefix.len());
    let contained = rules.contains.filter(|contains| contains.min > 0).map(|contains| contains.node);
    listed.chain(further).chain(contained).collect()
}

fn needed_properties(node: &Node) -> Vec<NodeId> {
    let mut needed = Vec::new();
    for name in &node.objects.required {
        node.objects.children(name, |child| needed.push(child));
    }
    needed
}

impl JsonSchema {
    fn depths(&self) -> &Depths {
        self.depths.get_or_init(|| Depths::new(&self.nodes))
    }

    /// How deep a value may nest in a container, or at the top: so far as is looked.
    fn room(&self, around: Option<&Body>) -> u32 {
        (self.options.max_depth - around.map_or(0, |around| around.depth)).min(FORESEEN)
    }

    /// Whether a container's members are so deep that not all fit.
    pub(super) fn is_deep(&self, around: &Body) -> bool {
        self.room(Some(around)) < FORESEEN
    }

    /// Whether all values of the node nest deeper than a member of the container may; or, without one, the
    /// whole text.
    pub(super) fn is_too_deep(&self, around: Option<&Body>, node: NodeId) -> bool {
        let room = self.room(around);
        room < FORESEEN && self.depths().value[node.index()] > room
    }

    /// Whether no value that satisfies the node may be a member of the container.
    pub(super) fn forbids(&self, around: &Body, node: NodeId) -> bool {
        node == NodeId::NONE || self.is_too_deep(Some(around), node)
    }

    /// The open entries of a container that fail whatever the next member is, of which this is expected;
    /// `reason` for those that nothing would do for.
    pub(super) fn impossible<'a>(
        &'a self,
        around: &'a Body,
        expected: &'a Expected,
        reason: Reason,
    ) -> impl Iterator<Item = (u16, Reason)> + 'a {
        let plan = expected.plan.map(|plan| self.plan(plan));
        let links = expected.links.iter().filter(|link| link.meaning == Meaning::Must && self.is_deep(around));
        let root = move |root: u16| plan.map(|plan| plan.entries[usize::from(plan.roots[usize::from(root)])].node);
        let deep = links.filter(move |link| root(link.root).is_some_and(|root| self.is_too_deep(Some(around), root)));
        let impossible = expected.impossible.iter().map(move |entry| (*entry, reason.clone()));
        impossible.chain(deep.map(|link| (link.entry, Reason::TooDeep))).filter(|(entry, _)| around.is_open(*entry))
    }

    /// Lets the entries fail that ask too much of a container that begins. With the verdicts of all that they
    /// apply, where there are any.
    pub(super) fn fail_too_deep(&self, around: Option<&Body>, plan: &Plan, kind: Kind, own: &mut Verdicts) -> Option<Verdicts> {
        let room = self.room(around);
        if !matches!(kind, Kind::Array | Kind::Object) || room == FORESEEN {
            return None;
        }
        let mut failed = false;
        for (own, entry) in own.iter_mut().zip(&plan.entries) {
            if *own != Verdict::Fails && self.depths().of_kind(entry.node.index(), kind) > room {
                (*own, failed) = (Verdict::Fails, true);
            }
        }
        failed.then(|| {
            let mut verdicts = own.clone();
            let present = if kind == Kind::Object { Verdict::Open } else { Verdict::Fails };
            plan.combine(&mut verdicts, |_| present, |_, _| true);
            verdicts
        })
    }
}
