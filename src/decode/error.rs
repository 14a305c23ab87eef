//! Why a run could not be made or went no further.

use super::critic::CriticError;
use crate::constraint::ConstraintError;
use crate::lm::LmError;
use crate::smc::SmcError;
use std::fmt;

/// Why a run could not be made or went no further. That all particles died is a result, not an error.
#[derive(Debug)]
pub struct DecodeError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Options(String),
    Model(LmError),
    Constraint(ConstraintError),
    Critic(&'static str, CriticError),
}

impl DecodeError {
    pub(super) fn options(message: impl Into<String>) -> Self {
        Self { kind: Kind::Options(message.into()) }
    }

    pub(super) fn critic(what: &'static str, error: CriticError) -> Self {
        Self { kind: Kind::Critic(what, error) }
    }

    /// Whether a critic or a proposal failed.
    pub fn is_critic(&self) -> bool {
        matches!(self.kind, Kind::Critic(..))
    }

    /// Whether the options of the run have no meaning (no particles, a negative temperature).
    pub fn is_options(&self) -> bool {
        matches!(self.kind, Kind::Options(_))
    }

    /// The model's error, if it was the model's.
    pub fn as_model(&self) -> Option<&LmError> {
        match &self.kind {
            Kind::Model(error) => Some(error),
            _ => None,
        }
    }

    /// The constraint's error, if a fallible constraint failed.
    pub fn as_constraint(&self) -> Option<&ConstraintError> {
        match &self.kind {
            Kind::Constraint(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SmcError> for DecodeError {
    fn from(error: SmcError) -> Self {
        Self::options(error.to_string())
    }
}

impl From<LmError> for DecodeError {
    fn from(error: LmError) -> Self {
        Self { kind: Kind::Model(error) }
    }
}

impl From<ConstraintError> for DecodeError {
    fn from(error: ConstraintError) -> Self {
        Self { kind: Kind::Constraint(error) }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Options(message) => f.write_str(message),
            Kind::Model(error) => error.fmt(f),
            Kind::Constraint(error) => error.fmt(f),
            Kind::Critic(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Options(_) => None,
            Kind::Model(error) => Some(error),
            Kind::Constraint(error) => Some(error),
            Kind::Critic(_, error) => Some(&**error),
        }
    }
}
