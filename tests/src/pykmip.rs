//! PyKMIP, of PyPI: its Python environment and its server, a KMIP server that is nothing of ours.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kms_certs::{Authority, Request};

use crate::process::finish_within;
use crate::repository;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/requirements.txt");

/// How long the server may take to listen.
const START: Duration = Duration::from_secs(60);

/// PyKMIP's server with certificates made for it, killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Where it listens.
    pub address: String,
}

impl Server {
    /// Starts it on a free port, its files in `folder`: `ca.pem`, `client.pem`, `client.key`, `client.toml`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(python: &Path, folder: &Path) -> Self {
        let now = SystemTime::now();
        let authority = Authority::generate(now).expect("an authority");
        authority.write(folder).expect("written");
        // Its TLS 1.2 suites lack ECDHE-RSA with AES-GCM: an ECDSA certificate it has to be, which is the default.
        let server = Request::server("localhost").host("127.0.0.1");
        authority.issue(&server, now).expect("a certificate").write(folder, "server").expect("written");
        let client = Request::client("backup-1");
        authority.issue(&client, now).expect("a certificate").write(folder, "client").expect("written");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let path = |name: &str| folder.join(name).display().to_string();
        fs::create_dir_all(folder.join("policies")).expect("a folder");
        let config = format!(
            "[server]\nhostname=127.0.0.1\nport={port}\ncertificate_path={}\nkey_path={}\nca_path={}\n\
             auth_suite=TLS1.2\npolicy_path={}\nenable_tls_client_auth=True\nlogging_level=INFO\n\
             database_path={}\n",
            path("server.pem"),
            path("server.key"),
            path("ca.pem"),
            path("policies"),
            path("pykmip.db"),
        );
        fs::write(folder.join("server.conf"), config).expect("written");
        let address = format!("127.0.0.1:{port}");
        let profile = format!(
            "server = \"{address}\"\nca = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\n"
        );
        fs::write(folder.join("client.toml"), profile).expect("written");
        let said = File::create(folder.join("said.log")).expect("a log");
        let mut command = Command::new(python.with_file_name("pykmip-server"));
        command.args(["-f", &path("server.conf"), "-l", &path("server.log")]).stdin(Stdio::null());
        let child = command
            .stdout(Stdio::null())
            .stderr(said)
            .process_group(0)
            .spawn()
            .expect("pykmip-server starts");
        let mut server = Self { child, folder: folder.to_owned(), address };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let end = Instant::now() + START;
        while TcpStream::connect(&self.address).is_err() {
            if let Some(status) = self.child.try_wait().expect("its status") {
                panic!("pykmip-server ended with {status}: {}", self.log());
            }
            assert!(Instant::now() < end, "pykmip-server does not listen: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The profile for clients.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.folder.join("client.toml")
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        // Where the group is gone already there is nothing to say.
        let _ = Command::new("kill").args(["-s", signal, "--", &group]).stderr(Stdio::null()).status();
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        ["said.log", "server.log"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.folder.join(name)).ok())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has a child of its own, which can outlive it: both are in a process group.
        self.signal("TERM");
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if let Ok(Some(_)) = self.child.try_wait() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.signal("KILL");
        let _ = self.child.wait();
    }
}

/// A Python that has PyKMIP, in an environment under `target/`, made by whichever test comes first; or why there is none.
/// # Errors
/// When it cannot be made, why.
pub fn python() -> Result<&'static Path, &'static str> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(environment).as_deref().map_err(String::as_str)
}

fn environment() -> Result<PathBuf, String> {
    let folder = repository::root().join("target/interop");
    fs::create_dir_all(&folder).expect("a folder under target/");
    // Another test program may be making it at the same moment.
    let lock = File::create(folder.join("pykmip-venv.lock")).expect("a lock file");
    lock.lock().expect("locked");
    let environment = folder.join("pykmip-venv");
    let python = environment.join("bin/python");
    let wanted = fs::read(REQUIREMENTS).expect("the requirements");
    let made = environment.join("made-of.txt");
    if fs::read(&made).is_ok_and(|has| has == wanted) {
        return Ok(python);
    }
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err("there is no python3".to_owned());
    }
    let mut create = Command::new("python3");
    run(create.args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]);
    run(install.args(["--timeout", "20", "--requirement", REQUIREMENTS]))?;
    fs::write(&made, wanted).expect("a note of what is in it");
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = finish_within(command, Duration::from_secs(300));
    if done.code == Some(0) { Ok(()) } else { Err(format!("{command:?}: {}", done.stderr)) }
}
