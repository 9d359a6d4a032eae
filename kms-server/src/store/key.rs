//! Keys whose bytes sort as their parts do.

use kms_protocol::DateTime;

/// Builds a term's key from parts so that keys sort by the first part, then by the second, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// No parts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A text. No text's part is the beginning of another's, so a prefix of whole parts finds just these.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        escape(text.as_bytes(), &mut self.0);
        self
    }

    /// A number, big-endian.
    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// A point in time; the sign is turned over so that dates before 1970 come first.
    #[must_use]
    pub fn date(mut self, date: DateTime) -> Self {
        self.0.extend((date.0 ^ i64::MIN).to_be_bytes());
        self
    }

    /// Takes the text at the front of a key apart from the rest; `None` if there is none.
    #[must_use]
    pub fn split_text(key: &[u8]) -> Option<(String, &[u8])> {
        let (text, rest) = unescape(key)?;
        Some((String::from_utf8(text).ok()?, rest))
    }

    /// The key's bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Appends `bytes` and an end so that sequences of such parts sort part by part: the end is a zero, below
/// all else, and zeros inside become 1 1 (and ones 1 2).
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    escape_open(bytes, out);
    out.push(0);
}

/// [`escape`] without the end: the beginning of every part that begins with `bytes`.
pub(super) fn escape_open(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if byte <= 1 {
            out.extend([1, byte + 1]);
        } else {
            out.push(byte);
        }
    }
}

/// How many bytes [`escape_open`] writes.
pub(super) fn escaped_len(bytes: &[u8]) -> usize {
    bytes.len() + bytes.iter().filter(|&&byte| byte <= 1).count()
}

/// Takes one part off the front: what [`escape`] wrote, and the rest. `None` if it wrote no such thing.
pub(super) fn unescape(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let (part, rest) = bytes.split_at_checked(end)?;
    let mut out = Vec::with_capacity(part.len());
    let mut part = part.iter();
    while let Some(&byte) = part.next() {
        if byte == 1 {
            out.push(part.next().filter(|&&low| low == 1 || low == 2)? - 1);
        } else {
            out.push(byte);
        }
    }
    Some((out, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_sort_as_their_values(a in any::<(Vec<u8>, i64)>(), b in any::<(Vec<u8>, i64)>()) {
            let key = |(text, seconds): &(Vec<u8>, i64)| {
                let mut bytes = Vec::new();
                escape(text, &mut bytes);
                Key(bytes).date(DateTime(*seconds)).bytes()
            };
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn a_part_comes_back_as_it_went_in(part: Vec<u8>, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            escape(&part, &mut bytes);
            prop_assert_eq!(bytes.len(), escaped_len(&part) + 1);
            bytes.extend(&rest);
            prop_assert_eq!(unescape(&bytes), Some((part, rest.as_slice())));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = unescape(&bytes);
        }
    }

    #[test]
    fn a_text_is_no_prefix_of_a_longer_one() {
        let (short, long) = (Key::new().text("job").bytes(), Key::new().text("job-2").bytes());
        assert!(!long.starts_with(&short));
        assert!(short < long);
        assert!(Key::new().text("job").number(7).bytes().starts_with(&short));
    }
}
