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

/// Whether `text` can be gone on with, as the text of a string that the schema `rules` judges.
fn may_begin(rules: Value, text: &str) -> bool {
    let schema = compile(&rules).unwrap();
    schema.allows(&schema.start(), format!("\"{text}").as_bytes())
}

#[test]
fn prefixes_of_formats_are_judged_as_they_are_written() {
    for (format, possible, impossible) in [
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2026-11-26T23:59:60", "2026-11-26 "),
        ("time", "23:59:6", "24"),
        ("duration", "P1Y2M", "P1D2M"),
        ("email", "ada@exa", "ada @"),
        ("hostname", "a-", "-"),
        ("idn-hostname", "例え。テ", ".例"),
        ("ipv4", "192.168.", "192.256"),
        ("ipv6", "1::2:3", "1::2::"),
        ("uri", "https://[::1]:8", "no scheme"),
        ("uri-reference", "../a?b#", "a b"),
        ("iri", "https://é/", "https://é é"),
        ("uri-template", "/{id", "/{ }"),
        ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", "2eb8aa08-aa98-11ea-b4aa-73b441d16380a"),
        ("json-pointer", "/a~1b", "/a~2"),
        ("relative-json-pointer", "1/a", "01"),
    ] {
        assert!(may_begin(json!({ "format": format }), possible), "{format}: {possible}");
        assert!(!may_begin(json!({ "format": format }), impossible), "{format}: {impossible}");
    }
}

#[test]
fn rules_of_one_string_are_held_together() {
    // No name with b and of the format begins with a.
    let both = json!({ "pattern": "^b|^a-b", "format": "uuid" });
    assert!(may_begin(both.clone(), "b") && !may_begin(both, "a-"));
    // The rest of a date is longer than the string may still be.
    assert!(compile(&json!({ "type": "string", "format": "date", "maxLength": 9 })).unwrap_err().is_unsatisfiable());
    let ids = json!({ "pattern": "^[a-z]+(-[0-9]{4})?$", "maxLength": 6 });
    assert!(may_begin(ids.clone(), "a-") && !may_begin(ids, "ab-"));
    assert!(!may_begin(json!({ "pattern": "^(a|bc*)$", "minLength": 2 }), "a"));
    // Lengths are in code points, however they are spelled.
    assert!(may_begin(json!({ "maxLength": 2 }), "😀é\"") && !may_begin(json!({ "maxLength": 2 }), "\\ud83d\\ude00éa"));
}

#[test]
fn formats_can_be_annotations_and_unknown_ones_are_told() {
    let schema = json!({ "properties": { "a/b": { "format": "int32" }, "c": { "format": "date" } } });
    let notes = compile(&schema).unwrap().notes().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(notes, ["#/properties/a~1b/format: the format \"int32\" is not one of the standard and is not enforced"]);
    let mut options = Options::default();
    options.format_is_annotation = true;
    assert!(accepts(&JsonSchema::with_options(&schema, &options).unwrap(), r#"{"c": "no date"}"#));
}

#[test]
fn refusals_name_the_rule() {
    for (rules, text, keyword, expected) in [
        (json!({ "format": "date" }), "2026-13", "#/format", "a string of the format \"date\""),
        (json!({ "pattern": "^a" }), "b", "#/pattern", "a string that matches the pattern \"^a\""),
        (json!({ "pattern": "^(.)\\1$" }), "ab\"", "#/pattern", "a string that matches the pattern \"^(.)\\\\1$\""),
        (json!({ "minLength": 2 }), "b\"", "#/minLength", "at least 2 characters"),
    ] {
        let schema = compile(&rules).unwrap();
        let why = schema.explain(&schema.start(), format!("\"{text}").as_bytes()).unwrap();
        assert_eq!((why.schema_pointer(), why.expected()), (Some(keyword), expected));
    }
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
