//! The core, as the edge sees it. The real one takes this place.

use kms_protocol::DateTime;

/// Who a request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Who the certificate proves: its subject's common name, or a name of its Subject Alternative Name.
    pub principal: String,
}

/// Where a request is worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// A cheap read: on the thread that read the request.
    Inline,
    /// It commits, so it waits for the disk.
    Blocking,
    /// It uses a private key.
    Crypto,
}

/// Something that fell due and was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fired {
    /// When it fell due.
    pub at: DateTime,
    /// What was done, in words.
    pub what: String,
}

/// The key management server without its edge.
#[derive(Debug, Default)]
pub struct Kms;

impl Kms {
    /// Answers one whole Request Message with one whole Response Message.
    #[must_use]
    pub fn handle(&self, _request: &[u8], _caller: &Caller, _now: DateTime) -> Vec<u8> {
        Vec::new()
    }

    /// Where `request` is to be worked on.
    #[must_use]
    pub fn work(&self, _request: &[u8]) -> Work {
        Work::Inline
    }

    /// When something falls due next.
    #[must_use]
    pub fn next_due(&self) -> Option<DateTime> {
        None
    }

    /// Does what is due at `now`.
    pub fn run_due(&self, _now: DateTime) -> Vec<Fired> {
        Vec::new()
    }
}
