//! The record of a run, made from its posterior.

use super::RunInfo;
use super::record::{Alternative, Answer, Death, LogProbs, Particle, Record, Step, Token, Units, Wanted};
use crate::constraint::Rejection;
use crate::decode::{self, ParticleRecord, Posterior, TokenRecord};
use crate::smc::StepRecord;
use std::collections::BTreeMap;

impl Record {
    /// The record of the run that gave `posterior`.
    ///
    /// ```
    /// use tamis::report::{Record, RunInfo};
    /// # use tamis::{prelude::*, vocab::{Token, Vocabulary}};
    /// # let vocabulary = Vocabulary::new([Token::Text(b"yes".to_vec()), Token::Text(b"no".to_vec()), Token::End]).unwrap();
    /// # let mut model = TableLm::independent(vocabulary, &[0.5, 0.1, 0.4])?;
    /// let posterior = ConstrainedDecoding::new(Regex::new("no")?).keep_history(true).run(&mut model, &[])?;
    /// let record = Record::new(&posterior, &RunInfo::default());
    /// assert_eq!(record.answers[0].text, "no");
    /// assert_eq!(record.tokens[0].alternatives[0].text, "yes");
    /// assert_eq!(Record::read(record.to_json().as_bytes())?, record);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(posterior: &Posterior, info: &RunInfo) -> Self {
        let proper = info.options.properly_weighted;
        let tokens = Tokens::of(posterior);
        Self {
            impossible: posterior.is_impossible(),
            log_evidence: proper.then_some(posterior.log_evidence),
            evidence: proper.then(|| posterior.evidence()),
            ess: posterior.ess(),
            checks: tokens.drawn.iter().map(|token| u64::from(token.draw.checks)).sum(),
            answers: posterior.answers.iter().map(|answer| self::answer(posterior, answer, proper)).collect(),
            particles: posterior.particles.iter().map(|particle| self::particle(posterior, particle, &tokens, proper)).collect(),
            steps: steps(&posterior.steps),
            history: posterior.history.is_some(),
            tokens: tokens.drawn.iter().map(|token| self::token(token, tokens.parent(token, &posterior.steps))).collect(),
            deaths: posterior.deaths.iter().map(death).collect(),
            ..Self::empty(info)
        }
    }

    /// The record for a constraint of which it was known without a run that no text satisfies it.
    pub fn unsatisfiable(info: &RunInfo, reason: impl Into<String>) -> Self {
        Self { unsatisfiable: Some(reason.into()), ..Self::empty(info) }
    }

    /// The record of a run that found nothing.
    fn empty(info: &RunInfo) -> Self {
        let RunInfo { model, prompt, constraints, options, timings } = info.clone();
        Self {
            schema_version: Self::SCHEMA_VERSION,
            tamis: env!("CARGO_PKG_VERSION").into(),
            units: Units::default(),
            model,
            prompt,
            constraints,
            options,
            impossible: true,
            unsatisfiable: None,
            log_evidence: Some(f64::NEG_INFINITY),
            evidence: Some(0.0),
            ess: 0.0,
            checks: 0,
            answers: Vec::new(),
            particles: Vec::new(),
            steps: Vec::new(),
            history: false,
            tokens: Vec::new(),
            deaths: Vec::new(),
            timings,
        }
    }
}

/// The draws of a run that are known, each once, by step and place.
struct Tokens<'a> {
    drawn: Vec<&'a TokenRecord>,
    /// Where each stands in `drawn`, by step and place.
    indices: BTreeMap<(usize, usize), usize>,
}

impl<'a> Tokens<'a> {
    fn of(posterior: &'a Posterior) -> Self {
        let by_place: BTreeMap<(usize, usize), &TokenRecord> = match &posterior.history {
            Some(history) => history.iter().map(|token| ((token.step, token.particle), token)).collect(),
            None => posterior
                .particles
                .iter()
                .flat_map(|particle| &particle.tokens)
                .map(|token| ((token.step, token.particle), token))
                .collect(),
        };
        let indices = by_place.keys().enumerate().map(|(index, place)| (*place, index)).collect();
        Self { drawn: by_place.into_values().collect(), indices }
    }

    fn index(&self, token: &TokenRecord) -> usize {
        self.indices[&(token.step, token.particle)]
    }

    /// The token before `token`: drawn at the step before, by the particle itself or by its ancestor.
    fn parent(&self, token: &TokenRecord, steps: &[StepRecord]) -> Option<usize> {
        let before = token.step.checked_sub(1)?;
        let place = steps[before].ancestors.as_ref().map_or(token.particle, |ancestors| ancestors[token.particle]);
        self.indices.get(&(before, place)).copied()
    }
}

/// The text, and its bytes where it is no UTF-8.
fn text(bytes: &[u8]) -> (String, Option<Vec<u8>>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(bytes.to_vec())),
    }
}

fn answer(posterior: &Posterior, answer: &decode::Answer, proper: bool) -> Answer {
    let (text, bytes) = text(&answer.text);
    let heaviest = &posterior.particles[answer.particles[0]];
    Answer {
        text,
        bytes,
        probability: answer.probability,
        log_prob: log_probs(posterior, heaviest, proper),
        particles: answer.particles.clone(),
    }
}

fn particle(posterior: &Posterior, particle: &ParticleRecord, tokens: &Tokens<'_>, proper: bool) -> Particle {
    let (text, bytes) = text(&particle.text());
    Particle {
        text,
        bytes,
        weight: particle.weight,
        log_weight: particle.weight.ln(),
        complete: particle.complete,
        log_prob: log_probs(posterior, particle, proper),
        tokens: particle.tokens.iter().map(|token| tokens.index(token)).collect(),
    }
}

fn log_probs(posterior: &Posterior, particle: &ParticleRecord, proper: bool) -> LogProbs {
    LogProbs {
        raw: particle.raw_log_prob(),
        sampler: particle.sampler_log_prob(),
        constrained: particle.constrained_log_prob(),
        posterior: (proper && particle.complete).then(|| posterior.posterior_log_prob(particle)),
    }
}

fn token(token: &TokenRecord, parent: Option<usize>) -> Token {
    let (text, bytes) = text(&token.bytes);
    Token {
        step: token.step,
        particle: token.particle,
        parent,
        token: token.token,
        text,
        bytes,
        offset: token.offset,
        model_log_prob: token.model_log_prob,
        sampler_log_prob: token.sampler_log_prob,
        constrained_log_prob: token.constrained_log_prob(),
        entropy: token.entropy,
        log_z: token.draw.log_z,
        log_z_low: token.draw.log_z_low,
        log_z_high: token.draw.log_z_high,
        checks: token.draw.checks,
        rejects: token.draw.rejects,
        masked: token.draw.masked,
        forced: token.draw.forced,
        alternatives: token.alternatives.iter().map(alternative).collect(),
    }
}

fn alternative(alternative: &decode::Alternative) -> Alternative {
    let (text, bytes) = text(&alternative.bytes);
    let decode::Alternative { token, log_prob, allowed, asked, .. } = *alternative;
    Alternative { token, text, bytes, log_prob, allowed, asked }
}

fn steps(steps: &[StepRecord]) -> Vec<Step> {
    let mut before: Option<&StepRecord> = None;
    let mut told = Vec::with_capacity(steps.len());
    for step in steps {
        let increment = |(place, after): (usize, &f64)| {
            let start = match before {
                None => 0.0,
                Some(before) if before.resampled() => before.log_evidence,
                Some(before) => before.log_weights[place],
            };
            // What was dead stays dead, with nothing added.
            if start == f64::NEG_INFINITY { 0.0 } else { after - start }
        };
        told.push(Step {
            step: step.step,
            ess: step.ess,
            log_evidence: step.log_evidence,
            log_increments: step.log_weights.iter().enumerate().map(increment).collect(),
            log_weights: step.log_weights.clone(),
            unfinished: step.unfinished,
            ancestors: step.ancestors.clone(),
        });
        before = Some(step);
    }
    told
}

fn death(death: &decode::Death) -> Death {
    let (text, bytes) = text(&death.text);
    Death { text, bytes, tokens: death.tokens, out_of_tokens: death.out_of_tokens, wanted: death.wanted.as_ref().map(wanted) }
}

fn wanted(rejection: &Rejection) -> Wanted {
    Wanted {
        offset: rejection.offset(),
        expected: rejection.expected().into(),
        found: rejection.found(),
        instance_pointer: rejection.instance_pointer().map(Into::into),
        schema_pointer: rejection.schema_pointer().map(Into::into),
    }
}
