//! Any text as a grammar: compiled or refused with its place, soon; and any text followed by it, wherever it is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use tamis::constraint::{Constraint, Grammar};
use tamis::vocab::{Token, TokenSet, Vocabulary};

fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let words = ["ab", "aa", "ba", "if", "iff", "1.", "1.5", "  ", " a", "\"a\"", "é", "+=", "/*", "a b"];
        let tokens = bytes.chain(words.iter().map(|word| word.as_bytes().to_vec())).map(Token::Text);
        Vocabulary::new(tokens.chain([Token::End])).expect("a vocabulary")
    })
}

fuzz_target!(|data: &[u8]| {
    // The grammar, then after a byte 0 the text.
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (Some(Ok(source)), text) = (parts.next().map(std::str::from_utf8), parts.next().unwrap_or_default()) else { return };
    let grammar = match Grammar::parse(source) {
        Ok(grammar) => grammar,
        Err(error) => {
            let message = error.to_string();
            let line = message.strip_prefix("line ").and_then(|rest| rest.split(',').next()?.parse::<usize>().ok());
            assert!(line.is_none_or(|line| (1..=source.lines().count() + 1).contains(&line)), "{message}\n{source}");
            return;
        }
    };
    let start = grammar.start();
    let whole = grammar.advance(&start, text);
    assert_eq!(whole.is_some(), grammar.allows(&start, text));
    assert_eq!(whole.is_none(), grammar.explain(&start, text).is_some());
    let (mut state, mut mask) = (start, TokenSet::new(vocabulary().len()));
    for byte in text {
        let Some(next) = grammar.advance(&state, &[*byte]) else {
            assert!(whole.is_none(), "refused byte by byte alone: {source}\n{:?}", String::from_utf8_lossy(text));
            break;
        };
        state = next;
    }
    if let Some(whole) = &whole {
        assert_eq!(*whole, state, "{source}\n{:?}", String::from_utf8_lossy(text));
    }
    assert_eq!(grammar.may_end(&state), grammar.explain_end(&state).is_none());
    assert!(!grammar.may_end(&state) || grammar.closing_cost(&state) == Some(0), "{source}");
    let mut forced = Vec::new();
    grammar.forced(&state, &mut forced);
    assert!(grammar.allows(&state, &forced), "{source}\n{forced:?} is forced and refused");
    grammar.mask(&state, vocabulary().trie(), &mut mask);
    for token in vocabulary().tokens() {
        let allowed = vocabulary().bytes(token).is_some_and(|bytes| grammar.allows(&state, bytes));
        assert_eq!(mask.contains(token), allowed, "{source}\n{:?} then {:?}", String::from_utf8_lossy(text), vocabulary().bytes(token));
    }
});
