//! What is shown on standard error while a command works: on a terminal, and nowhere else.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};
use tamis::smc::StepRecord;

/// Makes the bars of one command.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Bars where `wanted`; never where standard error is no terminal.
    pub fn new(wanted: bool) -> Self {
        // The bars hide themselves from pipes and files.
        Self { shown: wanted }
    }

    /// A bar for a download of `total` bytes, where that is known.
    pub fn download(self, what: &str, total: Option<u64>) -> Bar {
        let Some(total) = total else { return self.working(what) };
        let bar = if self.shown { ProgressBar::new(total) } else { ProgressBar::hidden() };
        Bar::new(bar, "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left", what)
    }

    /// A sign that something without a measure goes on.
    pub fn working(self, what: &str) -> Bar {
        let bar = if self.shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar::new(bar, "{spinner} {msg}", what)
    }

    /// The steps of a run with so many particles.
    pub fn steps(self, particles: usize) -> Steps {
        Steps { bar: self.working("reading the prompt"), particles, first: None }
    }
}

/// A bar, gone when dropped.
pub struct Bar(ProgressBar);

impl Bar {
    fn new(bar: ProgressBar, template: &str, what: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("the templates of this file are right");
        bar.set_style(style);
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// So many bytes are there.
    pub fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The line that follows the steps of a run.
pub struct Steps {
    bar: Bar,
    particles: usize,
    /// When the first step was done, and how many tokens were drawn by then: the prompt is no part of the speed.
    first: Option<(Instant, usize)>,
}

impl Steps {
    /// The step is done; so many tokens were drawn until now.
    pub fn step(&mut self, step: &StepRecord, tokens: usize) {
        let (since, before) = *self.first.get_or_insert_with(|| (Instant::now(), tokens));
        let seconds = since.elapsed().as_secs_f64();
        let speed = if seconds > 0.0 { format!(", {:.0} tokens/s", (tokens - before) as f64 / seconds) } else { String::new() };
        let particles = self.particles;
        self.bar.0.set_message(format!(
            "token {}: {} of {particles} particles writing, effective sample size {:.1}{speed}",
            step.step + 1,
            step.unfinished,
            step.ess,
        ));
    }
}
