//! What a command line takes from its options, the environment and the profile, in this order.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use clap::Args;

use crate::Profile;
use crate::backup::records::ServerEntry;
use crate::backup::{BackupError, KeyManagement};

use super::Session;
use super::exit::CommandError;

/// The name under which the profile's server is registered when none is given.
pub const PROFILE_SERVER: &str = "dev";

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
    /// Address of another server with the same keys, which stands in while the first fails; may be repeated.
    #[arg(long, env = "KMS_STANDBY", value_name = "HOST:PORT", value_delimiter = ',')]
    pub standby: Vec<String>,
    /// PEM file with the certificates that may vouch for the server.
    #[arg(long, env = "KMS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// PEM file with this client's certificate.
    #[arg(long, env = "KMS_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// PEM file with this client's private key.
    #[arg(long, env = "KMS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// User name that the KMS server wants besides the certificate.
    #[arg(long, env = "KMS_USERNAME", value_name = "NAME", requires = "password_file")]
    pub username: Option<String>,
    /// File with that user's password.
    #[arg(long, env = "KMS_PASSWORD_FILE", value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,
}

impl Config {
    /// A server from `options`, completed by the profile.
    pub fn server(&self, name: &str, options: ServerOptions) -> Result<ServerEntry, CommandError> {
        let ServerOptions { address, mut standby, ca, certificate, key, username, password_file } = options;
        let profile = match (&address, &ca, &certificate, &key) {
            (Some(_), Some(_), Some(_), Some(_)) => None,
            _ => Some(self.profile()?),
        };
        let or_profile = |given: Option<PathBuf>, from: fn(&Profile) -> &PathBuf| {
            readable(
                &given.or_else(|| profile.as_ref().map(|profile| from(profile).clone())).unwrap_or_default(),
            )
        };
        let (ca, certificate, key) = (
            or_profile(ca, |profile| &profile.ca)?,
            or_profile(certificate, |profile| &profile.certificate)?,
            or_profile(key, |profile| &profile.key)?,
        );
        let user = username.zip(password_file).or_else(|| profile.as_ref()?.user.clone());
        let user = user.map(|(name, file)| Ok::<_, CommandError>((name, readable(&file)?))).transpose()?;
        let (username, password_file) = user.unzip();
        let address = address.unwrap_or_else(|| {
            let Profile { server, standby: others, .. } = profile.unwrap_or_default();
            standby.extend(others);
            server
        });
        Ok(ServerEntry {
            name: name.to_owned(),
            address,
            standby,
            ca,
            certificate,
            key,
            username,
            password_file,
            keys_may_travel: false,
        })
    }

    fn profile(&self) -> Result<Profile, CommandError> {
        Profile::load(&self.profile).map_err(|error| CommandError::Config {
            what: format!("no KMS server is given, and the profile cannot be used: {error}"),
            hint: "start `kms-server dev`, which writes one, or register a server by `kms-client server add NAME` with \
                   --address, --ca, --certificate and --key",
        })
    }
}

/// The same path from wherever the next command is started.
fn readable(path: &Path) -> Result<PathBuf, CommandError> {
    let path = absolute(path).unwrap_or_default();
    match fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(CommandError::Config {
            what: format!("cannot read {}: {error}", path.display()),
            hint: "look at --ca, --certificate, --key and --password-file, or at what the profile names",
        }),
    }
}

impl Session {
    /// Connects to a server.
    pub fn connect(&self, server: &ServerEntry) -> Result<Box<dyn KeyManagement>, CommandError> {
        Ok((self.connect)(server).map_err(BackupError::kms_failed(&server.name))?)
    }
}
