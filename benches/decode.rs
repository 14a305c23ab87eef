//! What a whole run costs on a real model: where the time goes, and what particles save each other.
//!
//!     cargo bench --bench decode [-- MODEL [PARTICLES [DEVICE]]]
//!
//! MODEL is an alias or a path, DEVICE `cpu` or (with `--features cuda`) `cuda`. Two schemas: a flat one,
//! whose strings are bounded, and a nested one. The rest, which is neither the model's nor the constraint's,
//! is what particles and samplers cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tamis::constraint::{Constraint, ConstraintError, JsonSchema, Rejection};
use tamis::decode::{ConstrainedDecoding, Posterior};
use tamis::lm::candle::{CandleLm, CandleOptions, ModelSource};
use tamis::lm::{LanguageModel, LmError};
use tamis::next_token::NextToken;
use tamis::sampler::LabelCache;
use tamis::vocab::{TokenId, TokenSet, TokenTrie, Vocabulary};

const ROUNDS: usize = 5;
const MAX_TOKENS: usize = 96;

/// Time spent, in nanoseconds.
#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn of<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }

    fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// A model by the clock.
struct TimedModel<'a> {
    model: &'a mut CandleLm,
    passes: Clock,
    rows: Clock,
}

impl LanguageModel for TimedModel<'_> {
    type Context = <CandleLm as LanguageModel>::Context;

    fn vocabulary(&self) -> &Arc<Vocabulary> {
        self.model.vocabulary()
    }

    fn context_length(&self) -> usize {
        self.model.context_length()
    }

    fn prefill(&mut self, prompt: &[TokenId]) -> Result<Self::Context, LmError> {
        self.passes.of(|| self.model.prefill(prompt))
    }

    fn extend(&mut self, batch: &[(Self::Context, TokenId)]) -> Result<Vec<Self::Context>, LmError> {
        self.passes.of(|| self.model.extend(batch))
    }

    fn next_token(&self, context: &Self::Context) -> Result<NextToken, LmError> {
        self.rows.of(|| self.model.next_token(context))
    }
}

/// A constraint by the clock.
struct Timed<C>(C, Arc<Clock>);

impl<C: Constraint> Constraint for Timed<C> {
    type State = C::State;

    fn start(&self) -> C::State {
        self.0.start()
    }

    fn advance(&self, state: &C::State, bytes: &[u8]) -> Option<C::State> {
        self.1.of(|| self.0.advance(state, bytes))
    }

    fn allows(&self, state: &C::State, bytes: &[u8]) -> bool {
        self.1.of(|| self.0.allows(state, bytes))
    }

    fn may_end(&self, state: &C::State) -> bool {
        self.1.of(|| self.0.may_end(state))
    }

    fn ended(&self, state: &C::State) -> Option<usize> {
        self.1.of(|| self.0.ended(state))
    }

    fn closing_cost(&self, state: &C::State) -> Option<usize> {
        self.1.of(|| self.0.closing_cost(state))
    }

    fn mask(&self, state: &C::State, trie: &TokenTrie, out: &mut TokenSet) {
        self.1.of(|| self.0.mask(state, trie, out));
    }

    fn explain(&self, state: &C::State, bytes: &[u8]) -> Option<Rejection> {
        self.1.of(|| self.0.explain(state, bytes))
    }

    fn explain_end(&self, state: &C::State) -> Option<Rejection> {
        self.1.of(|| self.0.explain_end(state))
    }

    fn failure(&self) -> Option<ConstraintError> {
        self.0.failure()
    }
}

fn questions_per_token(posterior: &Posterior) -> f64 {
    posterior.checks as f64 / posterior.draws as f64
}

/// One schema: questions a token, then where the time goes.
fn measure(name: &str, schema: &str, question: &str, model: &mut CandleLm, particles: usize) {
    let prompt = model.chat_prompt(question).expect("it has a chat template");
    let constraint = || JsonSchema::parse(schema).expect("it compiles");
    let run = |seed| ConstrainedDecoding::new(constraint()).particles(particles).max_tokens(MAX_TOKENS).seed(seed);
    let [mut alone, mut shared, mut again] = [const { Vec::new() }; 3];
    for seed in 0..ROUNDS as u64 {
        let run = run(seed);
        let mut labels = LabelCache::default();
        // The one kind of run that keeps no labels needs two particles.
        if particles > 1 {
            alone.push(run.run_chain(model, &prompt, 1).expect("it runs").remove(0));
        }
        shared.push(run.run_with_labels(model, &prompt, &mut labels, |_| {}).expect("it runs"));
        again.push(run.run_with_labels(model, &prompt, &mut labels, |_| {}).expect("it runs"));
    }
    print!("{name}: questions a token:");
    for (labels, runs) in [("no labels kept", alone), ("kept for the run", shared), ("from a run before", again)] {
        if !runs.is_empty() {
            print!(" {labels} {:.2};", runs.iter().map(questions_per_token).sum::<f64>() / runs.len() as f64);
        }
    }
    println!();

    let (mut total, mut passes, mut rows, mut asked, mut steps) = (0.0, 0.0, 0.0, 0.0, 0);
    for seed in 0..ROUNDS as u64 {
        let clock = Arc::new(Clock::default());
        let run = ConstrainedDecoding::new(Timed(constraint(), clock.clone())).particles(particles).max_tokens(MAX_TOKENS).seed(seed);
        let mut timed = TimedModel { model, passes: Clock::default(), rows: Clock::default() };
        let start = Instant::now();
        steps += run.run(&mut timed, &prompt).expect("it runs").steps.len();
        total += start.elapsed().as_secs_f64();
        passes += timed.passes.seconds();
        rows += timed.rows.seconds();
        asked += clock.seconds();
    }
    let part = |seconds: f64| format!("{:.2} ms a step ({:.2}%)", 1e3 * seconds / steps as f64, 100.0 * seconds / total);
    println!("  {steps} steps: {}; the model's passes {}, rows to distributions {}", part(total), part(passes), part(rows));
    println!("  the constraint {}, all the rest {}", part(asked), part(total - passes - rows - asked));
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too, and wants no measurements.
    let Some(flag) = arguments.iter().position(|argument| argument == "--bench") else { return };
    arguments.remove(flag);
    let source = ModelSource::parse(arguments.first().map_or("smollm2-135m", String::as_str)).unwrap_or_else(|error| panic!("{error}"));
    let mut options = CandleOptions::default();
    options.device = arguments.get(2).map_or("cpu", String::as_str).parse().unwrap_or_else(|error| panic!("{error}"));
    let path = source.fetch(&mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    let mut model = CandleLm::load_with(path, &options).unwrap_or_else(|error| panic!("{error}"));
    println!("on {}", model.device());
    model.vocabulary().trie();
    let particles = arguments.get(1).map_or(16, |argument| argument.parse().expect("PARTICLES is a number"));
    let flat = include_str!("../examples/person.json");
    let nested = include_str!("../examples/order.json");
    let person = r#"Write as JSON, with "name", "age" and "occupation": Ada Brand, a nurse, is 41 years old."#;
    measure("a person", flat, person, &mut model, particles);
    let order = r#"Write as JSON, with "customer" ("name" and "city"), "items" ("product", "quantity" and "price" of each) and "paid": Ada Brand from Leeds bought 2 lamps at 30 each and has paid."#;
    measure("an order", nested, order, &mut model, particles);
}
