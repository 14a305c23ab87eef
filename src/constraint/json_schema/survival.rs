//! Whether the document can still be completed: asked when something has newly failed, from the innermost
//! value outwards.

use super::JsonSchema;
use super::container::{Body, Container};
use super::escape::{Begun, Follows};
use super::expected::{Expected, Meaning};
use super::machine::{JsonState, Place, Step};
use super::node::Kind;
use super::open_number::OpenNumber;
use super::open_string::OpenString;
use super::plan::{Plan, Verdict};
use super::refusal::{Failure, Reason, Refusal};
use super::text::Inside;
use smallvec::SmallVec;

impl JsonSchema {
    /// Whether the document can still be completed when these entries of the container fail.
    pub(super) fn survives(&self, container: &Body, failing: &[u16]) -> bool {
        let Some(plan) = self.plan_around(container) else { return true };
        let mut verdicts = container.own.clone();
        for (at, node) in self.open_entries(container) {
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
        self.survives_roots(container.parent.as_deref(), self.expected(container.expected), plan, &verdicts)
    }

    /// Whether the document can still be completed when a value has these verdicts, by entry of its plan.
    pub(super) fn survives_roots(&self, around: Option<&Container>, expected: &Expected, plan: &Plan, verdicts: &[Verdict]) -> bool {
        let fails = |root: u16| verdicts[usize::from(plan.roots[usize::from(root)])] == Verdict::Fails;
        let Some(around) = around else { return !fails(0) };
        let failing: SmallVec<[u16; 8]> = expected
            .links
            .iter()
            .filter(|link| link.meaning == Meaning::Must && around.is_open(link.entry) && fails(link.root))
            .map(|link| link.entry)
            .collect();
        failing.is_empty() || self.survives(around, &failing)
    }

    /// After an entry of the scalar in progress has failed: whether the document can be completed.
    pub(super) fn scalar_survives(&self, state: &JsonState, failure: Failure) -> Step {
        if failure.is_none() {
            return Ok(());
        }
        let (expected, own) = match &state.place {
            Place::InString(string) => (string.expected, &string.own),
            Place::InNumber(number) => (number.expected, &number.own),
            _ => return Ok(()),
        };
        let expected = self.expected(expected);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return Ok(()) };
        let mut verdicts = own.clone();
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        match self.survives_roots(state.top.as_deref(), expected, plan, &verdicts) {
            true => Ok(()),
            false => Err(refusal(failure)),
        }
    }

    /// Whether the document can be completed only if the number in progress becomes a whole one.
    pub(super) fn must_be_whole(&self, state: &JsonState, number: &OpenNumber) -> bool {
        let expected = self.expected(number.expected);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return false };
        let mut verdicts = number.own.clone();
        for (own, entry) in verdicts.iter_mut().zip(&plan.entries) {
            if *own == Verdict::Open && self.node(entry.node).wants_whole() {
                *own = Verdict::Fails;
            }
        }
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        !self.survives_roots(state.top.as_deref(), expected, plan, &verdicts)
    }

    /// Whether the document could be completed if this entry of an open string failed.
    pub(super) fn survives_without(&self, state: &JsonState, string: &OpenString, failing: usize) -> bool {
        let expected = self.expected(string.expected);
        let Some(plan) = expected.plan.map(|plan| self.plan(plan)) else { return true };
        let mut verdicts = string.own.clone();
        verdicts[failing] = Verdict::Fails;
        plan.combine(&mut verdicts, |_| Verdict::Fails, |_, _| true);
        self.survives_roots(state.top.as_deref(), expected, plan, &verdicts)
    }

    /// A further item begins in the innermost array, or must: whatever its value, some entries may fail.
    pub(super) fn item_begins(&self, state: &mut JsonState) -> Step {
        let Some(top) = &mut state.top else { return Ok(()) };
        let Some(items) = top.array() else { return Ok(()) };
        if self.options.max_items.is_some_and(|max| items.count >= max) {
            return Err(Refusal::Json("no further item, as the options limit them"));
        }
        let mut failing: SmallVec<[(u16, Reason); 2]> = SmallVec::new();
        for (at, node) in self.open_entries(top) {
            if node.arrays.max_items.is_some_and(|max| items.count >= max) {
                failing.push((at, Reason::MaxItems));
            }
        }
        failing.extend(self.impossible(top, self.expected(self.expected_item(top)), Reason::NoItem));
        if failing.is_empty() {
            return Ok(());
        }
        self.survives_or(top, &failing)?;
        Container::edit(top, |body| failing.iter().for_each(|(entry, _)| body.fail(&[*entry])));
        Ok(())
    }

    /// Whether the options leave room for a further property.
    pub(super) fn property_fits(&self, state: &JsonState) -> Step {
        let seen = state.top.as_ref().and_then(|top| top.object()).map_or(0, |object| object.seen.len() as u64);
        match self.options.max_properties.is_some_and(|max| seen >= max) {
            true => Err(Refusal::Json("no further property, as the options limit them")),
            false => Ok(()),
        }
    }

    /// Whether some property with a name that begins so may come.
    pub(super) fn name_survives(&self, object: &Body, name: &[u8], inside: Inside) -> Step {
        let characters = inside.characters(self.options.canonical_escapes);
        let follows = characters.as_ref().map_or(Follows::Anything, Follows::OneOf);
        let failing = self.failing_by_name(object, Begun { text: name, follows });
        if failing.is_empty() { Ok(()) } else { self.survives_or(object, &failing) }
    }

    /// Whether the document survives that these entries of a container fail, with the first as the reason.
    pub(super) fn survives_or(&self, container: &Body, failing: &[(u16, Reason)]) -> Step {
        let entries: SmallVec<[u16; 8]> = failing.iter().map(|(entry, _)| *entry).collect();
        if self.survives(container, &entries) {
            return Ok(());
        }
        let first =
            failing.first().and_then(|(entry, reason)| Some((self.plan_around(container)?.entries[usize::from(*entry)].node, reason)));
        Err(match first {
            Some((node, reason)) => Refusal::Schema(Some(node), reason.clone()),
            None => Refusal::Schema(None, Reason::AdditionalProperties),
        })
    }
}

/// The refusal of a value by its kind: by a node that must hold, or else by all that a root applies.
pub(super) fn kind_refusal(plan: &Plan, root: u16, kind: Kind) -> Refusal {
    let root = plan.roots[usize::from(root)];
    let mut needed = vec![root];
    while let Some(entry) = needed.pop() {
        if plan.own_verdicts(kind)[usize::from(entry)] == Verdict::Fails {
            return Refusal::Schema(Some(plan.entries[usize::from(entry)].node), Reason::Kind);
        }
        needed.extend(plan.entries[usize::from(entry)].all.iter().rev());
    }
    let possible = Kind::ALL.into_iter().filter(|kind| plan.verdict_by_kind(root, *kind) != Verdict::Fails);
    Refusal::Kinds(plan.entries[usize::from(root)].node, possible.fold(0, |bits, kind| bits | kind.bit()))
}

/// The refusal of a scalar whose rules failed.
pub(super) fn refusal(failure: Failure) -> Refusal {
    match failure {
        Some((node, reason)) => Refusal::Schema(Some(node), reason),
        None => Refusal::Schema(None, Reason::Kind),
    }
}
