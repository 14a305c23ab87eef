//! What the members of an open container are sent to, and which names may still come.

use super::JsonSchema;
use super::container::{Body, ObjectMembers};
use super::escape::Begun;
use super::expected::{ExpectedBuilder, ExpectedId, Meaning};
use super::node::{Kind, Node, NodeId, ObjectRules};
use super::plan::{Plan, Verdict, Verdicts};
use super::refusal::Reason;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// What is asked of the properties of an object that a plan judges.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    /// The names that any entry's `properties` lists, sorted.
    declared: Vec<Declared>,
    /// What is asked of other properties, by the patterns that match their names, as bits.
    others: boxcar::Vec<(Patterns, ExpectedId)>,
    /// The number of patterns of all entries.
    patterns: usize,
    /// Whether any rule restricts names by themselves.
    judges_names: bool,
    /// Whether one may, where the options limit how deep values nest.
    judges_deep_names: bool,
    /// Whether a verdict may change by a property's being there.
    pub(super) presence_matters: bool,
}

/// Which patterns match a name, as bits.
pub(super) type Patterns = SmallVec<[u64; 1]>;

#[derive(Debug)]
struct Declared {
    name: Arc<str>,
    expected: OnceLock<ExpectedId>,
    /// Its place in the order of the schema.
    position: usize,
}

/// What is asked of the items of an array that a plan judges.
#[derive(Debug)]
pub(super) struct ArrayPlan {
    /// By index; the last is for all that follow.
    items: Vec<OnceLock<ExpectedId>>,
    /// The number of items from which on no rule counts any further.
    pub(super) count_cap: u64,
    /// Whether it has to be known which items matched `contains`.
    pub(super) notes_matches: bool,
    pub(super) unique: bool,
}

impl JsonSchema {
    fn entries_by_kind<'a>(&'a self, plan: &'a Plan, kind: Kind) -> impl Iterator<Item = (u16, &'a Node)> {
        let own = plan.own_verdicts(kind);
        let entries = plan.entries.iter().zip(own).enumerate();
        entries.filter(|(_, (_, own))| **own == Verdict::Open).map(|(at, (entry, _))| (at as u16, self.node(entry.node)))
    }

    pub(super) fn object_plan<'a>(&self, plan: &'a Plan) -> &'a ObjectPlan {
        plan.object.get_or_init(|| {
            let mut declared: Vec<Declared> = Vec::new();
            let mut position = 0;
            let (mut patterns, mut judges_names, mut judges_deep_names) = (0, false, false);
            let presence_matters = plan.presence_matters();
            for (_, node) in self.entries_by_kind(plan, Kind::Object) {
                let rules = &node.objects;
                patterns += rules.patterns.len();
                judges_names |= rules.names.is_some()
                    || rules.max_properties.is_some()
                    || rules.additional == Some(NodeId::NONE)
                    || rules.unevaluated == Some(NodeId::NONE);
                judges_deep_names |= rules.additional.is_some() || rules.unevaluated.is_some();
                for name in &rules.order {
                    declared.push(Declared { name: name.clone(), expected: OnceLock::new(), position });
                    position += 1;
                }
            }
            declared.sort_by(|a, b| (&a.name, a.position).cmp(&(&b.name, b.position)));
            declared.dedup_by(|later, first| later.name == first.name);
            ObjectPlan { declared, others: boxcar::Vec::new(), patterns, judges_names, judges_deep_names, presence_matters }
        })
    }

    pub(super) fn array_plan<'a>(&self, plan: &'a Plan) -> &'a ArrayPlan {
        plan.array.get_or_init(|| {
            let (mut prefix, mut count_cap, mut notes_matches, mut unique) = (0, self.options.max_items.unwrap_or(0), false, false);
            for (_, node) in self.entries_by_kind(plan, Kind::Array) {
                let rules = &node.arrays;
                prefix = prefix.max(rules.prefix.len());
                let max = rules.max_items.map_or(0, |max| max.saturating_add(1));
                count_cap = count_cap.max(rules.min_items.unwrap_or(0)).max(max).max(rules.prefix.len() as u64);
                notes_matches |= rules.unevaluated.is_some_and(|node| node != NodeId::ANY);
                unique |= rules.unique;
            }
            if notes_matches {
                count_cap = u64::MAX;
            }
            ArrayPlan { items: (0..=prefix).map(|_| OnceLock::new()).collect(), count_cap, notes_matches, unique }
        })
    }

    /// What is asked of the next item of an array.
    pub(super) fn expected_item(&self, array: &Body) -> ExpectedId {
        let (Some(plan), Some(members)) = (self.plan_around(array), array.array()) else { return ExpectedId::NOTHING };
        let items = &self.array_plan(plan).items;
        let index = (members.count as usize).min(items.len() - 1);
        *items[index].get_or_init(|| {
            let mut expected = ExpectedBuilder::default();
            for (at, node) in self.entries_by_kind(plan, Kind::Array) {
                let rules = &node.arrays;
                if let Some(contains) = &rules.contains {
                    expected.add(contains.node, at, Meaning::Contains);
                }
                match (rules.child(index), rules.unevaluated) {
                    (Some(node), _) => expected.add(node, at, Meaning::Must),
                    (None, Some(node)) => expected.add(node, at, Meaning::Unevaluated),
                    (None, None) => {}
                }
            }
            expected.finish(&self.table, &self.nodes)
        })
    }

    /// What is asked of the property `name` of an object.
    pub(super) fn expected_property(&self, object: &Body, name: &str) -> ExpectedId {
        let Some(plan) = self.plan_around(object) else { return ExpectedId::NOTHING };
        let properties = self.object_plan(plan);
        if let Some(declared) = properties.declared(name) {
            return *declared.expected.get_or_init(|| self.build_property(plan, name));
        }
        let patterns = self.patterns_matching(plan, name);
        if let Some((_, (_, known))) = properties.others.iter().find(|(_, (other, _))| *other == patterns) {
            return *known;
        }
        let expected = self.build_property(plan, name);
        properties.others.push((patterns, expected));
        expected
    }

    /// A name that `properties` lists, as it stands there.
    pub(super) fn declared_name(&self, object: &Body, name: &str) -> Option<Arc<str>> {
        Some(self.object_plan(self.plan_around(object)?).declared(name)?.name.clone())
    }

    fn patterns_matching(&self, plan: &Plan, name: &str) -> Patterns {
        let count = self.object_plan(plan).patterns;
        let mut patterns: Patterns = SmallVec::from_elem(0, count.div_ceil(64));
        if count > 0 {
            let all = self.entries_by_kind(plan, Kind::Object).flat_map(|(_, node)| &node.objects.patterns);
            for (bit, (pattern, _)) in all.enumerate() {
                patterns[bit / 64] |= u64::from(pattern.matches(name)) << (bit % 64);
            }
        }
        patterns
    }

    /// Whether names that no rule of an object mentions are the same to what follows where the same patterns
    /// match them.
    pub(super) fn names_close_alike(&self, object: &Body) -> bool {
        let alike = |plan| {
            let no_rules = self.open_entries(object).all(|(_, node)| node.objects.names.is_none());
            no_rules && !self.object_plan(plan).presence_matters
        };
        object.recorded.is_none() && !self.options.declared_order && self.plan_around(object).is_none_or(alike)
    }

    /// The names that an object has or that its rules mention; `None` where there are patterns besides.
    pub(super) fn mentioned_names<'a>(&'a self, object: &'a Body) -> Option<Vec<&'a Arc<str>>> {
        let mut names: Vec<&Arc<str>> = object.object()?.seen.iter().collect();
        let Some(plan) = self.plan_around(object) else { return Some(names) };
        let properties = self.object_plan(plan);
        names.extend(properties.declared.iter().map(|declared| &declared.name));
        for (_, node) in self.open_entries(object) {
            names.extend(node.objects.required.iter());
            names.extend(node.objects.dependent_required.iter().flat_map(|(name, names)| std::iter::once(name).chain(names)));
        }
        (properties.patterns == 0).then_some(names)
    }

    /// The patterns that match a name; `None` where the object has it or a rule mentions it.
    pub(super) fn patterns_of_unmentioned(&self, object: &Body, name: &str) -> Option<Patterns> {
        let mentions = |rules: &ObjectRules| {
            let listed = |names: &[Arc<str>]| names.iter().any(|other| **other == *name);
            listed(&rules.required) || rules.dependent_required.iter().any(|(other, names)| **other == *name || listed(names))
        };
        if object.has_seen(name) || self.open_entries(object).any(|(_, node)| mentions(&node.objects)) {
            return None;
        }
        let Some(plan) = self.plan_around(object) else { return Some(Patterns::new()) };
        self.object_plan(plan).declared(name).is_none().then(|| self.patterns_matching(plan, name))
    }

    fn build_property(&self, plan: &Plan, name: &str) -> ExpectedId {
        let mut expected = ExpectedBuilder::default();
        for (at, node) in self.entries_by_kind(plan, Kind::Object) {
            let rules = &node.objects;
            let found = rules.children(name, |child| expected.add(child, at, Meaning::Must));
            if let (false, Some(child)) = (found, rules.unevaluated) {
                expected.add(child, at, Meaning::Unevaluated);
            }
        }
        expected.finish(&self.table, &self.nodes)
    }

    /// Whether any rule restricts the names of an object by themselves.
    pub(super) fn judges_names(&self, object: &Body) -> bool {
        self.plan_around(object).is_some_and(|plan| {
            let plan = self.object_plan(plan);
            plan.judges_names || (plan.judges_deep_names && self.is_deep(object))
        })
    }

    /// Whether an object may have but those properties that the rules name.
    pub(super) fn is_closed(&self, object: &Body, rules: &ObjectRules) -> bool {
        rules.additional.is_some_and(|additional| self.forbids(object, additional))
    }

    /// The entries that fail because no property with a name that begins so may come; each with the reason.
    pub(super) fn failing_by_name(&self, object: &Body, name: Begun) -> SmallVec<[(u16, Reason); 2]> {
        let mut failing = SmallVec::new();
        let (Some(plan), true) = (self.plan_around(object), self.judges_names(object)) else { return failing };
        for (at, node) in self.open_entries(object) {
            if let Some(reason) = self.refused_name(plan, object, at, &node.objects, name) {
                failing.push((at, reason));
            }
        }
        failing
    }

    fn refused_name(&self, plan: &Plan, around: &Body, at: u16, rules: &ObjectRules, name: Begun) -> Option<Reason> {
        let object = around.object()?;
        if let Some(max) = rules.max_properties {
            let missing = || rules.required.iter().filter(|required| !object.seen.contains(required));
            let left = max.saturating_sub(object.seen.len() as u64);
            let needed = missing().count() as u64;
            if left == 0 || (left <= needed && !missing().any(|required| name.may_be(required))) {
                return Some(Reason::MaxProperties);
            }
        }
        if let Some(names) = rules.names
            && !self.may_be_string(names, name)
        {
            return Some(Reason::PropertyNames);
        }
        let closed = self.is_closed(around, rules);
        let last = if self.options.declared_order { self.last_position(plan, object) } else { None };
        let properties = self.object_plan(plan);
        let passed = |name: &str| object.seen.contains(name) || last.is_some_and(|last| properties.position(name) < last);
        let may_come = |rules: &ObjectRules| self.has_name(around, rules, name, passed);
        if !(closed || rules.unevaluated.is_some_and(|node| self.forbids(around, node))) || may_come(rules) {
            return None;
        }
        if closed {
            return Some(Reason::AdditionalProperties);
        }
        if rules.additional.is_some() {
            return None;
        }
        // Only where no node that judges the same value could evaluate it.
        let all_open: Verdicts = plan.entries.iter().map(|_| Verdict::Open).collect();
        let own = |entry: u16| {
            let rules = &self.node(plan.entries[usize::from(entry)].node).objects;
            rules.additional.is_some() || rules.unevaluated.is_some() || may_come(rules)
        };
        (!plan.evaluates(at, &all_open, &|_| Verdict::Open, &own)).then_some(Reason::UnevaluatedProperties)
    }

    /// Whether a name that begins so is one of `properties` or of a pattern, and may have a value. A listed name
    /// that has `passed` does not come again.
    fn has_name(&self, around: &Body, rules: &ObjectRules, name: Begun, passed: impl Fn(&str) -> bool) -> bool {
        let at = rules.properties.partition_point(|(other, _)| other.as_bytes() < name.text);
        let begun = rules.properties[at..].iter().take_while(|(other, _)| other.as_bytes().starts_with(name.text));
        let listed = begun.filter(|(other, _)| name.may_be(other) && (name.is_complete() || !passed(other)));
        listed.into_iter().any(|(_, node)| !self.forbids(around, *node))
            || rules.patterns.iter().any(|(pattern, node)| !self.forbids(around, *node) && pattern.may_match(name))
    }

    /// The place in the order of the schema of the last property listed there that the object has.
    fn last_position(&self, plan: &Plan, object: &ObjectMembers) -> Option<usize> {
        let properties = self.object_plan(plan);
        object.seen.iter().map(|seen| properties.position(seen)).max()
    }

    /// Whether the property `name` may come where properties follow the order of the schema. Others than
    /// those that it lists come last.
    pub(super) fn keeps_order(&self, object: &Body, name: &str) -> bool {
        let (Some(plan), Some(members)) = (self.plan_around(object), object.object()) else { return true };
        let position = self.object_plan(plan).position(name);
        position == usize::MAX || self.last_position(plan, members).is_none_or(|last| position > last)
    }

    /// The entries that fail because a required property can no longer come where `name` does, by the
    /// order of the schema.
    pub(super) fn failing_by_order(&self, object: &Body, name: &str) -> SmallVec<[(u16, Reason); 2]> {
        let (Some(plan), Some(members)) = (self.plan_around(object), object.object()) else { return SmallVec::new() };
        let properties = self.object_plan(plan);
        let position = properties.position(name);
        let passed = |required: &&Arc<str>| !members.seen.contains(required) && properties.position(required) < position;
        let entries = self.open_entries(object);
        entries.filter_map(|(at, node)| Some((at, Reason::Required(node.objects.required.iter().find(passed)?.clone())))).collect()
    }
}

impl ObjectPlan {
    fn declared(&self, name: &str) -> Option<&Declared> {
        self.declared.binary_search_by(|declared| (*declared.name).cmp(name)).ok().map(|at| &self.declared[at])
    }

    fn position(&self, name: &str) -> usize {
        self.declared(name).map_or(usize::MAX, |declared| declared.position)
    }

    /// The names that `properties` lists, in the order of the schema.
    pub(super) fn names(&self) -> Vec<&Arc<str>> {
        let mut declared: Vec<&Declared> = self.declared.iter().collect();
        declared.sort_by_key(|declared| declared.position);
        declared.into_iter().map(|declared| &declared.name).collect()
    }
}
