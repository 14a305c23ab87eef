//! Where a state stands, in words and as a JSON pointer.

use super::container::Body;
use super::container::Members;
use super::machine::{JsonState, Place};
use super::resources::escaped;

impl JsonState {
    /// The innermost open object or array.
    pub(super) fn top(&self) -> Option<&Body> {
        self.top.as_deref().map(|container| &**container)
    }

    /// The JSON pointer of the value that is being written.
    pub(super) fn pointer(&self) -> String {
        let mut segments = Vec::new();
        let mut at = self.top.as_deref();
        // Between the members of a container it is the container that is being written.
        let mut between = matches!(self.place, Place::After | Place::Name { .. } | Place::InName { .. });
        while let Some(container) = at {
            if !std::mem::take(&mut between) {
                match &container.members {
                    Members::Object(object) => segments.extend(object.current.0.as_deref().map(escaped)),
                    Members::Array(array) => segments.push(array.index.0.to_string()),
                }
            }
            at = container.parent.as_deref();
        }
        segments.iter().rev().fold(String::new(), |pointer, segment| pointer + "/" + segment)
    }

    /// What must come at the end of the text, in words.
    pub(super) fn wants(&self) -> &'static str {
        match &self.place {
            Place::Value { or_end: true, .. } => "a value or ']'",
            Place::Value { .. } => "a value",
            Place::Name { or_end: true } => "a property name or '}'",
            Place::Name { .. } => "a property name",
            Place::InName { .. } => "the rest of the property name",
            Place::Colon { .. } => "':'",
            Place::InString(_) => "the rest of the string",
            Place::InNumber(number) => number.phase.expected(),
            Place::InLiteral { .. } => "the rest of null, true or false",
            Place::After if self.top.as_ref().is_some_and(|top| top.is_object()) => "',' or '}'",
            Place::After if self.top.is_some() => "',' or ']'",
            Place::After => "the end of the text",
        }
    }
}
