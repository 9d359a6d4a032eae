//! Poll (KMIP 1.4 section 4.28, 2.1 section 6.1.38).

use super::request;
use crate::error::DecodeError;
use crate::ttlv::{Bytes, Item, RawValue, Value, Writer};
use crate::{Tag, structure};

structure! {
    /// Asks what came of a pending operation.
    pub struct PollRequest {
        /// By what the pending operation is known.
        pub asynchronous_correlation_value: Bytes = ASYNCHRONOUS_CORRELATION_VALUE,
    }
}

/// The payload of the operation that was polled, as it came: which operation that is, its own Response Batch Item says.
#[derive(Clone, PartialEq, Debug)]
pub struct PollResponse(pub RawValue);

impl Value for PollResponse {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        RawValue::read(item).map(Self)
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        self.0.write(writer, tag);
    }
}

request!(PollRequest => PollResponse, Poll);
