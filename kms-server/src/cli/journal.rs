//! `ctl journal`: what was asked of a running development server and what came of it.

use clap::Args;
use kms_server::failure::Failure;
use kms_server::journal::Page;

use super::ctl::Remote;
use super::{say, say_json};

/// Seconds that one request waits for an exchange: less than what a question to the server may take.
const WAIT: u64 = 5;

#[derive(Args)]
pub(super) struct Journal {
    /// Goes on with what comes
    #[arg(long)]
    follow: bool,
    /// Begins behind the exchange with this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// Only what this client asked
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only where this operation was asked for, by KMIP's name
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only where this key was named
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Only where something was refused or went wrong
    #[arg(long)]
    failed: bool,
    /// Only where a fault fired
    #[arg(long)]
    faults: bool,
    /// With both messages, decoded; their secrets are left out
    #[arg(long)]
    messages: bool,
    /// Forgets everything
    #[arg(long, exclusive = true)]
    clear: bool,
}

impl Journal {
    pub(super) fn run(&self, remote: &Remote, json: bool) -> Result<(), Failure> {
        if self.clear {
            return remote.delete("/v1/journal", &[]).map(|_: Page| ());
        }
        let mut after = self.after;
        loop {
            let page: Page = remote.ask("/v1/journal", &self.query(after))?;
            if let Some(lost) = page.lost_up_to.filter(|_| after > 0) {
                tracing::warn!(up_to = lost, "exchanges are forgotten and may have been missed");
            }
            for exchange in &page.exchanges {
                if json { say_json(exchange)? } else { say(&exchange.to_string())? }
            }
            let is_end = page.exchanges.is_empty();
            after = page.next;
            if !self.follow && is_end {
                return Ok(());
            }
        }
    }

    fn query(&self, after: u64) -> Vec<(&'static str, String)> {
        let mut query = vec![("after", after.to_string())];
        if self.follow {
            query.push(("wait", WAIT.to_string()));
        }
        for (name, text) in [("client", &self.client), ("operation", &self.operation), ("key", &self.key)] {
            query.extend(text.iter().map(|text| (name, text.clone())));
        }
        for (name, wanted) in [("failed", self.failed), ("faults", self.faults), ("messages", self.messages)]
        {
            query.extend(wanted.then(|| (name, "true".to_owned())));
        }
        query
    }
}
