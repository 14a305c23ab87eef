//! The members that a container has had: their names, and, where they are compared, their values.
//!
//! `uniqueItems` compares items by value: 1.0 is 1, and the order of an object's properties does not
//! matter. Values are kept whole, each with its hash, so that comparing is exact and nearly always one
//! comparison of hashes. Both lists know their hash, so that a state's hash never walks them.

use super::decimal::Decimal;
use super::node::Kind;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A set of property names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The sum of the names' hashes, which does not depend on their order.
    hash: u64,
    sorted: Arc<Vec<Arc<str>>>,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sorted.iter()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.sorted.binary_search_by(|other| (**other).cmp(name)).is_ok()
    }

    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, name: Arc<str>) {
        self.hash = self.hash.wrapping_add(hash_of(&name));
        let at = self.sorted.partition_point(|other| *other < name);
        Arc::make_mut(&mut self.sorted).insert(at, name);
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.sorted, &other.sorted) || self.sorted == other.sorted)
    }
}

impl Eq for Names {}

impl Hash for Names {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// A JSON value that can be compared; a clone is cheap.
#[derive(Clone, Debug)]
pub(super) struct Value {
    hash: u64,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Literal(Kind),
    Number(Arc<Decimal>),
    String(Arc<[u8]>),
    Array(Arc<Vec<(Option<Arc<str>>, Value)>>),
    /// Sorted by name.
    Object(Arc<Vec<(Option<Arc<str>>, Value)>>),
}

impl Value {
    fn new(form: Form) -> Self {
        Self { hash: hash_of(&form), form }
    }

    pub(super) fn literal(kind: Kind) -> Self {
        Self::new(Form::Literal(kind))
    }

    pub(super) fn number(number: Decimal) -> Self {
        Self::new(Form::Number(Arc::new(number)))
    }

    pub(super) fn string(text: &[u8]) -> Self {
        Self::new(Form::String(text.into()))
    }

    /// The value of a container that has ended.
    pub(super) fn container(members: Recorded, is_object: bool) -> Self {
        if !is_object {
            return Self::new(Form::Array(members.values));
        }
        let mut values = members.values;
        Arc::make_mut(&mut values).sort_by(|(a, _), (b, _)| a.cmp(b));
        Self::new(Form::Object(values))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.form == other.form
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// The values of a container's members so far, with their names in an object.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    hash: u64,
    /// Whether their order matters; else they are kept sorted by hash.
    ordered: bool,
    values: Arc<Vec<(Option<Arc<str>>, Value)>>,
}

impl Recorded {
    pub(super) fn new(ordered: bool) -> Self {
        Self { hash: 0, ordered, values: Arc::default() }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        if self.ordered {
            return self.values.iter().any(|(_, other)| other == value);
        }
        let at = self.values.partition_point(|(_, other)| other.hash < value.hash);
        self.values[at..].iter().take_while(|(_, other)| other.hash == value.hash).any(|(_, other)| other == value)
    }

    pub(super) fn push(&mut self, name: Option<Arc<str>>, value: Value) {
        let at = if self.ordered { self.values.len() } else { self.values.partition_point(|(_, other)| other.hash < value.hash) };
        self.hash = if self.ordered { hash_of(&(self.hash, &name, value.hash)) } else { self.hash.wrapping_add(value.hash) };
        Arc::make_mut(&mut self.values).insert(at, (name, value));
    }
}

impl PartialEq for Recorded {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.values, &other.values) || self.values == other.values)
    }
}

impl Eq for Recorded {}

impl Hash for Recorded {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_equal_whatever_their_spelling_and_order() {
        let number = |text: &str| Value::number(Decimal::parse(text).unwrap());
        let object = |members: &[(&str, &str)]| {
            let mut recorded = Recorded::new(true);
            members.iter().for_each(|(name, value)| recorded.push(Some((*name).into()), number(value)));
            Value::container(recorded, true)
        };
        assert_eq!(object(&[("a", "1"), ("b", "2")]), object(&[("b", "2.0"), ("a", "10e-1")]));
        assert_ne!(object(&[("a", "1"), ("b", "2")]), object(&[("a", "2"), ("b", "1")]));
        assert_ne!(number("0"), Value::literal(Kind::False));
        assert_ne!(Value::string(b"0"), number("0"));
        let mut items = Recorded::new(false);
        items.push(None, number("3"));
        assert!(items.contains(&number("3.0")) && !items.contains(&number("4")));
    }

    #[test]
    fn names_compare_as_sets() {
        let set = |names: &[&str]| {
            let mut set = Names::default();
            names.iter().for_each(|name| set.insert((*name).into()));
            set
        };
        assert_eq!(set(&["a", "b"]), set(&["b", "a"]));
        assert_ne!(set(&["a"]), set(&["b"]));
        assert!(set(&["x", "k"]).contains("k"));
    }
}
