//! `[https]`: where KMIP is spoken over HTTPS.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{LISTEN, LOOPBACK};

/// Where a development server speaks KMIP over HTTPS unless told otherwise.
const HTTPS: SocketAddr = SocketAddr::new(LOOPBACK, 5698);

/// KMIP over HTTPS, with the certificates and callers of the KMIP port.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Https {
    /// Its port.
    pub listen: SocketAddr,
}

/// Where a development server speaks KMIP over HTTPS beside a KMIP port: a second server on the machine must not want the first
/// one's port.
#[must_use]
pub fn https_beside(listen: SocketAddr) -> SocketAddr {
    if listen == LISTEN { HTTPS } else { SocketAddr::new(listen.ip(), 0) }
}
