//! tamis draws from a language model *conditioned on a constraint*, and tells how probable and how
//! uncertain what it drew is. A *tamis* is a fine sieve.
//!
//! # The idea
//!
//! Masking engines forbid tokens and renormalise at every step. That asks the constraint about the whole
//! vocabulary, and it bends the distribution: a prefix that the model likes and that leads nowhere good
//! costs nothing. tamis instead
//!
//! 1. lets the model propose tokens and asks the constraint about *those only*, until one is allowed
//!    (adaptive weighted rejection sampling, Lipkin et al. 2025, arXiv 2504.05410);
//! 2. keeps an unbiased estimate of the probability that was allowed, the *constraint mass* Z;
//! 3. multiplies these into weights of *particles*, and resamples them (sequential Monte Carlo).
//!
//! What comes out is a weighted set of samples of the model given the constraint, with an unbiased
//! estimate of its *evidence*: the probability that the model, left to itself, would have answered so.
//!
//! # A first run
//!
//! ```
//! use tamis::prelude::*;
//! # use tamis::vocab::{Token, Vocabulary};
//! # let vocabulary = Vocabulary::new([Token::Text(b"rain".to_vec()), Token::Text(b"sun".to_vec()), Token::End]).unwrap();
//! // A toy model that draws each token independently; `CandleLm::load` gives a real one.
//! let mut model = TableLm::independent(vocabulary, &[0.6, 0.1, 0.3])?;
//! let posterior = ConstrainedDecoding::new(Regex::new("sun|rain")?).particles(64).seed(1).run(&mut model, &[])?;
//! let best = posterior.best().expect("some particle lives");
//! println!("{} with probability {:.2}; evidence {:.2}", best.text_lossy(), best.probability, posterior.evidence());
//! # assert_eq!(best.text, b"rain");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/tour.rs` shows the weights beside the exact answer; `examples/json.rs` runs a real model
//! under a JSON Schema.
//!
//! # Words
//!
//! One word for each idea, in all names:
//!
//! | word | meaning |
//! |---|---|
//! | token, vocabulary | a model's unit of text and the set of all of them; several may end a text |
//! | context | an immutable token prefix in the model's cache; a fork is a clone |
//! | row | one next-token distribution |
//! | constraint, state | a set of byte strings; what was written so far, as far as it matters to what may follow |
//! | mask | the set of tokens allowed in a state |
//! | constraint mass, Z | the probability of that set under the model |
//! | draw | a token with its log-weight |
//! | properly weighted | E\[w f(X)\] is the sum of p(x) f(x) over allowed x, for every f |
//! | particle, ancestors | one of the texts written side by side; whom each came from at a resampling |
//! | ESS | effective sample size of the weights; its threshold is a fraction of the particles |
//! | evidence | the probability of the constraint under the model; unbiased in the linear domain only |
//! | critic, twist | a score of texts that changes the target; one that only steers towards it |
//! | proposal | a distribution that tokens are drawn from in place of the model's; weights make up for it |
//! | posterior | the weighted set of distinct texts |
//! | surprisal, entropy | -ln p of a token; its mean over a row. All logarithms are natural: nats |
//!
//! # To change X, open Y
//!
//! | to change | open |
//! |---|---|
//! | how a text is constrained, or add a kind of constraint | [`constraint`] |
//! | which SQL queries are recognised | [`constraint::sql`] |
//! | how a database is read, guarded and asked | `database/` (feature `sqlite`) |
//! | how a question becomes a prompt, and queries become answers | `text_to_sql/` (feature `sqlite`) |
//! | how a token is drawn and weighed | [`sampler`] |
//! | how particles are weighed and resampled | [`smc`] |
//! | how a row of logits is normalised, truncated, drawn from | [`next_token`] |
//! | which models run, and how fast | [`lm`] |
//! | how vectors are computed with | `src/simd.rs` |
//! | what tokens are as bytes | [`vocab`] |
//! | what a run is and keeps | [`decode`] |
//! | how it is shown | [`report`]; [`report::record`] for what is kept of a run, `src/report/html/` for its page |
//! | how a text or a suite is checked without a model | [`check`] |
//! | the command | `src/cli/` |
//!
//! Layers import downwards only: constraint, next_token and lm know vocab; sampler knows constraint and
//! next_token, never lm; smc knows [`log_math`] alone; decode joins them; report reads decode's results.
//! `tests/layering.rs` holds the table. Everything but `lm::candle` and `vocab::tokenizer` builds without
//! candle (`--no-default-features`).

pub mod check;
pub mod constraint;
#[cfg(feature = "sqlite")]
pub mod database;
pub mod decode;
pub mod lm;
pub mod log_math;
pub mod next_token;
pub mod report;
pub mod sampler;
mod simd;
pub mod smc;
#[cfg(feature = "sqlite")]
pub mod text_to_sql;
pub mod vocab;

/// The names that most programs need.
pub mod prelude {
    pub use crate::constraint::{AnyConstraint, Constraint, Grammar, JsonSchema, Predicate, Product, Regex, Stop};
    pub use crate::decode::critic::Critic;
    pub use crate::decode::{Answer, ConstrainedDecoding, Posterior};
    #[cfg(feature = "candle")]
    pub use crate::lm::candle::CandleLm;
    pub use crate::lm::{LanguageModel, TableLm};
    pub use crate::next_token::Truncation;
}
