//! Two production servers whose stores hold the same keys, on ports that stay theirs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kms_certs::{Authority, Flaw, Request};
use kms_client::{IssuedKey, KeySpec, Profile, blocking};
use kms_tests::process::{Finished, finish};
use kms_tests::repository::program;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with certificates and a store's key.
pub struct Site {
    root: tempfile::TempDir,
    pub keys: Vec<IssuedKey>,
}

impl Site {
    /// A site whose certificates are good for `hosts` too.
    pub fn new(hosts: &[&str]) -> Self {
        let site = Self { root: tempfile::tempdir().unwrap(), keys: Vec::new() };
        let now = SystemTime::now();
        let authority = Authority::generate(now).unwrap();
        authority.write(site.root.path()).unwrap();
        let mut request = Request::server("localhost").host("127.0.0.1");
        for host in hosts {
            request = request.host(host);
        }
        authority.issue(&request, now).unwrap().write(site.root.path(), "server").unwrap();
        authority.issue(&request.flaw(Flaw::Expired), now).unwrap().write(site.root.path(), "late").unwrap();
        authority
            .issue(&Request::client("backup-1"), now)
            .unwrap()
            .write(site.root.path(), "client")
            .unwrap();
        let _ = site.kms(&["store", "new-key", "store.key"]).success();
        fs::write(site.path("pass"), "correct horse battery staple\n").unwrap();
        fs::set_permissions(site.path("pass"), fs::Permissions::from_mode(0o600)).unwrap();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn kms(&self, arguments: &[&str]) -> Finished {
        finish(Command::new(program("kms-server")).args(arguments).current_dir(self.root.path()))
    }

    /// A server that can be started and started again.
    pub fn server(&self, name: &str, listen: &str, store: &str, certificate: &str) -> Server {
        let text = format!(
            "listen = \"{listen}\"\nadmin = \"127.0.0.1:0\"\nstore = \"{store}\"\nstore-key = \"store.key\"\n\
             ready-pairs = 0\n[audit]\nfolder = \"audit-{store}\"\n[tls]\ntrusted = \"ca.pem\"\n\
             certificates = [{{ certificate = \"{certificate}.pem\", key = \"{certificate}.key\" }}]\n"
        );
        fs::write(self.path(&format!("{name}.toml")), text).unwrap();
        Server {
            name: name.to_owned(),
            root: self.root.path().to_owned(),
            listen: listen.to_owned(),
            child: None,
            within: None,
            ready: Value::Null,
        }
    }

    /// Makes keys on a server of the store `first` and a copy of that store, `second`.
    pub fn make_keys(&mut self, listen: &str) {
        let server = self.server("maker", listen, "first", "server").start("active");
        let client = blocking::Client::new(self.profile(&[listen]).builder().build().unwrap()).unwrap();
        let spec = KeySpec::Rsa2048;
        self.keys = (0..4).map(|job| client.request_key(&format!("job-{job}"), spec).unwrap()).collect();
        let admin = server.ready["admin"].as_str().unwrap().to_owned();
        // Whoever restores finds the store's key by the configuration.
        fs::copy(self.path("maker.toml"), self.path("kms.toml")).unwrap();
        let backup = ["ctl", "--admin", &admin, "store", "backup", "copy.age", "--passphrase-file", "pass"];
        let _ = self.kms(&backup).success();
        drop(server);
        let restore = ["store", "restore", "copy.age", "--to", "second", "--passphrase-file", "pass"];
        let _ = self.kms(&restore).success();
    }

    /// A profile of these servers, the first one preferred.
    pub fn profile(&self, addresses: &[&str]) -> Profile {
        let mut addresses = addresses.iter().map(|address| (*address).to_owned());
        Profile {
            server: addresses.next().unwrap(),
            encoding: kms_protocol::encoding::Encoding::Ttlv,
            standby: addresses.collect(),
            ca: self.path("ca.pem"),
            certificate: self.path("client.pem"),
            key: self.path("client.key"),
            user: None,
        }
    }
}

/// A port of the loopback interface that nobody has.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A server in a process of its own, killed when dropped.
pub struct Server {
    name: String,
    root: PathBuf,
    pub listen: String,
    child: Option<Child>,
    /// The network namespace that it runs in.
    pub within: Option<String>,
    pub ready: Value,
}

impl Server {
    /// Starts it and waits until it is ready in this role.
    pub fn start(mut self, role: &str) -> Self {
        self.launch();
        self.wait_for(role);
        self
    }

    pub fn launch(&mut self) {
        let file = |ending: &str| self.root.join(format!("{}.{ending}", self.name));
        let _ = fs::remove_file(file("json"));
        let log = fs::File::options().create(true).append(true).open(file("log")).unwrap();
        let mut command = match &self.within {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program("kms-server"));
                command
            }
            None => Command::new(program("kms-server")),
        };
        command
            .args(["run", "--new-store"])
            .arg("--config")
            .arg(file("toml"))
            .arg("--json")
            .arg("--ready-file")
            .arg(file("json"));
        command.current_dir(&self.root).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub fn wait_for(&mut self, role: &str) {
        let end = Instant::now() + PATIENCE;
        let file = self.root.join(format!("{}.json", self.name));
        loop {
            if let Some(ready) = read_json(&file).filter(|ready| ready["role"] == role) {
                self.ready = ready;
                return;
            }
            let child = self.child.as_mut().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            assert!(Instant::now() < end, "the server is not {role}: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_json(file: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}
