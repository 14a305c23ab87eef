//! Any bytes as a `tokenizer.json`.

use tamis::vocab::tokenizer::{EndTokens, Tokenizer};

/// Reads the bytes as a tokenizer and uses it a little: errors or tokens, never a panic.
pub fn run(data: &[u8]) {
    let ends = EndTokens { ids: vec![0], spellings: Vec::new() };
    let Ok(tokenizer) = Tokenizer::from_json(data, 300, &ends) else { return };
    for text in ["", "Hi <|im_end|>\n", "a\u{0}é🙂"] {
        if let Ok(tokens) = tokenizer.encode(text) {
            tokenizer.vocabulary().text(&tokens);
        }
    }
}
