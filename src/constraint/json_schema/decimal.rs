//! Exact decimal numbers.
//!
//! JSON numbers are decimal fractions of any size. They are kept as digits and a power of ten and never
//! as floating point: 0.1 is a multiple of 0.01, 1e400 is a number, and every operation takes time in the
//! digits that were written, not in the size of the exponent.

use num_bigint::BigUint;
use num_traits::{One, ToPrimitive, Zero};
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

/// Sums are worked out where the powers of ten differ by no more.
const SCALE_LIMIT: u32 = 400;

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

    pub(super) fn zero() -> Self {
        Self { negative: false, digits: Vec::new(), exponent: 0 }
    }

    /// `digits · 10^exponent`, each digit 0 to 9.
    pub(super) fn from_digits(digits: Vec<u8>, exponent: i64) -> Self {
        Self::new(false, digits, exponent)
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

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The power of ten that the number is a whole multiple of, the highest one; 0 for zero.
    pub(super) fn exponent(&self) -> i64 {
        self.exponent
    }

    pub(super) fn negated(&self) -> Self {
        Self { negative: !self.negative && !self.is_zero(), ..self.clone() }
    }

    pub(super) fn times_ten_to(&self, power: i64) -> Self {
        Self { exponent: self.exponent + power, ..self.clone() }
    }

    /// The power of ten just above the number's magnitude.
    pub(super) fn magnitude(&self) -> i64 {
        self.exponent + self.digits.len() as i64
    }

    /// Whether this is a whole multiple of `divisor`, which is not zero.
    pub(super) fn is_multiple_of(&self, divisor: &Decimal) -> bool {
        if self.is_zero() {
            return true;
        }
        // A smaller power of ten would have to be made up for by tens in the digits, and those have none.
        let Ok(shift) = u64::try_from(self.exponent - divisor.exponent) else { return false };
        let divisor = divisor.big();
        let power = BigUint::from(10u8).modpow(&BigUint::from(shift), &divisor);
        (remainder(&self.digits, &divisor) * power % divisor).is_zero()
    }

    /// The least multiple of `divisor` that is not below this, both being positive; `None` where it would
    /// have very many digits.
    pub(super) fn next_multiple(&self, divisor: &Decimal) -> Option<Self> {
        let exponent = self.exponent.min(divisor.exponent);
        let (value, step) = (self.scaled(exponent)?, divisor.scaled(exponent)?);
        let count = (value + &step - 1u8) / &step;
        Some(Self::from_digits((count * step).to_radix_be(10), exponent))
    }

    /// The sum of this and `other`, both being positive; `None` where it would have very many digits.
    pub(super) fn plus(&self, other: &Decimal) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        Some(Self::from_digits((self.scaled(exponent)? + other.scaled(exponent)?).to_radix_be(10), exponent))
    }

    /// This in units of `10^exponent`, which are no larger than its own.
    fn scaled(&self, exponent: i64) -> Option<BigUint> {
        let power = u32::try_from(self.exponent - exponent).ok().filter(|power| *power <= SCALE_LIMIT)?;
        Some(if self.is_zero() { BigUint::zero() } else { self.big() * BigUint::from(10u8).pow(power) })
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
    let size = exponent_digits(digits).filter(|_| !digits.is_empty())?;
    Some(if negative { -size } else { size })
}

/// The value of an exponent's digits, within the limit; 0 of none.
pub(super) fn exponent_digits(digits: &str) -> Option<i64> {
    let step = |size: i64, byte: u8| (size * 10 + i64::from(byte - b'0')).min(EXPONENT_LIMIT);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.bytes().fold(0, step))
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

/// The remainder of a number in decimal digits; in one pass where the divisor is of a usual size, since
/// numbers may be written with any number of digits.
fn remainder(digits: &[u8], divisor: &BigUint) -> BigUint {
    match divisor.to_u64() {
        Some(divisor) => {
            let step = |rest: u128, digit: &u8| (rest * 10 + u128::from(*digit)) % u128::from(divisor);
            digits.iter().fold(0, step).into()
        }
        None => BigUint::from_radix_be(digits, 10).unwrap_or_default() % divisor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
