//! What of a schema is not enforced, so that nothing is passed over in silence.

use std::fmt;

/// A part of a schema that restricts nothing, and might have been meant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pointer: String,
    message: String,
}

impl Note {
    pub(super) fn new(pointer: String, message: String) -> Self {
        Self { pointer, message }
    }

    /// Where it stands in the schema: a JSON pointer fragment.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What it is.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}
