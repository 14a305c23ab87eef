//! A walk on a row draws what it says: in proportion to what remains, and never what was taken out.

use proptest::prelude::*;
use tamis::next_token::{CHUNK, NextToken, RowWalk, Truncation, Walk};
use tamis::smc::Stream;
use tamis::vocab::{TokenId, TokenSet};

/// A row over three chunks with flat and peaked stretches, tokens of no probability, and an empty chunk.
fn row() -> NextToken {
    let log_weights: Vec<f64> = (0..3 * CHUNK + 40)
        .map(|token| match token {
            _ if token / CHUNK == 1 => f64::NEG_INFINITY,
            _ if token % 7 == 3 => f64::NEG_INFINITY,
            _ => ((token * 2654435761) % 1000) as f64 / 100.0,
        })
        .collect();
    NextToken::from_log_weights(&log_weights).unwrap()
}

fn id(token: usize) -> TokenId {
    TokenId::new(token as u32)
}

/// Checks that `at` is the inverse of the cumulative sum over the tokens that remain.
fn assert_inverse(walk: &mut RowWalk<'_>, row: &NextToken, remains: impl Fn(usize) -> bool) {
    let total: f64 = (0..row.len()).filter(|token| remains(*token)).map(|token| row.prob(id(token))).sum();
    let mut below = 0.0;
    for token in (0..row.len()).filter(|token| remains(*token) && row.prob(id(*token)) > 0.0) {
        let prob = row.prob(id(token)) / total;
        // Just inside both ends of the token's interval, up to the rounding of the sums.
        for position in [below + 1e-9 * prob + 1e-14, below + 0.5 * prob, below + prob - 1e-9 * prob - 1e-14] {
            assert_eq!(walk.at(position), Some(id(token)), "at {position}");
        }
        below += prob;
    }
    let remaining: Vec<usize> = (0..row.len()).filter(|token| remains(*token) && row.prob(id(*token)) > 0.0).collect();
    assert_eq!(walk.at(0.0), remaining.first().copied().map(id));
    assert_eq!(walk.at(1.0 - f64::EPSILON / 2.0), remaining.last().copied().map(id));
}

#[test]
fn a_position_finds_the_token_whose_interval_it_is_in() {
    let row = row();
    let mut walk = row.walk();
    assert_inverse(&mut walk, &row, |_| true);
    for token in (0..row.len()).filter(|token| token % 3 == 0) {
        walk.remove(id(token));
    }
    assert_inverse(&mut walk, &row, |token| token % 3 != 0);
    let rest: Vec<TokenId> = (0..row.len()).filter(|token| token % 3 == 1 && token / CHUNK != 2).map(id).collect();
    walk.remove_all(&rest);
    let remains = |token: usize| token % 3 == 2 || (token % 3 == 1 && token / CHUNK == 2);
    assert_inverse(&mut walk, &row, remains);
    let mut kept = TokenSet::new(row.len());
    for token in (0..row.len()).filter(|token| token % 5 == 0) {
        kept.insert(id(token));
    }
    walk.retain(&kept);
    assert_inverse(&mut walk, &row, |token| remains(token) && token % 5 == 0);
    walk.retain(&TokenSet::new(row.len()));
    assert_eq!((walk.at(0.5), walk.largest()), (None, None));
}

proptest! {
    #[test]
    fn a_walk_remembers_nothing_but_what_was_taken_out(steps in prop::collection::vec((0usize..4, 0.0..1.0), 1..40)) {
        // Whatever was looked at on the way, the walk is that of the same tokens taken out at once.
        let row = row();
        let (mut walk, mut removed, mut kept) = (row.walk(), Vec::new(), None);
        for (step, position) in steps {
            match step {
                0 => prop_assert_eq!(walk.largest(), afresh(&row, &removed, kept.as_ref()).largest()),
                1 => prop_assert_eq!(walk.at(position), afresh(&row, &removed, kept.as_ref()).at(position)),
                2 => {
                    let tokens = [position, position / 2.0].map(|position| id((position * row.len() as f64) as usize));
                    walk.remove_all(&tokens);
                    removed.extend(tokens);
                }
                _ if kept.is_none() => {
                    let mut set = TokenSet::new(row.len());
                    let modulus = 2 + (position * 3.0) as usize;
                    (0..row.len()).filter(|token| token / CHUNK != 1 && token % modulus == 0 || token / CHUNK == 2).for_each(|token| {
                        set.insert(id(token));
                    });
                    walk.retain(&set);
                    kept = Some(set);
                }
                _ => {
                    let found = walk.at(position);
                    if let Some(token) = found {
                        walk.remove(token);
                        removed.push(token);
                    }
                }
            }
        }
    }
}

/// A new walk without some tokens.
fn afresh<'a>(row: &'a NextToken, removed: &[TokenId], kept: Option<&TokenSet>) -> RowWalk<'a> {
    let mut walk = row.walk();
    if let Some(kept) = kept {
        walk.retain(kept);
    }
    walk.remove_all(removed);
    walk
}

#[test]
fn what_remains_is_a_sum_over_what_remains_however_small() {
    // One minus what is gone would say 0, or worse, less.
    let row = NextToken::from_log_weights(&[0.0, 0.0, -50.0, -60.0]).unwrap();
    let mut stream = Stream::of_particle(0, 0);
    let mut walk = row.walk().with_rng(&mut stream);
    walk.remove(id(0));
    walk.remove(id(1));
    let expected = row.prob(id(2)) + row.prob(id(3));
    assert!(expected > 0.0 && (walk.remaining() / expected - 1.0).abs() < 1e-12);
    walk.remove(id(2));
    assert_eq!(walk.draw(), Some(id(3)));
    walk.remove(id(3));
    assert_eq!((walk.remaining(), walk.draw()), (0.0, None));
}

#[test]
fn the_largest_comes_first_and_equal_ones_by_id() {
    let row = row();
    let mut walk = row.walk();
    let mut expected: Vec<usize> = (0..row.len()).filter(|token| row.prob(id(*token)) > 0.0).collect();
    expected.sort_by(|a, b| row.prob(id(*b)).total_cmp(&row.prob(id(*a))).then(a.cmp(b)));
    for token in expected {
        assert_eq!(walk.largest(), Some(id(token)));
        walk.remove(id(token));
    }
    assert_eq!(walk.largest(), None);
}

#[test]
fn draws_at_fixed_seeds_pass_a_chi_square_test() {
    // 5 tokens, 4 degrees of freedom: above 23.5 with probability 1e-4; the seeds are decided.
    let probs = [0.5, 0.2, 0.15, 0.1, 0.05];
    let row = NextToken::from_log_weights(&probs.map(f64::ln)).unwrap();
    let draws = 20_000;
    // The second draw without replacement: P(second = j) = sum over i != j of p_i p_j / (1 - p_i).
    let second = |j: usize| (0..5).filter(|i| *i != j).map(|i| probs[i] * probs[j] / (1.0 - probs[i])).sum::<f64>();
    let mut counts = [[0.0; 5]; 2];
    let mut stream = Stream::of_particle(42, 0);
    for _ in 0..draws {
        let mut walk = row.walk().with_rng(&mut stream);
        for counts in &mut counts {
            let token = walk.draw().unwrap();
            counts[token.index()] += 1.0;
            walk.remove(token);
        }
    }
    for (counts, expected) in [(counts[0], probs), (counts[1], [0, 1, 2, 3, 4].map(second))] {
        let statistic: f64 =
            counts.iter().zip(expected).map(|(count, p): (&f64, f64)| (count - p * draws as f64).powi(2) / (p * draws as f64)).sum();
        assert!(statistic < 23.5, "{statistic}: {counts:?}");
    }
}

#[test]
fn streams_differ_by_particle_and_by_seed_and_repeat_themselves() {
    let first = |seed, index| Stream::of_particle(seed, index).uniform();
    assert_eq!(first(1, 2), first(1, 2));
    assert!(first(1, 2) != first(1, 3) && first(1, 2) != first(2, 2));
    // A value written down: changing the streams changes every result that users have kept.
    assert_eq!(first(0, 0), 0.755531016687046);
}

/// Logits as models give them, with some that are far below the rest and some that are `-inf`.
fn logits(size: usize) -> Vec<f32> {
    let logit = |token: usize| match token % 11 {
        7 => f32::NEG_INFINITY,
        3 => -300.0 - (token % 13) as f32,
        _ => ((token * 2654435761) % 100_003) as f32 * 3e-4 - 20.0,
    };
    (0..size).map(logit).collect()
}

#[test]
fn a_row_of_single_precision_is_that_of_double_precision_to_seven_digits() {
    for size in [1, 2, 15, 16, 17, CHUNK, CHUNK + 1, 1000, 5 * CHUNK] {
        let logits = logits(size);
        let row = NextToken::from_logits(&logits).unwrap();
        let exact = NextToken::from_log_weights(&logits.iter().map(|logit| f64::from(*logit)).collect::<Vec<_>>()).unwrap();
        assert!((row.entropy() - exact.entropy()).abs() < 1e-6);
        assert_eq!(row.probs().count(), size);
        for (token, (prob, expected)) in row.probs().zip(exact.probs()).enumerate() {
            assert!((prob - expected).abs() <= 4e-7 * expected, "token {token}: {prob}, {expected}");
            assert_eq!(prob, row.prob(id(token)));
            let (log_prob, expected) = (row.log_prob(id(token)), exact.log_prob(id(token)));
            assert!(log_prob == expected || (log_prob - expected).abs() < 1e-6);
        }
        assert!((row.probs().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(
            row.top(5).iter().map(|(token, _)| *token).collect::<Vec<_>>(),
            exact.top(5).iter().map(|(token, _)| *token).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_row_that_is_no_distribution_names_the_token() {
    for size in [5, 600] {
        for broken in [f32::NAN, f32::INFINITY] {
            let mut logits = logits(size);
            logits[size - 2] = broken;
            let error = NextToken::from_logits(&logits).unwrap_err();
            assert!(error.to_string().contains(&format!("token {}", size - 2)), "{error}");
            let doubles: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
            assert_eq!(NextToken::from_log_weights(&doubles).unwrap_err().to_string(), error.to_string());
        }
        assert!(NextToken::from_logits(&vec![f32::NEG_INFINITY; size]).is_err());
    }
    assert!(NextToken::from_logits(&[]).is_err());
}

#[test]
fn a_truncated_row_keeps_the_most_probable_tokens_and_their_ratios() {
    let with = |temperature: f64, top_k: Option<usize>, top_p: f64, min_p: f64| {
        let mut truncation = Truncation::default();
        (truncation.temperature, truncation.top_k, truncation.top_p, truncation.min_p) = (temperature, top_k, top_p, min_p);
        truncation
    };
    let flat = NextToken::from_logits(&[0.5; 700]).unwrap();
    for row in [NextToken::from_logits(&logits(2000)).unwrap(), row(), flat] {
        for truncation in [
            with(0.5, None, 1.0, 0.0),
            with(2.0, Some(1), 1.0, 0.0),
            with(1.0, Some(300), 1.0, 0.0),
            with(1.0, Some(100_000), 1.0, 0.0),
            with(3.0, None, 0.9, 0.0),
            with(1.0, None, 0.999999, 0.0),
            with(1.0, None, 1.0, 0.01),
            with(0.7, Some(50), 0.8, 0.05),
        ] {
            let changed = truncation.apply(&row).unwrap();
            // The definition, one token after the other.
            let power = |token: usize| row.log_prob(id(token)) / truncation.temperature;
            let mut order: Vec<usize> = (0..row.len()).filter(|token| row.prob(id(*token)) > 0.0).collect();
            order.sort_by(|a, b| power(*b).total_cmp(&power(*a)).then(a.cmp(b)));
            let total: f64 = order.iter().map(|token| power(*token).exp()).sum();
            let top_p = if truncation.top_p < 1.0 { truncation.top_p } else { f64::INFINITY };
            let (mut kept, mut mass) = (Vec::new(), 0.0);
            for token in order {
                let prob = power(token).exp() / total;
                let first = power(*kept.first().unwrap_or(&token)).exp() / total;
                if kept.len() >= truncation.top_k.unwrap_or(usize::MAX) || mass >= top_p || prob < first * truncation.min_p {
                    break;
                }
                mass += prob;
                kept.push(token);
            }
            let stayed = (0..row.len()).filter(|token| changed.prob(id(*token)) > 0.0).count();
            // The last token may fall either way where sums are rounded.
            assert!(stayed.abs_diff(kept.len()) <= 1, "{truncation:?}: {stayed} instead of {}", kept.len());
            for token in &kept[..kept.len() - 1] {
                let ratio = changed.log_prob(id(*token)) - changed.log_prob(id(kept[0]));
                assert!((ratio - (power(*token) - power(kept[0]))).abs() < 1e-4 * (1.0 + ratio.abs()), "{truncation:?}");
            }
        }
    }
}
