//! Bytes to tokens: a token that is not yet complete, and what each byte does to it.
//!
//! A word is complete only at the byte after it, and until then it is a range of the dictionary; it is
//! alive while some word of the range may stand where the query stands.

use super::invented::MAX_NEW_NAME;
use super::names::{Names, Word, WordRange, continues_word, starts_word};
use super::syntax::{At, Language, Syntax};
use super::tokens::{NumberRule, Symbol};
use super::words::Next;
use smallvec::SmallVec;

/// The token that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lexeme {
    /// None: after a symbol (`minus` where it was `-`) and so much white space.
    Gap { spaces: u8, minus: bool },
    /// A word, in lower case.
    Word { text: Letters, range: WordRange },
    /// A word that may name a function, and white space after it: a parenthesis may still come.
    Spaced { length: u8, range: WordRange, spaces: u8 },
    /// A name in quotes of which this one closes it.
    Quoted { close: u8, length: u8, range: WordRange },
    /// After the closing quote of a name.
    Name { length: u8, range: WordRange },
    /// A minus before a number.
    Negative,
    /// A number: its value as an ordinal, digits before and after the point.
    Number { value: u16, digits: u8, fraction: Option<u8> },
    /// A string; `utf8` counts the bytes that the character still needs, the next of them from `low` to `high`.
    Text { length: u8, needs: u8, low: u8, high: u8 },
    /// After a quote in a string: its end, or half of a quote in it.
    TextEnd { length: u8 },
    /// `<`, `>`, `!` or `|`, which may be half of a symbol.
    Half(u8),
}

/// The letters of a word.
pub(super) type Letters = SmallVec<[u8; 22]>;

const GAP: Lexeme = Lexeme::Gap { spaces: 0, minus: false };

/// A query in the middle of a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cursor {
    pub syntax: Syntax,
    pub lexeme: Lexeme,
}

impl Cursor {
    pub fn start(names: &Names) -> Self {
        Self { syntax: Syntax::start(names), lexeme: GAP }
    }
}

impl Language {
    /// The cursor after `byte`. A word or quoted name may be dead: see [`Language::is_alive`].
    ///
    /// `commit` gives the query after the token that ends before this byte.
    pub fn byte(&self, cursor: &Cursor, byte: u8, commit: impl FnOnce(Next) -> Option<Syntax>) -> Option<Cursor> {
        let stay = |lexeme| Some(Cursor { syntax: cursor.syntax.clone(), lexeme });
        match &cursor.lexeme {
            Lexeme::Gap { spaces, minus } => self.begin(&cursor.syntax, *spaces, *minus, byte),
            Lexeme::Word { text, range } if continues_word(byte) => {
                let mut longer = text.clone();
                let byte = byte.to_ascii_lowercase();
                longer.push(byte);
                stay(Lexeme::Word { range: self.names.narrow(*range, text.len(), byte), text: longer })
            }
            Lexeme::Word { text, range } if is_space(byte) && self.is_function(*range, text.len()) => {
                let length = text.len() as u8;
                (self.options.max_whitespace > 0).then(|| stay(Lexeme::Spaced { length, range: *range, spaces: 1 })).flatten()
            }
            Lexeme::Spaced { length, range, spaces } if is_space(byte) => {
                let more = *spaces < self.options.max_whitespace;
                more.then(|| stay(Lexeme::Spaced { length: *length, range: *range, spaces: spaces + 1 })).flatten()
            }
            Lexeme::Spaced { spaces, .. } if byte != b'.' => self.begin(&commit(Next::of(byte))?, *spaces, false, byte),
            Lexeme::Spaced { .. } => None,
            Lexeme::Quoted { close, length, range } => {
                if byte == *close {
                    return stay(Lexeme::Name { length: *length, range: *range });
                }
                let range = self.names.narrow(*range, usize::from(*length), byte.to_ascii_lowercase());
                stay(Lexeme::Quoted { close: *close, length: length.checked_add(1)?, range })
            }
            Lexeme::Negative => byte.is_ascii_digit().then(|| self.number(&cursor.syntax, byte)).flatten(),
            Lexeme::Number { value, digits, fraction } if byte.is_ascii_digit() || byte == b'.' => {
                self.digit(&cursor.syntax, *value, *digits, *fraction, byte)
            }
            Lexeme::Text { length, needs, low, high } => self.character(*length, *needs, *low, *high, byte).and_then(stay),
            Lexeme::TextEnd { length } if byte == b'\'' && *length < self.options.max_string => stay(text(length + 1)),
            Lexeme::Half(first) => self.second_half(&cursor.syntax, *first, byte),
            Lexeme::Number { fraction: Some(0), .. } => None,
            // A word cannot touch a number.
            Lexeme::Number { .. } if starts_word(byte) => None,
            Lexeme::Word { .. } | Lexeme::Name { .. } | Lexeme::Number { .. } | Lexeme::TextEnd { .. } => {
                let next = Next::of(byte);
                let syntax = commit(next)?;
                if next == Next::Dot {
                    return matches!(syntax.at, At::Column { .. }).then_some(Cursor { syntax, lexeme: GAP });
                }
                self.begin(&syntax, 0, false, byte)
            }
        }
    }

    /// The query after the token that is being written, where `next` comes after it.
    pub fn commit(&self, cursor: &Cursor, next: Next) -> Option<Syntax> {
        let syntax = &cursor.syntax;
        match &cursor.lexeme {
            Lexeme::Gap { .. } => Some(syntax.clone()),
            Lexeme::Word { text, range } => self.unquoted(syntax, text, self.names.exact(*range, text.len()), next),
            Lexeme::Spaced { length, range, .. } => {
                let word = self.names.exact(*range, (*length).into())?;
                self.unquoted(syntax, &word.text, Some(word), next)
            }
            Lexeme::Name { length, range } => {
                let word = self.names.exact(*range, (*length).into())?;
                self.word(syntax, &self.meaning(syntax, &word.text, Some(word), true), next)
            }
            Lexeme::Number { value, fraction, .. } => match self.number_rule(syntax)? {
                NumberRule::Ordinal if !self.is_ordinal(syntax, (*value).into()) => None,
                _ if *fraction == Some(0) => None,
                _ => self.literal(syntax),
            },
            Lexeme::TextEnd { .. } => self.literal(syntax),
            _ => None,
        }
    }

    /// The query after a word without quotes.
    fn unquoted(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>, next: Next) -> Option<Syntax> {
        let meaning = self.meaning(syntax, text, word, false);
        self.word(syntax, &meaning, next).or_else(|| self.new_name(syntax, text, word))
    }

    /// Whether the text may end at the cursor.
    pub fn ends(&self, cursor: &Cursor) -> bool {
        match cursor.lexeme {
            Lexeme::Gap { spaces: 0, .. } => self.may_end(&cursor.syntax),
            Lexeme::Gap { .. } | Lexeme::Spaced { .. } => false,
            _ => self.commit(cursor, Next::Other).is_some_and(|syntax| self.may_end(&syntax)),
        }
    }

    /// Whether the token that is being written can be completed to one that may stand here.
    pub fn is_alive(&self, cursor: &Cursor) -> bool {
        let syntax = &cursor.syntax;
        match &cursor.lexeme {
            Lexeme::Word { text, range } => {
                self.names.words(*range).iter().any(|word| self.may_stand(syntax, word, false))
                    || self.allows_other_word(syntax, text, *range)
            }
            Lexeme::Spaced { .. } => [Next::Other, Next::Parenthesis].into_iter().any(|next| self.commit(cursor, next).is_some()),
            Lexeme::Quoted { close, length, range } => {
                let mut words = self.names.words(*range).iter();
                words.any(|word| !word.text[usize::from(*length)..].contains(close) && self.may_stand(syntax, word, true))
            }
            Lexeme::Name { length, range } => {
                self.names.exact(*range, (*length).into()).is_some_and(|word| self.may_stand(syntax, word, true))
            }
            _ => true,
        }
    }

    /// Whether a word of the dictionary may stand here.
    pub fn may_stand(&self, syntax: &Syntax, word: &Word, quoted: bool) -> bool {
        self.allows_word(syntax, &self.meaning(syntax, &word.text, Some(word), quoted))
    }

    /// Whether a word that the query made up, or makes up here, may stand here.
    fn allows_other_word(&self, syntax: &Syntax, text: &[u8], range: WordRange) -> bool {
        if self.takes_new_name(syntax) {
            let word = || self.names.exact(range, text.len());
            return text.len() < MAX_NEW_NAME || (text.len() == MAX_NEW_NAME && self.new_name(syntax, text, word()).is_some());
        }
        let mut made_up = self.made_up(syntax).filter(|name| name.starts_with(text));
        made_up.any(|name| self.allows_word(syntax, &self.meaning(syntax, name, None, false)))
    }

    /// Whether the first `length` bytes of the range name a function.
    fn is_function(&self, range: WordRange, length: usize) -> bool {
        self.names.exact(range, length).is_some_and(|word| word.function.is_some())
    }

    /// The cursor after the first byte of a token, or white space.
    fn begin(&self, syntax: &Syntax, spaces: u8, minus: bool, byte: u8) -> Option<Cursor> {
        let lexeme = |lexeme| Some(Cursor { syntax: syntax.clone(), lexeme });
        let symbol = |symbol, minus| {
            let syntax = self.symbol(syntax, symbol)?;
            Some(Cursor { syntax, lexeme: Lexeme::Gap { spaces: 0, minus } })
        };
        if syntax.at == At::Closed {
            return None;
        }
        match byte {
            _ if is_space(byte) => {
                (spaces < self.options.max_whitespace).then(|| lexeme(Lexeme::Gap { spaces: spaces + 1, minus: false })).flatten()
            }
            b'"' | b'[' | b'`' => {
                let close = if byte == b'[' { b']' } else { byte };
                lexeme(Lexeme::Quoted { close, length: 0, range: self.names.everything() })
            }
            b'\'' => self.takes_string(syntax).then(|| lexeme(text(0))).flatten(),
            b'0'..=b'9' => self.number(syntax, byte),
            // Two of them would begin a comment.
            b'-' if minus => None,
            b'-' => match self.number_rule(syntax) {
                Some(NumberRule::Value) => lexeme(Lexeme::Negative),
                _ => symbol(Symbol::Arithmetic, true),
            },
            b',' => symbol(Symbol::Comma, false),
            b'(' => symbol(Symbol::Open, false),
            b')' => symbol(Symbol::Close, false),
            b'*' => symbol(Symbol::Star, false),
            b'+' | b'/' => symbol(Symbol::Arithmetic, false),
            b'%' if self.is_extended() => symbol(Symbol::Arithmetic, false),
            b'=' => symbol(Symbol::Comparison, false),
            b';' => symbol(Symbol::End, false),
            b'<' | b'>' | b'!' if self.symbol(syntax, Symbol::Comparison).is_some() => lexeme(Lexeme::Half(byte)),
            b'|' if self.is_extended() && self.symbol(syntax, Symbol::Arithmetic).is_some() => lexeme(Lexeme::Half(byte)),
            _ if starts_word(byte) => {
                let byte = byte.to_ascii_lowercase();
                let range = self.names.narrow(self.names.everything(), 0, byte);
                lexeme(Lexeme::Word { text: SmallVec::from_slice(&[byte]), range })
            }
            _ => None,
        }
    }

    fn second_half(&self, syntax: &Syntax, first: u8, byte: u8) -> Option<Cursor> {
        let whole = matches!((first, byte), (b'<' | b'>' | b'!', b'=') | (b'<', b'>') | (b'|', b'|'));
        let kind = if first == b'|' { Symbol::Arithmetic } else { Symbol::Comparison };
        let after = self.symbol(syntax, kind)?;
        if whole {
            return Some(Cursor { syntax: after, lexeme: GAP });
        }
        matches!(first, b'<' | b'>').then(|| self.begin(&after, 0, false, byte)).flatten()
    }

    fn number(&self, syntax: &Syntax, byte: u8) -> Option<Cursor> {
        self.number_rule(syntax)?;
        self.digit(syntax, 0, 0, None, byte)
    }

    fn digit(&self, syntax: &Syntax, value: u16, digits: u8, fraction: Option<u8>, byte: u8) -> Option<Cursor> {
        let rule = self.number_rule(syntax)?;
        let most = self.options.max_digits;
        let lexeme = match (fraction, byte) {
            (None, b'.') => (rule == NumberRule::Value).then_some(Lexeme::Number { value: 0, digits, fraction: Some(0) }),
            (Some(_), b'.') => None,
            (Some(places), _) => (places < most).then_some(Lexeme::Number { value: 0, digits, fraction: Some(places + 1) }),
            (None, _) if rule == NumberRule::Ordinal => {
                let value = value.checked_mul(10)?.checked_add(u16::from(byte - b'0'))?;
                self.starts_ordinal(syntax, value).then_some(Lexeme::Number { value, digits: 0, fraction: None })
            }
            (None, _) => (digits < most).then_some(Lexeme::Number { value: 0, digits: digits + 1, fraction: None }),
        };
        Some(Cursor { syntax: syntax.clone(), lexeme: lexeme? })
    }

    /// Whether the number, or one that goes on from its digits, calls a column of the result.
    fn starts_ordinal(&self, syntax: &Syntax, value: u16) -> bool {
        let most = self.ordinals(syntax);
        let (mut low, mut high) = (usize::from(value), usize::from(value));
        while low > 0 && low <= most {
            if (low..=high.min(most)).any(|number| self.is_ordinal(syntax, number)) {
                return true;
            }
            (low, high) = (low * 10, high * 10 + 9);
        }
        false
    }

    /// The string after one more byte: printable characters in UTF-8.
    fn character(&self, length: u8, needs: u8, low: u8, high: u8, byte: u8) -> Option<Lexeme> {
        if needs > 0 {
            let next = Lexeme::Text { length: length + 1, needs: needs - 1, low: 0x80, high: 0xBF };
            return (low..=high).contains(&byte).then_some(next);
        }
        let (needs, low, high) = match byte {
            b'\'' => return Some(Lexeme::TextEnd { length }),
            0x20..=0x7E => (0, 0x80, 0xBF),
            // No control characters, those of two bytes included.
            0xC2 => (1, 0xA0, 0xBF),
            0xC3..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xE1..=0xEF => (2, 0x80, 0xBF),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => return None,
        };
        let fits = u16::from(length) + u16::from(needs) < u16::from(self.options.max_string);
        fits.then_some(Lexeme::Text { length: length + 1, needs, low, high })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n')
}

/// A string after so many bytes, between two characters.
fn text(length: u8) -> Lexeme {
    Lexeme::Text { length, needs: 0, low: 0x80, high: 0xBF }
}
