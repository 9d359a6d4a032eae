//! One exchange, as the journal and its readers know it.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::faults::Fired;

/// What an entry and an item weigh beside their texts, in bytes.
const OVERHEAD: usize = 256;

/// A request and what came of it, or a fault that needed no request.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Exchange {
    /// Its number; they go up by one.
    pub number: u64,
    /// The server's time.
    pub time: String,
    /// Who asked, where that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// In which version of KMIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Microseconds from the request's last byte to the answer's first.
    pub took_us: u64,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// The faults that fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fired>,
    /// What kept the message as a whole from being read or answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The request, decoded, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// One item of a batch.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Item {
    /// Its Operation.
    pub operation: String,
    /// The identifiers that it named, and those that it got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Its Result Status; empty where there was none.
    pub status: String,
    /// Its Result Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was refused, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What would have worked, where that was found out. The client was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_work: Option<String>,
}

impl Item {
    /// Whether it was refused.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.reason.is_some()
    }

    fn weight(&self) -> usize {
        let texts = [&self.reason, &self.message, &self.would_work].into_iter().flatten();
        let keys = self.keys.iter().map(|key| key.len() + 24);
        OVERHEAD + texts.map(String::len).sum::<usize>() + keys.sum::<usize>()
    }
}

impl Exchange {
    /// Whether anything in it was refused or went wrong.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.trouble.is_some() || self.items.iter().any(Item::has_failed)
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        let texts =
            self.trouble.as_ref().map_or(0, String::len) + self.client.as_ref().map_or(0, String::len);
        OVERHEAD + texts + self.items.iter().map(Item::weight).sum::<usize>() + self.faults.len() * OVERHEAD
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, time, client, version, took_us, items, faults, trouble, .. } = self;
        write!(f, "{number:>6}  {time}  {}", client.as_deref().unwrap_or("-"))?;
        if let Some(version) = version {
            write!(f, "  KMIP {version}  {took_us} µs")?;
        }
        for item in items {
            write!(f, "\n        {}", item.operation)?;
            item.keys.iter().try_for_each(|key| write!(f, " {key}"))?;
            match &item.reason {
                None => write!(f, ": {}", if item.status.is_empty() { "no answer" } else { &item.status })?,
                Some(reason) => write!(f, ": {reason}: {}", item.message.as_deref().unwrap_or("-"))?,
            }
            if let Some(would_work) = &item.would_work {
                write!(f, "\n          hint: {would_work}")?;
            }
        }
        for fired in faults {
            write!(f, "\n        fault {}: {}", fired.id, fired.fault)?;
        }
        if let Some(trouble) = trouble {
            write!(f, "\n        {trouble}")?;
        }
        for (what, message) in [("request", &self.request), ("response", &self.response)] {
            if let Some(message) = message {
                write!(f, "\n      {what}:")?;
                message.lines().try_for_each(|line| write!(f, "\n        {line}"))?;
            }
        }
        Ok(())
    }
}
