//! The command line of the server.
#![expect(clippy::print_stderr, reason = "a command talks to whoever runs it")]

mod cli;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use kms_server::crypto;

/// Wipes what is freed: some of what computes with private keys leaves them on the heap.
#[global_allocator]
static ALLOCATOR: crypto::Allocator = crypto::ALLOCATOR;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = cli::Cli::parse();
    match cli::run(cli, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", cli::printable_lines(&failure.to_string()));
            ExitCode::from(failure.kind.exit_code())
        }
    }
}
