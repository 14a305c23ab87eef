//! What stands for `amx.rs` on machines that have none.

use crate::simd::{HighHalves, Lanes, Pairs};

/// See `amx.rs`.
pub(crate) const LINES: usize = 16;

/// Registers that are not there: no value of this type exists.
pub(crate) enum Tiles {}

impl Tiles {
    pub(crate) fn shape() -> Option<Self> {
        None
    }

    pub(crate) fn score(&mut self, _: &[Pairs], _: &[&[Pairs]], _: &mut [Lanes], _: usize) {
        match *self {}
    }

    pub(crate) fn mix(&mut self, _: (&[HighHalves], usize), _: &[&[Pairs]], _: usize, _: (&mut [Lanes], usize)) {
        match *self {}
    }
}
