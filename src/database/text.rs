//! A text that grows at its end and is forked at every step.
//!
//! The bytes that each step brings are a node, shared by all texts that go on from it: to write further
//! costs the new bytes alone, however long the text is, and a fork is a counter.

use smallvec::SmallVec;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bytes; a clone is a counter. Texts of the same bytes are equal, whatever steps they were written in.
#[derive(Clone, Default)]
pub(super) struct Text(Option<Arc<Step>>);

struct Step {
    before: Text,
    bytes: SmallVec<[u8; 16]>,
    /// Of the whole text.
    length: usize,
    digest: u64,
}

impl Text {
    /// The text with these bytes at its end.
    pub fn with(&self, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return self.clone();
        }
        // Byte by byte, so that the digest does not tell where the text was cut.
        let digest = bytes
            .iter()
            .fold(self.digest(), |digest, byte| (digest.rotate_left(5) ^ u64::from(*byte) ^ 0x100).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let length = self.len() + bytes.len();
        Self(Some(Arc::new(Step { before: self.clone(), bytes: SmallVec::from_slice(bytes), length, digest })))
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |step| step.length)
    }

    fn digest(&self) -> u64 {
        self.0.as_ref().map_or(0, |step| step.digest)
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        let (mut end, mut text) = (bytes.len(), self);
        while let Some(step) = text.0.as_deref() {
            let start = end - step.bytes.len();
            bytes[start..end].copy_from_slice(&step.bytes);
            (end, text) = (start, &step.before);
        }
        bytes
    }

    fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.len() == other.len() && self.digest() == other.digest() && self.to_vec() == other.to_vec())
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest().hash(hasher);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.to_vec()).fmt(f)
    }
}

impl Drop for Step {
    /// One step after the other: a long text is no deep recursion.
    fn drop(&mut self) {
        let mut next = self.before.0.take();
        while let Some(mut step) = next.and_then(Arc::into_inner) {
            next = step.before.0.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustc_hash::FxBuildHasher;
    use std::hash::BuildHasher;

    #[test]
    fn texts_are_equal_by_their_bytes_wherever_they_were_cut() {
        let whole = Text::default().with(b"SELECT name");
        let pieces = Text::default().with(b"").with(b"SEL").with(b"ECT n").with(b"ame");
        assert_eq!(whole, pieces);
        assert_eq!(FxBuildHasher.hash_one(&whole), FxBuildHasher.hash_one(&pieces));
        assert_eq!((pieces.to_vec().as_slice(), pieces.len()), (&b"SELECT name"[..], 11));
        assert_ne!(whole.with(b"s"), pieces);
        assert_ne!(whole.with(b"s"), pieces.with(b"d"));
    }

    #[test]
    fn a_text_of_a_million_steps_is_dropped_without_recursion() {
        let long = (0..1_000_000).fold(Text::default(), |text, _| text.with(b"x"));
        assert_eq!(long.len(), 1_000_000);
    }
}
