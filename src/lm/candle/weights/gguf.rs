//! A GGUF file, mapped and checked.
//!
//! The header is read by candle over the mapping.

use super::{SUPPORTED, Stored, WeightSource};
use crate::lm::LmError;
use crate::lm::candle::mapped;
use candle_core::quantized::gguf_file::{Content, Value};
use memmap2::Mmap;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// A mapped GGUF file.
pub(in crate::lm::candle) struct GgufFile {
    map: Mmap,
    content: Content,
}

impl GgufFile {
    /// Maps `path` and reads its header.
    pub(in crate::lm::candle) fn open(path: &Path) -> Result<Self, LmError> {
        let map = mapped::map(path)?;
        let content = Content::read(&mut HeaderReader { bytes: Cursor::new(&map), value: Watched::Nothing }).map_err(|error| {
            let (shown, message) = (path.display(), error.to_string());
            // Candle gives no kinds of errors; this text is pinned by a test.
            if message.contains("unknown dtype") {
                LmError::unsupported(format!("{shown} stores weights in a format that tamis does not read ({SUPPORTED}): {message}"))
            } else {
                LmError::corrupt(format!("{shown} is not a whole GGUF file; fetch it again: {message}"))
            }
        })?;
        Ok(Self { map, content })
    }

    /// The header, read once more, and the bytes of the whole file.
    #[cfg(feature = "all-models")]
    pub(in crate::lm::candle) fn read_again(&self) -> Result<(Content, &[u8]), LmError> {
        let content = Content::read(&mut Cursor::new(&self.map));
        Ok((content.map_err(|error| LmError::corrupt("the header cannot be read").caused_by(error))?, &self.map))
    }

    /// What the file says about itself.
    pub(in crate::lm::candle) fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }
}

impl WeightSource for GgufFile {
    fn find(&self, name: &str) -> Result<Option<Stored<'_>>, LmError> {
        let Some(info) = self.content.tensor_infos.get(name) else { return Ok(None) };
        let (format, shape) = (info.ggml_dtype, info.shape.dims());
        let columns = shape.last().copied().unwrap_or(1);
        if !columns.is_multiple_of(format.block_size()) {
            return Err(LmError::corrupt(format!("the rows of {name} have {columns} elements, no multiple of a {format:?} block")));
        }
        let bytes = || {
            let elements = shape.iter().try_fold(1usize, |product, dimension| product.checked_mul(*dimension))?;
            let length = (elements / format.block_size()).checked_mul(format.type_size())?;
            let start = usize::try_from(self.content.tensor_data_offset.checked_add(info.offset)?).ok()?;
            self.map.get(start..start.checked_add(length)?).filter(|_| start.is_multiple_of(8))
        };
        let bytes = bytes().ok_or_else(|| {
            LmError::corrupt(format!("the tensor {name} does not lie in the file ({} bytes long); fetch it again", self.map.len()))
        })?;
        Ok(Some(Stored { format, shape, bytes }))
    }

    fn spelling<'a>(&self, name: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(name)
    }

    fn spellings(&self) -> Vec<&str> {
        self.content.tensor_infos.keys().map(String::as_str).collect()
    }

    fn memory(&self) -> u64 {
        // What does not lie in the file is an error later.
        self.content.tensor_infos.keys().filter_map(|name| self.find(name).ok()?).map(Stored::memory).sum()
    }

    fn release(&self, stored: Stored<'_>) {
        mapped::release(&self.map, stored.bytes);
    }
}

/// Reads a header, and stops at an alignment of zero, by which candle would divide.
struct HeaderReader<'a> {
    bytes: Cursor<&'a Mmap>,
    value: Watched,
}

/// Which part of the entry `general.alignment` comes next.
enum Watched {
    Nothing,
    Type,
    Value,
}

impl Read for HeaderReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        let read = &buffer[..count];
        self.value = match self.value {
            Watched::Value if read.iter().all(|byte| *byte == 0) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "general.alignment is zero"));
            }
            Watched::Type => Watched::Value,
            _ if read.strip_suffix(b"\0").unwrap_or(read) == b"general.alignment" => Watched::Type,
            _ => Watched::Nothing,
        };
        Ok(count)
    }
}

impl Seek for HeaderReader<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}
