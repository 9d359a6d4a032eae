//! `ctl`: asks or changes a running server through its admin API.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use kms_server::admin::api;
use kms_server::clock::Change;
use kms_server::failure::{Failure, Kind};
use kms_server::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::{keys, policies, say, say_json};

/// To connect. A move of the clock may itself take minutes: it generates the keys of every rotation on the way.
const CONNECT: Duration = Duration::from_secs(5);

/// For an answer to a question: the server has it at hand, so what is silent for longer is something else.
const ANSWER: Duration = Duration::from_secs(10);

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
    /// Shows or moves the clock
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Shows or changes policies
    #[command(subcommand)]
    Policy(policies::Command),
    /// Lists, shows, rotates keys, or brings destroyed ones back
    #[command(subcommand)]
    Key(keys::Command),
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
        Command::Key(command) => keys::run(command, &remote, options.json),
        Command::Events(events) => events.run(&remote, options.json),
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
    let api::Status { version, pid, uptime_seconds, state, clock } = status;
    let state = state.as_ref().map_or("in memory".into(), |folder| folder.display().to_string());
    format!("kms-server {version}, process {pid}, up {uptime_seconds} s\nstate  {state}\nclock  {clock}")
}

fn moved_text(moved: &api::Moved) -> String {
    let mut text = moved.clock.to_string();
    for api::Fired { at, what, .. } in &moved.fired {
        let _ = write!(text, "\n{at}  {what}");
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

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn understand<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let mut answer = answer.map_err(|error| {
            let what = format!("cannot reach the admin API at {}: {error}", self.address);
            Failure::new(Kind::Unreachable, what)
                .hint("is the server running? name its admin address with --admin or KMS_ADMIN")
        })?;
        let foreign = |error: ureq::Error| {
            let what = format!("what answers at {} is no kms-server of this version: {error}", self.address);
            Failure::new(Kind::Unreachable, what).hint("name the admin address, not the KMIP port")
        };
        if answer.status().is_success() {
            return answer.body_mut().read_json().map_err(foreign);
        }
        let api::Problem { error, hint } = answer.body_mut().read_json().map_err(foreign)?;
        Err(Failure::new(Kind::Refused, error).hint(hint))
    }
}
