//! Files mapped into memory.

use crate::lm::LmError;
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// Maps the file at `path`.
pub(super) fn map(path: &Path) -> Result<Mmap, LmError> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| LmError::not_found(format!("cannot open the model {shown}")).caused_by(error))?;
    // SAFETY: the mapping is read-only and private to its owner. Another process could still change or
    // truncate the file while it is mapped, as with any mapped file; models are written under another
    // name and renamed when whole, and the mapping is dropped once the weights are taken.
    unsafe { Mmap::map(&file) }.map_err(|error| LmError::corrupt(format!("cannot map the model {shown}")).caused_by(error))
}
