//! What is shown on standard error while a command works: a live view on a terminal, a line now and then
//! where it is none, and nothing where nothing is wanted.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};
use tamis::decode::Glimpse;
use tamis::report::{excerpt_end, probability_in_words, weight_blocks};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Lines,
    Live,
}

/// Makes the views of one command.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    shown: Shown,
}

impl Progress {
    /// Views where `wanted`.
    pub fn new(wanted: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shown = match (wanted, stderr().is_terminal() && !is_dumb) {
            (false, _) => Shown::Nothing,
            (true, false) => Shown::Lines,
            (true, true) => Shown::Live,
        };
        Self { shown }
    }

    /// A bar for a download of `total` bytes, where that is known.
    pub fn download(self, what: &str, total: Option<u64>) -> Bar {
        let Some(total) = total else { return self.working(what) };
        let bar = if self.shown == Shown::Live { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if self.shown == Shown::Lines {
            eprintln!("tamis: {what} ({} MB)", total / 1_000_000);
        }
        Bar::new(bar, "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left", what)
    }

    /// A bar for a number of things of a kind.
    #[cfg(feature = "sqlite")]
    pub fn count(self, what: &str, total: u64) -> Bar {
        let bar = if self.shown == Shown::Live { ProgressBar::new(total) } else { ProgressBar::hidden() };
        Bar::new(bar, "[{bar:30}] {pos} of {len} {msg}, {eta} left", what)
    }

    /// A sign that something without a measure goes on.
    pub fn working(self, what: &str) -> Bar {
        let bar = if self.shown == Shown::Live { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar::new(bar, "{spinner} {msg}", what)
    }

    /// The view of a run with so many particles.
    pub fn run(self, particles: usize) -> Run {
        Run { bar: self.working("reading the prompt"), shown: self.shown, particles, first: None, next: Instant::now() + QUIET }
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

/// No line of a log before this, so that short runs say nothing, nor sooner after another.
const QUIET: Duration = Duration::from_secs(10);

/// The live view is made anew no sooner.
const FRAME: Duration = Duration::from_millis(100);

/// The view of a run: how far it is, the particles' weights, the heaviest one's text.
pub struct Run {
    bar: Bar,
    shown: Shown,
    particles: usize,
    /// When the first step was done, and how many tokens were drawn by then: the prompt is no part of the speed.
    first: Option<(Instant, usize)>,
    /// When something is shown next.
    next: Instant,
}

impl Run {
    /// The step is done; so many tokens were drawn until now.
    pub fn step(&mut self, step: &Glimpse<'_>, tokens: usize) {
        let now = Instant::now();
        let (since, before) = match self.first {
            Some(first) => first,
            None => {
                if self.shown == Shown::Live {
                    self.next = now;
                }
                *self.first.insert((now, tokens))
            }
        };
        if self.shown == Shown::Nothing || now < self.next {
            return;
        }
        let particles = self.particles;
        let mut writing = vec![format!("step {}: {} of {particles} particles writing", step.step, step.unfinished)];
        let seconds = (now - since).as_secs_f64();
        if seconds > 0.0 {
            writing.push(format!("{:.0} tokens/s", (tokens - before) as f64 / seconds));
        }
        let evidence = format!("evidence so far {}", probability_in_words(step.log_evidence));
        let numbers = vec![evidence, format!("effective sample size {:.1}", step.ess)];
        match self.shown {
            Shown::Lines => {
                eprintln!("tamis: {}", [writing, numbers].concat().join(", "));
                self.next = now + QUIET;
            }
            _ => {
                let width = terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| usize::from(width.0)).max(20) - 3;
                let numbers = fitting(&numbers, width);
                let weights = weight_blocks(&step.log_weights, width.saturating_sub(numbers.len() + 2));
                let text = step.heaviest().map(|heaviest| step.text(heaviest)).unwrap_or_default();
                let lines = [fitting(&writing, width), format!("{weights}  {numbers}"), end_within(excerpt_end(&text, width), width)];
                self.bar.0.set_message(painted(&lines, width));
                self.next = now + FRAME;
            }
        }
    }
}

/// As many of the parts as fit in `width` cells, one at least. They are ASCII.
fn fitting(parts: &[String], width: usize) -> String {
    let count = (1..=parts.len()).rev().find(|count| parts[..*count].join(", ").len() <= width).unwrap_or(1);
    parts[..count].join(", ")
}

/// The end of a line, of at most `width` cells: some characters take two.
fn end_within(line: String, width: usize) -> String {
    if line.width() <= width {
        return line;
    }
    let mut cells = 1;
    let mut start = line.len();
    for (at, character) in line.char_indices().rev() {
        cells += character.width().unwrap_or(0);
        if cells > width {
            break;
        }
        start = at;
    }
    format!("…{}", &line[start..])
}

/// The lines of the live view, none longer than `width`; numbers dim, where colours are wanted.
fn painted(lines: &[String; 3], width: usize) -> String {
    let dim = if anstream::AutoStream::choice(&stderr()) == anstream::ColorChoice::Never {
        anstyle::Style::new()
    } else {
        anstyle::Style::new().dimmed()
    };
    let cut = |line: &String| line.chars().take(width).collect::<String>();
    let [writing, numbers, text] = lines.each_ref().map(cut);
    format!("{writing}\n  {dim}{numbers}{dim:#}\n  {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_made_of_what_fits() {
        let parts = ["step 7".to_owned(), "80 tokens/s".to_owned()];
        assert_eq!(fitting(&parts, 19), "step 7, 80 tokens/s");
        assert_eq!(fitting(&parts, 18), "step 7");
        assert_eq!(end_within("漢字で書く".into(), 10), "漢字で書く");
        assert_eq!(end_within("漢字で書く".into(), 9), "…字で書く");
        assert_eq!(end_within("漢字で書く".into(), 8), "…で書く");
    }
}
