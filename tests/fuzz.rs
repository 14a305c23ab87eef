//! The bodies of the fuzz targets (`fuzz/`), over their corpora and over these with a few bytes changed.
#![cfg(feature = "candle")]

#[path = "fuzz_bodies/chat_template.rs"]
mod chat_template;
#[path = "fuzz_bodies/gguf_header.rs"]
mod gguf_header;
#[path = "fuzz_bodies/tokenizer_json.rs"]
mod tokenizer_json;

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use std::fs;
use std::path::Path;

/// The corpus of a target; empty in a package, which does not carry it.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1..20usize).prop_map(|(at, length)| Change::Remove(at, length)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: &Index| at.index(bytes.len() + 1);
    match change {
        Change::Set(at, byte) => {
            let place = place(at);
            if let Some(changed) = bytes.get_mut(place) {
                *changed = *byte;
            }
        }
        Change::Insert(at, inserted) => {
            let place = place(at);
            bytes.splice(place..place, inserted.iter().copied());
        }
        Change::Remove(at, length) => {
            let place = place(at);
            bytes.drain(place..(place + length).min(bytes.len()));
        }
        Change::Cut(at) => bytes.truncate(place(at)),
    }
}

fn never_panics(seeds: Vec<Vec<u8>>, run: impl Fn(&[u8])) {
    seeds.iter().for_each(|seed| run(seed));
    let mut runner = TestRunner::new(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&(select(seeds), vec(change(), 1..5)), |(mut bytes, changes)| {
        changes.iter().for_each(|change| apply(&mut bytes, change));
        run(&bytes);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn any_gguf_header_is_an_error_or_a_model() {
    let mut seeds = corpus("gguf_header");
    let tiny =
        support::Tiny { layers: 1, width: 32, heads: 2, key_heads: 1, head_size: 8, feed_forward: 32, vocabulary: 8, ..Default::default() };
    seeds.push(tiny.gguf(1));
    never_panics(seeds, gguf_header::run);
}

#[test]
fn any_tokenizer_json_is_an_error_or_a_tokenizer() {
    let mut seeds = corpus("tokenizer_json");
    seeds.push(support::folder::tokenizer_json().to_string().into_bytes());
    never_panics(seeds, tokenizer_json::run);
}

#[test]
fn any_chat_template_is_an_error_or_a_prompt() {
    let mut seeds = corpus("chat_template");
    seeds.push(b"{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}".to_vec());
    never_panics(seeds, chat_template::run);
}
