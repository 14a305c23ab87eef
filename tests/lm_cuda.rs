//! The engine on a GPU: the laws, and its rows beside those of the CPU. Without a GPU each test says that it is
//! skipped; `TAMIS_TEST_CUDA=1` makes that a failure.
#![cfg(feature = "cuda")]

mod support;

use candle_core::quantized::GgmlDType;
use support::laws::{alone, bits, obeys_the_laws, tokens};
use support::llama_cpp::agrees_with_llama_cpp;
use support::{Tiny, plain_vocabulary, real_model};
use tamis::lm::candle::{CandleLm, CandleOptions, Device};
use tamis::lm::{LanguageModel, LmError};
use tamis::vocab::TokenId;

fn options(device: Device) -> CandleOptions {
    let mut options = CandleOptions::default();
    options.device = device;
    options
}

fn load(tiny: &Tiny, device: Device) -> Result<CandleLm, LmError> {
    CandleLm::with_vocabulary(tiny.write(7).path(), tiny.vocabulary(), &options(device))
}

/// Whether there is a GPU.
fn gpu() -> bool {
    let error = match load(&small(), Device::Cuda(0)) {
        Ok(lm) => {
            println!("on {}", lm.device());
            return true;
        }
        Err(error) => error,
    };
    assert!(error.is_not_found() && std::env::var_os("TAMIS_TEST_CUDA").is_none(), "{error}");
    println!("skipped: {error}");
    false
}

/// A model that a GPU runs: its inputs come in pieces of 32.
fn small() -> Tiny {
    Tiny { width: 64, heads: 4, key_heads: 2, head_size: 32, feed_forward: 96, ..Tiny::default() }
}

#[test]
fn models_on_a_gpu_obey_the_laws() {
    if !gpu() {
        return;
    }
    let on_gpu = |tiny: Tiny| obeys_the_laws(|| load(&tiny, Device::Cuda(0)).unwrap());
    on_gpu(small());
    on_gpu(Tiny { vocabulary: 700, format: GgmlDType::F16, head_size: 16, heads: 6, ..small() });
    on_gpu(Tiny { vocabulary: 5000, format: GgmlDType::Q4_1, head_size: 128, heads: 2, key_heads: 1, ..small() });
    for architecture in ["qwen2", "qwen3"] {
        on_gpu(Tiny { architecture, ..small() });
    }
    for window in [5, 16, 40] {
        on_gpu(Tiny { architecture: "gemma3", window: Some(window), layers: 7, ..small() });
    }
}

/// Weights of f16 are the same on both; keys and values are f16 on the GPU, and bf16, with three bits less, on the
/// CPU.
#[test]
fn rows_of_a_gpu_are_those_of_the_cpu() {
    if !gpu() {
        return;
    }
    let mut worst: f64 = 0.0;
    for architecture in ["llama", "qwen2", "qwen3", "gemma3"] {
        let window = (architecture == "gemma3").then_some(16);
        let tiny = Tiny { architecture, window, vocabulary: 700, format: GgmlDType::F16, ..small() };
        let text = tokens(90, 700, 3);
        let rows = [Device::Cpu, Device::Cuda(0)].map(|device| alone(&mut load(&tiny, device).unwrap(), &text, 60));
        let [cpu, gpu] = rows.map(|row| row.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        let difference = cpu.iter().zip(&gpu).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{architecture}: log-probabilities differ by at most {difference:.5}");
        worst = worst.max(difference);
    }
    assert!(worst < 0.1, "{worst}");
}

/// What the device sums up is what the host makes of the same logits, to the bit.
#[test]
fn a_row_summed_on_the_gpu_has_the_bits_of_one_summed_here() {
    if !gpu() {
        return;
    }
    for vocabulary in [40, 255, 256, 257, 700, 5000, 70_000] {
        let tiny = Tiny { vocabulary, ..small() };
        let mut lm = load(&tiny, Device::Cuda(0)).unwrap();
        let root = lm.prefill(&tokens(20, vocabulary, 1)).unwrap();
        let batch: Vec<_> = (0..5).map(|token| (root.clone(), TokenId::new(token))).collect();
        for context in lm.extend(&batch).unwrap() {
            let row = lm.next_token(&context).unwrap();
            let fetched = row.fetched().unwrap();
            assert_eq!(row.entropy().to_bits(), fetched.entropy().to_bits());
            assert_eq!(row.walk().largest(), fetched.walk().largest());
            for position in [0.0, 0.1, 0.5, 0.9, 0.999_999] {
                assert_eq!(row.walk().at(position), fetched.walk().at(position));
            }
            assert_eq!(row.top(50), fetched.top(50));
            assert!(row.probs().map(f64::to_bits).eq(fetched.probs().map(f64::to_bits)));
        }
    }
}

#[test]
fn memory_of_pages_and_rows_is_counted_and_given_back() {
    if !gpu() {
        return;
    }
    let tiny = small();
    let mut lm = load(&tiny, Device::Cuda(0)).unwrap();
    let page = tiny.layers * 2 * tiny.key_heads * tiny.head_size * 2 * 16;
    let row = tiny.vocabulary * 4;
    let prompt = lm.prefill(&tokens(35, 40, 1)).unwrap();
    assert_eq!(lm.memory_in_use(), 3 * page + row);
    // The first goes on in the prompt's page; the others take a copy of it.
    let batch: Vec<_> = (0..8).map(|token| (prompt.clone(), TokenId::new(token))).collect();
    let particles = lm.extend(&batch).unwrap();
    assert_eq!(lm.memory_in_use(), (3 + 7) * page + 9 * row);
    let before = bits(&lm, &prompt);
    drop(particles);
    assert_eq!(lm.memory_in_use(), 3 * page + row);
    assert_eq!(bits(&lm, &prompt), before);
    let mut limited = options(Device::Cuda(0));
    limited.context_memory = Some(3 * page + row);
    let mut lm = CandleLm::with_vocabulary(tiny.write(7).path(), tiny.vocabulary(), &limited).unwrap();
    let prompt = lm.prefill(&tokens(35, 40, 1)).unwrap();
    assert!(lm.extend(&[(prompt, TokenId::new(1))]).unwrap_err().is_too_little_memory());
}

#[test]
fn what_a_gpu_does_not_run_is_an_error() {
    if !gpu() {
        return;
    }
    let error = load(&Tiny { head_size: 24, ..small() }, Device::Cuda(0)).unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("24"), "{error}");
    let error = load(&small(), Device::Cuda(99)).unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("99"), "{error}");
}

#[test]
fn smollm2_on_a_gpu_agrees_with_llama_cpp() {
    if !gpu() {
        return;
    }
    let Some(path) = real_model() else { return };
    let lm = CandleLm::with_vocabulary(&path, plain_vocabulary(49152), &options(Device::Cuda(0))).unwrap();
    agrees_with_llama_cpp("smollm2-135m", lm, 0.5);
}

#[test]
fn without_a_gpu_auto_is_the_cpu_and_cuda_an_error() {
    let tiny = small();
    let auto = load(&tiny, Device::Auto).unwrap();
    match load(&tiny, Device::Cuda(0)) {
        Ok(lm) => assert_eq!(auto.device(), lm.device()),
        Err(error) => {
            assert!(error.is_not_found(), "{error}");
            assert_eq!(auto.device(), "CPU");
        }
    }
}
