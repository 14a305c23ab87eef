//! The command `tamis`.

mod cli;

fn main() {}
