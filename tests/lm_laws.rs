//! The laws of [`LanguageModel`], for every implementation: rows equal to the bit whatever the batch, the
//! siblings, the order and the caches.
#![cfg(feature = "candle")]

mod support;

use candle_core::quantized::GgmlDType;
use support::Tiny;
use support::laws::{alone, bits, obeys_the_laws, tokens};
use tamis::lm::LanguageModel;
use tamis::lm::candle::{CandleLm, CandleOptions};
use tamis::vocab::TokenId;

fn options(threads: usize) -> CandleOptions {
    let mut options = CandleOptions::default();
    options.threads = threads;
    options
}

fn load(tiny: &Tiny, threads: usize) -> CandleLm {
    CandleLm::with_vocabulary(tiny.write(7).path(), tiny.vocabulary(), &options(threads)).unwrap()
}

#[test]
fn llama_models_obey_the_laws() {
    obeys_the_laws(|| load(&Tiny::default(), 1));
    obeys_the_laws(|| load(&Tiny::default(), 2));
}

#[test]
fn llama_models_of_other_shapes_and_formats_obey_the_laws() {
    let formats = [GgmlDType::F32, GgmlDType::F16, GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1];
    for format in formats {
        obeys_the_laws(|| load(&Tiny { format, layers: 1, head_size: 16, heads: 4, key_heads: 4, ..Tiny::default() }, 2));
    }
    for format in [GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K] {
        obeys_the_laws(|| load(&Tiny { format, layers: 1, width: 256, ..Tiny::default() }, 1));
    }
}

#[test]
fn models_of_other_families_obey_the_laws() {
    for architecture in ["qwen2", "qwen3"] {
        obeys_the_laws(|| load(&Tiny { architecture, ..Tiny::default() }, 2));
    }
    for window in [5, 16, 40] {
        obeys_the_laws(|| load(&Tiny { architecture: "gemma3", window: Some(window), layers: 7, ..Tiny::default() }, 2));
    }
}

#[cfg(feature = "all-models")]
#[test]
fn models_that_are_replayed_obey_the_laws() {
    let tiny = Tiny { width: 64, heads: 4, key_heads: 2, head_size: 16, ..Tiny::default() };
    let file = support::TempFile::new(&tiny.phi3(7));
    obeys_the_laws(|| CandleLm::with_vocabulary(file.path(), tiny.vocabulary(), &options(1)).unwrap());
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let text = tokens(100, 40, 6);
    let rows: Vec<_> = [1, 2, 3].map(|threads| alone(&mut load(&Tiny::default(), threads), &text, 60)).into();
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[0], rows[2]);
}

#[test]
fn different_histories_give_different_rows() {
    let mut lm = load(&Tiny::default(), 1);
    let text = tokens(60, 40, 8);
    let row = alone(&mut lm, &text, 60);
    for changed in [0, 1, 16, 31, 58, 59] {
        let mut other = text.clone();
        other[changed] = TokenId::new((other[changed].get() + 1) % 40);
        assert_ne!(alone(&mut lm, &other, 60), row, "token {changed} is not seen");
    }
    let mut swapped = text.clone();
    let differing = (1..60).find(|place| text[*place] != text[0]).unwrap();
    swapped.swap(0, differing);
    assert_ne!(alone(&mut lm, &swapped, 60), row, "order is not seen");
}

#[test]
fn a_window_hides_what_is_older() {
    // One windowed layer: position 59 sees only 56 to 59.
    let mut lm = load(&Tiny { architecture: "gemma3", window: Some(4), layers: 1, ..Tiny::default() }, 1);
    let text = tokens(60, 40, 9);
    let row = alone(&mut lm, &text, 60);
    for (changed, seen) in [(0, false), (54, false), (55, false), (56, true), (59, true)] {
        let mut other = text.clone();
        other[changed] = TokenId::new((other[changed].get() + 1) % 40);
        assert_eq!(alone(&mut lm, &other, 60) != row, seen, "token {changed}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_both_numbers() {
    let mut lm = load(&Tiny { context_length: 20, ..Tiny::default() }, 1);
    let error = lm.prefill(&tokens(21, 40, 1)).unwrap_err();
    assert!(error.is_too_long() && error.to_string().contains("21") && error.to_string().contains("20"), "{error}");
    let full = lm.prefill(&tokens(20, 40, 1)).unwrap();
    assert!(lm.extend(&[(full.clone(), TokenId::new(0))]).unwrap_err().is_too_long());
    assert!(lm.prefill(&[TokenId::new(40)]).unwrap_err().to_string().contains("40"));
    assert!(lm.prefill(&[]).is_err());
    let start = lm.prefill(&[TokenId::new(1)]).unwrap();
    assert!(lm.extend(&[(start.clone(), TokenId::new(1000))]).is_err());
    assert!(load(&Tiny::default(), 1).extend(&[(start, TokenId::new(0))]).unwrap_err().to_string().contains("another model"));
    assert!(lm.extend(&[]).unwrap().is_empty());
}

/// Keys and values are bf16, heads of 24 filled up to 32.
fn bytes_of_a_position(tiny: &Tiny) -> usize {
    tiny.layers * 2 * tiny.key_heads * tiny.head_size.next_multiple_of(32) * 2
}

#[test]
fn memory_is_freed_with_the_last_context_and_forks_take_none() {
    let tiny = Tiny::default();
    let mut lm = load(&tiny, 1);
    let position = bytes_of_a_position(&tiny);
    let prompt = lm.prefill(&tokens(35, 40, 1)).unwrap();
    assert_eq!(lm.memory_in_use(), 35 * position);
    let mut particles = vec![prompt.clone(); 8];
    assert_eq!(lm.memory_in_use(), 35 * position);
    for step in 1..=40 {
        let batch: Vec<_> = particles.into_iter().zip(0..8).map(|(context, token)| (context, TokenId::new(token))).collect();
        particles = lm.extend(&batch).unwrap();
        drop(batch);
        // A particle's own tokens; the slots that the prompt ends with are shared until they make a page.
        assert!(lm.memory_in_use() >= (35 + 8 * step) * position && lm.memory_in_use() <= (35 + 8 * (step + 3)) * position);
    }
    particles.truncate(1);
    assert!(lm.memory_in_use() <= (35 + 43) * position);
    drop((particles, prompt));
    // The prompt is remembered.
    assert_eq!(lm.memory_in_use(), 35 * position);
}

#[test]
fn memory_that_may_not_be_taken_is_an_error_that_loses_nothing() {
    let tiny = Tiny::default();
    let position = bytes_of_a_position(&tiny);
    let mut options = options(1);
    options.context_memory = Some(40 * position);
    let mut lm = CandleLm::with_vocabulary(tiny.write(7).path(), tiny.vocabulary(), &options).unwrap();
    let error = lm.prefill(&tokens(41, 40, 1)).unwrap_err();
    assert!(error.is_too_little_memory() && error.to_string().contains(&(40 * position).to_string()), "{error}");
    let prompt = lm.prefill(&tokens(32, 40, 2)).unwrap();
    let batch = |count: u32| -> Vec<_> { (0..count).map(|token| (prompt.clone(), TokenId::new(token))).collect() };
    assert!(lm.extend(&batch(9)).unwrap_err().is_too_little_memory());
    let row = bits(&lm, &prompt);
    assert_eq!(lm.extend(&batch(8)).unwrap().len(), 8);
    assert_eq!(bits(&lm, &prompt), row);
    // Equal pairs are one, and a prompt that nobody holds is forgotten rather than in the way.
    assert_eq!(lm.extend(&vec![(prompt.clone(), TokenId::new(1)); 30]).unwrap().len(), 30);
    drop(prompt);
    assert_eq!(lm.prefill(&tokens(40, 40, 3)).unwrap().depth(), 40);
}
