//! Why a byte was refused, in the words of the schema.

use super::JsonSchema;
use super::container::Body;
use super::node::{Kind, Node, NodeId};
use super::resources::escaped;
use std::borrow::Cow;
use std::sync::Arc;

/// Which rule failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    Kind,
    Enumeration,
    MinLength,
    MaxLength,
    /// The rules of an automaton of the node's strings.
    Text(usize),
    /// A rule that is judged when the string ends.
    WholeText(usize),
    Number,
    MultipleOf,
    Integer,
    Required(Arc<str>),
    MinProperties,
    MaxProperties,
    AdditionalProperties,
    PropertyNames,
    /// A property that no value may have.
    Forbidden(Arc<str>),
    UnevaluatedProperties,
    UnevaluatedItems,
    MinItems,
    MaxItems,
    /// No value may stand where the next item would.
    NoItem,
    /// Whatever the value, it would nest deeper than the options allow.
    TooDeep,
    UniqueItems,
    Contains,
}

/// A node's rule that has just failed.
pub(super) type Failure = Option<(NodeId, Reason)>;

/// What the options want where values would nest too deep.
pub(super) const NO_DEEPER: &str = "no deeper nesting, as the options limit it";

/// A refusal: of JSON itself, of an option, or of the schema.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// What JSON wants here.
    Json(&'static str),
    Duplicate(Arc<str>),
    /// A node's rule; `None` where only several together refuse.
    Schema(Option<NodeId>, Reason),
    /// The kind of a value, where what the node applies allows only those of these bits.
    Kinds(NodeId, u8),
}

impl Refusal {
    /// What was expected, and the pointer of the keyword in the schema.
    pub(super) fn words(&self, schema: &JsonSchema, around: Option<&Body>) -> (String, Option<String>) {
        match self {
            Self::Json(expected) => ((*expected).to_owned(), None),
            Self::Duplicate(name) => (format!("a property other than {name:?}, which the object already has"), None),
            Self::Schema(None, _) => ("a value that the combined rules of the schema allow".to_owned(), None),
            Self::Kinds(id, kinds) => (kinds_in_words(*kinds, false), Some(schema.node(*id).pointer.to_string())),
            Self::Schema(Some(id), reason) => {
                let node = schema.node(*id);
                let keyword = reason.keyword(node);
                let pointer = if keyword.is_empty() { node.pointer.to_string() } else { format!("{}/{keyword}", node.pointer) };
                (reason.words(node, around), Some(pointer))
            }
        }
    }
}

impl Reason {
    fn keyword(&self, node: &Node) -> Cow<'static, str> {
        let keyword = match self {
            Self::Forbidden(name) if node.objects.property(name).is_some() => {
                return format!("properties/{}", escaped(name)).into();
            }
            Self::Kind if node.enumeration.is_some() => "",
            Self::Kind if node.types.kinds == 0 => "",
            Self::Kind | Self::Integer => "type",
            // The node of an enumeration stands where the keyword does, or its schema does.
            Self::Enumeration | Self::Number | Self::TooDeep => "",
            Self::MinLength => "minLength",
            Self::MaxLength => "maxLength",
            Self::Text(at) => node.strings.automaton_words(*at).1,
            Self::WholeText(rule) => node.strings.rule_words(*rule).1,
            Self::MultipleOf => "multipleOf",
            Self::Required(_) => "required",
            Self::MinProperties => "minProperties",
            Self::MaxProperties => "maxProperties",
            Self::AdditionalProperties => "additionalProperties",
            Self::PropertyNames => "propertyNames",
            Self::Forbidden(_) => "additionalProperties",
            Self::UnevaluatedProperties => "unevaluatedProperties",
            Self::UnevaluatedItems => "unevaluatedItems",
            Self::MinItems => "minItems",
            Self::MaxItems => "maxItems",
            Self::NoItem => "items",
            Self::UniqueItems => "uniqueItems",
            Self::Contains => "contains",
        };
        keyword.into()
    }

    pub(super) fn words(&self, node: &Node, around: Option<&Body>) -> String {
        match self {
            Self::Kind | Self::Enumeration if node.enumeration.is_some() => enumeration(node),
            Self::Kind | Self::Enumeration => kinds(node),
            Self::Integer => format!("a whole number{}", bounds(node)),
            Self::Number => format!("{}{}", if node.types.integer { "an integer" } else { "a number" }, bounds(node)),
            Self::MultipleOf => node.numbers.multiple_of.as_ref().map_or(String::new(), |divisor| format!("a multiple of {divisor}")),
            Self::MinLength => format!("at least {} characters", node.strings.min_length.unwrap_or(0)),
            Self::MaxLength => format!("at most {} characters", node.strings.max_length.unwrap_or(0)),
            Self::Text(at) => node.strings.automaton_words(*at).0,
            Self::WholeText(rule) => node.strings.rule_words(*rule).0,
            Self::Required(name) => format!("the required property {name:?}"),
            Self::MinProperties => format!("at least {} properties", node.objects.min_properties.unwrap_or(0)),
            Self::MaxProperties => format!("at most {} properties", node.objects.max_properties.unwrap_or(0)),
            Self::AdditionalProperties => names(node, around),
            Self::PropertyNames => "a property name that `propertyNames` allows".to_owned(),
            Self::Forbidden(_) => names(node, around),
            Self::UnevaluatedProperties => "no properties that the schema does not name".to_owned(),
            Self::UnevaluatedItems => "no items that the schema does not describe".to_owned(),
            Self::NoItem => "no further item".to_owned(),
            Self::TooDeep => NO_DEEPER.to_owned(),
            Self::MinItems => format!("at least {} items", node.arrays.min_items.unwrap_or(0)),
            Self::MaxItems => format!("at most {} items", node.arrays.max_items.unwrap_or(0)),
            Self::UniqueItems => "an item that the array does not hold yet".to_owned(),
            Self::Contains => match node.arrays.contains {
                Some(contains) => match contains.max {
                    Some(max) => format!("{} to {max} items that match `contains`", contains.min),
                    None => format!("at least {} items that match `contains`", contains.min),
                },
                None => String::new(),
            },
        }
    }
}

fn kinds(node: &Node) -> String {
    kinds_in_words(node.types.kinds, node.types.integer)
}

fn kinds_in_words(kinds: u8, integer: bool) -> String {
    let named = [
        (Kind::Null.bit(), "null"),
        (Kind::True.bit() | Kind::False.bit(), "a boolean"),
        (Kind::Number.bit(), if integer { "an integer" } else { "a number" }),
        (Kind::String.bit(), "a string"),
        (Kind::Array.bit(), "an array"),
        (Kind::Object.bit(), "an object"),
    ];
    let names: Vec<&str> = named.into_iter().filter(|(bits, _)| kinds & bits != 0).map(|(_, name)| name).collect();
    match names.len() {
        0 => "no value at all".to_owned(),
        6 => "another value".to_owned(),
        _ => names.join(" or "),
    }
}

fn enumeration(node: &Node) -> String {
    let Some(enumeration) = &node.enumeration else { return String::new() };
    let literals = [(Kind::Null, "null"), (Kind::True, "true"), (Kind::False, "false")];
    let literals = literals.into_iter().filter(|(kind, _)| enumeration.literals & kind.bit() != 0).map(|(_, name)| name.to_owned());
    let strings = enumeration.strings.iter().map(|string| format!("{string:?}"));
    let all: Vec<String> = literals.chain(enumeration.numbers.iter().map(ToString::to_string)).chain(strings).collect();
    match &all[..] {
        [] => "no value at all".to_owned(),
        [one] => one.clone(),
        some if some.len() <= 12 => format!("one of {}", some.join(", ")),
        some => format!("one of {}, ... ({} in all)", some[..12].join(", "), some.len()),
    }
}

fn bounds(node: &Node) -> String {
    let bound = |bound: &Option<super::number::Bound>, inclusive: &str, exclusive: &str| {
        bound.as_ref().map(|bound| format!("{} {}", if bound.exclusive { exclusive } else { inclusive }, bound.value))
    };
    let words: Vec<String> =
        [bound(&node.numbers.minimum, ">=", ">"), bound(&node.numbers.maximum, "<=", "<")].into_iter().flatten().collect();
    if words.is_empty() { String::new() } else { format!(" {}", words.join(" and ")) }
}

fn names(node: &Node, around: Option<&Body>) -> String {
    let seen = |name: &str| around.is_some_and(|around| around.has_seen(name));
    let open: Vec<String> = node.objects.properties.iter().filter(|(name, _)| !seen(name)).map(|(name, _)| format!("{name:?}")).collect();
    match (&open[..], node.objects.patterns.is_empty()) {
        ([], true) => "no further property".to_owned(),
        ([], false) => "a property name that matches `patternProperties`".to_owned(),
        (some, _) if some.len() <= 12 => format!("a property among {}", some.join(", ")),
        (some, _) => format!("a property among {}, ... ({} in all)", some[..12].join(", "), some.len()),
    }
}
