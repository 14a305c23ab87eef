//! Schemas and JSON values from random bytes, over a few names and texts, so that they meet.

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};
use tamis::constraint::json_schema::Options;

const NAMES: [&str; 4] = ["a", "b", "ab", "é\""];
const PATTERNS: [&str; 8] = ["^a", "b$", "^[ab]*$", "^.{2}$", "(?=.*a)(?=.*b)", "^(?!b)", "(.)\\1", "^a?b+$"];
const NUMBERS: [&str; 10] = ["0", "1", "-1", "2", "3", "0.5", "1.0", "10", "1e1", "-2.5"];

/// A schema of at most `depth` levels.
pub fn schema(source: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    if depth == 0 || source.ratio(1, 8)? {
        return Ok(Value::Bool(source.ratio(4, 5)?));
    }
    let mut object = Map::new();
    for _ in 0..source.int_in_range(1..=3)? {
        let (name, value) = keyword(source, depth - 1)?;
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object))
}

fn keyword(source: &mut Unstructured<'_>, depth: u32) -> Result<(&'static str, Value)> {
    let count = |source: &mut Unstructured<'_>| Ok(json!(source.int_in_range(0..=3)?));
    Ok(match source.int_in_range(0..=30)? {
        0 | 1 => ("type", json!(source.choose(&["null", "boolean", "integer", "number", "string", "array", "object"])?)),
        2 => ("enum", json!([value(source, 2)?, value(source, 2)?])),
        3 => ("const", value(source, 2)?),
        4 => ("minLength", count(source)?),
        5 => ("maxLength", count(source)?),
        6 => ("pattern", json!(source.choose(&PATTERNS)?)),
        7 => ("minimum", number(source)?),
        8 => ("exclusiveMaximum", number(source)?),
        9 => ("multipleOf", json!(source.choose(&[1, 2, 3, 7])?)),
        10 => ("properties", schemas_by_name(source, depth)?),
        11 => ("required", json!([source.choose(&NAMES)?])),
        12 => ("additionalProperties", schema(source, depth)?),
        13 => ("patternProperties", json!({ *source.choose(&PATTERNS)?: schema(source, depth)? })),
        14 => ("propertyNames", schema(source, depth)?),
        15 => ("minProperties", count(source)?),
        16 => ("maxProperties", count(source)?),
        17 => ("dependentRequired", json!({ *source.choose(&NAMES)?: [source.choose(&NAMES)?] })),
        18 => ("dependentSchemas", schemas_by_name(source, depth)?),
        19 => ("items", schema(source, depth)?),
        20 => ("prefixItems", json!([schema(source, depth)?, schema(source, depth)?])),
        21 => ("contains", schema(source, depth)?),
        22 => ("minItems", count(source)?),
        23 => ("uniqueItems", json!(true)),
        24 => ("allOf", schemas(source, depth)?),
        25 => ("anyOf", schemas(source, depth)?),
        26 => ("oneOf", schemas(source, depth)?),
        27 => ("not", schema(source, depth)?),
        28 => ("if", schema(source, depth)?),
        29 => (*source.choose(&["then", "else"])?, schema(source, depth)?),
        _ => (*source.choose(&["unevaluatedProperties", "unevaluatedItems"])?, schema(source, depth)?),
    })
}

fn schemas(source: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    Ok(json!([schema(source, depth)?, schema(source, depth)?]))
}

fn schemas_by_name(source: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let mut object = Map::new();
    for _ in 0..source.int_in_range(1..=2)? {
        object.insert((*source.choose(&NAMES)?).to_owned(), schema(source, depth)?);
    }
    Ok(Value::Object(object))
}

fn number(source: &mut Unstructured<'_>) -> Result<Value> {
    Ok(serde_json::from_str(source.choose(&NUMBERS)?).expect("a number"))
}

/// A JSON value of at most `depth` levels.
pub fn value(source: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    Ok(match source.int_in_range(0..=if depth == 0 { 3 } else { 5 })? {
        0 => json!(*source.choose(&[None, Some(true), Some(false)])?),
        1 => number(source)?,
        2 | 3 => json!(source.choose(&["", "a", "b", "ab", "ba", "aa", "é", "😀a"])?),
        4 => {
            let count = source.int_in_range(0..=3)?;
            Value::Array((0..count).map(|_| value(source, depth - 1)).collect::<Result<_>>()?)
        }
        _ => {
            let count = source.int_in_range(0..=3)?;
            let member = |source: &mut Unstructured<'_>| Ok(((*source.choose(&NAMES)?).to_owned(), value(source, depth - 1)?));
            Value::Object((0..count).map(|_| member(source)).collect::<Result<_>>()?)
        }
    })
}

/// Which texts are taken. Of no bytes: all.
pub fn options(source: &mut Unstructured<'_>) -> Result<Options> {
    let mut options = Options::default();
    options.unknown_keywords = true;
    (options.canonical_escapes, options.plain_numbers, options.declared_order) = source.arbitrary()?;
    options.max_depth = *source.choose(&[options.max_depth, 0, 1, 2, 3])?;
    options.max_string = *source.choose(&[None, Some(1), Some(3)])?;
    Ok(options)
}
