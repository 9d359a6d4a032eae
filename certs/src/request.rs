//! What a certificate shall say, and what shall be wrong with it.

use std::time::Duration;

use crate::KeyKind;

/// A certificate to be made; sound unless a [`Flaw`] is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) name: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) purpose: Purpose,
    pub(crate) key: KeyKind,
    pub(crate) crl: Option<String>,
    pub(crate) valid_for: Option<Duration>,
    pub(crate) flaw: Option<Flaw>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Server,
    Client,
}

/// What is wrong with a certificate made for a negative test. Everything else about it is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Flaw {
    /// It ended a day ago.
    Expired,
    /// It begins in a day.
    NotYetValid,
    /// It names another host (server) or nobody (client).
    WrongName,
    /// Its Extended Key Usage is that of the other side.
    WrongUsage,
    /// It has no Extended Key Usage.
    NoUsage,
    /// An authority that nobody trusts signed it.
    OtherAuthority,
    /// It signed itself.
    SelfSigned,
}

impl Request {
    /// A certificate for a server whose subject is `name`, its fully qualified domain name; `name` is a host too.
    #[must_use]
    pub fn server(name: &str) -> Self {
        Self::new(name, Purpose::Server).host(name)
    }

    /// A certificate for the client, or user, called `name`.
    #[must_use]
    pub fn client(name: &str) -> Self {
        Self::new(name, Purpose::Client)
    }

    fn new(name: &str, purpose: Purpose) -> Self {
        let key = KeyKind::default();
        Self { name: name.into(), hosts: vec![], purpose, key, crl: None, valid_for: None, flaw: None }
    }

    /// Adds a DNS name or an IP address as Subject Alternative Name.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        if !self.hosts.iter().any(|known| known == host) {
            self.hosts.push(host.into());
        }
        self
    }

    /// Chooses the kind of key; ECDSA P-256 unless told otherwise.
    #[must_use]
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }

    /// States where the list of revoked certificates is found (an `http:` URL).
    #[must_use]
    pub fn crl(mut self, url: &str) -> Self {
        self.crl = Some(url.into());
        self
    }

    /// Has it end so long from now; after 820 days unless told otherwise.
    #[must_use]
    pub fn valid_for(mut self, lasts: Duration) -> Self {
        self.valid_for = Some(lasts);
        self
    }

    /// Breaks the certificate in one way.
    #[must_use]
    pub fn flaw(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }
}
