//! Any text as a regular expression, ours and ECMA-262's: compiled or refused, soon, without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tamis::constraint::{Constraint, JsonSchema, Regex};

fuzz_target!(|pattern: &str| {
    if let Ok(regex) = Regex::new(pattern) {
        let state = regex.start();
        let cost = regex.closing_cost(&state).expect("known for every state");
        assert_eq!(cost == 0, regex.may_end(&state));
    }
    if let Ok(schema) = JsonSchema::new(&json!({ "type": "string", "pattern": pattern })) {
        let start = schema.start();
        for text in ["\"\"", "\"ab\"", "\"a1 b-2\\n\"", "\"😀\""] {
            let whole = schema.advance(&start, text.as_bytes());
            let bytes = text.bytes().try_fold(start.clone(), |state, byte| schema.advance(&state, &[byte]));
            assert_eq!(whole, bytes);
        }
    }
});
