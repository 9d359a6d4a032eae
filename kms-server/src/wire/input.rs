//! From hexadecimal digits, base64, bytes, XML, JSON or a capture to messages.

use kms_protocol::encoding::{from_json, from_xml};
use kms_protocol::frame::{HEADER, message_length};

use super::capture;
use crate::limits;

/// What form a message is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Bytes as they are.
    Binary,
    /// Hexadecimal digits; spaces and line ends between them do not matter.
    Hex,
    /// Base64.
    Base64,
    /// XML (Additional Message Encodings, section 4).
    Xml,
    /// JSON (section 6).
    Json,
    /// A capture (pcap or pcapng) of TCP without TLS.
    Capture,
}

/// Why an input holds no messages.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct InputError {
    /// What is wrong with it.
    pub what: String,
}

impl InputError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// The messages in an input, and the form that they were in. What is no message may be among them: it is what a linter is for.
///
/// # Errors
/// [`InputError`] when it is in none of the forms, or too long.
pub fn messages(input: &[u8]) -> Result<(Form, Vec<Vec<u8>>), InputError> {
    if input.len() > limits::WIRE_INPUT {
        return Err(InputError::new(format!("the input has more than {} bytes", limits::WIRE_INPUT)));
    }
    if capture::is_capture(input) {
        return Ok((Form::Capture, capture::messages(input)?));
    }
    let (form, bytes) = bytes(input)?;
    Ok((form, cut(&bytes)))
}

fn bytes(input: &[u8]) -> Result<(Form, Vec<u8>), InputError> {
    // A tag in the specification's range, or an extension's: no text begins so.
    if matches!(input, [0x42 | 0x54, 0x00..=0x1F, ..]) || core::str::from_utf8(input).is_err() {
        return Ok((Form::Binary, input.to_vec()));
    }
    let text = core::str::from_utf8(input).unwrap_or_default().trim();
    let encoded = |error: kms_protocol::encoding::EncodingError| InputError::new(error.to_string());
    if text.starts_with('<') {
        return Ok((Form::Xml, from_xml(text).map_err(encoded)?.expose().to_vec()));
    }
    if text.starts_with(['{', '[']) {
        return Ok((Form::Json, from_json(text).map_err(encoded)?.expose().to_vec()));
    }
    let plain: String = text
        .replace("0x", "")
        .chars()
        .filter(|one| !one.is_whitespace() && !matches!(one, ':' | ',' | '|'))
        .collect();
    if plain.is_empty() {
        return Err(InputError::new("the input is empty"));
    }
    if let Ok(bytes) = hex::decode(&plain) {
        return Ok((Form::Hex, bytes));
    }
    from_base64(&plain).map(|bytes| (Form::Base64, bytes)).ok_or_else(|| {
        InputError::new(
            "the input is neither hexadecimal digits nor base64, XML, JSON, bytes of KMIP, pcap or pcapng",
        )
    })
}

/// Bytes as messages that follow each other; what cannot be cut goes as one.
fn cut(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Ok(Some(length)) = message_length(bytes, limits::WIRE_INPUT)
        && length >= HEADER
        && length < bytes.len()
        && message_length(bytes.get(length..).unwrap_or_default(), limits::WIRE_INPUT)
            .is_ok_and(|next| next.is_some())
    {
        let (message, rest) = bytes.split_at(length);
        all.push(message.to_vec());
        bytes = rest;
    }
    all.push(bytes.to_vec());
    all
}

/// Base64 (RFC 4648), standard or for URLs, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xFF).unwrap_or_default());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Form, messages};

    const MESSAGE: [u8; 24] =
        [0x42, 0, 0x78, 1, 0, 0, 0, 16, 0x42, 0, 0x0D, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];

    #[test]
    fn every_form_gives_the_same_bytes() {
        let hex = hex::encode(MESSAGE);
        let spaced = format!("0x{} {}\n{}", &hex[..8], &hex[8..20], &hex[20..]);
        let base64 = "QgB4AQAAABBCAA0CAAAABAAAAAEAAAAA";
        for (form, input) in [
            (Form::Binary, &MESSAGE[..]),
            (Form::Hex, hex.as_bytes()),
            (Form::Hex, spaced.as_bytes()),
            (Form::Base64, base64.as_bytes()),
        ] {
            assert_eq!(messages(input), Ok((form, vec![MESSAGE.to_vec()])));
        }
        assert_eq!(messages(&[MESSAGE, MESSAGE].concat()).expect("messages").1.len(), 2);
        assert!(messages(b"what is this?").is_err() && messages(b"").is_err());
    }
}
