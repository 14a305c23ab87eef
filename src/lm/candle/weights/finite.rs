//! Whether weights are numbers, told from as few bytes as can tell.
//!
//! A block of quantised weights is a small integer times a scale, plus in some formats a minimum: if
//! these are finite, so is every weight of it. The pass costs little: what it touches is in the cache when
//! the weights are laid out for the kernels next.

use candle_core::quantized::GgmlDType;

/// Whether all weights stored so are finite; `None` for formats that tamis does not read.
pub(super) fn all_finite(format: GgmlDType, bytes: &[u8]) -> Option<bool> {
    Some(match format {
        GgmlDType::F32 => bytes.as_chunks::<4>().0.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()),
        GgmlDType::BF16 => all::<2, 1>(bytes, [0], finite_bf16),
        GgmlDType::F16 => all::<2, 1>(bytes, [0], finite_f16),
        // Where a block of so many bytes has its halves: the scale, and the minimum if it has one.
        GgmlDType::Q4_0 => all::<18, 1>(bytes, [0], finite_f16),
        GgmlDType::Q4_1 => all::<20, 2>(bytes, [0, 2], finite_f16),
        GgmlDType::Q5_0 => all::<22, 1>(bytes, [0], finite_f16),
        GgmlDType::Q5_1 => all::<24, 2>(bytes, [0, 2], finite_f16),
        GgmlDType::Q8_0 => all::<34, 1>(bytes, [0], finite_f16),
        GgmlDType::Q4K => all::<144, 2>(bytes, [0, 2], finite_f16),
        GgmlDType::Q5K => all::<176, 2>(bytes, [0, 2], finite_f16),
        GgmlDType::Q6K => all::<210, 1>(bytes, [208], finite_f16),
        GgmlDType::Q8_1 | GgmlDType::Q8K | GgmlDType::Q2K | GgmlDType::Q3K => return None,
    })
}

/// Whether in every block of `SIZE` bytes the halves at `places` are finite.
fn all<const SIZE: usize, const PLACES: usize>(bytes: &[u8], places: [usize; PLACES], finite: impl Fn(u16) -> bool) -> bool {
    let half = |block: &[u8; SIZE], place: usize| u16::from_le_bytes([block[place], block[place + 1]]);
    bytes.as_chunks::<SIZE>().0.iter().all(|block| places.iter().all(|place| finite(half(block, *place))))
}

/// All bits of the exponent set is infinite or no number.
fn finite_f16(bits: u16) -> bool {
    bits & 0x7C00 != 0x7C00
}

fn finite_bf16(bits: u16) -> bool {
    bits & 0x7F80 != 0x7F80
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::candle::kernels::READ;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    fn stored(format: GgmlDType, values: Vec<f32>) -> Vec<u8> {
        let tensor = Tensor::from_vec(values, (2, 256), &Device::Cpu).unwrap();
        QTensor::quantize(&tensor, format).unwrap().data().unwrap().into_owned()
    }

    /// Each format's blocks are laid out as the table says: setting a scale or a minimum to NaN is seen,
    /// and makes the weights that candle reads no numbers.
    #[test]
    fn scales_and_minima_tell_of_all_weights() {
        let values: Vec<f32> = (0..512).map(|i| (i as f32 * 0.37).sin() * 3.0 + 1.0).collect();
        for format in READ {
            let bytes = stored(format, values.clone());
            assert_eq!(all_finite(format, &bytes), Some(true), "{format:?}");
            let mut noticed = 0;
            for place in (0..format.type_size() - 1).step_by(2) {
                let mut broken = bytes.clone();
                let nan: &[u8] = if format == GgmlDType::F32 { &[0xFF; 4] } else { &[0xFF; 2] };
                if place + nan.len() > format.type_size() {
                    continue;
                }
                broken[place..place + nan.len()].copy_from_slice(nan);
                let storage = candle_core::quantized::QStorage::from_data(broken.clone().into(), &Device::Cpu, format).unwrap();
                let read = QTensor::new(storage, (2, 256)).unwrap().dequantize(&Device::Cpu).unwrap().flatten_all().unwrap();
                let finite = read.to_vec1::<f32>().unwrap().iter().all(|weight| weight.is_finite());
                assert_eq!(all_finite(format, &broken), Some(finite), "{format:?}, byte {place}");
                noticed += usize::from(!finite);
            }
            assert!(noticed > 0, "{format:?}");
        }
        assert_eq!(all_finite(GgmlDType::Q2K, &[]), None);
    }
}
