//! Whether a model fits into memory, asked before it is loaded.

use crate::lm::LmError;
use sysinfo::System;

/// Refuses a model whose weights need more than `available` bytes.
pub(super) fn check(weights: u64, available: u64) -> Result<(), LmError> {
    if weights <= available {
        return Ok(());
    }
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    Err(LmError::too_little_memory(format!(
        "the model's weights need {:.1} GB of memory, but only {:.1} GB are free; take a smaller model or quantisation, or free some",
        gigabytes(weights),
        gigabytes(available)
    )))
}

/// The bytes that a process may still take: what the machine has free, and what its control group allows.
pub(super) fn available() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    match system.available_memory() {
        // Not known here: nothing is refused.
        0 => u64::MAX,
        available => available.min(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_sizes() {
        assert!(check(1 << 30, 1 << 30).is_ok());
        let error = check(16_000_000_000, 2_500_000_000).unwrap_err();
        assert!(error.is_too_little_memory() && error.to_string().contains("16.0 GB") && error.to_string().contains("2.5 GB"), "{error}");
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available() > 1 << 20);
    }
}
