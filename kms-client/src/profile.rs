//! Settings: which servers, whom to trust, who the client is, how long to wait. In code, or from a profile.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kms_protocol::credential::{Credential, UsernameAndPassword};
use kms_protocol::encoding::Encoding;
use kms_protocol::message::Authentication;
use kms_protocol::{Secret, Version};
use serde::Deserialize;

use crate::client::Client;
use crate::decrypt::KeyTravel;
use crate::endpoints::{Endpoints, Rules};
use crate::error::Error;
use crate::limits;
use crate::tls::{Connect, Credentials, Identity, Pem, Seen, TlsServer, read_file};

/// What a client is made of. See [`Client::builder`].
#[must_use]
pub struct Builder {
    servers: Vec<Server>,
    name: Option<String>,
    encoding: Encoding,
    credentials: Credentials,
    connect: Duration,
    rules: Rules,
    options: Options,
    shown: Vec<Credential>,
    /// A user name, and the file that its password is in.
    user: Option<(String, PathBuf)>,
}

enum Server {
    Address(String),
    Over(Box<dyn Connect>),
}

/// What holds for every call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) version: Version,
    pub(crate) deadline: Duration,
    pub(crate) batch: usize,
    pub(crate) key_travel: KeyTravel,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("rules", &self.rules)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            servers: Vec::new(),
            name: None,
            encoding: Encoding::Ttlv,
            credentials: Credentials { ca: Vec::new(), identity: None },
            connect: limits::CONNECT,
            rules: Rules::default(),
            options: Options {
                version: Version::V1_4,
                deadline: limits::DEADLINE,
                batch: limits::BATCH,
                key_travel: KeyTravel::default(),
            },
            shown: Vec::new(),
            user: None,
        }
    }

    /// Adds a server, as `host:port`, or as `https://host:port/kmip` where KMIP is spoken over HTTPS. The first one is
    /// asked first; the others stand in while it fails.
    pub fn server(mut self, address: impl Into<String>) -> Self {
        self.servers.push(Server::Address(address.into()));
        self
    }

    /// How messages are encoded for servers over HTTPS; TTLV where nothing is said. Over TLS alone it is always TTLV.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Adds a server that is reached in another way than TCP and TLS.
    pub fn over(mut self, server: Box<dyn Connect>) -> Self {
        self.servers.push(Server::Over(server));
        self
    }

    /// The name that the servers' certificates have to hold, where it is not the address' host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Trusts the CA certificates in a PEM file. It is read again when it changes.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.ca.push(Pem::File(path.into()));
        self
    }

    /// Trusts the CA certificates in a PEM text.
    pub fn ca_pem(mut self, pem: &[u8]) -> Self {
        self.credentials.ca.push(Pem::Text(Secret::from(pem)));
        self
    }

    /// Shows the certificate chain in one PEM file and uses the private key (PKCS#8, PKCS#1 or SEC1, in the clear) in
    /// another. Both are read again when they change.
    pub fn identity_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.credentials.identity = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// The same from PEM texts.
    pub fn identity_pem(mut self, certificate: &[u8], key: &[u8]) -> Self {
        self.credentials.identity =
            Some((Pem::Text(Secret::from(certificate)), Pem::Text(Secret::from(key))));
        self
    }

    /// Sends a credential with every request, beside the certificate (KMIP 1.4 section 6.6): what some servers tell
    /// their users apart by.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.shown.push(credential);
        self
    }

    /// The same for a user name and the password in a file, whose last line may end.
    pub fn user_file(mut self, username: impl Into<String>, password: impl Into<PathBuf>) -> Self {
        self.user = Some((username.into(), password.into()));
        self
    }

    /// The protocol version wanted; 1.4 where nothing is said. Where the server does not speak it, the newest of 1.0 to
    /// 1.4 that it does is used; Decrypt exists from 1.2 on, Re-key Key Pair from 1.1 on.
    pub fn version(mut self, version: Version) -> Self {
        self.options.version = version;
        self
    }

    /// How long one request may take, all its steps together, agreeing on a version on the first one among them. Of a
    /// batch of several messages, each of them; of a call that makes several requests, such as
    /// [`Client::request_key`], each of those.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline.min(limits::ENDLESS);
        self
    }

    /// How long resolving, connecting and the handshake may take, together, for one server.
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect = deadline.min(limits::ENDLESS);
        self
    }

    /// How long one of several servers may take to answer what another could, before that one is asked.
    pub fn attempt_deadline(mut self, deadline: Duration) -> Self {
        self.rules.attempt = deadline.min(limits::ENDLESS);
        self
    }

    /// After how long without an answer another server is asked as well, for what only reads or computes: the first answer
    /// counts. Costs the servers up to twice the work; bounds what a slow one adds. Not done where nothing is said.
    pub fn hedge_after(mut self, delay: Duration) -> Self {
        self.rules.hedge = Some(delay.min(limits::ENDLESS));
        self
    }

    /// For how long all servers are asked again and again after all have failed; not at all where nothing is said.
    /// Only what may be repeated is; and a creation of which nothing has been sent.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.rules.patience = patience.min(limits::ENDLESS);
        self
    }

    /// How long an idle connection is kept. Network HSMs drop theirs after 30 s; 25 s where nothing is said.
    pub fn max_idle(mut self, idle: Duration) -> Self {
        self.rules.idle = idle;
        self
    }

    /// The most connections to one server in use at a time, at least one.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.rules.connections = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// The most batch items in one message, at least one.
    pub fn max_batch(mut self, items: usize) -> Self {
        self.options.batch = items.clamp(1, kms_protocol::limits::BATCH);
        self
    }

    /// Whether private keys may be fetched where the KMS cannot decrypt with them. Not unless it is said here.
    pub fn key_travel(mut self, key_travel: KeyTravel) -> Self {
        self.options.key_travel = key_travel;
        self
    }

    /// Reads the files and makes what opens streams to the first server, for who speaks KMIP over them himself.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn connector(self) -> Result<Box<dyn Connect>, Error> {
        match self.servers.into_iter().next() {
            Some(Server::Over(server)) => Ok(server),
            Some(Server::Address(address)) => {
                let identity = Arc::new(Identity::load(self.credentials)?);
                let server =
                    TlsServer::new(&address, self.name.as_deref(), identity, self.connect, self.encoding)?;
                Ok(Box::new(server))
            }
            None => Err(no_server()),
        }
    }

    /// Reads the files and makes the client. Connects to nothing yet.
    ///
    /// # Errors
    /// When no server is given, or an address, a certificate or a key cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        if self.servers.is_empty() {
            return Err(no_server());
        }
        let needs_tls = self.servers.iter().any(|server| matches!(server, Server::Address(_)));
        let identity = if needs_tls { Some(Arc::new(Identity::load(self.credentials)?)) } else { None };
        let mut servers: Vec<Box<dyn Connect>> = Vec::new();
        let mut seen: Vec<(String, Seen)> = Vec::new();
        for server in self.servers {
            match (server, &identity) {
                (Server::Over(server), _) => servers.push(server),
                (Server::Address(address), Some(identity)) => {
                    let server = TlsServer::new(
                        &address,
                        self.name.as_deref(),
                        Arc::clone(identity),
                        self.connect,
                        self.encoding,
                    )?;
                    seen.push((address, server.seen()));
                    servers.push(Box::new(server));
                }
                (Server::Address(_), None) => {}
            }
        }
        let mut credentials = self.shown;
        if let Some((username, file)) = &self.user {
            credentials.push(Credential::UsernameAndPassword(user(username, file)?));
        }
        let authentication = (!credentials.is_empty()).then_some(Authentication { credentials });
        Ok(Client::new(Endpoints::new(servers, self.rules), self.options, authentication, identity, seen))
    }
}

fn user(username: &str, file: &Path) -> Result<UsernameAndPassword, Error> {
    let bytes = Secret::new(read_file(file)?);
    let text = core::str::from_utf8(bytes.expose()).map_err(|_| {
        Error::settings(format!("{} is no text", file.display()), "write the password into it, in UTF-8")
    })?;
    Ok(UsernameAndPassword {
        username: username.to_owned(),
        password: Some(text.trim_end_matches(['\r', '\n']).into()),
    })
}

fn no_server() -> Error {
    Error::settings("no server is given", "give at least one address, as host:port")
}

/// The settings of a client in a file, such as `kms-server dev` writes.
///
/// ```toml
/// server = "127.0.0.1:5696"
/// ca = "pki/ca.pem"
/// certificate = "pki/client.pem"
/// key = "pki/client.key"
/// # Where the server wants them besides:
/// username = "backup"
/// password-file = "pki/password"
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The KMS server, as `host:port` or `https://host:port/kmip`.
    pub server: String,
    /// How messages are encoded over HTTPS: `ttlv`, `xml` or `json`.
    pub encoding: Encoding,
    /// Servers that stand in while it fails.
    pub standby: Vec<String>,
    /// The CA certificates trusted, PEM.
    pub ca: PathBuf,
    /// The client's certificate chain, PEM.
    pub certificate: PathBuf,
    /// The client's private key, PEM.
    pub key: PathBuf,
    /// A user name, and the file that holds the password, for servers that want them besides.
    pub user: Option<(String, PathBuf)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProfileFile {
    server: String,
    #[serde(default)]
    encoding: Named,
    #[serde(default)]
    standby: Vec<String>,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    username: Option<String>,
    password_file: Option<PathBuf>,
    /// For the server's own command line.
    #[serde(default, rename = "admin")]
    _admin: Option<toml::Value>,
}

/// An encoding as a profile names it.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    #[default]
    Ttlv,
    Xml,
    Json,
}

impl Default for Profile {
    /// One that says nothing yet.
    fn default() -> Self {
        Self {
            server: String::new(),
            encoding: Encoding::Ttlv,
            standby: Vec::new(),
            ca: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            user: None,
        }
    }
}

impl Profile {
    /// Reads a profile. Its paths are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read, or is no profile.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let hint = "a profile has the keys server, ca, certificate and key; kms-server dev writes one";
        let wrong = |what: String| Error::settings(format!("{}: {what}", path.display()), hint);
        let bytes = read_file(path)?;
        let text = core::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
        let file: ProfileFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            wrong(format!("line {}: {}", before.matches('\n').count() + 1, error.message()))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let user = match (file.username, file.password_file) {
            (None, None) => None,
            (Some(username), Some(password)) => Some((username, folder.join(password))),
            _ => return Err(wrong("username and password-file go together".to_owned())),
        };
        Ok(Self {
            user,
            server: file.server,
            encoding: match file.encoding {
                Named::Ttlv => Encoding::Ttlv,
                Named::Xml => Encoding::Xml,
                Named::Json => Encoding::Json,
            },
            standby: file.standby,
            ca: folder.join(file.ca),
            certificate: folder.join(file.certificate),
            key: folder.join(file.key),
        })
    }

    /// A builder with these settings, to be changed or built.
    pub fn builder(&self) -> Builder {
        let builder = Builder::new()
            .server(&self.server)
            .encoding(self.encoding)
            .ca_file(&self.ca)
            .identity_files(&self.certificate, &self.key);
        let builder = self.standby.iter().fold(builder, |builder, address| builder.server(address));
        match &self.user {
            Some((username, password)) => builder.user_file(username, password),
            None => builder,
        }
    }
}
