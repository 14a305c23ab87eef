//! Memory for the weights of a model, one matrix after the other in large pages.
//!
//! A pass reads all weights, from front to back. In pages of 4 KiB it would look up an address every 64
//! lines, and what the processor fetches ahead of its own accord stops at their ends; in pages of 2 MiB,
//! which Linux gives to those who ask, a pass takes a tenth less time. Most matrices are smaller than such a
//! page, so that they share: an [`Arena`] hands out parts of large mappings, which are never given back
//! singly; a mapping is when nothing of it is left.

use crate::lm::LmError;
use memmap2::{MmapMut, MmapRaw};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The bytes of a mapping, if no matrix needs more.
const MAPPING: usize = 64 << 20;
/// Parts begin at multiples of this: a line of the cache.
const ALIGNMENT: usize = 64;

/// Hands out memory.
#[derive(Default)]
pub(crate) struct Arena {
    current: RefCell<Option<Mapping>>,
}

struct Mapping {
    memory: Arc<MmapRaw>,
    /// The bytes that have been handed out.
    used: usize,
}

/// Some bytes, whose only owner this is; zeros at first.
pub(super) struct Bytes {
    memory: Arc<MmapRaw>,
    start: usize,
    length: usize,
}

impl Arena {
    /// # Errors
    /// If the system has no more memory to give.
    pub(super) fn bytes(&self, length: usize) -> Result<Bytes, LmError> {
        let mut current = self.current.borrow_mut();
        let mapping = match current.take() {
            Some(mapping) if mapping.memory.len() - mapping.used >= length => mapping,
            _ => Mapping { memory: Arc::new(map(length.max(MAPPING))?), used: 0 },
        };
        let bytes = Bytes { memory: mapping.memory.clone(), start: mapping.used, length };
        // Mappings are of whole lines or hold but this part.
        let used = (mapping.used + length).next_multiple_of(ALIGNMENT).min(mapping.memory.len());
        *current = Some(Mapping { used, ..mapping });
        Ok(bytes)
    }
}

fn map(length: usize) -> Result<MmapRaw, LmError> {
    let failed = |error| LmError::too_little_memory(format!("the system gives no {length} bytes for weights")).caused_by(error);
    let memory = MmapMut::map_anon(length).map_err(failed)?;
    // Without large pages it works as well, only slower.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    Ok(memory.into())
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the part lies in the mapping, which lives as long as this value and is all initialised. No
        // other value has any of these bytes, because the arena never hands one out twice; so they change
        // through `deref_mut` alone.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(self.start), self.length) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; and this value is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().add(self.start), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_aligned_and_outlive_their_arena() {
        let arena = Arena::default();
        let mut parts: Vec<Bytes> =
            [1, 64, 0, MAPPING - 200, 65, MAPPING + 1, 7].into_iter().map(|length| arena.bytes(length).unwrap()).collect();
        drop(arena);
        for (number, part) in parts.iter_mut().enumerate() {
            assert!(part.iter().all(|byte| *byte == 0) && part.as_ptr().addr().is_multiple_of(ALIGNMENT));
            part.fill(number as u8 + 1);
        }
        for (number, part) in parts.iter().enumerate() {
            assert!(part.iter().all(|byte| *byte == number as u8 + 1));
        }
    }
}
