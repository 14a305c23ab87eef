//! Proof by enumeration that a sampler is properly weighted, with its exact variance and cost.

#![allow(dead_code, reason = "each test file uses a part")]

use super::enumeration::{Branches, TreeWalk};
use tamis::sampler::{Draw, Known, Labels, TokenSampler};
use tamis::vocab::{TokenId, TokenSet};

/// Labels written down, with some of them known from the beginning.
pub struct Table {
    mask: TokenSet,
    has_mask: bool,
    all_known: bool,
    known: [Vec<TokenId>; 2],
    checks: u32,
}

impl Table {
    /// Labels of `size` tokens, those of `known` known without asking.
    pub fn new(size: usize, allowed: &[u32], known: &[u32], has_mask: bool) -> Self {
        let mut mask = TokenSet::new(size);
        for token in allowed {
            mask.insert(TokenId::new(*token));
        }
        let (known_allowed, known_refused) = known.iter().map(|token| TokenId::new(*token)).partition(|token| mask.contains(*token));
        Self { mask, has_mask, all_known: false, known: [known_allowed, known_refused], checks: 0 }
    }
}

impl Labels for Table {
    fn check(&mut self, token: TokenId) -> bool {
        let allowed = self.mask.contains(token);
        if !self.all_known && !self.known.iter().flatten().any(|known| *known == token) {
            self.known[usize::from(!allowed)].push(token);
            self.checks += 1;
        }
        allowed
    }

    fn known(&self) -> Known<'_> {
        if self.all_known { Known::All(&self.mask) } else { Known::Some { allowed: &self.known[0], refused: &self.known[1] } }
    }

    fn mask(&mut self) -> Option<&TokenSet> {
        self.all_known |= self.has_mask;
        self.has_mask.then_some(&self.mask)
    }

    fn checks(&self) -> u32 {
        self.checks
    }
}

/// What enumeration says of a sampler.
pub struct Exact {
    /// E[w 1{X = x}] for each x.
    pub weight_of: Vec<f64>,
    /// Of the weight.
    pub variance: f64,
    /// How many tokens the constraint is asked about, in the mean.
    pub checks: f64,
    /// The probability of weight zero.
    pub dead: f64,
}

/// Every branch of one draw.
pub fn enumerate(sampler: &dyn TokenSampler, probs: &[f64], allowed: &[u32], known: &[u32], has_mask: bool) -> Exact {
    let z: f64 = allowed.iter().map(|token| probs[*token as usize]).sum();
    let mut exact = Exact { weight_of: vec![0.0; probs.len()], variance: 0.0, checks: 0.0, dead: 0.0 };
    let mut total = 0.0;
    Branches::explore(
        |branches| {
            let mut labels = Table::new(probs.len(), allowed, known, has_mask);
            sampler.draw_along(&mut TreeWalk::new(probs, branches), &mut labels)
        },
        |probability, draw| {
            total += probability;
            let record = *draw.record();
            assert!(record.log_z_low.exp() <= z + 1e-12 && z <= record.log_z_high.exp() + 1e-12, "{z} outside of {record:?}");
            assert!(record.log_z_low <= record.log_z_high + 1e-12 && record.log_z_high <= 0.0, "{record:?}");
            exact.checks += probability * f64::from(record.checks);
            let weight = match draw {
                Draw::Token { token, log_weight, .. } => {
                    assert!(allowed.contains(&token.get()), "a refused token was drawn");
                    if record.forced {
                        assert_eq!(allowed.iter().filter(|token| probs[**token as usize] > 0.0).count(), 1, "forced, but not alone");
                    }
                    exact.weight_of[token.index()] += probability * log_weight.exp();
                    log_weight.exp()
                }
                Draw::Dead(_) => {
                    exact.dead += probability;
                    0.0
                }
            };
            exact.variance += probability * (weight - z).powi(2);
        },
    );
    assert!((total - 1.0).abs() < 1e-12, "the branches' probabilities sum to {total}");
    assert!(sampler.may_fail() || z == 0.0 || exact.dead < 1e-15, "a sampler that never fails was dead with probability {}", exact.dead);
    exact
}

/// Asserts the law E[w 1{X = x}] = p(x) 1{x is allowed}, to 1e-12.
pub fn assert_proper(name: &str, sampler: &dyn TokenSampler, probs: &[f64], allowed: &[u32], known: &[u32], has_mask: bool) -> Exact {
    let exact = enumerate(sampler, probs, allowed, known, has_mask);
    for (token, weight) in exact.weight_of.iter().enumerate() {
        let truth = if allowed.contains(&(token as u32)) { probs[token] } else { 0.0 };
        assert!(
            (weight - truth).abs() < 1e-12,
            "{name} on {probs:?}, allowed {allowed:?}, known {known:?}: token {token} has {weight}, not {truth}"
        );
    }
    exact
}
