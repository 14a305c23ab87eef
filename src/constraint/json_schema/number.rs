//! What a schema asks of numbers, and what a number that is still being written can become.
//!
//! A prefix of a number stands for a set of values: its digits may go on, and an exponent may follow.
//! [`NumberRules::may_accept`] tells whether one of them lies within the bounds (and, where they must be
//! multiples of something, whether a multiple does), by comparing intervals. It is never false where
//! there is one. With exponents nearly every prefix can still reach nearly every value of its sign, as
//! JSON has it: `150e-1` is 15.

use super::decimal::Decimal;
use std::cmp::Ordering;

/// A bound of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) value: Decimal,
    pub(super) exclusive: bool,
}

impl Bound {
    /// Whether `value` keeps to this as a lower bound.
    fn allows_above(&self, value: &Decimal) -> bool {
        match value.cmp(&self.value) {
            Ordering::Less => false,
            Ordering::Equal => !self.exclusive,
            Ordering::Greater => true,
        }
    }

    /// Whether `value` keeps to this as an upper bound.
    fn allows_below(&self, value: &Decimal) -> bool {
        match value.cmp(&self.value) {
            Ordering::Less => true,
            Ordering::Equal => !self.exclusive,
            Ordering::Greater => false,
        }
    }
}

/// What a schema asks of a number.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberRules {
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<Decimal>,
}

/// The ways in which a number may be written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As JSON has it.
    Any,
    WithoutExponent,
    /// Without an exponent, and zero without a minus.
    Plain,
}

impl Spelling {
    pub(super) fn without_exponent(self) -> Self {
        if self == Self::Any { Self::WithoutExponent } else { self }
    }
}

/// How many intervals of growing length are searched for a multiple before it is taken that there is one.
const SEARCHED_INTERVALS: usize = 40;

impl NumberRules {
    pub(super) fn is_empty(&self) -> bool {
        self.minimum.is_none() && self.maximum.is_none() && self.multiple_of.is_none()
    }

    /// Whether a written number satisfies the rules.
    pub(super) fn accepts(&self, value: &Decimal) -> bool {
        self.is_within(value) && self.multiple_of.as_ref().is_none_or(|divisor| value.is_multiple_of(divisor))
    }

    fn is_within(&self, value: &Decimal) -> bool {
        self.minimum.as_ref().is_none_or(|bound| bound.allows_above(value))
            && self.maximum.as_ref().is_none_or(|bound| bound.allows_below(value))
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

    /// Whether the number begun with `text` may still come to satisfy the rules. `integer`: it must become
    /// a whole number.
    pub(super) fn may_accept(&self, text: &str, integer: bool, spelling: Spelling) -> bool {
        if self.is_empty() && (!integer || text.bytes().all(|byte| byte.is_ascii_digit())) {
            return true;
        }
        let begun = Begun::read(text);
        let exponents = spelling == Spelling::Any;
        if spelling == Spelling::Plain && begun.negative && begun.is_zero() && !self.has_other_than_zero(true) {
            return false;
        }
        // All values are multiples of this power of ten.
        let divisor = self.multiple_of.as_ref().map(Decimal::exponent);
        let unit = match (integer, divisor) {
            (true, divisor) => Some(divisor.unwrap_or(0).max(0)),
            (false, divisor) => divisor,
        };
        match (begun.exponent, unit) {
            _ if begun.is_zero() && (exponents || begun.digits.is_empty()) => self.zero_may_go_on(&begun),
            (Some(exponent), unit) => self.exponent_may_go_on(&begun, exponent, unit),
            // Digits, as many as one likes, and an exponent that moves the point.
            (None, Some(unit)) if exponents => self.reaches(begun.negative, &begun.significant(), unit, Some(unit), true),
            (None, None) if exponents => self.has_other_than_zero(begun.negative),
            (None, _) => self.plain_may_go_on(&begun, unit),
        }
    }

    /// A prefix without a digit other than zero, to which such digits and an exponent may come.
    fn zero_may_go_on(&self, begun: &Begun<'_>) -> bool {
        self.is_within(&Decimal::zero()) || (begun.exponent.is_none() && self.has_other_than_zero(begun.negative))
    }

    /// Whether some number of that sign, other than zero, is within the bounds.
    fn has_other_than_zero(&self, negative: bool) -> bool {
        match negative {
            true => self.minimum.as_ref().is_none_or(|bound| bound.value < Decimal::zero()),
            false => self.maximum.as_ref().is_none_or(|bound| bound.value > Decimal::zero()),
        }
    }

    /// No exponent will come.
    fn plain_may_go_on(&self, begun: &Begun<'_>, unit: Option<i64>) -> bool {
        let mut digits = begun.digits.clone();
        let mut decimals = begun.decimals as i64;
        if let Some(unit) = unit {
            // Digits beyond the last place that counts can only be zeros.
            while decimals > 0 && -decimals < unit {
                if digits.pop() != Some(0) {
                    return false;
                }
                decimals -= 1;
            }
        }
        // Digits after the point stay within the interval of the last place.
        let more_digits = !begun.fractional && digits != [0];
        self.reaches(begun.negative, &digits, -decimals, unit, more_digits)
    }

    /// The digits are written, and so much of the exponent.
    fn exponent_may_go_on(&self, begun: &Begun<'_>, written: Exponent<'_>, unit: Option<i64>) -> bool {
        let mantissa = Decimal::from_digits(begun.digits.clone(), -(begun.decimals as i64));
        let (low, high) = self.by_magnitude(begun.negative);
        // The least and the greatest exponent with which the number is within the bounds and whole.
        let mut least = low.filter(|low| low.value > Decimal::zero()).map(|low| {
            let even = low.value.magnitude() - mantissa.magnitude();
            if low.allows_above(&mantissa.times_ten_to(even)) { even } else { even + 1 }
        });
        if let Some(unit) = unit {
            least = least.max(Some(unit - mantissa.exponent()));
        }
        let greatest = match high {
            None => None,
            Some(high) if high.value <= Decimal::zero() => return false,
            Some(high) => {
                let even = high.value.magnitude() - mantissa.magnitude();
                Some(if high.allows_below(&mantissa.times_ten_to(even)) { even } else { even - 1 })
            }
        };
        written.reaches(least, greatest)
    }

    /// The bounds of the magnitude of numbers of one sign.
    fn by_magnitude(&self, negative: bool) -> (Option<Bound>, Option<Bound>) {
        let (low, high) = if negative { (&self.maximum, &self.minimum) } else { (&self.minimum, &self.maximum) };
        let magnitude = |bound: &Bound| Bound { value: if negative { bound.value.negated() } else { bound.value.clone() }, ..*bound };
        (low.as_ref().map(magnitude), high.as_ref().map(magnitude))
    }

    /// Whether an interval that the digits can still be continued into meets the bounds, and with a
    /// multiple. The magnitudes after `k` more digits are from `digits·10^k` up to, not including,
    /// `(digits + 1)·10^k`, in steps of `10^unit` where there is a unit.
    fn reaches(&self, negative: bool, digits: &[u8], exponent: i64, unit: Option<i64>, more_digits: bool) -> bool {
        let (low, high) = self.by_magnitude(negative);
        let mut above = digits.to_vec();
        increment(&mut above);
        let mut exponent = exponent;
        for _ in 0..SEARCHED_INTERVALS {
            let least = Decimal::from_digits(digits.to_vec(), exponent);
            let beyond = Decimal::from_digits(above.clone(), exponent);
            if high.as_ref().is_some_and(|bound| !bound.allows_below(&least)) {
                return false;
            }
            // The interval is half open; where no digit that counts follows it is its first member.
            let single = unit.is_some_and(|unit| exponent <= unit);
            let reaches_low = low.as_ref().is_none_or(|bound| if single { bound.allows_above(&least) } else { beyond > bound.value });
            if reaches_low && self.has_multiple(&least, &beyond, single, &low, &high) {
                return true;
            }
            if !more_digits || least.is_zero() {
                return false;
            }
            // Fewer digits than the bound has will not do: on to where the magnitudes meet.
            let missed = low.as_ref().filter(|_| !reaches_low);
            let wanted = missed.map_or(exponent, |bound| bound.value.magnitude() - above.len() as i64 - 1);
            exponent = wanted.max(exponent + 1);
        }
        true
    }

    /// Whether a multiple lies in the interval from `least` up to, not including, `beyond`, and within the
    /// bounds. True where that would take long to tell.
    fn has_multiple(&self, least: &Decimal, beyond: &Decimal, single: bool, low: &Option<Bound>, high: &Option<Bound>) -> bool {
        let Some(divisor) = &self.multiple_of else { return true };
        if single {
            return least.is_multiple_of(divisor);
        }
        let from = low.as_ref().filter(|bound| bound.value > *least).map_or(least, |bound| &bound.value);
        let Some(mut first) = from.next_multiple(divisor) else { return true };
        if low.as_ref().is_some_and(|bound| !bound.allows_above(&first)) {
            match first.plus(divisor) {
                Some(second) => first = second,
                None => return true,
            }
        }
        first < *beyond && high.as_ref().is_none_or(|bound| bound.allows_below(&first))
    }
}

/// A number as far as it is written.
struct Begun<'a> {
    negative: bool,
    /// Before and after the point, each 0 to 9.
    digits: Vec<u8>,
    /// How many of them are after the point.
    decimals: usize,
    /// Whether the point is there.
    fractional: bool,
    exponent: Option<Exponent<'a>>,
}

impl<'a> Begun<'a> {
    fn read(text: &'a str) -> Self {
        let (negative, body) = text.strip_prefix('-').map_or((false, text), |body| (true, body));
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => (&body[..at], Some(Exponent(&body[at + 1..]))),
            None => (body, None),
        };
        let decimals = mantissa.find('.').map_or(0, |at| mantissa.len() - at - 1);
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
        Self { negative, digits, decimals, fractional: mantissa.contains('.'), exponent }
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == 0)
    }

    /// The digits without the zeros that only tell where the point is.
    fn significant(&self) -> Vec<u8> {
        let is_digit = |digit: &u8| *digit != 0;
        let first = self.digits.iter().position(is_digit).unwrap_or(0);
        let last = self.digits.iter().rposition(is_digit).map_or(first, |last| last + 1);
        self.digits[first..last].to_vec()
    }
}

/// An exponent as far as it is written: perhaps a sign, perhaps digits.
#[derive(Clone, Copy)]
struct Exponent<'a>(&'a str);

impl Exponent<'_> {
    /// Whether it can become one from `least` to `greatest` (`None`: without bound).
    fn reaches(self, least: Option<i64>, greatest: Option<i64>) -> bool {
        if least.zip(greatest).is_some_and(|(least, greatest)| least > greatest) {
            return false;
        }
        let digits = self.0.trim_start_matches(['+', '-']);
        match self.0.as_bytes().first() {
            None => true,
            Some(b'-') => magnitude_reaches(digits, greatest.map(|greatest| -greatest), least.map(|least| -least)),
            Some(_) => magnitude_reaches(digits, least, greatest),
        }
    }
}

/// Whether a number of exponent digits can go on to lie between the two.
fn magnitude_reaches(digits: &str, least: Option<i64>, greatest: Option<i64>) -> bool {
    let (Some(begun), None) = (super::decimal::exponent_digits(digits), greatest.filter(|greatest| *greatest < 0)) else { return false };
    if begun == 0 {
        // Zeros may go on with any digits.
        return true;
    }
    let (mut first, mut last) = (begun, begun);
    loop {
        if greatest.is_some_and(|greatest| first > greatest) {
            return false;
        }
        if least.is_none_or(|least| last >= least) {
            return true;
        }
        (first, last) = (first.saturating_mul(10), last.saturating_mul(10).saturating_add(9));
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

    fn rules(minimum: Option<&str>, maximum: Option<&str>, multiple_of: Option<&str>) -> NumberRules {
        let bound = |text: &str| Bound { value: decimal(text), exclusive: false };
        NumberRules { minimum: minimum.map(bound), maximum: maximum.map(bound), multiple_of: multiple_of.map(decimal) }
    }

    fn spelling(exponents: bool) -> Spelling {
        if exponents { Spelling::Any } else { Spelling::WithoutExponent }
    }

    #[test]
    fn prefixes_that_can_no_longer_fall_in_range_are_dead() {
        let from_10_to_20 = rules(Some("10"), Some("20"), None);
        for (text, integer, exponents, possible) in [
            ("3", true, false, false),
            ("2", true, false, true),
            ("21", true, false, false),
            ("1.5", true, false, false),
            ("1.5", true, true, true),
            ("2.5", true, true, false),
            ("0", true, false, false),
            ("0", true, true, true),
            ("0.0", false, false, false),
            ("0.0", false, true, true),
            ("3", false, true, true),
            ("3e", false, true, false),
            ("1e", false, true, true),
            ("1e-", false, true, false),
            ("1e2", false, true, false),
            ("150e-", false, true, true),
            ("150e-1", false, true, true),
            ("150e-2", false, true, false),
            ("0.015e0", false, true, true),
            ("-", false, true, false),
        ] {
            assert_eq!(from_10_to_20.may_accept(text, integer, spelling(exponents)), possible, "{text}");
        }
        let sevens = rules(Some("1"), Some("30"), Some("7"));
        for (text, possible) in [("1", true), ("2", true), ("3", false), ("7", true), ("8", false), ("15", false)] {
            assert_eq!(sevens.may_accept(text, true, Spelling::WithoutExponent), possible, "{text}");
        }
        let cents = rules(None, None, Some("0.01"));
        assert!(
            cents.may_accept("3.14", false, Spelling::WithoutExponent)
                && cents.may_accept("3.140", false, Spelling::WithoutExponent)
                && !cents.may_accept("3.141", false, Spelling::WithoutExponent)
        );
        assert!(rules(Some("1e400"), None, None).may_accept("9e39", false, Spelling::Any));
    }

    #[test]
    fn a_huge_exponent_takes_no_time() {
        let third = rules(Some("1e999999999999"), Some("1e9999999999999"), Some("3"));
        assert!(
            third.may_accept("3e", false, Spelling::Any)
                && third.may_accept("3", true, Spelling::Any)
                && !third.may_accept("3e-", false, Spelling::Any)
        );
    }

    /// All numbers of up to six bytes, some with an exponent.
    fn spellings() -> Vec<String> {
        let mut found = Vec::new();
        for negative in ["", "-"] {
            for whole in 0..100 {
                for fraction in ["", ".0", ".5", ".05", ".25"] {
                    for exponent in ["", "e0", "e1", "E+2", "e-1", "e-2", "e00", "e10"] {
                        found.push(format!("{negative}{whole}{fraction}{exponent}"));
                    }
                }
            }
        }
        found
    }

    proptest! {
        /// A prefix of a number that the rules accept is never refused.
        #[test]
        fn prefixes_of_accepted_numbers_are_possible(
            low in prop::option::of(-50i32..50), width in 0u32..60, open_above in any::<bool>(), scale in -2i32..2,
            divisor in prop::option::of(prop::sample::select(vec!["1", "3", "7", "0.5", "0.25", "10", "0.1", "30"])), integer in any::<bool>(), exponents in any::<bool>(),
        ) {
            let rules = NumberRules {
                minimum: low.map(|low| Bound { value: decimal(&format!("{low}e{scale}")), exclusive: width % 2 == 0 }),
                maximum: (!open_above).then(|| Bound { value: decimal(&format!("{}e{scale}", low.unwrap_or(0) + width as i32)), exclusive: width % 3 == 0 }),
                multiple_of: divisor.map(decimal),
            };
            for text in spellings().iter().filter(|text| exponents || !text.contains(['e', 'E'])) {
                let value = decimal(text);
                if rules.accepts(&value) && (!integer || value.is_integer()) {
                    for end in 1..=text.len() {
                        prop_assert!(rules.may_accept(&text[..end], integer, spelling(exponents)), "{} of {text} by {rules:?}", &text[..end]);
                    }
                }
            }
        }

        /// Without exponents, a possible prefix of a whole number has a completion.
        #[test]
        fn possible_prefixes_of_whole_numbers_have_completions(
            prefix in 0u32..500, negative in any::<bool>(), a in -3000i32..3000, b in -3000i32..3000, divisor in prop::option::of(1u32..40),
        ) {
            let rules = NumberRules {
                minimum: Some(Bound { value: decimal(&a.min(b).to_string()), exclusive: false }),
                maximum: Some(Bound { value: decimal(&a.max(b).to_string()), exclusive: false }),
                multiple_of: divisor.map(|divisor| decimal(&divisor.to_string())),
            };
            let text = format!("{}{prefix}", if negative { "-" } else { "" });
            let completions = std::iter::once(text.clone()).chain((1..=4usize).flat_map(|more| {
                let text = text.clone();
                (0..10u32.pow(more as u32)).map(move |digits| format!("{text}{digits:0more$}"))
            }));
            let has = (prefix == 0 && rules.accepts(&decimal("0"))) || (prefix > 0 && completions.into_iter().any(|text| rules.accepts(&decimal(&text))));
            prop_assert_eq!(rules.may_accept(&text, true, Spelling::WithoutExponent), has);
        }
    }
}
