//! Open objects and arrays: which nodes judge them, and what is known so far.
//!
//! Containers are immutable and point to the one around them, so that a fork of a state shares them all.
//! A node's entry in a container's plan keeps the verdict of its own rules; it turns to `Fails` when a
//! member fails it. Whether the document can still be completed is asked from the innermost value
//! outwards, and only when something new has failed.

use super::JsonSchema;
use super::expected::ExpectedId;
use super::node::{ArrayRules, Node, NodeId, ObjectRules};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::Reason;
use super::value::{Names, Recorded};
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What tells states nothing apart: it serves messages only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aside<T>(pub(super) T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> Hash for Aside<T> {
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
    pub(super) expected: ExpectedId,
    /// The verdicts of the entries' own rules.
    pub(super) own: Verdicts,
    pub(super) members: Members,
    /// The members' values, where they have to be compared with others.
    pub(super) recorded: Option<Recorded>,
    /// The number of open containers, with this one.
    pub(super) depth: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Members {
    Object(ObjectMembers),
    Array(ArrayMembers),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ObjectMembers {
    pub(super) seen: Names,
    /// The property that is being written.
    pub(super) current: Aside<Option<Arc<str>>>,
    /// The same, where its name has to be known when its value ends.
    pub(super) pending: Option<Arc<str>>,
    /// Properties that fail an entry's `unevaluatedProperties`.
    pub(super) unevaluated: SmallVec<[(u16, Arc<str>); 0]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ArrayMembers {
    /// The number of items that have ended.
    pub(super) index: Aside<usize>,
    /// The same, no further than any rule counts.
    pub(super) count: u64,
    /// How many items matched `contains`, by entry, no further than its limits count.
    pub(super) contained: SmallVec<[(u16, u64); 0]>,
    /// Those items, where `unevaluatedItems` may ask.
    pub(super) matched: SmallVec<[(u16, u64); 0]>,
    /// Items that fail an entry's `unevaluatedItems`.
    pub(super) unevaluated: SmallVec<[(u16, u64); 0]>,
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
    pub(super) fn is_object(&self) -> bool {
        matches!(self.members, Members::Object(_))
    }

    pub(super) fn object(&self) -> Option<&ObjectMembers> {
        match &self.members {
            Members::Object(object) => Some(object),
            Members::Array(_) => None,
        }
    }

    pub(super) fn array(&self) -> Option<&ArrayMembers> {
        match &self.members {
            Members::Object(_) => None,
            Members::Array(array) => Some(array),
        }
    }

    pub(super) fn is_open(&self, entry: u16) -> bool {
        self.own[usize::from(entry)] == Verdict::Open
    }

    pub(super) fn fail(&mut self, entries: &[u16]) {
        for entry in entries {
            self.own[usize::from(*entry)] = Verdict::Fails;
        }
    }

    pub(super) fn has_seen(&self, name: &str) -> bool {
        self.object().is_some_and(|object| object.seen.contains(name))
    }
}

impl JsonSchema {
    /// The plan that judges a container, if anything does.
    pub(super) fn plan_around(&self, container: &Body) -> Option<&Plan> {
        self.expected(container.expected).plan.map(|plan| self.plan(plan))
    }

    /// The entries of which the own rules are open, with their nodes.
    pub(super) fn open_entries<'a>(&'a self, container: &'a Body) -> impl Iterator<Item = (u16, &'a Node)> {
        let plan = self.plan_around(container);
        let entries = plan.into_iter().flat_map(|plan| plan.entries.iter().enumerate());
        entries.map(|(at, entry)| (at as u16, self.node(entry.node))).filter(|(at, _)| container.is_open(*at))
    }

    /// The verdicts of a container that closes, all decided, with the first own rule that failed.
    pub(super) fn final_verdicts(&self, container: &Body) -> (Verdicts, Option<(NodeId, Reason)>) {
        let Some(plan) = self.plan_around(container) else { return (Verdicts::new(), None) };
        let mut verdicts = container.own.clone();
        let mut refused = None;
        for (at, node) in self.open_entries(container) {
            let reason = match &container.members {
                Members::Object(object) => object_reason(object, &node.objects),
                Members::Array(array) => array_reason(&node.arrays, array, at),
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
                let reason = if container.is_object() { Reason::UnevaluatedProperties } else { Reason::UnevaluatedItems };
                refused = Some((plan.entries[at].node, reason));
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
            Members::Object(object) => object.unevaluated.iter().filter(|(entry, _)| *entry == at).all(|(_, name)| {
                let own = |entry: u16| {
                    let rules = &rules(entry).objects;
                    rules.unevaluated.is_some() || rules.children(name, |_| {})
                };
                plan.evaluates(at, verdicts, &present, &own)
            }),
            Members::Array(array) => array.unevaluated.iter().filter(|(entry, _)| *entry == at).all(|(_, index)| {
                let matches = |entry: u16| {
                    array.matched.contains(&(entry, *index)) && rules(entry).arrays.contains.is_some_and(|contains| contains.evaluates)
                };
                let own = |entry: u16| {
                    let rules = &rules(entry).arrays;
                    rules.unevaluated.is_some() || rules.child(*index as usize).is_some() || matches(entry)
                };
                matches(at) || plan.evaluates(at, verdicts, &present, &own)
            }),
        }
    }
}

fn object_reason(object: &ObjectMembers, rules: &ObjectRules) -> Option<Reason> {
    let seen = object.seen.len() as u64;
    if let Some(missing) = rules.required.iter().find(|name| !object.seen.contains(name)) {
        return Some(Reason::Required(missing.clone()));
    }
    if rules.min_properties.is_some_and(|min| seen < min) {
        return Some(Reason::MinProperties);
    }
    if rules.max_properties.is_some_and(|max| seen > max) {
        return Some(Reason::MaxProperties);
    }
    let dependent = rules.dependent_required.iter().filter(|(name, _)| object.seen.contains(name));
    let mut needed = dependent.flat_map(|(_, needed)| needed);
    needed.find(|name| !object.seen.contains(name)).map(|name| Reason::Required(name.clone()))
}

fn array_reason(rules: &ArrayRules, array: &ArrayMembers, entry: u16) -> Option<Reason> {
    if rules.min_items.is_some_and(|min| array.count < min) {
        return Some(Reason::MinItems);
    }
    if rules.max_items.is_some_and(|max| array.count > max) {
        return Some(Reason::MaxItems);
    }
    let contains = rules.contains.as_ref()?;
    let contained = array.contained.iter().find(|(other, _)| *other == entry).map_or(0, |(_, count)| *count);
    (contained < contains.min || contains.max.is_some_and(|max| contained > max)).then_some(Reason::Contains)
}
