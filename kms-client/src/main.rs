//! The command `kms-client`: gives the command line its streams, its clock and its way to a KMS.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use kms_client::cli::{self, Context};
use kms_protocol::{DateTime, Secret};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .without_time()
        .init();
    let context = Context {
        stdout: Box::new(io::stdout()),
        stderr: Box::new(io::stderr()),
        terminal: io::stderr().is_terminal(),
        now: Box::new(now),
        connect: Box::new(cli::connect),
        ask: Box::new(ask),
        sleep: Box::new(|time| {
            std::thread::sleep(time);
            true
        }),
        program: std::env::current_exe().ok(),
    };
    cli::run(std::env::args_os(), context).into()
}

fn now() -> DateTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    DateTime(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
}

fn ask(question: &str) -> Option<Secret> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let answer = rpassword::prompt_password(question).ok()?;
    Some(Secret::new(answer.into_bytes()))
}
