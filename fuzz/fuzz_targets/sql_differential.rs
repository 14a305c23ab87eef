#![no_main]

// The body is an ordinary function, which `tests/sql_differential.rs` runs, too.
#[path = "../../tests/fuzz_bodies/sql_differential.rs"]
mod body;
#[path = "../../tests/common/sql.rs"]
mod sql;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
