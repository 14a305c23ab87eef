//! What goes wrong with language models.

use crate::next_token::RowError;
use std::fmt;

/// Why a model could not be had, loaded or run.
#[derive(Debug)]
pub struct LmError {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NotFound,
    Unsupported,
    Corrupt,
    PromptTooLong,
    TooLittleMemory,
    Numeric,
    Other,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident,)*) => {
        $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
            Self { kind: Kind::$kind, message: without_backtrace(message.into()), source: None }
        })*
    };
}

/// The message without the backtrace that candle's errors print where `RUST_BACKTRACE` is set: what is wrong
/// with a file is not shown by where we read it.
fn without_backtrace(mut message: String) -> String {
    if let Some(start) = message.find("\n   0: ") {
        message.truncate(start);
    }
    message
}

impl LmError {
    constructors! {
        /// The model cannot be had; `message` says what was tried and what to do.
        not_found => NotFound,
        /// The architecture, tensor format or tokenizer is one that tamis does not run.
        unsupported => Unsupported,
        /// The file is truncated, or does not hold what it says.
        corrupt => Corrupt,
        /// Prompt and answer do not fit into the model's context.
        too_long => PromptTooLong,
        /// The model, or what it computes, does not fit into memory.
        too_little_memory => TooLittleMemory,
        /// The logits are no distribution.
        numeric => Numeric,
        /// Anything else.
        other => Other,
    }

    /// Adds the error of another library that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the model cannot be had.
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether the model is of a kind that tamis does not run.
    pub fn is_unsupported(&self) -> bool {
        self.kind == Kind::Unsupported
    }

    /// Whether the model's file is broken.
    pub fn is_corrupt(&self) -> bool {
        self.kind == Kind::Corrupt
    }

    /// Whether prompt and answer do not fit into the model's context.
    pub fn is_too_long(&self) -> bool {
        self.kind == Kind::PromptTooLong
    }

    /// Whether the model, or what it computes, does not fit into memory.
    pub fn is_too_little_memory(&self) -> bool {
        self.kind == Kind::TooLittleMemory
    }

    /// Whether the model's logits are no distribution.
    pub fn is_numeric(&self) -> bool {
        self.kind == Kind::Numeric
    }
}

impl From<RowError> for LmError {
    fn from(error: RowError) -> Self {
        Self::numeric(error.to_string())
    }
}

impl fmt::Display for LmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LmError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
