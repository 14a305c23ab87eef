#![no_main]

// The body is an ordinary function, which `tests/fuzz.rs` runs, too.
#[path = "../../tests/fuzz_bodies/tokenizer_json.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
