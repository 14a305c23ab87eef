//! Pages of keys and values on the device.
//!
//! A page holds [`PAGE`] positions of all layers in f16: for each layer and head the keys, then the values, both
//! `[position][element]`. It is filled in order. A context sees the positions that it has tokens for and nothing
//! after them, so whoever extends it first may write the next position into its unfinished page; whoever comes
//! second finds that taken, and gets a copy. So one particle's own text is written in place, forks cost a copy of
//! at most one page, and no context's view ever changes.

use super::device::{CudaDevice, failed};
use crate::lm::LmError;
use crate::lm::candle::context::{PAGE, PageShape};
use cudarc::driver::{CudaSlice, DevicePtr};
use half::f16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// About how many bytes are asked of the driver at once.
const SLAB: usize = 32 << 20;

/// Hands out pages. Pages that are given back are used again; all work is in one stream, so that whatever still
/// reads a page comes before what its next owner writes.
pub(super) struct PagePool {
    device: CudaDevice,
    /// Numbers of a page.
    size: usize,
    taken: AtomicUsize,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// Addresses of pages that nobody has.
    free: Vec<u64>,
    /// What all pages are parts of.
    slabs: Vec<CudaSlice<f16>>,
}

/// A page, its owner's until all references are dropped.
pub(super) struct DevicePage {
    address: u64,
    /// Positions that are written or promised to someone.
    filled: AtomicUsize,
    pool: Arc<PagePool>,
}

impl PagePool {
    pub(super) fn new(device: CudaDevice, shape: PageShape) -> Self {
        Self { device, size: shape.layers * shape.layer(), taken: AtomicUsize::new(0), memory: Mutex::default() }
    }

    /// Bytes of a page.
    pub(super) fn page_bytes(&self) -> usize {
        self.size * size_of::<f16>()
    }

    /// Bytes of all pages that somebody has.
    pub(super) fn bytes_in_use(&self) -> usize {
        self.taken.load(Ordering::Relaxed) * self.page_bytes()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of which the first `filled` positions are about to be written.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub(super) fn take(self: &Arc<Self>, filled: usize) -> Result<Arc<DevicePage>, LmError> {
        let mut memory = self.memory();
        let address = match memory.free.pop() {
            Some(address) => address,
            None => self.enlarge(&mut memory)?,
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(DevicePage { address, filled: AtomicUsize::new(filled), pool: self.clone() }))
    }

    /// Asks the driver for more; gives one page of it and keeps the others.
    fn enlarge(&self, memory: &mut Memory) -> Result<u64, LmError> {
        let pages = (SLAB / self.page_bytes()).max(1);
        let slab = self.device.stream().alloc_zeros::<f16>(pages * self.size).map_err(failed)?;
        let (start, _) = slab.device_ptr(self.device.stream());
        memory.slabs.push(slab);
        memory.free.extend((1..pages).rev().map(|page| start + (page * self.page_bytes()) as u64));
        Ok(start)
    }
}

impl DevicePage {
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// Whether the caller, who has the first `own` positions, may write the next one here.
    pub(super) fn claim_next(&self, own: usize) -> bool {
        own < PAGE && self.filled.compare_exchange(own, own + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for DevicePage {
    fn drop(&mut self) {
        self.pool.memory().free.push(self.address);
        self.pool.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
