//! One step of all particles: extend, draw, pool, take, criticise.

use super::alternatives::{Alternative, Asked};
use super::draft::OwnedDraft;
use super::filtered::Filtered;
use super::particle::{Particle, Position, Status};
use super::posterior::Told;
use super::record::{Death, Path, TokenRecord};
use super::watch::Seen;
use super::{ConstrainedDecoding, DecodeError, Posterior};
use crate::constraint::{Constraint, Rejection};
use crate::lm::{LanguageModel, LmError};
use crate::sampler::{Draw, LabelCache, corrected, pool, uncovered};
use crate::smc::{ParticleSystem, Stream};
use crate::vocab::TokenId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The particle system of one run.
pub(super) struct Decoder<'a, C: Constraint, L: LanguageModel> {
    run: &'a ConstrainedDecoding<C>,
    model: &'a mut L,
    prompt: &'a [TokenId],
    labels: Memory<'a, C>,
    deaths: VecDeque<Death>,
    /// The steps done.
    steps: usize,
    /// A path to every token drawn, where a history is to be kept.
    history: Vec<Path>,
    /// Tokens drawn, and questions asked for them.
    draws: u64,
    checks: u64,
    seen: Seen,
}

/// What particles learn from each other.
pub(super) enum Memory<'a, C: Constraint> {
    /// The labels of tokens at each constraint state, and the weights of those at the same place.
    Shared(&'a mut LabelCache<C>),
    /// Nothing: each draw is of the same law, whatever came before. A chain of runs needs that, because its
    /// kept weights must be of the law of those that they compete with.
    Nothing,
}

/// A token drawn and not yet taken.
struct Drawn {
    draw: Draw,
    alternatives: Vec<Alternative>,
}

impl<'a, C: Constraint, L: LanguageModel> Decoder<'a, C, L> {
    /// The system of `run`; what a watcher may see goes to `seen`.
    pub(super) fn new(run: &'a ConstrainedDecoding<C>, model: &'a mut L, prompt: &'a [TokenId], labels: Memory<'a, C>, seen: Seen) -> Self {
        Self { run, model, prompt, labels, deaths: VecDeque::new(), steps: 0, history: Vec::new(), draws: 0, checks: 0, seen }
    }

    /// What is told of a run besides its particles; all of it begins anew.
    pub(super) fn told(&mut self) -> Told {
        self.steps = 0;
        let history = std::mem::take(&mut self.history);
        Told {
            deaths: std::mem::take(&mut self.deaths).into_iter().rev().collect(),
            history: self.run.keep_history.then(|| history.iter().filter_map(Path::last).cloned().collect()),
            draws: std::mem::take(&mut self.draws),
            checks: std::mem::take(&mut self.checks),
        }
    }

    /// What may follow each context; `drafts` are the texts that lead there.
    fn positions(&self, contexts: Vec<L::Context>, drafts: &[OwnedDraft]) -> Result<Vec<Arc<Position<L::Context>>>, DecodeError> {
        let mut positions = Vec::with_capacity(contexts.len());
        for context in contexts {
            let model = self.model.next_token(&context)?;
            let changed = match self.run.truncation.is_identity() {
                true => None,
                false => Some(self.run.truncation.apply(&model).map_err(LmError::from)?),
            };
            positions.push(Position { context, model, changed, proposal: None });
        }
        if let Some(proposal) = &self.run.proposal {
            let places: Vec<_> = drafts.iter().map(OwnedDraft::borrowed).zip(positions.iter().map(Position::target)).collect();
            let rows = proposal.rows(&places).map_err(|error| DecodeError::critic("the proposal failed", error))?;
            if rows.len() != positions.len() || rows.iter().any(|row| row.len() != self.model.vocabulary().len()) {
                return Err(DecodeError::options("the proposal must give one distribution a place, over the model's vocabulary"));
            }
            for (position, row) in positions.iter_mut().zip(rows) {
                if let Some(token) = uncovered(position.target(), &row) {
                    return Err(DecodeError::options(format!(
                        "the proposal gives token {token} probability 0, but the model does not; mix some of the model's distribution in"
                    )));
                }
                position.proposal = Some(row);
            }
        }
        Ok(positions.into_iter().map(Arc::new).collect())
    }

    /// Gives the model the tokens drawn last: one batch, equal (position, token) pairs once.
    fn extend(&mut self, particles: &mut [Particle<L::Context, C::State>]) -> Result<(), DecodeError> {
        let (mut batch, mut drafts) = (Vec::new(), Vec::new());
        let mut slots = HashMap::new();
        let wanted: Vec<Option<usize>> = particles
            .iter()
            .map(|particle| {
                let token = particle.pending.filter(|_| particle.is_writing())?;
                Some(*slots.entry((Arc::as_ptr(&particle.position), token)).or_insert_with(|| {
                    batch.push((particle.position.context.clone(), token));
                    if self.run.proposal.is_some() {
                        drafts.push(particle.draft());
                    }
                    batch.len() - 1
                }))
            })
            .collect();
        if batch.is_empty() {
            return Ok(());
        }
        let contexts = self.model.extend(&batch)?;
        let positions = self.positions(contexts, &drafts)?;
        for (particle, slot) in particles.iter_mut().zip(wanted) {
            if let Some(slot) = slot {
                particle.position = positions[slot].clone();
                particle.pending = None;
            }
        }
        Ok(())
    }

    /// Draws the particle's next token.
    fn draw(&mut self, particle: &Particle<L::Context, C::State>, stream: &mut Stream) -> Drawn {
        let (vocabulary, position) = (self.model.vocabulary(), &particle.position);
        let out_of_tokens = self.is_out_of_tokens(particle);
        let mut forgotten = LabelCache::with_capacity(2);
        let labels = match &mut self.labels {
            Memory::Shared(labels) => &mut **labels,
            Memory::Nothing => &mut forgotten,
        };
        let labels = labels.labels(&self.run.constraint, vocabulary, &particle.state, out_of_tokens);
        let filter = self.run.token_filter.as_deref();
        let labels = Filtered::new(labels, filter, vocabulary, || particle.path.tokens());
        let mut labels = Asked::new(labels, self.run.keep_history);
        let row = position.proposal.as_ref().unwrap_or_else(|| position.target());
        let draw = self.run.sampler.draw(row, &mut labels, stream);
        self.draws += 1;
        self.checks += u64::from(draw.record().checks);
        let alternatives = match &draw {
            Draw::Token { token, .. } => labels.alternatives(position.target(), vocabulary, *token),
            Draw::Dead(_) => Vec::new(),
        };
        Drawn { draw, alternatives }
    }

    fn is_out_of_tokens(&self, particle: &Particle<L::Context, C::State>) -> bool {
        particle.tokens == self.run.max_tokens
    }

    /// Gives the particles at one place the mean of their weights.
    fn pool(&self, particles: &[Particle<L::Context, C::State>], drawn: &mut [Option<Drawn>]) {
        if self.run.sampler.may_fail() || matches!(self.labels, Memory::Nothing) {
            return;
        }
        let mut places: HashMap<_, Vec<&mut Draw>> = HashMap::new();
        for (particle, drawn) in particles.iter().zip(drawn) {
            if let Some(drawn) = drawn {
                places.entry(Arc::as_ptr(&particle.position)).or_default().push(&mut drawn.draw);
            }
        }
        for draws in places.values_mut().filter(|draws| draws.len() > 1) {
            pool(draws);
        }
    }

    /// Takes what the particle at `place` drew; its log-weight.
    fn take(&mut self, place: usize, particle: &mut Particle<L::Context, C::State>, drawn: Drawn) -> f64 {
        let out_of_tokens = self.is_out_of_tokens(particle);
        let position = particle.position.clone();
        let draw = match &position.proposal {
            Some(proposal) => corrected(drawn.draw, position.target(), proposal),
            None => drawn.draw,
        };
        let Draw::Token { token, log_weight, record } = draw else {
            particle.status = Status::Dead;
            self.bury(particle, out_of_tokens);
            return f64::NEG_INFINITY;
        };
        let vocabulary = self.model.vocabulary();
        let bytes = vocabulary.bytes(token).unwrap_or_default().to_vec();
        if vocabulary.is_end(token) {
            particle.status = Status::Complete;
        } else {
            let state = self.run.constraint.advance(&particle.state, &bytes);
            particle.state = state.expect("a sampler draws only tokens that the constraint allows");
            particle.pending = Some(token);
            particle.tokens += 1;
            if let Some(dropped) = self.run.constraint.ended(&particle.state) {
                (particle.status, particle.dropped) = (Status::Complete, dropped);
            }
        }
        particle.path = particle.path.then(TokenRecord {
            step: self.steps,
            particle: place,
            token,
            offset: particle.path.end(),
            model_log_prob: position.model.log_prob(token),
            entropy: position.model.entropy(),
            sampler_log_prob: position.target().log_prob(token),
            draw: record,
            bytes,
            alternatives: drawn.alternatives,
        });
        if self.run.keep_history {
            self.history.push(particle.path.clone());
        }
        if particle.is_writing() && !self.can_finish(particle) {
            // It would die at the token limit, whatever came: its weight is zero already.
            particle.status = Status::Dead;
            self.bury_with(particle, true, self.run.constraint.explain_end(&particle.state));
            return f64::NEG_INFINITY;
        }
        log_weight
    }

    /// Whether the tokens that are left could hold the bytes that are still needed.
    fn can_finish(&self, particle: &Particle<L::Context, C::State>) -> bool {
        let left = (self.run.max_tokens - particle.tokens).saturating_mul(self.model.vocabulary().longest());
        self.run.constraint.closing_cost(&particle.state).is_none_or(|cost| cost <= left)
    }

    /// Adds the change of the critics' scores to the weights of the particles that moved.
    fn criticise(
        &mut self,
        particles: &mut [Particle<L::Context, C::State>],
        moved: &[bool],
        log_increments: &mut [f64],
    ) -> Result<(), DecodeError> {
        if self.run.critics.is_empty() {
            return Ok(());
        }
        let judged: Vec<usize> = (0..particles.len()).filter(|at| moved[*at] && particles[*at].status != Status::Dead).collect();
        let drafts: Vec<OwnedDraft> = judged.iter().map(|at| particles[*at].draft()).collect();
        let drafts: Vec<_> = drafts.iter().map(OwnedDraft::borrowed).collect();
        let mut totals = vec![0.0; drafts.len()];
        for critic in &self.run.critics {
            let scores = critic.log_scores(&drafts).map_err(|error| DecodeError::critic("the critic failed", error))?;
            if scores.len() != totals.len() || scores.iter().any(|score| score.is_nan() || *score == f64::INFINITY) {
                let problem = format!("{} texts were scored {scores:?}", totals.len());
                return Err(DecodeError::critic("a critic must give each text a number, or -inf", problem.into()));
            }
            totals.iter_mut().zip(scores).for_each(|(total, score)| *total += score);
        }
        for (at, log_score) in judged.into_iter().zip(totals) {
            let particle = &mut particles[at];
            log_increments[at] += log_score - particle.log_score;
            particle.log_score = log_score;
            if log_score == f64::NEG_INFINITY {
                particle.status = Status::Dead;
                self.bury_with(&particles[at], false, Some(Rejection::new(0, None, "a text that the critics give any weight")));
            }
        }
        Ok(())
    }

    fn bury(&mut self, particle: &Particle<L::Context, C::State>, out_of_tokens: bool) {
        let vocabulary = self.model.vocabulary();
        let constraint = &self.run.constraint;
        let likeliest = particle.position.target().top(1)[0].0;
        let wanted = match vocabulary.bytes(likeliest) {
            Some(bytes) if !out_of_tokens => constraint.explain(&particle.state, bytes),
            _ => constraint.explain_end(&particle.state),
        };
        self.bury_with(particle, out_of_tokens, wanted);
    }

    /// Remembers where and why a particle died; `wanted` counts its offset from the end of the text.
    fn bury_with(&mut self, particle: &Particle<L::Context, C::State>, out_of_tokens: bool, wanted: Option<Rejection>) {
        let text = particle.path.text();
        let wanted = wanted.map(|wanted| wanted.after(text.len()));
        let death = Death { text, tokens: particle.tokens, out_of_tokens, wanted };
        if !self.deaths.contains(&death) {
            if self.deaths.len() == Posterior::MAX_DEATHS {
                self.deaths.pop_front();
            }
            self.deaths.push_back(death);
        }
    }
}

impl<C: Constraint, L: LanguageModel> ParticleSystem for Decoder<'_, C, L> {
    type Particle = Particle<L::Context, C::State>;
    type Error = DecodeError;

    fn start(&mut self) -> Result<Self::Particle, DecodeError> {
        let context = self.model.prefill(self.prompt)?;
        let position = self.positions(vec![context], &[OwnedDraft::default()])?.remove(0);
        Ok(Particle::new(position, self.run.constraint.start()))
    }

    fn step(&mut self, particles: &mut [Self::Particle], streams: &mut [Stream], log_increments: &mut [f64]) -> Result<(), DecodeError> {
        self.extend(particles)?;
        let writing = particles.iter().zip(streams);
        let mut drawn: Vec<Option<Drawn>> =
            writing.map(|(particle, stream)| particle.is_writing().then(|| self.draw(particle, stream))).collect();
        self.pool(particles, &mut drawn);
        let moved: Vec<bool> = drawn.iter().map(Option::is_some).collect();
        for (place, drawn) in drawn.into_iter().enumerate() {
            if let Some(drawn) = drawn {
                log_increments[place] = self.take(place, &mut particles[place], drawn);
            }
        }
        // A failed constraint has refused everything since: its error comes first.
        if let Some(error) = self.run.constraint.failure() {
            return Err(error.into());
        }
        self.criticise(particles, &moved, log_increments)?;
        self.steps += 1;
        self.seen.replace(particles.iter().map(|particle| particle.path.clone()).collect());
        Ok(())
    }

    fn is_finished(&self, particle: &Self::Particle) -> bool {
        !particle.is_writing()
    }
}
