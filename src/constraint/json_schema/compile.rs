//! From a JSON document to a graph of nodes.
//!
//! Schemas are compiled one after the other from a list of work, never by recursion, so that neither a
//! deep document nor a recursive schema can exhaust the stack; references become edges. Whatever would
//! restrict values and is not understood is an error that names the keyword and its place.

use super::decimal::Decimal;
use super::keywords;
use super::node::{Enumeration, Kind, Node, NodeId, Types};
use super::plan::{Plan, Verdict};
use super::{JsonSchema, Note, Options};
use crate::constraint::ConstraintError;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The most nodes of one schema; plans count them in 16 bits.
const NODE_LIMIT: usize = 60_000;
/// The deepest value in `enum` or `const`.
const VALUE_DEPTH_LIMIT: usize = 128;

/// The versions of the standard, by what differs between them for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    Draft4,
    Draft6,
    Draft7,
    Draft2019,
    Draft2020,
}

pub(super) struct Compiler<'a> {
    document: &'a Value,
    pub(super) draft: Draft,
    pub(super) options: &'a Options,
    nodes: Vec<Node>,
    by_pointer: HashMap<String, NodeId>,
    work: Vec<(NodeId, &'a Map<String, Value>, String)>,
    notes: Vec<Note>,
    /// `$id` and `$anchor` to where they stand.
    names: HashMap<String, (String, &'a Value)>,
}

/// Compiles a schema document.
pub(super) fn compile(document: &Value, options: &Options) -> Result<JsonSchema, ConstraintError> {
    let mut compiler = Compiler {
        document,
        draft: draft(document)?,
        options,
        nodes: vec![Node::new("#"), Node::new("#")],
        by_pointer: HashMap::new(),
        work: Vec::new(),
        notes: Vec::new(),
        names: HashMap::new(),
    };
    compiler.nodes[NodeId::NONE.0 as usize].types = Types { kinds: 0, integer: false };
    compiler.collect_names();
    let root = compiler.schema(document, "#")?;
    while let Some((id, object, pointer)) = compiler.work.pop() {
        let mut node = Node::new(pointer.as_str());
        keywords::apply(&mut compiler, &mut node, object, &pointer)?;
        node.drop_impossible_kinds();
        compiler.nodes[id.0 as usize] = node;
    }
    let (nodes, notes) = (compiler.nodes, compiler.notes);
    refuse_loops(&nodes)?;
    let plans = nodes.iter().map(|_| OnceLock::new()).collect();
    let schema = JsonSchema { nodes, plans, root, options: options.clone(), notes };
    schema.refuse_impossible()?;
    Ok(schema)
}

fn draft(document: &Value) -> Result<Draft, ConstraintError> {
    let Some(uri) = document.get("$schema") else { return Ok(Draft::Draft2020) };
    let Some(uri) = uri.as_str() else {
        return Err(ConstraintError::invalid("`$schema` must be the address of a version of the standard").at("#/$schema"));
    };
    let address = uri.trim_end_matches('#').trim_start_matches("https://").trim_start_matches("http://");
    match address {
        "json-schema.org/draft/2020-12/schema" | "json-schema.org/schema" => Ok(Draft::Draft2020),
        "json-schema.org/draft/2019-09/schema" => Ok(Draft::Draft2019),
        "json-schema.org/draft-07/schema" => Ok(Draft::Draft7),
        "json-schema.org/draft-06/schema" => Ok(Draft::Draft6),
        "json-schema.org/draft-04/schema" => Ok(Draft::Draft4),
        _ => Err(ConstraintError::unsupported(format!(
            "`$schema` {uri} is no version that tamis knows; it knows drafts 2020-12, 2019-09, 7, 6 and 4"
        ))
        .at("#/$schema")),
    }
}

impl<'a> Compiler<'a> {
    /// The node of a schema at `pointer`, compiled later.
    pub(super) fn schema(&mut self, value: &'a Value, pointer: &str) -> Result<NodeId, ConstraintError> {
        match value {
            Value::Bool(true) => Ok(NodeId::ANY),
            Value::Bool(false) => Ok(NodeId::NONE),
            Value::Object(object) if object.is_empty() => Ok(NodeId::ANY),
            Value::Object(object) => {
                if let Some(id) = self.by_pointer.get(pointer) {
                    return Ok(*id);
                }
                let id = self.add(Node::new(pointer))?;
                self.by_pointer.insert(pointer.to_owned(), id);
                self.work.push((id, object, pointer.to_owned()));
                Ok(id)
            }
            other => Err(ConstraintError::invalid(format!("a schema is an object, true or false, not {}", type_name(other))).at(pointer)),
        }
    }

    /// Tells of something that is not enforced.
    pub(super) fn note(&mut self, pointer: String, message: String) {
        self.notes.push(Note::new(pointer, message));
    }

    pub(super) fn add(&mut self, node: Node) -> Result<NodeId, ConstraintError> {
        if self.nodes.len() == NODE_LIMIT {
            return Err(ConstraintError::too_large(format!("the schema has more than {NODE_LIMIT} subschemas")));
        }
        self.nodes.push(node);
        Ok(NodeId(self.nodes.len() as u32 - 1))
    }

    /// The node that a reference names.
    pub(super) fn reference(&mut self, reference: &str, pointer: &str) -> Result<NodeId, ConstraintError> {
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let (start, value) = match base {
            // A fragment is looked up in the enclosing resource with an `$id`, else in the document.
            "" => self.enclosing_resource(pointer),
            _ => match self.names.get(base) {
                // Relative addresses would have to be resolved against the resource around them.
                Some(place) if base.contains(':') => place.clone(),
                _ => {
                    let message = format!("`$ref` to another document, {reference:?}, is not followed");
                    return Err(ConstraintError::unsupported(message).at(pointer));
                }
            },
        };
        if fragment.is_empty() {
            return self.schema(value, &start);
        }
        let fragment = percent_decoded(fragment);
        if !fragment.starts_with('/') {
            let Some((start, value)) = self.names.get(&format!("{start} {fragment}")).cloned() else {
                return Err(ConstraintError::invalid(format!("the reference {reference:?} names no `$anchor` of the schema")).at(pointer));
            };
            return self.schema(value, &start);
        }
        let target = value
            .pointer(&fragment)
            .ok_or_else(|| ConstraintError::invalid(format!("the reference {reference:?} leads nowhere in the schema")).at(pointer))?;
        self.schema(target, &format!("{start}{fragment}"))
    }

    fn enclosing_resource(&self, pointer: &str) -> (String, &'a Value) {
        let mut place = pointer;
        while place != "#" {
            if let Some(value) = self.document.pointer(&place[1..])
                && self.is_resource(value)
            {
                return (place.to_owned(), value);
            }
            place = &place[..place.rfind('/').unwrap_or(1)];
        }
        ("#".to_owned(), self.document)
    }

    /// Whether the schema has an address of its own, against which its fragments are looked up.
    fn is_resource(&self, value: &Value) -> bool {
        let id = value.get(if self.draft == Draft::Draft4 { "id" } else { "$id" });
        id.and_then(Value::as_str).is_some_and(|id| !id.starts_with('#'))
    }

    /// Finds every `$id` and, by its resource, every `$anchor`. Values of `enum`, `const` and the like
    /// hold data, not schemas.
    fn collect_names(&mut self) {
        let mut open: Vec<(String, &'a Value, String)> = vec![("#".to_owned(), self.document, "#".to_owned())];
        while let Some((pointer, value, mut resource)) = open.pop() {
            match value {
                Value::Object(object) => {
                    if self.is_resource(value) {
                        resource.clone_from(&pointer);
                    }
                    for key in ["$id", "id", "$anchor", "$dynamicAnchor"] {
                        let Some(name) = object.get(key).and_then(Value::as_str) else { continue };
                        let name = match (key, name.strip_prefix('#')) {
                            ("$anchor" | "$dynamicAnchor", _) => format!("{resource} {name}"),
                            // Up to draft 7 anchors are written so.
                            (_, Some(anchor)) => format!("{resource} {anchor}"),
                            (_, None) => name.trim_end_matches('#').to_owned(),
                        };
                        self.names.entry(name).or_insert_with(|| (pointer.clone(), value));
                    }
                    for (key, value) in object {
                        if !matches!(key.as_str(), "enum" | "const" | "default" | "examples") {
                            open.push((format!("{pointer}/{}", escaped(key)), value, resource.clone()));
                        }
                    }
                }
                Value::Array(items) => {
                    open.extend(items.iter().enumerate().map(|(index, value)| (format!("{pointer}/{index}"), value, resource.clone())));
                }
                _ => {}
            }
        }
    }

    /// Adds to `node` that the value is one of `values`.
    pub(super) fn one_of_values(&mut self, node: &mut Node, values: &[Value], pointer: &str) -> Result<(), ConstraintError> {
        let mut scalars = Enumeration::default();
        let mut others = Vec::new();
        for value in values {
            match value {
                Value::Null => scalars.literals |= Kind::Null.bit(),
                Value::Bool(true) => scalars.literals |= Kind::True.bit(),
                Value::Bool(false) => scalars.literals |= Kind::False.bit(),
                Value::Number(number) => scalars.numbers.push(decimal(&number.to_string(), pointer)?),
                Value::String(string) => scalars.strings.push(string.clone()),
                Value::Array(_) | Value::Object(_) => others.push(self.exactly(value, pointer, 0)?),
            }
        }
        scalars.strings.sort();
        scalars.strings.dedup();
        if others.is_empty() && node.enumeration.is_none() {
            node.enumeration = Some(scalars);
            return Ok(());
        }
        let mut scalar = Node::new(pointer);
        scalar.enumeration = Some(scalars);
        others.push(self.add(scalar)?);
        node.applicators.any.push(others);
        Ok(())
    }

    /// A node for exactly one value.
    fn exactly(&mut self, value: &Value, pointer: &str, depth: usize) -> Result<NodeId, ConstraintError> {
        if depth > VALUE_DEPTH_LIMIT {
            return Err(ConstraintError::too_large(format!("a value is nested deeper than {VALUE_DEPTH_LIMIT}")).at(pointer));
        }
        let mut node = Node::new(pointer);
        match value {
            Value::Array(items) => {
                node.types.kinds = Kind::Array.bit();
                node.arrays.prefix = items.iter().map(|item| self.exactly(item, pointer, depth + 1)).collect::<Result<_, _>>()?;
                node.arrays.items = Some(NodeId::NONE);
                node.arrays.min_items = Some(items.len() as u64);
                node.arrays.max_items = Some(items.len() as u64);
            }
            Value::Object(members) => {
                node.types.kinds = Kind::Object.bit();
                for (name, value) in members {
                    let child = self.exactly(value, pointer, depth + 1)?;
                    node.objects.properties.push((name.as_str().into(), child));
                    node.objects.required.push(name.as_str().into());
                }
                node.objects.properties.sort();
                node.objects.required.sort();
                node.objects.additional = Some(NodeId::NONE);
            }
            scalar => self.one_of_values(&mut node, std::slice::from_ref(scalar), pointer)?,
        }
        self.add(node)
    }
}

impl Node {
    /// Takes out the kinds of which no value can satisfy the node's own rules.
    fn drop_impossible_kinds(&mut self) {
        let mut drop = |kind: Kind, impossible: bool| {
            if impossible {
                self.types.kinds &= !kind.bit();
            }
        };
        let above = |low: Option<u64>, high: Option<u64>| low.zip(high).is_some_and(|(low, high)| low > high);
        drop(Kind::String, above(self.strings.min_length, self.strings.max_length));
        drop(Kind::Number, self.numbers.is_contradictory());
        let arrays = &self.arrays;
        let closed_at = (arrays.items == Some(NodeId::NONE)).then_some(arrays.prefix.len() as u64);
        drop(Kind::Array, above(arrays.min_items, arrays.max_items) || above(arrays.min_items, closed_at));
        let objects = &self.objects;
        let forbidden = |name: &Arc<str>| {
            let mut none = false;
            objects.children(name, |node| none |= node == NodeId::NONE);
            none
        };
        drop(
            Kind::Object,
            above(objects.min_properties, objects.max_properties)
                || above(Some(objects.required.len() as u64), objects.max_properties)
                || objects.required.iter().any(forbidden),
        );
    }
}

impl JsonSchema {
    /// An error where no value at all satisfies the schema, as far as its outermost rules tell.
    fn refuse_impossible(&self) -> Result<(), ConstraintError> {
        let plan = self.plan(self.root);
        let possible =
            [Kind::Null, Kind::True, Kind::False, Kind::Number, Kind::String, Kind::Array, Kind::Object].into_iter().any(|kind| {
                let mut verdicts = plan.own_verdicts(&self.nodes, kind);
                plan.combine(&mut verdicts, |_| Verdict::Open, |_, _| true);
                verdicts[usize::from(plan.roots[0])] != Verdict::Fails
            });
        match possible {
            true => Ok(()),
            false => Err(ConstraintError::unsatisfiable("no JSON value satisfies the schema: its rules exclude each other")
                .at(&*self.nodes[self.root.0 as usize].pointer)),
        }
    }

    /// The plan of a single node; made at first use.
    pub(super) fn plan(&self, root: NodeId) -> &Arc<Plan> {
        self.plans[root.0 as usize].get_or_init(|| Arc::new(Plan::new(&self.nodes, &[root])))
    }
}

/// An error where a node applies itself to the same value.
fn refuse_loops(nodes: &[Node]) -> Result<(), ConstraintError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; nodes.len()];
    for start in 0..nodes.len() as u32 {
        let mut open = vec![(NodeId(start), false)];
        while let Some((id, left)) = open.pop() {
            let mark = &mut marks[id.0 as usize];
            match (*mark, left) {
                (_, true) => *mark = Mark::Done,
                (Mark::Done, _) => {}
                (Mark::Open, _) => {
                    let pointer = &*nodes[id.0 as usize].pointer;
                    let message = "the schema applies itself to the same value over and over (a reference to itself that takes no step into the value)";
                    return Err(ConstraintError::invalid(message).at(pointer));
                }
                (Mark::New, _) => {
                    *mark = Mark::Open;
                    open.push((id, true));
                    open.extend(
                        nodes[id.0 as usize].applicators.nodes().filter(|id| marks[id.0 as usize] != Mark::Done).map(|id| (id, false)),
                    );
                }
            }
        }
    }
    Ok(())
}

pub(super) fn decimal(text: &str, pointer: &str) -> Result<Decimal, ConstraintError> {
    Decimal::parse(text).ok_or_else(|| ConstraintError::invalid(format!("{text} is no number")).at(pointer))
}

/// A property name as a segment of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
