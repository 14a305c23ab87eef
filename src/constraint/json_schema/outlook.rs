//! What could come next, in words: for people who look at where a text stands.

use super::JsonSchema;
use super::machine::{JsonState, Place};
use super::node::{Kind, Node};
use super::plan::Verdict;
use super::refusal::Reason;
use crate::constraint::Constraint;
use serde_json::Value;

/// The most names or values that are listed.
const LISTED: usize = 20;

impl JsonSchema {
    /// What may come next, each in a few words: kinds of values, names of properties, brackets. White space
    /// is not mentioned.
    ///
    /// ```
    /// use tamis::constraint::{Constraint, JsonSchema};
    /// let schema = JsonSchema::parse(r#"{"properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"], "additionalProperties": false}"#)?;
    /// let at = |text: &str| schema.outlook(&schema.advance(&schema.start(), text.as_bytes()).unwrap());
    /// assert_eq!(at("{"), ["the property \"age\"", "not yet '}': the required property \"age\" is wanted (schema #/required)"]);
    /// assert_eq!(at("{\"age\":"), ["an integer >= 0"]);
    /// # Ok::<(), tamis::constraint::ConstraintError>(())
    /// ```
    pub fn outlook(&self, state: &JsonState) -> Vec<String> {
        let mut words = Vec::new();
        match &state.place {
            Place::Value { .. } => self.values(state, &mut words),
            Place::Name { .. } => self.names(state, &mut words),
            Place::InName { name, .. } => {
                let begun = String::from_utf8_lossy(name).into_owned();
                let listed = self.declared_names(state).into_iter().filter(|name| name.starts_with(&begun));
                words.extend(listed.take(LISTED).map(|name| format!("the rest of the property name {}", quoted(&name))));
                if words.is_empty() || self.allows(state, b"\xF4\x8F\xBF\xBF") {
                    words.push("the rest of another property name".to_owned());
                }
            }
            Place::After => {
                if self.allows(state, b",") {
                    words.push("','".to_owned());
                }
                self.end(state, &mut words);
            }
            Place::InNumber(_) => {
                let digits = (b'0'..=b'9').any(|digit| self.allows(state, &[digit]));
                words.extend(digits.then(|| "a digit".to_owned()));
                words.extend(self.allows(state, b".").then(|| "'.'".to_owned()));
                words.extend(self.allows(state, b"e").then(|| "an exponent".to_owned()));
                let ends = self.allows(state, b" ") || self.may_end(state);
                words.extend(ends.then(|| "the end of the number".to_owned()));
            }
            Place::InString(string) => {
                let texts = string.possible_texts(self).into_iter().take(LISTED);
                words.extend(texts.map(|text| format!("the rest of {}", quoted(&text))));
                if words.is_empty() {
                    let ends = self.allows(state, b"\"");
                    words.push(if ends { "more of the string, or its end" } else { "more of the string" }.to_owned());
                }
            }
            Place::Colon { .. } => words.push("':'".to_owned()),
            Place::InLiteral { missing, .. } => words.push(format!("'{}'", String::from_utf8_lossy(missing))),
        }
        if self.may_end(state) {
            words.push("the end of the text".to_owned());
        }
        words
    }

    fn values(&self, state: &JsonState, words: &mut Vec<String>) {
        let (Place::Value { expected, .. }, top) = (&state.place, &state.top) else { return };
        let expected = self.expected(*expected);
        let plan = expected.plan.map(|plan| self.plan(plan));
        for (kind, text, name) in [
            (Kind::Null, &b"null"[..], "null"),
            (Kind::True, b"true", "true"),
            (Kind::False, b"false", "false"),
            (Kind::Number, b"", "a number"),
            (Kind::String, b"\"", "a string"),
            (Kind::Array, b"[", "an array"),
            (Kind::Object, b"{", "an object"),
        ] {
            let first: &[&[u8]] =
                if kind == Kind::Number { &[b"-", b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"] } else { &[text] };
            if !first.iter().any(|text| self.allows(state, text)) {
                continue;
            }
            // What the only node with something to say about values of this kind says.
            let entries = plan.into_iter().flat_map(|plan| plan.entries.iter().zip(plan.own_verdicts(kind)));
            let open: Vec<&Node> = entries.filter(|(_, own)| **own == Verdict::Open).map(|(entry, _)| self.node(entry.node)).collect();
            let reason = match (kind, &open[..]) {
                (Kind::Number | Kind::String, [node]) if node.enumeration.is_some() => Some(Reason::Enumeration.words(node, None)),
                (Kind::Number, [node]) => Some(Reason::Number.words(node, None)),
                _ => None,
            };
            let said = reason.unwrap_or_else(|| name.to_owned());
            if !words.contains(&said) {
                words.push(said);
            }
        }
        if top.as_ref().is_some_and(|top| !top.is_object()) {
            self.end(state, words);
        }
    }

    fn names(&self, state: &JsonState, words: &mut Vec<String>) {
        let mut more = 0;
        for name in self.declared_names(state) {
            if words.len() < LISTED { words.push(format!("the property {}", quoted(&name))) } else { more += 1 }
        }
        if more > 0 {
            words.push(format!("{more} other properties of the schema"));
        }
        if self.allows(state, b"\"\xF4\x8F\xBF\xBF") {
            words.push("another property".to_owned());
        }
        self.end(state, words);
    }

    /// The names that the schema lists and that may come in the innermost object.
    fn declared_names(&self, state: &JsonState) -> Vec<String> {
        let Some(top) = state.top() else { return Vec::new() };
        let Some(plan) = self.plan_around(top) else { return Vec::new() };
        let mut before = state.clone();
        before.place = Place::Name { or_end: false };
        before.whitespace = 0;
        let names = self.object_plan(plan).names().into_iter().filter(|name| self.declares(&before, name));
        names.map(|name| name.to_string()).collect()
    }

    fn declares(&self, before: &JsonState, name: &str) -> bool {
        let mut after = before.clone();
        let text = quoted(name);
        // The layout's white space is not at issue.
        after.whitespace = self.layout_before_name(before);
        self.take(&mut after, text.as_bytes()).is_ok()
    }

    /// Whether the innermost container may end here, and if not why not.
    fn end(&self, state: &JsonState, words: &mut Vec<String>) {
        let Some(top) = state.top() else { return };
        let bracket = if top.is_object() { b"}" } else { b"]" };
        let shown = char::from(bracket[0]);
        match self.explain(state, bracket) {
            None => words.push(format!("'{shown}'")),
            Some(reason) => {
                if let Some(pointer) = reason.schema_pointer() {
                    words.push(format!("not yet '{shown}': {} is wanted (schema {pointer})", reason.expected()));
                }
            }
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
