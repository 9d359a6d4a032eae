//! Where one message ends in a stream of bytes.

use crate::Tag;

/// Bytes of a TTLV header: tag (3), type (1), length (4).
pub const HEADER: usize = 8;

/// The type byte of a Structure; every message is one.
const STRUCTURE: u8 = 0x01;

/// Why a stream of bytes cannot be cut into messages; nothing that follows in it can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The first bytes are no Request Message and no Response Message.
    #[error("the stream does not start with a KMIP message: first bytes {0:02X?}")]
    NotKmip([u8; 4]),
    /// The message states a length above the limit.
    #[error("the message states {stated} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes that the header states, its own eight included.
        stated: u64,
        /// The limit in force.
        limit: usize,
    },
}

/// The length of the first message in `stream`, its header included, as soon as the header tells it.
///
/// `Ok(None)` asks for more bytes. The length may exceed what `stream` holds so far.
///
/// # Errors
/// [`FrameError`] when the bytes are not KMIP or the stated length is above `limit`.
pub fn message_length(stream: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some((start, rest)) = stream.split_first_chunk::<4>() else { return Ok(None) };
    let tag = Tag(u32::from_be_bytes([0, start[0], start[1], start[2]]));
    if start[3] != STRUCTURE || !matches!(tag, Tag::REQUEST_MESSAGE | Tag::RESPONSE_MESSAGE) {
        return Err(FrameError::NotKmip(*start));
    }
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let stated = u64::from(u32::from_be_bytes(*length)) + HEADER as u64;
    match usize::try_from(stated) {
        Ok(stated) if stated <= limit => Ok(Some(stated)),
        _ => Err(FrameError::TooLong { stated, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameError, message_length};

    #[test]
    fn incomplete_input_asks_for_more() {
        let whole = [0x42, 0x00, 0x78, 0x01, 0, 0, 0, 16];
        for end in 0..whole.len() {
            assert_eq!(message_length(&whole[..end], 1024), Ok(None), "after {end} bytes");
        }
        assert_eq!(message_length(&whole, 1024), Ok(Some(24)));
    }

    #[test]
    fn what_is_not_kmip_is_refused_at_once() {
        assert_eq!(message_length(b"GET / HTTP/1.1", 1024), Err(FrameError::NotKmip(*b"GET ")));
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_anything_is_allocated() {
        let huge = [0x42, 0x00, 0x78, 0x01, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(
            message_length(&huge, 1024),
            Err(FrameError::TooLong { stated: 0x1_0000_0007, limit: 1024 })
        );
    }
}
