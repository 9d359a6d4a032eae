//! `ctl events`: what happened, and what happens.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use kms_server::audit::{Events as Answer, Told};
use kms_server::failure::Failure;

use super::ctl::Remote;
use super::{printable, say, say_json};

/// Seconds that one request waits for an event: less than what a question to the server may take.
const WAIT: u64 = 5;

/// Between attempts to reach a server that went away: it may be starting again.
const AGAIN: Duration = Duration::from_secs(2);

/// How often it is tried.
const TRIES: u32 = 30;

#[derive(Args)]
pub(super) struct Events {
    /// Goes on with what happens from now on, also across restarts of the server
    #[arg(long)]
    follow: bool,
    /// Begins behind the event with this number; 0 begins with the oldest that is kept
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

impl Events {
    pub(super) fn run(&self, remote: &Remote, json: bool) -> Result<(), Failure> {
        // Who follows without saying from where wants what comes; who does not follow wants what there is.
        let mut after = if self.follow { self.after } else { Some(self.after.unwrap_or(0)) };
        let mut missed = 0;
        loop {
            let wait = if self.follow { WAIT } else { 0 };
            let place = after.map_or_else(String::new, |after| format!("after={after}&"));
            let answer: Answer = match remote.read(&format!("/v1/events?{place}wait={wait}")) {
                Ok(answer) => answer,
                Err(_) if self.follow && after.is_some() && missed < TRIES => {
                    missed += 1;
                    sleep(AGAIN);
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            missed = 0;
            if let Some(lost) = answer.lost_up_to.filter(|_| after.is_some_and(|after| after > 0)) {
                tracing::warn!(up_to = lost, "events are no longer kept and may have been missed");
            }
            for told in &answer.events {
                if json { say_json(told)? } else { say(&text(told))? }
            }
            let is_end = answer.events.is_empty() && after == Some(answer.next);
            after = Some(answer.next);
            if !self.follow && is_end {
                return Ok(());
            }
        }
    }
}

fn text(told: &Told) -> String {
    let Told { n, time, kmip_time, event } = told;
    format!("{n:>8}  {}  {}", kmip_time.unwrap_or(*time), printable(&event.to_string()))
}
