//! Any text as a schema: compiled or refused with an error, soon, and asked about without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, JsonSchema};

fuzz_target!(|text: &str| {
    let mut options = Options::default();
    options.unknown_keywords = true;
    let Ok(schema) = JsonSchema::parse_with_options(text, &options) else { return };
    let start = schema.start();
    let _ = (schema.closing_cost(&start), schema.explain_end(&start));
    for text in ["{\"a\": [1, \"b\", null, 1.5e3], \"a\": 1}", "[\"\\u0041\", {}, -0]", "\"abc\"", "12.50", "true"] {
        if schema.advance(&start, text.as_bytes()).is_none() {
            assert!(schema.explain(&start, text.as_bytes()).is_some(), "a refusal has a reason");
        }
    }
});
