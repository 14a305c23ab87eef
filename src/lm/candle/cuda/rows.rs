//! Rows of logits that stay on the device.

use super::device::CudaDevice;
use crate::next_token::{CHUNK, DistantLogits};
use cudarc::driver::CudaSlice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Chunks of each row that come to the host with its summaries: those of largest mass, in which all but few draws
/// end. 16 kB a row.
pub(super) const LIKELIEST: usize = 16;

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
    pub whole: OnceLock<Arc<[f32]>>,
}

impl DistantLogits for DeviceRow {
    fn size(&self) -> usize {
        self.step.size
    }

    fn chunk(&self, chunk: usize) -> &[f32] {
        let length = CHUNK.min(self.step.size - chunk * CHUNK);
        match self.numbers.iter().position(|number| *number as usize == chunk) {
            Some(copy) if self.whole.get().is_none() => &self.copies[copy * CHUNK..][..length],
            // Whoever looks beyond the likeliest once does so again; and a row crosses in the time of a few calls.
            _ => &self.whole()[chunk * CHUNK..][..length],
        }
    }

    fn whole(&self) -> &Arc<[f32]> {
        self.whole.get_or_init(|| {
            let row = self.step.logits.slice(self.index * self.step.size..(self.index + 1) * self.step.size);
            self.step.device.stream().clone_dtoh(&row).expect("the GPU gives the logits that it computed").into()
        })
    }
}
