//! What a model runs on: [`Device`].

#[cfg(feature = "cuda")]
use super::cuda::CudaDevice;
use crate::lm::LmError;
use std::fmt;
use std::str::FromStr;

/// What a model runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The cores of this machine.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, counted from 0 (feature `cuda`).
    Cuda(usize),
    /// The first NVIDIA GPU where tamis was built with the feature `cuda` and there is one; else the CPU.
    Auto,
}

/// Stands for a GPU in a build that can have none.
#[cfg(not(feature = "cuda"))]
pub(super) enum CudaDevice {}

impl Device {
    /// The GPU to run on; `None` for the CPU.
    #[cfg(feature = "cuda")]
    pub(super) fn cuda(self) -> Result<Option<CudaDevice>, LmError> {
        match self {
            Self::Cpu => Ok(None),
            Self::Cuda(number) => CudaDevice::open(number).map(Some),
            // Nothing is hidden: whoever wants to know asks `CandleLm::device`.
            Self::Auto => Ok(CudaDevice::open(0).ok()),
        }
    }

    /// The GPU to run on; `None` for the CPU.
    #[cfg(not(feature = "cuda"))]
    pub(super) fn cuda(self) -> Result<Option<CudaDevice>, LmError> {
        match self {
            Self::Cpu | Self::Auto => Ok(None),
            Self::Cuda(_) => Err(LmError::unsupported(
                "tamis was built without its feature `cuda`; build it with `--features cuda`, or take the device cpu",
            )),
        }
    }
}

impl FromStr for Device {
    type Err = LmError;

    /// Reads `cpu`, `cuda`, `cuda:1` or `auto`.
    fn from_str(name: &str) -> Result<Self, LmError> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "auto" => Ok(Self::Auto),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = name.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| {
                    LmError::not_found(format!("there is no device {name:?}; there are cpu, cuda, cuda:1 (a GPU by number) and auto"))
                })
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3), Device::Auto] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        for name in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
            let error = name.parse::<Device>().unwrap_err();
            assert!(error.is_not_found() && error.to_string().contains("auto"), "{error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_that_was_not_built_for_is_an_error_and_auto_is_the_cpu() {
        assert!(Device::Auto.cuda().unwrap().is_none());
        let error = Device::Cuda(0).cuda().err().unwrap();
        assert!(error.is_unsupported() && error.to_string().contains("feature `cuda`"), "{error}");
    }
}
