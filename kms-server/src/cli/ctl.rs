//! `ctl`: asks or changes a running server through its admin API.

use std::fmt::Write;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use kms_server::admin::api;
use kms_server::clock::Change;
use kms_server::failure::{Failure, Kind};
use kms_server::kms::rekey::Progress;
use kms_server::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::store::{NewKeyOptions, SealOptions};
use super::{faults, keys, policies, printable, say, say_json};

/// To connect. A move of the clock may itself take minutes: it generates the keys of every rotation on the way.
const CONNECT: Duration = Duration::from_secs(5);

/// For an answer to a question: the server has it at hand, so what is silent for longer is something else.
const ANSWER: Duration = Duration::from_secs(10);
/// From one look at how far it is to the next.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct Ctl {
    /// The server's admin API
    #[arg(long, global = true, env = "KMS_ADMIN", default_value_t = super::ADMIN)]
    admin: SocketAddr,
    /// Prints the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tells what the server is and does
    Status,
    /// Lists what happened: rotations, changes of state, failures
    Events(super::events::Events),
    /// Checks, backs up or seals anew the store while it is in use
    #[command(subcommand)]
    Store(StoreCommand),
    /// Shows or moves the clock
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Shows or changes policies
    #[command(subcommand)]
    Policy(policies::Command),
    /// Lists, shows, rotates keys, or brings destroyed ones back
    #[command(subcommand)]
    Key(keys::Command),
    /// Arms, lists or disarms faults: errors, lost answers, malformed messages
    #[command(subcommand)]
    Fault(faults::Command),
    /// Applies a seed, or writes what there is as one
    #[command(subcommand)]
    Seed(super::seed::Command),
    /// Lists what clients asked and what came of it
    Journal(super::journal::Journal),
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Tells under which key it is sealed, how far sealing anew is, and whether it takes writes
    Status,
    /// Reads everything in the store and says what is not as it should be
    Check,
    /// Writes all of the store, as it is at one moment, to one sealed file on this machine
    Backup {
        /// The file; it must not exist
        file: PathBuf,
        #[command(flatten)]
        seal: SealOptions,
    },
    /// Seals everything anew under a new key, in the background
    Rekey {
        #[command(flatten)]
        key: NewKeyOptions,
        /// Waits until it is done, and tells how far it is meanwhile
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Subcommand)]
enum ClockCommand {
    /// Tells what time the server has
    Show,
    /// Moves the clock ahead; what falls due on the way is done and listed
    Advance {
        /// How far: 90d, 12h, 30s
        by: String,
    },
    /// Moves the clock ahead to a time; what falls due on the way is done and listed
    Set {
        /// Such as 2027-01-01T00:00:00Z
        to: String,
    },
    /// Stops the clock
    Freeze,
    /// Lets a stopped clock run again
    Resume,
}

pub(super) fn run(options: &Ctl) -> Result<(), Failure> {
    let remote = Remote::new(options.admin);
    match &options.command {
        Command::Status => {
            let status: api::Status = remote.read("/v1/status")?;
            if options.json { say_json(&status) } else { say(&status_text(&status)) }
        }
        Command::Policy(command) => policies::run(command, &remote, options.json),
        Command::Fault(command) => faults::run(command, &remote, options.json),
        Command::Seed(command) => super::seed::run(command, &remote, options.json),
        Command::Journal(journal) => journal.run(&remote, options.json),
        Command::Key(command) => keys::run(command, &remote, options.json),
        Command::Events(events) => events.run(&remote, options.json),
        Command::Store(command) => store(&remote, command, options.json),
        Command::Clock(command) => match command.change() {
            None => {
                let clock: api::Clock = remote.read("/v1/clock")?;
                if options.json { say_json(&clock) } else { say(&clock.to_string()) }
            }
            Some(change) => {
                let moved: api::Moved = remote.write("/v1/clock", &change)?;
                if options.json { say_json(&moved) } else { say(&moved_text(&moved)) }
            }
        },
    }
}

fn store(remote: &Remote, command: &StoreCommand, json: bool) -> Result<(), Failure> {
    let tell = |status: &api::StoreStatus| if json { say_json(status) } else { say(&status.to_string()) };
    match command {
        StoreCommand::Status => tell(&remote.read("/v1/store")?),
        StoreCommand::Check => super::store::report(&remote.write("/v1/store/check", &())?, json),
        StoreCommand::Backup { file, seal } => {
            super::store::back_up(file, seal, || remote.stream("/v1/store/copy"), json)
        }
        StoreCommand::Rekey { key, wait } => {
            let mut progress: Progress = remote.write("/v1/store/rekey", &key.origin()?)?;
            while *wait && progress.running {
                std::thread::sleep(LOOK);
                progress = remote.read::<api::StoreStatus>("/v1/store")?.rekey;
                if !json {
                    say(&format!(
                        "{} records looked at, {} sealed anew",
                        progress.looked_at, progress.resealed
                    ))?;
                }
            }
            tell(&remote.read("/v1/store")?)
        }
    }
}

impl ClockCommand {
    /// What it changes; `None` when it only looks.
    fn change(&self) -> Option<Change> {
        match self {
            Self::Show => None,
            Self::Advance { by } => Some(Change::Advance(by.clone())),
            Self::Set { to } => Some(Change::Set(to.clone())),
            Self::Freeze => Some(Change::Freeze),
            Self::Resume => Some(Change::Resume),
        }
    }
}

fn status_text(status: &api::Status) -> String {
    let api::Status { version, pid, role, uptime_seconds, state, clock, store, audit } = status;
    let state = state.as_ref().map_or("in memory".into(), |folder| folder.display().to_string());
    let role = match role {
        api::Role::Active => "serves",
        api::Role::Standby => "standby: waits for the server that has the store",
    };
    let mut text = format!(
        "kms-server {version}, process {pid}, up {uptime_seconds} s\nrole   {role}\nstate  {state}\nclock  {clock}"
    );
    if let Some(store) = store {
        let _ = write!(text, "\nstore  {store}");
    }
    if let Some(audit) = audit {
        let _ = write!(text, "\naudit  {audit}");
    }
    text
}

fn moved_text(moved: &api::Moved) -> String {
    let mut text = moved.clock.to_string();
    for api::Fired { at, what, .. } in &moved.fired {
        let _ = write!(text, "\n{at}  {}", printable(what));
    }
    if moved.omitted > 0 {
        let _ = write!(text, "\nand {} more", moved.omitted);
    }
    if moved.is_cut_short {
        let steps = limits::CLOCK_STEPS;
        let _ = write!(
            text,
            "\nafter the first {steps} due times, everything that was due was done once, at the end"
        );
    }
    text
}

/// A running server's admin API.
pub(super) struct Remote {
    address: SocketAddr,
    agent: Agent,
}

impl Remote {
    fn new(address: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        Self { address, agent }
    }

    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.agent.get(self.url(path)).config().timeout_global(Some(ANSWER)).build().call();
        self.understand(answer)
    }

    pub(super) fn write<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let answer = self.agent.post(self.url(path)).send_json(body);
        self.understand(answer)
    }

    /// Reads what a query asks for.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let pairs = query.iter().map(|(key, value)| (*key, value.as_str()));
        let answer = self.agent.get(self.url(path)).query_pairs(pairs).call();
        self.understand(answer)
    }

    pub(super) fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let pairs = query.iter().map(|(key, value)| (*key, value.as_str()));
        let answer = self.agent.delete(self.url(path)).query_pairs(pairs).call();
        self.understand(answer)
    }

    /// The body of the answer as it comes.
    fn stream(&self, path: &str) -> Result<Box<dyn Read>, Failure> {
        let answer = self.accepted(self.agent.get(self.url(path)).call())?;
        Ok(Box::new(answer.into_body().into_reader()))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn understand<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        self.accepted(answer)?.body_mut().read_json().map_err(|error| self.foreign(&error))
    }

    /// The answer of a server that did what it was asked.
    fn accepted(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Failure> {
        let mut answer = answer.map_err(|error| {
            let what = format!("cannot reach the admin API at {}: {error}", self.address);
            Failure::new(Kind::Unreachable, what)
                .hint("is the server running? name its admin address with --admin or KMS_ADMIN")
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let problem = answer.body_mut().read_json();
        let api::Problem { error, hint } = problem.map_err(|error| self.foreign(&error))?;
        Err(Failure::new(Kind::Refused, error).hint(hint))
    }

    fn foreign(&self, error: &ureq::Error) -> Failure {
        let what = format!("what answers at {} is no kms-server of this version: {error}", self.address);
        Failure::new(Kind::Unreachable, what).hint("name the admin address, not the KMIP port")
    }
}
