//! A compiled schema: a graph of nodes, each with the rules of one schema object.
//!
//! Every rule falls in one of two kinds. A node's *own* rules judge the value by itself or send its
//! members to other nodes. Its *applicators* (`$ref`, `allOf`, `anyOf`, `oneOf`, `not`, `if`,
//! `dependentSchemas`) send the same value to other nodes and combine their verdicts; `plan.rs` unrolls
//! them. An array or object in `enum` or `const` becomes nodes with exactly its items and properties, so
//! that nothing but scalars is ever compared.

use super::decimal::Decimal;
use super::escape::Characters;
use super::number::NumberRules;
use super::pattern::Pattern;
use super::plan::Verdict;
use super::strings::StringRules;
use std::sync::Arc;

/// A node's place in its schema's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    /// The schema `true`, which every schema's list begins with.
    pub(super) const ANY: Self = Self(0);
    /// The schema `false`, the second of every list.
    pub(super) const NONE: Self = Self(1);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The type of a JSON value, as its first byte tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [Self::Null, Self::True, Self::False, Self::Number, Self::String, Self::Array, Self::Object];

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The types that a node allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types {
    /// The bits of the allowed kinds.
    pub(super) kinds: u8,
    /// Of the numbers, only whole ones.
    pub(super) integer: bool,
    /// Of these, only those written without a decimal point or an exponent (draft 4).
    pub(super) plain: bool,
}

impl Types {
    pub(super) const ALL: Self = Self { kinds: 0x7F, integer: false, plain: false };
}

/// The scalars that `enum` or `const` allow.
#[derive(Clone, Debug, Default)]
pub(super) struct Enumeration {
    /// The bits of the literals `null`, `true`, `false` that are among them.
    pub(super) literals: u8,
    /// Sorted.
    pub(super) numbers: Vec<Decimal>,
    /// Sorted.
    pub(super) strings: Vec<String>,
}

impl Enumeration {
    /// Whether a string of the list begins with `prefix`.
    pub(super) fn has_prefix(&self, prefix: &[u8]) -> bool {
        let at = self.strings.partition_point(|string| string.as_bytes() < prefix);
        self.strings.get(at).is_some_and(|string| string.as_bytes().starts_with(prefix))
    }

    /// Whether a string of the list begins with `prefix` and goes on with one of the characters.
    pub(super) fn goes_on(&self, prefix: &[u8], characters: &Characters) -> bool {
        let first = self.strings.partition_point(|string| string.as_bytes() < prefix);
        let count = self.strings[first..].partition_point(|string| string.as_bytes().starts_with(prefix));
        characters.follow_in(&self.strings[first..first + count], prefix.len())
    }

    /// The least number of bytes that make a string of the list of `prefix`.
    pub(super) fn shortest_rest(&self, prefix: &[u8]) -> usize {
        let at = self.strings.partition_point(|string| string.as_bytes() < prefix);
        let begun = self.strings[at..].iter().take_while(|string| string.as_bytes().starts_with(prefix));
        begun.map(|string| string.len() - prefix.len()).min().unwrap_or(0)
    }

    pub(super) fn has_string(&self, text: &[u8]) -> bool {
        self.strings.binary_search_by(|string| string.as_bytes().cmp(text)).is_ok()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ObjectRules {
    /// Sorted by name.
    pub(super) properties: Vec<(Arc<str>, NodeId)>,
    /// The names of `properties` as the schema lists them.
    pub(super) order: Vec<Arc<str>>,
    pub(super) patterns: Vec<(Pattern, NodeId)>,
    pub(super) additional: Option<NodeId>,
    pub(super) unevaluated: Option<NodeId>,
    pub(super) names: Option<NodeId>,
    /// Sorted.
    pub(super) required: Vec<Arc<str>>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) dependent_required: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl ObjectRules {
    pub(super) fn is_empty(&self) -> bool {
        self.properties.is_empty()
            && self.patterns.is_empty()
            && self.additional.is_none()
            && self.unevaluated.is_none()
            && self.names.is_none()
            && self.min_properties.is_none()
            && self.max_properties.is_none()
            && self.dependent_required.is_empty()
            && self.required.is_empty()
    }

    /// Whether `required` is all there is, so that the rules hold for certain once its names are seen.
    pub(super) fn only_requires(&self) -> bool {
        self.properties.iter().all(|(_, node)| *node == NodeId::ANY)
            && self.patterns.iter().all(|(_, node)| *node == NodeId::ANY)
            && self.additional.is_none_or(|node| node == NodeId::ANY)
            && self.unevaluated.is_none_or(|node| node == NodeId::ANY)
            && self.names.is_none()
            && self.min_properties.is_none()
            && self.max_properties.is_none()
            && self.dependent_required.is_empty()
    }

    pub(super) fn property(&self, name: &str) -> Option<NodeId> {
        self.properties.binary_search_by(|(other, _)| (**other).cmp(name)).ok().map(|at| self.properties[at].1)
    }

    /// Calls `child` with each node that `properties`, `patternProperties` or else
    /// `additionalProperties` send the property to; whether there is one.
    pub(super) fn children(&self, name: &str, mut child: impl FnMut(NodeId)) -> bool {
        let mut found = false;
        if let Some(node) = self.property(name) {
            child(node);
            found = true;
        }
        for (pattern, node) in &self.patterns {
            if pattern.matches(name) {
                child(*node);
                found = true;
            }
        }
        if !found && let Some(node) = self.additional {
            child(node);
            found = true;
        }
        found
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ArrayRules {
    pub(super) prefix: Vec<NodeId>,
    /// For the items after the prefix.
    pub(super) items: Option<NodeId>,
    pub(super) unevaluated: Option<NodeId>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) unique: bool,
    pub(super) contains: Option<Contains>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Contains {
    pub(super) node: NodeId,
    pub(super) min: u64,
    pub(super) max: Option<u64>,
    /// Whether an item that matches counts as evaluated (not in draft 2019-09).
    pub(super) evaluates: bool,
}

impl ArrayRules {
    pub(super) fn is_empty(&self) -> bool {
        self.prefix.is_empty()
            && self.items.is_none()
            && self.unevaluated.is_none()
            && self.min_items.is_none()
            && self.max_items.is_none()
            && !self.unique
            && self.contains.is_none()
    }

    /// The node that judges the item at `index`, if there is one.
    pub(super) fn child(&self, index: usize) -> Option<NodeId> {
        self.prefix.get(index).copied().or(self.items)
    }
}

/// The nodes that the same value is sent to, and how their verdicts combine: all of these must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Applicators {
    /// `allOf`, `$ref`.
    pub(super) all: Vec<NodeId>,
    /// Of each list at least one.
    pub(super) any: Vec<Vec<NodeId>>,
    /// Of each list exactly one.
    pub(super) one: Vec<Vec<NodeId>>,
    pub(super) not: Vec<NodeId>,
    /// `if`, `then`, `else`.
    pub(super) conditional: Option<(NodeId, NodeId, NodeId)>,
    /// The node must hold where the property is there.
    pub(super) dependent: Vec<(Arc<str>, NodeId)>,
}

impl Applicators {
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let conditional = self.conditional.into_iter().flat_map(|(a, b, c)| [a, b, c]);
        let listed = self.all.iter().chain(self.any.iter().flatten()).chain(self.one.iter().flatten()).chain(&self.not);
        listed.copied().chain(conditional).chain(self.dependent.iter().map(|(_, node)| *node))
    }
}

/// The rules of one schema object.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it stands in the schema, as a JSON pointer fragment.
    pub(super) pointer: Arc<str>,
    /// Whether it stands for one value of `enum` or `const`, and so evaluates no members for
    /// `unevaluatedProperties` and `unevaluatedItems`.
    pub(super) is_value: bool,
    pub(super) types: Types,
    pub(super) enumeration: Option<Enumeration>,
    pub(super) strings: StringRules,
    pub(super) numbers: NumberRules,
    pub(super) objects: ObjectRules,
    pub(super) arrays: ArrayRules,
    pub(super) applicators: Applicators,
}

impl Node {
    pub(super) fn new(pointer: impl Into<Arc<str>>) -> Self {
        Self {
            pointer: pointer.into(),
            is_value: false,
            types: Types::ALL,
            enumeration: None,
            strings: StringRules::default(),
            numbers: NumberRules::default(),
            objects: ObjectRules::default(),
            arrays: ArrayRules::default(),
            applicators: Applicators::default(),
        }
    }

    /// The node that this one refers to, where that is all it does; [`NodeId::ANY`] where it does nothing.
    pub(super) fn only_reference(&self) -> Option<NodeId> {
        let applicators = &self.applicators;
        let alone = self.types == Types::ALL
            && self.enumeration.is_none()
            && self.strings.is_empty()
            && self.numbers.is_empty()
            && self.objects.is_empty()
            && self.arrays.is_empty()
            && applicators.nodes().count() == applicators.all.len();
        match applicators.all[..] {
            [] if alone => Some(NodeId::ANY),
            [only] if alone => Some(only),
            _ => None,
        }
    }

    /// Replaces every node that is named.
    pub(super) fn redirect(&mut self, to: impl Fn(NodeId) -> NodeId) {
        let Self { objects, arrays, applicators, .. } = self;
        let named = objects.properties.iter_mut().map(|(_, node)| node).chain(objects.patterns.iter_mut().map(|(_, node)| node));
        let named = named.chain(&mut objects.additional).chain(&mut objects.unevaluated).chain(&mut objects.names);
        let named = named.chain(&mut arrays.prefix).chain(&mut arrays.items).chain(&mut arrays.unevaluated);
        let named = named.chain(arrays.contains.iter_mut().map(|contains| &mut contains.node)).chain(&mut applicators.all);
        let named =
            named.chain(applicators.any.iter_mut().flatten()).chain(applicators.one.iter_mut().flatten()).chain(&mut applicators.not);
        let named = named.chain(applicators.conditional.iter_mut().flat_map(|(condition, then, otherwise)| [condition, then, otherwise]));
        named.chain(applicators.dependent.iter_mut().map(|(_, node)| node)).for_each(|node| *node = to(*node));
    }

    /// Whether values of `kind` are allowed, before anything else of them is known.
    pub(super) fn allows_kind(&self, kind: Kind) -> bool {
        self.types.kinds & kind.bit() != 0
            && self.enumeration.as_ref().is_none_or(|enumeration| match kind {
                Kind::Null | Kind::True | Kind::False => enumeration.literals & kind.bit() != 0,
                Kind::Number => !enumeration.numbers.is_empty(),
                Kind::String => !enumeration.strings.is_empty(),
                Kind::Array | Kind::Object => false,
            })
    }

    /// The verdict of the node's own rules on a value of which only the kind is known.
    pub(super) fn verdict_by_kind(&self, kind: Kind) -> Verdict {
        match (self.allows_kind(kind), self.holds_for(kind)) {
            (false, _) => Verdict::Fails,
            (true, true) => Verdict::Holds,
            (true, false) => Verdict::Open,
        }
    }

    /// Whether a number that satisfies the node's own rules must be a whole one.
    pub(super) fn wants_whole(&self) -> bool {
        self.types.integer
            || self.numbers.multiple_of.as_ref().is_some_and(Decimal::is_integer)
            || self.enumeration.as_ref().is_some_and(|enumeration| enumeration.numbers.iter().all(Decimal::is_integer))
    }

    /// Whether a value of `kind` that is allowed satisfies the node's own rules for certain.
    pub(super) fn holds_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Null | Kind::True | Kind::False => true,
            Kind::Number => !self.types.integer && self.enumeration.is_none() && self.numbers.is_empty(),
            Kind::String => self.enumeration.is_none() && self.strings.is_empty(),
            Kind::Array => self.arrays.is_empty(),
            Kind::Object => self.objects.is_empty(),
        }
    }
}
