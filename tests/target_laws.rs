//! What changes the target of a run and what does not, proved by going along every random choice of whole
//! runs: critics change it as they say; twists, proposals, pooled weights, labels of earlier runs and early
//! deaths do not change it at all.

#[path = "common/enumeration.rs"]
mod enumeration;
#[path = "common/toy.rs"]
mod toy;

use enumeration::{Branches, Enumerated};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tamis::constraint::{Rejection, Until};
use tamis::decode::critic::{Expert, Length, Satisfies, Score, Twist};
use tamis::decode::{ModelProposal, Propose};
use tamis::next_token::NextToken;
use tamis::prelude::*;
use tamis::sampler::{Awrs, DesRaj, Direct, Geometric, LabelCache, Masked, TokenSampler};
use tamis::vocab::{Canonical, Token, TokenId, Vocabulary};
use toy::{MAX_TOKENS, PATTERN, model, row, vocabulary};

const A: TokenId = TokenId::new(0);
const B: TokenId = TokenId::new(1);
const AB: TokenId = TokenId::new(2);

/// Another model of the same vocabulary, of the opposite taste.
fn other() -> TableLm {
    TableLm::new(vocabulary(), |context| match context.last().map(|token| token.index()) {
        None => vec![0.1, 0.4, 0.4, 0.1],
        Some(0) => vec![0.1, 0.6, 0.1, 0.2],
        Some(1) => vec![0.5, 0.1, 0.2, 0.2],
        Some(_) => vec![0.3, 0.2, 0.2, 0.3],
    })
}

fn pattern() -> Regex {
    Regex::new(PATTERN).unwrap()
}

fn is_complete(text: &[u8]) -> bool {
    let constraint = pattern();
    constraint.advance(&constraint.start(), text).is_some_and(|state| constraint.may_end(&state))
}

type Texts = BTreeMap<Vec<u8>, f64>;

/// The probability of each text of the pattern, each token sequence's times what `factor` gives it.
fn truth(factor: impl Fn(&[TokenId]) -> f64) -> Texts {
    let mut texts = Texts::new();
    for (tokens, probability) in model().complete_texts(&[], MAX_TOKENS, |_| true, is_complete).unwrap() {
        let mass = probability * factor(&tokens);
        if mass > 0.0 {
            *texts.entry(vocabulary().text(&tokens)).or_insert(0.0) += mass;
        }
    }
    texts
}

fn decoding(sampler: impl TokenSampler + 'static) -> ConstrainedDecoding<Regex> {
    ConstrainedDecoding::new(pattern()).sampler(sampler).max_tokens(MAX_TOKENS).ess_threshold(0.0)
}

/// E[evidence times posterior] over every branch of `draw`, to which the branches are given.
fn expected(draw: impl Fn(&Branches) -> Posterior) -> Texts {
    let mut texts = Texts::new();
    let mut total = 0.0;
    Branches::explore(
        |branches| draw(branches),
        |probability, posterior| {
            total += probability;
            for answer in &posterior.answers {
                *texts.entry(answer.text.clone()).or_insert(0.0) += probability * posterior.evidence() * answer.probability;
            }
        },
    );
    assert!((total - 1.0).abs() < 1e-10, "the branches' probabilities sum to {total}");
    texts
}

fn assert_equal(found: &Texts, truth: &Texts) {
    let show = |texts: &Texts| texts.iter().map(|(text, mass)| format!("{} {mass}", String::from_utf8_lossy(text))).collect::<Vec<_>>();
    assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{:?}, not {:?}", show(found), show(truth));
    for (text, mass) in found {
        assert!((mass - truth[text]).abs() < 1e-11, "{:?}, not {:?}", show(found), show(truth));
    }
}

/// Asserts that a run, made by `change`, has the target `truth`: with two particles that see the whole mask,
/// and with one that draws as the default and others do.
fn assert_target<C: Constraint>(truth: &Texts, make: impl Fn(Box<dyn TokenSampler>) -> ConstrainedDecoding<C>) {
    type Make = fn(&Branches) -> Box<dyn TokenSampler>;
    let samplers: [(usize, Make); 4] = [
        (2, |branches| Box::new(Enumerated { sampler: Masked::new(), branches: branches.clone() })),
        (1, |branches| Box::new(Enumerated { sampler: Awrs::new().eps(1.0).max_rejects(1), branches: branches.clone() })),
        (1, |branches| Box::new(Enumerated { sampler: DesRaj::recursive(), branches: branches.clone() })),
        (1, |branches| Box::new(Enumerated { sampler: Direct::new(), branches: branches.clone() })),
    ];
    for (particles, sampler) in samplers {
        let found = expected(|branches| make(sampler(branches)).particles(particles).run(&mut model(), &[]).unwrap());
        assert_equal(&found, truth);
    }
}

#[test]
fn a_critic_multiplies_the_target_by_its_last_score_and_its_earlier_ones_cancel() {
    let bytes = |tokens: &[TokenId]| vocabulary().text(tokens).len() as f64;
    assert_target(&truth(|tokens| (0.3 * bytes(tokens)).exp()), |sampler| decoding(sampler).critic(Length::new(0.3)));
    // Wild before the end, two critics, and one that rules texts out.
    let starts_with_a = |text: &[u8]| if text.starts_with(b"a") { 1.5 } else { f64::NEG_INFINITY };
    let exact = truth(|tokens| starts_with_a(&vocabulary().text(tokens)).exp() * (-0.2 * bytes(tokens)).exp());
    assert_target(&exact, |sampler| {
        let wild = Score::new(move |draft| {
            Ok(if draft.complete { starts_with_a(draft.text) } else { (draft.tokens.len() as f64 * 7.0).sin() * 3.0 })
        });
        decoding(sampler).critic(wild).critic(Length::new(-0.2))
    });
}

#[test]
fn a_twist_never_changes_the_target() {
    assert_target(&truth(|_| 1.0), |sampler| {
        let wild = Score::new(|draft| Ok(if draft.complete { 100.0 } else { draft.text.len() as f64 * 2.0 - 5.0 }));
        decoding(sampler).critic(Twist::new(wild)).critic(Twist::new(Length::new(-3.0)))
    });
}

#[test]
fn a_second_model_makes_a_product_of_experts_or_a_contrast() {
    for exponent in [1.0, -0.5] {
        let likelihood = |tokens: &[TokenId]| {
            let texts = other().complete_texts(&[], MAX_TOKENS, |_| true, |_| true).unwrap();
            texts.iter().find(|(found, _)| found == tokens).map_or(0.0, |(_, probability)| probability.powf(exponent))
        };
        assert_target(&truth(likelihood), |sampler| decoding(sampler).critic(Expert::new(other(), &[], exponent)));
    }
}

#[test]
fn a_proposal_changes_no_target() {
    let truth = truth(|_| 1.0);
    assert_target(&truth, |sampler| decoding(sampler).proposal(ModelProposal::new(other(), &[])));
    assert_target(&truth, |sampler| {
        decoding(sampler).proposal(Propose::new(|draft, row| {
            assert!(!draft.complete);
            let flatter: Vec<f64> = row.probs().map(|p| p.ln() / 2.0).collect();
            Ok(NextToken::from_log_weights(&flatter)?)
        }))
    });
}

#[test]
fn a_proposal_that_cannot_propose_what_the_model_can_is_refused() {
    let never_b = Propose::new(|_, _: &NextToken| Ok(NextToken::from_log_weights(&[0.0, f64::NEG_INFINITY, 0.0, 0.0])?));
    let error = decoding(Awrs::new()).proposal(never_b).run(&mut model(), &[]).unwrap_err();
    assert!(error.is_options() && error.to_string().contains("token 1"), "{error}");
    let too_short = Propose::new(|_, _: &NextToken| Ok(NextToken::from_log_weights(&[0.0])?));
    assert!(decoding(Awrs::new()).proposal(too_short).run(&mut model(), &[]).unwrap_err().is_options());
    let foreign = TableLm::independent(Vocabulary::new([Token::Text(b"x".to_vec()), Token::End]).unwrap(), &[0.5, 0.5]).unwrap();
    let error = decoding(Awrs::new()).critic(Expert::new(foreign, &[], 1.0)).run(&mut model(), &[]).unwrap_err();
    assert!(error.is_critic() && error.to_string().contains("vocabulary"), "{error}");
}

#[test]
fn a_critic_that_fails_or_gives_no_number_ends_the_run_with_its_error() {
    let error = decoding(Awrs::new()).critic(Score::new(|_| Err("no connection".into()))).run(&mut model(), &[]).unwrap_err();
    assert!(error.is_critic() && error.to_string().contains("no connection"), "{error}");
    let error = decoding(Awrs::new()).critic(Score::new(|_| Ok(f64::NAN))).run(&mut model(), &[]).unwrap_err();
    assert!(error.is_critic() && error.to_string().contains("number"), "{error}");
}

#[test]
fn sampling_first_and_judging_afterwards_has_the_same_target() {
    let found = expected(|branches| {
        let run = ConstrainedDecoding::sample_and_rerank(Satisfies::new(pattern())).max_tokens(MAX_TOKENS).particles(1);
        run.sampler(Enumerated { sampler: Direct::new(), branches: branches.clone() }).run(&mut model(), &[]).unwrap()
    });
    assert_equal(&found, &truth(|_| 1.0));
}

#[test]
fn labels_of_an_earlier_run_save_questions_and_change_no_target() {
    let truth = truth(|_| 1.0);
    for sampler in [Awrs::new().eps(1.0).without_mask(), Awrs::new().eps(0.2).max_rejects(1)] {
        let checks = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let found = expected(|branches| {
            let mut labels = LabelCache::default();
            // One token and the end: enough to learn from, and few enough branches.
            let sampler = || Enumerated { sampler, branches: branches.clone() };
            let first = decoding(sampler()).max_tokens(1).particles(1).run_with_labels(&mut model(), &[], &mut labels, |_| {}).unwrap();
            let second = decoding(sampler()).particles(1).run_with_labels(&mut model(), &[], &mut labels, |_| {}).unwrap();
            for (sum, posterior) in checks.iter().zip([&first, &second]) {
                sum.fetch_add(posterior.particles[0].tokens.first().map_or(0, |token| token.draw.checks as usize), Ordering::Relaxed);
            }
            second
        });
        assert_equal(&found, &truth);
        let [first, second] = checks.map(AtomicUsize::into_inner);
        assert!(second * 3 < first * 2, "{second} questions about the first token, after {first}");
    }
}

#[test]
fn a_chain_of_runs_finds_the_posterior_with_few_particles() {
    let truth = truth(|_| 1.0);
    let evidence: f64 = truth.values().sum();
    for sampler in [Awrs::new().eps(1.0), Awrs::new()] {
        // The weights are of one law in all sweeps, but the estimates of one chain are correlated: with four
        // particles their error is below .01 here.
        let chain = decoding(sampler).ess_threshold(0.9).particles(4).run_chain(&mut model(), &[], 5_000).unwrap();
        assert_eq!(chain.len(), 5_000);
        let mut mean = Texts::new();
        for answer in chain.iter().flat_map(|posterior| &posterior.answers) {
            *mean.entry(answer.text.clone()).or_insert(0.0) += answer.probability / chain.len() as f64;
        }
        for (text, mass) in &truth {
            let found = mean.get(text).copied().unwrap_or(0.0);
            assert!((found - mass / evidence).abs() < 0.03, "{}: {found}, not {}", String::from_utf8_lossy(text), mass / evidence);
        }
    }
}

/// Every token sequence with its probability when it ends at the first text that `stops` gives, or by the end
/// token where the text is complete.
fn stopped_truth(stops: impl Fn(&[u8]) -> Option<Vec<u8>>, is_complete: impl Fn(&[u8]) -> bool) -> Texts {
    let mut texts = Texts::new();
    let mut open = vec![(Vec::new(), 1.0)];
    while let Some((tokens, probability)) = open.pop() {
        let text = vocabulary().text(&tokens);
        if let Some(answer) = (1..=text.len()).find_map(|end| stops(&text[..end])) {
            if is_complete(&answer) {
                *texts.entry(answer).or_insert(0.0) += probability;
            }
            continue;
        }
        let row = row(&tokens);
        if is_complete(&text) {
            *texts.entry(text).or_insert(0.0) += probability * row[3];
        }
        if tokens.len() < MAX_TOKENS {
            for token in [A, B, AB] {
                open.push(([&tokens[..], &[token]].concat(), probability * row[token.index()]));
            }
        }
    }
    texts
}

#[test]
fn stop_strings_end_texts_and_are_no_part_of_them() {
    let runs_of_a = |text: &[u8]| !text.is_empty() && text.iter().all(|byte| *byte == b'a');
    let stops = |text: &[u8]| text.strip_suffix(b"ba").map(<[u8]>::to_vec);
    let exact = stopped_truth(stops, runs_of_a);
    assert!(exact.len() > 1, "{exact:?}");
    assert_target(&exact, |sampler| {
        let constraint = Stop::at(Regex::new("a+").unwrap(), ["ba"]);
        ConstrainedDecoding::new(constraint).sampler(sampler).max_tokens(MAX_TOKENS).ess_threshold(0.0)
    });
    // Behind a pointer, as the command has it.
    assert_target(&exact, |sampler| {
        let constraint = AnyConstraint::new(Stop::at(Regex::new("a+").unwrap(), ["ba"]));
        ConstrainedDecoding::new(constraint).sampler(sampler).max_tokens(MAX_TOKENS).ess_threshold(0.0)
    });
}

#[test]
fn a_text_ends_where_a_closure_says_so() {
    let two_b = |text: &[u8]| text.iter().filter(|byte| **byte == b'b').count() == 2;
    let exact = stopped_truth(|text| two_b(text).then(|| text.to_vec()), |text| text.len() >= 3);
    assert_target(&exact, |sampler| {
        let constraint = Until::new(Regex::new("[ab]{3,}").unwrap(), two_b);
        ConstrainedDecoding::new(constraint).sampler(sampler).max_tokens(MAX_TOKENS).ess_threshold(0.0)
    });
}

/// "ab" is one token wherever it can be.
fn encode(text: &[u8]) -> Option<Vec<TokenId>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.first() {
        let token = if rest.starts_with(b"ab") {
            AB
        } else if *first == b'a' {
            A
        } else {
            B
        };
        tokens.push(token);
        rest = &rest[if token == AB { 2 } else { 1 }..];
    }
    Some(tokens)
}

#[test]
fn canonical_tokenization_keeps_the_sequences_that_the_tokenizer_writes_and_no_others() {
    let exact = truth(|tokens| f64::from(encode(&vocabulary().text(tokens)).unwrap() == tokens));
    assert!(exact.values().sum::<f64>() < 0.9 * truth(|_| 1.0).values().sum::<f64>());
    assert_target(&exact, |sampler| decoding(sampler).token_filter(Canonical::whole(Arc::new(vocabulary()), encode)));
    let posterior = decoding(Geometric::new(2))
        .particles(50)
        .token_filter(Canonical::whole(Arc::new(vocabulary()), encode))
        .run(&mut model(), &[])
        .unwrap();
    for particle in posterior.particles.iter().filter(|particle| particle.complete) {
        let tokens: Vec<TokenId> = particle.tokens.iter().map(|token| token.token).filter(|token| token.index() < 3).collect();
        assert_eq!(encode(&particle.text()).unwrap(), tokens);
    }
}

/// A pattern that says how many bytes are still needed.
struct Costly {
    inner: Regex,
    needed: usize,
}

impl Constraint for Costly {
    type State = (<Regex as Constraint>::State, usize);

    fn start(&self) -> Self::State {
        (self.inner.start(), 0)
    }

    fn advance(&self, state: &Self::State, bytes: &[u8]) -> Option<Self::State> {
        Some((self.inner.advance(&state.0, bytes)?, state.1 + bytes.len()))
    }

    fn may_end(&self, state: &Self::State) -> bool {
        self.inner.may_end(&state.0)
    }

    fn closing_cost(&self, state: &Self::State) -> Option<usize> {
        Some(self.needed.saturating_sub(state.1))
    }

    fn explain(&self, state: &Self::State, bytes: &[u8]) -> Option<Rejection> {
        self.inner.explain(&state.0, bytes)
    }

    fn explain_end(&self, state: &Self::State) -> Option<Rejection> {
        self.inner.explain_end(&state.0)
    }
}

#[test]
fn what_the_token_limit_cannot_finish_dies_early_and_the_target_is_the_same() {
    let six = |text: &[u8]| text.len() == 5 && text.iter().all(|byte| b"ab".contains(byte));
    let exact = stopped_truth(|_| None, six);
    assert!(!exact.is_empty());
    let make = |sampler: Box<dyn TokenSampler>| {
        let constraint = Costly { inner: Regex::new("[ab]{5}").unwrap(), needed: 5 };
        ConstrainedDecoding::new(constraint).sampler(sampler).max_tokens(MAX_TOKENS).ess_threshold(0.0)
    };
    assert_target(&exact, make);
    // Two tokens of one byte leave three bytes to one token of two at the most.
    let posterior = make(Box::new(Awrs::new())).particles(100).seed(1).run(&mut model(), &[]).unwrap();
    let earliest = posterior.particles.iter().filter(|particle| !particle.complete).map(|particle| particle.tokens.len()).min();
    assert_eq!(earliest, Some(2));
}

#[test]
fn the_most_probable_particle_has_the_largest_joint_probability_of_those_found() {
    let posterior = decoding(Awrs::new()).particles(200).seed(2).run(&mut model(), &[]).unwrap();
    let best = posterior.most_probable().unwrap();
    for particle in posterior.particles.iter().filter(|particle| particle.weight > 0.0) {
        assert!(posterior.posterior_log_prob(particle) <= posterior.posterior_log_prob(best));
    }
    let sequences = model().complete_texts(&[], MAX_TOKENS, |_| true, is_complete).unwrap();
    let largest = sequences.iter().map(|(_, probability)| *probability).fold(0.0, f64::max);
    assert!((best.raw_log_prob().exp() - largest).abs() < 1e-12, "200 particles find the likeliest");
}
