//! Rows of logits summed up: what the kernels make is what `next_token` makes of the same logits, to the bit.

use super::host::{Device, arguments};
use super::{THREADS, bits, numbers, rng};
use std::sync::Arc;
use tamis::next_token::{CHUNK, ChunkSummary, DistantLogits, NextToken, Walk};
use tamis::vocab::{TokenId, TokenSet};

/// Chunks that a block takes, with a warp to each and with half a warp.
const BY_WARP: usize = 8;
const BY_HALF_WARP: usize = 16;

const SIZES: [usize; 7] = [1, 40, 255, 256, 257, 700, 5000];

/// Logits of a row that was summed elsewhere.
struct Elsewhere(Arc<[f32]>);

impl DistantLogits for Elsewhere {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn chunk(&self, chunk: usize) -> &[f32] {
        self.0.chunks(CHUNK).nth(chunk).unwrap()
    }

    fn whole(&self) -> &Arc<[f32]> {
        &self.0
    }
}

/// What the kernels make of a row.
struct Summed {
    largest: f32,
    chunk_largest: Vec<f32>,
    summaries: Vec<ChunkSummary>,
}

impl Summed {
    /// The row that it stands for.
    fn row(&self, logits: &[f32]) -> Result<NextToken, String> {
        NextToken::from_distant_logits(Arc::new(Elsewhere(logits.into())), self.largest, &self.summaries).map_err(|error| error.to_string())
    }
}

/// Sums up rows of the same size in one batch.
fn summed(rows: &[Vec<f32>]) -> Vec<Summed> {
    let (count, size) = (rows.len(), rows[0].len());
    let chunks = size.div_ceil(CHUNK);
    let mut device = Device::default();
    let logits = device.put(&rows.concat());
    let chunk_largest = device.put(&vec![7.0f32; count * chunks]);
    let largest = device.put(&vec![7.0f32; count]);
    let summaries = device.put(&vec![7.0f64; count * chunks * 3]);
    let grid = (chunks.div_ceil(BY_WARP), count);
    device.launch("chunk_largest", grid, THREADS, arguments![logits, size, chunks, chunk_largest]);
    let grid = (chunks.div_ceil(BY_HALF_WARP), count);
    device.launch("chunk_masses", grid, THREADS, arguments![logits, chunk_largest, size, chunks, largest, summaries]);
    let summary = |words: &[f64]| ChunkSummary { sum: words[0], largest: words[1], surprise: words[2] };
    let summaries: Vec<_> = device.get(summaries).chunks(3).map(summary).collect();
    let row = |((largest, chunk_largest), summaries): ((f32, &[f32]), &[ChunkSummary])| Summed {
        largest,
        chunk_largest: chunk_largest.to_vec(),
        summaries: summaries.to_vec(),
    };
    device.get(largest).into_iter().zip(device.get(chunk_largest).chunks(chunks)).zip(summaries.chunks(chunks)).map(row).collect()
}

/// Rows of each kind that a model may give.
fn rows(size: usize) -> Vec<Vec<f32>> {
    let mut rng = rng(size as u64);
    let mut some_impossible = numbers(&mut rng, size, 10.0);
    some_impossible.iter_mut().skip(1).step_by(3).for_each(|logit| *logit = f32::NEG_INFINITY);
    let mut one_chunk_only = vec![f32::NEG_INFINITY; size];
    let last = (size - 1) / CHUNK * CHUNK;
    one_chunk_only[last..].copy_from_slice(&numbers(&mut rng, size - last, 3.0));
    let mut peaked = numbers(&mut rng, size, 4.0);
    peaked[size / 2] = 31.7;
    let mut extreme = numbers(&mut rng, size, f32::MAX / 2.0);
    // Differences beyond `f32`.
    extreme[0] = f32::MAX;
    let small = numbers(&mut rng, size, 1e-6);
    let wide = numbers(&mut rng, size, 600.0);
    let chunks_far_below =
        numbers(&mut rng, size, 3.0).into_iter().enumerate().map(|(i, logit)| logit - [0.0, 650.0, 697.0, 720.0][i / CHUNK % 4]).collect();
    let far_from_zero = numbers(&mut rng, size, 5.0).into_iter().map(|logit| logit - 1000.0).collect();
    vec![
        numbers(&mut rng, size, 12.0),
        some_impossible,
        one_chunk_only,
        peaked,
        extreme,
        small,
        wide,
        chunks_far_below,
        far_from_zero,
        vec![0.25; size],
    ]
}

fn token(index: usize) -> TokenId {
    TokenId::new(index as u32)
}

/// All that can be seen of two rows has the same bits.
fn assert_same(summed: &NextToken, here: &NextToken) {
    assert_eq!(summed.entropy().to_bits(), here.entropy().to_bits(), "entropies {} and {}", summed.entropy(), here.entropy());
    let log_probs = |row: &NextToken| -> Vec<u64> { (0..row.len()).map(|index| row.log_prob(token(index)).to_bits()).collect() };
    assert_eq!(log_probs(summed), log_probs(here));
    assert!(summed.probs().map(f64::to_bits).eq(here.probs().map(f64::to_bits)));
    assert_eq!(summed.top(20), here.top(20));
    for position in [0.0, 0.1, 0.5, 0.9, 0.999_999] {
        assert_eq!(summed.walk().at(position), here.walk().at(position));
    }
    // Sum and largest mass of each chunk: what is left when all others are taken out, and the bound of its tokens.
    for chunk in 0..here.len().div_ceil(CHUNK) {
        let mut kept = TokenSet::new(here.len());
        for index in chunk * CHUNK..here.len().min((chunk + 1) * CHUNK) {
            kept.insert(token(index));
        }
        let of_chunk = |row: &NextToken| {
            let mut rng = rng(0);
            let mut walk = row.walk().with_rng(&mut rng);
            walk.retain(&kept);
            [walk.remaining(), walk.mass_bound(token(chunk * CHUNK))].map(f64::to_bits)
        };
        assert_eq!(of_chunk(summed), of_chunk(here), "chunk {chunk}");
    }
}

/// Whether this CPU, like a GPU, rounds `a * b + c` once: old ones of x86 do not, and their rows have other bits.
fn fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

#[test]
fn a_row_summed_by_the_kernels_has_the_bits_of_one_summed_here() {
    if !fused() {
        println!("skipped: this CPU rounds otherwise than a GPU");
        return;
    }
    for size in SIZES {
        let rows = rows(size);
        for (kind, (logits, summed)) in rows.iter().zip(summed(&rows)).enumerate() {
            println!("{size} logits of kind {kind}");
            let here = NextToken::from_logits(logits).unwrap();
            assert_same(&summed.row(logits).unwrap(), &here);
            let largest: Vec<f32> = logits.chunks(CHUNK).map(|chunk| chunk.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
            assert_eq!(bits(&summed.chunk_largest), bits(&largest));
            assert_eq!(summed.largest, largest.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}

#[test]
fn summaries_are_sums_of_exponentials() {
    for size in SIZES {
        let rows = rows(size);
        for (logits, summed) in rows.iter().zip(summed(&rows)) {
            for (chunk, summary) in logits.chunks(CHUNK).zip(&summed.summaries) {
                let exponents =
                    || chunk.iter().map(|logit| f64::from(*logit) - f64::from(summed.largest)).filter(|exponent| *exponent >= -700.0);
                let sum: f64 = exponents().map(f64::exp).sum();
                let largest = exponents().map(f64::exp).fold(0.0, f64::max);
                let surprise: f64 = exponents().map(|exponent| exponent * exponent.exp()).sum();
                let near = |a: f64, b: f64| (a - b).abs() <= 4e-7 * b.abs();
                assert!(near(summary.sum, sum) && near(summary.largest, largest), "{summary:?}, not {sum} and {largest}");
                assert!(near(summary.surprise, surprise), "{summary:?}, not {surprise}");
            }
        }
    }
}

#[test]
fn a_broken_row_is_told_by_its_largest_logit_and_breaks_no_other() {
    for size in SIZES {
        let mut places = vec![0, size / 2, size - 1, 37 % size];
        places.dedup();
        for broken in [f32::NAN, f32::INFINITY] {
            let whole = rows(size);
            let mut rows = whole.clone();
            for place in &places {
                let mut row = whole[0].clone();
                row[*place] = broken;
                rows.insert(1, row);
            }
            let summed = summed(&rows);
            for (logits, summed) in rows.iter().zip(&summed) {
                let here = NextToken::from_logits(logits).map_err(|error| error.to_string());
                assert_eq!(summed.largest.is_nan(), here.is_err());
                assert_eq!(summed.row(logits).err(), here.err());
            }
            for (alone, beside) in self::summed(&whole).iter().skip(1).zip(&summed[1 + places.len()..]) {
                assert_eq!(alone.summaries, beside.summaries);
            }
        }
        let nothing = vec![vec![f32::NEG_INFINITY; size]];
        let summed = &summed(&nothing)[0];
        assert_eq!(summed.largest, f32::NEG_INFINITY);
        assert!(summed.row(&nothing[0]).is_err());
    }
}

/// Looks for the likeliest chunks of rows that have these largest masses, and compares with a plain sort.
fn assert_likeliest(masses: &[Vec<f64>], last: usize, count: usize) {
    let chunks = masses[0].len();
    let size = (chunks - 1) * CHUNK + last;
    let mut device = Device::default();
    let logits = numbers(&mut rng(chunks as u64), masses.len() * size, 9.0);
    // Sums and surprises must not matter.
    let summaries: Vec<f64> = masses.concat().into_iter().flat_map(|mass| [5.0 - mass, mass, -mass]).collect();
    let (given, summaries) = (device.put(&logits), device.put(&summaries));
    let numbers = device.put(&vec![77u32; masses.len() * count]);
    let copies = device.put(&vec![7.0f32; masses.len() * count * CHUNK]);
    device.launch("likeliest_chunks", (masses.len(), 1), THREADS, arguments![given, summaries, size, chunks, count, numbers, copies]);
    let found = device.get::<u32>(numbers);
    let found = found.chunks(count).zip(device.get::<f32>(copies).chunks(count * CHUNK).map(<[f32]>::to_vec).collect::<Vec<_>>());
    for ((masses, logits), (numbers, copies)) in masses.iter().zip(logits.chunks(size)).zip(found) {
        let mut order: Vec<usize> = (0..chunks).collect();
        order.sort_by(|a, b| masses[*b].total_cmp(&masses[*a]).then(a.cmp(b)));
        for (rank, (number, copy)) in numbers.iter().zip(copies.chunks(CHUNK)).enumerate() {
            // Past the last chunk: none.
            let chunk = order.get(rank).copied().unwrap_or(chunks);
            assert_eq!(*number as usize, chunk, "the chunk of rank {rank}");
            let mut expected = logits.chunks(CHUNK).nth(chunk).unwrap_or_default().to_vec();
            expected.resize(CHUNK, f32::NEG_INFINITY);
            assert_eq!(bits(copy), bits(&expected), "the copy of rank {rank}");
        }
    }
}

#[test]
fn the_likeliest_chunks_come_in_order_of_mass_and_then_of_place() {
    for (chunks, last) in [(1, 40), (3, 256), (16, 1), (20, 188), (300, 255)] {
        let varied = |chunk: usize| ((chunk * 2_654_435_761 + 17) % 1009) as f64 / 1009.0;
        let masses: [&dyn Fn(usize) -> f64; 5] = [
            &varied,
            // Ties, within warps and across them.
            &|chunk| (chunk % 3) as f64 / 2.0,
            &|_| 1.0,
            &|chunk| if chunk % 7 == 5 { varied(chunk) } else { 0.0 },
            &|chunk| (chunks - chunk) as f64 / chunks as f64,
        ];
        let masses: Vec<Vec<f64>> = masses.iter().map(|mass| (0..chunks).map(mass).collect()).collect();
        assert_likeliest(&masses, last, 16);
        assert_likeliest(&masses, last, 3);
    }
}
