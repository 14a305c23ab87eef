//! What each keyword of a schema object adds to its node.

use super::compile::{Compiler, decimal, type_name};
use super::decimal::Decimal;
use super::draft::Draft;
use super::format;
use super::node::{Contains, Kind, Node, NodeId};
use super::number::Bound;
use super::pattern;
use super::resources::{Site, escaped};
use super::strings::TextRule;
use crate::constraint::ConstraintError;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Keywords that describe and do not restrict.
const ANNOTATIONS: [&str; 19] = [
    "$schema",
    "$id",
    "id",
    "$comment",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$defs",
    "definitions",
    "$vocabulary",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
];

/// Adds the rules of `object` to `node`.
pub(super) fn apply<'a>(
    compiler: &mut Compiler<'a>,
    node: &mut Node,
    object: &'a Map<String, Value>,
    site: &Site,
) -> Result<(), ConstraintError> {
    let draft = compiler.resources.resource_of(site).draft;
    if draft.ref_stands_alone()
        && let Some(reference) = object.get("$ref")
    {
        return keyword(compiler, node, object, "$ref", reference, site);
    }
    for (name, value) in object {
        keyword(compiler, node, object, name, value, site)?;
    }
    if !node.strings.join() {
        node.types.kinds &= !Kind::String.bit();
    }
    node.objects.order = node.objects.properties.iter().map(|(name, _)| name.clone()).collect();
    node.objects.properties.sort();
    node.objects.required.sort();
    node.objects.required.dedup();
    Ok(())
}

fn keyword<'a>(
    compiler: &mut Compiler<'a>,
    node: &mut Node,
    object: &'a Map<String, Value>,
    name: &str,
    value: &'a Value,
    site: &Site,
) -> Result<(), ConstraintError> {
    let at = compiler.resources.shown(&site.place, &escaped(name));
    let at: &str = &at;
    let resource = compiler.resources.resource_of(site);
    let draft = resource.draft;
    if resource.vocabularies.excludes(name) {
        return Ok(());
    }
    let wrong = |wanted: &str| ConstraintError::invalid(format!("`{name}` must be {wanted}, not {}", type_name(value))).at(at);
    match name {
        "$ref" | "$dynamicRef" | "$recursiveRef" if reference_exists(draft, name) => {
            let reference = value.as_str().ok_or_else(|| wrong("a string"))?;
            let (target, value) = match name {
                "$ref" => compiler.resources.follow(site, reference, at)?,
                "$dynamicRef" => compiler.resources.follow_dynamic(site, reference, at)?,
                _ if reference == "#" => compiler.resources.follow_recursive(site, at)?,
                _ => return Err(wrong("\"#\"")),
            };
            let target = compiler.schema(value, target)?;
            node.applicators.all.push(target);
        }
        "type" => {
            let names: Vec<&Value> = match value {
                Value::String(_) => vec![value],
                Value::Array(names) if !names.is_empty() => names.iter().collect(),
                _ => return Err(wrong("the name of a type, or a list of them")),
            };
            let (mut kinds, mut integer, mut number) = (0, false, false);
            for name in names {
                kinds |= match name.as_str() {
                    Some("null") => Kind::Null.bit(),
                    Some("boolean") => Kind::True.bit() | Kind::False.bit(),
                    Some("string") => Kind::String.bit(),
                    Some("array") => Kind::Array.bit(),
                    Some("object") => Kind::Object.bit(),
                    Some("integer") => {
                        integer = true;
                        Kind::Number.bit()
                    }
                    Some("number") => {
                        number = true;
                        Kind::Number.bit()
                    }
                    _ => {
                        let known = "null, boolean, object, array, number, integer or string";
                        return Err(ConstraintError::invalid(format!("{name} is no type; types are {known}")).at(at));
                    }
                };
            }
            node.types.kinds &= kinds;
            node.types.integer |= integer && !number;
            node.types.plain = node.types.integer && draft == Draft::Draft4;
        }
        "enum" => {
            let values = value.as_array().ok_or_else(|| wrong("a list of values"))?;
            compiler.one_of_values(node, values, at)?;
        }
        "const" if draft >= Draft::Draft6 => compiler.one_of_values(node, std::slice::from_ref(value), at)?,

        "minLength" => node.strings.min_length = Some(count(value, &wrong)?),
        "maxLength" => node.strings.max_length = Some(count(value, &wrong)?),
        "pattern" => {
            let source = value.as_str().ok_or_else(|| wrong("a string"))?;
            match pattern::compile(source) {
                Ok(pattern) => node.strings.add(TextRule::Pattern(pattern)),
                Err(error) if error.is_unsatisfiable() => node.types.kinds &= !Kind::String.bit(),
                Err(error) => return Err(named(error, name).at(at)),
            }
        }
        "format" if compiler.options.format_is_annotation => drop(value.as_str().ok_or_else(|| wrong("a string"))?),
        "format" => {
            let name = value.as_str().ok_or_else(|| wrong("a string"))?;
            match format::find(name) {
                Some(format) => node.strings.add(TextRule::Format(format)),
                None => compiler.note(at.to_owned(), format!("the format {name:?} is not one of the standard and is not enforced")),
            }
        }

        "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" => bound(node, object, draft, name, value, at)?,
        "multipleOf" => {
            let Value::Number(number) = value else { return Err(wrong("a number")) };
            let divisor = decimal(&number.to_string(), at)?;
            if divisor <= zero() {
                return Err(ConstraintError::invalid("`multipleOf` must be above 0").at(at));
            }
            node.numbers.multiple_of = Some(divisor);
        }

        "properties" => {
            for (name, value) in value.as_object().ok_or_else(|| wrong("an object of schemas"))? {
                let child = compiler.child(site, value, &format!("properties/{}", escaped(name)))?;
                node.objects.properties.push((name.as_str().into(), child));
            }
        }
        "patternProperties" => {
            for (source, value) in value.as_object().ok_or_else(|| wrong("an object of schemas"))? {
                let child = compiler.child(site, value, &format!("patternProperties/{}", escaped(source)))?;
                match pattern::compile(source) {
                    Ok(pattern) => node.objects.patterns.push((pattern, child)),
                    Err(error) if error.is_unsatisfiable() => {}
                    Err(error) => return Err(named(error, name).at(format!("{at}/{}", escaped(source)))),
                }
            }
        }
        "additionalProperties" => node.objects.additional = Some(compiler.child(site, value, name)?),
        "unevaluatedProperties" if draft >= Draft::Draft2019 => node.objects.unevaluated = Some(compiler.child(site, value, name)?),
        "propertyNames" if draft >= Draft::Draft6 => node.objects.names = Some(compiler.child(site, value, name)?),
        "required" => node.objects.required.extend(strings(value, &wrong)?),
        "minProperties" => node.objects.min_properties = Some(count(value, &wrong)?),
        "maxProperties" => node.objects.max_properties = Some(count(value, &wrong)?),
        "dependentRequired" if draft >= Draft::Draft2019 => {
            for (name, names) in value.as_object().ok_or_else(|| wrong("an object of lists of names"))? {
                node.objects.dependent_required.push((name.as_str().into(), strings(names, &wrong)?));
            }
        }
        "dependentSchemas" if draft >= Draft::Draft2019 => {
            for (name, value) in value.as_object().ok_or_else(|| wrong("an object of schemas"))? {
                let child = compiler.child(site, value, &format!("dependentSchemas/{}", escaped(name)))?;
                node.applicators.dependent.push((name.as_str().into(), child));
            }
        }
        // Split in two by draft 2019-09, and still read by most validators.
        "dependencies" => {
            for (name, value) in value.as_object().ok_or_else(|| wrong("an object of schemas and lists of names"))? {
                if value.is_array() {
                    node.objects.dependent_required.push((name.as_str().into(), strings(value, &wrong)?));
                } else {
                    let child = compiler.child(site, value, &format!("dependencies/{}", escaped(name)))?;
                    node.applicators.dependent.push((name.as_str().into(), child));
                }
            }
        }

        "prefixItems" if draft >= Draft::Draft2020 => node.arrays.prefix = schemas(compiler, value, name, site, &wrong)?,
        "items" if value.is_array() && draft < Draft::Draft2020 => {
            node.arrays.prefix = schemas(compiler, value, name, site, &wrong)?;
            if let Some(additional) = object.get("additionalItems") {
                node.arrays.items = Some(compiler.child(site, additional, "additionalItems")?);
            }
        }
        "items" => node.arrays.items = Some(compiler.child(site, value, name)?),
        // With a list of items it is read there; without one it means nothing.
        "additionalItems" if draft < Draft::Draft2020 => drop(compiler.child(site, value, name)?),
        "unevaluatedItems" if draft >= Draft::Draft2019 => node.arrays.unevaluated = Some(compiler.child(site, value, name)?),
        "minItems" => node.arrays.min_items = Some(count(value, &wrong)?),
        "maxItems" => node.arrays.max_items = Some(count(value, &wrong)?),
        "uniqueItems" => node.arrays.unique = value.as_bool().ok_or_else(|| wrong("true or false"))?,
        "contains" if draft >= Draft::Draft6 => {
            let limits = draft >= Draft::Draft2019;
            let limit = |name: &str| match object.get(name).filter(|_| limits) {
                Some(value) => {
                    let wrong = |wanted: &str| {
                        ConstraintError::invalid(format!("`{name}` must be {wanted}"))
                            .at(format!("{}/{name}", at.trim_end_matches("/contains")))
                    };
                    count(value, &wrong).map(Some)
                }
                None => Ok(None),
            };
            node.arrays.contains = Some(Contains {
                node: compiler.child(site, value, name)?,
                min: limit("minContains")?.unwrap_or(1),
                max: limit("maxContains")?,
                evaluates: draft >= Draft::Draft2020,
            });
        }
        // Read with `contains`; without it they mean nothing.
        "minContains" | "maxContains" if draft >= Draft::Draft2019 => drop(count(value, &wrong)?),

        "allOf" => {
            let all = schemas(compiler, value, name, site, &wrong)?;
            node.applicators.all.extend(all);
        }
        "anyOf" => {
            let any = schemas(compiler, value, name, site, &wrong)?;
            node.applicators.any.push(any);
        }
        "oneOf" => {
            let one = schemas(compiler, value, name, site, &wrong)?;
            node.applicators.one.push(one);
        }
        "not" => {
            let not = compiler.child(site, value, name)?;
            node.applicators.not.push(not);
        }
        "if" if draft >= Draft::Draft7 => {
            let mut branch = |name: &str| match object.get(name) {
                Some(value) => compiler.child(site, value, name),
                None => Ok(NodeId::ANY),
            };
            let (then, otherwise) = (branch("then")?, branch("else")?);
            node.applicators.conditional = Some((compiler.child(site, value, name)?, then, otherwise));
        }
        // Read with `if`; without it they mean nothing.
        "then" | "else" if draft >= Draft::Draft7 => drop(compiler.child(site, value, name)?),

        _ if ANNOTATIONS.contains(&name) || name == "contentSchema" => {}
        _ if compiler.options.unknown_keywords => {
            compiler.note(at.to_owned(), format!("`{name}` is no keyword of this version of JSON Schema and is not enforced"));
        }
        _ => {
            return Err(ConstraintError::unsupported(format!(
                "`{name}` is no keyword of this version of JSON Schema; if it only describes, allow it with `unknown_keywords` (`--unknown-keywords`)"
            ))
            .at(at));
        }
    }
    Ok(())
}

/// Whether the draft has the keyword of reference.
fn reference_exists(draft: Draft, name: &str) -> bool {
    match name {
        "$dynamicRef" => draft >= Draft::Draft2020,
        "$recursiveRef" => draft == Draft::Draft2019,
        _ => true,
    }
}

fn bound(node: &mut Node, object: &Map<String, Value>, draft: Draft, name: &str, value: &Value, at: &str) -> Result<(), ConstraintError> {
    let wrong = |wanted: &str| ConstraintError::invalid(format!("`{name}` must be {wanted}, not {}", type_name(value))).at(at);
    // In draft 4 the exclusive keywords are booleans beside the others.
    if draft == Draft::Draft4 && name.starts_with("exclusive") {
        return value.as_bool().map(drop).ok_or_else(|| wrong("true or false"));
    }
    let Value::Number(number) = value else { return Err(wrong("a number")) };
    let low = name.ends_with("inimum");
    let beside = if low { "exclusiveMinimum" } else { "exclusiveMaximum" };
    let exclusive = name.starts_with("exclusive") || (draft == Draft::Draft4 && object.get(beside) == Some(&Value::Bool(true)));
    let bound = Bound { value: decimal(&number.to_string(), at)?, exclusive };
    let place = if low { &mut node.numbers.minimum } else { &mut node.numbers.maximum };
    // The tighter of an inclusive and an exclusive bound.
    let tighter = place.as_ref().is_none_or(|other| match bound.value.cmp(&other.value) {
        std::cmp::Ordering::Equal => exclusive,
        order => (order == std::cmp::Ordering::Greater) == low,
    });
    if tighter {
        *place = Some(bound);
    }
    Ok(())
}

fn schemas<'a>(
    compiler: &mut Compiler<'a>,
    value: &'a Value,
    name: &str,
    site: &Site,
    wrong: &impl Fn(&str) -> ConstraintError,
) -> Result<Vec<NodeId>, ConstraintError> {
    let list = value.as_array().ok_or_else(|| wrong("a list of schemas"))?;
    list.iter().enumerate().map(|(index, value)| compiler.child(site, value, &format!("{name}/{index}"))).collect()
}

fn strings(value: &Value, wrong: &impl Fn(&str) -> ConstraintError) -> Result<Vec<Arc<str>>, ConstraintError> {
    let list = value.as_array().ok_or_else(|| wrong("a list of names"))?;
    list.iter().map(|name| name.as_str().map(Arc::from).ok_or_else(|| wrong("a list of names"))).collect()
}

/// A count: a whole number from 0, which may be written 2.0. Beyond 2^63 it is as good as that.
fn count(value: &Value, wrong: &impl Fn(&str) -> ConstraintError) -> Result<u64, ConstraintError> {
    let number = value.as_number().ok_or_else(|| wrong("a whole number from 0"))?;
    let size = Decimal::parse(&number.to_string()).filter(|size| size.is_integer() && *size >= zero());
    let size = size.ok_or_else(|| wrong("a whole number from 0"))?;
    Ok(size.to_string().parse().unwrap_or(u64::MAX >> 1))
}

fn zero() -> Decimal {
    Decimal::parse("0").expect("a number")
}

fn named(error: ConstraintError, keyword: &str) -> ConstraintError {
    let message = format!("`{keyword}`: {}", error.message());
    if error.is_unsupported() { ConstraintError::unsupported(message) } else { ConstraintError::invalid(message) }
}
