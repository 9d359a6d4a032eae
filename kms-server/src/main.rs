//! The command line of the server.
#![expect(clippy::print_stderr, reason = "a command talks to whoever runs it")]

mod cli;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = cli::Cli::parse();
    match cli::run(cli, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.kind.exit_code())
        }
    }
}
