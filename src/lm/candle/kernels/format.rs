//! Quantised formats: what a GGUF file's blocks hold, and how we keep it.
//!
//! All formats say the same thing in different bits: a weight is `scale * (code - zero) + minimum`, with a
//! small unsigned code and a scale (and for some a minimum) for every 32 or 16 columns. [`Layout`] names
//! what differs, [`Format`] makes it known to the compiler, and [`Block::read`] is the only place that
//! knows the bits of the file. (Source of the formats: ggml's `ggml-common.h` and `ggml-quants.c`.)

use candle_core::quantized::GgmlDType;
use half::f16;

/// All formats that weights are read from.
#[cfg(test)]
pub(crate) const READ: [GgmlDType; 11] = [
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::F32,
];

/// Columns whose codes are kept together, and that share an activation scale.
pub(super) const BLOCK: usize = 32;
/// Rows of a tile.
pub(super) const TILE: usize = 16;

/// How one format is kept in memory.
///
/// A tile holds [`TILE`] rows, block after block of [`BLOCK`] columns. A block is its codes, then its
/// scales, then its minimums. Codes stand in words of four columns, word after word, each for all rows:
/// one vector load meets sixteen rows. With 4 bits, word `w` shares its bytes with word `w + 4`, which has
/// the high halves. Scales and minimums stand row after row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bits that a code takes: 4 or 8.
    pub bits: usize,
    pub largest_code: u8,
    /// The code of the weight zero; 0 where there is a minimum.
    pub zero: u8,
    /// Scales of a row in a block: one, or one for each half.
    pub scales: usize,
    pub minimum: bool,
    /// Whether scales are kept as f16, as in the file. Those of the K formats are products of an f16 and a
    /// small integer, which only f32 holds exactly.
    pub half_scales: bool,
}

impl Layout {
    const fn new(bits: usize, largest_code: u8) -> Self {
        Self { bits, largest_code, zero: 0, scales: 1, minimum: false, half_scales: true }
    }

    const fn zero_at(self, zero: u8) -> Self {
        Self { zero, ..self }
    }

    const fn with_minimum(self) -> Self {
        Self { minimum: true, ..self }
    }

    const fn with_full_scales(self, scales: usize) -> Self {
        Self { half_scales: false, scales, ..self }
    }

    /// Bytes of a block's codes.
    pub(super) const fn code_bytes(self) -> usize {
        TILE * BLOCK * self.bits / 8
    }

    /// Bytes of one scale for each row.
    pub(super) const fn scale_bytes(self) -> usize {
        if self.half_scales { TILE * 2 } else { TILE * 4 }
    }

    /// Bytes of a block.
    pub(super) const fn block_bytes(self) -> usize {
        self.code_bytes() + (self.scales + self.minimum as usize) * self.scale_bytes()
    }
}

/// A [`Layout`] that the compiler knows, for kernels.
pub(super) trait Format {
    const LAYOUT: Layout;
}

/// Declares the formats, and how each is kept.
macro_rules! formats {
    ($($name:ident = $layout:expr;)*) => {
        $(#[allow(non_camel_case_types, reason = "ggml's name")]
        pub(super) struct $name;

        impl Format for $name {
            const LAYOUT: Layout = $layout;
        })*

        /// A quantised format that tamis reads.
        #[allow(non_camel_case_types, reason = "ggml's names")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Quantisation {
            $($name,)*
        }

        impl Quantisation {
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// How it is kept.
            pub(super) fn layout(self) -> Layout {
                match self {
                    $(Self::$name => $name::LAYOUT,)*
                }
            }
        }
    };
}

formats! {
    Q4_0 = Layout::new(4, 15).zero_at(8);
    Q4_1 = Layout::new(4, 15).with_minimum();
    Q5_0 = Layout::new(8, 31).zero_at(16);
    Q5_1 = Layout::new(8, 31).with_minimum();
    Q8_0 = Layout::new(8, 255).zero_at(128);
    Q4_K = Layout::new(4, 15).with_minimum().with_full_scales(1);
    Q5_K = Layout::new(8, 31).with_minimum().with_full_scales(1);
    Q6_K = Layout::new(8, 63).zero_at(32).with_full_scales(2);
}

/// Calls a function that is generic in a [`Format`], for a [`Quantisation`] known at run time. (No
/// closure can be generic.)
macro_rules! with_format {
    ($quantisation:expr, $function:ident($($argument:expr),*)) => {{
        use $crate::lm::candle::kernels::format::{self, Quantisation};
        match $quantisation {
            Quantisation::Q4_0 => $function::<format::Q4_0>($($argument),*),
            Quantisation::Q4_1 => $function::<format::Q4_1>($($argument),*),
            Quantisation::Q5_0 => $function::<format::Q5_0>($($argument),*),
            Quantisation::Q5_1 => $function::<format::Q5_1>($($argument),*),
            Quantisation::Q8_0 => $function::<format::Q8_0>($($argument),*),
            Quantisation::Q4_K => $function::<format::Q4_K>($($argument),*),
            Quantisation::Q5_K => $function::<format::Q5_K>($($argument),*),
            Quantisation::Q6_K => $function::<format::Q6_K>($($argument),*),
        }
    }};
}
pub(super) use with_format;

impl Quantisation {
    /// The format that candle calls so, if it is one of these.
    pub(super) fn of(format: GgmlDType) -> Option<Self> {
        Some(match format {
            GgmlDType::Q4_0 => Self::Q4_0,
            GgmlDType::Q4_1 => Self::Q4_1,
            GgmlDType::Q5_0 => Self::Q5_0,
            GgmlDType::Q5_1 => Self::Q5_1,
            GgmlDType::Q8_0 => Self::Q8_0,
            GgmlDType::Q4K => Self::Q4_K,
            GgmlDType::Q5K => Self::Q5_K,
            GgmlDType::Q6K => Self::Q6_K,
            _ => return None,
        })
    }

    /// Bytes and columns of a block in the file.
    fn file_block(self) -> (usize, usize) {
        match self {
            Self::Q4_0 => (18, 32),
            Self::Q4_1 => (20, 32),
            Self::Q5_0 => (22, 32),
            Self::Q5_1 => (24, 32),
            Self::Q8_0 => (34, 32),
            Self::Q4_K => (144, 256),
            Self::Q5_K => (176, 256),
            Self::Q6_K => (210, 256),
        }
    }

    /// Bytes of a row of `columns` in the file.
    pub(super) fn file_row(self, columns: usize) -> usize {
        let (bytes, block) = self.file_block();
        columns / block * bytes
    }
}

/// [`BLOCK`] weights of one row.
pub(super) struct Block {
    pub codes: [u8; BLOCK],
    /// One for each half; equal where the format has but one.
    pub scales: [f32; 2],
    pub minimum: f32,
}

impl Block {
    /// Reads block number `block` of a row as the file has it.
    pub(super) fn read(format: Quantisation, row: &[u8], block: usize) -> Self {
        let (bytes, columns) = format.file_block();
        let within = block % (columns / BLOCK);
        let bytes = &row[block / (columns / BLOCK) * bytes..][..bytes];
        match format {
            Quantisation::Q4_0 => Self::plain(half(bytes, 0), 0.0, nibbles(&bytes[2..])),
            Quantisation::Q4_1 => Self::plain(half(bytes, 0), half(bytes, 2), nibbles(&bytes[4..])),
            Quantisation::Q5_0 => Self::plain(half(bytes, 0), 0.0, with_fifth_bits(nibbles(&bytes[6..]), &bytes[2..])),
            Quantisation::Q5_1 => Self::plain(half(bytes, 0), half(bytes, 2), with_fifth_bits(nibbles(&bytes[8..]), &bytes[4..])),
            // Signed in the file: flipping the sign bit adds 128.
            Quantisation::Q8_0 => Self::plain(half(bytes, 0), 0.0, std::array::from_fn(|i| bytes[2 + i] ^ 0x80)),
            Quantisation::Q4_K => Self::four_or_five_bits(bytes, &bytes[16..], None, within),
            Quantisation::Q5_K => Self::four_or_five_bits(bytes, &bytes[48..], Some(&bytes[16..48]), within),
            Quantisation::Q6_K => Self::six_bits(bytes, within),
        }
    }

    fn plain(scale: f32, minimum: f32, codes: [u8; BLOCK]) -> Self {
        Self { codes, scales: [scale; 2], minimum }
    }

    /// Block `within` of eight in a Q4_K or Q5_K superblock: two f16 factors, 8 scales and 8 minimums of
    /// six bits in 12 bytes, then for Q5_K the fifth bits, one byte for the same column of all blocks,
    /// then the low bits, two blocks to 32 bytes.
    fn four_or_five_bits(bytes: &[u8], low: &[u8], fifth: Option<&[u8]>, within: usize) -> Self {
        let packed = &bytes[4..16];
        let (scale, minimum) = if within < 4 {
            (packed[within] & 63, packed[within + 4] & 63)
        } else {
            let both = packed[within + 4];
            ((both & 15) | packed[within - 4] >> 6 << 4, both >> 4 | packed[within] >> 6 << 4)
        };
        let low = &low[within / 2 * 32..][..32];
        let shift = within % 2 * 4;
        let codes = std::array::from_fn(|i| {
            let fifth = fifth.map_or(0, |fifth| fifth[i] >> within & 1);
            low[i] >> shift & 15 | fifth << 4
        });
        Self::plain(half(bytes, 0) * f32::from(scale), -(half(bytes, 2) * f32::from(minimum)), codes)
    }

    /// Block `within` of eight in a Q6_K superblock: the low four bits, the high two, 16 signed scales, an
    /// f16 factor. Each half of the superblock keeps its four blocks' low bits in 64 bytes, two to each
    /// byte, and their high bits in 32.
    fn six_bits(bytes: &[u8], within: usize) -> Self {
        let (upper, quarter) = (within / 4, within % 4);
        let low = &bytes[upper * 64 + quarter % 2 * 32..][..32];
        let high = &bytes[128 + upper * 32..][..32];
        let codes = std::array::from_fn(|i| low[i] >> (quarter / 2 * 4) & 15 | (high[i] >> (quarter * 2) & 3) << 4);
        let factor = half(bytes, 208);
        let scale = |i: usize| factor * f32::from(bytes[192 + within * 2 + i].cast_signed());
        Self { codes, scales: [scale(0), scale(1)], minimum: 0.0 }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// 32 codes of four bits: the low halves of 16 bytes, then the high ones.
fn nibbles(bytes: &[u8]) -> [u8; BLOCK] {
    let mut codes = [0; BLOCK];
    for (i, byte) in bytes[..BLOCK / 2].iter().enumerate() {
        codes[i] = byte & 15;
        codes[i + BLOCK / 2] = byte >> 4;
    }
    codes
}

/// Adds bit `i` of the four bytes to code `i`, as its fifth.
fn with_fifth_bits(mut codes: [u8; BLOCK], bytes: &[u8]) -> [u8; BLOCK] {
    let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    for (i, code) in codes.iter_mut().enumerate() {
        *code |= ((bits >> i & 1) as u8) << 4;
    }
    codes
}
