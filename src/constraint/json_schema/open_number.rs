//! A number while it is written, and what the nodes think of it so far.
//!
//! Where numbers are to be written plainly ([`super::Options::plain_numbers`]) their digits are counted, so that
//! none runs on without end; at the last one that may come the number is judged as if it had ended.

use super::JsonSchema;
use super::decimal::Decimal;
use super::expected::ExpectedId;
use super::node::Node;
use super::number::{Bound, NumberRules, Spelling};
use super::plan::{Verdict, Verdicts};
use super::refusal::{Failure, Reason};
use super::value::Value;
use smallvec::SmallVec;

/// A number that is being written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenNumber {
    pub(super) phase: Phase,
    pub(super) expected: ExpectedId,
    pub(super) own: Verdicts,
    /// Whether the value is compared with others.
    recorded: bool,
    /// The text so far, where any rule is open or the value is compared.
    text: Option<SmallVec<[u8; 16]>>,
    /// How many there are, where numbers are written plainly; otherwise 0.
    pub(super) digits: u32,
    /// Whether there is but a minus and zeros, where numbers are written plainly.
    minus_zero: bool,
}

/// Where in the spelling of a number it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Phase {
    pub(super) fn first(byte: u8) -> Self {
        match byte {
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            _ => Self::Whole,
        }
    }

    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits)
    }

    /// The phase after one more byte of the number; `None` where the byte is none of it.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Minus | Self::Point | Self::ExponentSign => "a digit",
            Self::Exponent => "a digit or the sign of the exponent",
            Self::Zero => "a decimal point or the end of the number",
            _ => "a digit or the end of the number",
        }
    }
}

impl OpenNumber {
    pub(super) fn new(schema: &JsonSchema, expected: ExpectedId, own: Verdicts, byte: u8, recorded: bool) -> Self {
        let text = (recorded || own.contains(&Verdict::Open)).then(|| SmallVec::from_slice(&[byte]));
        let minus = byte == b'-';
        let (digits, minus_zero) = if schema.options.plain_numbers { (u32::from(!minus), minus) } else { (0, false) };
        Self { phase: Phase::first(byte), expected, own, recorded, text, digits, minus_zero }
    }

    /// Whether the number, were it to end, would be a zero with a minus, which numbers written plainly have not.
    pub(super) fn is_minus_zero(&self) -> bool {
        self.minus_zero
    }

    /// How many digits must still come, of numbers written plainly.
    pub(super) fn digits_needed(&self) -> u32 {
        u32::from(self.minus_zero || !self.phase.is_complete())
    }

    fn is_plain(&self) -> bool {
        self.digits > 0 || self.minus_zero
    }

    /// Whether the byte is one more digit of a number that nothing is asked of.
    pub(super) fn stays_the_same(&self, byte: u8) -> bool {
        self.text.is_none() && !self.is_plain() && self.phase.next(byte) == Some(self.phase)
    }

    /// Takes one more byte, after which the number is in `phase`.
    pub(super) fn push(&mut self, phase: Phase, byte: u8) {
        self.phase = phase;
        if self.is_plain() {
            self.digits = self.digits.saturating_add(u32::from(byte.is_ascii_digit()));
            self.minus_zero &= matches!(byte, b'0' | b'.');
        }
        if let Some(text) = &mut self.text {
            text.push(byte);
        }
    }

    /// Lets the entries fail that no number beginning so satisfies, and tells of the first.
    pub(super) fn judge_prefix(&mut self, schema: &JsonSchema) -> Failure {
        let text = self.text.take()?;
        let spelling = if self.is_plain() { Spelling::Plain } else { Spelling::Any };
        let failure = {
            let text = std::str::from_utf8(&text).expect("numbers are written in ASCII");
            match (self.is_plain() && self.digits >= schema.most_digits, Decimal::parse(text)) {
                (true, Some(number)) => self.judge(schema, |node| number_reason(node, &number, true)),
                _ => self.judge(schema, |node| number_prefix_reason(node, text, spelling)),
            }
        };
        if self.recorded || self.own.contains(&Verdict::Open) {
            self.text = Some(text);
        }
        failure
    }

    /// Decides all verdicts: the number has ended. With its value, where it is compared with others.
    pub(super) fn finish(&mut self, schema: &JsonSchema) -> (Failure, Option<Value>) {
        let Some(text) = self.text.take() else { return (None, None) };
        let Some(number) = std::str::from_utf8(&text).ok().and_then(Decimal::parse) else { return (None, None) };
        let plain = !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        let failure = self.judge(schema, |node| number_reason(node, &number, plain));
        self.own.iter_mut().filter(|own| **own == Verdict::Open).for_each(|own| *own = Verdict::Holds);
        (failure, self.recorded.then(|| Value::number(number)))
    }

    fn judge(&mut self, schema: &JsonSchema, reason: impl Fn(&Node) -> Option<Reason>) -> Failure {
        let plan = schema.plan(schema.expected(self.expected).plan?);
        let mut first = None;
        for (own, entry) in self.own.iter_mut().zip(&plan.entries) {
            if *own == Verdict::Open
                && let Some(reason) = reason(schema.node(entry.node))
            {
                *own = Verdict::Fails;
                first.get_or_insert((entry.node, reason));
            }
        }
        first
    }
}

/// The digits that a number of the usual floating point needs at most.
const USUAL_DIGITS: i64 = 17;

/// The most digits of a number that is written plainly: the usual ones, or as many as it takes to write a
/// number between any two that the nodes name, and a multiple of one beyond another.
pub(super) fn most_digits(nodes: &[Node]) -> u32 {
    let (mut whole, mut decimals) = (0, 0);
    for node in nodes {
        let rules = &node.numbers;
        let bounds = rules.minimum.iter().chain(&rules.maximum).map(|bound| &bound.value);
        let listed = node.enumeration.iter().flat_map(|enumeration| &enumeration.numbers);
        for number in bounds.chain(&rules.multiple_of).chain(listed) {
            (whole, decimals) = (whole.max(number.magnitude()), decimals.max(-number.exponent()));
        }
    }
    u32::try_from((whole.max(1) + decimals + 2).max(USUAL_DIGITS)).unwrap_or(u32::MAX)
}

/// Longer lists of numbers are asked only when a number has ended.
const LISTED_NUMBERS: usize = 256;

fn number_prefix_reason(node: &Node, text: &str, spelling: Spelling) -> Option<Reason> {
    let integer = node.types.integer;
    let spelling = if node.types.plain { spelling.without_exponent() } else { spelling };
    if node.types.plain && text.contains(['.', 'e', 'E']) {
        return Some(Reason::Integer);
    }
    if integer && spelling != Spelling::Any && text.split_once('.').is_some_and(|(_, decimals)| decimals.bytes().any(|digit| digit != b'0'))
    {
        return Some(Reason::Integer);
    }
    if !node.numbers.may_accept(text, integer, spelling) {
        return Some(Reason::Number);
    }
    let enumeration = node.enumeration.as_ref().filter(|enumeration| enumeration.numbers.len() <= LISTED_NUMBERS)?;
    let may_be = |value: &Decimal| {
        let bound = Some(Bound { value: value.clone(), exclusive: false });
        NumberRules { minimum: bound.clone(), maximum: bound, multiple_of: None }.may_accept(text, value.is_integer(), spelling)
    };
    (!enumeration.numbers.iter().any(may_be)).then_some(Reason::Enumeration)
}

fn number_reason(node: &Node, value: &Decimal, plain: bool) -> Option<Reason> {
    if node.types.integer && !(value.is_integer() && (plain || !node.types.plain)) {
        return Some(Reason::Integer);
    }
    if !node.numbers.accepts(value) {
        let bounds = NumberRules { multiple_of: None, ..node.numbers.clone() };
        return Some(if bounds.accepts(value) { Reason::MultipleOf } else { Reason::Number });
    }
    let enumeration = node.enumeration.as_ref()?;
    enumeration.numbers.binary_search(value).is_err().then_some(Reason::Enumeration)
}
