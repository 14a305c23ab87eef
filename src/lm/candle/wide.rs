//! The same code compiled twice: for any machine, and for wide vectors with fused multiply-add.
//!
//! Work that the compiler vectorises well is written once as a [`Wide`] value; [`run`] picks the
//! compilation that this machine can execute. Explicit vector code is in [`kernels`](super::kernels).
//! The two compilations round differently, so one machine's bits are not another's; on one machine the
//! choice never changes.

/// Work that gains from wide vectors.
pub(super) trait Wide {
    /// Does it. `FUSED` tells whether [`multiply_add`] is one rounded operation. Implementations are
    /// `#[inline(always)]`, or they would not be compiled for the wider machine.
    fn run<const FUSED: bool>(self);
}

/// Does the work with the widest vectors that the machine has.
#[inline]
pub(super) fn run(work: impl Wide) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: `fused` asks of its caller only that the machine has AVX2 and FMA, which was just seen.
        return unsafe { fused(work) };
    }
    work.run::<{ cfg!(target_arch = "aarch64") }>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused(work: impl Wide) {
    work.run::<true>();
}

/// `a * b + c`; with one rounding where the machine has an instruction for it, with two elsewhere
/// (where one rounding would be a call into the C library).
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
