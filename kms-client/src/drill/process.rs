//! The servers of a drill as processes, which never outlive it.

use core::time::Duration;
use std::fs;
use std::fs::File;
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::time::Instant;

use super::limits;
use super::{DrillError, Stop};

/// What a server says of itself when it is ready.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Ready {
    pub role: Role,
    pub listen: Option<String>,
    pub admin: Option<String>,
}

/// Whether a server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Active,
    Standby,
}

/// A server that runs. It is killed when this is dropped, also while it is stopped, and reaped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    ready: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `binary` as a development server on `state`, with what it writes kept in `folder`.
    pub fn start(binary: &Path, state: &Path, folder: &Path, options: &[&str]) -> Result<Self, DrillError> {
        let (ready, log) = (folder.join("ready.json"), folder.join("server.log"));
        let unusable =
            |error: io::Error| DrillError::run(format!("cannot use {}: {error}", folder.display()), "");
        match fs::remove_file(&ready) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => {}
        }
        let output = File::options().create(true).append(true).open(&log).map_err(unusable)?;
        let mut command = Command::new(binary);
        command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log", "info"]);
        if cfg!(target_os = "linux") {
            // Whatever becomes of this process, its servers end with it.
            command.arg("--end-with-parent");
        }
        command.arg("--state").arg(state).arg("--ready-file").arg(&ready).args(options);
        // What somebody has set for a server of his own is nothing to this one.
        for name in ["KMS_STATE", "KMS_LISTEN", "KMS_ADMIN", "KMS_LOG", "KMS_LOG_FORMAT"] {
            command.env_remove(name);
        }
        // A group of its own: Ctrl-C at the terminal is for the drill, which ends it in its own time.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().map_err(|error| {
            let what = format!("cannot start {}: {error}", binary.display());
            DrillError::run(what, "name the kms-server program with --server-binary, or put it on PATH")
        })?;
        Ok(Self { child, ready, log })
    }

    /// What it says of itself, once it does.
    pub fn ready(&self) -> Option<Ready> {
        serde_json::from_slice(&fs::read(&self.ready).ok()?).ok()
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&mut self, stop: &Stop) -> Result<Ready, DrillError> {
        let deadline = Instant::now() + limits::START;
        loop {
            if let Some(ready) = self.ready() {
                return Ok(ready);
            }
            if let Some(status) = self.has_ended() {
                let what =
                    format!("kms-server ended with {status} instead of being ready: {}", self.log_end());
                return Err(DrillError::run(
                    what,
                    "does `kms-server dev --help` of that program know --standby and --broken?",
                ));
            }
            if Instant::now() > deadline {
                let what = format!(
                    "kms-server is not ready after {} s: {}",
                    limits::START.as_secs(),
                    self.log_end()
                );
                return Err(DrillError::run(what, "is the machine very busy?"));
            }
            stop.check()?;
            sleep(limits::TICK);
        }
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self, stop: &Stop) -> Result<(), DrillError> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + limits::STOP;
        while self.has_ended().is_none() {
            if Instant::now() > deadline {
                let what =
                    format!("kms-server does not end within {} s of being asked to", limits::STOP.as_secs());
                return Err(DrillError::run(what, "is it frozen? thaw it first, or `kill` it"));
            }
            stop.check()?;
            sleep(limits::TICK);
        }
        Ok(())
    }

    /// Stops it, or has it go on.
    pub fn freeze(&self, is_frozen: bool) -> Result<(), DrillError> {
        self.signal(if is_frozen { Signal::STOP } else { Signal::CONT })
    }

    fn signal(&self, signal: Signal) -> Result<(), DrillError> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map_or(Err(rustix::io::Errno::SRCH), |pid| kill_process(pid, signal));
        sent.map_err(|error| {
            DrillError::run(format!("cannot signal kms-server: {error}"), "it has ended by itself")
        })
    }

    /// The end of what it logged.
    pub fn log_end(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(limits::LOG_END as u64)))?;
            let mut end = Vec::new();
            file.take(limits::LOG_END as u64).read_to_end(&mut end)?;
            Ok(String::from_utf8_lossy(&end).trim().to_owned())
        };
        read().unwrap_or_default()
    }

    fn end(&mut self) {
        // It may have ended already; then there is nothing to kill, and it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits, unless the drill is to end.
pub(super) fn pause(time: Duration, stop: &Stop) -> Result<(), DrillError> {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        stop.check()?;
        sleep(limits::TICK.min(deadline.saturating_duration_since(Instant::now())));
    }
    Ok(())
}
