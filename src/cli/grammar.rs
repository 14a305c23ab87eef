//! Grammars named on the command line: files, or those that come with tamis.

use super::CliError;
use super::files::{is_stdin, read_text};
use std::path::Path;
use tamis::constraint::{ConstraintError, Grammar};

/// A grammar as it was asked for, not yet compiled.
pub struct GrammarSource {
    /// What the user called it.
    pub name: String,
    text: Option<String>,
}

impl GrammarSource {
    /// Reads the grammar that `--grammar` names: one that comes with tamis, `-` or a file. (A file that
    /// is called like one of ours is named by a path: `./json`.)
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let name = if is_stdin(path) { "--grammar from standard input".to_owned() } else { path.display().to_string() };
        if Grammar::builtin_names().any(|builtin| builtin == name) {
            return Ok(Self { name, text: None });
        }
        let text = read_text(path).map_err(|error| match path.exists() || is_stdin(path) {
            true => error,
            false => error.hint(format!("the grammars that come along are {}", Grammar::builtin_names().collect::<Vec<_>>().join(", "))),
        })?;
        Ok(Self { name, text: Some(text) })
    }

    /// Compiles it; what is hardly meant in it is told on standard error.
    pub fn compile(&self) -> Result<Grammar, ConstraintError> {
        let grammar = match &self.text {
            Some(text) => Grammar::parse(text)?,
            None => Grammar::builtin(&self.name)?,
        };
        for warning in grammar.warnings() {
            anstream::eprintln!("warning: {}: {warning}", self.name);
        }
        Ok(grammar)
    }
}
