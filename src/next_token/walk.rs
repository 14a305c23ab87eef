//! Drawing tokens of one row without replacement.

use super::logits::{self, Bits, Masses};
use super::{CHUNK, NextToken};
use crate::simd::LANES;
use crate::vocab::{TokenId, TokenSet};
use rand::Rng;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Tokens of one distribution, some of them taken out. What samplers walk on; a test walks it along
/// every branch instead of drawing (`tests/common/enumeration.rs`).
pub trait Walk {
    /// A token drawn in proportion to its mass among those that remain; `None` where no mass remains.
    /// It stays in until it is removed.
    fn draw(&mut self) -> Option<TokenId>;

    /// A coin that shows true with this `probability`, of its own randomness.
    fn chance(&mut self, probability: f64) -> bool;

    /// The token of largest mass among those that remain, the smaller id where masses are equal;
    /// `None` where no mass remains.
    fn largest(&mut self) -> Option<TokenId>;

    /// Takes a token out. Taking it out again changes nothing.
    fn remove(&mut self, token: TokenId);

    /// Takes several tokens out. Cheaper than one by one where they are many.
    fn remove_all(&mut self, tokens: &[TokenId]) {
        for token in tokens {
            self.remove(*token);
        }
    }

    /// Takes out all tokens that are not in `kept`. Linear in the vocabulary.
    fn retain(&mut self, kept: &TokenSet);

    /// The probability of `token` in the whole distribution, whether it remains or not.
    fn mass(&self, token: TokenId) -> f64;

    /// An upper bound of [`Walk::mass`] that costs next to nothing, to decide whether a token is worth a look.
    fn mass_bound(&self, token: TokenId) -> f64 {
        self.mass(token)
    }

    /// The probability of all tokens that remain, as a sum over them.
    fn remaining(&self) -> f64;
}

/// A [`Walk`] along a [`NextToken`], without randomness of its own: [`RowWalk::with_rng`] adds that.
///
/// It begins with a copy of the row's chunk sums and remembers what was taken out by chunk, so that a draw
/// costs little for any vocabulary. The masses of one chunk, the one looked at last, are kept: whoever finds
/// a token there takes it out next.
#[derive(Clone, Debug)]
pub struct RowWalk<'a> {
    row: &'a NextToken,
    /// The tokens taken out one by one, a bit each, of the chunks that lost any.
    removed: FxHashMap<usize, Bits>,
    /// Tokens outside all of these were taken out.
    kept: SmallVec<[TokenSet; 1]>,
    chunk_sums: Vec<f64>,
    chunk_largest: Vec<f64>,
    /// The chunk that was looked at last.
    open: Option<usize>,
    /// The masses of its tokens that remain, unnormalised; zero for those taken out.
    masses: Masses,
}

impl<'a> RowWalk<'a> {
    pub(super) fn new(row: &'a NextToken) -> Self {
        Self {
            row,
            removed: FxHashMap::default(),
            kept: SmallVec::new(),
            chunk_sums: row.chunk_sums.clone(),
            chunk_largest: row.chunk_largest.clone(),
            open: None,
            masses: [0.0; CHUNK],
        }
    }

    /// The same walk, drawing with `rng`: one `u64` a draw.
    pub fn with_rng<'r>(self, rng: &'r mut dyn Rng) -> impl Walk + use<'a, 'r> {
        RandomWalk { walk: self, rng }
    }

    /// The token of largest mass among those that remain.
    pub fn largest(&mut self) -> Option<TokenId> {
        let chunk = logits::largest(&self.chunk_largest)?;
        let place = logits::largest(self.open(chunk))?;
        Some(token_at(chunk, place))
    }

    /// Takes a token out.
    ///
    /// # Panics
    /// If the token is outside the vocabulary.
    pub fn remove(&mut self, token: TokenId) {
        if let Some(chunk) = self.mark(token) {
            self.sum_again(chunk);
        }
    }

    /// Takes several tokens out; each chunk is summed again once.
    ///
    /// # Panics
    /// If a token is outside the vocabulary.
    pub fn remove_all(&mut self, tokens: &[TokenId]) {
        let mut chunks: SmallVec<[usize; 16]> = tokens.iter().filter_map(|token| self.mark(*token)).collect();
        chunks.sort_unstable();
        chunks.dedup();
        for chunk in chunks {
            self.sum_again(chunk);
        }
    }

    /// Takes out all tokens that are not in `kept`.
    pub fn retain(&mut self, kept: &TokenSet) {
        self.kept.push(kept.clone());
        for chunk in (0..self.chunk_sums.len()).filter(|chunk| bits_of(kept, *chunk) != ALL) {
            if self.chunk_sums[chunk] > 0.0 {
                self.sum_again(chunk);
            }
        }
    }

    /// Notes that a token is taken out; its chunk, if it was still in.
    fn mark(&mut self, token: TokenId) -> Option<usize> {
        let (index, size) = (token.index(), self.row.len());
        assert!(index < size, "token {token} outside a vocabulary of {size}");
        let words = self.removed.entry(index / CHUNK).or_default();
        let (word, bit) = (&mut words[index % CHUNK / 64], 1 << (index % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new.then_some(index / CHUNK)
    }

    /// Sums a chunk again over what remains: subtracting would leave rounding noise where nothing is left.
    fn sum_again(&mut self, chunk: usize) {
        let left = self.left(chunk);
        (self.chunk_sums[chunk], self.chunk_largest[chunk]) = if left == NONE {
            self.open = self.open.filter(|open| *open != chunk);
            (0.0, 0.0)
        } else {
            self.open(chunk);
            logits::keep(&mut self.masses, &left)
        };
    }

    /// The token at `position` in [0, 1) of the remaining mass laid end to end by increasing id.
    pub fn at(&mut self, position: f64) -> Option<TokenId> {
        let chunk = place_at(&self.chunk_sums, position * logits::sum(&self.chunk_sums))?;
        Some(token_at(chunk.place, place_at(self.open(chunk.place), chunk.rest)?.place))
    }

    /// The masses of a chunk's tokens that remain.
    fn open(&mut self, chunk: usize) -> &Masses {
        if self.open != Some(chunk) {
            self.row.logits.masses(chunk, self.row.largest, &mut self.masses);
            let left = self.left(chunk);
            if left != ALL {
                logits::keep(&mut self.masses, &left);
            }
            self.open = Some(chunk);
        }
        &self.masses
    }

    /// A bit for each of a chunk's tokens that remain.
    fn left(&self, chunk: usize) -> Bits {
        let mut left = ALL;
        for kept in &self.kept {
            left.iter_mut().zip(bits_of(kept, chunk)).for_each(|(left, kept)| *left &= kept);
        }
        if let Some(removed) = self.removed.get(&chunk) {
            left.iter_mut().zip(removed).for_each(|(left, removed)| *left &= !removed);
        }
        left
    }

    fn remaining(&self) -> f64 {
        logits::sum(&self.chunk_sums) / self.row.total
    }
}

/// All tokens of a chunk, and none of them.
const ALL: Bits = [u64::MAX; CHUNK / 64];
const NONE: Bits = [0; CHUNK / 64];

/// A chunk's part of a set.
fn bits_of(set: &TokenSet, chunk: usize) -> Bits {
    let words = set.words().get(chunk * CHUNK / 64..).unwrap_or_default();
    std::array::from_fn(|word| words.get(word).copied().unwrap_or(0))
}

fn token_at(chunk: usize, place: usize) -> TokenId {
    TokenId::new((chunk * CHUNK + place) as u32)
}

struct Found {
    place: usize,
    /// How far into this mass.
    rest: f64,
}

/// Where `position` lies in the masses laid end to end. Where rounding carries it past them all: in the
/// last that is positive.
fn place_at(masses: &[f64], position: f64) -> Option<Found> {
    let (blocks, mut rest) = logits::pass_blocks(masses, position);
    let passed = (blocks * LANES).min(masses.len());
    let block = &masses[passed..masses.len().min(passed + LANES)];
    let mut found = None;
    for (place, mass) in block.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
        found = Some(Found { place: passed + place, rest });
        if rest < *mass {
            return found;
        }
        rest -= mass;
    }
    found.or_else(|| masses.iter().rposition(|mass| *mass > 0.0).map(|place| Found { place, rest }))
}

struct RandomWalk<'a, 'r> {
    walk: RowWalk<'a>,
    rng: &'r mut dyn Rng,
}

impl RandomWalk<'_, '_> {
    /// 53 random bits: all the doubles of equal spacing in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

impl Walk for RandomWalk<'_, '_> {
    fn draw(&mut self) -> Option<TokenId> {
        let position = self.uniform();
        self.walk.at(position)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    fn largest(&mut self) -> Option<TokenId> {
        self.walk.largest()
    }

    fn remove(&mut self, token: TokenId) {
        self.walk.remove(token);
    }

    fn remove_all(&mut self, tokens: &[TokenId]) {
        self.walk.remove_all(tokens);
    }

    fn retain(&mut self, kept: &TokenSet) {
        self.walk.retain(kept);
    }

    fn mass(&self, token: TokenId) -> f64 {
        self.walk.row.prob(token)
    }

    fn mass_bound(&self, token: TokenId) -> f64 {
        self.walk.row.chunk_largest[token.index() / CHUNK] / self.walk.row.total
    }

    fn remaining(&self) -> f64 {
        self.walk.remaining()
    }
}
