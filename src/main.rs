//! The command `tamis`. What it does is in `cli/`; what it is made of is the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
