//! Formats, patterns and lengths of strings, and numbers: against the standard's suite and real schemas.
//!
//! The suites lie outside the project, in `../shared` (or `TAMIS_SHARED`); where they are not, these
//! tests say so and pass.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, ConstraintError, JsonSchema};

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

fn compile(schema: &Value) -> Result<JsonSchema, ConstraintError> {
    let mut options = Options::default();
    options.unknown_keywords = true;
    JsonSchema::with_options(schema, &options)
}

fn accepts(schema: &JsonSchema, text: &str) -> bool {
    schema.advance(&schema.start(), text.as_bytes()).is_some_and(|state| schema.may_end(&state))
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn formats_are_judged_as_the_standards_suite_has_them() {
    for draft in ["draft2020-12", "draft2019-09", "draft7", "draft6", "draft4"] {
        let Some(folder) = shared(&format!("data/json/JSON-Schema-Test-Suite/tests/{draft}/optional/format")) else { return };
        let (mut right, mut wrong) = (0, Vec::new());
        for file in json_files(&folder) {
            for group in read(&file).as_array().unwrap() {
                let schema = compile(&group["schema"]).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                for test in group["tests"].as_array().unwrap() {
                    let accepted = accepts(&schema, &test["data"].to_string());
                    if test["valid"] == json!(accepted) {
                        right += 1;
                    } else {
                        wrong.push(format!("{}: {} ({}) is {accepted}", file.display(), test["description"], test["data"]));
                    }
                }
            }
        }
        println!("{draft}: {right} right, {} wrong", wrong.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn real_schemas_with_formats_are_judged_right() {
    let Some(folder) = shared("data/json/maskbench-dev") else { return };
    let (mut right, mut wrong) = (0, Vec::new());
    for file in json_files(&folder) {
        let case = read(&file);
        let schema = match compile(&case["schema"]) {
            Ok(schema) => Some(schema),
            Err(error) if error.is_unsatisfiable() => None,
            Err(error) => panic!("{}: {error}", file.display()),
        };
        for test in case["tests"].as_array().unwrap() {
            let accepted = schema.as_ref().is_some_and(|schema| accepts(schema, &test["data"].to_string()));
            if test["valid"] == json!(accepted) {
                right += 1;
            } else {
                let text = test["data"].to_string();
                let why = schema.as_ref().and_then(|schema| schema.explain(&schema.start(), text.as_bytes()));
                wrong.push(format!("{}: {accepted} {} {why:?}", file.file_name().unwrap().display(), test["description"]));
            }
        }
    }
    println!("{right} right, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_pattern_of_real_schemas_compiles() {
    let Some(folder) = shared("data/json/maskbench-dev") else { return };
    let mut patterns = std::collections::BTreeSet::new();
    for file in json_files(&folder) {
        collect_patterns(&read(&file)["schema"], &mut patterns);
    }
    let mut slow = Vec::new();
    for pattern in &patterns {
        let started = std::time::Instant::now();
        if let Err(error) = compile(&json!({ "pattern": pattern })) {
            panic!("{error}");
        }
        slow.push((started.elapsed(), pattern));
    }
    slow.sort();
    println!(
        "{} patterns, the median in {:?}, the slowest {:?}",
        slow.len(),
        slow[slow.len() / 2].0,
        slow.iter().rev().take(5).collect::<Vec<_>>()
    );
}

fn collect_patterns(value: &Value, patterns: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            patterns.extend(object.get("pattern").and_then(Value::as_str).map(str::to_owned));
            patterns
                .extend(object.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(|by_name| by_name.keys().cloned()));
            object.values().for_each(|value| collect_patterns(value, patterns));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_patterns(value, patterns)),
        _ => {}
    }
}

#[test]
fn patterns_of_other_dialects_are_refused_with_a_reason() {
    let Some(path) = shared("data/patterns-dev.csv") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let (mut compiled, mut refused) = (0, Vec::new());
    for line in text.lines().skip(1) {
        let pattern =
            line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).map_or(line.to_owned(), |line| line.replace("\"\"", "\""));
        match compile(&json!({ "pattern": pattern })) {
            Ok(_) => compiled += 1,
            Err(error) if error.is_unsatisfiable() => compiled += 1,
            Err(error) => refused.push(error.to_string()),
        }
    }
    println!("{compiled} compiled, {} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(compiled > 100);
}
