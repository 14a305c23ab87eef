//! The samplers' law, proved by going along every random choice: E[w 1{X = x}] is p(x) where x is
//! allowed and 0 where it is not, for every sampler, every option and every state of the label cache.
//! Variance, expected questions and the probability of weight zero agree with golden values that were
//! computed elsewhere.

#[path = "common/enumeration.rs"]
mod enumeration;
#[path = "common/proof.rs"]
mod proof;
#[path = "common/vectors.rs"]
mod vectors;

use enumeration::{Branches, TreeWalk};
use proof::{Table, assert_proper, enumerate};
use serde_json::Value;
use tamis::next_token::{NextToken, Walk};
use tamis::sampler::{Awrs, DesRaj, Direct, Draw, Geometric, Labels, Masked, TokenSampler, TwoLoop, corrected, uncovered};
use tamis::vocab::TokenId;

const SIXTH: f64 = 1.0 / 6.0;

/// Rows with their allowed tokens: those of the golden vectors, then rows where sums of what remains and
/// one minus what is gone differ, and rows with impossible tokens.
const ROWS: [(&[f64], &[u32]); 13] = [
    (&[0.5, 0.2, 0.15, 0.1, 0.05], &[1, 3]),
    (&[0.9, 0.05, 0.03, 0.015, 0.005], &[0, 1]),
    (&[0.9, 0.05, 0.03, 0.015, 0.005], &[2, 3]),
    (&[SIXTH; 6], &[0, 2, 4]),
    (&[0.48, 0.24, 0.16, 0.12], &[1, 2, 3]),
    (&[0.25; 4], &[]),
    (&[0.25; 4], &[0, 1, 2, 3]),
    (&[0.6, 0.3, 0.1], &[2]),
    (&[0.5, 0.4999, 0.0001], &[2]),
    (&[0.6, 0.3997, 0.0002, 0.0001], &[2, 3]),
    (&[0.0, 0.7, 0.0, 0.3], &[0, 2, 3]),
    (&[1.0 - 1e-9, 5e-10, 5e-10], &[1]),
    // Unlikely tokens beside likely ones: what is known of them is not looked up.
    (&[0.6, 0.39995, 3e-5, 2e-5], &[0, 2]),
];

fn subsets(size: usize) -> impl Iterator<Item = Vec<u32>> {
    (0..1u32 << size).map(move |bits| (0..size as u32).filter(|token| bits >> token & 1 == 1).collect())
}

fn awrs_options() -> Vec<Awrs> {
    let mut options = vec![Awrs::default(), Awrs::new().eps(0.1).weigh_by_mask_after(0), Awrs::new().eps(1.0).weigh_by_mask_after(1)];
    let certain = [0.0, 0.1, 0.3, 1.0].map(|eps| Awrs::new().eps(eps));
    let expected = [0.0, 0.02, 0.1, 0.3, f64::INFINITY].map(|error| Awrs::new().error(error));
    for goal in certain.into_iter().chain(expected) {
        for peeks in [0, 1, 2, 3, u32::MAX] {
            for rejects in [Some(0), Some(1), Some(2), None] {
                let awrs = goal.max_peeks(peeks);
                options.push(rejects.map_or(awrs.without_mask(), |rejects| awrs.max_rejects(rejects)));
            }
        }
    }
    options
}

fn des_raj_options() -> Vec<DesRaj> {
    let plans = [DesRaj::recursive(), DesRaj::draws(3), DesRaj::draws_per_proposal(1), DesRaj::draws_per_proposal(2)];
    let bounded = |plan: DesRaj| [plan, plan.give_up_after(1), plan.give_up_after(2), plan.give_up_after(3)];
    let roulette = [0.0, 0.5, 1.0].map(|guess| DesRaj::recursive().roulette(guess));
    plans.into_iter().flat_map(bounded).chain(roulette).collect()
}

fn geometric_options() -> Vec<Geometric> {
    let of = |accepts: u32| {
        [None, Some(1), Some(2), Some(4)]
            .map(|most| most.map_or(Geometric::new(accepts), |most| Geometric::new(accepts).give_up_after(most)))
    };
    [2, 3].into_iter().flat_map(of).collect()
}

fn assert_proper_everywhere(sampler: &(impl TokenSampler + std::fmt::Debug)) {
    for (probs, allowed) in ROWS {
        for known in subsets(probs.len()) {
            assert_proper(&format!("{sampler:?}"), sampler, probs, allowed, &known, true);
        }
        assert_proper(&format!("{sampler:?} without a mask"), sampler, probs, allowed, &[], false);
    }
}

#[test]
fn awrs_is_proper_for_every_option_and_every_state_of_the_cache() {
    awrs_options().iter().for_each(assert_proper_everywhere);
}

#[test]
fn averages_of_des_raj_are_proper_for_every_plan_bound_and_state_of_the_cache() {
    des_raj_options().iter().for_each(assert_proper_everywhere);
}

#[test]
fn the_geometric_estimators_are_proper_for_every_option_and_state_of_the_cache() {
    geometric_options().iter().for_each(assert_proper_everywhere);
}

#[test]
fn the_papers_two_searches_are_proper_for_every_state_of_the_cache() {
    assert_proper_everywhere(&TwoLoop::new());
}

#[test]
fn every_golden_row_is_met() {
    let Some(rows) = vectors::read("awrs.json") else { return };
    let rows = rows.as_array().unwrap();
    for row in rows {
        let name = row["estimator"].as_str().unwrap();
        let (sampler, tolerance): (Box<dyn TokenSampler>, f64) = match name {
            "paper" => (Box::new(TwoLoop::new()), 1e-12),
            "recursive" => (Box::new(DesRaj::recursive()), 1e-12),
            "recursive_R2" => (Box::new(DesRaj::recursive().give_up_after(2)), 1e-12),
            "recursive_R3" => (Box::new(DesRaj::recursive().give_up_after(3)), 1e-12),
            "dr_e_tau" => (Box::new(DesRaj::draws_per_proposal(1)), 1e-12),
            "dr_roulette_u/(a+u)_z.5" => (Box::new(DesRaj::recursive().roulette(0.5)), 1e-12),
            "dr_mask_K2" => (Box::new(Awrs::new().eps(1.0).max_rejects(2)), 1e-12),
            "dr_hybrid_T2_K3" => (Box::new(Awrs::new().eps(1.0).max_rejects(3).weigh_by_mask_after(1)), 1e-12),
            "geometric_m2_R4" => (Box::new(Geometric::new(2).give_up_after(4)), 1e-12),
            "geometric_m3_R3" => (Box::new(Geometric::new(3).give_up_after(3)), 1e-12),
            // These golden values were integrated numerically.
            "geometric_m2_Rinf" | "geometric_m2_Rinf_RB" => (Box::new(Geometric::new(2)), 1e-10),
            "geometric_m3_Rinf" | "geometric_m3_Rinf_RB" => (Box::new(Geometric::new(3)), 1e-10),
            other => panic!("the estimator {other} is not covered"),
        };
        let probs: Vec<f64> = floats(&row["q"]);
        let allowed: Vec<u32> = floats(&row["accept"]).iter().map(|token| *token as u32).collect();
        let exact = assert_proper(name, &*sampler, &probs, &allowed, &[], true);
        let is_near = |found: f64, key: &str| (found - row[key].as_f64().unwrap()).abs() < tolerance;
        assert!(is_near(exact.checks, "E_calls") && is_near(exact.dead, "P_w0"), "{name}: {} {}: {row}", exact.checks, exact.dead);
        if name.ends_with("Rinf") {
            // With repeats drawn at random; ours averages over them.
            assert!(exact.variance <= row["Var_w"].as_f64().unwrap() + 1e-12, "{name}: {}: {row}", exact.variance);
        } else {
            assert!(is_near(exact.variance, "Var_w"), "{name}: {}: {row}", exact.variance);
        }
    }
    assert_eq!(rows.len(), 108);
}

fn floats(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn peeks_at_the_largest_first_have_their_golden_variance_and_checks() {
    let Some(vector) = vectors::uncertainty("awrs.adaptive_peek_largest_first") else { return };
    for (case, expected) in vectors::cases(&vector) {
        let probs = floats(&case["p"]);
        let allowed: Vec<u32> =
            floats(&case["allowed"]).iter().zip(0..).filter(|(allowed, _)| **allowed == 1.0).map(|(_, token)| token).collect();
        // Where the unseen mass equals eps but for rounding, the golden values may have gone either way.
        let [low, high] = [-1e-12, 1e-12].map(|nudge| {
            let awrs = Awrs::new().eps(case["eps"].as_f64().unwrap() * (1.0 + nudge)).max_peeks(u32::MAX).without_mask();
            assert_proper("largest first", &awrs, &probs, &allowed, &[], false)
        });
        let (z, expected) = (expected["Z"].as_f64().unwrap(), &expected["largest_first"]);
        let is_between = |a: f64, b: f64, golden: &Value| (a.min(b) - 1e-9..=a.max(b) + 1e-9).contains(&golden.as_f64().unwrap());
        assert!(
            is_between(low.variance / (z * z), high.variance / (z * z), &expected["rel_var"]),
            "{case}: {} {}",
            low.variance,
            high.variance
        );
        assert!(is_between(low.checks, high.checks, &expected["checks"]), "{case}: {} {}", low.checks, high.checks);
    }
}

/// What not to do: the geometric estimator, but at the last refusal that it may meet the mask, with the
/// exact Z as the weight.
#[derive(Debug)]
struct GeometricThenMask {
    give_up_after: u32,
}

impl TokenSampler for GeometricThenMask {
    fn draw_along(&self, walk: &mut dyn Walk, labels: &mut dyn Labels) -> Draw {
        let (mut first, mut accepts, mut refusals) = (None, 0, 0);
        while accepts < 2 && refusals < self.give_up_after {
            if refusals > 0 && walk.chance(1.0 - walk.remaining()) {
                refusals += 1;
                continue;
            }
            let token = walk.draw().unwrap();
            if labels.check(token) {
                accepts += 1;
                first.get_or_insert(token);
            } else {
                walk.remove(token);
                refusals += 1;
            }
        }
        if accepts < 2 {
            return Masked::new().draw_along(walk, labels);
        }
        // Only the weight is looked at: the record is the mask's.
        let Draw::Token { record, .. } = Masked::new().draw_along(walk, labels) else { unreachable!() };
        Draw::Token { token: first.unwrap(), log_weight: -f64::from(refusals + 1).ln(), record }
    }

    fn may_fail(&self) -> bool {
        false
    }
}

#[test]
fn the_geometric_estimator_with_the_mask_in_place_of_giving_up_is_biased_and_the_default_is_not() {
    for (probs, allowed, least) in [(ROWS[3].0, ROWS[3].1, 0.05), (ROWS[0].0, ROWS[0].1, 0.05)] {
        let z: f64 = allowed.iter().map(|token| probs[*token as usize]).sum();
        let mean = |sampler: &dyn TokenSampler| enumerate(sampler, probs, allowed, &[], true).weight_of.iter().sum::<f64>();
        let bias = mean(&GeometricThenMask { give_up_after: 2 }) - z;
        assert!(bias > least, "the bias has gone: {bias}");
        assert!((mean(&Awrs::new().max_rejects(2)) - z).abs() < 1e-12);
        assert!((mean(&Geometric::new(2).give_up_after(2)) - z).abs() < 1e-12);
    }
}

#[test]
fn the_weight_of_awrs_varies_by_no_more_than_a_quarter_of_eps_squared() {
    for eps in [0.0, 0.1, 0.3] {
        for (probs, allowed) in ROWS {
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
    let (probs, allowed) = ROWS[0];
    let cold = enumerate(&awrs, probs, allowed, &[], true);
    let warm = enumerate(&awrs, probs, allowed, &[0, 1], true);
    assert!(warm.checks < cold.checks / 1.5 && warm.variance < cold.variance / 2.0, "{} {}", warm.checks, warm.variance);
    let known = enumerate(&awrs, probs, allowed, &[0, 1, 2, 3, 4], true);
    assert!(known.checks == 0.0 && known.variance < 1e-30);
}

#[test]
fn masked_is_proper_and_exact_with_a_mask_and_without() {
    for (probs, allowed) in ROWS {
        for has_mask in [true, false] {
            let exact = assert_proper("masked", &Masked::new(), probs, allowed, &[], has_mask);
            assert!(exact.variance < 1e-24, "{}", exact.variance);
            assert!(!has_mask || exact.checks == 0.0);
        }
    }
}

#[test]
fn direct_is_proper_and_varies_as_a_coin_of_probability_z() {
    for (probs, allowed) in ROWS {
        let exact = assert_proper("direct", &Direct::new(), probs, allowed, &[], true);
        let z: f64 = allowed.iter().map(|token| probs[*token as usize]).sum();
        assert!((exact.variance - z * (1.0 - z)).abs() < 1e-12);
        assert!((exact.checks - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_forced_token_is_told_as_soon_as_it_is_certain() {
    let (probs, allowed): (&[f64], &[u32]) = (&[0.6, 0.4, 0.0], &[1, 2]);
    for sampler in [&Masked::new() as &dyn TokenSampler, &Awrs::default(), &DesRaj::recursive()] {
        Branches::explore(
            |branches| sampler.draw_along(&mut TreeWalk::new(probs, branches), &mut Table::new(3, allowed, &[], true)),
            |_, draw| assert!(draw.record().forced, "{draw:?}"),
        );
    }
}

fn row(probs: &[f64]) -> NextToken {
    NextToken::from_log_weights(&probs.iter().map(|prob| prob.ln()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_draw_from_another_distribution_is_proper_for_the_target_once_corrected() {
    let target_probs = [0.5, 0.2, 0.15, 0.1, 0.05];
    let (target, allowed) = (row(&target_probs), [1, 3, 4]);
    for proposal_probs in [[0.2; 5], [0.05, 0.1, 0.15, 0.2, 0.5], target_probs] {
        let proposal = row(&proposal_probs);
        assert_eq!(uncovered(&target, &proposal), None);
        for sampler in [
            &Awrs::default() as &dyn TokenSampler,
            &Awrs::new().eps(1.0),
            &Masked::new(),
            &Direct::new(),
            &Geometric::new(2),
            &TwoLoop::new(),
        ] {
            let mut weight_of = [0.0; 5];
            Branches::explore(
                |branches| {
                    let draw = sampler.draw_along(&mut TreeWalk::new(&proposal_probs, branches), &mut Table::new(5, &allowed, &[], true));
                    corrected(draw, &target, &proposal)
                },
                |probability, draw| {
                    let record = *draw.record();
                    assert!(record.log_z_low.exp() <= 0.35 + 1e-12 && record.log_z_high == 0.0);
                    if let Draw::Token { token, log_weight, .. } = draw {
                        assert_eq!(log_weight, record.log_z);
                        weight_of[token.index()] += probability * log_weight.exp();
                    }
                },
            );
            for (token, weight) in weight_of.iter().enumerate() {
                let truth = if allowed.contains(&(token as u32)) { target_probs[token] } else { 0.0 };
                assert!((weight - truth).abs() < 1e-12, "{proposal_probs:?}: {token}: {weight}, not {truth}");
            }
        }
    }
}

#[test]
fn a_proposal_that_leaves_out_a_token_of_the_target_is_found_and_a_token_outside_of_the_target_weighs_nothing() {
    let (target, proposal) = (row(&[0.5, 0.25, 0.25, 0.0]), row(&[0.5, 0.0, 0.25, 0.25]));
    assert_eq!(uncovered(&target, &proposal), Some(TokenId::new(1)));
    Branches::explore(
        |branches| Direct::new().draw_along(&mut TreeWalk::new(&[0.5, 0.0, 0.25, 0.25], branches), &mut Table::new(4, &[3], &[], true)),
        |_, draw| assert!(matches!(corrected(draw, &target, &proposal), Draw::Dead(_))),
    );
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
