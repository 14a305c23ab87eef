//! Labels from the cache are the constraint's own, each asked for once.

#[path = "common/words.rs"]
mod words;

use tamis::constraint::Constraint;
use tamis::next_token::NextToken;
use tamis::sampler::{Awrs, Draw, Known, LabelCache, Labels, TokenSampler};
use tamis::smc::Stream;
use tamis::vocab::{Token, TokenId, Vocabulary};
use words::Words;

/// Tokens 0 to 6: "a", "b", "ab", a control token, two ends, "a" again.
fn vocabulary() -> Vocabulary {
    let text = |bytes: &[u8]| Token::Text(bytes.to_vec());
    Vocabulary::new([text(b"a"), text(b"b"), text(b"ab"), Token::Control, Token::End, Token::End, text(b"a")]).unwrap()
}

fn constraint() -> Words {
    Words(vec![b"ab", b"b"])
}

fn ids(tokens: &[TokenId]) -> Vec<u32> {
    let mut ids: Vec<u32> = tokens.iter().map(|token| token.get()).collect();
    ids.sort();
    ids
}

#[test]
fn labels_are_the_constraints_and_control_tokens_are_refused() {
    let (vocabulary, constraint, mut cache) = (vocabulary(), constraint(), LabelCache::default());
    for (text, allowed) in [("", vec![0, 1, 2, 6]), ("a", vec![1]), ("b", vec![4, 5]), ("ab", vec![4, 5])] {
        let state = constraint.advance(&constraint.start(), text.as_bytes()).unwrap();
        for _ in 0..2 {
            let mut labels = cache.labels(&constraint, &vocabulary, &state, false);
            for token in vocabulary.tokens() {
                assert_eq!(labels.check(token), allowed.contains(&token.get()), "{text:?} {token}");
            }
        }
        let mut labels = cache.labels(&constraint, &vocabulary, &state, false);
        let mask: Vec<TokenId> = labels.mask().unwrap().iter().collect();
        assert_eq!(ids(&mask), allowed, "{text:?}");
        assert!(matches!(labels.known(), Known::All(_)));
        for token in vocabulary.tokens() {
            assert_eq!(labels.check(token), allowed.contains(&token.get()));
        }
        assert_eq!(labels.checks(), 0);
    }
}

#[test]
fn a_token_is_asked_about_once_and_all_ends_with_one_question() {
    let (vocabulary, constraint, mut cache) = (vocabulary(), constraint(), LabelCache::default());
    let state = constraint.start();
    let mut labels = cache.labels(&constraint, &vocabulary, &state, false);
    for token in [0, 0, 1, 3, 4, 5, 4] {
        labels.check(TokenId::new(token));
    }
    assert_eq!(labels.checks(), 3, "a, b and the end; a control token is no question");
    let mut again = cache.labels(&constraint, &vocabulary, &state, false);
    let Known::Some { allowed, refused } = again.known() else { panic!("no mask was computed") };
    assert_eq!((ids(allowed), ids(refused)), (vec![0, 1], vec![3, 4, 5]));
    assert!(again.check(TokenId::new(0)) && !again.check(TokenId::new(5)));
    assert_eq!(again.checks(), 0);
}

#[test]
fn after_the_last_token_only_ends_are_allowed_and_only_where_the_text_may_end() {
    let (vocabulary, constraint, mut cache) = (vocabulary(), constraint(), LabelCache::default());
    for (text, allowed) in [("", vec![]), ("b", vec![4, 5])] {
        let state = constraint.advance(&constraint.start(), text.as_bytes()).unwrap();
        let mut labels = cache.labels(&constraint, &vocabulary, &state, true);
        let Known::All(mask) = labels.known() else { panic!("all labels are known") };
        assert_eq!(ids(&mask.iter().collect::<Vec<_>>()), allowed);
        assert_eq!(vocabulary.tokens().filter(|token| labels.check(*token)).map(|token| token.get()).collect::<Vec<_>>(), allowed);
    }
    // What was said there does not count elsewhere.
    let start = constraint.start();
    assert!(cache.labels(&constraint, &vocabulary, &start, false).check(TokenId::new(0)));
}

#[test]
fn the_cache_keeps_the_states_used_last_and_no_more_than_it_may() {
    let vocabulary = vocabulary();
    let long: &'static [u8] = b"aaaaaaaaaaaaaaaaaaaaaaaa";
    let (constraint, mut cache) = (Words(vec![long]), LabelCache::with_capacity(4));
    let hot = long[..3].to_vec();
    for end in 0..long.len() {
        for state in [long[..end].to_vec(), hot.clone()] {
            cache.labels(&constraint, &vocabulary, &state, false).check(TokenId::new(0));
            assert!(cache.len() <= 4, "{} states", cache.len());
        }
    }
    let mut labels = cache.labels(&constraint, &vocabulary, &hot, false);
    labels.check(TokenId::new(0));
    assert_eq!(labels.checks(), 0, "a state in use is never forgotten");
    let first = Vec::new();
    let mut labels = cache.labels(&constraint, &vocabulary, &first, false);
    labels.check(TokenId::new(0));
    assert_eq!(labels.checks(), 1, "a state out of use is");
}

#[test]
fn particles_at_one_state_save_each_other_most_of_the_checks() {
    let (vocabulary, constraint) = (vocabulary(), constraint());
    let row = NextToken::from_log_weights(&[-1.0, -2.0, -3.0, -2.5, -1.5, -4.0, -3.5]).unwrap();
    let state = constraint.start();
    let checks = |shared: bool| -> u32 {
        let mut cache = LabelCache::default();
        let draws = (0..16).map(|particle| {
            if !shared {
                cache = LabelCache::default();
            }
            let draw =
                Awrs::new().draw(&row, &mut cache.labels(&constraint, &vocabulary, &state, false), &mut Stream::of_particle(1, particle));
            assert!(matches!(draw, Draw::Token { .. }));
            draw.record().checks
        });
        draws.sum()
    };
    assert!(checks(true) * 8 < checks(false), "{} {}", checks(true), checks(false));
}
