//! Weights of any format as f16, for devices that compute with these.

use super::format::{BLOCK, Block, Quantisation};
use super::pool::Pool;
use crate::lm::LmError;
use candle_core::quantized::GgmlDType;
use half::{bf16, f16};

/// Reads a row as a file has it.
type ReadRow = dyn Fn(&[u8], &mut [f16]) + Sync;

/// A matrix in f16, row after row, from `bytes` as a file has them; on several threads.
///
/// # Errors
/// If the format is none that tamis reads, or a weight is larger than f16 can tell.
///
/// # Panics
/// If the rows are not made up of whole blocks, or `bytes` is shorter than the matrix.
pub(crate) fn dequantise(format: GgmlDType, rows: usize, columns: usize, bytes: &[u8], pool: &Pool) -> Result<Vec<f16>, LmError> {
    let read: Box<ReadRow> = match (Quantisation::of(format), format) {
        (Some(quantisation), _) => Box::new(move |row, out| {
            for (number, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                read_block(quantisation, &Block::read(quantisation, row, number), out);
            }
        }),
        (None, GgmlDType::F32) => Box::new(|row, out| read_each(row, out, |bytes| f16::from_f32(f32::from_le_bytes(bytes)))),
        (None, GgmlDType::F16) => Box::new(|row, out| read_each(row, out, f16::from_le_bytes)),
        (None, GgmlDType::BF16) => Box::new(|row, out| read_each(row, out, |bytes| f16::from_f32(bf16::from_le_bytes(bytes).to_f32()))),
        _ => return Err(LmError::unsupported(format!("tamis does not read weights stored as {format:?}"))),
    };
    let row_bytes = columns / format.block_size() * format.type_size();
    let mut weights = vec![f16::ZERO; rows * columns];
    if weights.is_empty() {
        return Ok(weights);
    }
    let per_task = rows.div_ceil(pool.threads() * 4);
    pool.run_with(weights.chunks_mut(per_task * columns).zip(bytes.chunks(per_task * row_bytes)), |(weights, bytes)| {
        for (out, row) in weights.chunks_exact_mut(columns).zip(bytes.chunks_exact(row_bytes)) {
            read(row, out);
        }
    });
    match weights.iter().all(|weight| weight.is_finite()) {
        true => Ok(weights),
        false => Err(LmError::unsupported("the model has weights too large for f16, with which a GPU computes; run it on the CPU")),
    }
}

fn read_each<const SIZE: usize>(row: &[u8], out: &mut [f16], read: impl Fn([u8; SIZE]) -> f16) {
    for (out, bytes) in out.iter_mut().zip(row.as_chunks().0) {
        *out = read(*bytes);
    }
}

fn read_block(quantisation: Quantisation, block: &Block, out: &mut [f16]) {
    let zero = i32::from(quantisation.layout().zero);
    for (column, (out, code)) in out.iter_mut().zip(block.codes).enumerate() {
        let scale = block.scales[column * 2 / BLOCK];
        *out = f16::from_f32(scale * (i32::from(code) - zero) as f32 + block.minimum);
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::READ;
    use super::*;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    #[test]
    fn weights_are_those_that_candle_reads_rounded_once() {
        let values: Vec<f32> = (0..1024).map(|i| (i as f32 * 0.37).sin() * 3.0 + 0.5).collect();
        let tensor = Tensor::from_vec(values, (4, 256), &Device::Cpu).unwrap();
        for format in READ {
            let stored = QTensor::quantize(&tensor, format).unwrap();
            let expected: Vec<f32> = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            for threads in [1, 3] {
                let weights = dequantise(format, 4, 256, &stored.data().unwrap(), &Pool::new(threads)).unwrap();
                for (weight, expected) in weights.iter().zip(&expected) {
                    // Candle may round a product before it adds the minimum.
                    assert!((weight.to_f32() - expected).abs() <= expected.abs() * 1.01 / 2048.0 + 1e-6, "{format:?}: {weight} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_weight_beyond_f16_is_an_error() {
        let bytes: Vec<u8> = [1.0f32, 70_000.0].iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let error = dequantise(GgmlDType::F32, 1, 2, &bytes, &Pool::new(1)).unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("f16"), "{error}");
    }
}
