//! The run of `tamis generate`: a model, a posterior, a report.

use super::plan::{Form, Plan};
use crate::cli::files::json_bytes;
use crate::cli::model::Model;
use crate::cli::progress::Progress;
use crate::cli::{CliError, screen};
use std::process::ExitCode;
use std::time::Instant;
use tamis::decode::critic::Expert;
use tamis::decode::{DecodeError, Posterior};
use tamis::report::{Look, Record, RunInfo, Summary, Timings};

/// Has the model, runs and reports.
pub fn draw(plan: Plan) -> Result<ExitCode, CliError> {
    let Plan { model, mut decoding, expert, canonical_tokens, mut info, form, output, record } = plan;
    let progress = Progress::new(form != Form::Text);
    let mut model = Model::load(&model, &progress)?;
    info.prompt.tokens = model.prompt(&info.prompt)?;
    info.model = model.info.clone();
    if let Some((expert, power)) = expert {
        let expert = Model::load(&expert, &progress)?;
        let prompt = expert.prompt(&info.prompt)?;
        decoding = decoding.critic(Expert::new(expert.lm, &prompt, power));
    }
    if canonical_tokens {
        decoding = decoding.token_filter(model.lm.canonical_tokens()?);
    }
    let started = Instant::now();
    let mut timings = Timings { load: model.load_seconds, ..Timings::default() };
    let mut unfinished = info.options.particles;
    let mut live = progress.run(info.options.particles);
    let posterior = decoding.run_watched(&mut model.lm, &info.prompt.tokens, |step| {
        if step.step == 0 {
            timings.first_token = started.elapsed().as_secs_f64();
        }
        timings.tokens += unfinished;
        unfinished = step.unfinished;
        live.step(step, timings.tokens);
    });
    timings.run = started.elapsed().as_secs_f64();
    info.timings = timings;
    drop(live);
    let posterior = posterior.map_err(of_decoding)?;
    let told = (form == Form::Json || record.is_some()).then(|| json_bytes(&Record::new(&posterior, &info).to_json()));
    if let (Some(record), Some(told)) = (&record, &told) {
        record.write(told)?;
    }
    match form {
        Form::Json => output.write(&told.unwrap_or_default())?,
        Form::Summary => {
            let look = if output.is_stdout() { screen::look() } else { Look::PLAIN };
            output.write(Summary::new(&posterior, &info, look).to_string().as_bytes())?;
        }
        Form::Text => {
            if let Some(best) = posterior.best() {
                let mut text = best.text.clone();
                text.push(b'\n');
                output.write(&text)?;
            }
        }
    }
    if posterior.is_impossible() { Err(impossible(&posterior, &info)) } else { Ok(ExitCode::SUCCESS) }
}

/// A run's error as the command line tells it.
pub fn of_decoding(error: DecodeError) -> CliError {
    if error.is_options() {
        CliError::usage(error.to_string())
    } else if error.as_model().is_some() {
        CliError::model(error.to_string())
    } else {
        CliError::failure(error.to_string())
    }
}

/// That all particles died, and where the last of them did.
pub fn deaths(posterior: &Posterior, max_tokens: usize) -> String {
    let dead = match posterior.particles.len() {
        1 => "the one particle died".to_owned(),
        particles => format!("all {particles} particles died"),
    };
    let Some(last) = posterior.deaths.first() else { return dead };
    let wanted = last.wanted.as_ref().map(|wanted| format!(" ({wanted})")).unwrap_or_default();
    match last.out_of_tokens {
        true => format!("{dead}, the last at the limit of {max_tokens} tokens{wanted}"),
        false => format!("{dead}, the last after {} tokens{wanted}", last.tokens),
    }
}

/// The same as an error, with what to try.
fn impossible(posterior: &Posterior, info: &RunInfo) -> CliError {
    let options = &info.options;
    let error = CliError::impossible(format!("no answer: {}", deaths(posterior, options.max_tokens)));
    let Some(last) = posterior.deaths.first() else { return error };
    error.hint(match options.sampler.as_str() {
        _ if last.out_of_tokens => "allow longer answers with --max-tokens, or bound the constraint (maxLength, maxItems)",
        "direct" => "the sampler `direct` dies at the first refused token; try --sampler awrs",
        _ if options.changes_the_model() => "what the constraint wants may have been cut off; try without --top-k, --top-p and --min-p",
        _ => "no text that the model can write goes on from there: look for parts of the constraint that contradict each other",
    })
}
