//! A run as one JSON object.
//!
//! Conventions, which the object repeats in `units`:
//!
//! - Every `log_*` and `*_log_prob` is a natural logarithm (nats), as is `entropy`; times are seconds,
//!   offsets and lengths bytes.
//! - `null` stands for minus infinity in a logarithm (JSON has no infinities): the probability is zero.
//! - Text is UTF-8, with U+FFFD where bytes are none; a `bytes` array stands beside exactly such text.
//! - An answer's log-probabilities are those of its heaviest particle; the same text may be written in
//!   other tokens too. `raw` is the model's own, `constrained` that of drawing each token among the
//!   allowed ones by the estimates of Z that were used, `posterior` that of the answer under the model
//!   (after temperature and truncation) given that the constraint holds.
//!
//! - `steps` are told as they were before any resampling after them; `ancestors` names for each place the
//!   particle that was copied there, and is `null` where there was no resampling.
//! - Weights, posterior and evidence are `null` where the sampler does not weigh what it draws.
//!
//! A reader should refuse a `schema_version` that it does not know; fields are added without a new
//! version, and change or go only with one.

use super::RunInfo;
use crate::constraint::Rejection;
use crate::decode::{Answer, Death, ParticleRecord, Posterior, TokenRecord};
use crate::smc::StepRecord;
use serde_json::{Map, Value, json};

/// The version of the object that [`to_json`] makes.
pub const SCHEMA_VERSION: u32 = 1;

/// The run as one JSON object. See the head of this module for units and conventions.
///
/// ```
/// use tamis::report::{RunInfo, to_json};
/// # use tamis::{prelude::*, vocab::{Token, Vocabulary}};
/// # let vocabulary = Vocabulary::new([Token::Text(b"yes".to_vec()), Token::Text(b"no".to_vec()), Token::End]).unwrap();
/// # let mut model = TableLm::independent(vocabulary, &[0.5, 0.1, 0.4])?;
/// let posterior = ConstrainedDecoding::new(Regex::new("no")?).run(&mut model, &[])?;
/// let run = to_json(&posterior, &RunInfo::default());
/// assert_eq!(run["answers"][0]["text"], "no");
/// assert_eq!(run["units"]["logarithms"], "natural (nats); null is minus infinity");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_json(posterior: &Posterior, info: &RunInfo) -> Value {
    let proper = info.options.properly_weighted;
    let mut object = head(info);
    object.insert("impossible".into(), json!(posterior.is_impossible()));
    object.insert("unsatisfiable".into(), Value::Null);
    object.insert("log_evidence".into(), json!(proper.then_some(posterior.log_evidence)));
    object.insert("evidence".into(), json!(proper.then(|| posterior.evidence())));
    object.insert("ess".into(), json!(posterior.ess()));
    object.insert("checks".into(), json!(posterior.checks()));
    object.insert("answers".into(), posterior.answers.iter().map(|answer| self::answer(posterior, answer, proper)).collect());
    object.insert("particles".into(), posterior.particles.iter().map(|particle| self::particle(posterior, particle, proper)).collect());
    object.insert("steps".into(), posterior.steps.iter().map(step).collect());
    object.insert("deaths".into(), posterior.deaths.iter().map(death).collect());
    object.insert("timings".into(), timings(info));
    object.into()
}

/// The same object for a constraint of which it was known without a run that no text satisfies it:
/// `unsatisfiable` holds `reason`, the evidence is zero, there are no answers.
pub fn unsatisfiable_to_json(info: &RunInfo, reason: &str) -> Value {
    let mut object = head(info);
    object.insert("impossible".into(), json!(true));
    object.insert("unsatisfiable".into(), json!(reason));
    object.insert("log_evidence".into(), json!(f64::NEG_INFINITY));
    object.insert("evidence".into(), json!(0.0));
    object.insert("ess".into(), json!(0.0));
    object.insert("checks".into(), json!(0));
    for list in ["answers", "particles", "steps", "deaths"] {
        object.insert(list.into(), json!([]));
    }
    object.insert("timings".into(), timings(info));
    object.into()
}

/// What is known before a run.
fn head(info: &RunInfo) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("schema_version".into(), json!(SCHEMA_VERSION));
    object.insert("tamis".into(), json!(env!("CARGO_PKG_VERSION")));
    let units = json!({
        "logarithms": "natural (nats); null is minus infinity",
        "entropy": "nats",
        "timings": "seconds",
        "offset": "bytes",
    });
    object.insert("units".into(), units);
    object.insert("model".into(), json!(info.model));
    object.insert("prompt".into(), json!(info.prompt));
    object.insert("constraints".into(), json!(info.constraints));
    object.insert("options".into(), json!(info.options));
    object
}

fn answer(posterior: &Posterior, answer: &Answer, proper: bool) -> Value {
    let mut object = text(&answer.text);
    object.insert("probability".into(), json!(answer.probability));
    if let Some(heaviest) = answer.particles.first().and_then(|index| posterior.particles.get(*index)) {
        object.insert("log_prob".into(), log_probs(posterior, heaviest, proper));
    }
    object.insert("particles".into(), json!(answer.particles));
    object.into()
}

fn particle(posterior: &Posterior, particle: &ParticleRecord, proper: bool) -> Value {
    let mut object = text(&particle.text());
    object.insert("weight".into(), json!(particle.weight));
    object.insert("log_weight".into(), json!(particle.weight.ln()));
    object.insert("complete".into(), json!(particle.complete));
    object.insert("log_prob".into(), log_probs(posterior, particle, proper));
    object.insert("tokens".into(), particle.tokens.iter().map(token).collect());
    object.into()
}

fn log_probs(posterior: &Posterior, particle: &ParticleRecord, proper: bool) -> Value {
    json!({
        "raw": particle.raw_log_prob(),
        "sampler": particle.sampler_log_prob(),
        "constrained": particle.constrained_log_prob(),
        "posterior": (proper && particle.complete).then(|| posterior.posterior_log_prob(particle)),
    })
}

fn token(token: &TokenRecord) -> Value {
    let mut object = Map::new();
    object.insert("token".into(), json!(token.token));
    object.append(&mut text(&token.bytes));
    object.insert("offset".into(), json!(token.offset));
    object.insert("model_log_prob".into(), json!(token.model_log_prob));
    object.insert("sampler_log_prob".into(), json!(token.sampler_log_prob));
    object.insert("constrained_log_prob".into(), json!(token.constrained_log_prob()));
    object.insert("entropy".into(), json!(token.entropy));
    object.insert("log_z".into(), json!(token.draw.log_z));
    object.insert("log_z_low".into(), json!(token.draw.log_z_low));
    object.insert("log_z_high".into(), json!(token.draw.log_z_high));
    object.insert("checks".into(), json!(token.draw.checks));
    object.insert("rejects".into(), json!(token.draw.rejects));
    object.insert("masked".into(), json!(token.draw.masked));
    object.insert("forced".into(), json!(token.draw.forced));
    object.into()
}

/// The text, and its bytes where it is no UTF-8.
fn text(bytes: &[u8]) -> Map<String, Value> {
    let mut object = Map::new();
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert("text".into(), json!(text)),
        Err(_) => {
            object.insert("text".into(), json!(String::from_utf8_lossy(bytes)));
            object.insert("bytes".into(), json!(bytes))
        }
    };
    object
}

fn step(step: &StepRecord) -> Value {
    json!({
        "step": step.step,
        "ess": step.ess,
        "log_evidence": step.log_evidence,
        "log_weights": step.log_weights,
        "unfinished": step.unfinished,
        "ancestors": step.ancestors,
    })
}

fn death(death: &Death) -> Value {
    let mut object = text(&death.text);
    object.insert("tokens".into(), json!(death.tokens));
    object.insert("out_of_tokens".into(), json!(death.out_of_tokens));
    object.insert("wanted".into(), death.wanted.as_ref().map_or(Value::Null, rejection));
    object.into()
}

fn rejection(rejection: &Rejection) -> Value {
    json!({
        "offset": rejection.offset(),
        "expected": rejection.expected(),
        "found": rejection.found(),
        "instance_pointer": rejection.instance_pointer(),
        "schema_pointer": rejection.schema_pointer(),
    })
}

fn timings(info: &RunInfo) -> Value {
    let timings = &info.timings;
    json!({
        "load": timings.load,
        "first_token": timings.first_token,
        "run": timings.run,
        "tokens": timings.tokens,
        "tokens_per_second": timings.tokens_per_second(info.options.particles),
    })
}
