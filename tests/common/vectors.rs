//! Golden values that were computed elsewhere, where they can be found.
#![allow(dead_code, reason = "each test file uses a part")]

use serde_json::Value;

/// A file of the shared vectors; says so and gives `None` where there are none.
pub fn read(name: &str) -> Option<Value> {
    let root = std::env::var("TAMIS_SHARED").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").into());
    let Ok(text) = std::fs::read_to_string(format!("{root}/vectors/{name}")) else {
        println!("skipped: no vectors in {root}");
        return None;
    };
    Some(serde_json::from_str(&text).expect("the vectors are JSON"))
}

/// The vector of `uncertainty.json` with this id.
pub fn uncertainty(id: &str) -> Option<Value> {
    let file = read("uncertainty.json")?;
    let found = file["vectors"].as_array().expect("a list of vectors").iter().find(|vector| vector["id"] == id);
    Some(found.unwrap_or_else(|| panic!("there is no vector {id}")).clone())
}

/// Its cases with their expected results.
pub fn cases(vector: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let (cases, results) =
        (vector["input"]["cases"].as_array().expect("cases"), vector["expected"]["results"].as_array().expect("results"));
    assert_eq!(cases.len(), results.len());
    cases.iter().zip(results)
}
