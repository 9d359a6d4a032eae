//! Private keys in all the forms in which somebody might look for them, and the search for them.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, Match};
use kms_protocol::Secret;
use kms_server::crypto::format;

/// How much of a number is looked for: enough to be no accident, little enough to be found where a part was overwritten.
const BYTES: usize = 24;

/// What is looked for: its name and its bytes.
pub struct Needle(String, Vec<u8>);

/// The numbers that a private key is made of, in every dress.
pub fn of_private_key(name: &str, pkcs8: &Secret) -> Vec<Needle> {
    let numbers = match format::rsa_private_parts(pkcs8) {
        Ok(parts) => vec![
            ("p", parts.p),
            ("q", parts.q),
            ("d", parts.private_exponent),
            ("d mod (p - 1)", parts.prime_exponent_p),
            ("d mod (q - 1)", parts.prime_exponent_q),
            ("1/q mod p", parts.crt_coefficient),
        ],
        Err(_) => vec![("the scalar", format::ec_private_scalar(pkcs8).unwrap().1)],
    };
    let dressed =
        |(what, number): &(&str, Secret)| in_every_dress(&format!("{what} of {name}"), number.expose());
    numbers.iter().flat_map(dressed).collect()
}

/// The bytes themselves, in hexadecimal digits of both kinds, in base64 at each of its three offsets, and as a list of
/// numbers as `{:?}` prints it; all that backwards too, as a number lies in the memory of a little-endian machine.
pub fn in_every_dress(name: &str, bytes: &[u8]) -> Vec<Needle> {
    // The middle of it: an allocator overwrites the beginning of what is freed.
    let middle = &bytes[bytes.len() / 2 - BYTES / 2..bytes.len() / 2 + BYTES / 2];
    let backwards: Vec<u8> = middle.iter().rev().copied().collect();
    let mut needles = Vec::new();
    for (order, bytes) in [("", middle.to_vec()), (", backwards", backwards)] {
        let hex = hex::encode(&bytes);
        needles.push(Needle(format!("{name}{order} in upper hex"), hex.to_uppercase().into_bytes()));
        needles.push(Needle(format!("{name}{order} in hex"), hex.into_bytes()));
        for offset in 0..3 {
            let text = base64(&bytes[offset..]);
            needles.push(Needle(format!("{name}{order} in base64"), text.clone().into_bytes()));
            let url = text.replace('+', "-").replace('/', "_");
            needles.push(Needle(format!("{name}{order} in base64url"), url.into_bytes()));
        }
        let list = format!("{:?}", &bytes[..BYTES / 2]);
        needles.push(Needle(format!("{name}{order} as a list"), list.trim_matches(['[', ']']).into()));
        needles.push(Needle(format!("{name}{order}"), bytes));
    }
    needles
}

/// Base64 of whole groups of three bytes; what is left over depends on what follows.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks_exact(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(DIGITS[(bits >> shift & 63) as usize]));
        }
    }
    text
}

/// All needles, looked for at once.
pub struct Search {
    names: Vec<String>,
    automaton: AhoCorasick,
}

impl Search {
    pub fn new(needles: impl IntoIterator<Item = Needle>) -> Self {
        let (names, needles): (Vec<_>, Vec<_>) =
            needles.into_iter().map(|Needle(name, bytes)| (name, bytes)).unzip();
        Self { names, automaton: AhoCorasick::new(needles).unwrap() }
    }

    /// The names of what is in these bytes.
    pub fn found(&self, haystack: &[u8]) -> BTreeSet<&str> {
        let name = |found: Match| self.names[found.pattern().as_usize()].as_str();
        self.automaton.find_overlapping_iter(haystack).map(name).collect()
    }
}
