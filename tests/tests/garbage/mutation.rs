//! Makes dishonest messages: from nothing, by changing bytes, and by changing the items of an honest one, whose lengths
//! stay right so that the change gets far.

use kms_tests::chance::Chance;

/// How deep items are looked into. Honest messages have less.
const DEPTH: usize = 16;
/// The longest message made: the tester's time goes into variety.
const LONGEST: usize = 128 << 10;

/// One item, for changing.
#[derive(Clone, Debug)]
struct Node {
    tag: [u8; 3],
    kind: u8,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Items(Vec<Node>),
    Bytes(Vec<u8>),
}

/// One dishonest message.
pub fn mutant(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = match chance.below(10) {
        0 => noise(chance),
        1..4 => {
            let mut bytes = chance.choose(corpus).clone();
            for _ in 0..=chance.below(5) {
                change_bytes(&mut bytes, corpus, chance);
            }
            bytes
        }
        _ => {
            let mut nodes = parse(chance.choose::<Vec<u8>>(corpus), DEPTH).expect("an honest message");
            for _ in 0..=chance.below(4) {
                change_items(&mut nodes, corpus, chance);
            }
            let mut bytes = Vec::new();
            nodes.iter().for_each(|node| node.write(&mut bytes));
            bytes
        }
    };
    bytes.truncate(LONGEST);
    bytes
}

/// Noise, half of it dressed up as a message.
fn noise(chance: &mut Chance) -> Vec<u8> {
    let length = chance.below(600);
    let inside = chance.bytes(length);
    if chance.once_in(2) {
        return inside;
    }
    let mut bytes = vec![0x42, 0x00, 0x78, 0x01];
    bytes.extend((inside.len() as u32).to_be_bytes());
    bytes.extend(inside);
    bytes
}

fn change_bytes(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len().max(1)).min(bytes.len());
    match chance.below(8) {
        0 => bytes.truncate(at),
        1 => {
            let length = chance.below(40);
            bytes.splice(at..at, chance.bytes(length));
        }
        2 => {
            let end = (at + chance.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        3 => {
            let other = chance.choose(corpus);
            let from = chance.below(other.len());
            bytes.splice(at.., other.iter().copied().skip(from));
        }
        4 => {
            for (byte, extreme) in bytes.iter_mut().skip(at & !7).skip(4).zip(*chance.choose(&LENGTHS)) {
                *byte = extreme;
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte =
                    if chance.once_in(2) { chance.number() as u8 } else { *byte ^ (1 << chance.below(8)) };
            }
        }
    }
    // Most of what is not cut out of the stream as one message tests the cutting again and nothing else.
    if chance.once_in(2) && bytes.len() >= 8 {
        let length = bytes.len() as u32 - 8;
        for (byte, right) in bytes.iter_mut().skip(4).zip(length.to_be_bytes()) {
            *byte = right;
        }
    }
}

/// Lengths that tempt a program to compute wrongly or to allocate.
const LENGTHS: [[u8; 4]; 5] = [[0; 4], [0xFF; 4], [0x7F, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0], [0, 0, 0, 1]];

fn change_items(nodes: &mut Vec<Node>, corpus: &[Vec<u8>], chance: &mut Chance) {
    // Down to some item, rarely stopping at the message itself.
    if let Some(Node { value: Value::Items(items), .. }) = some(nodes, chance)
        && !items.is_empty()
        && !chance.once_in(4)
    {
        return change_items(items, corpus, chance);
    }
    let at = chance.below(nodes.len().max(1));
    match chance.below(8) {
        0 if nodes.len() > 1 => {
            nodes.remove(at);
        }
        1 => {
            let copies = *chance.choose(&[1, 2, 30]);
            let copy = nodes.get(at).cloned();
            for _ in 0..copies {
                nodes.extend(copy.clone());
            }
        }
        2 => {
            let other = chance.below(nodes.len().max(1));
            nodes.swap(at.min(other), at.max(other));
        }
        3 => {
            let foreign = parse(chance.choose::<Vec<u8>>(corpus), DEPTH).expect("an honest message");
            let foreign = graft(foreign, chance);
            nodes.insert(at, foreign);
        }
        4 => {
            // Deeper than the limit, around what was there.
            if let Some(node) = nodes.get_mut(at) {
                for _ in 0..chance.below(60) {
                    let inside = std::mem::replace(&mut node.value, Value::Items(Vec::new()));
                    let inside = Node { tag: node.tag, kind: node.kind, value: inside };
                    (node.kind, node.value) = (1, Value::Items(vec![inside]));
                }
            }
        }
        _ => {
            if let Some(node) = nodes.get_mut(at) {
                change_node(node, chance);
            }
        }
    }
}

fn some<'a>(nodes: &'a mut [Node], chance: &mut Chance) -> Option<&'a mut Node> {
    let at = chance.below(nodes.len().max(1));
    nodes.get_mut(at)
}

/// Some item from inside a message.
fn graft(mut nodes: Vec<Node>, chance: &mut Chance) -> Node {
    let node = nodes.swap_remove(chance.below(nodes.len()));
    match node {
        Node { value: Value::Items(items), .. } if !items.is_empty() && !chance.once_in(4) => {
            graft(items, chance)
        }
        other => other,
    }
}

fn change_node(node: &mut Node, chance: &mut Chance) {
    match chance.below(4) {
        0 => node.tag[2] = chance.number() as u8,
        1 => node.kind = chance.below(14) as u8,
        _ => {
            if let Value::Bytes(bytes) = &mut node.value {
                match chance.below(6) {
                    0 => bytes.fill(0xFF),
                    1 => bytes.fill(0),
                    2 => {
                        *bytes = i64::MIN.to_be_bytes().get(..bytes.len().min(8)).unwrap_or_default().to_vec()
                    }
                    3 => {
                        let length = *chance.choose(&[0, 1, 7, 9, 255, 300, 70_000]);
                        *bytes = chance.bytes(length);
                    }
                    4 => *bytes = "ü\u{0}\u{10FFFF}".repeat(chance.below(200)).into_bytes(),
                    _ => {
                        let at = chance.below(bytes.len().max(1));
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = chance.number() as u8;
                        }
                    }
                }
            }
        }
    }
}

impl Node {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.tag);
        bytes.push(self.kind);
        let length_at = bytes.len();
        bytes.extend([0; 4]);
        match &self.value {
            Value::Items(items) => items.iter().for_each(|item| item.write(bytes)),
            Value::Bytes(value) => bytes.extend(value),
        }
        let length = (bytes.len() - length_at - 4) as u32;
        for (byte, right) in bytes.iter_mut().skip(length_at).zip(length.to_be_bytes()) {
            *byte = right;
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
}

fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while let Some(([a, b, c, kind, l1, l2, l3, l4], rest)) = bytes.split_first_chunk() {
        let length = u32::from_be_bytes([*l1, *l2, *l3, *l4]) as usize;
        let inside = rest.get(..length)?;
        let value = if *kind == 1 {
            Value::Items(parse(inside, depth.checked_sub(1)?)?)
        } else {
            Value::Bytes(inside.to_vec())
        };
        nodes.push(Node { tag: [*a, *b, *c], kind: *kind, value });
        bytes = rest.get(length.next_multiple_of(8)..)?;
    }
    bytes.is_empty().then_some(nodes)
}

#[test]
fn an_unchanged_message_is_written_as_it_was_read() {
    let honest = super::corpus::message(kms_protocol::Version::V1_4, &super::corpus::pair_request(Some("a")));
    let mut bytes = Vec::new();
    parse(&honest, DEPTH).expect("well-formed").iter().for_each(|node| node.write(&mut bytes));
    assert_eq!(bytes, honest);
}
