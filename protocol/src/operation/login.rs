//! Login (KMIP 2.1 section 6.1.30; 2.0 and later).

use super::request;
use crate::attribute::UsageLimits;
use crate::credential::Ticket;
use crate::error::DecodeError;
use crate::ttlv::{Content, Interval, Item, ItemType, Value, Writer};
use crate::{DateTime, Tag, structure};

structure! {
    /// Asks for a ticket that authenticates requests to come.
    #[derive(Default)]
    pub struct LoginRequest {
        /// How long it shall be good for.
        pub lease_time: Option<LeaseTime> = LEASE_TIME,
        /// For how many requests.
        pub request_count: Option<i32> = REQUEST_COUNT,
        /// For how much protection.
        pub usage_limits: Option<UsageLimits> = USAGE_LIMITS,
    }
}

structure! {
    no Clone
    /// The ticket.
    pub struct LoginResponse {
        /// The ticket.
        pub ticket: Ticket = TICKET,
    }
}

/// How long a ticket is good for: so long, or until then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseTime {
    /// So many seconds.
    For(Interval),
    /// Until this point in time.
    Until(DateTime),
}

impl Value for LeaseTime {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::Interval(seconds) => Ok(Self::For(Interval(seconds))),
            Content::DateTime(time) => Ok(Self::Until(DateTime(time))),
            _ => Err(item.wrong_type(ItemType::Interval)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        match self {
            Self::For(interval) => interval.write(writer, tag),
            Self::Until(time) => time.write(writer, tag),
        }
    }
}

request!(LoginRequest => LoginResponse, Login);
