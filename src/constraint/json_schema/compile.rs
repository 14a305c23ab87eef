//! From a JSON document to a graph of nodes.
//!
//! Schemas are compiled one after the other from a list of work, never by recursion, so that neither a
//! deep document nor a recursive schema can exhaust the stack; references become edges. Whatever would
//! restrict values and is not understood is an error that names the keyword and its place.

use super::decimal::Decimal;
use super::documents::{Documents, Loaded};
use super::keywords;
use super::node::{Enumeration, Kind, Node, NodeId, Types};
use super::plan::Verdict;
use super::resources::{Place, Resources, Site};
use super::{JsonSchema, Note, Options};
use crate::constraint::ConstraintError;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The most nodes of one schema; plans count them in 16 bits.
const NODE_LIMIT: usize = 60_000;
/// The longest JSON pointer to a schema.
const POINTER_LIMIT: usize = 1 << 16;
/// The deepest value in `enum` or `const`.
const VALUE_DEPTH_LIMIT: usize = 128;

pub(super) struct Compiler<'a> {
    pub(super) resources: Resources<'a>,
    pub(super) options: &'a Options,
    nodes: Vec<Node>,
    /// The nodes made so far, by place and dynamic context.
    by_site: HashMap<(Place, usize), NodeId>,
    work: Vec<(NodeId, &'a Map<String, Value>, Site)>,
    notes: Vec<Note>,
}

/// Compiles a schema document.
pub(super) fn compile(document: &Value, options: &Options) -> Result<JsonSchema, ConstraintError> {
    let loaded = Loaded::default();
    let mut compiler = Compiler {
        resources: Resources::new(&options.documents, &loaded),
        options,
        nodes: vec![Node::new("#"), Node::new("#")],
        by_site: HashMap::new(),
        work: Vec::new(),
        notes: Vec::new(),
    };
    compiler.nodes[NodeId::NONE.index()].types = Types { kinds: 0, ..Types::ALL };
    let resource = compiler.resources.add(document, Documents::BASE, options.draft)?;
    let site = compiler.resources.root_site(resource)?;
    let root = compiler.schema(document, site)?;
    while let Some((id, object, site)) = compiler.work.pop() {
        let mut node = Node::new(compiler.resources.shown(&site.place, ""));
        keywords::apply(&mut compiler, &mut node, object, &site)?;
        node.drop_impossible_kinds();
        compiler.nodes[id.index()] = node;
    }
    let (mut nodes, notes) = (compiler.nodes, compiler.notes);
    refuse_loops(&nodes)?;
    let root = skip_references(&mut nodes, root);
    let schema = JsonSchema::of_nodes(nodes, root, options.clone(), notes);
    schema.refuse_impossible()?;
    Ok(schema)
}

impl<'a> Compiler<'a> {
    /// The node of a schema within the schema at `site`, at the relative pointer `path`; compiled later.
    pub(super) fn child(&mut self, site: &Site, value: &'a Value, path: &str) -> Result<NodeId, ConstraintError> {
        let site = self.resources.child(site, path)?;
        self.schema(value, site)
    }

    /// The node of the schema at `site`, compiled later.
    pub(super) fn schema(&mut self, value: &'a Value, site: Site) -> Result<NodeId, ConstraintError> {
        match value {
            Value::Bool(true) => Ok(NodeId::ANY),
            Value::Bool(false) => Ok(NodeId::NONE),
            Value::Object(object) if object.is_empty() => Ok(NodeId::ANY),
            Value::Object(_) if site.place.pointer.len() > POINTER_LIMIT => {
                Err(ConstraintError::too_large(format!("a schema's place takes more than {POINTER_LIMIT} bytes to name")))
            }
            Value::Object(object) => {
                let key = (site.place.clone(), site.context);
                if let Some(id) = self.by_site.get(&key) {
                    return Ok(*id);
                }
                let id = self.add(Node::new("#"))?;
                self.by_site.insert(key, id);
                self.work.push((id, object, site));
                Ok(id)
            }
            other => Err(ConstraintError::invalid(format!("a schema is an object, true or false, not {}", type_name(other)))
                .at(&*self.resources.shown(&site.place, ""))),
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
        scalars.numbers.sort();
        scalars.numbers.dedup();
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
        node.is_value = true;
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
                    node.objects.order.push(name.as_str().into());
                }
                node.objects.required.clone_from(&node.objects.order);
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
        let Some(plan) = self.expected(self.root).plan.map(|plan| self.plan(plan)) else { return Ok(()) };
        let pointer = &*self.node(plan.entries[0].node).pointer;
        if self.is_too_deep(None, plan.entries[0].node) {
            let limit = self.options.max_depth;
            let message = format!("no JSON value nested in {limit} levels satisfies the schema; allow deeper ones");
            return Err(ConstraintError::unsatisfiable(message).at(pointer));
        }
        match Kind::ALL.into_iter().any(|kind| plan.verdict_by_kind(plan.roots[0], kind) != Verdict::Fails) {
            true => Ok(()),
            false => Err(ConstraintError::unsatisfiable("no JSON value satisfies the schema: its rules exclude each other").at(pointer)),
        }
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
            let mark = &mut marks[id.index()];
            match (*mark, left) {
                (_, true) => *mark = Mark::Done,
                (Mark::Done, _) => {}
                (Mark::Open, _) => {
                    let pointer = &*nodes[id.index()].pointer;
                    let message = "the schema applies itself to the same value over and over (a reference to itself that takes no step into the value)";
                    return Err(ConstraintError::invalid(message).at(pointer));
                }
                (Mark::New, _) => {
                    *mark = Mark::Open;
                    open.push((id, true));
                    open.extend(nodes[id.index()].applicators.nodes().filter(|id| marks[id.index()] != Mark::Done).map(|id| (id, false)));
                }
            }
        }
    }
    Ok(())
}

/// Leads every edge to a node that only refers to another, or says nothing, straight to where that leads;
/// the new root.
fn skip_references(nodes: &mut [Node], root: NodeId) -> NodeId {
    let mut target: Vec<NodeId> = (0..nodes.len() as u32).map(NodeId).collect();
    for start in 0..nodes.len() {
        let mut way = Vec::new();
        let mut at = NodeId(start as u32);
        while at != NodeId::ANY
            && target[at.index()] == at
            && let Some(next) = nodes[at.index()].only_reference()
        {
            way.push(at);
            at = next;
        }
        let end = target[at.index()];
        way.into_iter().for_each(|passed| target[passed.index()] = end);
    }
    nodes.iter_mut().for_each(|node| node.redirect(|id| target[id.index()]));
    target[root.index()]
}

pub(super) fn decimal(text: &str, pointer: &str) -> Result<Decimal, ConstraintError> {
    Decimal::parse(text).ok_or_else(|| ConstraintError::invalid(format!("{text} is no number")).at(pointer))
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
