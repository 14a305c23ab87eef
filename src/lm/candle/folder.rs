//! A folder in Hugging Face's layout: `config.json`, safetensors, `tokenizer.json` and what stands beside.

use super::chat::ChatTemplate;
use super::config::{Config, hugging_face};
use super::weights::safetensors::SafetensorsFiles;
use crate::lm::LmError;
use crate::vocab::tokenizer::EndTokens;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A model's folder, its weights mapped.
pub(super) struct ModelFolder {
    path: PathBuf,
    pub config: Config,
    pub weights: SafetensorsFiles,
    /// `config.json`, `generation_config.json` and `tokenizer_config.json`; null where there is none.
    settings: [Value; 3],
}

/// The list of a model's parts, where it has several.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// All files of a folder that are read, besides the weights.
#[cfg(feature = "hub")]
pub(super) const FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    INDEX,
];

impl ModelFolder {
    /// Reads what the folder at `path` says of its model, and maps its weights.
    pub(super) fn open(path: &Path) -> Result<Self, LmError> {
        let text = read(path, "config.json")?.ok_or_else(|| {
            LmError::not_found(format!(
                "the folder {} has no config.json; give a folder with config.json, *.safetensors and tokenizer.json, or a GGUF file",
                path.display()
            ))
        })?;
        let config = hugging_face::read(&text)?;
        let weights = SafetensorsFiles::open(&weight_files(path)?, config.output_norms)?;
        let settings = [json(path, "config.json")?, json(path, "generation_config.json")?, json(path, "tokenizer_config.json")?]
            .map(Option::unwrap_or_default);
        Ok(Self { path: path.to_owned(), config, weights, settings })
    }

    /// The text of its `tokenizer.json`.
    pub(super) fn tokenizer_json(&self) -> Result<Vec<u8>, LmError> {
        read(&self.path, "tokenizer.json")?.ok_or_else(|| {
            LmError::not_found(format!(
                "the folder {} has no tokenizer.json; give one with --tokenizer PATH (other kinds of tokenizers are not read from folders)",
                self.path.display()
            ))
        })
    }

    /// The tokens that end a text: all that any of the settings names.
    pub(super) fn ends(&self) -> EndTokens {
        let [config, generation, tokenizer] = &self.settings;
        let text = config.get("text_config").unwrap_or(&Value::Null);
        let named = [config, text, generation].into_iter().filter_map(|settings| settings.get("eos_token_id"));
        let ids = named.flat_map(|id| match id {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        });
        let ids = ids.filter_map(|id| id.as_u64()?.try_into().ok()).collect();
        EndTokens { ids, spellings: spelling(tokenizer, "eos_token").into_iter().collect() }
    }

    /// Its chat template, if it has one.
    pub(super) fn chat_template(&self) -> Result<Option<ChatTemplate>, LmError> {
        let [_, _, tokenizer] = &self.settings;
        let source = match read(&self.path, "chat_template.jinja")? {
            Some(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            None => template(tokenizer).or_else(|| template(&json(&self.path, "chat_template.json").ok()??)),
        };
        let spelled = |token| spelling(tokenizer, token).unwrap_or_default();
        Ok(source.map(|source| ChatTemplate::new(source, spelled("bos_token"), spelled("eos_token"))))
    }
}

/// The template in `settings`: alone, or the one called `default` among several.
fn template(settings: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match settings.get("chat_template")? {
        Value::Array(named) => text(named.iter().find(|entry| entry["name"] == "default")?.get("template")?),
        one => text(one),
    }
}

/// How `settings` spell a special token: as a text, or an object around it.
fn spelling(settings: &Value, token: &str) -> Option<String> {
    let token = settings.get(token)?;
    token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
}

/// The files that hold the model in the folder at `path`.
pub(super) fn weight_files(path: &Path) -> Result<Vec<PathBuf>, LmError> {
    let mut names: Vec<String> = match json(path, INDEX)? {
        Some(index) => {
            let map = index.get("weight_map").and_then(Value::as_object);
            let map = map.ok_or_else(|| LmError::corrupt(format!("{INDEX} in {} has no weight_map", path.display())))?;
            let names: Option<Vec<_>> = map.values().map(|name| name.as_str().map(str::to_owned)).collect();
            names.ok_or_else(|| LmError::corrupt(format!("the weight_map of {INDEX} in {} does not name files", path.display())))?
        }
        None if path.join("model.safetensors").is_file() => vec!["model.safetensors".into()],
        None => {
            let entries = fs::read_dir(path).map_err(|error| unreadable(path, error))?;
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.filter(|name| name.ends_with(".safetensors")).collect()
        }
    };
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(LmError::not_found(format!("the folder {} has a config.json, but no *.safetensors", path.display())));
    }
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

fn unreadable(path: &Path, error: io::Error) -> LmError {
    LmError::not_found(format!("cannot read {}", path.display())).caused_by(error)
}

/// The bytes of a file of the folder; `None` where there is none.
fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, LmError> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, error)),
    }
}

fn json(folder: &Path, name: &str) -> Result<Option<Value>, LmError> {
    let Some(bytes) = read(folder, name)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| LmError::corrupt(format!("{} is no JSON", folder.join(name).display())).caused_by(error))
}
