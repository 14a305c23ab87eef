//! What the arguments of `tamis generate` mean: objects of the library, all checked.

use super::args::GenerateArgs;
use crate::cli::CliError;
use crate::cli::files::{Output, is_stdin, json_bytes, read_text};
use crate::cli::grammar::GrammarSource;
use crate::cli::model_args::ModelArgs;
use std::path::Path;
use tamis::constraint::json_schema::Options;
use tamis::constraint::{AnyConstraint, ConstraintError, JsonSchema, Product, Regex, Stop};
use tamis::decode::ConstrainedDecoding;
use tamis::next_token::Truncation;
use tamis::report::{ConstraintInfo, OptionsInfo, PromptInfo, Record, RunInfo};
use tamis::smc::SmcOptions;

/// How the result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a person.
    Summary,
    /// Everything, for a program.
    Json,
    /// The best answer's text alone.
    Text,
}

/// A run to be made.
pub struct Plan {
    /// The model.
    pub model: ModelArgs,
    /// The run, short of the model.
    pub decoding: ConstrainedDecoding<AnyConstraint>,
    /// A second model whose probability counts too, and to which power.
    pub expert: Option<(ModelArgs, f64)>,
    /// Whether answers must be written in the tokenizer's own tokens.
    pub canonical_tokens: bool,
    /// What the report says of it; the parts that the model knows are still empty.
    pub info: RunInfo,
    /// How the result is shown.
    pub form: Form,
    /// Where it goes.
    pub output: Output,
    /// Where the record is kept besides, if anywhere.
    pub record: Option<Output>,
}

impl Plan {
    /// Makes the objects that the arguments speak of, and checks all that can be checked without a model.
    pub fn new(args: GenerateArgs) -> Result<Self, CliError> {
        let form = match (args.json, args.quiet) {
            (true, _) => Form::Json,
            (_, true) => Form::Text,
            _ => Form::Summary,
        };
        if args.output.is_some() && args.output == args.record {
            return Err(CliError::usage("--output and --record name the same file").hint("with --json, --output alone holds the record"));
        }
        let output = Output::new("--output", args.output.clone())?;
        let record = args.record.clone().map(|path| Output::new("--record", Some(path))).transpose()?;
        let options = options(&args)?;
        let truncation = truncation(&args)?;
        let sampler = args.sampling.sampler()?;
        if args.schema.is_none() && args.regex.is_none() && args.grammar.is_none() {
            return Err(CliError::usage("there is no constraint: give --schema FILE, --regex PATTERN, --grammar FILE or several of them")
                .hint("to sample without one, let everything match: --regex '(?s).*'"));
        }
        if args.stop.iter().any(String::is_empty) {
            return Err(CliError::usage("--stop wants a text that is not empty: the empty one would end every answer before it begins"));
        }
        let prompt = prompt(&args)?;
        let mut info = RunInfo { prompt, options, ..RunInfo::default() };
        info.model.name.clone_from(&args.model.model);
        let schema = args.schema.as_deref().map(read_text).transpose()?;
        let grammar = args.grammar.as_deref().map(GrammarSource::read).transpose()?;
        let mut reading = Options::default();
        args.layout.apply(&mut reading);
        args.reading.apply(&mut reading)?;
        let constraint = match constraint(schema.as_deref(), grammar.as_ref(), &reading, &args, &mut info) {
            Ok(constraint) => constraint,
            Err((what, error)) => {
                if error.is_unsatisfiable() {
                    let told = Record::unsatisfiable(&info, error.to_string()).to_json();
                    for output in record.iter().chain((form == Form::Json).then_some(&output)) {
                        output.write(&json_bytes(&told))?;
                    }
                }
                return Err(CliError::constraint(&what, &error));
            }
        };
        info.constraints.extend(
            args.critics.comparisons.iter().map(|comparison| ConstraintInfo { kind: "where".into(), source: comparison.to_string() }),
        );
        if args.canonical_tokens {
            info.constraints.push(ConstraintInfo { kind: "canonical_tokens".into(), source: "the model's tokenizer".into() });
        }
        let decoding = ConstrainedDecoding::new(constraint)
            .particles(args.particles)
            .seed(args.seed)
            .max_tokens(args.max_tokens)
            .ess_threshold(args.sampling.ess_threshold)
            .resampling(args.sampling.scheme())
            .sampler(sampler)
            .truncation(truncation)
            .keep_history(form == Form::Json || record.is_some());
        let decoding = args.critics.apply(decoding);
        let expert = args.critics.expert.map(|model| (ModelArgs { model, ..args.model.clone() }, args.critics.expert_power));
        Ok(Self { model: args.model, decoding, expert, canonical_tokens: args.canonical_tokens, info, form, output, record })
    }
}

fn options(args: &GenerateArgs) -> Result<OptionsInfo, CliError> {
    let mut smc = SmcOptions::default();
    smc.particles = args.particles;
    smc.ess_threshold = args.sampling.ess_threshold;
    if let Some(problem) = smc.problem() {
        return Err(CliError::usage(problem));
    }
    Ok(OptionsInfo {
        particles: args.particles,
        seed: args.seed,
        max_tokens: args.max_tokens,
        sampler: args.sampling.described(),
        properly_weighted: args.sampling.is_properly_weighted(),
        resampling: args.sampling.resampling_name(),
        ess_threshold: args.sampling.ess_threshold,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        critics: args.critics.scores()?,
    })
}

fn truncation(args: &GenerateArgs) -> Result<Truncation, CliError> {
    let mut truncation = Truncation::default();
    truncation.temperature = args.temperature;
    truncation.top_k = args.top_k;
    truncation.top_p = args.top_p;
    truncation.min_p = args.min_p;
    match truncation.problem() {
        Some(problem) => Err(CliError::usage(problem)),
        None => Ok(truncation),
    }
}

fn prompt(args: &GenerateArgs) -> Result<PromptInfo, CliError> {
    // Exactly one of the four is there: the parser sees to it.
    let typed = args.question.as_ref().or(args.prompt.as_ref()).or(args.raw.as_ref());
    let file = match (typed, &args.prompt_file) {
        (Some(text), _) if is_stdin(text) => Some(Path::new("-")),
        (Some(_), _) => None,
        (None, file) => file.as_deref(),
    };
    let inputs = [("the prompt", file), ("--schema", args.schema.as_deref()), ("--grammar", args.grammar.as_deref())];
    let from_stdin: Vec<&str> = inputs.iter().filter(|(_, path)| path.is_some_and(is_stdin)).map(|(name, _)| *name).collect();
    if from_stdin.len() > 1 {
        return Err(CliError::usage(format!("{} are all to be read from standard input", from_stdin.join(" and ")))
            .hint("name files for all but one of them"));
    }
    let text = match (file, typed) {
        (Some(file), _) => read_text(file)?,
        (None, typed) => typed.cloned().unwrap_or_default(),
    };
    Ok(PromptInfo { text, system: args.system.clone(), chat: args.raw.is_none(), tokens: Vec::new() })
}

/// The constraints named, joined; `info` is told of each. On failure, what was to define it and why not.
fn constraint(
    schema: Option<&str>,
    grammar: Option<&GrammarSource>,
    options: &Options,
    args: &GenerateArgs,
    info: &mut RunInfo,
) -> Result<AnyConstraint, (String, ConstraintError)> {
    let mut parts = Vec::new();
    if let (Some(text), Some(path)) = (schema, &args.schema) {
        let source = if is_stdin(path) { "--schema from standard input".to_owned() } else { path.display().to_string() };
        info.constraints.push(ConstraintInfo { kind: "json_schema".into(), source: source.clone() });
        let schema = JsonSchema::parse_with_options(text, options).map_err(|error| (source.clone(), error))?;
        for note in schema.notes() {
            eprintln!("{source}: {note}");
        }
        parts.push(AnyConstraint::new(schema));
    }
    if let Some(pattern) = &args.regex {
        info.constraints.push(ConstraintInfo { kind: "regex".into(), source: pattern.clone() });
        parts.push(AnyConstraint::new(Regex::new(pattern).map_err(|error| (format!("--regex {pattern:?}"), error))?));
    }
    if let Some(source) = grammar {
        info.constraints.push(ConstraintInfo { kind: "grammar".into(), source: source.name.clone() });
        parts.push(AnyConstraint::new(source.compile().map_err(|error| (source.name.clone(), error))?));
    }
    let constraint = match <[AnyConstraint; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => AnyConstraint::new(Product::new(parts)),
    };
    if args.stop.is_empty() {
        return Ok(constraint);
    }
    info.constraints.extend(args.stop.iter().map(|stop| ConstraintInfo { kind: "stop".into(), source: stop.clone() }));
    Ok(AnyConstraint::new(Stop::at(constraint, args.stop.iter().map(String::as_str))))
}
