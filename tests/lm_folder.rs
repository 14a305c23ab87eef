//! Models from folders of safetensors: the rows of the GGUF file with the same weights, and folders that
//! are broken.
#![cfg(feature = "candle")]

mod support;

use candle_core::quantized::GgmlDType;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use std::fs;
use support::folder::{Plain, TempFolder, Tensors, safetensors, tokenizer_json};
use support::{TempFile, Tiny};
use tamis::lm::candle::{CandleLm, CandleOptions};
use tamis::lm::{LanguageModel, LmError};
use tamis::vocab::TokenId;

fn plain() -> Tiny {
    Tiny { format: GgmlDType::F32, ..Tiny::default() }
}

fn load(folder: &TempFolder, tiny: &Tiny) -> Result<CandleLm, LmError> {
    CandleLm::with_vocabulary(folder.path(), tiny.vocabulary(), &CandleOptions::default())
}

/// The log-probabilities after a text of some length, token by token from its middle on.
fn rows(mut lm: CandleLm) -> Vec<f64> {
    let size = lm.vocabulary().len() as u32;
    let text: Vec<_> = (0..60).map(|i| TokenId::new((i * i + 7 * i) % size)).collect();
    let mut context = lm.prefill(&text[..30]).unwrap();
    let mut rows = Vec::new();
    for token in &text[30..] {
        context = lm.extend(&[(context, *token)]).unwrap().remove(0);
        let row = lm.next_token(&context).unwrap();
        rows.extend(lm.vocabulary().tokens().map(|token| row.log_prob(token)));
    }
    rows
}

fn agree(tiny: &Tiny, folder: &TempFolder, tolerance: f64) {
    let expected = rows(CandleLm::with_vocabulary(tiny.write(3).path(), tiny.vocabulary(), &CandleOptions::default()).unwrap());
    let found = rows(load(folder, tiny).unwrap());
    let largest = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest <= tolerance, "{}: {largest}", tiny.architecture);
}

#[test]
fn a_folder_gives_the_rows_of_the_gguf_file_with_the_same_weights() {
    for format in [GgmlDType::F32, GgmlDType::BF16, GgmlDType::F16] {
        for architecture in ["qwen2", "qwen3"] {
            let tiny = Tiny { architecture, format, ..plain() };
            agree(&tiny, &tiny.folder(3), 0.0);
        }
        let tiny = Tiny { architecture: "gemma3", format, layers: 7, window: Some(9), ..plain() };
        agree(&tiny, &tiny.folder(3), 0.0);
        // The rows of llama's queries and keys stand in another order, so that sums over them are rounded otherwise,
        // and a few of the numbers that are then rounded to bf16.
        let tiny = Tiny { format, ..plain() };
        agree(&tiny, &tiny.folder(3), 0.01);
    }
}

#[test]
fn mistral_is_a_llama_with_a_window() {
    let tiny = plain();
    let folder = tiny.folder(3);
    let mut config = tiny.config_json();
    config["model_type"] = json!("mistral");
    folder.write("config.json", config.to_string());
    agree(&tiny, &folder, 0.01);
    config["sliding_window"] = json!(8);
    folder.write("config.json", config.to_string());
    assert_ne!(rows(load(&folder, &tiny).unwrap()), rows(load(&tiny.folder(3), &tiny).unwrap()));
}

#[test]
fn weights_in_several_files_are_one_model() {
    let tiny = Tiny { architecture: "qwen3", ..plain() };
    let folder = tiny.folder(3);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let (mut parts, mut places) = ([Tensors::new(), Tensors::new()], serde_json::Map::new());
    for (number, (name, tensor)) in tiny.plain_tensors(3).into_iter().enumerate() {
        places.insert(name.clone(), json!(format!("model-{}.safetensors", number % 2)));
        parts[number % 2].insert(name, tensor);
    }
    for (number, part) in parts.iter().enumerate() {
        folder.write(&format!("model-{number}.safetensors"), safetensors(part));
    }
    agree(&tiny, &folder, 0.0);
    // A file that the index does not name is no part of the model.
    folder.write("model.safetensors.index.json", json!({"metadata": {}, "weight_map": places}).to_string());
    folder.write("consolidated.safetensors", safetensors(&parts[0]));
    agree(&tiny, &folder, 0.0);
    fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    assert!(load(&folder, &tiny).unwrap_err().to_string().contains("twice"));
}

#[test]
fn the_text_model_of_one_that_sees_is_run_alone() {
    let tiny = Tiny { architecture: "gemma3", layers: 7, window: Some(9), ..plain() };
    let folder = tiny.folder(3);
    folder.write("config.json", json!({"model_type": "gemma3", "text_config": tiny.config_json()}).to_string());
    for (prefix, other) in
        [("language_model.model.", "vision_tower.x"), ("model.language_model.", "model.vision_tower.x"), ("", "multi_modal_projector.x")]
    {
        let renamed = |(name, tensor): (String, Plain)| (name.replacen("model.", prefix, 1), tensor);
        let mut tensors: Tensors = tiny.plain_tensors(3).into_iter().map(renamed).collect();
        tensors.insert(other.into(), Plain { dtype: Dtype::U8, shape: vec![1], bytes: vec![0] });
        folder.write("model.safetensors", safetensors(&tensors));
        agree(&tiny, &folder, 0.0);
    }
}

#[test]
fn a_head_of_its_own_is_used_where_the_configuration_says_so() {
    let tiny = plain();
    let mut tensors = tiny.plain_tensors(3);
    let mut head = tensors["model.embed_tokens.weight"].clone();
    head.bytes.as_chunks_mut::<4>().0.reverse();
    tensors.insert("lm_head.weight".into(), head);
    let folder = tiny.folder(3);
    folder.write("model.safetensors", safetensors(&tensors));
    agree(&tiny, &folder, 0.01);
    let mut config = tiny.config_json();
    config["tie_word_embeddings"] = json!(false);
    folder.write("config.json", config.to_string());
    assert_ne!(rows(load(&folder, &tiny).unwrap()), rows(load(&tiny.folder(3), &tiny).unwrap()));
    let without = tiny.folder(3);
    without.write("config.json", config.to_string());
    assert!(load(&without, &tiny).unwrap_err().to_string().contains("lm_head.weight"));
}

/// A folder with a tokenizer of bytes, and embeddings for some tokens more.
fn with_tokenizer() -> (Tiny, TempFolder) {
    let tiny = Tiny { vocabulary: 264, ..plain() };
    let folder = tiny.folder(1);
    folder.write("tokenizer.json", tokenizer_json().to_string());
    (tiny, folder)
}

#[test]
fn a_folder_brings_its_tokenizer_its_template_and_its_ends() {
    let (_, folder) = with_tokenizer();
    let lm = CandleLm::load(folder.path()).unwrap();
    assert_eq!(lm.raw_prompt("Hi").unwrap(), [TokenId::new(u32::from(b'H')), TokenId::new(u32::from(b'i'))]);
    assert!(lm.chat_prompt("Hi").unwrap_err().to_string().contains("chat template"));
    assert_eq!(lm.vocabulary().ends(), [TokenId::new(257)]);
    let template = "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}{% endfor %}";
    folder.write("generation_config.json", json!({"eos_token_id": [257, 256]}).to_string());
    let mut settings = json!({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "chat_template": template});
    let chat = |settings: &Value| {
        folder.write("tokenizer_config.json", settings.to_string());
        let lm = CandleLm::load(folder.path()).unwrap();
        assert_eq!(lm.vocabulary().ends(), [256, 257].map(TokenId::new));
        let tokens = lm.chat_prompt("Hi").unwrap();
        tokens.iter().map(|token| token.get()).collect::<Vec<_>>()
    };
    let expected: Vec<u32> = [256].into_iter().chain("user:Hi".bytes().map(u32::from)).chain([257]).collect();
    assert_eq!(chat(&settings), expected);
    settings["chat_template"] = json!([{"name": "tool_use", "template": "x"}, {"name": "default", "template": template}]);
    assert_eq!(chat(&settings), expected);
    // A template in a file of its own comes first.
    folder.write("chat_template.jinja", "x");
    assert_eq!(chat(&settings), [u32::from(b'x')]);
}

#[test]
fn a_tokenizer_given_by_path_replaces_the_model_s_own() {
    let (tiny, folder) = with_tokenizer();
    let file = TempFile::new(&tiny.gguf(1));
    let error = CandleLm::load(file.path()).unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("--tokenizer"), "{error}");
    let mut options = CandleOptions::default();
    for path in [folder.path().to_owned(), folder.path().join("tokenizer.json")] {
        options.tokenizer = Some(path);
        let lm = CandleLm::load_with(file.path(), &options).unwrap();
        assert_eq!(lm.raw_prompt("<|im_end|>").unwrap(), [TokenId::new(257)]);
        assert_eq!(lm.vocabulary().len(), 264);
    }
    options.tokenizer = Some("/no/such/tokenizer.json".into());
    let error = CandleLm::load_with(file.path(), &options).unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("/no/such/tokenizer.json"), "{error}");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(CandleLm::load(folder.path()).unwrap_err().to_string().contains("--tokenizer"));
}

#[test]
fn a_folder_that_is_no_model_is_refused_with_what_it_lacks() {
    let (tiny, empty) = (plain(), TempFolder::new());
    assert!(load(&empty, &tiny).unwrap_err().to_string().contains("config.json"));
    empty.write("config.json", tiny.config_json().to_string());
    let error = load(&empty, &tiny).unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("safetensors"), "{error}");
    empty.write("model.safetensors", safetensors(&Tensors::new()));
    assert!(load(&empty, &tiny).unwrap_err().to_string().contains("embed_tokens"));
    empty.write("model.safetensors.index.json", "{}");
    assert!(load(&empty, &tiny).unwrap_err().to_string().contains("weight_map"));
}

#[test]
fn tensors_that_do_not_fit_are_named_as_the_files_name_them() {
    let tiny = plain();
    let refused = |change: &dyn Fn(&mut Tensors)| {
        let (folder, mut tensors) = (tiny.folder(3), tiny.plain_tensors(3));
        change(&mut tensors);
        folder.write("model.safetensors", safetensors(&tensors));
        load(&folder, &tiny).unwrap_err()
    };
    let part = "model.layers.1.mlp.up_proj.weight";
    let error = refused(&|tensors| drop(tensors.remove(part)));
    assert!(error.is_corrupt() && error.to_string().contains(part), "{error}");
    let error = refused(&|tensors| tensors.get_mut(part).unwrap().shape.reverse());
    assert!(error.is_corrupt() && error.to_string().contains(part) && error.to_string().contains("[64, 96]"), "{error}");
    let error = refused(&|tensors| tensors.get_mut(part).unwrap().bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes()));
    assert!(error.is_corrupt() && error.to_string().contains(part) && error.to_string().contains("NaN"), "{error}");
    let error = refused(&|tensors| tensors.get_mut(part).unwrap().dtype = Dtype::I32);
    assert!(error.is_unsupported() && error.to_string().contains(part) && error.to_string().contains("BF16"), "{error}");
    // A bias that the forward pass would leave out.
    let bias = "model.layers.0.self_attn.o_proj.bias";
    let error = refused(&|tensors| drop(tensors.insert(bias.into(), Plain { dtype: Dtype::F32, shape: vec![1], bytes: vec![0; 4] })));
    assert!(error.is_unsupported() && error.to_string().contains(bias), "{error}");
}

#[test]
fn a_truncated_file_of_weights_is_an_error() {
    let tiny = plain();
    let (folder, whole) = (tiny.folder(3), safetensors(&tiny.plain_tensors(3)));
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        folder.write("model.safetensors", &whole[..length]);
        let error = load(&folder, &tiny).unwrap_err();
        assert!(error.is_corrupt(), "{length} bytes: {error}");
    }
}
