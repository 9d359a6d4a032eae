//! The development PKI in a folder: made at the first start, used at the second, repaired when half of it is there.

use core::fmt;
use core::str::FromStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kms_certs::{Authority, Flaw, Issued, KeyKind, Request, publish_file};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::failure::{Failure, Kind};
use crate::revocation::{self, Revocations, authority as existing_authority};
use crate::tls::Identity;

/// Certificates that end within this time are renewed at a start.
const RENEW: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name of the client whose certificate is made along with the server's.
pub const CLIENT: &str = "client";

/// A complete development PKI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pki {
    folder: PathBuf,
    hosts: Vec<String>,
    /// The files that were made now; empty when everything was there.
    pub made: Vec<&'static str>,
}

impl Pki {
    /// Completes the PKI in `folder` for a server reached by `hosts`, as of `now`.
    ///
    /// What is there and sound stays. What is broken is moved aside, never deleted.
    ///
    /// # Errors
    /// [`Failure`] when files cannot be read or written, or a host cannot stand in a certificate.
    pub fn prepare(folder: &Path, hosts: &[String], now: SystemTime) -> Result<Self, Failure> {
        let leaves = leaves(hosts);
        let judge = Judge::new(folder, hosts, now);
        let sound = |leaf: &Leaf| judge.as_ref().is_some_and(|judge| judge.finds_sound(leaf));
        let missing: Vec<_> = leaves.iter().filter(|leaf| !sound(leaf)).collect();
        let mut made = Vec::new();
        if !missing.is_empty() {
            let (authority, is_new) = authority(folder, judge.is_some(), now)?;
            // Under a new authority everything below it is made anew.
            let all: Vec<_> = leaves.iter().collect();
            let wanted = if is_new { all } else { missing };
            if is_new {
                made.push("ca");
            }
            for leaf in wanted {
                set_aside(folder, leaf.stem, now)?;
                let issued = authority.issue(&leaf.request, now).map_err(cannot_make)?;
                issued.write(folder, leaf.stem).map_err(cannot_make)?;
                made.push(leaf.stem);
            }
            info!(files = ?made, folder = %folder.display(), "made certificates");
        }
        Ok(Self { folder: folder.to_owned(), hosts: hosts.to_vec(), made })
    }

    /// Has the server's and the first client's certificate say that the list of revoked certificates is at `url`: those that name
    /// another place, or none, are issued anew for the keys that they have. A revoked one stays as it is.
    ///
    /// # Errors
    /// [`Failure`] when files cannot be read or written.
    pub fn point_to(&self, url: &str, now: SystemTime) -> Result<(), Failure> {
        let revocations = self.revocations();
        let mut authority = None;
        for leaf in leaves(&self.hosts) {
            let path = |ending: &str| self.folder.join(format!("{}.{ending}", leaf.stem));
            let known =
                CertificateDer::from_pem_file(path("pem")).ok().and_then(|der| Certificate::read(&der));
            let stays = known.is_some_and(|known| {
                known.revocation_list.as_deref() == Some(url) || revocations.has(&known.serial)
            });
            if stays {
                continue;
            }
            let authority = match &authority {
                Some(authority) => authority,
                None => authority.insert(existing_authority(&self.folder)?),
            };
            let key = read_key(&path("key"))?;
            let issued = authority.issue_for(&key, &leaf.request.crl(url), now).map_err(cannot_make)?;
            publish_file(&path("pem"), issued.certificate().as_bytes()).map_err(cannot_make)?;
        }
        Ok(())
    }

    /// Which certificates are revoked.
    #[must_use]
    pub fn revocations(&self) -> Arc<Revocations> {
        Arc::new(Revocations::of(&self.folder))
    }

    /// The server's certificates, broken in one way, for its sound keys: what a client has to refuse.
    ///
    /// # Errors
    /// [`Failure`] when files cannot be read or written.
    pub fn broken_identities(&self, broken: Broken, now: SystemTime) -> Result<Vec<Identity>, Failure> {
        let url = revocation_list(&self.folder);
        let server = leaves(&self.hosts).into_iter().filter(|leaf| leaf.is_server);
        let one = |leaf: Leaf| {
            let key = self.folder.join(format!("{}.key", leaf.stem));
            let request = url.iter().fold(leaf.request, |request, url| request.crl(url));
            let issued = issue(&self.folder, request, Some(broken), Some(&read_key(&key)?), now)?;
            let certificate = self.folder.join(format!("broken-{}.pem", leaf.stem));
            publish_file(&certificate, issued.certificate().as_bytes()).map_err(cannot_make)?;
            Ok(Identity { certificate, key })
        };
        server.map(one).collect()
    }

    /// The server's certificates, the preferred one first.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        ["server-ecdsa", "server-rsa"]
            .map(|stem| Identity {
                certificate: self.folder.join(format!("{stem}.pem")),
                key: self.folder.join(format!("{stem}.key")),
            })
            .into()
    }

    /// The authority that clients trust, and whose clients are trusted.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }
}

/// How a certificate is broken for a test that has to see it refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// What it says is wrong.
    Flawed(Flaw),
    /// It is sound, and revoked.
    Revoked,
}

impl Broken {
    /// Every way with its name.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Flawed(Flaw::Expired), "expired"),
        (Self::Flawed(Flaw::NotYetValid), "not-yet-valid"),
        (Self::Flawed(Flaw::WrongName), "wrong-name"),
        (Self::Flawed(Flaw::WrongUsage), "wrong-usage"),
        (Self::Flawed(Flaw::NoUsage), "no-usage"),
        (Self::Flawed(Flaw::OtherAuthority), "other-authority"),
        (Self::Flawed(Flaw::SelfSigned), "self-signed"),
        (Self::Revoked, "revoked"),
    ];
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(broken, _)| broken == self).map_or("broken", |(_, name)| name))
    }
}

impl FromStr for Broken {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, known)| *known == name).map(|(broken, _)| *broken);
        known.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("certificates are not broken so; one of {}", names.join(", "))
        })
    }
}

/// What a client's certificate is to be.
#[derive(Clone, Copy, Default, Debug)]
pub struct ClientCertificate {
    /// The kind of key.
    pub key: KeyKind,
    /// How it is broken, if it is.
    pub broken: Option<Broken>,
    /// How long it lasts; 820 days where absent.
    pub valid_for: Option<Duration>,
}

/// Issues a certificate for another client from the PKI in `folder`, broken in one way where that is asked for; its files are
/// called after `name`.
///
/// # Errors
/// [`Failure`] when there is no authority, or the name cannot be one of a file and a certificate.
pub fn issue_client(
    folder: &Path,
    name: &str,
    wanted: ClientCertificate,
    now: SystemTime,
) -> Result<Issued, Failure> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        let what = format!("{name:?} cannot be the name of a client: its files are called after it");
        return Err(Failure::new(Kind::Other, what).hint("use letters, digits, dots and dashes"));
    }
    let mut request = Request::client(name).key(wanted.key);
    if let Some(url) = revocation_list(folder) {
        request = request.crl(&url);
    }
    if let Some(lasts) = wanted.valid_for {
        request = request.valid_for(lasts);
    }
    issue(folder, request, wanted.broken, None, now)
}

/// Issues what `request` asks for, broken as it shall be, for the private key in `key` or a new one.
pub(crate) fn issue(
    folder: &Path,
    request: Request,
    broken: Option<Broken>,
    key: Option<&str>,
    now: SystemTime,
) -> Result<Issued, Failure> {
    let authority = existing_authority(folder)?;
    let request = match broken {
        Some(Broken::Flawed(flaw)) => request.flaw(flaw),
        _ => request,
    };
    let issued = match key {
        Some(key) => authority.issue_for(key, &request, now),
        None => authority.issue(&request, now),
    };
    let issued = issued.map_err(cannot_make)?;
    if broken == Some(Broken::Revoked) {
        revocation::revoke(folder, issued.certificate(), now)?;
    }
    Ok(issued)
}

/// Where the server's certificate in `folder` says that the list of revoked ones is.
fn revocation_list(folder: &Path) -> Option<String> {
    let server = CertificateDer::from_pem_file(folder.join("server-ecdsa.pem")).ok()?;
    Certificate::read(&server)?.revocation_list
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, Failure> {
    fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        Failure::new(Kind::State, format!("cannot read {}: {error}", path.display()))
            .hint("delete the file; the next start makes certificate and key anew")
    })
}

struct Leaf {
    stem: &'static str,
    request: Request,
    is_server: bool,
}

fn leaves(hosts: &[String]) -> [Leaf; 3] {
    let name = hosts.first().map_or("localhost", String::as_str);
    let server = |key| hosts.iter().fold(Request::server(name), |request, host| request.host(host)).key(key);
    [
        Leaf { stem: "server-ecdsa", request: server(KeyKind::EcdsaP256), is_server: true },
        Leaf { stem: "server-rsa", request: server(KeyKind::Rsa2048), is_server: true },
        Leaf { stem: CLIENT, request: Request::client(CLIENT), is_server: false },
    ]
}

/// Looks at certificates as a peer would, a month from now.
struct Judge<'a> {
    folder: &'a Path,
    hosts: &'a [String],
    provider: Arc<CryptoProvider>,
    server: Arc<dyn ServerCertVerifier>,
    client: Arc<dyn ClientCertVerifier>,
    then: UnixTime,
}

impl<'a> Judge<'a> {
    /// `None` when there is no authority to judge by, or it ends within a month.
    fn new(folder: &'a Path, hosts: &'a [String], now: SystemTime) -> Option<Self> {
        let then = (now + RENEW).duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let authority = CertificateDer::from_pem_file(folder.join("ca.pem")).ok()?;
        let until = Certificate::read(&authority)?.not_after;
        if until.0 < i64::try_from(then.as_secs()).ok()? {
            return None;
        }
        let mut roots = RootCertStore::empty();
        roots.add(authority).ok()?;
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let client = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        Some(Self {
            folder,
            hosts,
            server: server.build().ok()?,
            client: client.build().ok()?,
            provider,
            then: UnixTime::since_unix_epoch(then),
        })
    }

    fn finds_sound(&self, leaf: &Leaf) -> bool {
        self.checked(leaf).is_some()
    }

    fn checked(&self, leaf: &Leaf) -> Option<()> {
        let certificate =
            CertificateDer::from_pem_file(self.folder.join(format!("{}.pem", leaf.stem))).ok()?;
        let key = PrivateKeyDer::from_pem_file(self.folder.join(format!("{}.key", leaf.stem))).ok()?;
        CertifiedKey::from_der(vec![certificate.clone()], key, &self.provider).ok()?;
        if !leaf.is_server {
            return self.client.verify_client_cert(&certificate, &[], self.then).ok().map(drop);
        }
        for host in self.hosts {
            let name = ServerName::try_from(host.as_str()).ok()?;
            self.server.verify_server_cert(&certificate, &[], &name, &[], self.then).ok()?;
        }
        Some(())
    }
}

/// The authority in `folder`, or a new one where there is none that can sign; and whether it is new.
fn authority(folder: &Path, usable: bool, now: SystemTime) -> Result<(Authority, bool), Failure> {
    if usable && let Ok(authority) = existing_authority(folder) {
        return Ok((authority, false));
    }
    set_aside(folder, "ca", now)?;
    let authority = Authority::generate(now).map_err(cannot_make)?;
    authority.write(folder).map_err(cannot_make)?;
    Ok((authority, true))
}

/// Keeps what is replaced: somebody may have put it there by hand.
fn set_aside(folder: &Path, stem: &str, now: SystemTime) -> Result<(), Failure> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for ending in ["pem", "key", "crl"] {
        let path = folder.join(format!("{stem}.{ending}"));
        let aside = folder.join(format!("{stem}.{ending}.replaced-{seconds}"));
        match fs::rename(&path, &aside) {
            Ok(()) => {
                warn!(file = %path.display(), kept_as = %aside.display(), "replacing a file that no longer serves")
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let what = format!("cannot move {} aside: {error}", path.display());
                return Err(
                    Failure::new(Kind::State, what).hint("make the folder writable, or delete the file")
                );
            }
        }
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn cannot_make(error: kms_certs::Error) -> Failure {
    Failure::new(Kind::State, error.to_string())
        .hint("check that the state folder is writable and that host names are plain DNS names or addresses")
}
