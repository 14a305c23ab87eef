//! Rows of logits that stay on the device.

use super::device::CudaDevice;
use crate::next_token::{CHUNK, DistantLogits};
use cudarc::driver::CudaSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Chunks of each row that come to the host with its summaries: those of largest mass, in which all but few draws
/// end. 16 kB a row.
pub(super) const LIKELIEST: usize = 16;

/// Chunks of a row that are fetched one by one before the whole row is: a few at a time cost less than it, many
/// more.
const SINGLY: usize = 8;

/// The logits of all rows of one step.
pub(super) struct StepLogits {
    device: CudaDevice,
    /// `[row][token]`.
    logits: CudaSlice<f32>,
    /// Tokens of the vocabulary.
    size: usize,
    /// Bytes of all steps that live.
    bytes: Arc<AtomicUsize>,
}

impl StepLogits {
    pub(super) fn new(device: CudaDevice, logits: CudaSlice<f32>, size: usize, bytes: Arc<AtomicUsize>) -> Self {
        bytes.fetch_add(logits.num_bytes(), Ordering::Relaxed);
        Self { device, logits, size, bytes }
    }
}

impl Drop for StepLogits {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.logits.num_bytes(), Ordering::Relaxed);
    }
}

/// One row: its likeliest chunks are here, the others on the device.
pub(super) struct DeviceRow {
    pub step: Arc<StepLogits>,
    pub index: usize,
    /// The numbers of the chunks that are here, as many as `copies` has; past the last chunk: none.
    pub numbers: Box<[u32]>,
    /// `[copy][token of the chunk]`.
    pub copies: Box<[f32]>,
    /// Further chunks, with their numbers, fetched as they were asked for.
    pub fetched: boxcar::Vec<(usize, Box<[f32]>)>,
    pub whole: OnceLock<Arc<[f32]>>,
}

impl DistantLogits for DeviceRow {
    fn size(&self) -> usize {
        self.step.size
    }

    fn chunk(&self, chunk: usize) -> &[f32] {
        let tokens = chunk * CHUNK..self.step.size.min((chunk + 1) * CHUNK);
        if let Some(copy) = self.numbers.iter().position(|number| *number as usize == chunk) {
            return &self.copies[copy * CHUNK..][..tokens.len()];
        }
        if let Some((_, (_, logits))) = self.fetched.iter().find(|(_, (number, _))| *number == chunk) {
            return logits;
        }
        if self.whole.get().is_none() && self.fetched.count() < SINGLY {
            let place = self.fetched.push((chunk, self.fetch(tokens).into()));
            return &self.fetched[place].1;
        }
        &self.whole()[tokens]
    }

    fn whole(&self) -> &Arc<[f32]> {
        self.whole.get_or_init(|| self.fetch(0..self.step.size).into())
    }
}

impl DeviceRow {
    fn fetch(&self, tokens: Range<usize>) -> Vec<f32> {
        let start = self.index * self.step.size;
        let logits = self.step.logits.slice(start + tokens.start..start + tokens.end);
        self.step.device.stream().clone_dtoh(&logits).expect("the GPU gives the logits that it computed")
    }
}
