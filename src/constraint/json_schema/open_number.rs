//! A number while it is written, and what the nodes think of it so far.

use super::JsonSchema;
use super::decimal::Decimal;
use super::expected::ExpectedId;
use super::node::Node;
use super::number::{Bound, NumberRules};
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
    pub(super) fn new(expected: ExpectedId, own: Verdicts, byte: u8, recorded: bool) -> Self {
        let text = (recorded || own.contains(&Verdict::Open)).then(|| SmallVec::from_slice(&[byte]));
        Self { phase: Phase::first(byte), expected, own, recorded, text }
    }

    /// Whether the byte is one more digit of a number that nothing is asked of.
    pub(super) fn stays_the_same(&self, byte: u8) -> bool {
        self.text.is_none() && self.phase.next(byte) == Some(self.phase)
    }

    /// Takes one more byte, after which the number is in `phase`.
    pub(super) fn push(&mut self, phase: Phase, byte: u8) {
        self.phase = phase;
        if let Some(text) = &mut self.text {
            text.push(byte);
        }
    }

    /// Lets the entries fail that no number beginning so satisfies, and tells of the first.
    pub(super) fn judge_prefix(&mut self, schema: &JsonSchema) -> Failure {
        let text = self.text.take()?;
        let failure = {
            let text = std::str::from_utf8(&text).expect("numbers are written in ASCII");
            self.judge(schema, |node| number_prefix_reason(node, text, schema.options.exponents))
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

/// Longer lists of numbers are asked only when a number has ended.
const LISTED_NUMBERS: usize = 256;

fn number_prefix_reason(node: &Node, text: &str, exponents: bool) -> Option<Reason> {
    let integer = node.types.integer;
    let exponents = exponents && !node.types.plain;
    if node.types.plain && text.contains(['.', 'e', 'E']) {
        return Some(Reason::Integer);
    }
    if integer && !exponents && text.split_once('.').is_some_and(|(_, decimals)| decimals.bytes().any(|digit| digit != b'0')) {
        return Some(Reason::Integer);
    }
    if !node.numbers.may_accept(text, integer, exponents) {
        return Some(Reason::Number);
    }
    let enumeration = node.enumeration.as_ref().filter(|enumeration| enumeration.numbers.len() <= LISTED_NUMBERS)?;
    let may_be = |value: &Decimal| {
        let bound = Some(Bound { value: value.clone(), exclusive: false });
        NumberRules { minimum: bound.clone(), maximum: bound, multiple_of: None }.may_accept(text, value.is_integer(), exponents)
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
