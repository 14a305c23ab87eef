//! Exact decimal numbers, and what a number that is still being written can become.
//!
//! JSON numbers are decimal fractions of any size. They are kept as digits and a power of ten and never
//! as floating point: 0.1 is a multiple of 0.01, 1e400 is a number, and comparing takes time in the
//! digits that were written, not in the size of the exponent.

use num_bigint::BigUint;
use num_traits::{One, Zero};
use std::cmp::Ordering;
use std::fmt;

/// An exact decimal number: `±digits · 10^exponent`, without trailing zeros in the digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    negative: bool,
    /// Decimal digits, each 0 to 9, the most significant first; empty for zero.
    digits: Vec<u8>,
    exponent: i64,
}

/// Exponents are held within this: a number beyond it is as large, or as small, as anyone can mean.
const EXPONENT_LIMIT: i64 = 1 << 40;

impl Decimal {
    /// Reads a number as JSON writes it; `None` where the text is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        Some(Self::new(negative, digits, exponent - fraction.len() as i64))
    }

    fn new(negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        Self { negative, digits, exponent: exponent.clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT) }
    }

    pub(super) fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The power of ten just above the number's magnitude.
    fn magnitude(&self) -> i64 {
        self.exponent + self.digits.len() as i64
    }

    /// Whether this is a whole multiple of `divisor`, which is not zero.
    pub(super) fn is_multiple_of(&self, divisor: &Decimal) -> bool {
        if self.is_zero() {
            return true;
        }
        let (value, divisor_digits) = (self.big(), divisor.big());
        let shift = self.exponent - divisor.exponent;
        if shift >= 0 {
            let power = BigUint::from(10u8).modpow(&BigUint::from(shift as u64), &divisor_digits);
            return ((value % &divisor_digits) * power % divisor_digits).is_zero();
        }
        // The value's digits end in a digit other than 0, so that a high power of ten never divides them.
        if shift.unsigned_abs() > self.digits.len() as u64 * 4 {
            return false;
        }
        (value % (divisor_digits * num_traits::pow(BigUint::from(10u8), shift.unsigned_abs() as usize))).is_zero()
    }

    fn big(&self) -> BigUint {
        BigUint::from_radix_be(&self.digits, 10).unwrap_or_else(BigUint::one)
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        // Without trailing zeros, digits of equal magnitude compare as fractions do.
        self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.bytes().fold(0i64, |size, byte| (size * 10 + i64::from(byte - b'0')).min(EXPONENT_LIMIT));
    Some(if negative { -size } else { size })
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.cmp_magnitude(other),
            (true, true) => other.cmp_magnitude(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        match self.exponent {
            0 => f.write_str(&digits),
            1..=20 => write!(f, "{digits}{}", "0".repeat(self.exponent as usize)),
            -20..=-1 => match usize::try_from(self.magnitude()) {
                Ok(whole) if whole > 0 => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
                _ => write!(f, "0.{}{digits}", "0".repeat(self.magnitude().unsigned_abs() as usize)),
            },
            exponent => write!(f, "{digits}e{exponent}"),
        }
    }
}

/// A bound of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) value: Decimal,
    pub(super) exclusive: bool,
}

/// What a schema asks of a number.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberRules {
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<Decimal>,
}

impl NumberRules {
    pub(super) fn is_empty(&self) -> bool {
        self.minimum.is_none() && self.maximum.is_none() && self.multiple_of.is_none()
    }

    /// Whether a written number satisfies the rules.
    pub(super) fn accepts(&self, value: &Decimal) -> bool {
        self.above_minimum(value)
            && self.below_maximum(value)
            && self.multiple_of.as_ref().is_none_or(|divisor| value.is_multiple_of(divisor))
    }

    fn above_minimum(&self, value: &Decimal) -> bool {
        self.minimum.as_ref().is_none_or(|bound| match value.cmp(&bound.value) {
            Ordering::Less => false,
            Ordering::Equal => !bound.exclusive,
            Ordering::Greater => true,
        })
    }

    fn below_maximum(&self, value: &Decimal) -> bool {
        self.maximum.as_ref().is_none_or(|bound| match value.cmp(&bound.value) {
            Ordering::Less => true,
            Ordering::Equal => !bound.exclusive,
            Ordering::Greater => false,
        })
    }

    /// Whether bounds contradict each other.
    pub(super) fn is_contradictory(&self) -> bool {
        match (&self.minimum, &self.maximum) {
            (Some(low), Some(high)) => match low.value.cmp(&high.value) {
                Ordering::Less => false,
                Ordering::Equal => low.exclusive || high.exclusive,
                Ordering::Greater => true,
            },
            _ => false,
        }
    }

    /// Whether the number begun with `text` may still come to lie within the bounds. `integer`: it must
    /// become a whole number. Optimistic where exponents are allowed, since `150e-1` is 15.
    pub(super) fn may_accept(&self, text: &str, integer: bool, exponents: bool) -> bool {
        if self.minimum.is_none() && self.maximum.is_none() {
            return true;
        }
        let negative = text.starts_with('-');
        let body = text.trim_start_matches('-');
        if body.contains(['e', 'E']) {
            return true;
        }
        if body.is_empty() {
            // Only a minus. "-0" is zero.
            return self.below_zero_is_possible();
        }
        let fractional = body.contains('.');
        if exponents && (!integer || fractional) {
            // Any magnitude can be reached but the sign, and zero only from zeros.
            let zeros = body.bytes().all(|byte| matches!(byte, b'0' | b'.'));
            return match negative {
                _ if zeros && self.accepts_zero() => true,
                true => self.minimum.as_ref().is_none_or(|bound| bound.value.negative),
                false => self.maximum.as_ref().is_none_or(|bound| !bound.value.negative && !bound.value.is_zero()),
            };
        }
        let mut digits: Vec<u8> = body.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
        let decimals = body.find('.').map_or(0, |at| (body.len() - at - 1) as i64);
        if exponents {
            // A whole number whose zeros at the end an exponent may take away again.
            while digits.len() > 1 && digits.last() == Some(&0) {
                digits.pop();
            }
        }
        let more_digits = !fractional && body != "0";
        self.reaches(negative, &digits, -decimals, integer, more_digits)
    }

    fn accepts_zero(&self) -> bool {
        let zero = Decimal::new(false, Vec::new(), 0);
        self.above_minimum(&zero) && self.below_maximum(&zero)
    }

    fn below_zero_is_possible(&self) -> bool {
        self.accepts_zero() || self.minimum.as_ref().is_none_or(|bound| bound.value.negative)
    }

    /// Whether an interval that the digits can still be continued into meets the bounds. The magnitudes
    /// after `k` more whole digits are from `digits·10^k` up to, not including, `(digits + 1)·10^k`.
    fn reaches(&self, negative: bool, digits: &[u8], exponent: i64, integer: bool, more_digits: bool) -> bool {
        // By magnitude, a negative number's bounds change places.
        let (low, high) = if negative { (&self.maximum, &self.minimum) } else { (&self.minimum, &self.maximum) };
        let magnitude = |bound: &Bound| {
            let mut value = bound.value.clone();
            value.negative ^= negative;
            Bound { value, exclusive: bound.exclusive }
        };
        let (low, high) = (low.as_ref().map(magnitude), high.as_ref().map(magnitude));
        let mut above = digits.to_vec();
        increment(&mut above);
        let mut exponent = exponent;
        loop {
            let least = Decimal::new(false, digits.to_vec(), exponent);
            let beyond = Decimal::new(false, above.clone(), exponent);
            let past_high = high.as_ref().is_some_and(|bound| match least.cmp(&bound.value) {
                Ordering::Less => false,
                Ordering::Equal => bound.exclusive,
                Ordering::Greater => true,
            });
            if past_high {
                return false;
            }
            // The interval is half open; a whole number is its first member when no digit follows.
            let reaches_low = low.as_ref().is_none_or(|bound| match (integer && exponent == 0, bound.exclusive) {
                (true, false) => least >= bound.value,
                (true, true) => least > bound.value,
                (false, _) => beyond > bound.value,
            });
            if reaches_low {
                return true;
            }
            if !more_digits || least.is_zero() {
                return false;
            }
            // Fewer digits than the bound has will not do: on to where the magnitudes meet.
            let wanted = low.as_ref().map_or(exponent, |bound| bound.value.magnitude() - above.len() as i64 - 1);
            exponent = wanted.max(exponent + 1);
        }
    }
}

/// Adds one in the last place.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return;
        }
        *digit = 0;
    }
    digits.insert(0, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_compare_by_value_whatever_their_spelling() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("0.5", "5E-1"), ("-0", "0"), ("0e9", "0.000")] {
            assert_eq!(decimal(a), decimal(b));
        }
        for (a, b) in [("-1e400", "1"), ("0.99", "1"), ("1e399", "1e400"), ("-2", "-1.5"), ("9", "10"), ("0", "1e-400")] {
            assert!(decimal(a) < decimal(b), "{a} < {b}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        for (value, divisor, is) in [
            ("0.1", "0.01", true),
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("1e400", "3", false),
            ("3e400", "3", true),
            ("1e-400", "1", false),
            ("4.5", "1.5", true),
            ("35", "1.5", false),
            ("0", "7", true),
            ("1e308", "0.123456789", false),
        ] {
            assert_eq!(decimal(value).is_multiple_of(&decimal(divisor)), is, "{value} of {divisor}");
        }
    }

    #[test]
    fn a_huge_exponent_costs_nothing() {
        let huge = decimal("1e99999999999999999999");
        assert!(huge > decimal("1e400") && huge.is_integer() && decimal("1e-99999999999999999999") > decimal("0"));
    }

    proptest! {
        /// A prefix of a number within the bounds is never refused.
        #[test]
        fn prefixes_of_accepted_numbers_are_possible(
            whole in 0u32..3000, fraction in prop::option::of(0u32..100), negative in any::<bool>(),
            a in -3000i32..3000, b in -3000i32..3000, exclusive in any::<(bool, bool)>(), exponents in any::<bool>(),
        ) {
            let text = format!("{}{whole}{}", if negative { "-" } else { "" }, fraction.map_or(String::new(), |fraction| format!(".{fraction:02}")));
            let rules = NumberRules {
                minimum: Some(Bound { value: decimal(&a.min(b).to_string()), exclusive: exclusive.0 }),
                maximum: Some(Bound { value: decimal(&a.max(b).to_string()), exclusive: exclusive.1 }),
                multiple_of: None,
            };
            if rules.accepts(&decimal(&text)) {
                for end in 1..=text.len() {
                    prop_assert!(rules.may_accept(&text[..end], fraction.is_none(), exponents), "{} of {text}", &text[..end]);
                }
            }
        }

        /// Without exponents, a possible prefix of a whole number has a completion.
        #[test]
        fn possible_prefixes_of_whole_numbers_have_completions(prefix in 0u32..500, negative in any::<bool>(), a in -3000i32..3000, b in -3000i32..3000) {
            let rules = NumberRules {
                minimum: Some(Bound { value: decimal(&a.min(b).to_string()), exclusive: false }),
                maximum: Some(Bound { value: decimal(&a.max(b).to_string()), exclusive: false }),
                multiple_of: None,
            };
            let text = format!("{}{prefix}", if negative { "-" } else { "" });
            let completions = std::iter::once(text.clone()).chain((1..=4usize).flat_map(|more| {
                let text = text.clone();
                (0..10u32.pow(more as u32)).map(move |digits| format!("{text}{digits:0more$}"))
            }));
            let has = (prefix == 0 && rules.accepts(&decimal("0"))) || (prefix > 0 && completions.into_iter().any(|text| rules.accepts(&decimal(&text))));
            prop_assert_eq!(rules.may_accept(&text, true, false), has);
        }
    }
}
