//! One record: when, who, what, with what outcome.

use std::borrow::Cow;
use std::net::SocketAddr;

use jiff::Timestamp;
use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::kms::Event;

/// Where what is recorded came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A request over KMIP.
    Request,
    /// A date that passed, or a policy.
    Schedule,
    /// The admin API.
    Operator,
    /// A connection that was refused.
    Connection,
    /// The server itself.
    Server,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "Cow<'static, str>", from = "Cow<'static, str>")]
pub enum Outcome {
    /// As it was meant to.
    Success,
    /// Refused, or failed: the Result Reason in KMIP's words, or what the HTTP status says.
    Refused(Cow<'static, str>),
}

const SUCCESS: &str = "Success";

impl From<Outcome> for Cow<'static, str> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => SUCCESS.into(),
            Outcome::Refused(reason) => reason,
        }
    }
}

impl From<Cow<'static, str>> for Outcome {
    fn from(text: Cow<'static, str>) -> Self {
        if text == SUCCESS { Self::Success } else { Self::Refused(text) }
    }
}

/// What happened. Never a byte of a key, never a payload: it names objects and says who did what to them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The real time.
    pub time: Timestamp,
    /// The server's time, which keys and policies go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kmip_time: Option<Timestamp>,
    /// Where it came from.
    pub source: Source,
    /// Who it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// The operation in KMIP's words, or what else was done.
    pub operation: Cow<'static, str>,
    /// The version of KMIP that it was asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Cow<'static, str>>,
    /// The objects that it touched, the first [`limits::OBJECTS`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// How many more it touched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_objects: usize,
    /// Whose objects they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What all records of one request share; the server made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub correlation: String,
    /// What the client called the request (Client Correlation Value).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_correlation: Option<String>,
    /// What the client took over from a server before (Server Correlation Value).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_correlation: Option<String>,
    /// More of what was done or why not, in the server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What those who follow the server are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<Event>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Record {
    /// A success of `operation`, with nothing else said yet.
    #[must_use]
    pub fn new(time: Timestamp, source: Source, operation: impl Into<Cow<'static, str>>) -> Self {
        Self {
            time,
            kmip_time: None,
            source,
            principal: None,
            peer: None,
            operation: operation.into(),
            version: None,
            objects: Vec::new(),
            more_objects: 0,
            owner: None,
            outcome: Outcome::Success,
            correlation: String::new(),
            client_correlation: None,
            server_correlation: None,
            detail: None,
            event: None,
        }
    }

    /// Says what the server's own time was.
    #[must_use]
    pub fn at(mut self, time: DateTime) -> Self {
        self.kmip_time = Timestamp::from_second(time.0).ok();
        self
    }

    /// Says more.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(brief(detail.into()));
        self
    }

    /// Says that it was refused.
    #[must_use]
    pub fn refused(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.outcome = Outcome::Refused(reason.into());
        self
    }

    /// Says that an object was touched.
    pub fn touch(&mut self, id: &str) {
        if self.objects.iter().any(|known| known == id) {
        } else if self.objects.len() < limits::OBJECTS {
            self.objects.push(bounded(id));
        } else {
            self.more_objects += 1;
        }
    }

    /// Adds an event, and what it says of objects.
    #[must_use]
    pub fn with(mut self, event: Event) -> Self {
        for id in event.objects() {
            self.touch(id);
        }
        if let Some(owner) = event.owner() {
            self.owner = Some(owner.to_owned());
        }
        self.event = Some(Box::new(event));
        self
    }

    /// About how many bytes it holds in memory.
    pub(super) fn weight(&self) -> usize {
        let texts = [&self.principal, &self.owner, &self.client_correlation, &self.detail];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let objects: usize = self.objects.iter().map(|id| id.len() + size_of::<String>()).sum();
        let event = self.event.as_ref().map_or(0, |event| size_of::<Event>() + event.weight());
        size_of::<Self>() + texts + objects + self.correlation.len() + event
    }

    /// What a line says of a record that is longer than a line may be. It names the event by its kind alone.
    pub(super) fn cut(&self) -> Self {
        let event = self.event.as_ref().map_or("", |event| event.kind());
        let mut cut = Self { event: None, operation: bounded(&self.operation).into(), ..self.clone() };
        cut.detail =
            Some(format!("the record was longer than a line may be, and was cut; its event: {event:?}"));
        for text in [&mut cut.principal, &mut cut.owner] {
            *text = text.as_deref().map(bounded);
        }
        cut
    }
}

/// A text of the server's own, cut to what a record takes.
#[must_use]
pub fn brief(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(limits::DETAIL) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A text of a peer's, cut to what a record takes.
#[must_use]
pub fn bounded(text: &str) -> String {
    let end = text.char_indices().nth(limits::TEXT).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default().to_owned()
}
