//! A production server on files of its own, and a client of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kms_certs::{Authority, Request};
use kms_client::blocking::Client;
use kms_client::{IssuedKey, KeySpec, Profile};
use kms_protocol::attribute::{Attribute, Name, RevocationReason};
use kms_protocol::enums::{CryptographicAlgorithm, KeyFormatType, RevocationReasonCode};
use kms_protocol::object::{KeyMaterial, KeyValue, ManagedObject};
use kms_protocol::operation::{CreateKeyPairRequest, DestroyRequest, GetRequest, RevokeRequest};
use kms_protocol::{Secret, UniqueIdentifier};
use kms_tests::keys;
use kms_tests::process::{Finished, finish};
use kms_tests::repository::program;
#[cfg(target_os = "linux")]
use nix::sys::{
    ptrace,
    signal::{Signal, kill},
    wait::{WaitStatus, waitpid},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// What an operator brings: certificates, a store key, a configuration.
pub struct Site {
    pub root: PathBuf,
}

impl Site {
    pub fn new(root: &Path) -> Self {
        let now = SystemTime::now();
        fs::create_dir_all(root).unwrap();
        let authority = Authority::generate(now).unwrap();
        authority.write(root).unwrap();
        authority
            .issue(&Request::server("localhost").host("localhost").host("127.0.0.1"), now)
            .unwrap()
            .write(root, "server")
            .unwrap();
        authority.issue(&Request::client("backup-1"), now).unwrap().write(root, "client").unwrap();
        let site = Self { root: root.to_owned() };
        let _ = site.kms(&["store", "new-key", &site.text("store.key")]).success();
        site.configure("store-key = \"store.key\"");
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes `kms.toml`, where `key` says what the store's key is.
    pub fn configure(&self, key: &str) {
        self.configure_as("kms.toml", key, "store");
    }

    pub fn configure_as(&self, file: &str, key: &str, store: &str) {
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"{store}\"\n{key}\nready-pairs = 0\n\
             [tls]\ntrusted = \"ca.pem\"\ncertificates = [{{ certificate = \"server.pem\", key = \"server.key\" }}]\n"
        );
        fs::write(self.path(file), text).unwrap();
    }

    pub fn secret(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        self.text(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("kms-server"));
        for name in [
            "KMS_STATE",
            "KMS_LISTEN",
            "KMS_ADMIN",
            "KMS_CONFIG",
            "KMS_STORE_KEY",
            "KMS_LOG",
            "KMS_LOG_FORMAT",
        ] {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Runs `kms-server` in the site's folder, where `kms.toml` is.
    pub fn kms(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    pub fn start(&self) -> Running {
        self.launch("run", &[]).ready("active")
    }

    /// Starts a server that logs to `NAME.log` and says in `NAME.json` that it is ready.
    pub fn launch(&self, name: &str, more: &[&str]) -> Running {
        self.launch_with(name, more, &[])
    }

    pub fn launch_with(&self, name: &str, more: &[&str], environment: &[(&str, &str)]) -> Running {
        let ready_file = self.path(&format!("{name}.json"));
        let _ = fs::remove_file(&ready_file);
        let log =
            fs::File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let options = ["run", "--new-store", "--json", "--ready-file", ready_file.to_str().unwrap()];
        let mut command = self.command(&options);
        command.args(more).envs(environment.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let log = self.path(&format!("{name}.log"));
        Running { child, ready_file, log, ready: Value::Null, root: self.root.clone() }
    }
}

/// A server in a process of its own, killed when the test ends.
pub struct Running {
    child: Child,
    ready_file: PathBuf,
    log: PathBuf,
    pub ready: Value,
    root: PathBuf,
}

impl Running {
    /// Waits until it is ready in this role.
    pub fn ready(mut self, role: &str) -> Self {
        self.wait_for(role);
        self
    }

    pub fn wait_for(&mut self, role: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let ready = fs::read(&self.ready_file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(ready) = ready.filter(|ready: &Value| ready["role"] == role) {
                self.ready = ready;
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            assert!(Instant::now() < end, "the server is not {role}: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn ctl(&self, arguments: &[&str]) -> Finished {
        let admin = self.ready["admin"].as_str().unwrap();
        let mut command = Command::new(program("kms-server"));
        command.args(["ctl", "--admin", admin]).args(arguments).current_dir(&self.root);
        finish(&mut command)
    }

    pub fn status(&self) -> Value {
        self.ctl(&["status", "--json"]).success().json()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn stop(mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    /// Ends the server by a signal, and looks at its process where that ends: all that the program does is done, and its
    /// memory is still there.
    ///
    /// # Errors
    /// Where this process may not stop that one.
    #[cfg(target_os = "linux")]
    pub fn end_and_look<T>(mut self, signal: Signal, look: impl FnOnce(u32) -> T) -> nix::Result<T> {
        let process = nix::unistd::Pid::from_raw(self.pid().try_into().unwrap());
        ptrace::seize(process, ptrace::Options::PTRACE_O_TRACEEXIT)?;
        kill(process, signal)?;
        let seen = loop {
            match waitpid(process, None)? {
                WaitStatus::Stopped(_, signal) => ptrace::cont(process, signal)?,
                WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 => {
                    break look(self.pid());
                }
                other => panic!("{other:?}: {}", self.log()),
            }
        };
        ptrace::detach(process, None)?;
        let status = self.child.wait().unwrap();
        assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}: {}", self.log());
        Ok(seen)
    }

    /// The exit code and the log of a server that does not start.
    pub fn refused(mut self) -> (i32, String) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code().unwrap(), self.log());
            }
            assert!(Instant::now() < end, "the server does not refuse: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn client(&self) -> Keys {
        let server = self.ready["listen"].as_str().unwrap();
        let profile = self.root.join("client.toml");
        let text = format!(
            "server = \"{server}\"\nca = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\n"
        );
        fs::write(&profile, text).unwrap();
        let client = Profile::load(&profile).unwrap().builder().deadline(PATIENCE).build().unwrap();
        Keys(Client::new(client).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that makes keys and uses them.
pub struct Keys(pub Client);

impl Keys {
    pub fn make(&self, name: &str) -> IssuedKey {
        self.0.request_key(name, KeySpec::Rsa2048).unwrap()
    }

    pub fn encrypt(&self, key: &IssuedKey, text: &[u8]) -> Vec<u8> {
        keys::encrypt(&self.0, &key.public_id, text).unwrap()
    }

    pub fn decrypt(&self, key: &IssuedKey, ciphertext: &[u8]) -> Result<Vec<u8>, String> {
        let opened = keys::decrypt(&self.0, &key.private_id, ciphertext);
        opened.map(|text| text.expose().to_vec()).map_err(|error| error.to_string())
    }

    /// A pair on P-256: the private key's ID.
    pub fn make_ec(&self, name: &str) -> String {
        let request = CreateKeyPairRequest {
            common: vec![
                Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
                Attribute::CryptographicLength(256),
            ]
            .into(),
            private_key: vec![Attribute::Name(Name::text(name))].into(),
            ..CreateKeyPairRequest::default()
        };
        self.0.create_key_pair(&request).unwrap().private_key_unique_identifier
    }

    /// Destroys a key, which is revoked first: what is Active is not destroyed.
    pub fn destroy(&self, id: &str) {
        let unique_identifier = Some(UniqueIdentifier::from(id));
        let revocation_reason = RevocationReason { code: RevocationReasonCode::KeyCompromise, message: None };
        let request = RevokeRequest {
            unique_identifier: unique_identifier.clone(),
            revocation_reason,
            compromise_occurrence_date: None,
        };
        self.0.revoke(&request).unwrap();
        self.0.destroy(&DestroyRequest { unique_identifier }).unwrap();
    }

    /// The private key itself, as PKCS#8.
    pub fn private(&self, id: &str) -> Secret {
        let request = GetRequest {
            unique_identifier: Some(UniqueIdentifier::from(id)),
            key_format_type: Some(KeyFormatType::Pkcs8),
            ..GetRequest::default()
        };
        let ManagedObject::PrivateKey(block) = self.0.get(&request).unwrap().object else {
            panic!("a private key")
        };
        match block.key_value {
            Some(KeyValue::Plain { material: KeyMaterial::Bytes(bytes), .. }) => bytes,
            other => panic!("the key's bytes, not {other:?}"),
        }
    }
}
