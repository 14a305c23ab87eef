//! JSON Schema, enforced while the text is written.
//!
//! Not a translation to a grammar but a *streaming validator*: it follows the bytes of a JSON text and
//! keeps, for each open value, which schemas judge it and what is known of their verdicts. So properties
//! may come in any order and any spelling, rules may be negated and combined at will, and where a value
//! closes its verdict is exact. Prefixes are judged as tightly as is cheap: names by those still
//! possible, strings by automata and lists, numbers by intervals, branches as soon as they fail.
//!
//! Where to find what:
//!
//! - *Reading a schema*: `compile.rs` and `keywords.rs` make a graph of nodes (`node.rs`) of it; `draft.rs`,
//!   `documents.rs` and `resources.rs` are versions of the standard, other documents, references.
//! - *Rules of scalars*: `strings.rs` over `pattern/` and `format/`; `number.rs` over `decimal.rs`.
//! - *What judges a value*: `plan.rs` unrolls what applies to one value, `expected.rs` numbers what is asked
//!   of a value that is to come, `members.rs` tells what the members of a container are sent to.
//! - *The text so far*: `machine.rs` is the byte automaton, with `text.rs`, `escape.rs`, `open_string.rs`,
//!   `open_number.rs` and `layout.rs` for what is inside strings, numbers and white space; `container.rs` is
//!   an open object or array, `value.rs` what is remembered of its members, `close.rs` the end of a value;
//!   `survival.rs` asks whether the document can still be completed, `depth.rs` whether what comes next fits
//!   into the levels that are left.
//! - *Looking ahead*: `mask.rs` for tokens, with `quoted.rs` for those inside quotes, `rest.rs` for what must
//!   still come, `outlook.rs` in words.
//! - *Words*: `refusal.rs` and `place.rs`; `notes.rs` tells what of a schema is not enforced.

mod close;
mod compile;
mod container;
mod decimal;
mod depth;
mod documents;
mod draft;
mod escape;
mod expected;
mod format;
mod keywords;
mod layout;
mod machine;
mod mask;
mod members;
mod node;
mod notes;
mod number;
mod open_number;
mod open_string;
mod options;
mod outlook;
mod pattern;
mod place;
mod plan;
mod quoted;
mod refusal;
mod resources;
mod rest;
mod strings;
mod survival;
mod text;
mod value;

pub use documents::Documents;
pub use draft::Draft;
pub use machine::JsonState;
pub use notes::Note;
pub use options::Options;

use super::{Constraint, ConstraintError, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use depth::Depths;
use expected::{Expected, ExpectedId, PlanId, Table};
use machine::Place;
use node::{Node, NodeId};
use plan::Plan;
use serde_json::Value;
use std::fmt;
use std::sync::OnceLock;

/// The JSON texts whose value satisfies a schema.
///
/// ```
/// use tamis::constraint::{Constraint, JsonSchema};
/// let schema = JsonSchema::parse(r#"{"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}"#)?;
/// let state = schema.advance(&schema.start(), br#"{"name": "Ada", "age": "#).unwrap();
/// assert!(schema.allows(&state, b"36}") && !schema.allows(&state, b"\"36\""));
/// let why = schema.explain(&state, b"true").unwrap();
/// assert_eq!(why.instance_pointer(), Some("/age"));
/// assert_eq!(why.schema_pointer(), Some("#/properties/age/type"));
/// assert_eq!(why.expected(), "an integer");
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
pub struct JsonSchema {
    nodes: Vec<Node>,
    table: Table,
    /// What is asked where a node alone judges a value, by node.
    alone: Vec<OnceLock<ExpectedId>>,
    /// What is asked of the document.
    root: ExpectedId,
    options: Options,
    /// Lower bounds on the bytes of a value, by node; worked out when asked for.
    least: OnceLock<Vec<u64>>,
    /// And on its nesting.
    depths: OnceLock<Depths>,
    /// The most digits of a number, where the options want them written plainly.
    most_digits: u32,
    notes: Vec<Note>,
}

impl JsonSchema {
    /// Compiles a schema, with the default options.
    ///
    /// # Errors
    /// See [`JsonSchema::with_options`].
    pub fn new(schema: &Value) -> Result<Self, ConstraintError> {
        Self::with_options(schema, &Options::default())
    }

    /// Compiles a schema.
    ///
    /// # Errors
    /// If a keyword's value has no meaning, a keyword is not enforced or not known, a reference leads
    /// nowhere, the schema applies itself without end, no value can satisfy it as far as its outermost
    /// rules tell, or it is too large. The error names the keyword and its JSON pointer.
    pub fn with_options(schema: &Value, options: &Options) -> Result<Self, ConstraintError> {
        compile::compile(schema, options)
    }

    /// Compiles the text of a schema, with the default options.
    ///
    /// # Errors
    /// If the text is no JSON, with line and column; else as [`JsonSchema::with_options`].
    pub fn parse(schema: &str) -> Result<Self, ConstraintError> {
        Self::parse_with_options(schema, &Options::default())
    }

    /// Compiles the text of a schema.
    ///
    /// # Errors
    /// As [`JsonSchema::parse`].
    pub fn parse_with_options(schema: &str, options: &Options) -> Result<Self, ConstraintError> {
        let value: Value = serde_json::from_str(schema).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            ConstraintError::syntax(format!("the schema is no JSON: {message}")).at_line(error.line(), error.column())
        })?;
        Self::with_options(&value, options)
    }

    /// What of the schema is not enforced: formats that the standard does not know, and keywords where
    /// [`Options::unknown_keywords`] lets them pass. In the order in which they were met.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn of_nodes(nodes: Vec<Node>, root: NodeId, options: Options, notes: Vec<Note>) -> Self {
        let alone = nodes.iter().map(|_| OnceLock::new()).collect();
        let mut schema = Self {
            most_digits: open_number::most_digits(&nodes),
            nodes,
            table: Table::new(),
            alone,
            root: ExpectedId::NOTHING,
            options,
            least: OnceLock::new(),
            depths: OnceLock::new(),
            notes,
        };
        schema.root = schema.expected_alone(root);
        schema
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    fn plan(&self, id: PlanId) -> &Plan {
        self.table.plan(id)
    }

    fn expected(&self, id: ExpectedId) -> &Expected {
        self.table.expected(id)
    }

    /// What is asked of a value that this node alone judges.
    fn expected_alone(&self, node: NodeId) -> ExpectedId {
        *self.alone[node.index()].get_or_init(|| {
            let plan = Some(self.table.plan_of(&self.nodes, &[node]));
            self.table.number(Expected { plan, ..Expected::default() })
        })
    }

    /// The first refusal among `bytes`, with its offset and the state before it.
    fn first_refusal(&self, state: &JsonState, bytes: &[u8]) -> Option<(usize, JsonState, refusal::Refusal)> {
        let mut after = state.clone();
        bytes.iter().enumerate().find_map(|(offset, byte)| {
            let before = after.clone();
            self.take(&mut after, &[*byte]).err().map(|refusal| (offset, before, refusal))
        })
    }
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSchema").field("nodes", &self.nodes.len()).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Constraint for JsonSchema {
    type State = JsonState;

    fn start(&self) -> JsonState {
        self.start_state()
    }

    fn advance(&self, state: &JsonState, bytes: &[u8]) -> Option<JsonState> {
        let mut state = state.clone();
        self.take(&mut state, bytes).is_ok().then_some(state)
    }

    fn allows(&self, state: &JsonState, bytes: &[u8]) -> bool {
        self.is_more_of_the_same(state, bytes) || self.take(&mut state.clone(), bytes).is_ok()
    }

    fn may_end(&self, state: &JsonState) -> bool {
        self.is_complete(state)
    }

    fn forced(&self, state: &JsonState, out: &mut Vec<u8>) {
        self.forced_bytes(state, out);
    }

    fn closing_cost(&self, state: &JsonState) -> Option<usize> {
        usize::try_from(self.fewest_bytes(state)).ok()
    }

    fn mask(&self, state: &JsonState, trie: &TokenTrie, out: &mut TokenSet) {
        self.fill_mask(state, trie, out);
    }

    fn explain(&self, state: &JsonState, bytes: &[u8]) -> Option<Rejection> {
        let (offset, before, refusal) = self.first_refusal(state, bytes)?;
        let (expected, schema_pointer) = refusal.words(self, before.top());
        let rejection = Rejection::new(offset, Some(bytes[offset]), expected).in_instance(before.pointer());
        Some(match schema_pointer {
            Some(pointer) => rejection.by_schema(pointer),
            None => rejection,
        })
    }

    fn explain_end(&self, state: &JsonState) -> Option<Rejection> {
        if self.may_end(state) {
            return None;
        }
        // A number at the top may be complete and yet not be what the schema wants: its end refuses it.
        if let (Place::InNumber(_), None) = (&state.place, state.top())
            && let Some((_, before, refusal)) = self.first_refusal(state, b" ")
        {
            let (expected, pointer) = refusal.words(self, None);
            let rejection = Rejection::new(0, None, expected).in_instance(before.pointer());
            return Some(pointer.into_iter().fold(rejection, Rejection::by_schema));
        }
        Some(Rejection::new(0, None, state.wants()).in_instance(state.pointer()))
    }
}
