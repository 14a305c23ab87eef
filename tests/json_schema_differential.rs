//! Random schemas on random values: the streaming validator and another validator give the same verdicts.
//!
//! Schemas are small and drawn so that rules meet: a handful of names and values, every applicator. Texts
//! are taken byte by byte, with escapes and within limits of nesting, so that a prefix which is refused
//! although it has a completion is found.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, JsonSchema};

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0i64..5).prop_map(Value::from),
        prop::sample::select(vec!["1.0", "0.5", "2.50"]).prop_map(|number| serde_json::from_str(number).unwrap()),
        prop::sample::select(vec!["", "a", "ab", "abc"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn schema() -> impl Strategy<Value = Value> {
    let keyword = |key: &'static str, value: BoxedStrategy<Value>| value.prop_map(move |value| (key.to_owned(), value)).boxed();
    let leaf = prop::collection::vec(
        prop_oneof![
            keyword(
                "type",
                prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"])
                    .prop_map(Value::from)
                    .boxed()
            ),
            keyword("const", value().boxed()),
            keyword("enum", prop::collection::vec(value(), 1..4).prop_map(Value::from).boxed()),
            keyword("minimum", (0i64..4).prop_map(Value::from).boxed()),
            keyword("exclusiveMaximum", (1i64..4).prop_map(Value::from).boxed()),
            keyword("multipleOf", prop::sample::select(vec![json!(0.5), json!(2)]).boxed()),
            keyword("maxLength", (0i64..3).prop_map(Value::from).boxed()),
            keyword("pattern", prop::sample::select(vec!["^a", "b", "c$", "^$"]).prop_map(Value::from).boxed()),
            keyword("required", prop::collection::btree_set(name(), 1..3).prop_map(|names| json!(names)).boxed()),
            keyword("minProperties", (0i64..3).prop_map(Value::from).boxed()),
            keyword("maxProperties", (0i64..3).prop_map(Value::from).boxed()),
            keyword("minItems", (0i64..3).prop_map(Value::from).boxed()),
            keyword("maxItems", (0i64..3).prop_map(Value::from).boxed()),
            keyword("uniqueItems", any::<bool>().prop_map(Value::from).boxed()),
            keyword("dependentRequired", (name(), name()).prop_map(|(one, other)| json!({one: [other]})).boxed()),
        ],
        0..3,
    );
    let leaf = prop_oneof![8 => leaf.prop_map(|keywords| keywords.into_iter().collect::<Map<_, _>>().into()), 1 => any::<bool>().prop_map(Value::from)];
    leaf.prop_recursive(3, 16, 3, move |inner| {
        let one = inner.clone().boxed();
        let list = prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from).boxed();
        let named = prop::collection::btree_map(name(), inner.clone(), 1..3)
            .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into())
            .boxed();
        let by_pattern =
            (prop::sample::select(vec!["^a", "b|c", "."]), inner.clone()).prop_map(|(pattern, schema)| json!({pattern: schema})).boxed();
        let applicator = prop_oneof![
            4 => keyword("properties", named.clone()),
            2 => keyword("additionalProperties", one.clone()),
            2 => keyword("patternProperties", by_pattern),
            1 => keyword("propertyNames", one.clone()),
            3 => keyword("unevaluatedProperties", prop_oneof![Just(json!(false)), one.clone()].boxed()),
            1 => keyword("dependentSchemas", named),
            2 => keyword("items", one.clone()),
            2 => keyword("prefixItems", list.clone()),
            2 => keyword("contains", one.clone()),
            1 => keyword("minContains", (0i64..3).prop_map(Value::from).boxed()),
            1 => keyword("maxContains", (0i64..3).prop_map(Value::from).boxed()),
            3 => keyword("unevaluatedItems", prop_oneof![Just(json!(false)), one.clone()].boxed()),
            3 => keyword("allOf", list.clone()),
            3 => keyword("anyOf", list.clone()),
            3 => keyword("oneOf", list),
            2 => keyword("not", one.clone()),
            2 => keyword("if", one.clone()),
            2 => keyword("then", one.clone()),
            2 => keyword("else", one),
            1 => Just(("$ref".to_owned(), json!("#/$defs/d"))),
        ];
        (prop::collection::vec(applicator, 1..4), inner).prop_map(|(applicators, beside)| {
            let mut object = beside.as_object().cloned().unwrap_or_default();
            object.extend(applicators);
            object.into()
        })
    })
}

/// How a text may be spelled, and what of it is taken.
fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), prop::option::of(0u32..4)).prop_map(|(canonical_escapes, plain_numbers, max_depth)| {
        let mut options = Options::default();
        (options.canonical_escapes, options.plain_numbers) = (canonical_escapes, plain_numbers);
        options.max_depth = max_depth.unwrap_or(options.max_depth);
        options
    })
}

/// A value's text, its letters escaped where `escapes` has a bit for them.
fn spell(value: &Value, escapes: u64) -> String {
    let plain = value.to_string().replace("1.0", "1").replace("2.50", "2.5");
    let letters = plain
        .char_indices()
        .filter(|(at, letter)| matches!(letter, 'a'..='c') && !plain[..*at].ends_with(|before| matches!(before, 'f' | 'n' | 't')));
    let escaped: Vec<usize> = letters.map(|(at, _)| at).filter(|at| escapes >> (at % 64) & 1 == 1).collect();
    plain
        .char_indices()
        .map(|(at, letter)| if escaped.contains(&at) { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() })
        .collect()
}

fn nesting(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn verdicts_are_those_of_another_validator(
        schema in schema(), definition in schema(), values in prop::collection::vec((value(), any::<u64>()), 8), options in options(),
    ) {
        let mut schema = schema;
        if let Some(object) = schema.as_object_mut() {
            // Without references, so that nothing refers to itself without end.
            let definition = serde_json::from_str(&definition.to_string().replace("#/$defs/d", "#/$defs/e")).unwrap_or(Value::Bool(true));
            object.insert("$defs".into(), json!({"d": definition, "e": {"type": ["integer", "object", "array"]}}));
        }
        let oracle = jsonschema::validator_for(&schema).unwrap();
        let ours = match JsonSchema::with_options(&schema, &options) {
            Ok(ours) => Some(ours),
            Err(error) => {
                prop_assert!(error.is_unsatisfiable(), "{}: {}", schema, error);
                None
            }
        };
        for (value, escapes) in &values {
            let text = spell(value, if options.canonical_escapes { 0 } else { *escapes });
            let accepted = ours.as_ref().is_some_and(|ours| {
                let whole = ours.advance(&ours.start(), text.as_bytes());
                let bytes = text.bytes().try_fold(ours.start(), |state, byte| ours.advance(&state, &[byte]));
                assert_eq!(whole, bytes, "{schema} on {text}");
                whole.is_some_and(|state| ours.may_end(&state))
            });
            let expected = oracle.is_valid(value) && nesting(value) <= options.max_depth;
            prop_assert_eq!(accepted, expected, "{} on {}", schema, text);
        }
    }
}
