//! Operations whose data comes in parts (KMIP 1.3 and later): what is under way, by its Correlation Value.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use kms_protocol::DateTime;
use kms_protocol::enums::Operation;
use kms_protocol::ttlv::Bytes;

use super::refusal::{Reason, Refusal};
use super::{Context, Kms};
use crate::crypto::hash::Hasher;
use crate::crypto::mac::Coder;
use crate::crypto::signature::{Message, Scheme};
use crate::crypto::{Stream, cipher};
use crate::limits;

/// Bytes of a Correlation Value: nobody guesses another's.
const CORRELATION: usize = 16;

/// All operations under way.
#[derive(Default)]
pub(super) struct Streams(HashMap<Vec<u8>, UnderWay>);

struct UnderWay {
    principal: String,
    operation: Operation,
    object: String,
    work: Work,
    since: DateTime,
}

/// The state of an operation under way.
pub(super) enum Work {
    /// Encrypt or Decrypt, with the tag that a decryption stated in its first part.
    Cipher(Stream, Option<Bytes>),
    /// Hash.
    Hash(Hasher),
    /// MAC, or MAC Verify with the code that it stated.
    Code(Coder, Option<Bytes>),
    /// Sign, or Signature Verify with the signature that it stated.
    Signature(Message, Scheme, Option<Bytes>),
}

/// Where a request stands in its stream.
pub(super) struct Part {
    pub work: Work,
    pub is_last: bool,
    correlation: Option<Bytes>,
}

/// A request's own words for that.
pub(super) struct Indicators<'a> {
    pub correlation: Option<&'a Bytes>,
    pub init: Option<bool>,
    pub last: Option<bool>,
}

impl Kms {
    /// The work that a request's data is for: new, or what its Correlation Value says is under way.
    ///
    /// # Errors
    /// When nothing of the caller's is under way so, and those of `start`.
    pub(super) fn part(
        &self,
        indicators: &Indicators<'_>,
        object: &str,
        context: &Context<'_>,
        start: impl FnOnce() -> Result<Work, Refusal>,
    ) -> Result<Part, Refusal> {
        let begins = indicators.init == Some(true);
        match indicators.correlation {
            Some(_) if begins => Err(Refusal::new(
                Reason::InvalidMessage,
                "a request either begins a stream or goes on with one: Init Indicator and Correlation Value exclude each other",
            )),
            Some(correlation) => {
                let work = self.under_way(correlation, object, context)?;
                let is_last = indicators.last == Some(true);
                Ok(Part { work, is_last, correlation: Some(correlation.clone()) })
            }
            None => {
                let is_last = !begins || indicators.last == Some(true);
                Ok(Part { work: start()?, is_last, correlation: None })
            }
        }
    }

    /// Keeps the work of a part that is not the last, and says by what to go on with it.
    ///
    /// # Errors
    /// When too many are under way.
    pub(super) fn go_on_later(
        &self,
        part: Part,
        object: &str,
        context: &Context<'_>,
    ) -> Result<Bytes, Refusal> {
        let Part { work, correlation, .. } = part;
        let correlation = match correlation {
            Some(correlation) => correlation,
            None => Bytes(cipher::random(CORRELATION)?),
        };
        let mut streams = self.streams();
        let since = context.now;
        // A clock that was moved back ends none.
        streams.0.retain(|_, other| since.0.saturating_sub(other.since.0) <= limits::STREAM_IDLE);
        let principal = &context.caller.principal;
        let own = streams.0.values().filter(|other| other.principal == *principal).count();
        if streams.0.len() >= limits::STREAMS || own >= limits::STREAMS_EACH {
            return Err(Refusal::new(
                Reason::Limit,
                "too many operations are under way: finish one with its Final Indicator, or send data in one request",
            ));
        }
        let under_way = UnderWay {
            principal: principal.clone(),
            operation: context.operation,
            object: object.to_owned(),
            work,
            since,
        };
        streams.0.insert(correlation.0.clone(), under_way);
        Ok(correlation)
    }

    fn under_way(&self, correlation: &Bytes, object: &str, context: &Context<'_>) -> Result<Work, Refusal> {
        let is_meant = |other: &UnderWay| {
            other.principal == context.caller.principal
                && other.operation == context.operation
                && other.object == object
        };
        let mut streams = self.streams();
        if streams.0.get(&correlation.0).is_some_and(is_meant)
            && let Some(found) = streams.0.remove(&correlation.0)
        {
            return Ok(found.work);
        }
        Err(Refusal::new(
            Reason::NoSuchStream,
            format!(
                "nothing is under way by this Correlation Value; a stream waits {} s for its next part",
                limits::STREAM_IDLE
            ),
        ))
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
