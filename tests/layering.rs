//! Layers import downwards only. The table below is the architecture; an import that it does not allow
//! fails here, with its file and line.

use std::fs;
use std::path::{Path, PathBuf};

/// For each layer the others that it may import. The root of the crate may re-export from all.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("log_math", &[]),
    ("simd", &[]),
    ("vocab", &[]),
    ("constraint", &["vocab"]),
    ("next_token", &["vocab", "simd"]),
    ("lm", &["vocab", "next_token", "simd"]),
    ("sampler", &["vocab", "constraint", "next_token", "log_math"]),
    ("smc", &["log_math"]),
    ("decode", &["vocab", "constraint", "next_token", "lm", "sampler", "smc", "log_math"]),
    ("report", &["vocab", "constraint", "smc", "decode"]),
    ("check", &["constraint"]),
    ("database", &["vocab", "constraint", "decode"]),
    ("text_to_sql", &["vocab", "constraint", "database", "decode", "lm", "sampler"]),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first segments of all paths that begin with `crate::` in a line of code.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group.split(',').collect::<Vec<_>>(),
            None => vec![rest],
        })
        .map(|path| path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
        .filter(|segment| !segment.is_empty())
}

#[test]
fn every_import_goes_downwards() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let (mut wrong, mut edges) = (Vec::new(), 0);
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let layer = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if matches!(layer, "lib" | "main" | "cli") {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == layer) else {
            wrong.push(format!("{}: the layer {layer} is not in the table", relative.display()));
            continue;
        };
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for target in imports(line).filter(|target| *target != layer) {
                edges += 1;
                if !allowed.contains(&target) {
                    wrong.push(format!("src/{}:{}: {layer} imports {target}", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(edges > 50, "only {edges} imports were found: this test no longer reads them");
}

#[test]
fn candle_stays_in_its_layer() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let outside = files.iter().filter(|file| !file.starts_with(source.join("lm/candle")));
    let named: Vec<_> = outside.filter(|file| fs::read_to_string(file).unwrap().contains("candle_core")).collect();
    assert!(named.is_empty(), "candle_core is named in {named:?}");
}

#[test]
fn imports_are_found_in_lines_of_code_and_not_in_comments() {
    let found = |line| imports(line).collect::<Vec<_>>();
    assert_eq!(found("use crate::lm::{LanguageModel, LmError};"), ["lm"]);
    assert_eq!(found("use crate::{vocab::TokenId, smc};"), ["vocab", "smc"]);
    assert_eq!(found("    pub wanted: Option<crate::constraint::Rejection>,"), ["constraint"]);
    assert!(found("//! see [`crate::decode`]").is_empty());
}
