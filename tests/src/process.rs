//! The real programs as processes, with time limits: a test that hangs is a test that fails.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kms_client::Profile;
use kms_protocol::Version;
use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, AttributeReferences};
use kms_protocol::enums::State;
use kms_protocol::operation::GetAttributesRequest;
use serde_json::Value;

use crate::repository::program;

/// How long a program may take for what takes seconds at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// A `kms-server dev` on ports of its own.
#[derive(Debug)]
pub struct Server {
    child: Child,
    state: PathBuf,
    /// Where it speaks KMIP.
    pub listen: String,
    /// Where its admin API is.
    pub admin: String,
}

impl Server {
    /// Starts a server on `state` and waits until it is ready. Port 0 picks a port.
    #[must_use]
    pub fn start(state: &Path, listen: &str) -> Self {
        Self::start_with(state, listen, &[])
    }

    /// Starts a server with more options.
    #[must_use]
    pub fn start_with(state: &Path, listen: &str, options: &[&str]) -> Self {
        fs::create_dir_all(state).expect("the state folder");
        let ready = state.join("ready.json");
        let _ = fs::remove_file(&ready);
        let log =
            fs::File::options().create(true).append(true).open(state.join("server.log")).expect("the log");
        let mut child = Command::new(program("kms-server"))
            .args(["dev", "--json", "--admin", "127.0.0.1:0", "--listen", listen])
            .arg("--state")
            .arg(state)
            .arg("--ready-file")
            .arg(&ready)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("kms-server starts");
        let deadline = Instant::now() + PATIENCE;
        let text = loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                break text;
            }
            if let Some(status) = child.try_wait().expect("the server's status") {
                panic!("kms-server ended with {status}: {}", read_log(state));
            }
            assert!(Instant::now() < deadline, "kms-server is not ready: {}", read_log(state));
            thread::sleep(Duration::from_millis(5));
        };
        let ready: Value = serde_json::from_str(&text).expect("the ready file is JSON");
        let text = |field: &str| ready.get(field).and_then(Value::as_str).expect("an address").to_owned();
        Self { child, state: state.to_owned(), listen: text("listen"), admin: text("admin") }
    }

    /// The profile for clients.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.state.join("client.toml")
    }

    /// The folder of its certificates: `ca.pem`, and `client.pem` with `client.key`.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// A client of the project's own, to look from another side at what a foreign one did.
    #[must_use]
    pub fn client(&self, version: Version) -> kms_client::blocking::Client {
        let profile = Profile::load(&self.profile()).expect("the profile");
        let client = profile.builder().version(version).build().expect("a client");
        kms_client::blocking::Client::new(client).expect("a client")
    }

    /// The State of an object of that client's.
    #[must_use]
    pub fn state_of(&self, id: &str) -> State {
        let request = GetAttributesRequest {
            unique_identifier: Some(id.into()),
            attributes: AttributeReferences(vec![AttributeReference::Standard(AttributeKind::State)]),
        };
        let answer = self.client(Version::V1_4).get_attributes(&request).expect("attributes");
        match answer.attributes.0.as_slice() {
            [Attribute::State(state)] => *state,
            other => panic!("one State, not {other:?}"),
        }
    }

    /// What the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(&self.state)
    }

    /// Runs `kms-server ctl` on it.
    pub fn ctl(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program("kms-server"));
        command.args(["ctl", "--admin", &self.admin]).args(arguments);
        finish(&mut command)
    }

    /// `kill -9`: nothing is cleaned up.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("its status");
    }

    /// Has the server stop as an operator does, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(killed.success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status;
            }
            assert!(Instant::now() < deadline, "kms-server does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_log(state: &Path) -> String {
    fs::read_to_string(state.join("server.log")).unwrap_or_default()
}

/// A backup side with a state folder of its own.
#[derive(Clone, Debug)]
pub struct Client {
    state: PathBuf,
    profile: PathBuf,
}

impl Client {
    /// A backup side that keeps its database in `state` and finds its KMS by `profile`.
    #[must_use]
    pub fn new(state: &Path, profile: &Path) -> Self {
        Self { state: state.to_owned(), profile: profile.to_owned() }
    }

    /// Runs `kms-client`, with JSON as output.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        let mut command = Command::new(program("kms-client"));
        command
            .arg("--json")
            .arg("--state")
            .arg(&self.state)
            .arg("--profile")
            .arg(&self.profile)
            .args(arguments);
        finish(&mut command)
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub code: Option<i32>,
    /// What it said to its output.
    pub stdout: String,
    /// What it said beside it.
    pub stderr: String,
}

impl Finished {
    /// The same, for a program that has to succeed.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The last line of its output, as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{error} in {:?}: {}", self.stdout, self.stderr))
    }
}

/// Runs a program to its end, or ends it when it has run for `limit`.
///
/// # Panics
/// When it had to be ended.
pub fn finish_within(command: &mut Command, limit: Duration) -> Finished {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("its status") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            // What it said is not waited for: a child of its own may hold the pipe open.
            panic!("{command:?} runs for more than {limit:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |output: JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&output.join().expect("its output")).into_owned()
    };
    Finished { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Reads all that a program says, so that it never waits for a reader.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("a pipe");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("its output");
        bytes
    })
}

/// Runs a program to its end.
pub fn finish(command: &mut Command) -> Finished {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let output = child.wait_with_output().expect("its output");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::finish_within;

    #[test]
    #[should_panic(expected = "runs for more than")]
    fn a_program_that_does_not_end_is_ended() {
        let _ = finish_within(Command::new("sleep").arg("600"), Duration::from_millis(50));
    }

    #[test]
    fn all_that_a_program_says_is_read() {
        let mut command = Command::new("sh");
        command.args(["-c", "yes | head -c 1000000; echo done >&2; exit 3"]);
        let finished = finish_within(&mut command, Duration::from_secs(60));
        assert_eq!((finished.code, finished.stdout.len()), (Some(3), 1_000_000));
        assert_eq!(finished.stderr, "done\n");
    }
}
