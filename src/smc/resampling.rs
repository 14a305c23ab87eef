//! Resampling schemes: which particles go on, and how many copies of each.
//!
//! All of them give particle i, of normalised weight w_i, n·w_i copies in the mean; they differ in how
//! far the number strays from it. Systematic strays least in practice and costs one random number;
//! its variance has no general bound, for which the others are here (Douc, Cappé and Moulines 2005,
//! "Comparison of resampling schemes for particle filtering").

/// How particles are drawn in proportion to their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resampling {
    /// n draws with replacement.
    Multinomial,
    /// The whole part of n·w_i copies for certain, the rest by draws with replacement.
    Residual,
    /// One draw in each of n equal parts of the unit interval.
    Stratified,
    /// One draw, repeated at distances of 1/n.
    #[default]
    Systematic,
}

impl Resampling {
    /// For each of n places the index of the particle copied there, in increasing order.
    ///
    /// `weights` are the n normalised weights; `uniform` gives numbers in [0, 1), independent of each
    /// other. A particle of weight zero is never copied.
    ///
    /// # Panics
    /// If no weight is positive.
    pub fn ancestors(self, weights: &[f64], mut uniform: impl FnMut() -> f64) -> Vec<usize> {
        let n = weights.len();
        match self {
            Self::Multinomial => with_replacement(n, weights, uniform),
            Self::Residual => residual(weights, uniform),
            Self::Stratified => at_positions(weights, (0..n).map(|stratum| (stratum as f64 + uniform()) / n as f64)),
            Self::Systematic => {
                let offset = uniform();
                at_positions(weights, (0..n).map(|place| (place as f64 + offset) / n as f64))
            }
        }
    }
}

/// So many draws with replacement, in increasing order.
pub(super) fn with_replacement(draws: usize, weights: &[f64], mut uniform: impl FnMut() -> f64) -> Vec<usize> {
    let mut positions: Vec<f64> = (0..draws).map(|_| uniform()).collect();
    positions.sort_unstable_by(f64::total_cmp);
    at_positions(weights, positions)
}

/// The inverse of the weights' cumulative sum at increasing positions in [0, 1).
fn at_positions(weights: &[f64], positions: impl IntoIterator<Item = f64>) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    // Where rounding carries a position past the sum, the last particle that has weight takes it.
    let last = weights.iter().rposition(|weight| *weight > 0.0).expect("some weight is positive");
    let (mut index, mut end) = (0, weights[0]);
    positions
        .into_iter()
        .map(|position| {
            while index < last && position * total >= end {
                index += 1;
                end += weights[index];
            }
            index
        })
        .collect()
}

fn residual(weights: &[f64], uniform: impl FnMut() -> f64) -> Vec<usize> {
    let n = weights.len();
    let total: f64 = weights.iter().sum();
    let mut ancestors = Vec::with_capacity(n);
    let mut rests = Vec::with_capacity(n);
    for (index, weight) in weights.iter().enumerate() {
        let wanted = weight / total * n as f64;
        // An expected count within rounding of a whole number is that number.
        let whole = if (wanted - wanted.round()).abs() < 1e-9 { wanted.round() } else { wanted.floor() };
        ancestors.extend(std::iter::repeat_n(index, whole as usize));
        rests.push((wanted - whole).max(0.0));
    }
    ancestors.truncate(n);
    let missing = n - ancestors.len();
    if missing > 0 {
        ancestors.extend(with_replacement(missing, &rests, uniform));
        ancestors.sort_unstable();
    }
    ancestors
}
