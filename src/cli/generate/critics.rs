//! The arguments of `tamis generate` that change the target beyond what a constraint can say.

use crate::cli::CliError;
use clap::Args;
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use tamis::constraint::Constraint;
use tamis::decode::ConstrainedDecoding;
use tamis::decode::critic::{JsonPath, Length};

/// Scores of answers, which the target is multiplied by.
#[derive(Debug, Args)]
#[command(next_help_heading = "Critics")]
pub struct CriticArgs {
    /// Only answers whose value at a JSON pointer compares so, as `/age >= 18` or `/items/*/price < 100`; `*`
    /// stands for every item or property, there must be one, and all must compare. Judged when an answer is
    /// complete. Comparisons are = != < <= > >=, values are JSON. May be given several times.
    #[arg(long = "where", value_name = "COMPARISON", requires = "schema")]
    pub comparisons: Vec<Comparison>,

    /// Longer answers are worth more, by so many nats a byte; below 0 they are worth less.
    #[arg(long, value_name = "NATS", allow_negative_numbers = true)]
    pub length_bonus: Option<f64>,

    /// A second model of the same vocabulary, whose probability of the answer counts too: a product of experts.
    #[arg(long, value_name = "MODEL")]
    pub expert: Option<String>,

    /// The power to which the second model's probability is taken; below 0 for a contrast to it.
    #[arg(long, value_name = "POWER", default_value_t = 1.0, allow_negative_numbers = true, requires = "expert")]
    pub expert_power: f64,
}

impl CriticArgs {
    /// The scores that the target is multiplied by, in words.
    pub fn scores(&self) -> Result<Vec<String>, CliError> {
        if self.length_bonus.is_some_and(|nats| !nats.is_finite()) {
            return Err(CliError::usage("--length-bonus is a number of nats a byte, such as 0.05 or -0.1"));
        }
        if !self.expert_power.is_finite() {
            return Err(CliError::usage("--expert-power is a number, such as 1 or -0.5"));
        }
        let length = self.length_bonus.map(|nats| format!("{nats} nats a byte"));
        let expert = self.expert.as_ref().map(|model| format!("{model}'s probability to the power of {}", self.expert_power));
        Ok(length.into_iter().chain(expert).collect())
    }

    /// The run with the critics that need no model.
    pub fn apply<C: Constraint>(&self, mut decoding: ConstrainedDecoding<C>) -> ConstrainedDecoding<C> {
        for comparison in self.comparisons.iter().cloned() {
            let pointer = comparison.pointer.clone();
            decoding = decoding.critic(JsonPath::new(&pointer, move |values| {
                let all_hold = !values.is_empty() && values.iter().all(|value| comparison.holds(value));
                if all_hold { 0.0 } else { f64::NEG_INFINITY }
            }));
        }
        match self.length_bonus {
            Some(nats) => decoding.critic(Length::new(nats)),
            None => decoding,
        }
    }
}

/// A comparison of a value in a JSON text with a given one.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pointer: String,
    operator: Operator,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longer ones first, so that `<=` is not taken for `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        let order = compare(value, &self.value);
        match self.operator {
            Operator::Equal => order.map_or_else(|| *value == self.value, Ordering::is_eq),
            Operator::NotEqual => order.map_or_else(|| *value != self.value, Ordering::is_ne),
            Operator::Less => order.is_some_and(Ordering::is_lt),
            Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
            Operator::Greater => order.is_some_and(Ordering::is_gt),
            Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

/// How two numbers, or two strings, compare. Whole numbers of 64 bits exactly, all others as floating point.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    if let Some((left, right)) = whole(left).zip(whole(right)) {
        return Some(left.cmp(&right));
    }
    if let Some((left, right)) = left.as_f64().zip(right.as_f64()) {
        return left.partial_cmp(&right);
    }
    left.as_str().zip(right.as_str()).map(|(left, right)| left.cmp(right))
}

impl FromStr for Comparison {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Names may have the signs in them: the comparison is the last that stands between spaces, or the first of all.
        let spaced = OPERATORS.iter().filter_map(|(sign, operator)| Some((text.rfind(&format!(" {sign} "))? + 1, *sign, *operator))).max();
        let found = spaced.or_else(|| {
            let places = OPERATORS.iter().filter_map(|(sign, operator)| Some((text.find(sign)?, *sign, *operator)));
            places.min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()))
        });
        let (at, sign, operator) = found.ok_or("there is no comparison in it: one of = != < <= > >= is wanted")?;
        let (pointer, value) = (text[..at].trim(), text[at + sign.len()..].trim());
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(format!("{pointer:?} is no JSON pointer; it begins with `/`, as in `/age >= 18`"));
        }
        let value: Value = serde_json::from_str(value)
            .map_err(|_| format!("{value:?} is no JSON; write a string in double quotes, as in `/name = \"Ann\"`"))?;
        let has_order = value.is_number() || value.is_string();
        if !has_order && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(format!("{value} has no order; only numbers and strings are compared by {sign}"));
        }
        Ok(Self { pointer: pointer.to_owned(), operator, value })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| *operator == self.operator).map_or("", |(sign, _)| *sign);
        write!(f, "{} {sign} {}", self.pointer, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(comparison: &str, value: Value) -> bool {
        comparison.parse::<Comparison>().unwrap().holds(&value)
    }

    #[test]
    fn values_compare_as_what_they_are() {
        assert!(holds("/a >= 18", json!(18)) && !holds("/a > 18", json!(18)) && holds("/a<18.5", json!(18)));
        assert!(holds("/a = 1", json!(1.0)) && holds("/a != 1", json!("1")) && holds("/a = null", json!(null)));
        assert!(holds(r#"/a = "x""#, json!("x")) && holds(r#"/a < "b""#, json!("a")) && holds("/a = [1]", json!([1])));
        // Numbers that one floating-point number stands for both.
        assert!(
            holds("/a < 9007199254740993", json!(9_007_199_254_740_992u64))
                && !holds("/a = 9007199254740993", json!(9_007_199_254_740_992u64))
        );
        assert!(!holds("/a < 3", json!("2")) && !holds("/a >= 3", json!(null)), "what has no order to it does not compare");
    }

    #[test]
    fn comparisons_are_read_and_written_and_errors_say_what_is_wanted() {
        for (text, written) in [("/a>=1", "/a >= 1"), (" /a/*/b  !=  \"x\" ", "/a/*/b != \"x\""), ("/a=b = 2", "/a=b = 2"), ("= 3", " = 3")]
        {
            assert_eq!(text.parse::<Comparison>().unwrap().to_string(), written);
        }
        for (text, why) in [("/a", "one of ="), ("a = 1", "JSON pointer"), ("/a = x", "double quotes"), ("/a < null", "no order")] {
            let error = text.parse::<Comparison>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
