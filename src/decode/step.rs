//! One step of all particles: extend, draw, take.

use super::alternatives::Asked;
use super::record::{Death, ParticleRecord, Path, TokenRecord};
use super::watch::Seen;
use super::{ConstrainedDecoding, DecodeError, Posterior};
use crate::constraint::Constraint;
use crate::lm::LanguageModel;
use crate::next_token::NextToken;
use crate::sampler::{Draw, LabelCache};
use crate::smc::{ParticleSystem, Stream};
use crate::vocab::TokenId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A context with what may follow it, shared by the particles that stand there.
pub(super) struct Position<X> {
    context: X,
    /// The model's own distribution.
    model: NextToken,
    /// The distribution to sample from, where truncation changes it.
    changed: Option<NextToken>,
}

impl<X> Position<X> {
    fn sampled(&self) -> &NextToken {
        self.changed.as_ref().unwrap_or(&self.model)
    }
}

/// One particle: where it stands, what it wrote, and what the constraint thinks of it.
pub(super) struct Particle<X, S> {
    position: Arc<Position<X>>,
    /// The token drawn last, which the model has not been given yet.
    pending: Option<TokenId>,
    state: S,
    path: Path,
    tokens: usize,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Writing,
    Complete,
    Dead,
}

// Not derived: a derive would ask the context to be `Clone` where the pointer to it is enough.
impl<X, S: Clone> Clone for Particle<X, S> {
    fn clone(&self) -> Self {
        Self {
            position: self.position.clone(),
            pending: self.pending,
            state: self.state.clone(),
            path: self.path.clone(),
            tokens: self.tokens,
            status: self.status,
        }
    }
}

impl<X, S> Particle<X, S> {
    pub(super) fn record(&self, weight: f64) -> ParticleRecord {
        ParticleRecord { tokens: self.path.records(), weight, complete: self.status == Status::Complete }
    }
}

/// The particle system of one run.
pub(super) struct Decoder<'a, C: Constraint, L: LanguageModel> {
    run: &'a ConstrainedDecoding<C>,
    model: &'a mut L,
    prompt: &'a [TokenId],
    labels: LabelCache<C>,
    deaths: VecDeque<Death>,
    /// The steps done.
    steps: usize,
    /// A path to every token drawn, where a history is to be kept.
    history: Vec<Path>,
    seen: Seen,
}

impl<'a, C: Constraint, L: LanguageModel> Decoder<'a, C, L> {
    /// The system of `run`; what a watcher may see goes to `seen`.
    pub(super) fn new(run: &'a ConstrainedDecoding<C>, model: &'a mut L, prompt: &'a [TokenId], seen: Seen) -> Self {
        let labels = LabelCache::default();
        Self { run, model, prompt, labels, deaths: VecDeque::new(), steps: 0, history: Vec::new(), seen }
    }

    /// Where particles died, the last first, and the history, where it was kept.
    pub(super) fn finish(self) -> (Vec<Death>, Option<Vec<TokenRecord>>) {
        let history = self.run.keep_history.then(|| self.history.iter().filter_map(Path::last).cloned().collect());
        (self.deaths.into_iter().rev().collect(), history)
    }

    fn position(&self, context: L::Context) -> Result<Position<L::Context>, DecodeError> {
        let model = self.model.next_token(&context)?;
        let changed = match self.run.truncation.is_identity() {
            true => None,
            false => Some(self.run.truncation.apply(&model).map_err(crate::lm::LmError::from)?),
        };
        Ok(Position { context, model, changed })
    }

    /// Gives the model the tokens drawn last: one batch, equal (position, token) pairs once.
    fn extend(&mut self, particles: &mut [Particle<L::Context, C::State>]) -> Result<(), DecodeError> {
        let mut batch = Vec::new();
        let mut slots = HashMap::new();
        let wanted: Vec<Option<usize>> = particles
            .iter()
            .map(|particle| {
                let token = particle.pending.filter(|_| particle.status == Status::Writing)?;
                Some(*slots.entry((Arc::as_ptr(&particle.position), token)).or_insert_with(|| {
                    batch.push((particle.position.context.clone(), token));
                    batch.len() - 1
                }))
            })
            .collect();
        if batch.is_empty() {
            return Ok(());
        }
        let contexts = self.model.extend(&batch)?;
        let positions = contexts.into_iter().map(|context| self.position(context).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        for (particle, slot) in particles.iter_mut().zip(wanted) {
            if let Some(slot) = slot {
                particle.position = positions[slot].clone();
                particle.pending = None;
            }
        }
        Ok(())
    }

    /// Draws the next token of the particle at `place`; the log-weight of the draw.
    fn draw(&mut self, place: usize, particle: &mut Particle<L::Context, C::State>, stream: &mut Stream) -> f64 {
        let vocabulary = self.model.vocabulary();
        let out_of_tokens = particle.tokens == self.run.max_tokens;
        let labels = self.labels.labels(&self.run.constraint, vocabulary, &particle.state, out_of_tokens);
        let mut labels = Asked::new(labels, self.run.keep_history);
        let drawn = self.run.sampler.draw(particle.position.sampled(), &mut labels, stream);
        let Draw::Token { token, log_weight, record } = drawn else {
            particle.status = Status::Dead;
            self.bury(particle, out_of_tokens);
            return f64::NEG_INFINITY;
        };
        let alternatives = labels.alternatives(particle.position.sampled(), vocabulary, token);
        let bytes = vocabulary.bytes(token).unwrap_or_default().to_vec();
        if vocabulary.is_end(token) {
            particle.status = Status::Complete;
        } else {
            let state = self.run.constraint.advance(&particle.state, &bytes);
            particle.state = state.expect("a sampler draws only tokens that the constraint allows");
            particle.pending = Some(token);
            particle.tokens += 1;
        }
        let position = &particle.position;
        particle.path = particle.path.then(TokenRecord {
            step: self.steps,
            particle: place,
            token,
            offset: particle.path.end(),
            model_log_prob: position.model.log_prob(token),
            entropy: position.model.entropy(),
            sampler_log_prob: position.sampled().log_prob(token),
            draw: record,
            bytes,
            alternatives,
        });
        if self.run.keep_history {
            self.history.push(particle.path.clone());
        }
        log_weight
    }

    fn bury(&mut self, particle: &Particle<L::Context, C::State>, out_of_tokens: bool) {
        let vocabulary = self.model.vocabulary();
        let constraint = &self.run.constraint;
        let likeliest = particle.position.sampled().top(1)[0].0;
        let wanted = match vocabulary.bytes(likeliest) {
            Some(bytes) if !out_of_tokens => constraint.explain(&particle.state, bytes),
            _ => constraint.explain_end(&particle.state),
        };
        let text: Vec<u8> = particle.path.records().into_iter().flat_map(|record| record.bytes).collect();
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
        let position = Arc::new(self.position(context)?);
        let state = self.run.constraint.start();
        Ok(Particle { position, pending: None, state, path: Path::default(), tokens: 0, status: Status::Writing })
    }

    fn step(&mut self, particles: &mut [Self::Particle], streams: &mut [Stream], log_increments: &mut [f64]) -> Result<(), DecodeError> {
        self.extend(particles)?;
        for (place, ((particle, stream), log_increment)) in particles.iter_mut().zip(streams).zip(log_increments).enumerate() {
            if particle.status == Status::Writing {
                *log_increment = self.draw(place, particle, stream);
            }
        }
        self.steps += 1;
        self.seen.replace(particles.iter().map(|particle| particle.path.clone()).collect());
        match self.run.constraint.failure() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn is_finished(&self, particle: &Self::Particle) -> bool {
        particle.status != Status::Writing
    }
}
