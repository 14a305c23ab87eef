//! The numbers that a row is made of, and masses made of them, a chunk at a time.

use super::CHUNK;
use crate::simd::{self, LANES, Vector, Wide, fold_halves};
use crate::vocab::TokenId;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// The logits of a row, one a token, shared with whoever made them.
#[derive(Clone)]
pub(super) enum Logits {
    /// Of a real model.
    Single(Arc<[f32]>),
    /// Of a toy model, whose masses are exact.
    Double(Arc<[f64]>),
    /// Of a model on a device, fetched as they are needed.
    Distant(Arc<dyn DistantLogits>),
}

/// A row of logits that lies elsewhere, such as in the memory of a GPU: what is asked for is fetched.
pub trait DistantLogits: Send + Sync {
    /// The number of tokens.
    fn size(&self) -> usize;

    /// The logits of the tokens of chunk number `chunk`: [`CHUNK`] of them, fewer in the last.
    ///
    /// # Panics
    /// If they cannot be fetched, because the device is gone: no answer could be right then.
    fn chunk(&self, chunk: usize) -> &[f32];

    /// All of them.
    ///
    /// # Panics
    /// As [`DistantLogits::chunk`].
    fn whole(&self) -> &Arc<[f32]>;
}

/// Masses of the tokens of a chunk, `exp(logit - largest logit of the row)`; zero past the row's end.
pub(super) type Masses = [f64; CHUNK];

/// What a row keeps of the masses of a chunk, `exp(logit - largest logit of the row)` each.
///
/// How they are made is part of the meaning, since equal rows have equal bits: in sixteen lanes, the tokens of a
/// chunk in turn; each lane in order; then halves of the lanes added to each other, and halves of these.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChunkSummary {
    /// Their sum.
    pub sum: f64,
    /// The largest of them.
    pub largest: f64,
    /// The sum of each mass times its logarithm.
    pub surprise: f64,
}

/// The smallest exponent: e^-700 is still a normal `f64`.
const SMALLEST: f32 = -700.0;

impl Logits {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Single(logits) => logits.len(),
            Self::Double(logits) => logits.len(),
            Self::Distant(logits) => logits.size(),
        }
    }

    pub(super) fn get(&self, token: usize) -> f64 {
        match self {
            Self::Single(logits) => f64::from(logits[token]),
            Self::Double(logits) => logits[token],
            Self::Distant(logits) => f64::from(logits.chunk(token / CHUNK)[token % CHUNK]),
        }
    }

    /// Each logit changed.
    pub(super) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Single(logits) => Self::Single(logits.iter().map(|logit| change(f64::from(*logit)) as f32).collect()),
            Self::Double(logits) => Self::Double(logits.iter().map(|logit| change(*logit)).collect()),
            Self::Distant(logits) => Self::Single(logits.whole().clone()).map(change),
        }
    }

    /// The logits of some tokens, `-inf` for all others.
    pub(super) fn only(&self, tokens: &[TokenId]) -> Self {
        fn only<T: Copy>(logits: &[T], tokens: &[TokenId], nothing: T) -> Arc<[T]> {
            let mut kept = vec![nothing; logits.len()];
            for token in tokens {
                kept[token.index()] = logits[token.index()];
            }
            kept.into()
        }
        match self {
            Self::Single(logits) => Self::Single(only(logits, tokens, f32::NEG_INFINITY)),
            Self::Double(logits) => Self::Double(only(logits, tokens, f64::NEG_INFINITY)),
            Self::Distant(logits) => Self::Single(only(logits.whole(), tokens, f32::NEG_INFINITY)),
        }
    }

    /// The largest logit; NaN where one is NaN, or `+inf`.
    pub(super) fn largest(&self) -> f64 {
        match self {
            Self::Single(logits) => f64::from(simd::run(Largest(logits))),
            Self::Double(logits) => {
                let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, logit| if *logit <= largest { largest } else { *logit });
                if logits.iter().any(|logit| logit.is_nan()) || largest == f64::INFINITY { f64::NAN } else { largest }
            }
            Self::Distant(logits) => f64::from(simd::run(Largest(logits.whole()))),
        }
    }

    /// What a row keeps of each chunk.
    pub(super) fn summaries(&self, largest: f64) -> Vec<ChunkSummary> {
        match self {
            Self::Single(logits) => simd::run(Summaries { logits, largest: largest as f32 }),
            Self::Distant(logits) => simd::run(Summaries { logits: logits.whole(), largest: largest as f32 }),
            Self::Double(logits) => {
                let summary = |logits: &[f64]| {
                    let masses: SmallVec<[f64; CHUNK]> = logits.iter().map(|logit| (logit - largest).exp()).collect();
                    let surprises =
                        masses.iter().zip(logits).filter(|(mass, _)| **mass > 0.0).map(|(mass, logit)| mass * (logit - largest));
                    ChunkSummary {
                        sum: sum(&masses),
                        largest: masses.iter().copied().fold(0.0, f64::max),
                        surprise: surprises.fold(0.0, |total, surprise| total + surprise),
                    }
                };
                logits.chunks(CHUNK).map(summary).collect()
            }
        }
    }

    /// Makes the masses of a chunk.
    ///
    /// Logits in `f32` give masses with a relative error below 2e-7, always the same for the same logits;
    /// those more than 700 below the largest have none. Logits in `f64` give exact masses.
    pub(super) fn masses(&self, chunk: usize, largest: f64, masses: &mut Masses) {
        self.masses_of(chunk * CHUNK..self.len().min((chunk + 1) * CHUNK), largest, masses);
    }

    /// The mass of one token.
    pub(super) fn mass(&self, token: usize, largest: f64) -> f64 {
        let mut masses = [0.0; LANES];
        self.masses_of(token..token + 1, largest, &mut masses);
        masses[0]
    }

    fn masses_of(&self, range: Range<usize>, largest: f64, masses: &mut [f64]) {
        match self {
            Self::Single(logits) => simd::run(SingleMasses { logits: &logits[range], largest: largest as f32, masses }),
            Self::Distant(logits) => {
                let chunk = range.start / CHUNK;
                let logits = &logits.chunk(chunk)[range.start - chunk * CHUNK..range.end - chunk * CHUNK];
                simd::run(SingleMasses { logits, largest: largest as f32, masses });
            }
            Self::Double(logits) => {
                masses.fill(0.0);
                for (mass, logit) in masses.iter_mut().zip(&logits[range]) {
                    *mass = (logit - largest).exp();
                }
            }
        }
    }
}

/// A bit for each token of a chunk, the lowest of the first word for its first token.
pub(super) type Bits = [u64; CHUNK / 64];

/// Makes the masses zero whose bit is not set; the sum and the largest of the rest.
pub(super) fn keep(masses: &mut Masses, bits: &Bits) -> (f64, f64) {
    simd::run(Keep { masses, bits })
}

struct Keep<'a> {
    masses: &'a mut Masses,
    bits: &'a Bits,
}

impl Wide for Keep<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run<V: Vector>(self) -> (f64, f64) {
        let zero = V::splat(0.0).to_doubles();
        // In the order of `sum`.
        let (mut sum, mut largest) = (zero, zero);
        for (number, masses) in self.masses.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let bits = self.bits[number * LANES / 64] >> (number * LANES % 64);
            let kept = V::keep_doubles(V::load_doubles(masses), bits as u16);
            sum = V::add_doubles(sum, kept);
            largest = V::max_doubles(kept, largest);
            *masses = V::store_doubles(kept);
        }
        let add = |a, b| a + b;
        (fold_halves(V::store_doubles(sum), add), fold_halves(V::store_doubles(largest), f64::max))
    }
}

/// The sum of masses: in sixteen lanes, then of these.
pub(super) fn sum(masses: &[f64]) -> f64 {
    simd::run(Sum(masses))
}

struct Sum<'a>(&'a [f64]);

impl Wide for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector>(self) -> f64 {
        let mut lanes = V::splat(0.0).to_doubles();
        for masses in self.0.chunks(LANES) {
            lanes = V::add_doubles(lanes, load_part::<V>(masses));
        }
        fold_halves(V::store_doubles(lanes), |a, b| a + b)
    }
}

/// The place of the largest of some masses, the first where several are equal; `None` where all are zero.
pub(super) fn largest(masses: &[f64]) -> Option<usize> {
    let largest = simd::run(LargestMass(masses));
    if largest > 0.0 { masses.iter().position(|mass| *mass == largest) } else { None }
}

struct LargestMass<'a>(&'a [f64]);

impl Wide for LargestMass<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector>(self) -> f64 {
        let mut lanes = V::splat(0.0).to_doubles();
        for masses in self.0.chunks(LANES) {
            lanes = V::max_doubles(load_part::<V>(masses), lanes);
        }
        fold_halves(V::store_doubles(lanes), f64::max)
    }
}

/// How many whole blocks of sixteen masses, laid end to end, lie before `position`, and what is left of it.
///
/// Blocks are passed over by their sums: one subtraction waits for the last, sums wait for nothing.
pub(super) fn pass_blocks(masses: &[f64], position: f64) -> (usize, f64) {
    simd::run(PassBlocks(masses, position))
}

struct PassBlocks<'a>(&'a [f64], f64);

impl Wide for PassBlocks<'_> {
    type Output = (usize, f64);

    #[inline(always)]
    fn run<V: Vector>(self) -> (usize, f64) {
        let (mut passed, mut rest) = (0, self.1);
        for block in self.0.chunks(LANES) {
            let sum = fold_halves(V::store_doubles(load_part::<V>(block)), |a, b| a + b);
            if rest < sum {
                break;
            }
            rest -= sum;
            passed += 1;
        }
        (passed, rest)
    }
}

/// Up to sixteen masses, then zeros.
#[inline(always)]
fn load_part<V: Vector>(masses: &[f64]) -> V::Doubles {
    match masses.first_chunk() {
        Some(masses) => V::load_doubles(masses),
        None => {
            let mut lanes = [0.0; LANES];
            lanes[..masses.len()].copy_from_slice(masses);
            V::load_doubles(&lanes)
        }
    }
}

struct Largest<'a>(&'a [f32]);

impl Wide for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Vector>(self) -> f32 {
        let (zero, one, infinity) = (V::splat(0.0), V::splat(1.0), V::splat(f32::INFINITY));
        let (mut largest, mut broken) = (V::splat(f32::NEG_INFINITY), zero);
        for logits in self.0.chunks(LANES) {
            let logits = V::load_part(logits, f32::NEG_INFINITY);
            largest = logits.max(largest);
            broken = broken.add(logits.select_less(infinity, zero, one));
        }
        if broken.sum() > 0.0 { f32::NAN } else { largest.largest() }
    }
}

struct SingleMasses<'a> {
    logits: &'a [f32],
    largest: f32,
    /// As many as there are logits or more, a multiple of [`LANES`].
    masses: &'a mut [f64],
}

impl Wide for SingleMasses<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let largest = V::splat(self.largest);
        let mut logits = self.logits.chunks(LANES);
        for masses in self.masses.as_chunks_mut::<LANES>().0 {
            *masses = logits.next().map_or([0.0; LANES], |logits| V::store_doubles(mass::<V>(logits, largest).0));
        }
    }
}

/// The summaries of all chunks of a row.
struct Summaries<'a> {
    logits: &'a [f32],
    largest: f32,
}

impl Wide for Summaries<'_> {
    type Output = Vec<ChunkSummary>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<ChunkSummary> {
        let (row_largest, zero) = (V::splat(self.largest), V::splat(0.0).to_doubles());
        let mut summaries = Vec::with_capacity(self.logits.len().div_ceil(CHUNK));
        for logits in self.logits.chunks(CHUNK) {
            // In the order of `sum`.
            let (mut sum, mut largest, mut surprise) = (zero, zero, zero);
            for logits in logits.chunks(LANES) {
                let (mass, exponent) = mass::<V>(logits, row_largest);
                sum = V::add_doubles(sum, mass);
                largest = V::max_doubles(mass, largest);
                surprise = V::add_doubles(surprise, V::mul_doubles(mass, exponent.to_doubles()));
            }
            let add = |lanes| fold_halves(V::store_doubles(lanes), |a, b| a + b);
            let largest = fold_halves(V::store_doubles(largest), f64::max);
            summaries.push(ChunkSummary { sum: add(sum), largest, surprise: add(surprise) });
        }
        summaries
    }
}

/// Up to sixteen masses, and their logarithms where they are not zero.
#[inline(always)]
fn mass<V: Vector>(logits: &[f32], largest: V) -> (V::Doubles, V) {
    let logits = V::load_part(logits, f32::NEG_INFINITY);
    let (smallest, zero) = (V::splat(SMALLEST), V::splat(0.0));
    let exponent = logits.sub(largest);
    // What the subtraction rounded off (Knuth's two-sum); NaN only where the factor becomes zero.
    let change = exponent.sub(logits);
    let rest = logits.sub(exponent.sub(change)).sub(largest.add(change));
    // `max` before anything else: an exponent of -inf must not meet a multiplication.
    let clamped = exponent.max(smallest);
    let (factor, shifted) = clamped.exp_parts();
    let factor = exponent.select_less(smallest, zero, factor.mul_add(rest, factor));
    (factor.scale_doubles_by_power(shifted), clamped)
}
