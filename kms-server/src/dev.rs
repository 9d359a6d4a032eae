//! The state folder of `kms-server dev`: everything that a development server needs, made at the first start.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kms_certs::{Access, replace_file};
use serde::Serialize;
use tempfile::TempDir;

use crate::clock::{Clock, ClockError};
use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::pki::Pki;
use crate::store_key::{self, Given};

/// Where policies are kept that are changed on the running server.
pub const POLICIES: &str = "policies.toml";

/// What `kms.toml` says until somebody edits it.
const KMS_TOML: &str = include_str!("dev.toml");

/// Names under which a development server is always reached.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A state folder, ready for a server, and locked against a second one.
#[derive(Debug)]
pub struct DevState {
    /// The folder.
    pub folder: PathBuf,
    /// Its certificates.
    pub pki: Pki,
    /// The key that seals the store.
    pub store_key: Given,
    /// What its `kms.toml` says.
    pub config: Config,
    /// Whether the server keeps nothing when it stops.
    pub is_ephemeral: bool,
    _lock: File,
    _temporary: Option<TempDir>,
}

/// What the client reads to find the server: `client.toml`.
#[derive(Debug, Serialize)]
struct Profile<'a> {
    server: String,
    ca: &'a str,
    certificate: &'a str,
    key: &'a str,
    admin: Option<String>,
}

/// A state folder that no other server uses, for as long as this is kept.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    lock: File,
}

impl Claim {
    /// The folder, made where it is missing, or `None` while another server uses it.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be used.
    pub fn of(folder: &Path) -> Result<Option<Self>, Failure> {
        make_folder(folder)?;
        let folder = fs::canonicalize(folder).map_err(|error| unusable(folder, &error))?;
        let lock = try_lock(&folder)?;
        Ok(lock.map(|lock| Self { folder, lock }))
    }
}

impl DevState {
    /// Opens the state folder, making whatever is missing in it for a server that is reached by `hosts` too.
    ///
    /// # Errors
    /// [`Failure`] when another server uses the folder, it cannot be written, or a file in it that only a person could
    /// have written is wrong.
    pub fn open(folder: &Path, hosts: &[String], now: SystemTime) -> Result<Self, Failure> {
        let claim = Claim::of(folder)?.ok_or_else(|| {
            let what = format!("another kms-server uses {}", folder.display());
            Failure::new(Kind::State, what).hint(
                "stop it, give this one a folder of its own with --state, or have it wait with --standby",
            )
        })?;
        Self::open_claimed(claim, hosts, now)
    }

    /// The same for a folder that was waited for.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be written, or a file in it that only a person could have written is wrong.
    pub fn open_claimed(claim: Claim, hosts: &[String], now: SystemTime) -> Result<Self, Failure> {
        Self::prepare(claim, None, hosts, now)
    }

    /// A state folder that goes when the server stops.
    ///
    /// # Errors
    /// [`Failure`] when no temporary folder can be made.
    pub fn ephemeral(hosts: &[String], now: SystemTime) -> Result<Self, Failure> {
        let temporary = tempfile::Builder::new().prefix("kms-dev-").tempdir().map_err(|error| {
            Failure::new(Kind::State, format!("cannot make a temporary folder: {error}"))
                .hint("point TMPDIR to a folder that this user can write")
        })?;
        let folder = temporary.path().to_owned();
        let lock =
            try_lock(&folder)?.ok_or_else(|| unusable(&folder, &io::ErrorKind::ResourceBusy.into()))?;
        Self::prepare(Claim { folder, lock }, Some(temporary), hosts, now)
    }

    fn prepare(
        claim: Claim,
        temporary: Option<TempDir>,
        hosts: &[String],
        now: SystemTime,
    ) -> Result<Self, Failure> {
        let Claim { folder, lock } = claim;
        // The first becomes the certificate's subject: a name that was asked for rather than localhost.
        let all_hosts: Vec<_> =
            hosts.iter().cloned().chain(HOSTS.iter().map(|host| (*host).to_owned())).collect();
        for part in ["pki", "store"] {
            make_folder(&folder.join(part))?;
        }
        for swept in [&folder, &folder.join("pki")] {
            kms_certs::sweep(swept).map_err(|error| unusable(swept, &error))?;
        }
        let file = folder.join("kms.toml");
        if !file.exists() {
            write(&file, KMS_TOML.as_bytes(), Access::Public)?;
        }
        let mut config = Config::read(&file)?;
        config.policy_changes.get_or_insert_with(|| folder.join(POLICIES));
        let store_key = store_key(&folder)?;
        let pki = Pki::prepare(&folder.join("pki"), &all_hosts, now)?;
        let is_ephemeral = temporary.is_some();
        Ok(Self { folder, pki, store_key, config, is_ephemeral, _lock: lock, _temporary: temporary })
    }

    /// The folder of the store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// The profile that the client reads.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.folder.join("client.toml")
    }

    /// The movable clock, as the last server on this folder left it.
    ///
    /// # Errors
    /// [`ClockError::File`] when its file holds nonsense.
    pub fn clock(&self) -> Result<Clock, ClockError> {
        Clock::kept_in(&self.folder.join("clock.json"))
    }

    /// Writes the client's profile for a server at these addresses.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be written.
    pub fn write_profile(&self, listen: SocketAddr, admin: Option<SocketAddr>) -> Result<(), Failure> {
        let profile = Profile {
            server: reachable(listen).to_string(),
            ca: "pki/ca.pem",
            certificate: "pki/client.pem",
            key: "pki/client.key",
            admin: admin.map(|admin| reachable(admin).to_string()),
        };
        let text = toml::to_string(&profile).map_err(|error| Failure::new(Kind::Other, error.to_string()))?;
        let text = format!(
            "# The client's profile, written by each start of `kms-server dev`. Paths are relative to this file.\n{text}"
        );
        kms_certs::publish_file(&self.profile(), text.as_bytes()).map_err(unwritable)
    }
}

/// An address that a client on this machine can connect to: a server on all interfaces is reached on loopback.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}

/// The store's key, made when there is neither key nor store.
fn store_key(folder: &Path) -> Result<Given, Failure> {
    let file = folder.join("store.key");
    if file.exists() {
        return Given::key(&store_key::read_secret(&file)?, &file.display().to_string());
    }
    let store = folder.join("store");
    let mut entries = fs::read_dir(&store).map_err(|error| unusable(&store, &error))?;
    if entries.next().is_some() {
        let what = format!("{} is gone, and {} is sealed with it", file.display(), store.display());
        return Err(Failure::new(Kind::State, what)
            .hint("restore store.key, or delete the store folder too and begin with an empty one"));
    }
    store_key::write_new_key(&file)?;
    Given::key(&store_key::read_secret(&file)?, &file.display().to_string())
}

/// Makes a folder for this user alone, or tightens one that others can enter.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unusable(folder, &error))?;
    // Not every file system can change them.
    let mode = fs::metadata(folder).map_err(|error| unusable(folder, &error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(|error| unusable(folder, &error))
}

/// Keeps other servers out of a folder, where none is in it.
fn try_lock(folder: &Path) -> Result<Option<File>, Failure> {
    let file = File::create(folder.join("lock")).map_err(|error| unusable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unusable(folder, &error)),
    }
}

fn write(path: &Path, contents: &[u8], access: Access) -> Result<(), Failure> {
    replace_file(path, contents, access).map_err(unwritable)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unwritable(error: kms_certs::Error) -> Failure {
    Failure::new(Kind::State, error.to_string())
        .hint("make the state folder writable, or name another with --state")
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::State, format!("cannot use {}: {error}", path.display()))
        .hint("name a folder that this user can write with --state")
}
