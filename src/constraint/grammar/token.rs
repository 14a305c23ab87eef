//! The tokens of a grammar file, each with its line and column.

use super::problem::{Place, Problem};
use crate::constraint::ConstraintError;

/// A token of a grammar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// What a [`Token`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The name of a rule (lower case) or of a terminal (upper case), perhaps with a leading `_`.
    Name(String),
    /// A string, its escapes resolved.
    Text {
        text: String,
        ignore_case: bool,
    },
    /// A regular expression as it stands between its slashes, and its flags.
    Regex {
        pattern: String,
        flags: String,
    },
    Number(i64),
    /// `%import`, `%ignore`, ...: the word without the sign.
    Directive(String),
    /// Any other sign: one of `: | ( ) [ ] { } ? * + ~ . .. , -> !`.
    Sign(&'static str),
    /// The end of a definition.
    NewLine,
}

impl Kind {
    /// The token in words, for messages.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Text { text, .. } => format!("the string {text:?}"),
            Self::Regex { pattern, .. } => format!("the regular expression /{pattern}/"),
            Self::Number(number) => format!("the number {number}"),
            Self::Directive(word) => format!("%{word}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::NewLine => "the end of the line".into(),
        }
    }
}

/// Longer signs stand before their prefixes.
const SIGNS: [&str; 17] = ["->", "..", ":", "|", "(", ")", "[", "]", "{", "}", "?", "*", "+", "~", ".", ",", "!"];

/// Splits a grammar file into tokens. A line break within brackets or before `|` ends nothing and is
/// left out; the last token is always a [`Kind::NewLine`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ConstraintError> {
    let mut reader = Reader { source, at: 0, place: Place { line: 1, column: 1 } };
    let mut tokens: Vec<Token> = Vec::new();
    let mut open_brackets = 0usize;
    loop {
        let crossed_line = reader.skip_blanks();
        if crossed_line && open_brackets == 0 && !reader.rest().starts_with('|') && !tokens.is_empty() {
            tokens.push(Token { kind: Kind::NewLine, place: reader.place });
        }
        let place = reader.place;
        let Some(first) = reader.rest().chars().next() else {
            tokens.push(Token { kind: Kind::NewLine, place });
            return Ok(tokens);
        };
        let kind = match first {
            '"' => reader.text()?,
            '/' => reader.regex()?,
            '%' => {
                reader.take(1);
                Kind::Directive(reader.word().to_owned())
            }
            '0'..='9' => reader.number()?,
            '-' if reader.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => reader.number()?,
            'a'..='z' | 'A'..='Z' | '_' => reader.name()?,
            _ => match SIGNS.iter().find(|sign| reader.rest().starts_with(**sign)) {
                Some(sign) => {
                    reader.take(sign.len());
                    Kind::Sign(sign)
                }
                None => return Err(Problem::syntax(format!("the character {first:?} has no meaning here")).at(place)),
            },
        };
        match kind {
            Kind::Sign("(" | "[" | "{") => open_brackets += 1,
            Kind::Sign(")" | "]" | "}") => open_brackets = open_brackets.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token { kind, place });
    }
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    place: Place,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Moves on by `bytes`, which end at a character's end.
    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        for byte in taken.bytes() {
            match byte {
                b'\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                _ => self.place.column += 1,
            }
        }
        taken
    }

    /// Skips white space, comments and escaped line ends; true where a line ended on the way.
    fn skip_blanks(&mut self) -> bool {
        let mut crossed = false;
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            if rest.starts_with("//") || rest.starts_with('#') {
                self.take(rest.find('\n').unwrap_or(rest.len()));
            } else if blanks > 0 {
                crossed |= self.take(blanks).contains('\n');
            } else if let Some(after) = rest.strip_prefix('\\')
                && let Some(newline) = after.find('\n')
                && after[..newline].trim().is_empty()
            {
                self.take(newline + 2);
            } else {
                return crossed;
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.take(end)
    }

    fn name(&mut self) -> Result<Kind, ConstraintError> {
        let place = self.place;
        let name = self.word();
        let letters = name.trim_start_matches('_');
        let upper = letters.starts_with(|c: char| c.is_ascii_uppercase());
        let mixed = letters.bytes().any(|byte| if upper { byte.is_ascii_lowercase() } else { byte.is_ascii_uppercase() });
        match letters.starts_with(|c: char| c.is_ascii_alphabetic()) && !mixed {
            true => Ok(Kind::Name(name.into())),
            false => {
                let message = format!("the name `{name}` is neither a rule's (lower case) nor a terminal's (upper case)");
                Err(Problem::syntax(message).at(place))
            }
        }
    }

    fn number(&mut self) -> Result<Kind, ConstraintError> {
        let place = self.place;
        let rest = self.rest();
        let digits = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + 1);
        let number = self.take(digits);
        number.parse().map(Kind::Number).map_err(|_| Problem::syntax(format!("the number {number} is too large")).at(place))
    }

    fn text(&mut self) -> Result<Kind, ConstraintError> {
        let start = self.place;
        self.take(1);
        let mut text = String::new();
        loop {
            let place = self.place;
            match self.rest().chars().next() {
                None | Some('\n') => return Err(Problem::syntax("the string does not end on its line").at(start)),
                Some('"') => break,
                Some('\\') => text.push(self.escape().ok_or_else(|| {
                    Problem::syntax("unknown escape: a string has \\\\ \\\" \\n \\r \\t \\f \\v \\xHH \\uHHHH \\UHHHHHHHH").at(place)
                })?),
                Some(character) => {
                    self.take(character.len_utf8());
                    text.push(character);
                }
            }
        }
        self.take(1);
        if text.is_empty() {
            return Err(Problem::invalid("an empty string is no terminal; for nothing, leave the alternative empty").at(start));
        }
        let ignore_case = self.rest().starts_with('i') && !self.rest()[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if ignore_case {
            self.take(1);
        }
        Ok(Kind::Text { text, ignore_case })
    }

    /// The character that a backslash and what follows it stand for.
    fn escape(&mut self) -> Option<char> {
        let escaped = self.rest()[1..].chars().next()?;
        let (character, length) = match escaped {
            '\\' | '"' | '\'' | '/' => (escaped, 0),
            'n' => ('\n', 0),
            'r' => ('\r', 0),
            't' => ('\t', 0),
            'f' => ('\x0C', 0),
            'v' => ('\x0B', 0),
            'x' | 'u' | 'U' => {
                let length = match escaped {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                (char::from_u32(u32::from_str_radix(self.rest().get(2..2 + length)?, 16).ok()?)?, length)
            }
            _ => return None,
        };
        self.take(2 + length);
        Some(character)
    }

    fn regex(&mut self) -> Result<Kind, ConstraintError> {
        let start = self.place;
        let rest = self.rest();
        let (mut end, mut escaped) = (None, false);
        for (at, byte) in rest.bytes().enumerate().skip(1) {
            match byte {
                b'\n' => break,
                b'/' if !escaped => {
                    end = Some(at);
                    break;
                }
                _ => escaped = byte == b'\\' && !escaped,
            }
        }
        let Some(end) = end else { return Err(Problem::syntax("the regular expression does not end on its line").at(start)) };
        let pattern = rest[1..end].to_owned();
        self.take(end + 1);
        let rest = self.rest();
        let flags = rest[..rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len())].to_owned();
        self.take(flags.len());
        Ok(Kind::Regex { pattern, flags })
    }
}
