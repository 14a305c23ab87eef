//! A run as a person reads it: candidates, the best text, the evidence in words.

use super::RunInfo;
use super::surprisal::{coloured, legend, parts, visible};
use super::words::evidence_in_words;
use crate::decode::Posterior;
use std::fmt;

/// Cells of the longest bar.
const BAR: usize = 20;

/// How a summary looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Look {
    /// Whether escape sequences for colours may be written.
    pub colour: bool,
    /// The cells of a line; longer candidates are cut.
    pub width: usize,
    /// The most candidates that are listed.
    pub candidates: usize,
}

impl Look {
    /// Text without escape sequences, 100 cells wide, with the ten most probable candidates.
    pub const PLAIN: Self = Self { colour: false, width: 100, candidates: 10 };
}

/// A summary of a run, to be displayed.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    posterior: &'a Posterior,
    info: &'a RunInfo,
    look: Look,
}

impl<'a> Summary<'a> {
    /// The summary of `posterior`, with the looks of `look`.
    pub fn new(posterior: &'a Posterior, info: &'a RunInfo, look: Look) -> Self {
        Self { posterior, info, look }
    }

    fn candidates(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = &self.posterior.answers;
        let largest = answers.first().map_or(1.0, |answer| answer.probability);
        for answer in answers.iter().take(self.look.candidates) {
            // Two spaces, the probability, a space, the bar, two spaces.
            let room = self.look.width.saturating_sub(2 + 6 + 1 + BAR + 2).max(20);
            let text = cut(&visible(&answer.text, false), room);
            writeln!(f, "  {:>6.4} {:<BAR$}  {text}", answer.probability, bar(answer.probability / largest))?;
        }
        let more = answers.len().saturating_sub(self.look.candidates);
        if more > 0 {
            let rest: f64 = answers[self.look.candidates..].iter().map(|answer| answer.probability).sum();
            writeln!(f, "  {rest:>6.4} {:<BAR$}  in {more} more", "")?;
        }
        Ok(())
    }

    fn best(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(best) = self.posterior.best() else { return Ok(()) };
        let heaviest = best.particles.first().and_then(|index| self.posterior.particles.get(*index));
        match heaviest {
            Some(particle) if self.look.colour => {
                writeln!(f, "{}", coloured(&parts(&particle.tokens)))?;
                writeln!(f, "\n{}", legend())
            }
            _ => writeln!(f, "{}", visible(&best.text, true)),
        }
    }

    fn deaths(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for death in &self.posterior.deaths {
            let tail = tail(&visible(&death.text, false), self.look.width.saturating_sub(30).max(20));
            write!(f, "  after {} token{} ({tail:?})", death.tokens, plural(death.tokens))?;
            if death.out_of_tokens {
                write!(f, ", at the token limit")?;
            }
            match &death.wanted {
                Some(wanted) => writeln!(f, ": {wanted}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }

    fn numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (posterior, options, timings) = (self.posterior, &self.info.options, &self.info.timings);
        let particles = posterior.particles.len();
        write!(f, "Effective sample size {:.1} of {particles} particle{}", posterior.ess(), plural(particles))?;
        if posterior.draws > 0 {
            write!(f, "; {:.1} constraint checks a token", posterior.checks as f64 / posterior.draws as f64)?;
        }
        write!(f, "; {:.1} s", timings.run)?;
        if let Some(speed) = timings.tokens_per_second(options.particles) {
            write!(f, ", {speed:.0} tokens/s")?;
        }
        match self.info.model.device.as_str() {
            "" => writeln!(f, "."),
            device => writeln!(f, " ({device})."),
        }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let posterior = self.posterior;
        let particles = posterior.particles.len();
        if posterior.is_impossible() {
            writeln!(f, "No answer: all of {particles} particle{} died.", plural(particles))?;
            self.deaths(f)?;
            writeln!(f)?;
        } else {
            let distinct = posterior.answers.len();
            writeln!(f, "{distinct} candidate{} from {particles} particle{}:", plural(distinct), plural(particles))?;
            self.candidates(f)?;
            writeln!(f)?;
            self.best(f)?;
            writeln!(f)?;
        }
        writeln!(f, "{}", evidence_in_words(posterior.log_evidence, &self.info.options))?;
        self.numbers(f)
    }
}

/// The end of a text on one line, of at most `room` characters; line breaks become blanks, other control
/// characters are shown and not sent.
///
/// ```
/// assert_eq!(tamis::report::excerpt_end(b"a long\ntext", 7), "…g text");
/// ```
pub fn excerpt_end(text: &[u8], room: usize) -> String {
    // No more than can be seen is looked at, wherever that begins in a character.
    let seen = &text[text.len().saturating_sub(4 * room)..];
    let start = (0..seen.len().min(4)).find(|start| std::str::from_utf8(&seen[*start..]).is_ok()).unwrap_or(0);
    tail(&visible(&seen[start..], true).replace(['\n', '\t'], " "), room)
}

/// The weights of particles as blocks, the largest of full height, a dot for one that is dead; of more than
/// `most` particles the heaviest, largest first.
///
/// ```
/// assert_eq!(tamis::report::weight_blocks(&[0.0, f64::ln(0.5), f64::NEG_INFINITY], 8), "█▄·");
/// assert_eq!(tamis::report::weight_blocks(&[0.0, f64::ln(0.5), f64::ln(2.0)], 2), "█▄");
/// ```
pub fn weight_blocks(log_weights: &[f64], most: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut shown = log_weights.to_vec();
    if shown.len() > most {
        shown.sort_by(|a, b| b.total_cmp(a));
        shown.truncate(most);
    }
    let largest = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let block = |log_weight: f64| match log_weight {
        f64::NEG_INFINITY => '·',
        _ => BLOCKS[(((log_weight - largest).exp() * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    shown.into_iter().map(block).collect()
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// A bar of up to [`BAR`] cells in eighths; something that is not zero is never an empty bar.
fn bar(fraction: f64) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = ((fraction.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize).max(usize::from(fraction > 0.0));
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    bar
}

/// The first `room` characters.
fn cut(text: &str, room: usize) -> String {
    match text.char_indices().nth(room) {
        None => text.into(),
        Some(_) => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The last `room` characters.
fn tail(text: &str, room: usize) -> String {
    let length = text.chars().count();
    if length <= room {
        return text.into();
    }
    ['…'].into_iter().chain(text.chars().skip(length - room + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_proportional_and_never_empty_for_what_is_possible() {
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(0.5), "█".repeat(BAR / 2));
        assert_eq!((bar(1e-9).as_str(), bar(0.0).as_str()), ("▏", ""));
    }

    #[test]
    fn long_texts_are_cut_at_characters_and_say_so() {
        assert_eq!((cut("héllo", 5).as_str(), cut("héllo!", 5).as_str()), ("héllo", "héll…"));
        assert_eq!(tail("héllo!", 5), "…llo!");
    }
}
