//! Errors of a grammar file, with their place in it.

use crate::constraint::ConstraintError;

/// A line and a column of the grammar file, both from 1; columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// An error that still lacks its place.
pub(super) struct Problem(ConstraintError);

impl Problem {
    /// The file is not in the grammar language.
    pub(super) fn syntax(message: impl Into<String>) -> Self {
        Self(ConstraintError::syntax(message))
    }

    /// The file parses, but a part of it has no meaning.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self(ConstraintError::invalid(message))
    }

    /// The file uses a part of the grammar language that tamis does not enforce.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self(ConstraintError::unsupported(message))
    }

    /// No text at all satisfies a part of the file that must be satisfied.
    pub(super) fn unsatisfiable(message: impl Into<String>) -> Self {
        Self(ConstraintError::unsatisfiable(message))
    }

    /// Compiling would pass a limit.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self(ConstraintError::too_large(message))
    }

    pub(super) fn at(self, place: Place) -> ConstraintError {
        self.0.at_line(place.line, place.column)
    }
}
