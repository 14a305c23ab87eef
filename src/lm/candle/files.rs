//! The files of a model, of whichever kind: what is asked of them is the same.

use super::chat::ChatTemplate;
use super::config::{Config, gguf};
use super::folder::ModelFolder;
use super::kernels::Pool;
use super::memory;
use super::metadata;
use super::weights::gguf::GgufFile;
use super::weights::{WeightSource, Weights, vocabulary_size};
use crate::lm::LmError;
use crate::vocab::tokenizer::Tokenizer;
use std::fs;
use std::path::Path;
use std::thread;

/// A model's files, mapped.
pub(super) enum ModelFiles {
    Gguf(Box<GgufFile>),
    Folder(Box<ModelFolder>),
}

/// A model read from its files.
pub(super) struct Parts {
    pub config: Config,
    pub weights: Weights,
    pub tokenizer: Tokenizer,
    pub chat: Option<ChatTemplate>,
}

impl ModelFiles {
    /// Maps the GGUF file, or the files of the folder, at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, LmError> {
        Ok(match path.is_dir() {
            true => Self::Folder(Box::new(ModelFolder::open(path)?)),
            false => Self::Gguf(Box::new(GgufFile::open(path)?)),
        })
    }

    /// The shape of the model.
    pub(super) fn config(&self) -> Result<Config, LmError> {
        match self {
            Self::Gguf(file) => gguf::read(file.metadata()),
            Self::Folder(folder) => Ok(folder.config.clone()),
        }
    }

    /// The weights of a model of this shape, if they fit into memory.
    pub(super) fn weights(&self, config: &Config, pool: &Pool) -> Result<Weights, LmError> {
        let source = self.source();
        memory::check(source.memory(), memory::available())?;
        Weights::read(source, config, pool)
    }

    /// Everything; the tokenizer from `tokenizer` (a `tokenizer.json`, or a folder with one) where that is
    /// given.
    pub(super) fn read(&self, tokenizer: Option<&Path>, pool: &Pool) -> Result<Parts, LmError> {
        // Before all else: an architecture that cannot be run is the first thing to say.
        let config = self.config()?;
        // Neither needs the other, and each takes as long as the other.
        let (tokenizer, weights) = thread::scope(|scope| {
            let tokenizer = scope.spawn(|| self.tokenizer(tokenizer));
            let weights = self.weights(&config, pool);
            (tokenizer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), weights)
        });
        let (weights, tokenizer) = (weights?, tokenizer?);
        let chat = match self {
            Self::Gguf(file) => metadata::chat_template(file.metadata(), &tokenizer),
            Self::Folder(folder) => folder.chat_template()?,
        };
        Ok(Parts { config, weights, tokenizer, chat })
    }

    fn source(&self) -> &dyn WeightSource {
        match self {
            Self::Gguf(file) => &**file,
            Self::Folder(folder) => &folder.weights,
        }
    }

    fn tokenizer(&self, path: Option<&Path>) -> Result<Tokenizer, LmError> {
        let json = match (path, self) {
            (None, Self::Gguf(file)) => return metadata::tokenizer(file.metadata()),
            (None, Self::Folder(folder)) => folder.tokenizer_json()?,
            (Some(path), _) => {
                let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
                fs::read(&file)
                    .map_err(|error| LmError::not_found(format!("cannot read the tokenizer {}", file.display())).caused_by(error))?
            }
        };
        let ends = match self {
            Self::Gguf(file) => metadata::ends(file.metadata()),
            Self::Folder(folder) => folder.ends(),
        };
        let tokenizer = Tokenizer::from_json(&json, vocabulary_size(self.source())?, &ends);
        tokenizer.map_err(|error| LmError::unsupported("the model's tokenizer cannot be used").caused_by(error))
    }
}
