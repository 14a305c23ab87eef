//! Every random choice of a program, one branch after the other, with its probability.
//!
//! A program that takes its randomness from [`Branches`] is run once for each way its choices can go.
//! Sums over the runs are exact expectations: no statistics, no seeds.

use rand::Rng;
use std::sync::{Arc, Mutex, MutexGuard};
use tamis::next_token::{NextToken, Walk};
use tamis::sampler::{Draw, Labels, TokenSampler};
use tamis::vocab::{TokenId, TokenSet};

/// The branch that a run is on.
#[derive(Clone, Default)]
pub struct Branches(Arc<Mutex<Branch>>);

#[derive(Default)]
struct Branch {
    /// For each choice of the run so far: the option taken, and those still to be tried, last first.
    choices: Vec<Choice>,
    at: usize,
}

struct Choice {
    probability: f64,
    option: usize,
    rest: Vec<(usize, f64)>,
}

impl Branches {
    /// Runs `program` along every branch; `found` gets each result with its probability.
    pub fn explore<T>(mut program: impl FnMut(&Branches) -> T, mut found: impl FnMut(f64, T)) {
        let branches = Branches::default();
        loop {
            branches.branch().at = 0;
            let result = program(&branches);
            let mut branch = branches.branch();
            assert_eq!(branch.at, branch.choices.len(), "the program chose otherwise on the same branch");
            found(branch.choices.iter().map(|choice| choice.probability).product(), result);
            loop {
                let Some(choice) = branch.choices.last_mut() else { return };
                if let Some((option, probability)) = choice.rest.pop() {
                    (choice.option, choice.probability) = (option, probability);
                    break;
                }
                branch.choices.pop();
            }
        }
    }

    fn branch(&self) -> MutexGuard<'_, Branch> {
        self.0.lock().expect("no other test shares it")
    }

    /// Chooses an option in proportion to the weights; `None` where all are zero.
    pub fn choose(&self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            return None;
        }
        let mut branch = self.branch();
        let at = branch.at;
        if at == branch.choices.len() {
            let mut rest: Vec<_> =
                weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0).map(|(option, weight)| (option, weight / total)).collect();
            rest.reverse();
            let (option, probability) = rest.pop()?;
            branch.choices.push(Choice { probability, option, rest });
        }
        branch.at += 1;
        Some(branch.choices[at].option)
    }

    /// A number in [0, 1) for a program whose behaviour changes with it only at the given points.
    #[allow(dead_code)]
    pub fn uniform(&self, breakpoints: impl IntoIterator<Item = f64>) -> f64 {
        let mut points: Vec<f64> = breakpoints.into_iter().filter(|point| (0.0..1.0).contains(point)).chain([0.0, 1.0]).collect();
        points.sort_by(f64::total_cmp);
        let lengths: Vec<f64> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let interval = self.choose(&lengths).expect("the intervals make up [0, 1)");
        (points[interval] + points[interval + 1]) / 2.0
    }
}

/// A sampler that takes every branch instead of drawing: whole runs are enumerated with it, as long as they
/// do not resample.
#[allow(dead_code)]
pub struct Enumerated<S> {
    pub sampler: S,
    pub branches: Branches,
}

impl<S: TokenSampler> TokenSampler for Enumerated<S> {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        self.sampler.draw_along(walk, labels)
    }

    fn draw(&self, row: &NextToken, labels: &mut dyn Labels, _rng: &mut dyn Rng) -> Draw {
        self.draw_along(&mut TreeWalk::new(&row.probs().collect::<Vec<_>>(), &self.branches), labels)
    }

    fn may_fail(&self) -> bool {
        self.sampler.may_fail()
    }
}

/// A walk on a row that takes every branch.
pub struct TreeWalk {
    masses: Vec<f64>,
    left: Vec<f64>,
    branches: Branches,
}

impl TreeWalk {
    /// A walk on a row of probabilities.
    pub fn new(masses: &[f64], branches: &Branches) -> Self {
        Self { masses: masses.to_vec(), left: masses.to_vec(), branches: branches.clone() }
    }
}

impl Walk for TreeWalk {
    fn draw(&mut self) -> Option<TokenId> {
        self.branches.choose(&self.left).map(|token| TokenId::new(token as u32))
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.branches.choose(&[1.0 - probability, probability]) == Some(1)
    }

    fn largest(&mut self) -> Option<TokenId> {
        let largest = self.left.iter().copied().fold(0.0, f64::max);
        let token = self.left.iter().position(|mass| *mass == largest)?;
        (largest > 0.0).then_some(TokenId::new(token as u32))
    }

    fn remove(&mut self, token: TokenId) {
        self.left[token.index()] = 0.0;
    }

    fn retain(&mut self, kept: &TokenSet) {
        for (token, mass) in self.left.iter_mut().enumerate() {
            if !kept.contains(TokenId::new(token as u32)) {
                *mass = 0.0;
            }
        }
    }

    fn mass(&self, token: TokenId) -> f64 {
        self.masses[token.index()]
    }

    fn remaining(&self) -> f64 {
        self.left.iter().sum()
    }
}
