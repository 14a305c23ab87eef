//! Open objects and arrays: which nodes judge them, and what is known so far.
//!
//! Containers are immutable and point to the one around them, so that a fork of a state shares them all.
//! A node's entry in a container's plan keeps the verdict of its own rules; it turns to `Fails` when a
//! member fails it. Whether the document can still be completed is asked from the innermost value
//! outwards, and only when something new has failed.

use super::JsonSchema;
use super::node::{ArrayRules, Node, NodeId, ObjectRules};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::Reason;
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

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
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) links: SmallVec<[Link; 2]>,
    /// Entries of the container that fail as soon as the value begins, whatever it is.
    pub(super) failing: SmallVec<[(u16, Reason); 1]>,
}

impl PartialEq for Plan {
    /// Plans of one schema are equal when their roots are.
    fn eq(&self, other: &Self) -> bool {
        self.root_nodes().eq(other.root_nodes())
    }
}

impl Eq for Plan {}

impl Hash for Plan {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.root_nodes().for_each(|node| node.hash(hasher));
    }
}

impl Plan {
    fn root_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.roots.iter().map(|root| self.entries[usize::from(*root)].node)
    }
}

/// A number that tells states nothing apart: it serves messages only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aside(pub(super) usize);

impl PartialEq for Aside {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Aside {}

impl Hash for Aside {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// An open object or array. Cloned only to be edited.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// Of the body, worked out once: states are looked up by hash at every draw.
    hash: u64,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Body {
    pub(super) parent: Option<Arc<Container>>,
    pub(super) expected: Expected,
    /// The verdicts of the entries' own rules.
    pub(super) own: Verdicts,
    pub(super) members: Members,
    pub(super) depth: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Members {
    Object {
        /// Sorted.
        seen: Arc<Vec<Arc<str>>>,
        /// The property that is being written or was last.
        current: Option<Arc<str>>,
        /// Properties that fail an entry's `unevaluatedProperties`.
        unevaluated: SmallVec<[(u16, Arc<str>); 0]>,
    },
    Array {
        /// The number of items begun before the one to come.
        index: Aside,
        /// The same, where an entry's rules are open; else 0.
        count: u64,
        /// How many items matched `contains`, by entry.
        contained: SmallVec<[(u16, u64); 0]>,
        /// Those items, where `unevaluatedItems` may ask.
        matched: SmallVec<[(u16, u64); 0]>,
        /// Items that fail an entry's `unevaluatedItems`.
        unevaluated: SmallVec<[(u16, u64); 0]>,
        /// Where items must be unique: those so far, in canonical form, and where the next begins.
        items: Option<(Arc<BTreeSet<String>>, usize)>,
        /// Whether the text of the document is kept because of this array.
        keeps_text: bool,
    },
}

impl PartialEq for Container {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.body == other.body
    }
}

impl Eq for Container {}

impl Hash for Container {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

impl std::ops::Deref for Container {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.body
    }
}

impl Container {
    pub(super) fn new(body: Body) -> Self {
        let mut container = Self { hash: 0, body };
        container.rehash();
        container
    }

    /// Changes a container, a copy where it is shared.
    pub(super) fn edit(container: &mut Arc<Self>, change: impl FnOnce(&mut Body)) {
        let container = Arc::make_mut(container);
        change(&mut container.body);
        container.rehash();
    }

    fn rehash(&mut self) {
        let mut hasher = FxHasher::default();
        self.body.hash(&mut hasher);
        self.hash = hasher.finish();
    }
}

impl Body {
    /// The entries of which the own rules are open, with their nodes.
    pub(super) fn open_entries<'a>(&'a self, schema: &'a JsonSchema) -> impl Iterator<Item = (u16, &'a Node)> {
        let entries = self.expected.plan.iter().flat_map(|plan| &plan.entries);
        entries
            .zip(&self.own)
            .enumerate()
            .filter(|(_, (_, own))| **own == Verdict::Open)
            .map(|(at, (entry, _))| (at as u16, schema.node(entry.node)))
    }

    pub(super) fn seen(&self) -> &[Arc<str>] {
        match &self.members {
            Members::Object { seen, .. } => seen,
            Members::Array { .. } => &[],
        }
    }

    pub(super) fn has_seen(&self, name: &str) -> bool {
        self.seen().binary_search_by(|other| (**other).cmp(name)).is_ok()
    }
}

impl JsonSchema {
    /// Whether the document can still be completed when these entries of the container fail.
    pub(super) fn survives(&self, container: &Container, failing: &[u16]) -> bool {
        let Some(plan) = &container.expected.plan else { return true };
        let mut verdicts = container.own.clone();
        for (at, node) in container.open_entries(self) {
            // "Requires only" holds for good once all its names are there, which `not` wants to know.
            let objects = &node.objects;
            if !objects.required.is_empty() && objects.only_requires() && objects.required.iter().all(|name| container.has_seen(name)) {
                verdicts[usize::from(at)] = Verdict::Holds;
            }
        }
        for entry in failing {
            verdicts[usize::from(*entry)] = Verdict::Fails;
        }
        plan.combine(&mut verdicts, |name| if container.has_seen(name) { Verdict::Holds } else { Verdict::Open }, |_, _| true);
        self.survives_roots(container.parent.as_deref(), &container.expected, &verdicts)
    }

    /// Whether the document can still be completed when a value has these verdicts, by entry of its plan.
    pub(super) fn survives_roots(&self, around: Option<&Container>, expected: &Expected, verdicts: &[Verdict]) -> bool {
        let Some(plan) = &expected.plan else { return true };
        let fails = |root: u16| verdicts[usize::from(plan.roots[usize::from(root)])] == Verdict::Fails;
        let Some(around) = around else { return !fails(0) };
        let failing: SmallVec<[u16; 8]> =
            expected.links.iter().filter(|link| link.meaning == Meaning::Must && fails(link.root)).map(|link| link.entry).collect();
        failing.is_empty() || self.survives(around, &failing)
    }

    /// What is asked of the next item of an array.
    pub(super) fn expected_item(&self, array: &Body) -> Expected {
        let mut expected = ExpectedBuilder::default();
        let Members::Array { count, .. } = &array.members else { return Expected::default() };
        let index = usize::try_from(*count).unwrap_or(usize::MAX);
        for (at, node) in array.open_entries(self) {
            let rules = &node.arrays;
            if rules.max_items.is_some_and(|max| *count >= max) {
                expected.failing.push((at, Reason::MaxItems));
            }
            if let Some(contains) = &rules.contains {
                expected.add(contains.node, at, Meaning::Contains);
            }
            match (rules.child(index), rules.unevaluated) {
                (Some(NodeId::ANY), _) | (None, None | Some(NodeId::ANY)) => {}
                (Some(node), _) => expected.add(node, at, Meaning::Must),
                (None, Some(node)) => expected.add(node, at, Meaning::Unevaluated),
            }
        }
        expected.finish(self)
    }

    /// What is asked of the property `name`, which the object has not got yet.
    pub(super) fn expected_property(&self, object: &Body, name: &str) -> Expected {
        let mut expected = ExpectedBuilder::default();
        for (at, node) in object.open_entries(self) {
            let rules = &node.objects;
            if let Some(reason) = self.refused_name(object, at, node, name, true) {
                expected.failing.push((at, reason));
            }
            let found = rules.children(name, |child| {
                if child != NodeId::ANY {
                    expected.add(child, at, Meaning::Must);
                }
            });
            if let (false, Some(child)) = (found, rules.unevaluated)
                && child != NodeId::ANY
            {
                expected.add(child, at, Meaning::Unevaluated);
            }
        }
        expected.finish(self)
    }

    /// Whether no property with a name that begins so may come, or, where `complete`, that is called so:
    /// then the entry fails, and this is why.
    pub(super) fn refused_name(&self, object: &Body, at: u16, node: &Node, name: &str, complete: bool) -> Option<Reason> {
        self.refused_name_bytes(object, at, node, name.as_bytes(), complete)
    }

    /// The same for the bytes of a name that may stop inside a character.
    pub(super) fn refused_name_bytes(&self, object: &Body, at: u16, node: &Node, name: &[u8], complete: bool) -> Option<Reason> {
        let rules = &node.objects;
        let is_begun = |other: &str| if complete { other.as_bytes() == name } else { other.as_bytes().starts_with(name) };
        if let Some(max) = rules.max_properties {
            let missing = || rules.required.iter().filter(|required| !object.has_seen(required));
            let left = max.saturating_sub(object.seen().len() as u64);
            let needed = missing().count() as u64;
            if left == 0 || (left <= needed && !missing().any(|required| is_begun(required))) {
                return Some(Reason::MaxProperties);
            }
        }
        if let Some(names) = rules.names
            && !self.may_be_string(names, name, complete)
        {
            return Some(Reason::PropertyNames);
        }
        let closed = rules.additional == Some(NodeId::NONE);
        if !(closed || rules.unevaluated == Some(NodeId::NONE)) || names_begun(object, rules, name, complete) {
            return None;
        }
        if closed {
            return Some(Reason::AdditionalProperties);
        }
        if rules.additional.is_some() {
            return None;
        }
        // Only where no node that judges the same value could evaluate it.
        let plan = object.expected.plan.as_ref()?;
        let all_open: Verdicts = plan.entries.iter().map(|_| Verdict::Open).collect();
        let own = |entry: u16| {
            let rules = &self.node(plan.entries[usize::from(entry)].node).objects;
            rules.additional.is_some() || rules.unevaluated.is_some() || names_begun(object, rules, name, complete)
        };
        (!plan.evaluates(at, &all_open, &|_| Verdict::Open, &own, false)).then_some(Reason::AdditionalProperties)
    }

    /// The verdicts of a container that closes, all decided, with the first own rule that failed.
    pub(super) fn final_verdicts(&self, container: &Body) -> (Verdicts, Option<(NodeId, Reason)>) {
        let Some(plan) = &container.expected.plan else { return (Verdicts::new(), None) };
        let mut verdicts = container.own.clone();
        let mut refused = None;
        for (at, node) in container.open_entries(self) {
            let reason = match &container.members {
                Members::Object { .. } => object_reason(container, &node.objects),
                Members::Array { count, contained, .. } => {
                    array_reason(&node.arrays, *count, contained.iter().find(|(entry, _)| *entry == at))
                }
            };
            if let (Some(reason), None) = (&reason, &refused) {
                refused = Some((plan.entries[usize::from(at)].node, reason.clone()));
            }
            verdicts[usize::from(at)] = reason.is_none().into();
        }
        let present = |name: &str| Verdict::from(container.has_seen(name));
        plan.combine(&mut verdicts, present, |at, verdicts| {
            let evaluated = self.unevaluated_hold(container, plan, at as u16, verdicts);
            if !evaluated && refused.is_none() {
                refused = Some((plan.entries[at].node, Reason::Unevaluated));
            }
            evaluated
        });
        (verdicts, refused)
    }

    /// Whether every member that fails the entry's `unevaluated...` is evaluated by another node.
    fn unevaluated_hold(&self, container: &Body, plan: &Plan, at: u16, verdicts: &[Verdict]) -> bool {
        let present = |name: &str| Verdict::from(container.has_seen(name));
        let rules = |entry: u16| self.node(plan.entries[usize::from(entry)].node);
        match &container.members {
            Members::Object { unevaluated, .. } => unevaluated.iter().filter(|(entry, _)| *entry == at).all(|(_, name)| {
                let own = |entry: u16| {
                    let rules = &rules(entry).objects;
                    rules.unevaluated.is_some() || rules.children(name, |_| {})
                };
                plan.evaluates(at, verdicts, &present, &own, false)
            }),
            Members::Array { unevaluated, matched, .. } => unevaluated.iter().filter(|(entry, _)| *entry == at).all(|(_, index)| {
                let matches = |entry: u16| {
                    matched.contains(&(entry, *index)) && rules(entry).arrays.contains.is_some_and(|contains| contains.evaluates)
                };
                let own = |entry: u16| {
                    let rules = &rules(entry).arrays;
                    rules.unevaluated.is_some() || rules.child(*index as usize).is_some() || matches(entry)
                };
                matches(at) || plan.evaluates(at, verdicts, &present, &own, false)
            }),
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

/// Whether a name that begins so, and that the object has not got, is one of `properties` or of a pattern.
fn names_begun(object: &Body, rules: &ObjectRules, name: &[u8], complete: bool) -> bool {
    let at = rules.properties.partition_point(|(other, _)| other.as_bytes() < name);
    let listed = rules.properties[at..].iter().take_while(|(other, _)| match complete {
        true => other.as_bytes() == name,
        false => other.as_bytes().starts_with(name),
    });
    let mut listed = listed.filter(|(_, node)| *node != NodeId::NONE);
    if listed.any(|(other, _)| complete || !object.has_seen(other)) {
        return true;
    }
    rules.patterns.iter().filter(|(_, node)| *node != NodeId::NONE).any(|(pattern, _)| pattern.may_match(name, complete))
}

fn object_reason(object: &Body, rules: &ObjectRules) -> Option<Reason> {
    let seen = object.seen().len() as u64;
    if let Some(missing) = rules.required.iter().find(|name| !object.has_seen(name)) {
        return Some(Reason::Required(missing.clone()));
    }
    if rules.min_properties.is_some_and(|min| seen < min) {
        return Some(Reason::MinProperties);
    }
    if rules.max_properties.is_some_and(|max| seen > max) {
        return Some(Reason::MaxProperties);
    }
    let dependent = rules.dependent_required.iter().filter(|(name, _)| object.has_seen(name));
    let mut needed = dependent.flat_map(|(_, needed)| needed);
    needed.find(|name| !object.has_seen(name)).map(|name| Reason::Required(name.clone()))
}

fn array_reason(rules: &ArrayRules, count: u64, contained: Option<&(u16, u64)>) -> Option<Reason> {
    if rules.min_items.is_some_and(|min| count < min) {
        return Some(Reason::MinItems);
    }
    if rules.max_items.is_some_and(|max| count > max) {
        return Some(Reason::MaxItems);
    }
    let contained = contained.map_or(0, |(_, count)| *count);
    let contains = rules.contains.as_ref()?;
    (contained < contains.min || contains.max.is_some_and(|max| contained > max)).then_some(Reason::Contains)
}

#[derive(Default)]
struct ExpectedBuilder {
    roots: SmallVec<[NodeId; 4]>,
    links: SmallVec<[Link; 2]>,
    failing: SmallVec<[(u16, Reason); 1]>,
}

impl ExpectedBuilder {
    fn add(&mut self, node: NodeId, entry: u16, meaning: Meaning) {
        let root = self.roots.iter().position(|other| *other == node).unwrap_or_else(|| {
            self.roots.push(node);
            self.roots.len() - 1
        });
        self.links.push(Link { root: root as u16, entry, meaning });
    }

    fn finish(self, schema: &JsonSchema) -> Expected {
        let plan = match self.roots[..] {
            [] => None,
            [root] => Some(schema.plan(root).clone()),
            _ => Some(Arc::new(Plan::new(&schema.nodes, &self.roots))),
        };
        Expected { plan, links: self.links, failing: self.failing }
    }
}
