//! Products of bf16 by AMX: registers of sixteen lines of 64 bytes, and an instruction that multiplies two of
//! them, 512 numbers with 512 in sixteen cycles. Attention uses them where many queries meet the same keys.
//!
//! An element of the result is formed from pairs of numbers: the products of first members are added up, one
//! after the other, so are those of second members, and the sum of both is added to what was there before.
//! Subnormal numbers would be zero. So whoever adds in this order, with numbers that
//! [`to_bf16_precision`](crate::simd::Vector::to_bf16_precision) made, has the same bits.
//!
//! Stable Rust has no intrinsics for AMX yet, so its instructions are assembly. Linux lets a process use the
//! registers once it has asked. Unsafe here: the assembly, whose pointers come from slices that are checked
//! to hold what it reads and writes.

use crate::simd::{HighHalves, Lanes, Pairs};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Lines of a register.
pub(crate) const LINES: usize = 16;
/// Pairs of a line of queries.
const PAIRS: usize = 16;
/// Pairs of positions of a page.
const POSITIONS: usize = 8;

/// The registers of this thread, shaped, until it is dropped.
///
/// Sums are in `tmm0` to `tmm3`, sixteen lines of sixteen `f32`. `tmm4` has probabilities, lines of sixteen;
/// `tmm5` the values of a page, eight lines of sixteen pairs; `tmm6` queries and `tmm7` keys, lines of
/// sixteen pairs, as `tmm3` may have too. The compiler uses none of them.
pub(crate) struct Tiles {
    /// It is of this thread.
    thread: PhantomData<*const ()>,
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_line: u8,
    reserved: [u8; 14],
    /// Bytes of a line, for each register.
    bytes: [u16; 16],
    lines: [u8; 16],
}

static SHAPES: Shapes = Shapes {
    palette: 1,
    start_line: 0,
    reserved: [0; 14],
    bytes: [64, 64, 64, 64, 32, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    lines: [16, 16, 16, 16, 16, 8, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

impl Tiles {
    /// None where the machine has no AMX, or the system does not let this process use it.
    pub(crate) fn shape() -> Option<Self> {
        is_available().then(|| {
            // SAFETY: 64 bytes are read, which are a valid configuration: palette 1 has eight registers of up to
            // 16 lines of up to 64 bytes.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly)) };
            Self { thread: PhantomData }
        })
    }

    /// The scores of [`LINES`] queries, of as many elements as 32 goes into, with the keys of some pages. A
    /// page's keys are lines of pairs of elements, each for all its positions. What page `p` gives goes to
    /// `scores[p]` for the first query, and `stride` further for each after it.
    ///
    /// # Panics
    /// If a slice is too short.
    pub(crate) fn score(&mut self, queries: &[Pairs], keys: &[&[Pairs]], scores: &mut [Lanes], stride: usize) {
        let chunks = queries.len() / LINES;
        assert!(chunks * LINES == queries.len() && keys.iter().all(|keys| keys.len() >= chunks * PAIRS));
        assert!(scores.len() >= (LINES - 1) * stride + keys.len());
        let (query_bytes, score_bytes) = (chunks * size_of::<Pairs>(), stride * size_of::<Lanes>());
        let key = |page: usize, chunk: usize| keys[page][chunk * PAIRS..].as_ptr();
        for page in (0..keys.len()).step_by(2) {
            let two = page + 1 < keys.len();
            // SAFETY: registers are shaped. A chunk of queries is sixteen lines of 64 bytes, `query_bytes` apart, of
            // which the last ends within the slice; a chunk of keys is sixteen neighbouring lines of 64 bytes;
            // scores are sixteen lines of 64 bytes, `score_bytes` apart. All are there by the assertions.
            unsafe {
                zero::<0>();
                zero::<1>();
                for chunk in 0..chunks {
                    load::<6, _>(queries[chunk..].as_ptr(), query_bytes);
                    load::<7, _>(key(page, chunk), size_of::<Pairs>());
                    multiply::<0, 6, 7>();
                    if two {
                        load::<3, _>(key(page + 1, chunk), size_of::<Pairs>());
                        multiply::<1, 6, 3>();
                    }
                }
                store::<0>(scores[page..].as_mut_ptr(), score_bytes);
                if two {
                    store::<1>(scores[page + 1..].as_mut_ptr(), score_bytes);
                }
            }
        }
    }

    /// Adds the values of some pages, weighted by [`LINES`] lines of probabilities, to as many lines of `columns`
    /// vectors in `output`. A page's values are lines of pairs of positions, `columns` of them to a pair.
    /// Probabilities of page `p` are `probs[p]` for the first line, and `probs_stride` further for each after
    /// it; lines of output are `stride` apart.
    ///
    /// # Panics
    /// If a slice is too short.
    pub(crate) fn mix(
        &mut self,
        (probs, probs_stride): (&[HighHalves], usize),
        values: &[&[Pairs]],
        columns: usize,
        (output, stride): (&mut [Lanes], usize),
    ) {
        assert!(probs.len() >= (LINES - 1) * probs_stride + values.len());
        assert!(columns > 0 && values.iter().all(|values| values.len() >= POSITIONS * columns));
        assert!(output.len() >= (LINES - 1) * stride + columns);
        let (prob_bytes, output_bytes) = (probs_stride * size_of::<HighHalves>(), stride * size_of::<Lanes>());
        let mut start = 0;
        while start < columns {
            // SAFETY: registers are shaped. Probabilities are sixteen lines of 32 bytes, `prob_bytes` apart; values
            // are eight lines of 64 bytes, `columns` vectors apart; output is sixteen lines of 64 bytes,
            // `output_bytes` apart; columns end before `columns`. All are there by the assertions.
            unsafe {
                if columns - start >= 4 {
                    mix_columns::<4>(probs.as_ptr(), prob_bytes, values, start, columns, output[start..].as_mut_ptr(), output_bytes);
                    start += 4;
                } else {
                    mix_columns::<1>(probs.as_ptr(), prob_bytes, values, start, columns, output[start..].as_mut_ptr(), output_bytes);
                    start += 1;
                }
            }
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: it only resets the registers, which this thread has shaped.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// [`Tiles::mix`] for 1 or 4 columns from `start` on.
///
/// # Safety
/// Registers are shaped, and all that is read and written is there.
#[inline(always)]
unsafe fn mix_columns<const C: usize>(
    probs: *const HighHalves,
    prob_bytes: usize,
    values: &[&[Pairs]],
    start: usize,
    columns: usize,
    output: *mut Lanes,
    output_bytes: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        load::<0, _>(output, output_bytes);
        if C == 4 {
            load::<1, _>(output.add(1), output_bytes);
            load::<2, _>(output.add(2), output_bytes);
            load::<3, _>(output.add(3), output_bytes);
        }
        for (page, values) in values.iter().enumerate() {
            let values = values[start..].as_ptr();
            let bytes = columns * size_of::<Pairs>();
            load::<4, _>(probs.add(page), prob_bytes);
            load::<5, _>(values, bytes);
            multiply::<0, 4, 5>();
            if C == 4 {
                load::<5, _>(values.add(1), bytes);
                multiply::<1, 4, 5>();
                load::<5, _>(values.add(2), bytes);
                multiply::<2, 4, 5>();
                load::<5, _>(values.add(3), bytes);
                multiply::<3, 4, 5>();
            }
        }
        store::<0>(output, output_bytes);
        if C == 4 {
            store::<1>(output.add(1), output_bytes);
            store::<2>(output.add(2), output_bytes);
            store::<3>(output.add(3), output_bytes);
        }
    }
}

/// Whether this process may use AMX: the machine has it, and the system allows it, which is asked for here.
fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
        const XFEATURE_XTILEDATA: u64 = 18;
        let both = AMX_TILE | AMX_BF16;
        if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & both != both {
            return false;
        }
        let mut result = ARCH_PRCTL;
        // SAFETY: a system call of two integers, which changes nothing but this process's permission. It
        // overwrites the registers that are named.
        unsafe {
            asm!(
                "syscall",
                inout("rax") result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _,
                out("r11") _,
                options(nostack)
            );
        }
        result == 0
    })
}

/// # Safety
/// The register is shaped.
#[inline(always)]
unsafe fn zero<const TILE: u8>() {
    // SAFETY: it changes a register that only this module uses.
    unsafe { asm!("tilezero tmm{}", const TILE, options(nostack, nomem)) }
}

/// Loads the lines of a register, `stride` bytes apart.
///
/// # Safety
/// The register is shaped, and its lines are there.
#[inline(always)]
unsafe fn load<const TILE: u8, T>(lines: *const T, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { asm!("tileloadd tmm{}, [{} + {}*1]", const TILE, in(reg) lines, in(reg) stride, options(nostack, readonly)) }
}

/// Stores the lines of a register, `stride` bytes apart.
///
/// # Safety
/// As for [`load`], and nothing else refers to the memory.
#[inline(always)]
unsafe fn store<const TILE: u8>(lines: *mut Lanes, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { asm!("tilestored [{} + {}*1], tmm{}", in(reg) lines, in(reg) stride, const TILE, options(nostack)) }
}

/// `sum += left * right`.
///
/// # Safety
/// The registers are shaped: `right` has as many lines as `left` has pairs in a line.
#[inline(always)]
unsafe fn multiply<const SUM: u8, const LEFT: u8, const RIGHT: u8>() {
    // SAFETY: it changes a register that only this module uses.
    unsafe { asm!("tdpbf16ps tmm{}, tmm{}, tmm{}", const SUM, const LEFT, const RIGHT, options(nostack, nomem)) }
}
