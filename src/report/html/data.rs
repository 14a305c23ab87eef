//! What the page is told of a record: numbers to five digits, tokens in columns, texts once each.

use crate::report::record::{Answer, Death, Record, Token};
use crate::report::{ConstraintInfo, ModelInfo, OptionsInfo, Timings, evidence_in_words, probability_in_words};
use serde::{Serialize, Serializer};
use std::collections::HashMap;

/// The page's data. `model.js` reads it.
#[derive(Serialize)]
pub(super) struct PageData<'a> {
    tamis: &'a str,
    model: &'a ModelInfo,
    prompt: &'a str,
    system: Option<&'a str>,
    constraints: &'a [ConstraintInfo],
    options: &'a OptionsInfo,
    timings: &'a Timings,
    unsatisfiable: Option<&'a str>,
    /// A sentence.
    evidence: String,
    /// The evidence as a number in words; `null` where there is none.
    evidence_number: Option<String>,
    ess: Short,
    checks: u64,
    history: bool,
    answers: &'a [Answer],
    particles: Vec<Particle>,
    steps: Vec<Step<'a>>,
    tokens: Columns,
    /// The texts of tokens: a text, or an array of bytes that are none.
    texts: Vec<TokenText<'a>>,
    deaths: &'a [Death],
}

#[derive(Serialize)]
struct Particle {
    /// Its last token, an index; `null` where it has none.
    last: Option<usize>,
    weight: Short,
    complete: bool,
}

#[derive(Serialize)]
struct Step<'a> {
    ess: Short,
    log_evidence: Short,
    /// Normalised.
    weights: Vec<Short>,
    unfinished: usize,
    ancestors: Option<&'a [usize]>,
}

/// The tokens, a column a field.
#[derive(Default, Serialize)]
struct Columns {
    step: Vec<usize>,
    place: Vec<usize>,
    parent: Vec<Option<usize>>,
    id: Vec<u32>,
    /// An index into the texts.
    text: Vec<usize>,
    model: Vec<Short>,
    /// The log-probability that was sampled by; empty where it is the model's everywhere.
    sampler: Vec<Short>,
    entropy: Vec<Short>,
    z: Vec<Short>,
    low: Vec<Short>,
    high: Vec<Short>,
    checks: Vec<u32>,
    rejects: Vec<u32>,
    /// 1 where the mask was used, plus 2 where nothing else was allowed.
    flags: Vec<u8>,
    /// Of each token a flat list of (text, log-probability, verdict): 0 refused, 1 allowed, 2 nobody
    /// asked; plus 4 where this draw asked.
    alternatives: Vec<Vec<Cell>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell {
    Number(Short),
    Index(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
enum TokenText<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A number to five significant digits; `null` where it is not finite.
struct Short(f64);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value) = *self;
        if value == 0.0 || !value.is_finite() {
            // Not -0, which five bytes would be spent on.
            return serializer.serialize_f64(value + 0.0);
        }
        let scale = 10f64.powi(4 - value.abs().log10().floor() as i32);
        let rounded = (value * scale).round() / scale;
        // Very small numbers have no such scale.
        serializer.serialize_f64(if rounded.is_finite() { rounded } else { value })
    }
}

/// The texts of tokens, each once.
#[derive(Default)]
struct Texts<'a> {
    texts: Vec<TokenText<'a>>,
    indices: HashMap<TokenText<'a>, usize>,
}

impl<'a> Texts<'a> {
    fn index(&mut self, text: &'a str, bytes: Option<&'a [u8]>) -> usize {
        let text = bytes.map_or(TokenText::Text(text), TokenText::Bytes);
        *self.indices.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }
}

impl<'a> PageData<'a> {
    /// What the page is told of `record`.
    pub(super) fn new(record: &'a Record) -> Self {
        let mut texts = Texts::default();
        let mut tokens = Columns::default();
        for token in &record.tokens {
            tokens.push(token, &mut texts);
        }
        if record.tokens.iter().all(|token| token.sampler_log_prob == token.model_log_prob) {
            tokens.sampler.clear();
        }
        let log_evidence = record.log_evidence.unwrap_or(f64::NEG_INFINITY);
        Self {
            tamis: &record.tamis,
            model: &record.model,
            prompt: &record.prompt.text,
            system: record.prompt.system.as_deref(),
            constraints: &record.constraints,
            options: &record.options,
            timings: &record.timings,
            unsatisfiable: record.unsatisfiable.as_deref(),
            evidence: evidence_in_words(log_evidence, &record.options),
            evidence_number: record.log_evidence.map(probability_in_words),
            ess: Short(record.ess),
            checks: record.checks,
            history: record.history,
            answers: &record.answers,
            particles: record
                .particles
                .iter()
                .map(|particle| Particle {
                    last: particle.tokens.last().copied(),
                    weight: Short(particle.weight),
                    complete: particle.complete,
                })
                .collect(),
            steps: record
                .steps
                .iter()
                .map(|step| Step {
                    ess: Short(step.ess),
                    log_evidence: Short(step.log_evidence),
                    weights: normalised(&step.log_weights),
                    unfinished: step.unfinished,
                    ancestors: step.ancestors.as_deref(),
                })
                .collect(),
            tokens,
            texts: texts.texts,
            deaths: &record.deaths,
        }
    }
}

fn normalised(log_weights: &[f64]) -> Vec<Short> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return log_weights.iter().map(|_| Short(0.0)).collect();
    }
    let total: f64 = log_weights.iter().map(|log_weight| (log_weight - largest).exp()).sum();
    log_weights.iter().map(|log_weight| Short((log_weight - largest).exp() / total)).collect()
}

impl Columns {
    fn push<'a>(&mut self, token: &'a Token, texts: &mut Texts<'a>) {
        self.step.push(token.step);
        self.place.push(token.particle);
        self.parent.push(token.parent);
        self.id.push(token.token.get());
        self.text.push(texts.index(&token.text, token.bytes.as_deref()));
        self.model.push(Short(token.model_log_prob));
        self.sampler.push(Short(token.sampler_log_prob));
        self.entropy.push(Short(token.entropy));
        self.z.push(Short(token.log_z));
        self.low.push(Short(token.log_z_low));
        self.high.push(Short(token.log_z_high));
        self.checks.push(token.checks);
        self.rejects.push(token.rejects);
        self.flags.push(u8::from(token.masked) + 2 * u8::from(token.forced));
        let mut alternatives = Vec::with_capacity(3 * token.alternatives.len());
        for other in &token.alternatives {
            let verdict = other.allowed.map_or(2, usize::from) + 4 * usize::from(other.asked);
            alternatives.extend([
                Cell::Index(texts.index(&other.text, other.bytes.as_deref())),
                Cell::Number(Short(other.log_prob)),
                Cell::Index(verdict),
            ]);
        }
        self.alternatives.push(alternatives);
    }
}
