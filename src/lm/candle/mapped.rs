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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_can_be_read_again() {
        let path = std::env::temp_dir().join(format!("tamis-mapped-{}", std::process::id()));
        let written: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &written).unwrap();
        let mapped = map(&path).unwrap();
        // From within a page to the end, nothing, all, and what is of no file.
        for part in [&mapped[5_000..], &mapped[7..7], &mapped[..], &written[..10]] {
            release(&mapped, part);
            assert_eq!(mapped[..], written[..]);
        }
        #[cfg(target_os = "linux")]
        assert!(resident_kilobytes(&mapped) > 0);
        release(&mapped, &mapped);
        #[cfg(target_os = "linux")]
        assert_eq!(resident_kilobytes(&mapped), 0);
        drop(mapped);
        std::fs::remove_file(&path).unwrap();
    }

    /// How much of a mapping is in this process's memory.
    #[cfg(target_os = "linux")]
    fn resident_kilobytes(map: &Mmap) -> usize {
        let all = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let own = all.split_once(&format!("\n{:08x}-", map.as_ptr().addr())).expect("the mapping is listed").1;
        let line = own.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}
