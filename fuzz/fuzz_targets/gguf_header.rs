#![no_main]

// The body is an ordinary function, which `tests/fuzz.rs` runs, too.
#[path = "../../tests/fuzz_bodies/gguf_header.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
