//! A text coloured by how much the model wondered at each part of it.
//!
//! The parts are tokens, joined where a character spans several (a token's bytes may be no UTF-8 alone);
//! a part's surprisal is the sum of its tokens'. The text may come from a model, so control characters,
//! which a terminal would obey, are shown and not sent.

use crate::decode::TokenRecord;
use std::fmt::Write;

/// Upper bounds of the steps of colour but the last, in nats: probabilities 0.90, 0.61, 0.37, 0.14.
pub(super) const BOUNDS: [f64; 4] = [0.1, 0.5, 1.0, 2.0];

/// The backgrounds of the steps in the 256-colour palette, from pale to red; the first step has none.
const BACKGROUNDS: [u8; 4] = [230, 222, 215, 203];

/// Where less than e^-1 of the model's probability was allowed, model and constraint were in conflict.
const CONFLICT: f64 = -1.0;

/// A run of tokens that together are whole characters.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    /// In nats.
    pub(super) surprisal: f64,
    pub(super) conflict: bool,
    pub(super) forced: bool,
}

/// The tokens of a text as parts; tokens without text (the end) are left out.
pub(super) fn parts(tokens: &[TokenRecord]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open = false;
    for token in tokens.iter().filter(|token| !token.bytes.is_empty()) {
        if !open {
            parts.push(Part { bytes: Vec::new(), surprisal: 0.0, conflict: false, forced: true });
        }
        let part = parts.last_mut().expect("one was pushed");
        part.bytes.extend_from_slice(&token.bytes);
        part.surprisal += token.surprisal();
        // The bound too: a sampler that does not weigh uses 0 for ln Z, whatever it saw.
        part.conflict |= token.draw.log_z.min(token.draw.log_z_high) < CONFLICT;
        part.forced &= token.draw.forced;
        open = ends_inside_a_character(&part.bytes);
    }
    parts
}

fn ends_inside_a_character(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => false,
        Err(error) => error.error_len().is_none(),
    }
}

/// The step of colour of a surprisal in nats, from 0 to 4.
pub(super) fn level(surprisal: f64) -> usize {
    BOUNDS.iter().take_while(|bound| surprisal >= **bound).count()
}

/// The parts with escape sequences for their looks.
pub(super) fn coloured(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        paint(&mut out, level(part.surprisal), part.conflict, part.forced, &visible(&part.bytes, true));
    }
    out
}

/// A line that says what the colours mean.
pub(super) fn legend() -> String {
    let mut out = String::from("surprisal in nats: ");
    for step in 0..=BOUNDS.len() {
        let words = match step {
            0 => format!(" < {} ", BOUNDS[0]),
            step if step < BOUNDS.len() => format!(" < {} ", BOUNDS[step]),
            _ => format!(" >= {} ", BOUNDS[step - 1]),
        };
        paint(&mut out, step, false, false, &words);
    }
    out.push_str("; ");
    paint(&mut out, 0, true, false, "mostly forbidden");
    out.push_str("; ");
    paint(&mut out, 0, false, true, "the only token allowed");
    out
}

fn paint(out: &mut String, level: usize, conflict: bool, forced: bool, text: &str) {
    let mut codes: Vec<String> = Vec::new();
    if forced {
        codes.push("2".into());
    }
    if conflict {
        codes.push("4".into());
    }
    if level > 0 {
        // Grey instead of black on a background: terminals do not dim black.
        codes.push(format!("38;5;{}", if forced { 242 } else { 16 }));
        codes.push(format!("48;5;{}", BACKGROUNDS[level - 1]));
    }
    if codes.is_empty() {
        out.push_str(text);
        return;
    }
    let codes = codes.join(";");
    // A background that ran over the end of a line would fill it to the edge.
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if !line.is_empty() {
            let _ = write!(out, "\x1b[{codes}m{line}\x1b[0m");
        }
    }
}

/// The text with control characters shown as escapes; line breaks and tabs stay where `lines` says so.
pub(super) fn visible(bytes: &[u8], lines: bool) -> String {
    let mut out = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '\n' | '\t' if lines => out.push(character),
            character if character.is_control() || is_direction_mark(character) => out.extend(character.escape_default()),
            character => out.push(character),
        }
    }
    out
}

/// Characters that turn the direction of the text around them, with which a text can look like another.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_colour_begin_at_their_bounds() {
        assert_eq!([0.0, 0.099, 0.1, 0.5, 1.0, 1.99, 2.0, f64::INFINITY].map(level), [0, 0, 1, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn control_characters_of_a_text_never_reach_the_terminal() {
        assert_eq!(visible(b"a\x1b[2Jb\r\n", false), r"a\u{1b}[2Jb\r\n");
        assert_eq!(visible(b"a\n\tb\x07", true), "a\n\tb\\u{7}");
        assert_eq!(visible("\u{202E}x".as_bytes(), true), r"\u{202e}x");
    }

    #[test]
    fn looks_end_with_each_line() {
        let part = |bytes: &[u8], surprisal, conflict, forced| Part { bytes: bytes.to_vec(), surprisal, conflict, forced };
        let text = coloured(&[part(b"sure", 0.0, false, false), part(b"a\nb", 3.0, true, false), part(b"f", 0.0, false, true)]);
        assert_eq!(text, "sure\x1b[4;38;5;16;48;5;203ma\x1b[0m\n\x1b[4;38;5;16;48;5;203mb\x1b[0m\x1b[2mf\x1b[0m");
    }
}
