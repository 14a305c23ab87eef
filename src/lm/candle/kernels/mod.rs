//! Throw-away kernels: weights dequantised to `f32`, one thread.
use crate::lm::LmError;
use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use std::borrow::Cow;

pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

pub(crate) struct Pool {
    threads: usize,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        for index in 0..tasks {
            task(index);
        }
    }
}

impl Matrix {
    pub(crate) fn from_ggml(dtype: GgmlDType, rows: usize, columns: usize, bytes: &[u8]) -> Result<Self, LmError> {
        let storage = QStorage::from_data(Cow::Owned(bytes.to_vec()), &Device::Cpu, dtype)
            .map_err(|error| LmError::other("matrix").caused_by(error))?;
        let values = QTensor::new(storage, (rows, columns))
            .and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
            .map_err(|error| LmError::other("matrix").caused_by(error))?;
        Ok(Self { rows, columns, values })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn multiply(&self, input: &[f32], output: &mut [f32], _pool: &Pool) {
        for (x, out) in input.chunks_exact(self.columns).zip(output.chunks_exact_mut(self.rows)) {
            for (w, y) in self.values.chunks_exact(self.columns).zip(out) {
                let mut acc = [0f32; 16];
                for (a, b) in x.chunks(16).zip(w.chunks(16)) {
                    for ((s, a), b) in acc.iter_mut().zip(a).zip(b) {
                        *s += a * b;
                    }
                }
                *y = acc.iter().sum();
            }
        }
    }

    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values[row * self.columns..(row + 1) * self.columns]);
    }
}
