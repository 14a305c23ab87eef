//! The mask equals asking about every token, after any prefix of an instance.

#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use tamis::constraint::{Constraint, JsonSchema};
use tamis::vocab::{Token, TokenSet, Vocabulary};

fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let words = [
            "ab", "\"a", "\"a\":", "{\"", "\", \"", "],", "}}", "true", "null,", "10", "0.5", "e1", "\\u00", "\\\"", "é", "  ", "\n  ",
            "[1", "aab",
        ];
        let tokens = bytes.chain(words.iter().map(|word| word.as_bytes().to_vec())).map(Token::Text);
        Vocabulary::new(tokens.chain([Token::End])).expect("a vocabulary")
    })
}

fuzz_target!(|data: &[u8]| {
    let mut source = Unstructured::new(data);
    let (Ok(schema), Ok(instance), Ok(cut), Ok(options), Ok(escape)) = (
        tamis_fuzz::schema(&mut source, 4),
        tamis_fuzz::value(&mut source, 3),
        source.arbitrary::<u8>(),
        tamis_fuzz::options(&mut source),
        source.choose(&["", "\\", "\\u", "\\u0", "\\u00", "\\u006", "\\ud8", "\\ud83d\\"]).copied(),
    ) else {
        return;
    };
    let Ok(compiled) = JsonSchema::with_options(&schema, &options) else { return };
    let mut text = instance.to_string().into_bytes();
    text.truncate(usize::from(cut) % (text.len() + 1));
    text.extend(escape.bytes());
    let Some(state) = compiled.advance(&compiled.start(), &text) else { return };
    let vocabulary = vocabulary();
    let mut mask = TokenSet::new(vocabulary.len());
    compiled.mask(&state, vocabulary.trie(), &mut mask);
    for token in vocabulary.tokens() {
        let allowed = vocabulary.bytes(token).is_some_and(|bytes| compiled.allows(&state, bytes));
        assert_eq!(
            mask.contains(token),
            allowed,
            "the schema {schema} with {options:?} after {:?}: {:?}",
            String::from_utf8_lossy(&text),
            vocabulary.bytes(token)
        );
    }
});
