//! Captures in the format of libpcap: TCP streams put together again, and the messages in them.

use std::collections::BTreeMap;

use kms_protocol::frame::message_length;

use super::input::InputError;
use crate::limits;

const HEADER: usize = 24;
const RECORD: usize = 16;

/// Source and destination: addresses and ports.
type Stream = (Vec<u8>, Vec<u8>, u16, u16);

/// Whether an input is such a capture.
pub(super) fn is_capture(input: &[u8]) -> bool {
    order(input).is_some() || is_next_generation(input)
}

fn is_next_generation(input: &[u8]) -> bool {
    input.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A])
}

/// Whether numbers are little-endian.
fn order(input: &[u8]) -> Option<bool> {
    match input.first_chunk::<4>()? {
        [0xA1, 0xB2, 0xC3, 0xD4] | [0xA1, 0xB2, 0x3C, 0x4D] => Some(false),
        [0xD4, 0xC3, 0xB2, 0xA1] | [0x4D, 0x3C, 0xB2, 0xA1] => Some(true),
        _ => None,
    }
}

/// The messages of all streams, stream after stream.
pub(super) fn messages(input: &[u8]) -> Result<Vec<Vec<u8>>, InputError> {
    let Some(is_little) = order(input).filter(|_| !is_next_generation(input)) else {
        return Err(InputError::new("this is pcapng: `tshark -r FILE -F pcap -w OTHER` makes a pcap of it"));
    };
    let number = |at: usize| -> Option<u32> {
        let bytes = *input.get(at..)?.first_chunk::<4>()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let link = number(20).unwrap_or(1) & 0xFFFF;
    let mut segments: BTreeMap<Stream, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    let mut at = HEADER;
    while let Some(length) = number(at + 8).and_then(|length| usize::try_from(length).ok()) {
        let Some(packet) = input.get(at + RECORD..(at + RECORD).saturating_add(length)) else { break };
        if let Some((stream, sequence, data)) = network(packet, link).and_then(segment) {
            segments.entry(stream).or_default().entry(sequence).or_insert_with(|| data.to_vec());
        }
        at += RECORD + length;
    }
    let all: Vec<Vec<u8>> = segments.into_values().flat_map(|segments| cut(&joined(segments))).collect();
    if all.is_empty() {
        return Err(InputError::new(
            "the capture holds no KMIP in the clear: `kms-server dev --key-log FILE` lets Wireshark decrypt it, see docs/mock.md",
        ));
    }
    Ok(all)
}

/// A packet without what the link puts in front: IPv4 or IPv6.
fn network(packet: &[u8], link: u32) -> Option<&[u8]> {
    match link {
        0 | 108 => packet.get(4..),
        1 => match packet.get(12..14)? {
            [0x81, 0x00] => packet.get(18..),
            _ => packet.get(14..),
        },
        101 => Some(packet),
        113 => packet.get(16..),
        276 => packet.get(20..),
        _ => None,
    }
}

/// Of which stream a packet is, where in it, and what it carries.
fn segment(packet: &[u8]) -> Option<(Stream, u32, &[u8])> {
    let (addresses, tcp) = match packet.first()? >> 4 {
        4 if *packet.get(9)? == 6 => {
            let length = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
            let header = usize::from(packet.first()? & 0x0F) * 4;
            let end = if length == 0 { packet.len() } else { length.min(packet.len()) };
            ((packet.get(12..16)?, packet.get(16..20)?), packet.get(header..end)?)
        }
        6 if *packet.get(6)? == 6 => {
            let length = usize::from(u16::from_be_bytes(*packet.get(4..)?.first_chunk()?));
            let end = (40 + length).min(packet.len());
            ((packet.get(8..24)?, packet.get(24..40)?), packet.get(40..end)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*tcp.get(at..)?.first_chunk()?));
    let sequence = u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?);
    let data = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    let stream = (addresses.0.to_vec(), addresses.1.to_vec(), port(0)?, port(2)?);
    (!data.is_empty()).then_some((stream, sequence, data))
}

/// Segments in their order, what was sent again left out.
fn joined(segments: BTreeMap<u32, Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next: Option<u32> = None;
    for (sequence, data) in segments {
        let known = next.map_or(0, |next| next.wrapping_sub(sequence)) as usize;
        // Far ahead: something between was not captured.
        let fresh =
            if known > data.len() && known < 1 << 31 { &[][..] } else { data.get(known..).unwrap_or(&data) };
        bytes.extend_from_slice(fresh);
        next = Some(sequence.wrapping_add(u32::try_from(data.len()).unwrap_or(u32::MAX)));
    }
    bytes
}

fn cut(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Ok(Some(length)) = message_length(bytes, limits::WIRE_INPUT)
        && let Some(message) = bytes.get(..length)
    {
        all.push(message.to_vec());
        bytes = bytes.get(length..).unwrap_or_default();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::messages;

    const MESSAGE: [u8; 24] =
        [0x42, 0, 0x78, 1, 0, 0, 0, 16, 0x42, 0, 0x0D, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];

    /// A capture of raw IPv4 with these segments.
    fn capture(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes =
            vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
        for (sequence, data) in segments {
            let length = u16::try_from(40 + data.len()).unwrap();
            let mut packet = vec![0x45, 0];
            packet.extend(length.to_be_bytes());
            packet.extend([0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
            packet.extend([0x16, 0x40, 0x30, 0x39]);
            packet.extend(sequence.to_be_bytes());
            packet.extend([0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0]);
            packet.extend(*data);
            let stated = u32::from(length).to_le_bytes();
            bytes.extend([0; 8]);
            bytes.extend(stated);
            bytes.extend(stated);
            bytes.extend(packet);
        }
        bytes
    }

    #[test]
    fn a_message_in_pieces_out_of_order_and_sent_again_is_one_message() {
        let (first, second) = MESSAGE.split_at(10);
        let capture = capture(&[(110, second), (100, first), (100, first)]);
        assert_eq!(messages(&capture), Ok(vec![MESSAGE.to_vec()]));
    }

    #[test]
    fn what_is_cut_off_or_encrypted_is_no_message_and_no_panic() {
        let whole = capture(&[(100, &MESSAGE)]);
        for end in 0..whole.len() {
            let _ = messages(&whole[..end]);
        }
        assert!(messages(&capture(&[(1, &[0x16, 3, 3, 0, 5])])).unwrap_err().what.contains("--key-log"));
    }
}
