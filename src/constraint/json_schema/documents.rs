//! Documents that references may lead to: those that the user gives, and the standard's meta-schemas.
//! Nothing is ever fetched from a network.

use crate::constraint::ConstraintError;
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Documents by their address, for references to other documents.
///
/// ```
/// use serde_json::json;
/// use tamis::constraint::{Constraint, JsonSchema, json_schema::{Documents, Options}};
/// let mut options = Options::default();
/// options.documents.insert("https://example.com/age.json", json!({"type": "integer", "minimum": 0}));
/// let person = json!({"$id": "https://example.com/person.json", "properties": {"age": {"$ref": "age.json"}}});
/// let schema = JsonSchema::with_options(&person, &options)?;
/// assert!(schema.allows(&schema.start(), br#"{"age": 36}"#) && !schema.allows(&schema.start(), br#"{"age": "36"#));
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    given: BTreeMap<String, Arc<Value>>,
    folders: Vec<(String, PathBuf)>,
}

impl Documents {
    /// The address of a schema that has no `$id`: relative references are resolved against it.
    pub const BASE: &str = "schema:///";

    /// Adds a document, found at `address` (without a fragment).
    pub fn insert(&mut self, address: impl Into<String>, document: Value) {
        self.given.insert(address.into(), Arc::new(document));
    }

    /// Adds all files below `folder`, found at `base` followed by their path; they are read when a
    /// reference leads to them. With the base [`Documents::BASE`], relative references of a schema without
    /// an `$id` find them.
    pub fn add_folder(&mut self, base: impl Into<String>, folder: impl Into<PathBuf>) {
        self.folders.push((base.into(), folder.into()));
    }

    /// The document at `address`, if there is one.
    pub(super) fn find(&self, address: &str) -> Result<Option<Value>, ConstraintError> {
        if let Some(document) = self.given.get(address) {
            return Ok(Some(Value::clone(document)));
        }
        for (base, folder) in &self.folders {
            let Some(path) = address.strip_prefix(base.as_str()).and_then(relative_path) else { continue };
            let path = folder.join(path);
            if !path.is_file() {
                continue;
            }
            let bad = |why: String| ConstraintError::invalid(format!("the document {}: {why}", path.display()));
            let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
            return serde_json::from_str(&text).map(Some).map_err(|error| bad(format!("is no JSON: {error}")));
        }
        Ok(meta_schema(address).cloned())
    }
}

/// The rest of an address as a path that stays below its folder.
fn relative_path(rest: &str) -> Option<PathBuf> {
    let rest = percent_decoded(rest.split('?').next().unwrap_or_default());
    let segments: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
    let inside = !segments.is_empty() && segments.iter().all(|segment| !matches!(*segment, "." | "..") && !segment.contains(['\\', ':']));
    inside.then(|| segments.iter().collect())
}

/// The standard's own schema of schemas at `address`.
fn meta_schema(address: &str) -> Option<&'static Value> {
    static ALL: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let documents: Vec<Value> = serde_json::from_str(include_str!("meta_schemas.json")).expect("the file is JSON");
        let address = |document: &Value| document.get("$id").or_else(|| document.get("id")).and_then(Value::as_str).map(str::to_owned);
        documents.into_iter().map(|document| (address(&document).unwrap_or_default().trim_end_matches('#').to_owned(), document)).collect()
    });
    all.get(address)
}

/// Text with `%41` read as `A`.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Documents read while a schema is compiled, which borrows from them: a list that only grows.
#[derive(Default)]
pub(super) struct Loaded {
    next: OnceCell<(Value, Box<Loaded>)>,
}

impl Loaded {
    /// Keeps `document` at the end of the list.
    pub(super) fn keep(&self, document: Value) -> &Value {
        let mut at = self;
        while let Some((_, next)) = at.next.get() {
            at = next;
        }
        &at.next.get_or_init(|| (document, Box::default())).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_never_lead_out_of_a_folder() {
        let mut documents = Documents::default();
        documents.add_folder("http://here/", env!("CARGO_MANIFEST_DIR"));
        for address in ["http://here/src/../Cargo.toml", "http://here/%2e%2e/x", "http://here/", "http://elsewhere/Cargo.toml"] {
            assert_eq!(documents.find(address), Ok(None), "{address}");
        }
        assert!(documents.find("http://here/Cargo.toml").unwrap_err().to_string().contains("no JSON"));
        assert!(documents.find("https://json-schema.org/draft/2020-12/meta/core").unwrap().is_some());
    }
}
