//! A GPU: found, opened, its kernels loaded.

use super::launch::Kernels;
use crate::lm::LmError;
use cudarc::driver::{CudaContext, CudaStream, DriverError, sys};
use std::sync::Arc;

/// The first compute capability that has all instructions of the kernels (Ampere).
const CAPABILITY: (i32, i32) = (8, 0);

/// An open GPU. A clone is the same one.
#[derive(Clone)]
pub(in crate::lm::candle) struct CudaDevice(Arc<Inner>);

struct Inner {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Kernels,
    name: String,
}

impl CudaDevice {
    /// Opens the GPU of this number, counted from 0.
    ///
    /// # Errors
    /// If there is no driver or no such GPU, or it is too old.
    pub(in crate::lm::candle) fn open(number: usize) -> Result<Self, LmError> {
        // SAFETY: it only looks for the driver's library, and loading that runs no code but its own start.
        if !unsafe { sys::is_culib_present() } {
            return Err(LmError::not_found("there is no NVIDIA driver on this machine (libcuda); take the device cpu"));
        }
        let missing = |error: DriverError| LmError::not_found(format!("there is no CUDA device {number}")).caused_by(Failure(error));
        let context = CudaContext::new(number).map_err(missing)?;
        let name = context.name().map_err(failed)?;
        let capability = context.compute_capability().map_err(failed)?;
        if capability < CAPABILITY {
            let (major, minor) = capability;
            return Err(LmError::unsupported(format!("the GPU {name} has compute capability {major}.{minor}; tamis needs 8.0 or later")));
        }
        // SAFETY: all work goes to the one stream that is made next, so nothing needs events to wait for.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(failed)?;
        let kernels = Kernels::load(&context).map_err(failed)?;
        Ok(Self(Arc::new(Inner { context, stream, kernels, name })))
    }

    /// What the GPU calls itself.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// The stream of all work, in order.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.0.stream
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        &self.0.context
    }

    pub(super) fn kernels(&self) -> &Kernels {
        &self.0.kernels
    }

    /// Bytes of memory that nobody has taken.
    pub(super) fn free_memory(&self) -> Result<usize, LmError> {
        Ok(self.0.context.mem_get_info().map_err(failed)?.0)
    }
}

/// What the driver says, in its words.
#[derive(Debug)]
struct Failure(DriverError);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.error_string() {
            Ok(words) => f.write_str(&words.to_string_lossy()),
            Err(_) => write!(f, "{:?}", self.0.0),
        }
    }
}

impl std::error::Error for Failure {}

/// An error of the driver.
pub(super) fn failed(error: DriverError) -> LmError {
    if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return LmError::too_little_memory("the GPU's memory does not suffice; use fewer particles, a smaller model, or the CPU");
    }
    LmError::other("the GPU failed").caused_by(Failure(error))
}
