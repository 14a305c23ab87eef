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

/// Lets the system take back the memory of a part of the file that has been read, where the map holds it: a
/// model is not to be in memory twice. What is read again comes from the file again.
pub(super) fn release(map: &Mmap, part: &[u8]) {
    let Some(start) = part.as_ptr().addr().checked_sub(map.as_ptr().addr()).filter(|start| start + part.len() <= map.len()) else { return };
    // SAFETY: the system drops its copy of pages of a file that this mapping only reads, so that they hold
    // the same bytes when they are read next.
    #[cfg(unix)]
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, part.len()) };
    #[cfg(not(unix))]
    let _ = start;
}
