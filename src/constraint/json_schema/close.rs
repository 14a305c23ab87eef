//! What happens when a value or a property's name ends: its verdict is decided, and the container around
//! it is told.

use super::JsonSchema;
use super::container::{ArrayMembers, Body, Container, Members};
use super::escape::{Begun, Follows};
use super::expected::{ExpectedId, Meaning};
use super::machine::{JsonState, Place, Step};
use super::node::NodeId;
use super::open_number::OpenNumber;
use super::plan::{Verdict, Verdicts};
use super::refusal::{Failure, Reason, Refusal};
use super::survival::refusal;
use super::value::Value;
use smallvec::SmallVec;

impl JsonSchema {
    /// Closes the innermost container.
    pub(super) fn close(&self, state: &mut JsonState) -> Step {
        let Some(top) = state.top.take() else { return Err(Refusal::Json("a value")) };
        let (verdicts, refused) = self.final_verdicts(&top);
        state.top = top.parent.clone();
        state.place = Place::After;
        let wanted = state.top.as_ref().is_some_and(|around| around.recorded.is_some());
        let value = top.recorded.clone().filter(|_| wanted).map(|members| Value::container(members, top.is_object()));
        self.decided(state, top.expected, &verdicts, value).map_err(|duplicate| match (duplicate, refused) {
            (Some(node), _) => Refusal::Schema(Some(node), Reason::UniqueItems),
            (None, Some((node, reason))) => Refusal::Schema(Some(node), reason),
            (None, None) => Refusal::Schema(None, Reason::Kind),
        })
    }

    pub(super) fn end_string(&self, state: &mut JsonState) -> Step {
        let Place::InString(mut string) = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
        if string.is_too_long(self) {
            return Err(Refusal::Json("a shorter string, as the options limit it"));
        }
        let failure = string.finish(self);
        let value = string.value();
        self.end_value(state, string.expected, string.own, failure, value)
    }

    pub(super) fn end_number(&self, state: &mut JsonState, mut number: OpenNumber) -> Step {
        state.place = Place::After;
        state.whitespace = 0;
        if number.is_minus_zero() {
            return Err(Refusal::Json("a digit other than 0, as zero has no minus"));
        }
        let (failure, value) = number.finish(self);
        self.end_value(state, number.expected, number.own, failure, value)
    }

    /// A property's name has ended.
    pub(super) fn end_name(&self, state: &mut JsonState) -> Step {
        let Place::InName { name, .. } = std::mem::replace(&mut state.place, Place::After) else { return Ok(()) };
        let Some(top) = &mut state.top else { return Ok(()) };
        let name = std::str::from_utf8(&name).expect("names are UTF-8 where they end");
        let name = self.declared_name(top, name).unwrap_or_else(|| name.into());
        if top.has_seen(&name) {
            return Err(Refusal::Duplicate(name));
        }
        if self.options.declared_order && !self.keeps_order(top, &name) {
            return Err(Refusal::Json("properties in the order of the schema, as the options want them"));
        }
        let id = self.expected_property(top, &name);
        let expected = self.expected(id);
        let mut failing = self.failing_by_name(top, Begun { text: name.as_bytes(), follows: Follows::Nothing });
        if self.options.declared_order {
            failing.extend(self.failing_by_order(top, &name));
        }
        failing.extend(self.impossible(top, expected, Reason::Forbidden(name.clone())));
        let entries: SmallVec<[u16; 8]> = failing.iter().map(|(entry, _)| *entry).collect();
        let pending = expected.has(Meaning::Unevaluated).then(|| name.clone());
        Container::edit(top, |body| {
            body.fail(&entries);
            if let Members::Object(object) = &mut body.members {
                object.seen.insert(name.clone());
                object.current.0 = Some(name);
                object.pending = pending;
            }
        });
        // What depends on the property's being there may fail by it.
        if self.presence_matters(top) || !failing.is_empty() {
            self.survives_or(top, &failing)?;
        }
        state.place = Place::Colon { expected: id };
        Ok(())
    }

    /// Whether a verdict may change by a property's being there.
    fn presence_matters(&self, object: &Body) -> bool {
        self.plan_around(object).is_some_and(|plan| self.object_plan(plan).presence_matters)
    }

    /// A scalar has ended, with these verdicts of its entries' own rules.
    pub(super) fn end_value(
        &self,
        state: &mut JsonState,
        expected: ExpectedId,
        mut own: Verdicts,
        failure: Failure,
        value: Option<Value>,
    ) -> Step {
        if let Some(plan) = self.expected(expected).plan {
            self.plan(plan).combine(&mut own, |_| Verdict::Fails, |_, _| true);
        }
        self.decided(state, expected, &own, value).map_err(|duplicate| match duplicate {
            Some(node) => Refusal::Schema(Some(node), Reason::UniqueItems),
            None => refusal(failure),
        })
    }

    /// A value has ended, its verdicts are decided: tells the container around it. `state.top` is that.
    ///
    /// # Errors
    /// If the document cannot be completed; with the node that wants unique items, where that is why.
    fn decided(&self, state: &mut JsonState, id: ExpectedId, verdicts: &Verdicts, value: Option<Value>) -> Result<(), Option<NodeId>> {
        let expected = self.expected(id);
        let plan = expected.plan.map(|plan| self.plan(plan));
        let holds = |root: u16| plan.is_some_and(|plan| verdicts[usize::from(plan.roots[usize::from(root)])] == Verdict::Holds);
        let Some(top) = &mut state.top else {
            return if plan.is_some() && !holds(0) { Err(None) } else { Ok(()) };
        };
        let around = self.plan_around(top);
        let mut failed: SmallVec<[u16; 4]> = SmallVec::new();
        let mut duplicate = None;
        for link in expected.links.iter().filter(|link| top.is_open(link.entry)) {
            if link.meaning == Meaning::Must && !holds(link.root) {
                failed.push(link.entry);
            }
        }
        if let (Some(recorded), Some(value), Some(plan)) = (&top.recorded, &value, around)
            && !top.is_object()
            && recorded.contains(value)
        {
            for (at, _) in self.open_entries(top).filter(|(_, node)| node.arrays.unique) {
                failed.push(at);
                duplicate = Some(plan.entries[usize::from(at)].node);
            }
        }
        // Most often nothing is to be noted of a property.
        let noted = expected.has(Meaning::Unevaluated) || top.recorded.is_some() || !failed.is_empty();
        if top.is_object() && !noted {
            return Ok(());
        }
        let array = around.filter(|_| !top.is_object()).map(|plan| self.array_plan(plan));
        Container::edit(top, |body| {
            let name = match &mut body.members {
                Members::Object(object) => {
                    let name = object.pending.take();
                    for link in expected.links.iter().filter(|link| link.meaning == Meaning::Unevaluated && !holds(link.root)) {
                        object.unevaluated.extend(name.clone().map(|name| (link.entry, name)));
                    }
                    object.current.0.clone()
                }
                Members::Array(items) => {
                    for link in expected.links.iter() {
                        match link.meaning {
                            Meaning::Contains if holds(link.root) => {
                                if array.is_some_and(|array| array.notes_matches) {
                                    items.matched.push((link.entry, items.count));
                                }
                                self.count_match(body.expected, items, link.entry);
                            }
                            Meaning::Unevaluated if !holds(link.root) => items.unevaluated.push((link.entry, items.count)),
                            _ => {}
                        }
                    }
                    items.index.0 += 1;
                    let cap = array.map_or(self.options.max_items.unwrap_or(0), |array| array.count_cap);
                    items.count = (items.count + 1).min(cap);
                    None
                }
            };
            if let (Some(recorded), Some(value)) = (&mut body.recorded, value) {
                recorded.push(name, value);
            }
            let past = self.past_contains(body);
            failed.extend(past.into_iter().filter(|entry| body.is_open(*entry)));
            body.fail(&failed);
        });
        if failed.is_empty() || self.survives(top, &[]) { Ok(()) } else { Err(duplicate) }
    }

    /// Counts an item that matches `contains`, no further than its limits tell.
    fn count_match(&self, array: ExpectedId, items: &mut ArrayMembers, entry: u16) {
        let Some(plan) = self.expected(array).plan.map(|plan| self.plan(plan)) else { return };
        let Some(contains) = &self.node(plan.entries[usize::from(entry)].node).arrays.contains else { return };
        let cap = contains.min.max(contains.max.map_or(0, |max| max.saturating_add(1)));
        match items.contained.iter_mut().find(|(other, _)| *other == entry) {
            Some((_, count)) => *count = (*count + 1).min(cap),
            None => items.contained.push((entry, 1.min(cap))),
        }
    }

    /// The open entries whose `maxContains` is passed.
    fn past_contains(&self, array: &Body) -> SmallVec<[u16; 1]> {
        let Some(items) = array.array().filter(|items| !items.contained.is_empty()) else { return SmallVec::new() };
        let past = self.open_entries(array).filter(|(at, node)| {
            let max = node.arrays.contains.and_then(|contains| contains.max);
            max.is_some_and(|max| items.contained.iter().any(|(entry, count)| entry == at && *count > max))
        });
        past.map(|(at, _)| at).collect()
    }
}
