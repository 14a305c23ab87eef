//! Suites of JSON Schema tests: schemas, instances, and whether each is valid.
//!
//! Two layouts are read. A file of the official JSON-Schema-Test-Suite is an array of
//! `{schema, tests: [{data, valid}]}`; a MaskBench file is one such object. Folders are read whole, in
//! the order of their names.

use super::refusal;
use super::spelling::{Pieces, Spelling};
use crate::constraint::json_schema::{Draft, Options};
use crate::constraint::{Constraint, JsonSchema};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The verdicts on a suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SuiteReport {
    /// The files that were read.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
    /// The number of schemas.
    pub schemas: usize,
    /// Instances judged as their labels say.
    pub right: usize,
    /// Invalid instances that were accepted.
    pub wrongly_accepted: usize,
    /// Valid instances that were refused.
    pub wrongly_rejected: usize,
    /// Instances of schemas that could not be compiled, by the keyword that is why.
    pub unsupported: BTreeMap<String, usize>,
    /// The schemas that could not be compiled.
    pub refused: Vec<RefusedSchema>,
    /// The instances that were judged wrong.
    pub wrong: Vec<WrongVerdict>,
    /// How long the schemas took to compile, in seconds.
    pub compile: Times,
    /// How long the instances took to judge, in seconds.
    pub check: Times,
}

impl SuiteReport {
    /// Adds the verdicts of another suite; the times stay.
    pub fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.schemas += other.schemas;
        self.right += other.right;
        self.wrongly_accepted += other.wrongly_accepted;
        self.wrongly_rejected += other.wrongly_rejected;
        for (keyword, tests) in other.unsupported {
            *self.unsupported.entry(keyword).or_default() += tests;
        }
        self.refused.extend(other.refused);
        self.wrong.extend(other.wrong);
    }
}

/// An instance that was judged wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WrongVerdict {
    /// The file it is in.
    pub file: PathBuf,
    /// What the file calls the schema, where it does.
    pub schema: String,
    /// What the file calls the instance, where it does.
    pub test: String,
    /// What the verdict should have been.
    pub valid: bool,
    /// Why it was refused, where it was.
    pub reason: Option<String>,
}

/// A schema that could not be compiled.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RefusedSchema {
    /// The file it is in.
    pub file: PathBuf,
    /// What the file calls the schema, where it does.
    pub schema: String,
    /// The number of its instances, which were not judged.
    pub tests: usize,
    /// The error.
    pub reason: String,
}

/// Times, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Times {
    /// All together.
    pub total: f64,
    /// The middle one.
    pub median: f64,
    /// The one that one in a hundred passes.
    pub p99: f64,
    /// The longest.
    pub largest: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |fraction: f64| times.get(((times.len() as f64 - 1.0) * fraction).round() as usize).map_or(0.0, Duration::as_secs_f64);
        Self { total: times.iter().sum::<Duration>().as_secs_f64(), median: at(0.5), p99: at(0.99), largest: at(1.0) }
    }
}

/// Why a suite could not be read.
#[derive(Debug)]
pub struct SuiteError {
    path: PathBuf,
    message: String,
    source: Option<io::Error>,
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SuiteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// How a suite is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuiteOptions {
    /// How schemas are read. In a folder that is named after a draft, that draft is the default.
    pub schema: Options,
    /// Whether each instance is judged in all [`Spelling`]s and [`Pieces`], and not only as whole, compact
    /// JSON. It counts as right if all verdicts are.
    pub all_spellings: bool,
}

/// Judges all tests of the suite at `path`, a folder or a file, calling `progress` with the number of
/// files done and in all.
///
/// A folder `remotes` beside one of those around `path` is where the official suite's references to
/// `http://localhost:1234/` lead.
///
/// # Errors
/// If the folder or a file cannot be read, or a file is no suite of tests.
pub fn run(path: &Path, options: &SuiteOptions, mut progress: impl FnMut(usize, usize)) -> Result<SuiteReport, SuiteError> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    if files.is_empty() {
        return Err(SuiteError { path: path.to_owned(), message: "there are no .json files here".into(), source: None });
    }
    let mut options = options.clone();
    if let Some(remotes) = path.ancestors().map(|folder| folder.join("remotes")).find(|remotes| remotes.is_dir()) {
        options.schema.documents.add_folder("http://localhost:1234/", remotes);
    }
    let mut run = Run { options, report: SuiteReport::default(), compile: Vec::new(), check: Vec::new() };
    for (done, file) in files.iter().enumerate() {
        progress(done, files.len());
        run.file(file)?;
    }
    progress(files.len(), files.len());
    Ok(SuiteReport { files, compile: Times::of(run.compile), check: Times::of(run.check), ..run.report })
}

/// The draft that a folder around the file is named after.
fn draft_of(path: &Path) -> Option<Draft> {
    path.components().find_map(|component| {
        Some(match component.as_os_str().to_str()? {
            "draft2020-12" => Draft::Draft2020,
            "draft2019-09" => Draft::Draft2019,
            "draft7" => Draft::Draft7,
            "draft6" => Draft::Draft6,
            "draft4" => Draft::Draft4,
            _ => return None,
        })
    })
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), SuiteError> {
    let unreadable = |source| SuiteError { path: path.to_owned(), message: "cannot be read".into(), source: Some(source) };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(unreadable)?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "json") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

struct Run {
    options: SuiteOptions,
    report: SuiteReport,
    compile: Vec<Duration>,
    check: Vec<Duration>,
}

impl Run {
    fn file(&mut self, path: &Path) -> Result<(), SuiteError> {
        let failed = |message: String, source| SuiteError { path: path.to_owned(), message, source };
        let text = fs::read_to_string(path).map_err(|source| failed("cannot be read".into(), Some(source)))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| failed(format!("is no JSON: {error}"), None))?;
        let groups = match &value {
            Value::Array(groups) => &groups[..],
            group => std::slice::from_ref(group),
        };
        for group in groups {
            let (Some(schema), Some(tests)) = (group.get("schema"), group.get("tests").and_then(Value::as_array)) else {
                return Err(failed("is no suite: {schema, tests: [{data, valid}]}, or an array of these, was expected".into(), None));
            };
            self.group(path, group, schema, tests).map_err(|message| failed(message, None))?;
        }
        Ok(())
    }

    fn group(&mut self, path: &Path, group: &Value, schema: &Value, tests: &[Value]) -> Result<(), String> {
        let described = |value: &Value| value.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.report.schemas += 1;
        let mut options = self.options.schema.clone();
        options.draft = draft_of(path).unwrap_or(options.draft);
        let started = Instant::now();
        let compiled = JsonSchema::with_options(schema, &options);
        self.compile.push(started.elapsed());
        let compiled = match compiled {
            Ok(compiled) => Some(compiled),
            // A schema that nothing satisfies refuses all.
            Err(error) if error.is_unsatisfiable() => None,
            Err(error) => {
                let keyword = error.message().split('`').nth(1).unwrap_or("(other)").to_owned();
                *self.report.unsupported.entry(keyword).or_default() += tests.len();
                let (file, schema, reason) = (path.to_owned(), described(group), error.to_string());
                self.report.refused.push(RefusedSchema { file, schema, tests: tests.len(), reason });
                return Ok(());
            }
        };
        for test in tests {
            let (Some(data), Some(valid)) = (test.get("data"), test.get("valid").and_then(Value::as_bool)) else {
                return Err("a test without `data` or `valid`".into());
            };
            let refused = self.judge(compiled.as_ref(), data, valid);
            match (refused.is_none(), valid) {
                (true, true) | (false, false) => {
                    self.report.right += 1;
                    continue;
                }
                (true, false) => self.report.wrongly_accepted += 1,
                (false, true) => self.report.wrongly_rejected += 1,
            }
            self.report.wrong.push(WrongVerdict {
                file: path.to_owned(),
                schema: described(group),
                test: described(test),
                valid,
                reason: refused,
            });
        }
        Ok(())
    }

    /// Why an instance is refused, if it is. Where spellings differ, a wrong verdict wins.
    fn judge(&mut self, schema: Option<&JsonSchema>, data: &Value, valid: bool) -> Option<String> {
        let Some(schema) = schema else { return Some("nothing satisfies the schema".into()) };
        let text = Spelling::Compact.write(data, 0);
        let started = Instant::now();
        let refused = refusal(schema, text.as_bytes());
        self.check.push(started.elapsed());
        if !self.options.all_spellings || refused.is_none() != valid {
            return refused.map(|rejection| rejection.to_string());
        }
        for (seed, spelling) in Spelling::ALL.into_iter().enumerate() {
            let text = spelling.write(data, seed as u64);
            for pieces in Pieces::ALL {
                let accepted = accepts_pieces(schema, &pieces.cut(text.as_bytes(), seed as u64));
                if accepted != valid {
                    return (!accepted).then(|| format!("{spelling:?}, {pieces:?}: {text}"));
                }
            }
        }
        refused.map(|rejection| rejection.to_string())
    }
}

fn accepts_pieces(schema: &JsonSchema, pieces: &[&[u8]]) -> bool {
    let state = pieces.iter().try_fold(schema.start(), |state, piece| schema.advance(&state, piece));
    state.is_some_and(|state| schema.may_end(&state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_counted_by_verdict_and_unsupported_keyword() {
        let folder = std::env::temp_dir().join(format!("tamis-suite-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let suite = r#"[
            {"schema": {"type": "integer"}, "tests": [{"data": 1, "valid": true}, {"data": "x", "valid": true, "description": "mislabelled"}, {"data": 2, "valid": false}]},
            {"schema": {"$ref": "elsewhere"}, "tests": [{"data": 1, "valid": true}]},
            {"schema": false, "tests": [{"data": 1, "valid": false}]}
        ]"#;
        fs::write(folder.join("a.json"), suite).unwrap();
        let report = run(&folder, &SuiteOptions::default(), |_, _| {}).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((report.schemas, report.right, report.wrongly_accepted, report.wrongly_rejected), (3, 2, 1, 1));
        assert_eq!(report.unsupported.into_iter().collect::<Vec<_>>(), [("$ref".to_owned(), 1)]);
        assert_eq!(report.wrong[0].test, "mislabelled");
    }

    #[test]
    fn what_is_no_suite_is_an_error_that_names_the_file() {
        assert!(
            run(Path::new("no/such/folder"), &SuiteOptions::default(), |_, _| {}).unwrap_err().to_string().starts_with("no/such/folder")
        );
        assert!(run(Path::new("Cargo.toml"), &SuiteOptions::default(), |_, _| {}).unwrap_err().to_string().contains("no JSON"));
    }
}
