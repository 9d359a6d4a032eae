//! Events for those who follow the server: the newest in memory, older ones in the log.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::segments_from;
use super::limits::EVENTS;
use super::line::{self, Line};
use super::record::Record;
use super::segment::{self, Lines};
use crate::kms::Event;

/// An event with its number, which is that of its line in the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Its number: greater than that of every event before it, also across restarts.
    pub n: u64,
    /// The real time.
    pub time: Timestamp,
    /// The server's time, which keys and policies go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kmip_time: Option<Timestamp>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Events in order, and where to go on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Events {
    /// The events.
    pub events: Vec<Told>,
    /// What to ask for next: `after` this.
    pub next: u64,
    /// Where events up to this number are no longer kept and may have been missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_up_to: Option<u64>,
}

impl Told {
    pub(super) fn of(n: u64, record: Record) -> Option<Self> {
        let Record { time, kmip_time, event, .. } = record;
        event.map(|event| Self { n, time, kmip_time, event: *event })
    }
}

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<Told>,
    /// Every event with a greater number is here.
    floor: u64,
    /// The last number that was given away, be it to an event or to another line.
    last: u64,
}

impl Ring {
    /// Nothing yet, and what comes is behind line `last`.
    pub fn behind(last: u64) -> Self {
        Self { events: VecDeque::new(), floor: last, last }
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    /// Notes that line `n` was written.
    pub fn push(&mut self, n: u64, record: Record) -> bool {
        self.last = n;
        let Some(told) = Told::of(n, record) else { return false };
        self.events.push_back(told);
        if self.events.len() > EVENTS
            && let Some(oldest) = self.events.pop_front()
        {
            self.floor = oldest.n;
        }
        true
    }

    /// What comes behind `after`; `None` where some of that is no longer here.
    pub fn after(&self, after: u64, limit: usize) -> Option<Events> {
        (after >= self.floor).then(|| self.rest(after, limit))
    }

    /// What comes behind `after` as far as it is here.
    pub fn rest(&self, after: u64, limit: usize) -> Events {
        let events: Vec<Told> =
            self.events.iter().filter(|told| told.n > after).take(limit).cloned().collect();
        let next = match events.last() {
            Some(last) if events.len() == limit => last.n,
            _ => self.last.max(after),
        };
        Events { events, next, lost_up_to: (after < self.floor).then_some(self.floor) }
    }
}

/// Reads events behind line `after` from the log in `folder`, one segment at most, and none behind line `last`: what the
/// file holds beyond it is not synced yet.
pub(super) fn read(folder: &Path, after: u64, last: u64, limit: usize) -> io::Result<Events> {
    segment::unless_given_up(|| read_listed(folder, after, last, limit))
}

fn read_listed(folder: &Path, after: u64, last: u64, limit: usize) -> io::Result<Events> {
    let mut found = Events { next: after, ..Events::default() };
    let Some(number) = segments_from(folder, after)?.first().copied() else { return Ok(found) };
    let path = segment::path(folder, number);
    if let Some(begin) = segment::begins_after(&path)?.filter(|begin| begin.line > after) {
        found.lost_up_to = Some(begin.line);
    }
    let mut lines = Lines::open(&path)?;
    while found.events.len() < limit
        && let Some(text) = lines.next_line()?
    {
        let Ok(Line { n, record, .. }) = line::read(text) else { break };
        if n > last {
            break;
        }
        if n > after {
            found.next = n;
            found.events.extend(Told::of(n, record));
        }
    }
    Ok(found)
}
