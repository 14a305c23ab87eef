//! Advancing by a text equals advancing by its parts, wherever it is cut, and `allows` agrees.

#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use tamis::constraint::{Constraint, JsonSchema};

fuzz_target!(|data: &[u8]| {
    let mut source = Unstructured::new(data);
    let (Ok(schema), Ok(instance), Ok(cut), Ok(spoilt), Ok(options)) = (
        tamis_fuzz::schema(&mut source, 4),
        tamis_fuzz::value(&mut source, 3),
        source.arbitrary::<u8>(),
        source.arbitrary::<Option<(u8, u8)>>(),
        tamis_fuzz::options(&mut source),
    ) else {
        return;
    };
    let Ok(compiled) = JsonSchema::with_options(&schema, &options) else { return };
    let mut text = instance.to_string().into_bytes();
    // Sometimes one byte is another.
    if let Some((at, byte)) = spoilt {
        let at = usize::from(at) % text.len();
        text[at] = byte;
    }
    let (first, second) = text.split_at(usize::from(cut) % (text.len() + 1));
    let start = compiled.start();
    let whole = compiled.advance(&start, &text);
    let parts = compiled.advance(&start, first).and_then(|state| compiled.advance(&state, second));
    let bytes = text.iter().try_fold(start.clone(), |state, byte| compiled.advance(&state, &[*byte]));
    let spelling = text.clone();
    let text = String::from_utf8_lossy(&spelling);
    assert_eq!(whole, parts, "the schema {schema} on {text:?} cut at {}", first.len());
    assert_eq!(whole, bytes, "the schema {schema} on {text:?} byte by byte");
    assert_eq!(whole.is_some(), compiled.allows(&start, &spelling));
});
