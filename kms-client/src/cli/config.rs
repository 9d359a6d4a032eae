//! What a command line takes from its options, the environment and the profile, in this order.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use clap::Args;
use serde::Deserialize;

use crate::backup::records::ServerEntry;
use crate::backup::{BackupError, KeyManagement};

use super::Session;
use super::exit::CommandError;

/// The name under which the profile's server is registered when none is given.
pub const PROFILE_SERVER: &str = "dev";

/// A profile is a few lines; more is not read.
const MAX_PROFILE: u64 = 64 * 1024;

/// Options of all commands.
#[derive(Args)]
pub struct Config {
    /// Folder of the configuration database.
    #[arg(long, global = true, env = "KMS_STATE", default_value = ".kms-client", value_name = "DIR")]
    pub state: PathBuf,
    /// Profile with the KMS server to use where none is registered.
    #[arg(
        long,
        global = true,
        env = "KMS_PROFILE",
        default_value = ".kms-dev/client.toml",
        value_name = "FILE"
    )]
    pub profile: PathBuf,
    /// Write JSON to stdout, one value a line.
    #[arg(long, global = true)]
    pub json: bool,
}

/// A KMS server, where options state it.
#[derive(Args, Default)]
pub struct ServerOptions {
    /// Address of the KMS server.
    #[arg(long, env = "KMS_ADDRESS", value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// PEM file with the certificates that may vouch for the server.
    #[arg(long, env = "KMS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// PEM file with this client's certificate.
    #[arg(long, env = "KMS_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// PEM file with this client's private key.
    #[arg(long, env = "KMS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// The profile that `kms-server dev` writes; its paths are relative to its folder.
#[derive(Deserialize)]
struct Profile {
    server: String,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Config {
    /// A server from `options`, completed by the profile.
    pub fn server(&self, name: &str, options: ServerOptions) -> Result<ServerEntry, CommandError> {
        let ServerOptions { address, ca, certificate, key } = options;
        let profile = match (&address, &ca, &certificate, &key) {
            (Some(_), Some(_), Some(_), Some(_)) => None,
            _ => Some(self.profile()?),
        };
        let or_profile = |given: Option<PathBuf>, from: fn(&Profile) -> &PathBuf| {
            let path = given.or_else(|| profile.as_ref().map(|profile| self.beside_profile(from(profile))));
            let path = absolute(path.unwrap_or_default()).unwrap_or_default();
            fs::metadata(&path).map(|_| path.clone()).map_err(|source| BackupError::Io {
                action: "read",
                path,
                source,
            })
        };
        Ok(ServerEntry {
            name: name.to_owned(),
            ca: or_profile(ca, |profile| &profile.ca)?,
            certificate: or_profile(certificate, |profile| &profile.certificate)?,
            key: or_profile(key, |profile| &profile.key)?,
            address: address.or_else(|| profile.map(|profile| profile.server)).unwrap_or_default(),
            keys_may_travel: false,
        })
    }

    fn profile(&self) -> Result<Profile, CommandError> {
        let path = self.profile.display();
        let unusable = |what: String| CommandError::Config {
            what: format!("no KMS server is given, and the profile {path} {what}"),
            hint: "start `kms-server dev`, which writes one, or register a server by `kms-client server add NAME` with \
                   --address, --ca, --certificate and --key",
        };
        let length =
            fs::metadata(&self.profile).map_err(|error| unusable(format!("cannot be read: {error}")))?.len();
        if length > MAX_PROFILE {
            return Err(unusable(format!("is {length} bytes long")));
        }
        let text = fs::read_to_string(&self.profile)
            .map_err(|error| unusable(format!("cannot be read: {error}")))?;
        toml::from_str(&text).map_err(|error| unusable(format!("is not valid: {}", error.message())))
    }

    fn beside_profile(&self, path: &Path) -> PathBuf {
        self.profile.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

impl Session {
    /// Connects to a server.
    pub fn connect(&self, server: &ServerEntry) -> Result<Box<dyn KeyManagement>, CommandError> {
        Ok((self.connect)(server).map_err(BackupError::kms_failed(&server.name))?)
    }
}
