//! What a constraint says when it cannot be compiled, and when it refuses a text.

use std::fmt;

/// Why a constraint could not be made, or failed while it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstraintError {
    kind: Kind,
    message: String,
    location: Option<String>,
    line_column: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syntax,
    Unsupported,
    Invalid,
    Unsatisfiable,
    TooLarge,
    Failed,
}

impl ConstraintError {
    /// The definition is not in its language (a pattern or a JSON text that does not parse).
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(Kind::Syntax, message)
    }

    /// The definition uses something that tamis does not enforce; `message` names it.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// The definition parses but a part of it has no meaning (a keyword's value of the wrong type).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// No text at all satisfies the definition.
    pub fn unsatisfiable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsatisfiable, message)
    }

    /// Compiling would pass a limit on size or depth.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    /// A fallible constraint failed while it was asked.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), location: None, line_column: None }
    }

    /// Adds where in the definition: a JSON pointer for schemas (`#/properties/age`).
    #[must_use]
    pub fn at(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// Adds the line and column of the definition, both from 1; columns count bytes.
    #[must_use]
    pub fn at_line(mut self, line: usize, column: usize) -> Self {
        self.line_column = Some((line, column));
        self
    }

    /// Whether the definition uses something that tamis does not enforce.
    pub fn is_unsupported(&self) -> bool {
        self.kind == Kind::Unsupported
    }

    /// Whether no text satisfies the definition.
    pub fn is_unsatisfiable(&self) -> bool {
        self.kind == Kind::Unsatisfiable
    }

    /// Whether the definition is right but takes more memory or work than its limit.
    pub fn is_too_large(&self) -> bool {
        self.kind == Kind::TooLarge
    }

    /// Whether the constraint failed while it was asked, and not when it was made.
    pub fn is_failure(&self) -> bool {
        self.kind == Kind::Failed
    }

    /// What was wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the definition: a JSON pointer for schemas.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }
}

impl fmt::Display for ConstraintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.line_column {
            write!(f, "line {line}, column {column}: ")?;
        }
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConstraintError {}

/// Why some bytes may not come next, or why the text may not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    offset: usize,
    expected: String,
    found: Option<u8>,
    instance_pointer: Option<String>,
    schema_pointer: Option<String>,
}

impl Rejection {
    /// A refusal of the byte `found` at `offset` of the offered bytes (`None`: of the end of the text),
    /// where `expected` was wanted. `expected` is a noun phrase: "a digit", "one of \"red\", \"blue\"".
    pub fn new(offset: usize, found: Option<u8>, expected: impl Into<String>) -> Self {
        Self { offset, expected: expected.into(), found, instance_pointer: None, schema_pointer: None }
    }

    /// Adds the JSON pointer of the value that was being written.
    #[must_use]
    pub fn in_instance(mut self, pointer: impl Into<String>) -> Self {
        self.instance_pointer = Some(pointer.into());
        self
    }

    /// Adds the JSON pointer of the schema keyword that refused.
    #[must_use]
    pub fn by_schema(mut self, pointer: impl Into<String>) -> Self {
        self.schema_pointer = Some(pointer.into());
        self
    }

    /// Moves the offset by the number of bytes that came before the offered ones.
    #[must_use]
    pub fn after(mut self, bytes: usize) -> Self {
        self.offset += bytes;
        self
    }

    /// The offset of the refused byte in the offered bytes; their number where the end was refused.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What was wanted instead.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// The refused byte; `None` where the end of the text was refused.
    pub fn found(&self) -> Option<u8> {
        self.found
    }

    /// The JSON pointer of the value that was being written, for constraints on JSON.
    pub fn instance_pointer(&self) -> Option<&str> {
        self.instance_pointer.as_deref()
    }

    /// The JSON pointer of the schema keyword that refused, for constraints by a schema.
    pub fn schema_pointer(&self) -> Option<&str> {
        self.schema_pointer.as_deref()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: ", self.offset)?;
        match self.instance_pointer.as_deref() {
            Some("") => f.write_str("the whole value: ")?,
            Some(pointer) => write!(f, "{pointer}: ")?,
            None => {}
        }
        write!(f, "expected {}; ", self.expected)?;
        match self.found {
            None => f.write_str("the text ended")?,
            Some(byte) if byte.is_ascii_graphic() => write!(f, "got '{}'", byte as char)?,
            Some(byte) => write!(f, "got byte 0x{byte:02X}")?,
        }
        match &self.schema_pointer {
            Some(pointer) => write!(f, " (schema {pointer})"),
            None => Ok(()),
        }
    }
}
