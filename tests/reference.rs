//! Our rows beside those of candle-transformers, an independent implementation, where it is right.
#![cfg(feature = "all-models")]

mod support;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::io::Cursor;
use support::{TempFile, Tiny, gguf};
use tamis::lm::LanguageModel;
use tamis::lm::candle::{CandleLm, CandleOptions};
use tamis::vocab::TokenId;

/// Log-probabilities agree to this: ours has queries, keys, values and probabilities in bf16 where it attends.
const TOLERANCE: f64 = 0.05;

/// A model in full precision, with the metadata that the other implementation wants.
fn model(architecture: &'static str) -> (Tiny, Vec<u8>) {
    let tiny = Tiny { architecture, format: GgmlDType::F32, width: 64, heads: 4, key_heads: 2, head_size: 16, ..Tiny::default() };
    let mut metadata = tiny.metadata();
    metadata.push((format!("{architecture}.rope.dimension_count"), Value::U32(16)));
    metadata.push((format!("{architecture}.rope.freq_base"), Value::F32(50_000.0)));
    // Full precision: without it, candle's Qwen 3 turns by cosines and sines of f16.
    metadata.push(("general.dtype".into(), Value::U32(0)));
    let bytes = gguf(&metadata, &tiny.tensors(&mut ChaCha8Rng::seed_from_u64(5)));
    (tiny, bytes)
}

/// Compares the rows after each prefix of a text with the logits that `forward(tokens)` gives.
fn agrees(architecture: &'static str, forward: impl Fn(Content, &[u8], &Tensor) -> candle_core::Result<Tensor>) {
    let (tiny, bytes) = model(architecture);
    let mut lm = CandleLm::with_vocabulary(TempFile::new(&bytes).path(), tiny.vocabulary(), &CandleOptions::default()).unwrap();
    let mut largest: f64 = 0.0;
    let text: Vec<u32> = (0..40).map(|i| (i * i + 3 * i) % tiny.vocabulary as u32).collect();
    for length in [1, 2, 17, 40] {
        let content = Content::read(&mut Cursor::new(&bytes)).unwrap();
        let input = Tensor::new(&text[..length], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let logits = forward(content, &bytes, &input).unwrap().to_dtype(DType::F32).unwrap();
        let logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
        let normaliser = logits.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln();
        let tokens: Vec<_> = text[..length].iter().map(|id| TokenId::new(*id)).collect();
        let context = lm.prefill(&tokens).unwrap();
        let row = lm.next_token(&context).unwrap();
        assert_eq!(logits.len(), tiny.vocabulary);
        for (id, logit) in logits.iter().enumerate() {
            let (found, expected) = (row.log_prob(TokenId::new(id as u32)), f64::from(*logit) - normaliser);
            assert!((found - expected).abs() < TOLERANCE, "{architecture}, {length} tokens: {found}, not {expected}");
            largest = largest.max((found - expected).abs());
        }
    }
    println!("{architecture}: log-probabilities differ by at most {largest:.5}");
}

#[test]
fn llama_agrees() {
    agrees("llama", |content, bytes, input| {
        quantized_llama::ModelWeights::from_gguf(content, &mut Cursor::new(bytes), &Device::Cpu)?.forward(input, 0)
    });
}

#[test]
fn qwen_2_agrees() {
    agrees("qwen2", |content, bytes, input| {
        quantized_qwen2::ModelWeights::from_gguf(content, &mut Cursor::new(bytes), &Device::Cpu)?.forward(input, 0)
    });
}

#[test]
fn qwen_3_agrees() {
    agrees("qwen3", |content, bytes, input| {
        quantized_qwen3::ModelWeights::from_gguf(content, &mut Cursor::new(bytes), &Device::Cpu)?.forward(input, 0)
    });
}

#[test]
fn a_replayed_model_refuses_what_it_does_not_run() {
    let tiny = Tiny { width: 64, heads: 4, key_heads: 2, head_size: 16, ..Tiny::default() };
    let load = |bytes: &[u8]| CandleLm::with_vocabulary(TempFile::new(bytes).path(), tiny.vocabulary(), &CandleOptions::default());
    let other = Tiny { vocabulary: 41, ..tiny.clone() };
    assert!(load(&other.phi3(1)).unwrap_err().to_string().contains("41"));
    let mut lm = load(&tiny.phi3(1)).unwrap();
    assert!(lm.prefill(&[TokenId::new(0); 201]).unwrap_err().is_too_long());
    assert!(lm.prefill(&[TokenId::new(40)]).unwrap_err().to_string().contains("40"));
    assert!(lm.prefill(&[]).is_err());
}
