//! The inside of a JSON string, byte by byte: UTF-8 as it must be, escapes, surrogate pairs.

/// Where in a string its text stands, between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Inside {
    /// Between two characters.
    Between,
    /// In a character of several bytes: how many are to come, and between what the next one lies.
    Utf8 { missing: u8, low: u8, high: u8 },
    /// After a backslash.
    Escape,
    /// After `\u` and some of its four digits; `high` is the surrogate that the pair began with.
    Hex { digits: u8, value: u16, high: Option<u16> },
    /// After a high surrogate: the backslash of the low one must come, then its `u`.
    Surrogate { high: u16, backslash: bool },
}

/// What a byte of the spelling adds to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Nothing,
    /// A byte of the text as it stands.
    Byte(u8),
    /// A whole character, from an escape.
    Character(char),
    /// The closing quote.
    End,
}

/// Takes one byte of the spelling. With `canonical`, only characters that cannot stand as they are may be
/// escaped, each in its shortest way, with small letters.
///
/// # Errors
/// Where the byte may not come: what might.
pub(super) fn step(inside: Inside, byte: u8, canonical: bool) -> Result<(Inside, Decoded), &'static str> {
    match inside {
        Inside::Between => match byte {
            b'"' => Ok((Inside::Between, Decoded::End)),
            b'\\' => Ok((Inside::Escape, Decoded::Nothing)),
            0x20..=0x7F => Ok((Inside::Between, Decoded::Byte(byte))),
            0x00..0x20 => Err("a character, or an escape such as \\n in place of a control character"),
            _ => lead(byte).map(|inside| (inside, Decoded::Byte(byte))).ok_or("UTF-8"),
        },
        Inside::Utf8 { missing, low, high } if (low..=high).contains(&byte) => {
            let inside = if missing == 1 { Inside::Between } else { Inside::Utf8 { missing: missing - 1, low: 0x80, high: 0xBF } };
            Ok((inside, Decoded::Byte(byte)))
        }
        Inside::Utf8 { .. } => Err("the rest of a UTF-8 character"),
        Inside::Escape => {
            let character = match byte {
                b'/' if canonical => return Err(NEEDED),
                b'"' | b'\\' | b'/' => byte as char,
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => return Ok((Inside::Hex { digits: 0, value: 0, high: None }, Decoded::Nothing)),
                _ => return Err("one of \" \\ / b f n r t u after a backslash"),
            };
            Ok((Inside::Between, Decoded::Character(character)))
        }
        Inside::Hex { digits, value, .. } if canonical && !is_needed(digits, value, byte) => Err(NEEDED),
        Inside::Hex { digits, value, high } => hex(digits, value, high, byte),
        Inside::Surrogate { high, backslash: false } if byte == b'\\' => {
            Ok((Inside::Surrogate { high, backslash: true }, Decoded::Nothing))
        }
        Inside::Surrogate { high, backslash: true } if byte == b'u' => {
            Ok((Inside::Hex { digits: 0, value: 0, high: Some(high) }, Decoded::Nothing))
        }
        Inside::Surrogate { .. } => Err("the \\u escape of the low surrogate that completes the pair"),
    }
}

const NEEDED: &str = "an escape that is needed, in its shortest form";

/// Whether a digit after `\\u` may lead to a control character that has no shorter escape.
fn is_needed(digits: u8, value: u16, byte: u8) -> bool {
    match digits {
        0 | 1 => byte == b'0',
        2 => matches!(byte, b'0' | b'1'),
        _ if value == 0 => matches!(byte, b'0'..=b'7' | b'b' | b'e' | b'f'),
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    }
}

/// The state after the first byte of a character of several.
fn lead(byte: u8) -> Option<Inside> {
    let (missing, low, high) = match byte {
        0xC2..=0xDF => (1, 0x80, 0xBF),
        0xE0 => (2, 0xA0, 0xBF),
        0xE1..=0xEC | 0xEE..=0xEF => (2, 0x80, 0xBF),
        0xED => (2, 0x80, 0x9F),
        0xF0 => (3, 0x90, 0xBF),
        0xF1..=0xF3 => (3, 0x80, 0xBF),
        0xF4 => (3, 0x80, 0x8F),
        _ => return None,
    };
    Some(Inside::Utf8 { missing, low, high })
}

fn hex(digits: u8, value: u16, high: Option<u16>, byte: u8) -> Result<(Inside, Decoded), &'static str> {
    let digit = (byte as char).to_digit(16).ok_or("a hexadecimal digit")? as u16;
    let value = value << 4 | digit;
    match (high, digits + 1) {
        // The first two digits already tell a surrogate: a low one needs a high one before it.
        (None, 2) if (0xDC..=0xDF).contains(&value) => return Err("no low surrogate without a high one before it"),
        (Some(_), 1) if value != 0xD => return Err("a low surrogate (\\uDC00 to \\uDFFF)"),
        (Some(_), 2) if !(0xDC..=0xDF).contains(&value) => return Err("a low surrogate (\\uDC00 to \\uDFFF)"),
        (_, 1..=3) => return Ok((Inside::Hex { digits: digits + 1, value, high }, Decoded::Nothing)),
        _ => {}
    }
    let code = match high {
        None if (0xD800..0xDC00).contains(&value) => return Ok((Inside::Surrogate { high: value, backslash: false }, Decoded::Nothing)),
        None => u32::from(value),
        Some(high) => pair(high, value),
    };
    let character = char::from_u32(code).expect("surrogates were refused digit by digit");
    Ok((Inside::Between, Decoded::Character(character)))
}

/// The code point of a surrogate pair.
pub(super) fn pair(high: u16, low: u16) -> u32 {
    0x10000 + (u32::from(high - 0xD800) << 10) + u32::from(low - 0xDC00)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The decoded text of a string's inside and closing quote, if it is one.
    fn decode(spelling: &[u8]) -> Option<Vec<u8>> {
        let (mut inside, mut text) = (Inside::Between, Vec::new());
        for (at, byte) in spelling.iter().enumerate() {
            let (next, decoded) = step(inside, *byte, false).ok()?;
            inside = next;
            match decoded {
                Decoded::Nothing => {}
                Decoded::Byte(byte) => text.push(byte),
                Decoded::Character(character) => text.extend(character.to_string().bytes()),
                Decoded::End => return (at + 1 == spelling.len()).then_some(text),
            }
        }
        None
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_from_any_of_its_spellings(text in any::<String>(), escaped in any::<u64>()) {
            let mut spelling = String::new();
            for (at, character) in text.chars().enumerate() {
                if escaped >> (at % 64) & 1 == 1 || character < ' ' || matches!(character, '"' | '\\') {
                    character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| spelling += &format!("\\u{unit:04X}"));
                } else {
                    spelling.push(character);
                }
            }
            spelling.push('"');
            prop_assert_eq!(decode(spelling.as_bytes()), Some(text.into_bytes()));
        }

        #[test]
        fn what_is_accepted_is_what_serde_accepts(bytes in prop::collection::vec(prop::sample::select(&b"\"\\u0dDcC8fa\xC3\xA9\xED\xA0\x80 n"[..]), 0..14)) {
            let whole = [b"\"", &bytes[..], b"\""].concat();
            let ours = decode(&whole[1..]);
            let theirs = serde_json::from_slice::<String>(&whole).ok().map(String::into_bytes);
            prop_assert_eq!(ours, theirs);
        }
    }
}
