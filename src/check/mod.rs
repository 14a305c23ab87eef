//! Judging whole texts without a model: one text by a constraint, or a suite of schemas by its labels.
//!
//! Texts are judged byte by byte through the same automata that steer a model, so that what `check`
//! accepts is what `generate` can write. [`suite`] reads the folders that JSON Schema implementations are
//! compared on; [`spelling`] writes one value in different ways.

pub mod spelling;
pub mod suite;

use crate::constraint::{Constraint, Rejection};

/// Why `text` does not satisfy `constraint`: the first byte that no text of the constraint has there, or
/// the end where more must come. `None` where it does satisfy it.
///
/// ```
/// use tamis::{check::refusal, constraint::Regex};
/// let date = Regex::new("[0-9]{4}-[0-9]{2}")?;
/// assert_eq!(refusal(&date, b"2026-11"), None);
/// assert_eq!(refusal(&date, b"2026/11").unwrap().offset(), 4);
/// assert_eq!(refusal(&date, b"2026-1").unwrap().found(), None);
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
pub fn refusal<C: Constraint>(constraint: &C, text: &[u8]) -> Option<Rejection> {
    let start = constraint.start();
    match constraint.advance(&start, text) {
        Some(state) => constraint.explain_end(&state).map(|rejection| rejection.after(text.len())),
        None => constraint.explain(&start, text),
    }
}
