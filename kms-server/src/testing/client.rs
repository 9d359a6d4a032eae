//! What a client needs to reach a test server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kms_certs::{Request, publish_file};

use crate::pki::{self, Broken};

/// A client's certificate and key, and a profile that `kms-client` reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestClient {
    folder: PathBuf,
    name: String,
}

impl TestClient {
    pub(super) fn make(
        folder: &Path,
        name: &str,
        broken: Option<Broken>,
        (server, revocation_list): (SocketAddr, &str),
        now: SystemTime,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        // The name need not be one of a file.
        let stem: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        let kind = broken.map_or("client".to_owned(), |broken| broken.to_string());
        let client = Self { folder: folder.to_owned(), name: format!("{kind}-{stem}") };
        if !client.profile().exists() {
            let request = Request::client(name).crl(revocation_list);
            let issued = pki::issue(folder, request, broken, None, now).map_err(|why| why.to_string())?;
            issued.write(folder, &client.name)?;
            let stem = &client.name;
            let profile = format!(
                "server = \"{server}\"\nca = \"ca.pem\"\ncertificate = \"{stem}.pem\"\nkey = \"{stem}.key\"\n"
            );
            publish_file(&client.profile(), profile.as_bytes())?;
        }
        Ok(client)
    }

    /// The profile: server, authority, certificate and key.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.file("toml")
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("pem")
    }

    /// Its private key, PKCS#8 in PEM.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.file("key")
    }

    /// The authority that signed the server's certificate, in PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }
}
