//! Outcomes kept in a file, so that an evaluation can be taken up where it stopped.
//!
//! The first line of the file holds the settings: outcomes of other ones must not be mixed with them.

use super::MethodName;
use crate::cli::CliError;
use crate::cli::files::{json_bytes, read_text};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use tamis::text_to_sql::Outcome;

/// What decides an outcome beside the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub method: MethodName,
    pub model: String,
    pub examples: Option<PathBuf>,
    pub particles: usize,
    pub max_tokens: usize,
    pub seed: u64,
}

/// The outcomes so far.
pub struct Results {
    file: Option<PathBuf>,
    settings: Settings,
    outcomes: Vec<Outcome>,
}

impl Results {
    /// Those of the file, if there is one, or none.
    pub fn open(file: Option<&Path>, settings: Settings) -> Result<Self, CliError> {
        let mut results = Self { file: file.map(Path::to_owned), settings, outcomes: Vec::new() };
        let Some(file) = file.filter(|file| file.exists()) else { return Ok(results) };
        let wrong = |why: String| CliError::usage(format!("{}: {why}", file.display())).hint("give another file, or delete this one");
        let text = read_text(file)?;
        let mut lines = text.lines();
        let Some(first) = lines.next() else { return Ok(results) };
        let settings: Settings = serde_json::from_str(first).map_err(|error| wrong(format!("no settings in its first line: {error}")))?;
        if settings != results.settings {
            return Err(wrong(format!("it holds outcomes of other settings: {first}")));
        }
        results.outcomes = lines.map(serde_json::from_str).collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        Ok(results)
    }

    /// All outcomes, in the order in which they came.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The outcome of the question of this number.
    pub fn of(&self, id: u64) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.id == id)
    }

    /// Adds an outcome, to the file too.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), CliError> {
        if let Some(file) = &self.file {
            let line = |value: serde_json::Result<serde_json::Value>| json_bytes(&value.expect("it is plain data"));
            let mut lines = Vec::new();
            if self.outcomes.is_empty() && file.metadata().map_or(true, |data| data.len() == 0) {
                lines.extend(line(serde_json::to_value(&self.settings)));
            }
            lines.extend(line(serde_json::to_value(&outcome)));
            let written = std::fs::OpenOptions::new().append(true).create(true).open(file).and_then(|mut file| file.write_all(&lines));
            written.map_err(|error| CliError::failure(format!("{} cannot be written: {error}", file.display())))?;
        }
        self.outcomes.push(outcome);
        Ok(())
    }
}
