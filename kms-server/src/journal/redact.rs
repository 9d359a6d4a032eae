//! A message without its secrets.

use kms_protocol::frame::HEADER;
use kms_protocol::ttlv::{self, Content, Reader};
use kms_protocol::{Tag, Version};

use crate::limits;

/// A message whose byte strings, big integers and passwords are zeros of the same length, public keys and certificates
/// excepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redacted(Vec<u8>);

impl Redacted {
    /// Bytes that it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The message as it stands on the wire, but for what is zero.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// One line for each item.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = ttlv::dump(&self.0, &mut text) {
            text.push_str(&format!("malformed from here on: {error}\n"));
        }
        text
    }
}

/// A message without its secrets. `None` where it is longer than [`limits::JOURNAL_MESSAGE`] or malformed: of bytes that
/// cannot be told apart any may be secret.
#[must_use]
pub fn redacted(message: &[u8]) -> Option<Redacted> {
    if message.len() > limits::JOURNAL_MESSAGE {
        return None;
    }
    let mut copy = message.to_vec();
    blank(Reader::new(message, Version::V2_1), &mut copy)?;
    Some(Redacted(copy))
}

fn blank(mut reader: Reader<'_>, copy: &mut [u8]) -> Option<()> {
    while let Some(item) = reader.next_item().ok()? {
        let length = match item.content {
            // They are no secret, and what is recorded is worth little without them.
            Content::Structure(_) if matches!(item.tag, Tag::PUBLIC_KEY | Tag::CERTIFICATE) => continue,
            Content::Structure(inner) => {
                blank(inner, copy)?;
                continue;
            }
            Content::ByteString(bytes) | Content::BigInteger(bytes) => bytes.len(),
            Content::TextString(text) if matches!(item.tag, Tag::PASSWORD | Tag::ONE_TIME_PASSWORD) => {
                text.len()
            }
            _ => continue,
        };
        let start = item.offset + HEADER;
        copy.get_mut(start..start + length)?.fill(0);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use kms_protocol::ttlv::{ItemType, Writer};
    use kms_protocol::{Tag, Version};

    use super::redacted;

    #[test]
    fn no_secret_survives_and_everything_else_does() {
        let mut writer = Writer::new(Version::V1_4);
        writer.structure(Tag::REQUEST_MESSAGE, |writer| {
            writer.item(Tag::KEY_MATERIAL, ItemType::ByteString, b"hunter2");
            writer.item(Tag::PASSWORD, ItemType::TextString, b"hunter2");
            writer.item(Tag::PRIVATE_EXPONENT, ItemType::BigInteger, b"hunter22");
            writer.structure(Tag::PUBLIC_KEY, |writer| {
                writer.item(Tag::KEY_MATERIAL, ItemType::ByteString, b"for all");
            });
            writer.item(Tag::USERNAME, ItemType::TextString, b"veeam");
        });
        let bytes = writer.into_bytes();
        let kept = redacted(&bytes).expect("well-formed");
        assert_eq!(kept.len(), bytes.len());
        assert!(!kept.bytes().windows(6).any(|window| window == b"hunter"));
        assert!(kept.text().contains("\"veeam\""), "{}", kept.text());
        assert!(kept.bytes().windows(7).any(|window| window == b"for all"), "a public key is no secret");
        assert_eq!(redacted(&bytes[..20]), None);
    }
}
