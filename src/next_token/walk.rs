//! Drawing tokens of one row without replacement.

use super::{CHUNK, NextToken};
use crate::vocab::{TokenId, TokenSet};
use rand::Rng;
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
    fn largest(&self) -> Option<TokenId>;

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

    /// The probability of all tokens that remain, as a sum over them.
    fn remaining(&self) -> f64;
}

/// A [`Walk`] along a [`NextToken`], without randomness of its own: [`RowWalk::with_rng`] adds that.
#[derive(Clone, Debug)]
pub struct RowWalk<'a> {
    row: &'a NextToken,
    removed: TokenSet,
    chunk_sums: Vec<f64>,
    chunk_largest: Vec<f64>,
}

impl<'a> RowWalk<'a> {
    pub(super) fn new(row: &'a NextToken) -> Self {
        Self { row, removed: TokenSet::new(row.len()), chunk_sums: row.chunk_sums.clone(), chunk_largest: row.chunk_largest.clone() }
    }

    /// The same walk, drawing with `rng`: one `u64` a draw.
    pub fn with_rng<'r>(self, rng: &'r mut dyn Rng) -> impl Walk + use<'a, 'r> {
        RandomWalk { walk: self, rng }
    }

    /// The token of largest mass among those that remain.
    pub fn largest(&self) -> Option<TokenId> {
        let (chunk, largest) = self
            .chunk_largest
            .iter()
            .enumerate()
            .fold((0, 0.0), |best, (chunk, largest)| if *largest > best.1 { (chunk, *largest) } else { best });
        if largest == 0.0 {
            return None;
        }
        self.chunk_tokens(chunk).find(|(_, mass)| *mass == largest).map(|(token, _)| token)
    }

    /// Takes a token out.
    pub fn remove(&mut self, token: TokenId) {
        if !self.removed.insert(token) {
            return;
        }
        self.sum_again(token.index() / CHUNK);
    }

    /// Takes several tokens out; each chunk is summed again once.
    pub fn remove_all(&mut self, tokens: &[TokenId]) {
        let mut chunks: SmallVec<[usize; 16]> = SmallVec::new();
        for token in tokens {
            if self.removed.insert(*token) {
                chunks.push(token.index() / CHUNK);
            }
        }
        chunks.sort_unstable();
        chunks.dedup();
        for chunk in chunks {
            self.sum_again(chunk);
        }
    }

    /// Takes out all tokens that are not in `kept`.
    pub fn retain(&mut self, kept: &TokenSet) {
        for token in (0..self.row.len() as u32).map(TokenId::new) {
            if !kept.contains(token) {
                self.removed.insert(token);
            }
        }
        for chunk in 0..self.chunk_sums.len() {
            self.sum_again(chunk);
        }
    }

    /// Sums a chunk again over what remains: subtracting would leave rounding noise where nothing is left.
    fn sum_again(&mut self, chunk: usize) {
        let (sum, largest) = self.chunk_tokens(chunk).fold((0.0, 0.0f64), |(sum, largest), (_, mass)| (sum + mass, largest.max(mass)));
        self.chunk_sums[chunk] = sum;
        self.chunk_largest[chunk] = largest;
    }

    /// The token at `position` in [0, 1) of the remaining mass laid end to end by increasing id.
    pub fn at(&self, position: f64) -> Option<TokenId> {
        let total: f64 = self.chunk_sums.iter().sum();
        let mut rest = position * total;
        let mut last = None;
        for (chunk, sum) in self.chunk_sums.iter().enumerate() {
            if *sum == 0.0 {
                continue;
            }
            if rest >= *sum {
                rest -= sum;
                last = Some(chunk);
                continue;
            }
            return self.in_chunk(chunk, rest);
        }
        // Rounding carried the position past the last chunk with mass: its last token.
        last.and_then(|chunk| self.in_chunk(chunk, f64::INFINITY))
    }

    fn in_chunk(&self, chunk: usize, mut rest: f64) -> Option<TokenId> {
        let mut last = None;
        for (token, mass) in self.chunk_tokens(chunk).filter(|(_, mass)| *mass > 0.0) {
            last = Some(token);
            if rest < mass {
                break;
            }
            rest -= mass;
        }
        last
    }

    /// The tokens of a chunk that remain, with their unnormalised masses.
    fn chunk_tokens(&self, chunk: usize) -> impl Iterator<Item = (TokenId, f64)> + '_ {
        let start = chunk * CHUNK;
        let end = (start + CHUNK).min(self.row.len());
        self.row.masses[start..end]
            .iter()
            .enumerate()
            .map(move |(at, mass)| (TokenId::new((start + at) as u32), *mass))
            .filter(|(token, _)| !self.removed.contains(*token))
    }

    fn remaining(&self) -> f64 {
        self.chunk_sums.iter().sum::<f64>() / self.row.total
    }
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

    fn largest(&self) -> Option<TokenId> {
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

    fn remaining(&self) -> f64 {
        self.walk.remaining()
    }
}
