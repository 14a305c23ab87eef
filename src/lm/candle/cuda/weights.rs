//! A model's weights on the device, in f16.

use super::device::{CudaDevice, failed};
use crate::lm::LmError;
use crate::lm::candle::config::Config;
use crate::lm::candle::kernels::{Pool, dequantise};
use crate::lm::candle::weights::{Layer, Stored, WeightSource, Weights};
use cudarc::driver::CudaSlice;
use half::f16;

/// Inputs that the kernels take at once: every matrix has a multiple of them.
const PIECE: usize = 32;

/// A matrix, `[output][input]`.
pub(super) struct DeviceMatrix {
    pub outputs: usize,
    pub inputs: usize,
    pub weights: CudaSlice<f16>,
}

/// The weights of one layer. Matrices with the same inputs are one.
pub(super) struct DeviceLayer {
    pub attention_norm: CudaSlice<f32>,
    /// Queries, keys and values.
    pub projection: DeviceMatrix,
    pub projection_bias: Option<CudaSlice<f32>>,
    pub query_norm: Option<CudaSlice<f32>>,
    pub key_norm: Option<CudaSlice<f32>>,
    pub attention_output: DeviceMatrix,
    pub attention_output_norm: Option<CudaSlice<f32>>,
    pub feed_forward_norm: CudaSlice<f32>,
    /// Gates, then ups.
    pub gate_and_up: DeviceMatrix,
    pub down: DeviceMatrix,
    pub feed_forward_output_norm: Option<CudaSlice<f32>>,
}

/// All weights of a model.
pub(super) struct DeviceWeights {
    pub embedding: DeviceMatrix,
    pub layers: Vec<DeviceLayer>,
    pub output_norm: CudaSlice<f32>,
    /// `None` where the embedding serves as the head.
    pub head: Option<DeviceMatrix>,
    pub rope_factors: Option<Vec<f32>>,
}

impl DeviceWeights {
    /// Takes the weights of a model of this shape to the device.
    pub(super) fn read(device: &CudaDevice, config: &Config, source: &dyn WeightSource, pool: &Pool) -> Result<Self, LmError> {
        let upload = Upload { device };
        let matrix = |stored: Stored<'_>, outputs: usize, inputs: usize| {
            if !inputs.is_multiple_of(PIECE) {
                return Err(LmError::unsupported(format!(
                    "a GPU takes inputs in pieces of {PIECE}, and the model has matrices with {inputs}"
                )));
            }
            let weights = dequantise(stored.format, outputs, inputs, stored.bytes, pool)?;
            Ok(DeviceMatrix { outputs, inputs, weights: device.stream().clone_htod(&weights).map_err(failed)? })
        };
        let Weights { embedding, layers, output_norm, head, rope_factors } = Weights::read(source, config, &matrix)?;
        let layers = layers.into_iter().map(|layer| upload.layer(layer)).collect::<Result<_, _>>()?;
        Ok(Self { embedding, layers, output_norm: upload.vector(&output_norm)?, head, rope_factors })
    }

    /// The matrix that makes logits.
    pub(super) fn head(&self) -> &DeviceMatrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

struct Upload<'a> {
    device: &'a CudaDevice,
}

impl Upload<'_> {
    fn vector(&self, values: &[f32]) -> Result<CudaSlice<f32>, LmError> {
        self.device.stream().clone_htod(values).map_err(failed)
    }

    fn vector_if(&self, values: Option<Vec<f32>>) -> Result<Option<CudaSlice<f32>>, LmError> {
        values.map(|values| self.vector(&values)).transpose()
    }

    /// Matrices with the same inputs, one below the other.
    fn stack(&self, parts: &[DeviceMatrix]) -> Result<DeviceMatrix, LmError> {
        let (outputs, inputs) = (parts.iter().map(|part| part.outputs).sum(), parts[0].inputs);
        let mut weights = self.device.stream().alloc_zeros(outputs * inputs).map_err(failed)?;
        let mut start = 0;
        for part in parts {
            let end = start + part.weights.len();
            self.device.stream().memcpy_dtod(&part.weights, &mut weights.slice_mut(start..end)).map_err(failed)?;
            start = end;
        }
        Ok(DeviceMatrix { outputs, inputs, weights })
    }

    fn layer(&self, layer: Layer<DeviceMatrix>) -> Result<DeviceLayer, LmError> {
        let biases = [(&layer.query, layer.query_bias), (&layer.key, layer.key_bias), (&layer.value, layer.value_bias)];
        let bias = biases.iter().any(|(_, bias)| bias.is_some()).then(|| {
            let biases = biases.iter().map(|(matrix, bias)| bias.clone().unwrap_or_else(|| vec![0.0; matrix.outputs]));
            biases.flatten().collect::<Vec<f32>>()
        });
        Ok(DeviceLayer {
            attention_norm: self.vector(&layer.attention_norm)?,
            projection: self.stack(&[layer.query, layer.key, layer.value])?,
            projection_bias: self.vector_if(bias)?,
            query_norm: self.vector_if(layer.query_norm)?,
            key_norm: self.vector_if(layer.key_norm)?,
            attention_output: layer.attention_output,
            attention_output_norm: self.vector_if(layer.attention_output_norm)?,
            feed_forward_norm: self.vector(&layer.feed_forward_norm)?,
            gate_and_up: self.stack(&[layer.gate, layer.up])?,
            down: layer.down,
            feed_forward_output_norm: self.vector_if(layer.feed_forward_output_norm)?,
        })
    }
}
