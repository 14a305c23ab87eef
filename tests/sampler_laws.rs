//! The samplers' law, proved by going along every random choice: E[w 1{X = x}] is p(x) where x is
//! allowed and 0 where it is not, for every option and every state of the label cache.

#[path = "common/enumeration.rs"]
mod enumeration;

use enumeration::{Branches, TreeWalk};
use tamis::next_token::Walk;
use tamis::sampler::{Awrs, Direct, Draw, Known, Labels, Masked, TokenSampler};
use tamis::vocab::{TokenId, TokenSet};

/// A row, the allowed tokens, and the golden (variance, expected checks) of `recursive` and of `dr_mask_K2`
/// in shared/vectors/awrs.json.
struct Case {
    probs: &'static [f64],
    allowed: &'static [u32],
    recursive: (f64, f64),
    mask_after_two: (f64, f64),
}

const SIXTH: f64 = 1.0 / 6.0;

const CASES: [Case; 8] = [
    Case {
        probs: &[0.5, 0.2, 0.15, 0.1, 0.05],
        allowed: &[1, 3],
        recursive: (0.04404761904761903, 3.1011904761904763),
        mask_after_two: (0.04125077399380808, 2.3687306501547996),
    },
    Case {
        probs: &[0.9, 0.05, 0.03, 0.015, 0.005],
        allowed: &[0, 1],
        recursive: (0.004625269959868006, 2.051391888442977),
        mask_after_two: (0.004623991405034, 2.0486223177218448),
    },
    Case {
        probs: &[0.9, 0.05, 0.03, 0.015, 0.005],
        allowed: &[2, 3],
        recursive: (0.0014208270676691732, 3.5786967418546363),
        mask_after_two: (0.0013521649034646923, 2.4075945517058974),
    },
    Case { probs: &[SIXTH; 6], allowed: &[0, 2, 4], recursive: (0.125, 2.75), mask_after_two: (0.11666666666666692, 2.3) },
    Case { probs: &[0.48, 0.24, 0.16, 0.12], allowed: &[1, 2, 3], recursive: (0.082944, 2.48), mask_after_two: (0.082944, 2.48) },
    Case { probs: &[0.25; 4], allowed: &[], recursive: (0.0, 4.0), mask_after_two: (0.0, 2.0) },
    Case { probs: &[0.25; 4], allowed: &[0, 1, 2, 3], recursive: (0.0, 2.0), mask_after_two: (0.0, 2.0) },
    Case { probs: &[0.6, 0.3, 0.1], allowed: &[2], recursive: (0.0, 2.9), mask_after_two: (0.0, 2.192857142857143) },
];

/// Rows where sums of what remains and one minus what is gone differ, and rows with impossible tokens.
const HARD: [(&[f64], &[u32]); 4] = [
    (&[0.5, 0.4999, 0.0001], &[2]),
    (&[0.6, 0.3997, 0.0002, 0.0001], &[2, 3]),
    (&[0.0, 0.7, 0.0, 0.3], &[0, 2, 3]),
    (&[1.0 - 1e-9, 5e-10, 5e-10], &[1]),
];

/// Labels written down, with some of them known from the beginning.
struct Table {
    mask: TokenSet,
    has_mask: bool,
    all_known: bool,
    known: [Vec<TokenId>; 2],
    checks: u32,
}

impl Table {
    fn new(size: usize, allowed: &[u32], known: &[u32], has_mask: bool) -> Self {
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
struct Exact {
    /// E[w 1{X = x}] for each x.
    weight_of: Vec<f64>,
    variance: f64,
    checks: f64,
}

fn enumerate(sampler: &dyn TokenSampler, probs: &[f64], allowed: &[u32], known: &[u32], has_mask: bool) -> Exact {
    let z: f64 = allowed.iter().map(|token| probs[*token as usize]).sum();
    let mut exact = Exact { weight_of: vec![0.0; probs.len()], variance: 0.0, checks: 0.0 };
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
            assert!(record.log_z <= 0.0 && record.log_z_high <= 0.0);
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
                Draw::Dead(_) => 0.0,
            };
            exact.variance += probability * (weight - z).powi(2);
        },
    );
    assert!((total - 1.0).abs() < 1e-12, "the branches' probabilities sum to {total}");
    exact
}

fn assert_proper(name: &str, sampler: &dyn TokenSampler, probs: &[f64], allowed: &[u32], known: &[u32], has_mask: bool) -> Exact {
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

fn rows() -> impl Iterator<Item = (&'static [f64], &'static [u32])> {
    CASES.iter().map(|case| (case.probs, case.allowed)).chain(HARD)
}

fn subsets(size: usize) -> impl Iterator<Item = Vec<u32>> {
    (0..1u32 << size).map(move |bits| (0..size as u32).filter(|token| bits >> token & 1 == 1).collect())
}

fn awrs_options() -> Vec<(String, Awrs)> {
    let mut options = Vec::new();
    for eps in [0.0, 0.1, 0.3, 1.0] {
        for peeks in [0, 1, 2, 3, u32::MAX] {
            for rejects in [Some(0), Some(1), Some(2), None] {
                let awrs = Awrs::new().eps(eps).max_peeks(peeks);
                let awrs = rejects.map_or(awrs.without_mask(), |rejects| awrs.max_rejects(rejects));
                options.push((format!("{awrs:?}"), awrs));
            }
        }
    }
    options.push(("the default".into(), Awrs::default()));
    options
}

#[test]
fn awrs_is_proper_for_every_option_and_every_state_of_the_cache() {
    for (name, awrs) in awrs_options() {
        for (probs, allowed) in rows() {
            for known in subsets(probs.len()) {
                assert_proper(&name, &awrs, probs, allowed, &known, true);
            }
        }
    }
}

#[test]
fn awrs_is_proper_where_the_constraint_has_no_mask() {
    for (name, awrs) in awrs_options() {
        for (probs, allowed) in rows() {
            assert_proper(&name, &awrs, probs, allowed, &[], false);
        }
    }
}

#[test]
fn awrs_without_peeks_is_the_recursive_estimator_with_its_golden_variance_and_checks() {
    for case in &CASES {
        let recursive = assert_proper("recursive", &Awrs::new().eps(1.0).without_mask(), case.probs, case.allowed, &[], true);
        assert!((recursive.variance - case.recursive.0).abs() < 1e-12, "{}", recursive.variance);
        assert!((recursive.checks - case.recursive.1).abs() < 1e-12, "{}", recursive.checks);
        let masked = assert_proper("mask after two", &Awrs::new().eps(1.0).max_rejects(2), case.probs, case.allowed, &[], true);
        assert!((masked.variance - case.mask_after_two.0).abs() < 1e-12, "{}", masked.variance);
        assert!((masked.checks - case.mask_after_two.1).abs() < 1e-12, "{}", masked.checks);
    }
}

#[test]
fn every_golden_row_of_an_estimator_of_ours_is_met() {
    let root = std::env::var("TAMIS_SHARED").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").into());
    let Ok(text) = std::fs::read_to_string(format!("{root}/vectors/awrs.json")) else {
        return println!("skipped: no vectors in {root}");
    };
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut met = 0;
    for row in &rows {
        let sampler = match row["estimator"].as_str().unwrap() {
            "recursive" => Awrs::new().eps(1.0).without_mask(),
            "dr_mask_K2" => Awrs::new().eps(1.0).max_rejects(2),
            _ => continue,
        };
        let probs: Vec<f64> = row["q"].as_array().unwrap().iter().map(|prob| prob.as_f64().unwrap()).collect();
        let allowed: Vec<u32> = row["accept"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect();
        let exact = assert_proper("golden", &sampler, &probs, &allowed, &[], true);
        assert!((exact.variance - row["Var_w"].as_f64().unwrap()).abs() < 1e-12, "{row}");
        assert!((exact.checks - row["E_calls"].as_f64().unwrap()).abs() < 1e-12, "{row}");
        met += 1;
    }
    assert_eq!(met, 16, "two estimators on eight rows");
}

#[test]
fn the_weight_of_awrs_varies_by_no_more_than_a_quarter_of_eps_squared() {
    for eps in [0.0, 0.1, 0.3] {
        for (probs, allowed) in rows() {
            let exact = enumerate(&Awrs::new().eps(eps).max_peeks(u32::MAX).without_mask(), probs, allowed, &[], false);
            assert!(exact.variance <= eps * eps / 4.0 + 1e-15, "eps {eps}: {}", exact.variance);
        }
    }
}

#[test]
fn on_flat_rows_several_draws_are_averaged_and_the_variance_falls_with_their_number() {
    let (probs, allowed) = ([1.0 / 12.0; 12], [0, 3, 5, 8]);
    let variance = |peeks| {
        let awrs = Awrs::new().eps(0.0).max_peeks(peeks).without_mask();
        assert_proper("averaged", &awrs, &probs, &allowed, &[1, 2, 4, 6], true).variance
    };
    let one = variance(1);
    assert!(variance(2) < 0.55 * one && variance(3) < 0.35 * one, "{one} {} {}", variance(2), variance(3));
}

#[test]
fn known_labels_save_checks_and_variance() {
    let awrs = Awrs::new().eps(1.0).without_mask();
    let (probs, allowed) = (CASES[0].probs, CASES[0].allowed);
    let cold = enumerate(&awrs, probs, allowed, &[], true);
    let warm = enumerate(&awrs, probs, allowed, &[0, 1], true);
    assert!(warm.checks < cold.checks / 1.5 && warm.variance < cold.variance / 2.0, "{} {}", warm.checks, warm.variance);
    let known = enumerate(&awrs, probs, allowed, &[0, 1, 2, 3, 4], true);
    assert!(known.checks == 0.0 && known.variance < 1e-30);
}

#[test]
fn masked_is_proper_and_exact_with_a_mask_and_without() {
    for (probs, allowed) in rows() {
        for has_mask in [true, false] {
            let exact = assert_proper("masked", &Masked::new(), probs, allowed, &[], has_mask);
            assert!(exact.variance < 1e-24, "{}", exact.variance);
            assert!(!has_mask || exact.checks == 0.0);
        }
    }
}

#[test]
fn direct_is_proper_and_varies_as_a_coin_of_probability_z() {
    for (probs, allowed) in rows() {
        let exact = assert_proper("direct", &Direct::new(), probs, allowed, &[], true);
        let z: f64 = allowed.iter().map(|token| probs[*token as usize]).sum();
        assert!((exact.variance - z * (1.0 - z)).abs() < 1e-12);
        assert!((exact.checks - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_forced_token_is_told_as_soon_as_it_is_certain() {
    let (probs, allowed): (&[f64], &[u32]) = (&[0.6, 0.4, 0.0], &[1, 2]);
    for sampler in [&Masked::new() as &dyn TokenSampler, &Awrs::default()] {
        Branches::explore(
            |branches| sampler.draw_along(&mut TreeWalk::new(probs, branches), &mut Table::new(3, allowed, &[], true)),
            |_, draw| assert!(draw.record().forced, "{draw:?}"),
        );
    }
}

#[test]
fn a_tree_walk_keeps_the_law_of_walks() {
    // The tool of the proofs is itself proved: it draws without replacement, in proportion to what remains.
    let mut probability_of = [[0.0; 3]; 3];
    Branches::explore(
        |branches| {
            let mut walk = TreeWalk::new(&[0.5, 0.3, 0.2], branches);
            let first = walk.draw().unwrap();
            walk.remove(first);
            (first, walk.draw().unwrap())
        },
        |probability, (first, second)| probability_of[first.index()][second.index()] += probability,
    );
    let expected = [[0.0, 0.3, 0.2], [0.3 * 0.5 / 0.7, 0.0, 0.3 * 0.2 / 0.7], [0.2 * 0.5 / 0.8, 0.2 * 0.3 / 0.8, 0.0]];
    for (found, expected) in probability_of.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-15);
    }
}
