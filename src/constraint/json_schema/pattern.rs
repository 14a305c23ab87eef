//! Patterns of schemas: regular expressions of ECMA-262, unanchored, as automata that span the text.
//!
//! What differs from ECMA-262: look-around and back-references cannot be automata and are refused.
//! `\d`, `\w` and `\b` are of ASCII, as there; `\s` is its set of white space; characters are code
//! points, as with its flag `u`.

use crate::constraint::{ConstraintError, Regex};

/// ECMA-262's white space and line terminators, as a class's inside.
const SPACE: &str = r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";

/// Compiles `source` so that the whole of a text matches where `source` matches some part of it.
pub(super) fn compile(source: &str) -> Result<Regex, ConstraintError> {
    let translated = translate(source)?;
    Regex::new(&format!(r"(?s:.)*(?:{translated})(?s:.)*")).map_err(|error| {
        // The positions and the text would be of the translation.
        let said = |kind: fn(String) -> ConstraintError| kind(format!("the pattern {source:?}: {}", error.message()));
        match (error.is_unsupported(), error.is_unsatisfiable()) {
            (true, _) => said(ConstraintError::unsupported),
            (_, true) => said(ConstraintError::unsatisfiable),
            _ => said(ConstraintError::invalid),
        }
    })
}

fn translate(source: &str) -> Result<String, ConstraintError> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    let mut in_class = false;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = after;
        match character {
            '\\' => {
                let Some(escaped) = after.chars().next() else {
                    return Err(ConstraintError::invalid(format!("the pattern {source:?} ends in a backslash")));
                };
                rest = escape(escaped, &after[escaped.len_utf8()..], in_class, source, &mut out)?;
            }
            '[' if in_class => out.push_str(r"\["),
            '[' => {
                if let Some(after) = after.strip_prefix("^]") {
                    out.push_str("(?s:.)");
                    rest = after;
                } else if let Some(after) = after.strip_prefix(']') {
                    out.push_str("[a&&b]");
                    rest = after;
                } else {
                    in_class = true;
                    out.push('[');
                    if let Some(after) = after.strip_prefix('^') {
                        out.push('^');
                        rest = after;
                    }
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            ']' => out.push_str(r"\]"),
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(character);
            }
            '-' if in_class && after.starts_with('-') => out.push_str(r"\-"),
            '.' if !in_class => out.push_str(r"[^\n\r\x{2028}\x{2029}]"),
            '$' if !in_class => out.push_str(r"\z"),
            '^' if !in_class => out.push_str(r"\A"),
            '{' if !in_class && !is_repetition(after) => out.push_str(r"\{"),
            '}' if !in_class && !out.ends_with(|last: char| last.is_ascii_digit() || last == ',') => out.push_str(r"\}"),
            '(' if !in_class && after.starts_with("?<") && !after.starts_with("?<=") && !after.starts_with("?<!") => {
                out.push_str("(?P<");
                rest = &after[2..];
            }
            '(' if !in_class && ["?=", "?!", "?<=", "?<!"].iter().any(|look| after.starts_with(look)) => {
                return Err(ConstraintError::unsupported(format!("the pattern {source:?} looks around, which no automaton can do")));
            }
            '#' | ' ' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Whether `{` and what follows it repeat something; else ECMA-262 takes the brace as it stands.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !low.is_empty() && low.bytes().chain(high.bytes()).all(|byte| byte.is_ascii_digit())
}

/// Writes the escape of `character`; what is left after it.
fn escape<'a>(character: char, after: &'a str, in_class: bool, source: &str, out: &mut String) -> Result<&'a str, ConstraintError> {
    let class = |inside: &str, out: &mut String| match in_class {
        true => out.push_str(inside),
        false => *out += &format!("[{inside}]"),
    };
    match character {
        'd' => class("0-9", out),
        'w' => class("0-9A-Za-z_", out),
        's' => class(SPACE, out),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'S' => *out += &format!("[^{SPACE}]"),
        'b' if in_class => out.push_str(r"\x08"),
        'b' | 'B' => *out += &format!(r"(?-u:\{character})"),
        'n' | 'r' | 't' | 'f' | 'v' => {
            out.push('\\');
            out.push(character);
        }
        '0' => out.push_str(r"\x00"),
        '1'..='9' => {
            return Err(ConstraintError::unsupported(format!("the pattern {source:?} refers back to a group, which no automaton can do")));
        }
        'c' if after.starts_with(|letter: char| letter.is_ascii_alphabetic()) => {
            *out += &format!(r"\x{:02X}", after.as_bytes()[0] % 32);
            return Ok(&after[1..]);
        }
        'x' | 'u' => {
            let (code, left) = code_point(character, after).unwrap_or((u32::from(character), after));
            match char::from_u32(code) {
                Some(_) => *out += &format!(r"\x{{{code:X}}}"),
                None => return Err(ConstraintError::unsupported(format!("the pattern {source:?} names half of a surrogate pair"))),
            }
            return Ok(left);
        }
        'p' | 'P' => {
            // The names of ECMA-262 are those of Unicode, as the automaton's are.
            let name = after.find('}').filter(|_| after.starts_with('{')).map_or(0, |end| end + 1);
            *out += &format!(r"\{character}{}", &after[..name]);
            return Ok(&after[name..]);
        }
        'k' => {
            return Err(ConstraintError::unsupported(format!("the pattern {source:?} refers back to a group, which no automaton can do")));
        }
        other if other.is_ascii_alphanumeric() => out.push(other),
        other => *out += &format!(r"\x{{{:X}}}", u32::from(other)),
    }
    Ok(after)
}

/// The code point of `\xHH`, `\uHHHH` (or a pair of them) or `\u{...}`.
fn code_point(letter: char, after: &str) -> Option<(u32, &str)> {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, 16).ok()).flatten();
    if letter == 'x' {
        return Some((hex(after.get(..2)?)?, &after[2..]));
    }
    if let Some((inside, left)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
        return Some((hex(inside)?, left));
    }
    let high = hex(after.get(..4)?)?;
    let left = &after[4..];
    let low = left.strip_prefix("\\u").and_then(|left| left.get(..4)).and_then(hex);
    match (high, low) {
        (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => Some((0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), &left[6..])),
        _ => Some((high, left)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::matches_whole;
    use super::*;

    #[test]
    fn patterns_mean_what_ecma_262_says() {
        for (pattern, text, matches) in [
            ("b", "abc", true),
            ("^b", "abc", false),
            ("c$", "abc", true),
            ("^$", "", true),
            ("a.c", "a\nc", false),
            ("^[^]$", "\n", true),
            (r"^\d+$", "٣", false),
            (r"^\w+$", "é", false),
            (r"\s", "\u{FEFF}", true),
            (r"^\S$", "\u{A0}", false),
            ("^{foo}$", "{foo}", true),
            (r"^\cA$", "\u{1}", true),
            (r"^\u0041\x42$", "AB", true),
            (r"^\u{1F600}$", "😀", true),
            (r"^\uD83D\uDE00$", "😀", true),
            ("^[[a]+$", "[a", true),
            ("^[a&&b]+$", "&a", true),
            (r"^\/\-$", "/-", true),
            (r"^\p{Lu}$", "É", true),
            ("^(?<year>[0-9]{4})$", "2026", true),
            ("a #b", "a #b", true),
            ("^[a-]$", "-", true),
            (r"^[\d-x]$", "-", true),
            ("x{2,}y", "xxxy", true),
        ] {
            assert_eq!(matches_whole(&compile(pattern).unwrap(), text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_no_automaton_can_do_is_refused_by_name() {
        for pattern in ["(?=a)b", "(?<!a)b", r"(a)\1"] {
            assert!(compile(pattern).unwrap_err().is_unsupported(), "{pattern}");
        }
        assert!(compile("a(").unwrap_err().to_string().contains("\"a(\""));
    }
}
