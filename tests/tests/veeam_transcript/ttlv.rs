//! TTLV as the specification's section 9.1 has it, written down a second time: what the server sends is compared item
//! by item, with nothing of the project's own encoding in between.

use std::fmt;
use std::io::{Read, Write};

use kms_protocol::Tag;

/// One item.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    pub tag: Tag,
    pub value: Value,
}

/// A value of one of the types that a transcript needs.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Structure(Vec<Node>),
    Integer(i32),
    Enumeration(u32),
    Text(String),
    Bytes(Vec<u8>),
    DateTime(i64),
}

pub fn structure(tag: Tag, items: impl Into<Vec<Node>>) -> Node {
    Node { tag, value: Value::Structure(items.into()) }
}

pub fn integer(tag: Tag, value: i32) -> Node {
    Node { tag, value: Value::Integer(value) }
}

pub fn enumeration(tag: Tag, value: u32) -> Node {
    Node { tag, value: Value::Enumeration(value) }
}

pub fn text(tag: Tag, value: &str) -> Node {
    Node { tag, value: Value::Text(value.to_owned()) }
}

pub fn bytes(tag: Tag, value: &[u8]) -> Node {
    Node { tag, value: Value::Bytes(value.to_owned()) }
}

impl Node {
    pub fn encode(&self) -> Vec<u8> {
        let (item_type, value) = match &self.value {
            Value::Structure(items) => (1, items.iter().flat_map(Self::encode).collect()),
            Value::Integer(value) => (2, value.to_be_bytes().to_vec()),
            Value::Enumeration(value) => (5, value.to_be_bytes().to_vec()),
            Value::Text(value) => (7, value.as_bytes().to_vec()),
            Value::Bytes(value) => (8, value.clone()),
            Value::DateTime(value) => (9, value.to_be_bytes().to_vec()),
        };
        let mut bytes = self.tag.0.to_be_bytes()[1..].to_vec();
        bytes.push(item_type);
        bytes.extend(u32::try_from(value.len()).expect("a short value").to_be_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// Takes an item off the front of `bytes`.
    pub fn decode(bytes: &mut &[u8]) -> Self {
        let [t0, t1, t2, item_type, length @ ..] = *take::<8>(bytes);
        let length = u32::from_be_bytes(length) as usize;
        let (value, rest) = bytes.split_at(length);
        let (padding, rest) = rest.split_at(length.next_multiple_of(8) - length);
        assert!(padding.iter().all(|byte| *byte == 0), "padding is zero");
        *bytes = rest;
        let four = || <[u8; 4]>::try_from(value).expect("4 bytes");
        let value = match item_type {
            1 => {
                let mut inner = value;
                let mut items = Vec::new();
                while !inner.is_empty() {
                    items.push(Self::decode(&mut inner));
                }
                Value::Structure(items)
            }
            2 => Value::Integer(i32::from_be_bytes(four())),
            5 => Value::Enumeration(u32::from_be_bytes(four())),
            7 => Value::Text(String::from_utf8(value.to_vec()).expect("UTF-8")),
            8 => Value::Bytes(value.to_vec()),
            9 => Value::DateTime(i64::from_be_bytes(value.try_into().expect("8 bytes"))),
            other => panic!("no type that a transcript has: {other}"),
        };
        Self { tag: Tag(u32::from_be_bytes([0, t0, t1, t2])), value }
    }

    /// The items of a structure of this tag.
    pub fn into_items(self, tag: Tag) -> Vec<Self> {
        match self {
            Self { tag: found, value: Value::Structure(items) } if found == tag => items,
            other => panic!("a structure {tag}, not {other:?}"),
        }
    }

    pub fn into_text(self, tag: Tag) -> String {
        match self {
            Self { tag: found, value: Value::Text(text) } if found == tag => text,
            other => panic!("a text {tag}, not {other:?}"),
        }
    }

    pub fn into_bytes(self, tag: Tag) -> Vec<u8> {
        match self {
            Self { tag: found, value: Value::Bytes(bytes) } if found == tag => bytes,
            other => panic!("a byte string {tag}, not {other:?}"),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Structure(items) => f.debug_tuple(&self.tag.to_string()).field(items).finish(),
            Value::Integer(value) => write!(f, "{}: {value}", self.tag),
            Value::Enumeration(value) => write!(f, "{}: 0x{value:X}", self.tag),
            Value::Text(value) => write!(f, "{}: {value:?}", self.tag),
            Value::Bytes(value) => write!(f, "{}: {}", self.tag, hex::encode(value)),
            Value::DateTime(value) => write!(f, "{}: {value} s", self.tag),
        }
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> &'a [u8; N] {
    let (first, rest) = bytes.split_first_chunk().expect("a whole item");
    *bytes = rest;
    first
}

/// Sends a message and reads the one that answers it.
pub fn exchange(stream: &mut (impl Read + Write), request: &Node) -> Node {
    stream.write_all(&request.encode()).expect("sent");
    stream.flush().expect("sent");
    let mut message = vec![0; 8];
    stream.read_exact(&mut message).expect("an answer");
    let length = u32::from_be_bytes(message[4..8].try_into().expect("4 bytes"));
    message.resize(8 + length as usize, 0);
    stream.read_exact(&mut message[8..]).expect("a whole answer");
    let mut rest = message.as_slice();
    let answer = Node::decode(&mut rest);
    assert!(rest.is_empty(), "one message");
    answer
}
