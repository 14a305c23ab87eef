//! The kernels, each as a safe function: shapes are checked here, and only here is a kernel launched.
//!
//! A launch is asynchronous and may read and write whatever its arguments point to, so all of this is unsafe
//! code. SAFETY, for all launches: arguments have the types and the order of `kernels.cu` (32-bit integers and
//! floats by value, everything else as an address); every buffer is asserted to be as large as the kernel's shape
//! makes it; all work is in one stream, so that a buffer given back to the driver is still there for what
//! was launched before. What no assertion can see, since it lies on the device, is told at each function.

use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, CudaView, CudaViewMut, DevicePtr, DriverError, LaunchArgs, LaunchConfig,
    PushKernelArg,
};
use cudarc::nvrtc::Ptx;
use std::sync::Arc;

use super::weights::DeviceMatrix;
use crate::next_token::CHUNK;

/// Threads of most blocks, as in `kernels.cu`.
const THREADS: u32 = 256;
/// Threads of a block of attention.
const ATTENTION_THREADS: u32 = 512;
/// Chunks of a row that a block takes: with a warp to each, and with half a warp.
const CHUNKS_BY_WARP: usize = 8;
const CHUNKS_BY_HALF_WARP: usize = 16;
/// The most elements of a head.
pub(super) const LARGEST_HEAD: usize = 256;
/// Elements of a head come in pieces of this.
pub(super) const HEAD_PIECE: usize = 16;
/// Outputs from which on blocks of many outputs are worth their while.
const MANY_OUTPUTS: usize = 2048;
/// Words (of 64 bits) of a chunk's summary.
pub(super) const SUMMARY_WORDS: usize = 3;

/// What `kernels.ptx` holds.
pub(super) struct Kernels {
    embed: CudaFunction,
    gather: CudaFunction,
    rms_norm: CudaFunction,
    /// By the rows and outputs of a block, in units of 16 and 8: see [`Launcher::multiply`].
    multiply: [CudaFunction; 4],
    place: CudaFunction,
    /// For heads of up to 64, 128 and 256 elements.
    attend: [CudaFunction; 3],
    gated: CudaFunction,
    chunk_largest: CudaFunction,
    chunk_masses: CudaFunction,
    likeliest_chunks: CudaFunction,
    copy_pages: CudaFunction,
}

impl Kernels {
    pub(super) fn load(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        let module = context.load_module(Ptx::from_src(include_str!("kernels.ptx")))?;
        let function = |name| module.load_function(name);
        Ok(Self {
            embed: function("embed")?,
            gather: function("gather")?,
            rms_norm: function("rms_norm")?,
            multiply: [function("multiply_1_2")?, function("multiply_2_2")?, function("multiply_4_2")?, function("multiply_4_4")?],
            place: function("place")?,
            attend: [function("attend_1")?, function("attend_2")?, function("attend_4")?],
            gated: function("gated")?,
            chunk_largest: function("chunk_largest")?,
            chunk_masses: function("chunk_masses")?,
            likeliest_chunks: function("likeliest_chunks")?,
            copy_pages: function("copy_pages")?,
        })
    }
}

/// The heads of a layer.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub layer: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub size: usize,
}

impl Heads {
    /// Queries, keys and values of a row.
    fn width(self) -> usize {
        (self.heads + 2 * self.key_heads) * self.size
    }
}

/// How queries and keys are normed and turned before they are placed.
pub(super) struct Turn<'a> {
    pub query_norm: Option<&'a CudaSlice<f32>>,
    pub key_norm: Option<&'a CudaSlice<f32>>,
    pub epsilon: f32,
    /// Cosine and sine of each pair: `[position][pair][2]`.
    pub rotations: &'a CudaSlice<f32>,
    pub pairs: usize,
    /// Whether neighbours form the pairs, and not halves.
    pub neighbours: bool,
    pub score_scale: f32,
}

/// Where each row's positions are. All words of 32 bits come two to a word of 64.
pub(super) struct Places<'a> {
    /// The page of each row's own position.
    pub pages: CudaView<'a, u64>,
    pub positions: CudaView<'a, u64>,
    /// Where each row's table of pages begins in `tables`.
    pub starts: CudaView<'a, u64>,
    pub tables: CudaView<'a, u64>,
}

/// Launches kernels in a stream.
pub(super) struct Launcher<'a> {
    pub stream: &'a CudaStream,
    pub kernels: &'a Kernels,
}

/// The address of an optional argument; zero for none.
fn address<T>(slice: Option<&CudaSlice<T>>, stream: &CudaStream) -> u64 {
    slice.map_or(0, |slice| slice.device_ptr(stream).0)
}

fn int(number: usize) -> i32 {
    i32::try_from(number).expect("sizes of models fit into 31 bits")
}

fn words32(count: usize) -> usize {
    count.div_ceil(2)
}

fn grid(x: usize, y: usize, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (int(x) as u32, int(y) as u32, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

type Launched = Result<(), DriverError>;

impl Launcher<'_> {
    fn call<'b>(&'b self, function: &'b CudaFunction) -> LaunchArgs<'b> {
        self.stream.launch_builder(function)
    }

    /// The embeddings of `rows` tokens, which must be below the table's outputs.
    pub(super) fn embed(
        &self,
        table: &DeviceMatrix,
        tokens: &CudaView<'_, u64>,
        scale: f32,
        rows: usize,
        stream: &mut CudaSlice<f32>,
    ) -> Launched {
        assert!(tokens.len() >= words32(rows) && stream.len() >= rows * table.inputs);
        let width = int(table.inputs);
        let mut call = self.call(&self.kernels.embed);
        call.arg(&table.weights).arg(tokens).arg(&scale).arg(&width).arg(stream);
        // SAFETY: see the module; the caller promises the tokens' range.
        unsafe { call.launch(grid(rows, 1, THREADS)) }.map(drop)
    }

    /// `count` rows of `from`, whose numbers must be rows of it.
    pub(super) fn gather(
        &self,
        from: &CudaSlice<f32>,
        numbers: &CudaView<'_, u64>,
        count: usize,
        width: usize,
        to: &mut CudaSlice<f32>,
    ) -> Launched {
        assert!(numbers.len() >= words32(count) && to.len() >= count * width);
        let width = int(width);
        let mut call = self.call(&self.kernels.gather);
        call.arg(from).arg(numbers).arg(&width).arg(to);
        // SAFETY: see the module; the caller promises the numbers' range.
        unsafe { call.launch(grid(count, 1, THREADS)) }.map(drop)
    }

    /// Norms `rows` rows; adds to what is in `output` where `add` is set.
    pub(super) fn rms_norm(
        &self,
        input: &CudaSlice<f32>,
        weight: &CudaSlice<f32>,
        epsilon: f32,
        rows: usize,
        add: bool,
        output: &mut CudaSlice<f32>,
    ) -> Launched {
        assert!(input.len() >= rows * weight.len() && output.len() >= rows * weight.len());
        let (width, add) = (int(weight.len()), i32::from(add));
        let mut call = self.call(&self.kernels.rms_norm);
        call.arg(input).arg(weight).arg(&epsilon).arg(&width).arg(&add).arg(output);
        // SAFETY: see the module.
        unsafe { call.launch(grid(rows, 1, THREADS)) }.map(drop)
    }

    /// Products of `rows` rows with a matrix; added to what is in `output` where `add` is set.
    pub(super) fn multiply(
        &self,
        input: &CudaSlice<f32>,
        matrix: &DeviceMatrix,
        bias: Option<&CudaSlice<f32>>,
        rows: usize,
        add: bool,
        output: &mut CudaSlice<f32>,
    ) -> Launched {
        assert!(input.len() >= rows * matrix.inputs && output.len() >= rows * matrix.outputs);
        assert!(bias.is_none_or(|bias| bias.len() == matrix.outputs));
        // Which block is taken changes no bits.
        let (which, tall, wide) = match rows {
            ..=16 => (0, 1, 2),
            17..=32 => (1, 2, 2),
            _ if matrix.outputs < MANY_OUTPUTS => (2, 4, 2),
            _ => (3, 4, 4),
        };
        let bias = address(bias, self.stream);
        let (count, outputs, inputs, add) = (int(rows), int(matrix.outputs), int(matrix.inputs), i32::from(add));
        let mut call = self.call(&self.kernels.multiply[which]);
        call.arg(input).arg(&matrix.weights).arg(&bias).arg(&count).arg(&outputs).arg(&inputs).arg(&add).arg(output);
        let grid = grid(matrix.outputs.div_ceil(8 * wide), rows.div_ceil(16 * tall), THREADS);
        // SAFETY: see the module; matrices have whole pieces of inputs.
        unsafe { call.launch(grid) }.map(drop)
    }

    /// Norms and turns the queries and keys of `rows` rows, and writes keys and values into the rows' pages, which
    /// must be alive and have this model's shape; rotations must reach to the largest position.
    pub(super) fn place(
        &self,
        projected: &mut CudaSlice<f32>,
        heads: Heads,
        turn: &Turn<'_>,
        places: &Places<'_>,
        rows: usize,
    ) -> Launched {
        assert!(projected.len() >= rows * heads.width() && heads.size <= LARGEST_HEAD && 2 * turn.pairs <= heads.size);
        assert!(places.pages.len() >= rows && places.positions.len() >= words32(rows));
        assert!([turn.query_norm, turn.key_norm].into_iter().flatten().all(|norm| norm.len() == heads.size));
        let (query_norm, key_norm) = (address(turn.query_norm, self.stream), address(turn.key_norm, self.stream));
        let (pairs, neighbours) = (int(turn.pairs), i32::from(turn.neighbours));
        let (layer, count, key_heads, size) = (int(heads.layer), int(heads.heads), int(heads.key_heads), int(heads.size));
        let mut call = self.call(&self.kernels.place);
        call.arg(projected).arg(&query_norm).arg(&key_norm).arg(&turn.epsilon).arg(turn.rotations).arg(&pairs).arg(&neighbours);
        call.arg(&places.pages).arg(&places.positions).arg(&layer).arg(&count).arg(&key_heads).arg(&size).arg(&turn.score_scale);
        // SAFETY: see the module; the caller promises the pages and the rotations.
        unsafe { call.launch(grid(rows, heads.heads + 2 * heads.key_heads, 32)) }.map(drop)
    }

    /// Attention of `rows` rows, whose tables must hold the pages of all positions up to each row's own.
    pub(super) fn attend(
        &self,
        projected: &CudaSlice<f32>,
        heads: Heads,
        places: &Places<'_>,
        window: Option<usize>,
        rows: usize,
        output: &mut CudaSlice<f32>,
    ) -> Launched {
        assert!(projected.len() >= rows * heads.width() && output.len() >= rows * heads.heads * heads.size);
        assert!(heads.size <= LARGEST_HEAD && heads.size.is_multiple_of(HEAD_PIECE));
        assert!(places.positions.len() >= words32(rows) && places.starts.len() >= words32(rows));
        let (layer, count, key_heads, size) = (int(heads.layer), int(heads.heads), int(heads.key_heads), int(heads.size));
        let window = int(window.unwrap_or(0));
        let mut call = self.call(&self.kernels.attend[usize::from(heads.size > 64) + usize::from(heads.size > 128)]);
        call.arg(projected).arg(&places.tables).arg(&places.starts).arg(&places.positions);
        call.arg(&layer).arg(&count).arg(&key_heads).arg(&size).arg(&window).arg(output);
        // SAFETY: see the module; the caller promises the tables.
        unsafe { call.launch(grid(rows, heads.heads, ATTENTION_THREADS)) }.map(drop)
    }

    /// `activation(gate) * up` of `rows` rows of `width` gates, then as many ups.
    pub(super) fn gated(&self, both: &CudaSlice<f32>, width: usize, gelu: bool, rows: usize, output: &mut CudaSlice<f32>) -> Launched {
        assert!(both.len() >= rows * 2 * width && output.len() >= rows * width);
        let (wide, gelu) = (int(width), i32::from(gelu));
        let mut call = self.call(&self.kernels.gated);
        call.arg(both).arg(&wide).arg(&gelu).arg(output);
        // SAFETY: see the module.
        unsafe { call.launch(grid(width.div_ceil(THREADS as usize), rows, THREADS)) }.map(drop)
    }

    /// Sums up `rows` rows of `size` logits, chunk by chunk: the largest logit of each row and
    /// [`SUMMARY_WORDS`] words to each chunk. `largest` is for intermediate results.
    pub(super) fn summarise(
        &self,
        logits: &CudaSlice<f32>,
        size: usize,
        rows: usize,
        largest: &mut CudaSlice<f32>,
        row_largest: &mut CudaViewMut<'_, u64>,
        summaries: &mut CudaViewMut<'_, u64>,
    ) -> Launched {
        let chunks = size.div_ceil(CHUNK);
        assert!(logits.len() >= rows * size && largest.len() >= rows * chunks);
        assert!(row_largest.len() >= words32(rows) && summaries.len() >= rows * chunks * SUMMARY_WORDS);
        let (size, count) = (int(size), int(chunks));
        let mut call = self.call(&self.kernels.chunk_largest);
        call.arg(logits).arg(&size).arg(&count).arg(&mut *largest);
        // SAFETY: see the module.
        unsafe { call.launch(grid(chunks.div_ceil(CHUNKS_BY_WARP), rows, THREADS)) }?;
        let mut call = self.call(&self.kernels.chunk_masses);
        call.arg(logits).arg(&*largest).arg(&size).arg(&count).arg(row_largest).arg(summaries);
        // SAFETY: see the module.
        unsafe { call.launch(grid(chunks.div_ceil(CHUNKS_BY_HALF_WARP), rows, THREADS)) }.map(drop)
    }

    /// The `count` chunks of largest mass of each of `rows` rows: their numbers and copies of their logits.
    #[allow(clippy::too_many_arguments, reason = "they are the kernel's")]
    pub(super) fn likeliest_chunks(
        &self,
        logits: &CudaSlice<f32>,
        summaries: &CudaView<'_, u64>,
        size: usize,
        rows: usize,
        count: usize,
        numbers: &mut CudaViewMut<'_, u64>,
        copies: &mut CudaViewMut<'_, u64>,
    ) -> Launched {
        let chunks = size.div_ceil(CHUNK);
        assert!(logits.len() >= rows * size && summaries.len() >= rows * chunks * SUMMARY_WORDS);
        assert!(numbers.len() >= words32(rows * count) && copies.len() >= words32(rows * count * CHUNK));
        let (size, chunks, count) = (int(size), int(chunks), int(count));
        let mut call = self.call(&self.kernels.likeliest_chunks);
        call.arg(logits).arg(summaries).arg(&size).arg(&chunks).arg(&count).arg(numbers).arg(copies);
        // SAFETY: see the module.
        unsafe { call.launch(grid(rows, 1, THREADS)) }.map(drop)
    }

    /// Copies the first `positions` of `count` pages, from page to page; all must be alive and have this shape.
    pub(super) fn copy_pages(
        &self,
        from: &CudaView<'_, u64>,
        to: &CudaView<'_, u64>,
        positions: &CudaView<'_, u64>,
        blocks: usize,
        size: usize,
        count: usize,
    ) -> Launched {
        assert!(from.len() >= count && to.len() >= count && positions.len() >= words32(count));
        let size = int(size);
        let mut call = self.call(&self.kernels.copy_pages);
        call.arg(from).arg(to).arg(positions).arg(&size);
        // SAFETY: see the module; the caller promises the pages.
        unsafe { call.launch(grid(blocks, count, THREADS)) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    #[test]
    fn the_compiled_kernels_are_those_of_the_source() {
        let digest = Sha256::digest(include_bytes!("kernels.cu"));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let first = include_str!("kernels.ptx").lines().next().unwrap_or_default();
        assert!(first.contains(&digest), "kernels.cu has changed: run ./compile beside it");
    }
}
