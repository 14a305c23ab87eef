//! The files of a model, of whichever kind: what is asked of them is the same.

use super::chat::ChatTemplate;
use super::config::gguf;
use super::cpu::CpuEngine;
#[cfg(feature = "cuda")]
use super::cuda::CudaEngine;
use super::engine::Engine;
use super::folder::ModelFolder;
use super::kernels::{Arena, Matrix};
use super::memory;
use super::metadata;
use super::model::CandleOptions;
#[cfg(feature = "all-models")]
use super::replay::ReplayEngine;
use super::weights::gguf::GgufFile;
use super::weights::{Stored, WeightSource, Weights, vocabulary_size};
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
    pub engine: Box<dyn Engine>,
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

    /// The engine that the options ask for, with the weights of the model.
    pub(super) fn engine(&self, options: &CandleOptions) -> Result<Box<dyn Engine>, LmError> {
        // Before all else: an architecture that cannot be run is the first thing to say.
        let config = match self {
            #[cfg(feature = "all-models")]
            Self::Gguf(file) if ReplayEngine::runs(file) => return Ok(Box::new(ReplayEngine::new(file, &options.device)?)),
            Self::Gguf(file) => gguf::read(file.metadata())?,
            Self::Folder(folder) => folder.config.clone(),
        };
        let (source, pool) = (self.source(), options.pool());
        match options.device.cuda()? {
            None => {
                memory::check(source.memory(), memory::available())?;
                let arena = Arena::default();
                let matrix =
                    |stored: Stored<'_>, rows, columns| Matrix::from_ggml(stored.format, rows, columns, stored.bytes, &arena, &pool);
                let weights = Weights::read(source, &config, &matrix)?;
                Ok(Box::new(CpuEngine::new(config, weights, pool)))
            }
            #[cfg(feature = "cuda")]
            Some(device) => Ok(Box::new(CudaEngine::new(device, config, source, &pool)?)),
            #[cfg(not(feature = "cuda"))]
            Some(never) => match never {},
        }
    }

    /// Everything.
    pub(super) fn read(&self, options: &CandleOptions) -> Result<Parts, LmError> {
        // Neither needs the other, and each takes as long as the other.
        let (tokenizer, engine) = thread::scope(|scope| {
            let tokenizer = scope.spawn(|| self.tokenizer(options.tokenizer.as_deref()));
            let engine = self.engine(options);
            (tokenizer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), engine)
        });
        // What is wrong with the model comes before what is wrong with its tokenizer.
        let (engine, tokenizer) = (engine?, tokenizer?);
        let chat = match self {
            Self::Gguf(file) => metadata::chat_template(file.metadata(), &tokenizer),
            Self::Folder(folder) => folder.chat_template()?,
        };
        Ok(Parts { engine, tokenizer, chat })
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
