//! Classes of characters and the escapes that stand for them.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Why an escape stands for no class.
pub(super) enum Problem {
    Syntax(String),
    /// Something of ECMA-262 that is not supported: the message continues "the pattern ...".
    Unsupported(String),
}

pub(super) fn ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(*low, *high)))
}

pub(super) fn one(character: char) -> ClassUnicode {
    ranges(&[(character, character)])
}

pub(super) fn any() -> ClassUnicode {
    ranges(&[('\0', char::MAX)])
}

pub(super) fn negated(mut class: ClassUnicode) -> ClassUnicode {
    class.negate();
    class
}

pub(super) fn line_terminators() -> ClassUnicode {
    ranges(&[('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')])
}

pub(super) fn word() -> ClassUnicode {
    ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')])
}

/// White space and line terminators.
fn space() -> ClassUnicode {
    ranges(&[
        ('\t', '\r'),
        (' ', ' '),
        ('\u{A0}', '\u{A0}'),
        ('\u{1680}', '\u{1680}'),
        ('\u{2000}', '\u{200A}'),
        ('\u{2028}', '\u{2029}'),
        ('\u{202F}', '\u{202F}'),
        ('\u{205F}', '\u{205F}'),
        ('\u{3000}', '\u{3000}'),
        ('\u{FEFF}', '\u{FEFF}'),
    ])
}

/// What the escape at the beginning of `text`, after its backslash, stands for, and its length in bytes.
pub(super) fn class(text: &str, strict: bool) -> Result<(ClassUnicode, usize), Problem> {
    let Some(letter) = text.chars().next() else { return Err(Problem::Syntax("a backslash escapes nothing".into())) };
    let after = &text[letter.len_utf8()..];
    let digits = || ranges(&[('0', '9')]);
    let class = match letter {
        'd' => digits(),
        'D' => negated(digits()),
        'w' => word(),
        'W' => negated(word()),
        's' => space(),
        'S' => negated(space()),
        'n' => one('\n'),
        'r' => one('\r'),
        't' => one('\t'),
        'f' => one('\u{c}'),
        'v' => one('\u{b}'),
        '0' if !after.starts_with(|next: char| next.is_ascii_digit()) => one('\0'),
        'c' if after.starts_with(|next: char| next.is_ascii_alphabetic()) => {
            return Ok((one(char::from(after.as_bytes()[0] % 32)), 2));
        }
        'x' | 'u' => match code_point(letter, after) {
            Some((code, length)) => match char::from_u32(code) {
                Some(character) => return Ok((one(character), 1 + length)),
                None if code > 0x10_FFFF => return Err(Problem::Syntax(format!("there is no code point {code:X}"))),
                None => return Err(Problem::Unsupported("names half of a surrogate pair, which no JSON text holds".into())),
            },
            None if strict => return Err(Problem::Syntax(format!("`\\{letter}` needs hexadecimal digits"))),
            None => one(letter),
        },
        'p' | 'P' => return property(letter, after),
        other if strict && (other.is_ascii_alphanumeric()) => {
            return Err(Problem::Syntax(format!("`\\{other}` means nothing")));
        }
        other => one(other),
    };
    Ok((class, letter.len_utf8()))
}

/// The code point of `\xHH`, `\uHHHH` (or a pair of them) or `\u{...}`, and the length of its digits.
fn code_point(letter: char, after: &str) -> Option<(u32, usize)> {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, 16).ok()).flatten();
    if letter == 'x' {
        return Some((hex(after.get(..2)?)?, 2));
    }
    if let Some((inside, _)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
        return Some((hex(inside)?, inside.len() + 2));
    }
    let high = hex(after.get(..4)?)?;
    let low = after.get(4..).and_then(|left| left.strip_prefix("\\u")).and_then(|left| left.get(..4)).and_then(hex);
    match (high, low) {
        (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => Some((0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), 10)),
        _ => Some((high, 4)),
    }
}

/// `\p{...}`. The names of ECMA-262 are those of Unicode, which the parser of `regex-syntax` knows.
fn property(letter: char, after: &str) -> Result<(ClassUnicode, usize), Problem> {
    let Some((name, _)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) else {
        return Err(Problem::Syntax(format!("`\\{letter}` names no property of Unicode")));
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'='));
    let parsed = plain.then(|| regex_syntax::parse(&format!("\\{letter}{{{name}}}")).ok()).flatten();
    let class = match parsed.map(regex_syntax::hir::Hir::into_kind) {
        Some(HirKind::Class(Class::Unicode(class))) => class,
        Some(HirKind::Class(Class::Bytes(class))) => {
            ranges(&class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect::<Vec<_>>())
        }
        Some(HirKind::Literal(literal)) => {
            std::str::from_utf8(&literal.0).ok().and_then(|text| text.chars().next()).map_or(ClassUnicode::empty(), one)
        }
        _ => return Err(Problem::Unsupported(format!("uses the property {name:?} of Unicode, which is not known"))),
    };
    Ok((class, name.len() + 3))
}
