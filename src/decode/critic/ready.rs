//! Critics for common cases.

use super::{Critic, CriticError, Draft};
use crate::constraint::Constraint;
use serde_json::Value;
use std::fmt;

/// A critic in the user's own code.
///
/// ```
/// use tamis::decode::critic::Score;
/// // Texts are worth twice as much for every "sun" in them, while they are written as at the end.
/// let sunny = Score::new(|draft| Ok(2f64.ln() * draft.text.windows(3).filter(|word| word == b"sun").count() as f64));
/// ```
pub struct Score<F>(F);

impl<F: Fn(&Draft<'_>) -> Result<f64, CriticError> + Send + Sync> Score<F> {
    /// The critic that `score` is.
    pub fn new(score: F) -> Self {
        Self(score)
    }
}

impl<F: Fn(&Draft<'_>) -> Result<f64, CriticError> + Send + Sync> Critic for Score<F> {
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        (self.0)(draft)
    }
}

impl<F> fmt::Debug for Score<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Score")
    }
}

/// Prefers longer texts, or shorter ones, by a constant a byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    nats_per_byte: f64,
}

impl Length {
    /// Every byte is worth so many nats: above 0 for longer texts, below for shorter ones.
    pub fn new(nats_per_byte: f64) -> Self {
        Self { nats_per_byte }
    }
}

impl Critic for Length {
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        Ok(self.nats_per_byte * draft.text.len() as f64)
    }
}

/// Lets only complete texts of a constraint through, and asks it about nothing before.
///
/// It is what makes sampling first and judging afterwards
/// ([`ConstrainedDecoding::sample_and_rerank`](crate::decode::ConstrainedDecoding::sample_and_rerank)).
#[derive(Clone, Debug)]
pub struct Satisfies<C>(C);

impl<C: Constraint> Satisfies<C> {
    /// The complete texts of `constraint`.
    pub fn new(constraint: C) -> Self {
        Self(constraint)
    }
}

impl<C: Constraint> Critic for Satisfies<C> {
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        if !draft.complete {
            return Ok(0.0);
        }
        let is_member = self.0.advance(&self.0.start(), draft.text).is_some_and(|state| self.0.may_end(&state));
        match self.0.failure() {
            Some(error) => Err(error.into()),
            None => Ok(if is_member { 0.0 } else { f64::NEG_INFINITY }),
        }
    }
}

type Judge = dyn Fn(&[&Value]) -> f64 + Send + Sync;

/// Scores the values at a place of a JSON text, when it is complete.
///
/// The place is a JSON pointer (RFC 6901) in which `*` stands for every item or property.
///
/// ```
/// use tamis::decode::critic::JsonPath;
/// // Only orders whose prices are all below 100.
/// let cheap = JsonPath::new("/items/*/price", |prices| {
///     let all_cheap = prices.iter().all(|price| price.as_f64().is_some_and(|price| price < 100.0));
///     if all_cheap { 0.0 } else { f64::NEG_INFINITY }
/// });
/// ```
pub struct JsonPath {
    steps: Vec<String>,
    judge: Box<Judge>,
}

impl JsonPath {
    /// `judge` gives the log-score for the values at `pointer`, in their order; there may be none.
    pub fn new(pointer: &str, judge: impl Fn(&[&Value]) -> f64 + Send + Sync + 'static) -> Self {
        let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        Self { steps, judge: Box::new(judge) }
    }

    fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().fold(vec![value], |values, step| {
            let within = |value: &'a Value| -> Vec<&'a Value> {
                match (value, step.as_str()) {
                    (Value::Array(items), "*") => items.iter().collect(),
                    (Value::Object(members), "*") => members.values().collect(),
                    (Value::Array(items), index) => index.parse().ok().and_then(|index: usize| items.get(index)).into_iter().collect(),
                    (Value::Object(members), name) => members.get(name).into_iter().collect(),
                    _ => Vec::new(),
                }
            };
            values.into_iter().flat_map(within).collect()
        })
    }
}

impl Critic for JsonPath {
    /// Fails where a complete text is no JSON: a JSON Schema as the constraint prevents it.
    fn log_score(&self, draft: &Draft<'_>) -> Result<f64, CriticError> {
        if !draft.complete {
            return Ok(0.0);
        }
        let value: Value = serde_json::from_slice(draft.text)?;
        Ok((self.judge)(&self.find(&value)))
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonPath").field("steps", &self.steps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Draft<'_> {
        Draft { text: text.as_bytes(), tokens: &[], complete: true, by_end_token: true }
    }

    #[test]
    fn a_path_finds_members_items_and_all_of_either() {
        let count = |pointer: &str| {
            let critic = JsonPath::new(pointer, |values| values.len() as f64);
            critic.log_score(&complete(r#"{"a": [{"b": 1}, {"b": 2}, {}], "x/y": {"p": 1, "q": 2}}"#)).unwrap()
        };
        assert_eq!((count("/a/*/b"), count("/a/1/b"), count("/x~1y/*"), count("/a/9"), count("")), (2.0, 1.0, 2.0, 0.0, 1.0));
        assert!(JsonPath::new("", |_| 0.0).log_score(&complete("{")).is_err());
    }
}
