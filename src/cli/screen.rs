//! What standard output can show: colours, and how wide it is.

use std::io::stdout;
use tamis::report::Look;

/// The looks that suit standard output: colours where it is a terminal and nobody forbade them
/// (`NO_COLOR`), as wide as it is.
pub fn look() -> Look {
    let mut look = Look::PLAIN;
    look.colour = anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never;
    if let Some((terminal_size::Width(columns), _)) = terminal_size::terminal_size_of(stdout()) {
        look.width = columns.into();
    }
    look
}
