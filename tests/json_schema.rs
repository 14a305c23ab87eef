//! The streaming validator against the standard's own suite and real schemas.
//!
//! The suites lie outside the project, in `../shared` (or `TAMIS_SHARED`); where they are not, these
//! tests say so and pass. What is not right is listed, with its reason, in `json_schema_known.json`: a
//! verdict that is wrong and not listed fails, and so does a listed one that has become right.

use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tamis::check::suite::{self, SuiteOptions, SuiteReport};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, JsonSchema};

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join("data/json").join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

/// What is known not to be right.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// The end of the file's path.
    file: String,
    /// Its descriptions of the schema and the instance; without one, all of them.
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    test: Option<String>,
    /// Why: what tamis does not do, or why the label is not what the standard says.
    reason: String,
}

/// Panics unless exactly what is listed is not right.
fn assert_only_known(reports: &[&SuiteReport]) {
    let known: Vec<Known> = serde_json::from_str(include_str!("json_schema_known.json")).unwrap();
    assert!(known.iter().all(|known| known.reason.len() > 10), "every entry says why");
    let mut unused: BTreeSet<&Known> = known.iter().collect();
    let mut surprises = Vec::new();
    let mut judge = |file: &Path, schema: &str, test: Option<&str>, what: String| {
        let is = |known: &Known| {
            file.ends_with(&known.file)
                && known.schema.as_deref().is_none_or(|known| known == schema)
                && known.test.as_deref().is_none_or(|known| test.is_none_or(|test| known == test))
        };
        match known.iter().find(|known| is(known)) {
            Some(known) => drop(unused.remove(known)),
            None => surprises.push(format!("{}: {schema}: {}: {what}", file.display(), test.unwrap_or("(all)"))),
        }
    };
    for report in reports {
        for wrong in &report.wrong {
            let what = wrong.reason.as_ref().map_or("accepted".to_owned(), |reason| format!("refused: {reason}"));
            judge(&wrong.file, &wrong.schema, Some(&wrong.test), what);
        }
        for refused in report.refused.iter().filter(|refused| !refused.reason.contains("`format`") && !refused.reason.contains("`pattern`"))
        {
            judge(&refused.file, &refused.schema, None, refused.reason.clone());
        }
    }
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
    let files: BTreeSet<PathBuf> = reports.iter().flat_map(|report| &report.files).cloned().collect();
    let better: Vec<String> = unused
        .into_iter()
        .filter(|known| files.iter().any(|file| file.ends_with(&known.file)))
        .map(|known| format!("{}: {:?}: {:?}", known.file, known.schema, known.test))
        .collect();
    assert!(better.is_empty(), "now right: take them out of the list\n{}", better.join("\n"));
}

fn show(name: &str, report: &SuiteReport) {
    println!(
        "{name}: {} schemas, {} right, {} wrongly accepted, {} wrongly refused, not supported {:?}; compile p50 {:.3} p99 {:.3} ms; check in all {:.2} s",
        report.schemas,
        report.right,
        report.wrongly_accepted,
        report.wrongly_rejected,
        report.unsupported,
        report.compile.median * 1e3,
        report.compile.p99 * 1e3,
        report.check.total,
    );
}

const DRAFTS: [&str; 5] = ["draft2020-12", "draft2019-09", "draft7", "draft6", "draft4"];

#[test]
fn the_standards_suite_is_judged_right() {
    for draft in DRAFTS {
        let Some(folder) = shared(&format!("JSON-Schema-Test-Suite/tests/{draft}")) else { return };
        let mut options = SuiteOptions::default();
        options.schema.unknown_keywords = true;
        options.all_spellings = true;
        // Formats are annotations in the required tests and assertions in the optional ones.
        options.schema.format_is_annotation = true;
        let mut required = SuiteReport::default();
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            required.add(suite::run(file, &options, |_, _| {}).unwrap());
        }
        show(draft, &required);
        options.schema.format_is_annotation = false;
        let optional = suite::run(&folder.join("optional"), &options, |_, _| {}).unwrap();
        show(&format!("{draft} optional"), &optional);
        assert!(required.wrong.is_empty() && required.refused.is_empty(), "{draft}: {:#?} {:#?}", required.wrong, required.refused);
        assert_only_known(&[&required, &optional]);
    }
}

#[test]
fn real_schemas_are_judged_right_in_every_spelling_and_tokenisation() {
    let Some(folder) = shared("maskbench-dev") else { return };
    let mut options = SuiteOptions::default();
    options.schema.unknown_keywords = true;
    options.all_spellings = true;
    let report = suite::run(&folder, &options, |_, _| {}).unwrap();
    show("maskbench-dev", &report);
    assert_only_known(&[&report]);
}

fn accepts(schema: &JsonSchema, text: &str) -> bool {
    schema.advance(&schema.start(), text.as_bytes()).is_some_and(|state| schema.may_end(&state))
}

/// The schema's longest prefix of `text` that it allows.
fn allowed_prefix<'a>(schema: &JsonSchema, text: &'a str) -> &'a str {
    match schema.explain(&schema.start(), text.as_bytes()) {
        Some(rejection) => &text[..rejection.offset()],
        None => text,
    }
}

#[test]
fn what_can_no_longer_come_true_is_refused_at_the_first_byte_that_tells() {
    for (schema, text, allowed) in [
        // Names of a closed object, as far as they are not used up.
        (json!({"properties": {"name": {}, "nick": {}}, "additionalProperties": false}), r#"{"nix": 1}"#, r#"{"ni"#),
        (json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false}), r#"{"a": 1, "a": 2}"#, r#"{"a": 1, ""#),
        (json!({"properties": {"a": {}}, "additionalProperties": false}), r#"{"a": 1, "b": 2}"#, r#"{"a": 1"#),
        (json!({"properties": {"a": {}}, "unevaluatedProperties": false}), r#"{"b": 1}"#, r#"{""#),
        // Counts.
        (json!({"maxItems": 2}), "[1, 2, 3]", "[1, 2"),
        (json!({"items": false}), "[1]", "["),
        (json!({"maxProperties": 1, "required": ["x"]}), r#"{"y": 1}"#, r#"{""#),
        (json!({"propertyNames": {"maxLength": 2}}), r#"{"abc": 1}"#, r#"{"ab"#),
        // Branches.
        (json!({"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]}), r#""abc""#, r#""a"#),
        (
            json!({"anyOf": [{"properties": {"k": {"const": 1}}}, {"properties": {"v": {"type": "null"}}}]}),
            r#"{"k": 2, "v": 1}"#,
            r#"{"k": 2, "v": "#,
        ),
        (json!({"not": {"required": ["a"]}}), r#"{"a": 1}"#, r#"{"a"#),
        (json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "b"#),
        (json!({"dependentSchemas": {"a": false}}), r#"{"a": 1}"#, r#"{"a"#),
        (
            json!({"if": {"properties": {"k": {"const": "x"}}, "required": ["k"]}, "then": {"required": ["y"]}}),
            r#"{"k": "x"}"#,
            r#"{"k": "x""#,
        ),
        // Escapes, at the first digit that no character has which may come.
        (json!({"enum": ["fo", "fé"]}), r#""f\u03b1""#, r#""f\u0"#),
        (json!({"enum": ["😀"]}), r#""\ud83e\udd14""#, r#""\ud83"#),
        (json!({"enum": ["😀"]}), r#""\ud83d\udd14""#, r#""\ud83d\ud"#),
        (json!({"enum": ["a"]}), r#""a\n""#, r#""a"#),
        (json!({"pattern": "^[a-cé]+$"}), r#""a\u0041""#, r#""a\u00"#),
        (json!({"pattern": "^.{1,2}$", "minLength": 2}), r#""\n""#, r#""\"#),
        (json!({"pattern": "^[😀-😎]$"}), r#""\ud83d\ude7f""#, r#""\ud83d\ude"#),
        (json!({"properties": {"name": {}}, "additionalProperties": false}), r#"{"\u0061": 1}"#, r#"{"\u006"#),
        (json!({"patternProperties": {"^é": {}}, "additionalProperties": false}), r#"{"\u0061": 1}"#, r#"{"\u00"#),
        (json!({"propertyNames": {"enum": ["é"]}}), r#"{"\u0061": 1}"#, r#"{"\u00"#),
        (json!({"required": ["é"], "maxProperties": 1}), r#"{"\u0061": 1}"#, r#"{"\u00"#),
        // Values.
        (json!({"enum": ["red", "green"]}), r#""grey""#, r#""gre"#),
        (json!({"type": "integer", "minimum": 10, "maximum": 20}), "31", ""),
        (json!({"const": {"a": [1, "x"]}}), r#"{"a": [1, "y"]}"#, r#"{"a": [1, ""#),
        (json!({"uniqueItems": true}), "[1, 2, 1.0]", "[1, 2, 1.0"),
        (json!({"uniqueItems": true}), r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]"#, r#"[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1"#),
    ] {
        let mut options = Options::default();
        options.plain_numbers = true;
        let compiled = JsonSchema::with_options(&schema, &options).unwrap();
        assert_eq!(allowed_prefix(&compiled, text), allowed, "{schema} on {text}");
        assert!(!accepts(&compiled, text), "{schema} on {text}");
    }
}

#[test]
fn what_would_nest_too_deep_is_refused_where_it_begins() {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let people = json!({"$ref": "#/$defs/p", "$defs": {"p": {"type": "object", "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/p"}}}, "additionalProperties": false}}});
    for (schema, max_depth, text, allowed) in [
        // Names steer clear of what does not fit; of lists at the limit only the empty one does.
        (people.clone(), 1, r#"{"children": []}"#, r#"{""#),
        (people.clone(), 2, r#"{"children": [{}]}"#, r#"{"children": ["#),
        (people.clone(), 3, r#"{"children": [{"children": []}]}"#, r#"{"children": [{""#),
        (people, 3, r#"{"children": [{"name": "x"}]}"#, r#"{"children": [{"name": "x"}]}"#),
        (json!({"properties": {"a": list}}), 1, r#"{"a": []}"#, r#"{"a"#),
        (json!({"patternProperties": {"^a": list}, "additionalProperties": false}), 1, r#"{"a": []}"#, "{"),
        (json!({"properties": {"x": {}}, "additionalProperties": list}), 1, r#"{"y": []}"#, r#"{""#),
        (json!({"properties": {"x": {}}, "unevaluatedProperties": list}), 1, r#"{"y": []}"#, r#"{""#),
        (json!({"items": list}), 1, "[[]]", "["),
        (json!({"prefixItems": [true, list]}), 1, "[1, []]", "[1"),
        (json!({"minItems": 2, "items": {"anyOf": [{"type": "object"}, list]}, "type": ["array", "string"]}), 1, "[{}]", ""),
        // What is required and does not fit leaves nothing of the object.
        (json!({"properties": {"b": {"properties": {"a": list}, "required": ["a"]}}}), 2, r#"{"b": {"x": 1}}"#, r#"{"b": "#),
        (json!({"items": {"type": "object", "properties": {"a": list}, "required": ["a"]}}), 2, "[{}]", "["),
        (json!({"contains": list, "type": ["array", "null"]}), 1, "[1]", ""),
        // Branches that fit are still there; what is negated asks for nothing.
        (json!({"properties": {"a": {"anyOf": [list, {"type": "null"}]}}}), 1, r#"{"a": null}"#, r#"{"a": null}"#),
        (json!({"properties": {"a": {"not": list}}}), 1, r#"{"a": 1}"#, r#"{"a": 1}"#),
        (json!({}), 1, r#"{"a": {}}"#, r#"{"a": "#),
    ] {
        let mut options = Options::default();
        options.max_depth = max_depth;
        let compiled = JsonSchema::with_options(&schema, &options).unwrap();
        assert_eq!(allowed_prefix(&compiled, text), allowed, "{schema} in {max_depth} levels on {text}");
    }
    let mut options = Options::default();
    options.max_depth = 1;
    let error = JsonSchema::with_options(&json!({"type": "array", "items": list, "minItems": 1}), &options).unwrap_err();
    assert!(error.is_unsatisfiable() && error.to_string().contains("1 levels"), "{error}");
}

#[test]
fn plain_numbers_are_refused_at_the_byte_that_is_not() {
    let number = json!({"type": "number"});
    for (schema, text, allowed) in [
        (number.clone(), "12.50", "12.50"),
        (number.clone(), "0.001", "0.001"),
        (number.clone(), "-0.5", "-0.5"),
        (number.clone(), "1e2", "1"),
        (number.clone(), "-0 ", "-0"),
        (number.clone(), "-0.0 ", "-0.0"),
        (number.clone(), "123456789012345678", "12345678901234567"),
        (number.clone(), "0.00000000000000001", "0.0000000000000000"),
        (number.clone(), "-0.0000000000000000", "-0.000000000000000"),
        (number, "1234567890123456.7", "1234567890123456.7"),
        // Whole numbers have no point, where they must be whole.
        (json!({"type": "integer"}), "1.0", "1"),
        (json!({"type": "integer"}), "-0", "-"),
        (json!({"enum": [10, 20]}), "10.0", "10"),
        (json!({"multipleOf": 5}), "5.0", "5"),
        (json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}), "1.0", "1"),
        (json!({"anyOf": [{"type": "integer"}, {"minimum": 7}]}), "1.0", "1"),
        (json!({"anyOf": [{"type": "integer"}, {"minimum": 7}]}), "7.0", "7.0"),
        (json!({"not": {"type": "integer"}}), "1.5", "1.5"),
        (json!({"not": {"type": "integer"}}), "1.0 ", "1.0"),
        (json!({"minimum": 0}), "-1", ""),
        // Bounds are kept at the digit that leaves them, and at the last one that may come.
        (json!({"type": "integer", "maximum": 120}), "121", "12"),
        (json!({"exclusiveMinimum": 0}), "0.00000000000000001", "0.000000000000000"),
        (json!({"exclusiveMinimum": 0}), "0.0000000000000001", "0.0000000000000001"),
        // As many digits as the schema's own numbers take.
        (json!({"const": 12345678901234567890123u128 as f64}), "12345678901234568000000", "12345678901234568000000"),
        (json!({"minimum": 1e30}), "1000000000000000000000000000000", "1000000000000000000000000000000"),
        (json!({"exclusiveMinimum": 0, "exclusiveMaximum": 1e-20}), "0.000000000000000000005", "0.000000000000000000005"),
    ] {
        let mut options = Options::default();
        options.plain_numbers = true;
        let compiled = JsonSchema::with_options(&schema, &options).unwrap();
        assert_eq!(allowed_prefix(&compiled, text), allowed, "{schema} on {text}");
        assert_eq!(accepts(&compiled, text), text == allowed, "{schema} on {text}");
        assert!(accepts(&JsonSchema::new(&schema).unwrap(), text) || text != allowed, "{schema} on {text}");
    }
}

#[test]
fn options_limit_spellings_and_sizes() {
    let schema = json!({"properties": {"b": {}, "a": {}}, "required": ["a"]});
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        JsonSchema::with_options(&schema, &options).unwrap()
    };
    type Case<'a> = (&'a dyn Fn(&mut Options), &'a [(&'a str, bool)]);
    let cases: [Case; 8] = [
        (&|options| options.max_whitespace = 0, &[(r#"{"a":1}"#, true), (r#"{"a": 1}"#, false)]),
        (
            &|options| options.indent = Some(2),
            &[
                ("{\n  \"a\": [\n    1,\n    {}\n  ]\n}", true),
                ("{\"a\": 1}", false),
                ("{\n  \"a\":1\n}", false),
                ("{\n  \"a\": [\n  ]\n}", false),
                ("{\n  \"a\": []\n}", true),
                ("{\n \"a\": 1\n}", false),
                ("{\n  \"a\": 1\n} ", false),
            ],
        ),
        (
            &|options| options.canonical_escapes = true,
            &[
                (r#"{"a":"\n\"\\\u001f/é"}"#, true),
                (r#"{"a":"\u000a"}"#, false),
                (r#"{"a":"\u0061"}"#, false),
                (r#"{"a":"\/"}"#, false),
                (r#"{"a":"\u001F"}"#, false),
            ],
        ),
        (
            &|options| options.declared_order = true,
            &[(r#"{"b":1,"a":2,"z":3}"#, true), (r#"{"a":2,"b":1}"#, false), (r#"{"a":1,"z":2,"b":3}"#, false), (r#"{"a":1}"#, true)],
        ),
        (&|options| options.max_depth = 2, &[(r#"{"a":[1]}"#, true), (r#"{"a":[[1]]}"#, false)]),
        (&|options| options.max_string = Some(2), &[(r#"{"a":"éé"}"#, true), (r#"{"a":"abc"}"#, false), (r#"{"a":"ab\n"}"#, false)]),
        (&|options| options.max_items = Some(2), &[(r#"{"a":[1,2]}"#, true), (r#"{"a":[1,2,3]}"#, false)]),
        (&|options| options.max_properties = Some(2), &[(r#"{"a":1,"x":2}"#, true), (r#"{"a":1,"x":2,"y":3}"#, false)]),
    ];
    for (change, texts) in cases {
        let compiled = with(change);
        for (text, accepted) in texts {
            assert_eq!(accepts(&compiled, text), *accepted, "{text}");
        }
    }
    // What the order of the schema has passed cannot come any more.
    let ordered = with(&|options| options.declared_order = true);
    assert_eq!(allowed_prefix(&ordered, r#"{"z": 1}"#), r#"{"z"#);
}

#[test]
fn states_with_equal_futures_are_equal() {
    let schema = json!({"properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}, "items": {"type": "integer"}});
    let schema = JsonSchema::new(&schema).unwrap();
    let state = |text: &str| schema.advance(&schema.start(), text.as_bytes()).unwrap();
    for (one, other) in [
        (r#"{"a":1,"b":"x","#, r#"{"b":"\u0079","a":23,"#),
        ("[1,2,", "[1,2,3,4,"),
        (r#"{"c":"abc"#, r#"{"c":"x"#),
        (r#"{"c":[[1],{"k":""#, r#"{"c":[[{}],{"k":"long"#),
    ] {
        assert_eq!(state(one), state(other), "{one} and {other}");
    }
    assert_ne!(state(r#"{"a":1,"#), state(r#"{"b":"x","#));
}

#[test]
fn references_lead_where_each_draft_says() {
    let mut options = Options::default();
    options
        .documents
        .insert("http://example.com/lib.json", json!({"$defs": {"small": {"$anchor": "small", "maximum": 9}}, "type": "integer"}));
    let judge = |schema: serde_json::Value, texts: &[(&str, bool)]| {
        let compiled = JsonSchema::with_options(&schema, &options).unwrap();
        for (text, accepted) in texts {
            assert_eq!(accepts(&compiled, text), *accepted, "{schema} on {text}");
        }
    };
    // Pointers, anchors, other documents, embedded resources and relative addresses.
    judge(json!({"$ref": "http://example.com/lib.json"}), &[("1", true), ("1.5", false)]);
    judge(json!({"$id": "http://example.com/main.json", "items": {"$ref": "lib.json#small"}}), &[("[9]", true), ("[10]", false)]);
    judge(json!({"$ref": "http://example.com/lib.json#/$defs/small"}), &[("9", true), ("10", false)]);
    judge(
        json!({"$id": "http://a.b/c/d", "$ref": "e", "$defs": {"inner": {"$id": "e", "type": "string"}}, "minLength": 2}),
        &[("\"xy\"", true), ("\"x\"", false), ("1", false)],
    );
    judge(json!({"$ref": "#/$defs/a%25b~1c", "$defs": {"a%b/c": {"const": 1}}}), &[("1", true), ("2", false)]);
    // Beside `$ref`, rules hold from draft 2019-09 on.
    let beside = |draft: &str| json!({"$schema": draft, "$ref": "#/definitions/any", "definitions": {"any": {}}, "maximum": 3});
    judge(beside("http://json-schema.org/draft-07/schema#"), &[("4", true)]);
    judge(beside("https://json-schema.org/draft/2019-09/schema"), &[("4", false)]);
    // The outermost dynamic anchor counts; the same schema means different things by different ways to it.
    judge(
        json!({
            "$id": "http://x/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false,
            "$defs": {"tree": {"$id": "tree", "$dynamicAnchor": "node", "type": "object", "properties": {"sub": {"type": "array", "items": {"$dynamicRef": "#node"}}}}},
        }),
        &[(r#"{"sub": [{"sub": []}]}"#, true), (r#"{"sub": [{"extra": 1}]}"#, false), (r#"{"extra": 1}"#, false)],
    );
    judge(
        json!({
            "$schema": "https://json-schema.org/draft/2019-09/schema", "$id": "http://x/strict", "$recursiveAnchor": true, "$ref": "tree", "unevaluatedProperties": false,
            "$defs": {"tree": {"$id": "tree", "$recursiveAnchor": true, "type": "object", "properties": {"sub": {"items": {"$recursiveRef": "#"}}}}},
        }),
        &[(r#"{"sub": [{"sub": []}]}"#, true), (r#"{"sub": [{"extra": 1}]}"#, false)],
    );
    // The standard's own schemas are at hand.
    judge(
        json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
        &[(r#"{"type": "integer", "items": {"minLength": 2}}"#, true), (r#"{"items": {"minLength": -2}}"#, false)],
    );
    judge(json!({"$ref": "http://json-schema.org/draft-04/schema#"}), &[(r#"{"minLength": 2}"#, true), (r#"{"type": 1}"#, false)]);
    // A meta-schema without the vocabulary of assertions switches them off.
    let mut custom = options.clone();
    custom.documents.insert(
        "http://x/meta",
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$vocabulary": {"https://json-schema.org/draft/2020-12/vocab/core": true, "https://json-schema.org/draft/2020-12/vocab/applicator": true}}),
    );
    let off = JsonSchema::with_options(&json!({"$schema": "http://x/meta", "minimum": 3, "properties": {"a": false}}), &custom).unwrap();
    assert!(accepts(&off, "1") && !accepts(&off, r#"{"a": 1}"#));
    // What leads nowhere is an error that says so.
    for (schema, what) in [
        (json!({"$ref": "#/$defs/none"}), "leads nowhere"),
        (json!({"$ref": "#none"}), "names no anchor"),
        (json!({"$ref": "http://elsewhere/x"}), "not among the documents"),
        (json!({"$schema": "http://elsewhere/meta"}), "no version that tamis knows"),
        (json!({"allOf": [{"$ref": "#"}]}), "over and over"),
    ] {
        let error = JsonSchema::with_options(&schema, &options).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn refusals_speak_in_the_words_of_the_schema() {
    for (schema, text, said) in [
        (
            json!({"properties": {"age": {"type": "integer", "minimum": 0}}}),
            r#"{"age": -1}"#,
            "/age: expected an integer >= 0; got '1' (schema #/properties/age)",
        ),
        (
            json!({"properties": {"age": {"type": "integer"}}}),
            r#"{"age": "x"}"#,
            "/age: expected an integer; got '\"' (schema #/properties/age/type)",
        ),
        (
            json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false}),
            r#"{"c": 1}"#,
            "expected a property among \"a\", \"b\"; got 'c' (schema #/additionalProperties)",
        ),
        (json!({"properties": {"a": false}}), r#"{"a": 1}"#, "(schema #/properties/a)"),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), "1", "expected null or a string; got '1' (schema #)"),
        (json!({"enum": ["red", "green"]}), r#""blue""#, "expected one of \"green\", \"red\"; got 'b'"),
        (json!({"required": ["id"]}), "{}", "expected the required property \"id\"; got '}' (schema #/required)"),
        (json!({"maxItems": 1}), "[1, 2]", "expected at most 1 items; got ',' (schema #/maxItems)"),
        (json!({"prefixItems": [{}], "items": false}), "[1, 2]", "expected no further item; got ',' (schema #/items)"),
        (json!({"prefixItems": [{}], "unevaluatedItems": false}), "[1, 2]", "(schema #/unevaluatedItems)"),
        (json!({"uniqueItems": true}), "[1, 1]", "expected an item that the array does not hold yet; got ']' (schema #/uniqueItems)"),
        (
            json!({"items": {"pattern": "^a"}}),
            r#"["b"]"#,
            "/0: expected a string that matches the pattern \"^a\"; got 'b' (schema #/items/pattern)",
        ),
        (json!({}), r#"{"a": 1, "a": 2}"#, "expected a property other than \"a\", which the object already has"),
    ] {
        let compiled = JsonSchema::new(&schema).unwrap();
        let start = compiled.start();
        let why = compiled.explain(&start, text.as_bytes()).unwrap().to_string();
        assert!(why.contains(said), "{schema} on {text}: {why}");
    }
}

#[test]
fn a_listed_value_evaluates_nothing() {
    for (schema, text) in [
        (json!({"enum": [{"a": 1}], "unevaluatedProperties": false}), r#"{"a": 1}"#),
        (json!({"const": [1], "unevaluatedItems": false}), "[1]"),
    ] {
        assert!(!JsonSchema::new(&schema).is_ok_and(|schema| accepts(&schema, text)), "{schema}");
    }
}

#[test]
fn what_must_still_come_is_told() {
    let schema = json!({"type": "object", "properties": {"ab": {"type": "boolean"}, "list": {"minItems": 3, "items": {"enum": ["xyz", "long"]}}}, "required": ["ab"]});
    let compiled = JsonSchema::new(&schema).unwrap();
    let cost = |text: &str| compiled.closing_cost(&compiled.advance(&compiled.start(), text.as_bytes()).unwrap()).unwrap();
    for (text, rest) in [
        ("", r#"{"ab":true}"#),
        ("{", r#""ab":true}"#),
        (r#"{"a"#, r#"b":true}"#),
        (r#"{"ab":"#, "true}"),
        (r#"{"ab":fal"#, "se}"),
        (r#"{"ab":true"#, "}"),
        (r#"{"ab":true,"list":["xyz","#, r#""xyz","xyz"]}"#),
        (r#"{"list":["xyz","xyz","lo"#, r#"ng"],"ab":true}"#),
        (r#"{"ab":true}"#, ""),
    ] {
        assert_eq!(cost(text), rest.len(), "after {text}");
        assert!(accepts(&compiled, &format!("{text}{rest}")));
    }
    // With one spelling only, what has to come may be all there is.
    let mut options = Options::default();
    (options.max_whitespace, options.canonical_escapes) = (0, true);
    let only = json!({"type": "object", "properties": {"ab": {"const": [true, "x"]}}, "required": ["ab"], "additionalProperties": false});
    let only = JsonSchema::with_options(&only, &options).unwrap();
    let mut forced = Vec::new();
    only.forced(&only.start(), &mut forced);
    assert_eq!(forced, br#"{"ab":[true,"x"]}"#);
}

#[test]
fn an_outlook_lists_what_may_come() {
    let schema = json!({"properties": {"name": {"type": "string"}, "kind": {"enum": ["red", "green", 7]}, "size": {"type": ["integer", "null"], "maximum": 5}}, "required": ["name"], "additionalProperties": false});
    let schema = JsonSchema::new(&schema).unwrap();
    let outlook = |text: &str| schema.outlook(&schema.advance(&schema.start(), text.as_bytes()).unwrap());
    assert_eq!(outlook(r#"{"name": "x", "#), ["the property \"kind\"", "the property \"size\""]);
    assert_eq!(outlook(r#"{"name": "x""#), ["','", "'}'"]);
    assert_eq!(outlook(r#"{"size": "#), ["null", "an integer <= 5"]);
    assert_eq!(outlook(r#"{"kind": "r"#), ["the rest of \"red\""]);
    assert_eq!(outlook(r#"{"na"#), ["the rest of the property name \"name\""]);
    assert_eq!(outlook(r#"{"name": 1"#.trim_end_matches('1')), ["a string"]);
    assert_eq!(outlook(r#"{"size": 1}"#.trim_end_matches('}')).first().map(String::as_str), Some("a digit"));
    assert_eq!(outlook(r#"{"kind": 7, "name": ""}"#), ["the end of the text"]);
}

#[test]
fn hostile_schemas_are_errors_or_compile_in_no_time() {
    let started = std::time::Instant::now();
    // Diamonds: every schema applies the next twice.
    let mut definitions = serde_json::Map::new();
    for level in 0..2_000 {
        let next = format!("#/$defs/{}", level + 1);
        definitions.insert(level.to_string(), json!({"allOf": [{"$ref": next}, {"$ref": next}], "unevaluatedProperties": false}));
    }
    definitions.insert("2000".into(), json!({"properties": {"a": {}}}));
    let diamonds = JsonSchema::new(&json!({"$ref": "#/$defs/0", "$defs": definitions})).unwrap();
    assert!(accepts(&diamonds, r#"{"a": 1}"#));
    // Huge numbers where counts stand.
    let counts =
        JsonSchema::new(&json!({"minItems": 1e300, "maxLength": 9007199254740993u64, "maxContains": 1e18, "contains": {}})).unwrap();
    assert!(accepts(&counts, r#""x""#) && !accepts(&counts, "[1]"));
    // Endless references, giant enumerations, deep values.
    assert!(JsonSchema::new(&json!({"$ref": "#"})).is_err());
    let members: Vec<_> = (0..50_000).map(|number| json!(format!("member {number}"))).collect();
    assert!(accepts(&JsonSchema::new(&json!({"enum": members})).unwrap(), r#""member 49999""#));
    let objects: Vec<_> = (0..100_000).map(|number| json!({"number": number})).collect();
    assert!(JsonSchema::new(&json!({"enum": objects})).is_err());
    let deep = (0..500).fold(json!(1), |value, _| json!([value]));
    assert!(JsonSchema::new(&json!({"const": deep})).is_err());
    assert!(JsonSchema::parse(&"[".repeat(100_000)).is_err());
    let nested = (0..600).fold(json!({}), |schema, _| json!({"items": schema}));
    assert!(JsonSchema::new(&nested).unwrap_err().to_string().contains("nested deeper"));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
