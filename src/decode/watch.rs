//! What can be seen of a run while it is made.

use super::record::Path;
use crate::smc::StepRecord;
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

/// The paths of all particles after the last step, before any resampling. The particle layer owns the
/// particles and knows nothing of texts, so the decoder leaves them here for the watcher.
pub(super) type Seen = Rc<RefCell<Vec<Path>>>;

/// A step that was just made, with the particles as they were before any resampling after it.
///
/// It is a [`StepRecord`] to read, and costs nothing until a text is asked for.
#[derive(Debug)]
pub struct Glimpse<'a> {
    step: &'a StepRecord,
    seen: &'a Seen,
}

impl<'a> Glimpse<'a> {
    pub(super) fn new(step: &'a StepRecord, seen: &'a Seen) -> Self {
        Self { step, seen }
    }

    /// The text that a particle has written so far. Linear in its tokens.
    ///
    /// # Panics
    /// If there is no such particle.
    pub fn text(&self, particle: usize) -> Vec<u8> {
        self.seen.borrow()[particle].text()
    }

    /// The particle of largest weight, the first where several are; `None` where all have died.
    pub fn heaviest(&self) -> Option<usize> {
        let weights = self.step.log_weights.iter().copied().enumerate();
        let (particle, _) = weights.filter(|(_, weight)| *weight > f64::NEG_INFINITY).reduce(|a, b| if b.1 > a.1 { b } else { a })?;
        Some(particle)
    }
}

impl Deref for Glimpse<'_> {
    type Target = StepRecord;

    fn deref(&self) -> &StepRecord {
        self.step
    }
}
