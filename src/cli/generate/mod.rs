//! `tamis generate`: answers of a model under a constraint.
//!
//! `args.rs` (with `sampling.rs` and `critics.rs`) is what was typed, `plan.rs` what it means; all that can be wrong with either is told before
//! a model is fetched or loaded. `draw.rs` (feature `candle`) is the run.

mod args;
mod critics;
#[cfg(feature = "candle")]
mod draw;
mod plan;
mod sampling;

#[cfg(all(feature = "candle", feature = "sqlite"))]
pub use args::any_number;
pub use args::{GenerateArgs, at_least_one};

use super::CliError;
use plan::Plan;
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: GenerateArgs) -> Result<ExitCode, CliError> {
    let plan = Plan::new(args)?;
    draw(plan)
}

#[cfg(feature = "candle")]
use draw::draw;
#[cfg(all(feature = "candle", feature = "sqlite"))]
pub use draw::{deaths, of_decoding};

#[cfg(not(feature = "candle"))]
fn draw(plan: Plan) -> Result<ExitCode, CliError> {
    let message = format!("the model {} cannot be run: this `tamis` was built without a model runtime", plan.model.model);
    Err(CliError::model(message).hint("build it with the feature `candle`, which is on by default"))
}
