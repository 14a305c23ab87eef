//! Fetching models from the hub, into the cache that it shares with Python.

use super::folder::{self, FILES};
use crate::lm::LmError;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use std::fs;
use std::path::{Path, PathBuf};

/// What to do when a model cannot be had.
const ADVICE: &str = "check the name and the connection, or fetch the model yourself and give --model PATH";

/// A model on the hub.
#[derive(Clone, Debug)]
pub(super) struct HubModel {
    /// `owner/name`.
    pub repository: String,
    pub revision: Option<String>,
    /// A GGUF file, or a part of its name.
    pub file: Option<String>,
}

impl HubModel {
    fn repo(&self) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, self.revision().to_owned())
    }

    fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The path of its GGUF file or folder, if it is in the cache whole.
    pub(super) fn cached(&self, cache: &Cache) -> Option<PathBuf> {
        let folder = snapshot(cache, &self.repo())?;
        let names: Vec<String> =
            fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        match self.choose(names.iter().map(String::as_str)).ok()? {
            Some(name) => Some(folder.join(name)),
            None => folder_is_whole(&folder).then_some(folder),
        }
    }

    /// The path of its GGUF file or folder, which is fetched first where it is not in the cache.
    pub(super) fn fetch(&self) -> Result<PathBuf, LmError> {
        if let Some(path) = self.cached(&Cache::from_env()) {
            return Ok(path);
        }
        let repository = &self.repository;
        if std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value != "0") {
            return Err(LmError::not_found(format!(
                "{repository} is not in the hub's cache, and HF_HUB_OFFLINE forbids asking for it; {ADVICE}"
            )));
        }
        let failed = |what: &str, error: ApiError| {
            let revision = self.revision();
            LmError::not_found(format!("{what} of {repository} (revision {revision}) could not be had from the hub; {ADVICE}"))
                .caused_by(error)
        };
        let api = ApiBuilder::from_env().build().map_err(|error| failed("the files", error))?.repo(self.repo());
        let files = api.info().map_err(|error| failed("the list of files", error))?.siblings;
        let names: Vec<&str> = files.iter().map(|file| file.rfilename.as_str()).collect();
        let get = |name: &str| api.get(name).map_err(|error| failed(name, error));
        if let Some(name) = self.choose(names.iter().copied())? {
            return get(name);
        }
        for name in names.iter().filter(|name| FILES.contains(name)) {
            get(name)?;
        }
        let config = get("config.json")?;
        let folder = config.parent().unwrap_or(Path::new("."));
        // The index says which files hold the model; without one all do.
        if folder.join(folder::INDEX).is_file() {
            for path in folder::weight_files(folder)? {
                get(&path.file_name().unwrap_or_default().to_string_lossy())?;
            }
        } else {
            let whole = names.contains(&"model.safetensors");
            let weights =
                |name: &&&str| if whole { **name == "model.safetensors" } else { name.ends_with(".safetensors") && !name.contains('/') };
            for name in names.iter().filter(weights) {
                get(name)?;
            }
        }
        Ok(folder.to_owned())
    }

    /// Which of the files is meant: a GGUF file, or with `None` the folder as it is.
    fn choose<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, LmError> {
        let (repository, names) = (&self.repository, names.collect::<Vec<_>>());
        let gguf: Vec<&str> = names.iter().copied().filter(|name| name.ends_with(".gguf")).collect();
        let meant = |name: &&&str| match &self.file {
            Some(file) => **name == file || name.to_lowercase().contains(&file.to_lowercase()),
            None => true,
        };
        match gguf.iter().filter(meant).collect::<Vec<_>>()[..] {
            [name] => Ok(Some(name)),
            [] if self.file.is_none() && names.contains(&"config.json") => Ok(None),
            [] => Err(LmError::not_found(format!("{repository} holds no such GGUF file; it holds {}", listed(&gguf)))),
            _ => Err(LmError::not_found(format!("{repository} holds several GGUF files; say which after a colon: {}", listed(&gguf)))),
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
}

/// The folder of a repository's files in the cache.
fn snapshot(cache: &Cache, repo: &Repo) -> Option<PathBuf> {
    let folder = cache.path().join(repo.folder_name());
    let commit = fs::read_to_string(folder.join("refs").join(repo.revision()));
    // A revision may be a commit itself.
    let commit = commit.unwrap_or_else(|_| repo.revision().to_owned());
    Some(folder.join("snapshots").join(commit.trim())).filter(|folder| folder.is_dir())
}

fn folder_is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    let weights = folder::weight_files(folder);
    has("config.json") && has("tokenizer.json") && weights.is_ok_and(|files| files.iter().all(|file| file.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(file: Option<&str>) -> HubModel {
        HubModel { repository: "owner/name".into(), revision: None, file: file.map(str::to_owned) }
    }

    /// A cache that holds these files of owner/name.
    fn cache(name: &str, files: &[(&str, &str)]) -> (PathBuf, Cache) {
        let root = std::env::temp_dir().join(format!("tamis-hub-{name}-{}", std::process::id()));
        let repository = root.join("models--owner--name");
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "abc123").unwrap();
        fs::create_dir_all(repository.join("snapshots/abc123")).unwrap();
        for (file, text) in files {
            fs::write(repository.join("snapshots/abc123").join(file), text).unwrap();
        }
        (root.clone(), Cache::new(root))
    }

    #[test]
    fn a_cached_file_is_found_by_name_or_quantisation() {
        let (root, cache) = cache("file", &[("m-Q4_K_M.gguf", ""), ("m-Q8_0.gguf", "")]);
        let found = |file| model(file).cached(&cache).map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(found(Some("q8_0")).as_deref(), Some("m-Q8_0.gguf"));
        assert_eq!(found(Some("m-Q4_K_M.gguf")).as_deref(), Some("m-Q4_K_M.gguf"));
        assert_eq!((found(None), found(Some("Q2"))), (None, None));
        let other = HubModel { revision: Some("v2".into()), ..model(Some("q8_0")) };
        assert_eq!(other.cached(&cache), None);
        let commit = HubModel { revision: Some("abc123".into()), ..model(Some("q8_0")) };
        assert!(commit.cached(&cache).is_some());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_cached_folder_is_taken_when_it_is_whole() {
        let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
        let files = [("config.json", "{}"), ("tokenizer.json", "{}"), (folder::INDEX, index), ("model-1.safetensors", "")];
        let (root, cache) = cache("folder", &files);
        assert_eq!(model(None).cached(&cache), None);
        let snapshot = root.join("models--owner--name/snapshots/abc123");
        fs::write(snapshot.join("model-2.safetensors"), "").unwrap();
        assert_eq!(model(None).cached(&cache), Some(snapshot));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn which_file_is_meant_must_be_said_where_there_are_several() {
        let choose = |file, names: &[&'static str]| model(file).choose(names.iter().copied());
        assert!(choose(None, &["a.gguf", "b.gguf"]).unwrap_err().to_string().contains("a.gguf, b.gguf"));
        assert!(choose(Some("Q9"), &["a.gguf", "config.json"]).unwrap_err().to_string().contains("a.gguf"));
        assert!(choose(None, &["README.md"]).unwrap_err().to_string().contains("none at all"));
        assert_eq!(choose(None, &["config.json", "model.safetensors"]).unwrap(), None);
    }
}
