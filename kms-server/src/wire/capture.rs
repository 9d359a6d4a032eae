//! Captures, pcap or pcapng: TCP streams put together again, and the messages in them.

use std::collections::BTreeMap;

use kms_protocol::frame::message_length;
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

use super::input::InputError;
use crate::limits;

/// Source and destination: addresses and ports.
type Stream = (Vec<u8>, Vec<u8>, u16, u16);

/// Whether an input is such a capture.
pub(super) fn is_capture(input: &[u8]) -> bool {
    let magics = [
        [0xA1, 0xB2, 0xC3, 0xD4],
        [0xD4, 0xC3, 0xB2, 0xA1],
        [0xA1, 0xB2, 0x3C, 0x4D],
        [0x4D, 0x3C, 0xB2, 0xA1],
        [0x0A, 0x0D, 0x0D, 0x0A],
    ];
    magics.iter().any(|magic| input.starts_with(magic))
}

/// The messages of all streams, stream after stream.
pub(super) fn messages(input: &[u8]) -> Result<Vec<Vec<u8>>, InputError> {
    let mut segments: BTreeMap<Stream, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    packets(input, |packet, link| {
        if let Some((stream, sequence, data)) = network(packet, link).and_then(segment) {
            segments.entry(stream).or_default().entry(sequence).or_insert_with(|| data.to_vec());
        }
    })?;
    let all: Vec<Vec<u8>> = segments.into_values().flat_map(|segments| cut(&joined(segments))).collect();
    if all.is_empty() {
        return Err(InputError::new(
            "the capture holds no KMIP in the clear: `kms-server dev --key-log FILE` lets Wireshark decrypt it, see docs/mock.md",
        ));
    }
    Ok(all)
}

/// Hands each packet to `take`, with the link that it was captured on. A capture that was cut off ends where it was.
fn packets(input: &[u8], mut take: impl FnMut(&[u8], u32)) -> Result<(), InputError> {
    // Room for all of it: then a block that is not whole is one that was cut off.
    let mut reader = create_reader(input.len().max(1), input)
        .map_err(|error| InputError::new(format!("the capture cannot be read: {error}")))?;
    let mut links = Vec::new();
    loop {
        let (length, block) = match reader.next() {
            Ok(next) => next,
            Err(PcapError::Eof | PcapError::Incomplete(_)) => return Ok(()),
            Err(error) => return Err(InputError::new(format!("the capture cannot be read: {error:?}"))),
        };
        let link = |interface: u32, links: &[u32]| {
            usize::try_from(interface).ok().and_then(|at| links.get(at).copied())
        };
        match block {
            PcapBlockOwned::LegacyHeader(header) => links = vec![header.network.0.unsigned_abs() & 0xFFFF],
            PcapBlockOwned::Legacy(packet) => {
                take(packet.data, link(0, &links).unwrap_or(1));
            }
            // Interfaces are counted anew in each section.
            PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                links.push(interface.linktype.0.unsigned_abs());
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                if let Some(link) = link(packet.if_id, &links) {
                    take(packet.packet_data(), link);
                }
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                if let Some(link) = link(0, &links) {
                    take(packet.packet_data(), link);
                }
            }
            PcapBlockOwned::NG(_) => {}
        }
        reader.consume(length);
    }
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

    /// The same as pcapng: its blocks, little-endian, on an interface of its own.
    fn next_generation(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let padding = body.len().next_multiple_of(4) - body.len();
            let length = u32::try_from(12 + body.len() + padding).unwrap().to_le_bytes();
            [&kind.to_le_bytes(), &length, body, &vec![0; padding], &length].concat()
        };
        let section = [&[0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0][..], &[0xFF; 8]].concat();
        let mut bytes = [block(0x0A0D_0D0A, &section), block(1, &[101, 0, 0, 0, 0, 0, 4, 0])].concat();
        let old = capture(segments);
        let mut rest = &old[24..];
        while let Some((header, behind)) = rest.split_at_checked(16) {
            let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
            let body = [&[0; 12][..], &header[8..16], &behind[..length]].concat();
            bytes.extend(block(6, &body));
            rest = &behind[length..];
        }
        bytes
    }

    #[test]
    fn a_message_in_pieces_out_of_order_and_sent_again_is_one_message() {
        let (first, second) = MESSAGE.split_at(10);
        let segments = [(110, second), (100, first), (100, first)];
        assert_eq!(messages(&capture(&segments)), Ok(vec![MESSAGE.to_vec()]));
        assert_eq!(messages(&next_generation(&segments)), Ok(vec![MESSAGE.to_vec()]));
    }

    #[test]
    fn what_is_cut_off_or_encrypted_is_no_message_and_no_panic() {
        for whole in [capture(&[(100, &MESSAGE)]), next_generation(&[(100, &MESSAGE)])] {
            for end in 0..whole.len() {
                assert!(messages(&whole[..end]).is_err(), "{end}");
                let mut spoilt = whole.clone();
                spoilt[end] ^= 0xFF;
                let _ = messages(&spoilt);
            }
        }
        assert!(messages(&capture(&[(1, &[0x16, 3, 3, 0, 5])])).unwrap_err().what.contains("--key-log"));
    }
}
