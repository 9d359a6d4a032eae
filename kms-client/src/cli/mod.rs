//! The command line, as a function: `main` gives it streams, a clock and a way to reach a KMS; tests give it others.

mod backup;
mod bench;
mod config;
mod conformance;
mod connect;
mod database;
mod doctor;
mod drill;
mod exit;
mod import;
mod job;
mod opening;
mod output;
mod plugin;
mod quantity;
mod recovery;
mod repository;
mod restore;
mod rewrap;
mod server;
mod status;
mod sync;
mod tape;

use core::time::Duration;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use kms_protocol::{DateTime, Secret};

use crate::backup::state::State;
use crate::backup::unlock::Connect;

use config::Config;
use output::Output;

pub use connect::connect;
pub use exit::Exit;

/// Asks a question that is answered by a secret.
pub type Ask = dyn Fn(&str) -> Option<Secret>;

/// What a command line runs in.
pub struct Context {
    /// Where data goes.
    pub stdout: Box<dyn Write + Send>,
    /// Where talk goes.
    pub stderr: Box<dyn Write + Send>,
    /// Whether somebody watches `stderr` on a terminal.
    pub terminal: bool,
    /// The clock.
    pub now: Box<dyn Fn() -> DateTime>,
    /// How to reach a KMS server.
    pub connect: Box<Connect>,
    /// Asks whoever is at the terminal for a secret; none when nobody is.
    pub ask: Box<Ask>,
    /// Waits, and says whether to go on.
    pub sleep: Box<dyn Fn(Duration) -> bool>,
    /// This program, where that is known: others are looked for beside it.
    pub program: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  a KMS server could not be reached; nothing was done
  4  partly done: a backup left files out, some of several files or servers failed, something needs attention, the doctor
     found something missing, a test case failed, or a drill did not meet what was expected
  5  a backup file is damaged, or is none

A backup is one age file that holds a zstd-compressed tar archive. Only the KMS can unwrap its key.";

/// The backup side of a KMS: jobs that encrypt with keys that a KMS holds.
#[derive(Parser)]
#[command(name = "kms-client", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Register KMS servers and list them.
    #[command(subcommand)]
    Server(server::Command),
    /// Create backup jobs, which get their key pairs from a KMS, and list them.
    #[command(subcommand)]
    Job(job::Command),
    /// Back up files and folders into one encrypted file.
    Backup(backup::Arguments),
    /// Restore backup files; their KMS unwraps their keys.
    Restore(restore::Arguments),
    /// Ask the KMS servers which keys were rotated and encrypt with the newest from now on.
    Sync(sync::Arguments),
    /// Ask for rotated keys again and again, every 24 hours unless told otherwise.
    Daemon(sync::DaemonArguments),
    /// Take over chains that another installation wrote.
    Import(import::Arguments),
    /// List chains and show which keys open them.
    #[command(subcommand)]
    Chain(import::Command),
    /// Open backups although their KMS is gone or their password forgotten, where that was enabled beforehand.
    #[command(subcommand)]
    Recovery(recovery::Command),
    /// Give existing backups a header for a newer key, or for one of another KMS, without encrypting them anew.
    Rewrap(rewrap::Arguments),
    /// Write backups onto tapes, catalogue and read them.
    #[command(subcommand)]
    Tape(tape::Command),
    /// Let age and rage use keys of a KMS, through age-plugin-kmip.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Export and import the configuration database.
    #[command(subcommand)]
    Database(database::Command),
    /// Name folders that backups go to, and give them keys.
    #[command(subcommand)]
    Repository(repository::Command),
    /// Look after keys.
    #[command(subcommand)]
    Key(rewrap::KeyCommand),
    /// Say how servers, jobs and imports are, and what needs somebody.
    Status,
    /// Load a KMIP server and measure it.
    Bench(bench::Arguments),
    /// Try out what a KMS can do for backups, and say what is missing and what that means.
    Doctor(doctor::Arguments),
    /// Replay KMIP test cases against a KMS server, and say which it passes.
    Conformance(conformance::Arguments),
    /// Break servers by plan while clients work, and say whether what was expected came true.
    #[command(subcommand)]
    Drill(drill::Command),
}

/// What every command works with.
struct Session {
    config: Config,
    state: State,
    output: Output,
    clock: Box<dyn Fn() -> DateTime>,
    connect: Box<Connect>,
    ask: Box<Ask>,
    sleep: Box<dyn Fn(Duration) -> bool>,
    program: Option<PathBuf>,
}

impl Session {
    fn now(&self) -> DateTime {
        (self.clock)()
    }
}

/// Runs a command line and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>, context: Context) -> Exit {
    let Context { mut stdout, mut stderr, terminal, now: clock, connect, ask, sleep, program } = context;
    let Arguments { config, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(usage) => {
            let text = usage.render();
            // Nothing is left to tell a reader who is gone.
            let _ = if usage.use_stderr() { write!(stderr, "{text}") } else { write!(stdout, "{text}") };
            return if usage.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let output = Output::new(stdout, stderr, config.json, terminal);
    let state = State::new(&config.state);
    let session = Session { config, state, output, clock, connect, ask, sleep, program };
    let result = match command {
        Command::Server(command) => server::run(&session, command),
        Command::Job(command) => job::run(&session, command),
        Command::Backup(arguments) => backup::run(&session, &arguments),
        Command::Restore(arguments) => restore::run(&session, &arguments),
        Command::Sync(arguments) => sync::run(&session, &arguments),
        Command::Daemon(arguments) => sync::daemon(&session, &arguments),
        Command::Import(arguments) => import::run(&session, &arguments),
        Command::Chain(command) => import::chain(&session, &command),
        Command::Recovery(command) => recovery::run(&session, command),
        Command::Rewrap(arguments) => rewrap::run(&session, &arguments),
        Command::Key(command) => rewrap::key(&session, &command),
        Command::Tape(command) => tape::run(&session, &command),
        Command::Plugin(command) => plugin::run(&session, &command),
        Command::Database(command) => database::run(&session, &command),
        Command::Repository(command) => repository::run(&session, command),
        Command::Status => status::run(&session),
        Command::Bench(arguments) => bench::run(&session, arguments),
        Command::Doctor(arguments) => doctor::run(&session, arguments),
        Command::Conformance(arguments) => conformance::run(&session, arguments),
        Command::Drill(command) => drill::run(&session, &command),
    };
    result.unwrap_or_else(|error| session.output.error(&error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn no_command_has_two_options_of_one_name() {
        super::Arguments::command().debug_assert();
    }
}
