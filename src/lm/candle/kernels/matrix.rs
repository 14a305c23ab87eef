//! Matrices of weights: repacking, products, single rows.

use super::activations::{Activations, Row};
use super::arena::{Arena, Bytes};
use super::format::{BLOCK, Block, Format, Layout, Quantisation, TILE, with_format};
use super::pool::Pool;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use super::{float, portable};
use crate::lm::LmError;
use crate::simd::pieces;
use candle_core::quantized::GgmlDType;
use half::{bf16, f16};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;

/// Tasks for each thread in a product: enough for the fastest to help the slowest.
const TASKS: usize = 4;

/// A matrix of weights, `rows` outputs by `columns` inputs.
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    weights: Weights,
}

/// Tiles of [`TILE`] rows; the last one is filled up with zeros.
enum Weights {
    /// As [`Layout`] tells.
    Quantised { quantisation: Quantisation, bytes: Bytes },
    /// `[column][row]`; formats that are not quantised become `f32`.
    Float { values: Vec<f32> },
}

impl Matrix {
    /// Repacks a matrix of a GGUF file. `bytes` holds its rows end to end.
    ///
    /// # Errors
    /// If the format is none that tamis reads, or there is too little memory.
    ///
    /// # Panics
    /// If the rows are not made up of whole blocks, or `bytes` is shorter than the matrix.
    pub(crate) fn from_ggml(
        format: GgmlDType,
        rows: usize,
        columns: usize,
        bytes: &[u8],
        arena: &Arena,
        pool: &Pool,
    ) -> Result<Self, LmError> {
        let float = |element: usize, read: fn(&[u8]) -> f32| repack_floats(rows, columns, bytes, element, read, pool);
        let weights = match (Quantisation::of(format), format) {
            (Some(quantisation), _) => Weights::Quantised { quantisation, bytes: repack(quantisation, rows, columns, bytes, arena, pool)? },
            (None, GgmlDType::F32) => float(4, |bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            (None, GgmlDType::F16) => float(2, |bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()),
            (None, GgmlDType::BF16) => float(2, |bytes| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32()),
            _ => return Err(LmError::unsupported(format!("tamis does not read weights stored as {format:?}"))),
        };
        Ok(Self { rows, columns, weights })
    }

    /// The number of outputs.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// The weights of one row, exactly as the file has them.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (tile, row) = (row / TILE, row % TILE);
        match &self.weights {
            Weights::Float { values } => {
                let tile = &values[tile * TILE * self.columns..][..TILE * self.columns];
                for (out, column) in out.iter_mut().zip(tile.as_chunks::<TILE>().0) {
                    *out = column[row];
                }
            }
            Weights::Quantised { quantisation, bytes } => {
                let layout = quantisation.layout();
                let tile_bytes = self.columns / BLOCK * layout.block_bytes();
                let blocks = bytes[tile * tile_bytes..][..tile_bytes].chunks_exact(layout.block_bytes());
                for (out, block) in out.chunks_exact_mut(BLOCK).zip(blocks) {
                    read_block(layout, block, row, out);
                }
            }
        }
    }

    /// Multiplies some tiles with all rows of activations. `put` gets the number of a tile, that of the
    /// first of some rows of activations, and each of these rows' products.
    fn multiply_tiles(&self, level: Level, tiles: Range<usize>, activations: &Activations, put: impl FnMut(usize, usize, &[[f32; TILE]])) {
        match &self.weights {
            Weights::Quantised { quantisation, bytes } => {
                with_format!(*quantisation, quantised_tiles(level, bytes, self.columns, tiles, activations, put));
            }
            Weights::Float { values } => {
                let tile = |number: usize| FloatTile(&values[number * TILE * self.columns..][..TILE * self.columns]);
                multiply_each(tiles, tile, activations, put);
            }
        }
    }
}

fn quantised_tiles<F: Format>(
    level: Level,
    bytes: &[u8],
    columns: usize,
    tiles: Range<usize>,
    activations: &Activations,
    put: impl FnMut(usize, usize, &[[f32; TILE]]),
) {
    let length = columns / BLOCK * F::LAYOUT.block_bytes();
    let tile = |number: usize| QuantisedTile::<F> { bytes: &bytes[number * length..][..length], level, format: PhantomData };
    multiply_each(tiles, tile, activations, put);
}

/// [`TILE`] rows of weights.
trait Tile {
    /// How many rows of activations to meet at once: 4 or 8.
    fn most_rows(&self) -> usize;

    /// Their products with `M` rows of activations.
    fn dot<const M: usize>(&self, rows: [Row<'_>; M]) -> [[f32; TILE]; M];
}

#[inline(always)]
fn multiply_each<T: Tile>(
    tiles: Range<usize>,
    tile: impl Fn(usize) -> T,
    activations: &Activations,
    mut put: impl FnMut(usize, usize, &[[f32; TILE]]),
) {
    for number in tiles {
        let tile = tile(number);
        for rows in pieces(0..activations.rows(), tile.most_rows()) {
            let row = |m: usize| activations.row(rows.start + m);
            match rows.len() {
                8 => put(number, rows.start, &tile.dot::<8>(std::array::from_fn(row))),
                4 => put(number, rows.start, &tile.dot::<4>(std::array::from_fn(row))),
                3 => put(number, rows.start, &tile.dot::<3>(std::array::from_fn(row))),
                2 => put(number, rows.start, &tile.dot::<2>(std::array::from_fn(row))),
                _ => put(number, rows.start, &tile.dot::<1>(std::array::from_fn(row))),
            }
        }
    }
}

struct FloatTile<'a>(&'a [f32]);

impl Tile for FloatTile<'_> {
    fn most_rows(&self) -> usize {
        4
    }

    fn dot<const M: usize>(&self, rows: [Row<'_>; M]) -> [[f32; TILE]; M] {
        float::dot(self.0, rows.map(|row| row.values))
    }
}

struct QuantisedTile<'a, F> {
    bytes: &'a [u8],
    level: Level,
    format: PhantomData<F>,
}

impl<F: Format> Tile for QuantisedTile<'_, F> {
    #[inline]
    fn most_rows(&self) -> usize {
        match self.level {
            // 32 registers hold the sums of eight rows.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 8,
            _ => 4,
        }
    }

    #[inline]
    fn dot<const M: usize>(&self, rows: [Row<'_>; M]) -> [[f32; TILE]; M] {
        let rows = rows.map(|row| row.blocks);
        match self.level {
            Level::Portable => portable::dot::<F, M>(self.bytes, rows),
            // SAFETY: the function asks for AVX2, FMA and F16C, and `Level::all` has seen them.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { avx2::dot::<F, M>(self.bytes, rows) },
            // SAFETY: the function asks for AVX-512 F, BW, VL and VNNI, and `Level::all` has seen them.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512::dot::<F, M>(self.bytes, rows) },
        }
    }
}

/// One matrix to multiply, and where to.
pub(crate) struct Product<'a> {
    pub matrix: &'a Matrix,
    /// `[row of activations][row of the matrix]`.
    pub output: &'a mut [f32],
}

/// Multiplies the same activations with several matrices at once.
///
/// # Panics
/// If a matrix has other columns than the activations, or an output is not of the right size.
pub(crate) fn multiply(products: &mut [Product<'_>], activations: &Activations, pool: &Pool) {
    multiply_at(Level::of_machine(), products, activations, pool);
}

fn multiply_at(level: Level, products: &mut [Product<'_>], activations: &Activations, pool: &Pool) {
    for product in products.iter() {
        assert_eq!(product.matrix.columns, activations.columns(), "the activations have the matrix's columns");
        assert_eq!(product.output.len(), activations.rows() * product.matrix.rows, "the output has the product's size");
    }
    let outputs: Vec<(&Matrix, Output<'_>)> =
        products.iter_mut().map(|product| (product.matrix, Output::new(product.output, product.matrix.rows))).collect();
    // All matrices' tiles are numbered as those of one.
    let tiles: usize = outputs.iter().map(|(matrix, _)| matrix.tiles()).sum();
    let per_task = tiles.div_ceil(pool.threads() * TASKS).max(1);
    pool.run(tiles.div_ceil(per_task), |task| {
        let mut first = 0;
        for (matrix, output) in &outputs {
            let end = first + matrix.tiles();
            let here = (task * per_task).clamp(first, end) - first..((task + 1) * per_task).clamp(first, end) - first;
            matrix.multiply_tiles(level, here, activations, |tile, row, products| {
                // SAFETY: every tile belongs to one task, and a task to one thread.
                unsafe { output.put(tile, row, products) }
            });
            first = end;
        }
    });
}

/// Which vector kernels are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Those that this machine can run, best last.
    fn all() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
                levels.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                levels.push(Self::Avx512);
            }
        }
        levels
    }

    /// The best that this machine can run.
    fn of_machine() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| Self::all().into_iter().next_back().unwrap_or(Self::Portable))
    }
}

/// The output of one matrix, written by tiles from several threads.
struct Output<'a> {
    start: *mut f32,
    /// Outputs of one row of activations.
    width: usize,
    rows: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable slice that threads write to through `put`, whose callers keep to disjoint parts.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    fn new(values: &'a mut [f32], width: usize) -> Self {
        Self { start: values.as_mut_ptr(), width, rows: values.len() / width.max(1), values: PhantomData }
    }

    /// Writes the products of one tile with some rows of activations, the first of which is `first`.
    ///
    /// # Safety
    /// No other thread may write the same tile.
    unsafe fn put(&self, tile: usize, first: usize, products: &[[f32; TILE]]) {
        let (start, length) = (tile * TILE, TILE.min(self.width - tile * TILE));
        assert!(first + products.len() <= self.rows);
        for (row, products) in (first..).zip(products) {
            // SAFETY: `row < rows` and `start + length <= width`, so the part lies in the slice that this
            // value was made from; it is borrowed mutably for as long as this value lives, and by the
            // caller's promise nobody else has a reference to the part.
            let part = unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.width + start), length) };
            part.copy_from_slice(&products[..length]);
        }
    }
}

/// Repacks quantised rows into tiles.
fn repack(quantisation: Quantisation, rows: usize, columns: usize, bytes: &[u8], arena: &Arena, pool: &Pool) -> Result<Bytes, LmError> {
    let layout = quantisation.layout();
    let file_row = quantisation.file_row(columns);
    let tile_bytes = columns / BLOCK * layout.block_bytes();
    let mut packed = arena.bytes(rows.div_ceil(TILE) * tile_bytes)?;
    for_each_tile(&mut packed, tile_bytes, pool, |tile, packed| {
        let rows = (tile * TILE..rows.min((tile + 1) * TILE)).enumerate();
        for (row, number) in rows {
            let file = &bytes[number * file_row..][..file_row];
            for (number, packed) in packed.chunks_exact_mut(layout.block_bytes()).enumerate() {
                write_block(layout, packed, row, &Block::read(quantisation, file, number));
            }
        }
    });
    Ok(packed)
}

/// Repacks rows of floats, of `element` bytes each, into tiles.
fn repack_floats(rows: usize, columns: usize, bytes: &[u8], element: usize, read: fn(&[u8]) -> f32, pool: &Pool) -> Weights {
    let mut values = vec![0.0; rows.div_ceil(TILE) * TILE * columns];
    for_each_tile(&mut values, TILE * columns, pool, |tile, values| {
        for (row, number) in (tile * TILE..rows.min((tile + 1) * TILE)).enumerate() {
            let file = bytes[number * columns * element..][..columns * element].chunks_exact(element);
            for (column, file) in values.as_chunks_mut::<TILE>().0.iter_mut().zip(file) {
                column[row] = read(file);
            }
        }
    });
    Weights::Float { values }
}

/// Calls `fill` with the number and the memory of each tile.
fn for_each_tile<T: Send>(memory: &mut [T], tile: usize, pool: &Pool, fill: impl Fn(usize, &mut [T]) + Sync) {
    if tile == 0 {
        return;
    }
    let per_task = (memory.len() / tile).div_ceil(pool.threads() * TASKS).max(1);
    pool.run_with(memory.chunks_mut(tile * per_task).enumerate(), |(task, part)| {
        for (number, memory) in part.chunks_exact_mut(tile).enumerate() {
            fill(task * per_task + number, memory);
        }
    });
}

/// Writes one row of a block to its places in the tile.
fn write_block(layout: Layout, packed: &mut [u8], row: usize, block: &Block) {
    let (codes, scales) = packed.split_at_mut(layout.code_bytes());
    let words = if layout.bits == 8 { BLOCK / 4 } else { BLOCK / 8 };
    for word in 0..words {
        for byte in 0..4 {
            let low = block.codes[word * 4 + byte];
            let high = if layout.bits == 8 { 0 } else { block.codes[(word + words) * 4 + byte] << 4 };
            codes[(word * TILE + row) * 4 + byte] = low | high;
        }
    }
    let minimum = layout.minimum.then_some(block.minimum);
    for (scale, scales) in block.scales[..layout.scales].iter().copied().chain(minimum).zip(scales.chunks_exact_mut(layout.scale_bytes())) {
        if layout.half_scales {
            scales[row * 2..][..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        } else {
            scales[row * 4..][..4].copy_from_slice(&scale.to_le_bytes());
        }
    }
}

/// Reads one row of a block from its places in the tile.
fn read_block(layout: Layout, packed: &[u8], row: usize, weights: &mut [f32]) {
    let minimum = if layout.minimum { portable::scale(layout, packed, layout.scales, row) } else { 0.0 };
    for (column, weight) in weights.iter_mut().enumerate() {
        let scale = portable::scale(layout, packed, column * layout.scales / BLOCK, row);
        let code = i32::from(portable::code(layout, packed, row, column)) - i32::from(layout.zero);
        *weight = scale * code as f32;
        if layout.minimum {
            *weight += minimum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::READ;
    use super::*;
    use candle_core::quantized::{QStorage, QTensor};
    use candle_core::{Device, Tensor};
    use std::borrow::Cow;

    /// Numbers from -1 to 1, without order.
    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// A matrix as candle quantises it: repacked, and as candle dequantises it.
    fn matrix(format: GgmlDType, rows: usize, columns: usize, pool: &Pool) -> (Matrix, Vec<f32>) {
        let tensor = Tensor::from_vec(noise(rows * columns, 1), (rows, columns), &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&tensor, format).unwrap();
        let bytes = tensor.data().unwrap().into_owned();
        let matrix = Matrix::from_ggml(format, rows, columns, &bytes, &Arena::default(), pool).unwrap();
        let storage = QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, format).unwrap();
        let weights = QTensor::new(storage, (rows, columns)).unwrap().dequantize(&Device::Cpu).unwrap();
        (matrix, weights.flatten_all().unwrap().to_vec1().unwrap())
    }

    fn activations(rows: usize, columns: usize, pool: &Pool) -> Activations {
        let mut activations = Activations::default();
        activations.resize(rows, columns);
        activations.values_mut().copy_from_slice(&noise(rows * columns, 2));
        activations.finish(pool, |_, _| ());
        activations
    }

    fn product(level: Level, matrix: &Matrix, activations: &Activations, pool: &Pool) -> Vec<f32> {
        let mut output = vec![f32::NAN; activations.rows() * matrix.rows];
        multiply_at(level, &mut [Product { matrix, output: &mut output }], activations, pool);
        output
    }

    fn shapes(format: GgmlDType) -> [(usize, usize); 4] {
        let block = format.block_size().max(32);
        [(1, block), (15, 2 * block), (16, 3 * block), (83, 5 * block)]
    }

    #[test]
    fn rows_are_what_candle_dequantises() {
        let pool = Pool::new(2);
        for format in READ {
            for (rows, columns) in shapes(format) {
                let (matrix, expected) = matrix(format, rows, columns, &pool);
                for (number, expected) in expected.chunks_exact(columns).enumerate() {
                    let mut row = vec![0.0; columns];
                    matrix.row(number, &mut row);
                    assert_eq!(row, expected, "{format:?}, {rows} x {columns}, row {number}");
                }
            }
        }
    }

    #[test]
    fn products_are_near_those_of_dequantised_weights() {
        let pool = Pool::new(2);
        for format in READ {
            for (rows, columns) in shapes(format) {
                let (matrix, weights) = matrix(format, rows, columns, &pool);
                let activations = activations(3, columns, &pool);
                let output = product(Level::of_machine(), &matrix, &activations, &pool);
                for (input, output) in activations.values().chunks_exact(columns).zip(output.chunks_exact(rows)) {
                    for (weights, output) in weights.chunks_exact(columns).zip(output) {
                        let expected: f64 = weights.iter().zip(input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                        // An activation is off by at most 1/254, on average half of that, in any direction;
                        // weights are at most 1.
                        let tolerance = if format.block_size() == 1 { 1e-4 } else { 6.0 / 508.0 * (columns as f64 / 3.0).sqrt() };
                        assert!((f64::from(*output) - expected).abs() < tolerance, "{format:?}, {rows} x {columns}: {output}, {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_level_any_batch_and_any_number_of_threads_give_the_same_bits() {
        let pools = [Pool::new(1), Pool::new(3)];
        for format in READ {
            for (rows, columns) in shapes(format) {
                let (matrix, _) = matrix(format, rows, columns, &pools[0]);
                let all = activations(13, columns, &pools[0]);
                let expected = product(Level::Portable, &matrix, &all, &pools[0]);
                for level in Level::all() {
                    for batch in [1, 2, 3, 4, 5, 7, 8, 13] {
                        let mut some = Activations::default();
                        some.resize(batch, columns);
                        some.values_mut().copy_from_slice(&all.values()[..batch * columns]);
                        some.finish(&pools[0], |_, _| ());
                        let output = product(level, &matrix, &some, &pools[batch % 2]);
                        assert_eq!(output, expected[..batch * rows], "{format:?} {level:?}, {rows} x {columns}, {batch} rows");
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_codes_do_not_overflow() {
        let pool = Pool::new(1);
        for quantisation in Quantisation::ALL {
            let layout = quantisation.layout();
            let columns = 256;
            let mut bytes = Arena::default().bytes(columns / BLOCK * layout.block_bytes()).unwrap();
            for packed in bytes.chunks_exact_mut(layout.block_bytes()) {
                for row in 0..TILE {
                    let codes = [if row % 2 == 0 { layout.largest_code } else { 0 }; BLOCK];
                    write_block(layout, packed, row, &Block { codes, scales: [1.0; 2], minimum: 0.0 });
                }
            }
            let matrix = Matrix { rows: TILE, columns, weights: Weights::Quantised { quantisation: *quantisation, bytes } };
            let mut activations = Activations::default();
            activations.resize(2, columns);
            activations.values_mut()[..columns].fill(127.0);
            activations.values_mut()[columns..].fill(-127.0);
            activations.finish(&pool, |_, _| ());
            for level in Level::all() {
                let output = product(level, &matrix, &activations, &pool);
                for (number, output) in output.iter().enumerate() {
                    let code = if number % 2 == 0 { layout.largest_code } else { 0 };
                    let sign = if number < TILE { 1.0 } else { -1.0 };
                    let expected = sign * 127.0 * columns as f32 * (f32::from(code) - f32::from(layout.zero));
                    assert_eq!(*output, expected, "{quantisation:?} {level:?}");
                }
            }
        }
    }

    #[test]
    fn several_matrices_are_multiplied_as_if_one_by_one() {
        let pool = Pool::new(2);
        let (columns, rows) = (256, [33, 0, 5, 64]);
        let formats = [GgmlDType::Q4_1, GgmlDType::Q8_0, GgmlDType::F32, GgmlDType::Q6K];
        let matrices: Vec<Matrix> = rows.iter().zip(formats).map(|(rows, format)| matrix_or_none(format, *rows, columns, &pool)).collect();
        let activations = activations(5, columns, &pool);
        let mut outputs: Vec<Vec<f32>> = rows.iter().map(|rows| vec![f32::NAN; 5 * rows]).collect();
        let mut products: Vec<_> = matrices.iter().zip(&mut outputs).map(|(matrix, output)| Product { matrix, output }).collect();
        multiply(&mut products, &activations, &pool);
        for (matrix, output) in matrices.iter().zip(&outputs) {
            assert_eq!(*output, product(Level::of_machine(), matrix, &activations, &pool));
        }
    }

    fn matrix_or_none(format: GgmlDType, rows: usize, columns: usize, pool: &Pool) -> Matrix {
        if rows == 0 {
            Matrix::from_ggml(format, 0, columns, &[], &Arena::default(), pool).unwrap()
        } else {
            matrix(format, rows, columns, pool).0
        }
    }
}
