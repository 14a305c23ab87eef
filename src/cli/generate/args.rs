//! The arguments of `tamis generate`, as data.

use super::critics::CriticArgs;
use super::sampling::SamplingArgs;
use crate::cli::model_args::ModelArgs;
use crate::cli::schema::{LayoutArgs, SchemaArgs};
use clap::builder::ValueParser;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

const EXAMPLES: &str = r#"Examples:
  A JSON value of a schema, with the default model (fetched once, 98 MB):
      tamis generate --schema person.json "Write as JSON: Ada Brand, a nurse, is 41."

  A date, the answer alone, as scripts want it:
      tamis generate --quiet --regex '[0-9]{4}-[0-9]{2}-[0-9]{2}' "When did people first walk on the moon?"

  More particles for truer weights, another model, everything that is known as JSON:
      tamis generate --schema person.json --particles 32 --model my-model.gguf --json -o run.json "Write as JSON: ..."

  The same run as pictures: particles, weights, every token and what else could have come:
      tamis generate --schema person.json --record run.json "Write as JSON: ..." && tamis report run.json

  A text to go on from instead of a question, read from standard input:
      echo -n 'The capital of France is' | tamis generate --regex ' [A-Z][a-z]+' --raw -

  A text of a grammar (a Lark file, or one that comes along):
      tamis generate --grammar arithmetic "Write three plus four times x as a formula."

  Both constraints at once (JSON of the schema, on a single line):
      tamis generate --schema person.json --regex '[^\n]*' "Write as JSON: ...""#;

/// Draw answers of a language model that satisfy a constraint.
///
/// Prints the distinct answers with their probabilities under the model given the constraint, the best one
/// coloured by the model's surprisal, and the evidence: how probable a valid answer was to begin with.
/// Seed and inputs decide the result to the byte.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    after_help = "Run `tamis generate --help` for examples.",
    group(ArgGroup::new("asked").required(true).args(["question", "prompt", "raw", "prompt_file"])),
)]
pub struct GenerateArgs {
    /// What to ask the model; `-` reads it from standard input. Short for --prompt.
    #[arg(value_name = "PROMPT")]
    pub question: Option<String>,

    /// What to ask the model, in its own chat template; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Prompt")]
    pub prompt: Option<String>,

    /// A file with what to ask the model.
    #[arg(long, value_name = "FILE", help_heading = "Prompt")]
    pub prompt_file: Option<PathBuf>,

    /// Text to go on from as it is, without a chat template; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Prompt")]
    pub raw: Option<String>,

    /// A system message for the chat template.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "raw", help_heading = "Prompt")]
    pub system: Option<String>,

    /// A JSON Schema that the answer must satisfy; `-` reads it from standard input.
    #[arg(long, value_name = "FILE", help_heading = "Constraint")]
    pub schema: Option<PathBuf>,

    /// A regular expression that the whole answer must match. With --schema, both bind.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true, help_heading = "Constraint")]
    pub regex: Option<String>,

    /// A grammar that the whole answer must be of: a Lark file, `-` for standard input, or the name of one
    /// that comes with tamis (arithmetic, csv, iso8601, json, pddl_goal, sexpr, smiles, sqlite_select).
    #[arg(long, value_name = "FILE|NAME", help_heading = "Constraint")]
    pub grammar: Option<PathBuf>,

    /// Text that ends the answer and is no part of it; may be given several times. The model's own end does
    /// too.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Constraint")]
    pub stop: Vec<String>,

    /// Only answers in the tokens that the model's own tokenizer would write them in. A model puts some
    /// probability on other ways to write the same text. Byte-level tokenizers only.
    #[arg(long, help_heading = "Constraint")]
    pub canonical_tokens: bool,

    #[command(flatten)]
    pub layout: LayoutArgs,

    #[command(flatten)]
    pub reading: SchemaArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// How many texts are written side by side: more give more candidates and truer weights.
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, default_value = "8", value_parser = at_least_one(), help_heading = "Sampling")]
    pub particles: usize,

    /// The seed of all random choices.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "0", value_parser = any_number(), help_heading = "Sampling")]
    pub seed: u64,

    /// The most tokens of an answer. The answers are those of at most so many.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "256", value_parser = at_least_one(), help_heading = "Sampling")]
    pub max_tokens: usize,

    /// Divides the model's logits: below 1 is more peaked, above 1 flatter. Changes the target.
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true, help_heading = "Sampling")]
    pub temperature: f64,

    /// Keep only the K most probable tokens. Changes the target.
    #[arg(long, value_name = "K", allow_negative_numbers = true, help_heading = "Sampling")]
    pub top_k: Option<usize>,

    /// Keep only the most probable tokens that together reach probability P. Changes the target.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true, help_heading = "Sampling")]
    pub top_p: f64,

    /// Keep only tokens of at least this fraction of the largest probability. Changes the target.
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true, help_heading = "Sampling")]
    pub min_p: f64,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    #[command(flatten)]
    pub critics: CriticArgs,

    /// Print the record instead of a summary: all that is known, down to each token, as one JSON object.
    #[arg(long, conflicts_with = "quiet", help_heading = "Output")]
    pub json: bool,

    /// Keep the record in this file, for `tamis report`; whole or not at all.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub record: Option<PathBuf>,

    /// Print the best answer's text and nothing else.
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,

    /// Write to this file instead of standard output, whole or not at all.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

/// Memory grows with particles and tokens; more than this is a slip of the finger.
const LARGEST: usize = 1_000_000;

pub fn any_number() -> ValueParser {
    ValueParser::new(|text: &str| text.parse::<u64>().map_err(|_| format!("a whole number from 0 to {} is wanted", u64::MAX)))
}

pub fn at_least_one() -> ValueParser {
    ValueParser::new(|text: &str| match text.parse::<usize>() {
        Ok(0) => Err("there must be at least 1".to_owned()),
        Ok(number) if number > LARGEST => Err(format!("there may be at most {LARGEST}")),
        Ok(number) => Ok(number),
        Err(_) => Err("a whole number is wanted".to_owned()),
    })
}
