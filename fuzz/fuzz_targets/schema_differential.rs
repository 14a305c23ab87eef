//! A random schema and a random instance: the verdict is that of another validator.

#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use tamis::constraint::{Constraint, JsonSchema};

fuzz_target!(|data: &[u8]| {
    let mut source = Unstructured::new(data);
    let (Ok(schema), Ok(instance)) = (tamis_fuzz::schema(&mut source, 4), tamis_fuzz::value(&mut source, 3)) else { return };
    let Ok(other) = jsonschema::draft202012::new(&schema) else { return };
    let ours = match JsonSchema::new(&schema) {
        Ok(compiled) => {
            let text = instance.to_string();
            compiled.advance(&compiled.start(), text.as_bytes()).is_some_and(|state| compiled.may_end(&state))
        }
        Err(error) if error.is_unsatisfiable() => false,
        Err(_) => return,
    };
    assert_eq!(ours, other.is_valid(&instance), "the schema {schema} on {instance}");
});
