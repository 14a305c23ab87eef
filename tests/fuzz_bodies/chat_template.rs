//! Any text as a chat template.

use tamis::lm::candle::ChatTemplate;

/// Renders the text as a template: an error or a prompt, soon, never a panic.
pub fn run(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let template = ChatTemplate::new(source, "<s>", "</s>");
    for system in [None, Some("Be brief.")] {
        if let Err(error) = template.prompt("Hi", system) {
            assert!(!error.to_string().is_empty());
        }
    }
}
