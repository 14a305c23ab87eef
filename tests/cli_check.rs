//! `tamis check` as its users run it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of the test's own, with these files.
fn folder(test: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{test}"));
    for (name, text) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder
}

/// Exit code and standard output of `tamis check` in a folder.
fn check(folder: &Path, arguments: &[&str], stdin: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
    command.arg("check").args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    assert!(code < 2, "{}", String::from_utf8_lossy(&output.stderr));
    (code, String::from_utf8(output.stdout).unwrap())
}

const PERSON: &str = r#"{"properties": {"name": {"type": "string"}, "age": {"$ref": "types.json#/$defs/age"}}, "required": ["name"]}"#;
const TYPES: &str = r#"{"$defs": {"age": {"type": "integer", "minimum": 0}}}"#;

#[test]
fn verdicts_name_the_place_and_the_rule() {
    let folder = folder("verdicts", &[("person.json", PERSON), ("types.json", TYPES), ("bad.json", "{\"name\": \"x\",\n \"age\": 1.5}")]);
    let (code, out) = check(&folder, &["--schema", "person.json", "--documents", ".", "bad.json"], "");
    assert_eq!(code, 1);
    assert!(
        out.starts_with("bad.json:2:12: invalid") && out.contains("expected a whole number >= 0") && out.contains("types.json#/$defs/age"),
        "{out}"
    );
    let (code, out) = check(&folder, &["--schema", "person.json", "--documents", ".", "-"], r#"{"name": "x", "age": 1}"#);
    assert_eq!((code, out.as_str()), (0, "-: valid\n"));
}

#[test]
fn a_beginning_is_explained_by_what_may_follow() {
    let folder = folder("explain", &[("person.json", PERSON), ("types.json", TYPES)]);
    let arguments = ["--schema", "person.json", "--documents", ".", "--explain", "-"];
    let (code, out) = check(&folder, &arguments, "{\"age\": 3");
    assert_eq!(code, 0);
    assert!(out.contains("a digit"), "{out}");
    let (_, out) = check(&folder, &arguments, "{\"age\": 3,");
    assert!(out.contains("the property \"name\"") && out.contains("another property") && out.contains("more bytes"), "{out}");
    let (_, out) = check(&folder, &["--regex", "[0-9]{2}-x", "--explain", "--json", "-"], "12");
    assert!(out.contains("'-'") && out.contains("\"complete\":false"), "{out}");
    let (code, out) = check(&folder, &arguments, "[1, nul]");
    assert!(code == 1 && out.contains("invalid"), "{out}");
}

#[test]
fn a_suite_is_judged_in_all_spellings() {
    let suite = r#"[{"description": "s", "schema": {"required": ["a"]}, "tests": [
        {"description": "right", "data": {"b": [1], "a": "é"}, "valid": true}, {"description": "wrong", "data": {"b": 1}, "valid": true}]}]"#;
    let folder = folder("suite", &[("tests/draft4/a.json", suite)]);
    let (code, out) = check(&folder, &["--suite", "tests", "--all-spellings"], "");
    assert_eq!(code, 1);
    assert!(out.contains("1 instances judged right") && out.contains("s: wrong: refused, but valid"), "{out}");
}

#[test]
fn grammars_are_files_or_come_along() {
    let files = [
        ("sum.lark", "start: INT (\"+\" INT)*\nUNUSED: \"x\"\n%import common.INT\n%ignore \" \""),
        ("good.txt", "1 + 23\n"),
        ("bad.txt", "1 + 2\n+ 3"),
        ("data.json", "{\"a\": [1, 2,]}\n"),
    ];
    let folder = folder("grammars", &files);
    assert_eq!(check(&folder, &["--grammar", "sum.lark", "good.txt"], "").0, 0);
    let (code, out) = check(&folder, &["--grammar", "sum.lark", "bad.txt"], "");
    assert!(code == 1 && out.starts_with("bad.txt:1:6: invalid at byte 5: expected \" \""), "{out}");
    let (code, out) = check(&folder, &["--grammar", "json", "data.json"], "");
    assert!(code == 1 && out.starts_with("data.json:1:13: invalid") && out.contains("STRING"), "{out}");
    let (code, out) = check(&folder, &["--grammar", "sum.lark", "--explain", "-"], "1 ");
    assert!(code == 0 && out.contains("the end of the text"), "{out}");
}
