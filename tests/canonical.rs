//! Canonical tokenisation with the default model's own tokenizer: what it writes itself always passes, and
//! another way to write the same text does not.
#![cfg(feature = "candle")]

mod support;

use support::real_model;
use tamis::decode::ParticleRecord;
use tamis::prelude::*;
use tamis::vocab::{Canonical, TokenFilter, TokenId, Vocabulary};

/// Prose, code, JSON, SQL, other scripts, numbers, contractions, and white space of all kinds.
const TEXTS: [&str; 12] = [
    include_str!("../README.md"),
    include_str!("../src/vocab/canonical.rs"),
    include_str!("../examples/order.json"),
    include_str!("../examples/sample.sql"),
    include_str!("../examples/tour.rs"),
    "it's they're I'll we've I'm he'd 'tis rock'n'roll O'Neil's 'S 'RE don''t ' s '' r",
    "  two  spaces,\ttabs\t\tand\n\n\nlines \n \r\n ends   ",
    "1234567890 3.14159 0x1F 1e-9 2026-11-26 12:34:56 a1b22c333 \u{bd} \u{664}",
    "Ünïcödé straße Ελληνικά русский язык 日本語のテキスト 한국어 العربية עברית हिन्दी ไทย",
    "emoji 🙂👩\u{200d}👩\u{200d}👧 e\u{301} \u{a0}nbsp\u{2003}em \u{feff}bom \u{0}\u{1}\u{7f}",
    "camelCase snake_case SCREAMING_CASE kebab-case dotted.name a/b\\c <tag attr=\"v\">&amp;</tag> {[()]};:,.!?@#$%^&*~`|",
    "Antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis aaaaaaaaaaaaaaaaaaaaaaaa zzxqjkvbw",
];

fn model() -> Option<CandleLm> {
    Some(CandleLm::load(real_model()?).unwrap())
}

/// Where `tokens` are first refused, if they are before the end.
fn refused(canonical: &Canonical, tokens: &[TokenId]) -> Option<usize> {
    (0..tokens.len()).find(|at| !canonical.allows(&tokens[..*at], tokens[*at]))
}

#[test]
fn what_the_tokenizer_writes_itself_is_allowed_token_by_token_and_may_end() {
    let Some(model) = model() else { return };
    let canonical = model.canonical_tokens().unwrap();
    let lines = TEXTS.iter().flat_map(|text| text.lines());
    let (mut texts, mut written) = (0, 0);
    for text in TEXTS.iter().copied().chain(lines) {
        let tokens = model.raw_prompt(text).unwrap();
        if let Some(at) = refused(&canonical, &tokens) {
            panic!("{:?} after {:?}", model.vocabulary().text(&tokens[at..=at]), model.vocabulary().text(&tokens[..at]));
        }
        assert!(canonical.may_end(&tokens), "{text:?}");
        texts += 1;
        written += tokens.len();
    }
    assert!(texts > 400 && written > 10_000, "{texts} texts of {written} tokens");
}

/// The same text with the token at `place` written in two, if two tokens make it up.
fn in_two(vocabulary: &Vocabulary, tokens: &[TokenId], place: usize) -> Option<Vec<TokenId>> {
    let bytes = vocabulary.bytes(tokens[place])?;
    let token = |part: &[u8]| vocabulary.tokens().find(|token| vocabulary.bytes(*token) == Some(part));
    let parts = (1..bytes.len()).find_map(|at| Some([token(&bytes[..at])?, token(&bytes[at..])?]))?;
    Some([&tokens[..place], &parts, &tokens[place + 1..]].concat())
}

#[test]
fn another_way_to_write_a_text_is_refused_and_within_words_at_once() {
    let Some(model) = model() else { return };
    let (canonical, vocabulary) = (model.canonical_tokens().unwrap(), model.vocabulary());
    let (mut others, mut at_once, mut words, mut words_at_once) = (0, 0, 0, 0);
    for text in TEXTS {
        let tokens = model.raw_prompt(&text.chars().take(400).collect::<String>()).unwrap();
        for place in (0..tokens.len()).step_by(3) {
            let Some(other) = in_two(vocabulary, &tokens, place) else { continue };
            assert!(!canonical.may_end(&other), "{:?} in two", vocabulary.text(&tokens[place..=place]));
            let soon = refused(&canonical, &other).is_some_and(|at| at <= place + 1);
            let is_word = vocabulary
                .bytes(tokens[place])
                .is_some_and(|bytes| bytes.len() > 1 && bytes[1..].is_ascii() && bytes[1..].iter().all(u8::is_ascii_alphabetic));
            (others, at_once) = (others + 1, at_once + usize::from(soon));
            (words, words_at_once) = (words + usize::from(is_word), words_at_once + usize::from(is_word && soon));
        }
    }
    println!("{others} sequences, {at_once} refused at once; of {words} words {words_at_once}");
    assert!(others > 150 && words_at_once * 10 > words * 9, "{others} {at_once} {words} {words_at_once}");
}

#[test]
fn a_run_with_the_filter_writes_what_the_tokenizer_writes() {
    let Some(mut model) = model() else { return };
    let prompt = model.chat_prompt("Name a colour in one word.").unwrap();
    let run = |canonical: Option<Canonical>, model: &mut CandleLm| {
        let run = ConstrainedDecoding::new(Regex::new("[A-Z][a-z]{2,9}").unwrap()).particles(16).seed(3).max_tokens(8);
        let run = if let Some(canonical) = canonical { run.token_filter(canonical) } else { run };
        let posterior = run.run(model, &prompt).unwrap();
        let tokens =
            |particle: &ParticleRecord| particle.tokens.iter().filter(|token| !token.bytes.is_empty()).map(|token| token.token).collect();
        let written: Vec<Vec<TokenId>> = posterior.particles.iter().filter(|particle| particle.weight > 0.0).map(tokens).collect();
        assert!(!written.is_empty());
        let is_own =
            |tokens: &&Vec<TokenId>| **tokens == model.raw_prompt(&String::from_utf8(model.vocabulary().text(tokens)).unwrap()).unwrap();
        (written.iter().filter(is_own).count(), written.len())
    };
    let canonical = model.canonical_tokens().unwrap();
    let (own, all) = run(Some(canonical), &mut model);
    assert_eq!(own, all);
    let (own, all) = run(None, &mut model);
    println!("without the filter {own} of {all} are canonical");
}
