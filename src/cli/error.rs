//! What goes wrong in a command: the class that its exit code tells, what happened, and what to do.
//!
//! Every message names the thing it speaks of (the file, the option, the keyword), so that a command in a
//! script can be mended from its standard error alone. Classes are few and kept for good: 2 is the
//! caller's to mend, 3 is a true answer (nothing satisfies the constraint), 4 is the model's.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use tamis::constraint::ConstraintError;
use tamis::lm::LmError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct CliError {
    class: Class,
    message: String,
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The reader of standard output went away: no failure of ours, and nobody to tell.
    Unread,
    Failure,
    Usage,
    Impossible,
    Model,
}

impl CliError {
    /// Anything not told by another class (exit code 1): a check that failed, a file that cannot be written.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(Class::Failure, message)
    }

    /// Bad options or bad input (exit code 2): a schema that is none, a missing file.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// No text satisfies the constraint, or none was found (exit code 3).
    pub fn impossible(message: impl Into<String>) -> Self {
        Self::new(Class::Impossible, message)
    }

    /// The model cannot be had, read or run (exit code 4).
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(Class::Model, message)
    }

    /// Standard output could not be written. Silent where its reader went away (`tamis models | head -1`).
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Class::Unread, ""),
            _ => Self::failure(format!("standard output cannot be written: {error}")),
        }
    }

    /// A file named by the caller could not be read (exit code 2).
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::usage(format!("there is no file {}", path.display())),
            io::ErrorKind::IsADirectory => Self::usage(format!("{} is a folder, not a file", path.display())),
            io::ErrorKind::InvalidData => Self::usage(format!("{} is not UTF-8 text", path.display())),
            _ => Self::usage(format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// A constraint could not be made of its definition, which `what` names ("person.json", "--regex").
    pub fn constraint(what: &str, error: &ConstraintError) -> Self {
        let message = format!("{what}: {error}");
        if error.is_unsatisfiable() {
            Self::impossible(message)
        } else if error.is_failure() {
            Self::failure(message)
        } else {
            Self::usage(message)
        }
    }

    fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code of the class.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.class {
            Class::Unread => 0,
            Class::Failure => 1,
            Class::Usage => 2,
            Class::Impossible => 3,
            Class::Model => 4,
        })
    }

    /// Tells it on standard error: a line `error: ...` and, where there is one, a line `hint: ...`.
    pub fn print(&self) {
        if self.class == Class::Unread {
            return;
        }
        let (red, cyan) = (style(anstyle::AnsiColor::Red), style(anstyle::AnsiColor::Cyan));
        anstream::eprintln!("{red}error:{red:#} {}", self.message);
        if let Some(hint) = &self.hint {
            anstream::eprintln!("{cyan}hint:{cyan:#} {hint}");
        }
    }
}

fn style(color: anstyle::AnsiColor) -> anstyle::Style {
    anstyle::Style::new().bold().fg_color(Some(color.into()))
}

impl From<LmError> for CliError {
    fn from(error: LmError) -> Self {
        Self::model(error.to_string())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}
