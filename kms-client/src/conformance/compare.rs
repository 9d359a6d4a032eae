//! A response beside the one that the case expects.

use std::fmt;

use jiff::Timestamp;
use kms_protocol::DateTime;

use super::bindings::{Bindings, is_name, offset_from_now};
use super::chance::Chance;
use super::{Node, rules};

/// The first place where a response is not as the case has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The items from the message down to that place.
    pub path: String,
    /// What the case has there.
    pub expected: String,
    /// What the server has.
    pub got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.path, self.expected, self.got)
    }
}

/// Where in a message the comparison stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    operation: &'a str,
    /// What of the item follows from random numbers.
    chance: Option<&'a Chance>,
    /// Whether the request named the attributes that it wants.
    named: bool,
    /// The structure that holds the item.
    parent: &'a str,
    /// The version that the request was in.
    version: Option<&'a Node>,
}

/// Compares a whole message with the one expected as answer to `request`, and takes note of what it shows.
pub(super) fn compare(
    request: &Node,
    expected: &Node,
    got: &Node,
    bindings: &mut Bindings,
    now: DateTime,
) -> Result<(), Difference> {
    let mut asked = request.items.iter().filter(|item| item.name == "BatchItem");
    let version = request.item("RequestHeader").and_then(|header| header.item("ProtocolVersion"));
    let place =
        Place { path: &expected.name, operation: "", chance: None, named: false, parent: "", version };
    let mut number = 0;
    let mut placeholder: Option<String> = None;
    let mut got_items = got.items.iter();
    for wanted in &expected.items {
        let Some(found) = got_items.next() else {
            return Err(place.missing(wanted));
        };
        if wanted.name != "BatchItem" {
            node(wanted, found, place, bindings, now)?;
            continue;
        }
        let path = format!("{}[{number}]", wanted.name);
        let operation = wanted.text("Operation").unwrap_or_default();
        let nothing = Node::default();
        let payload = asked.next().and_then(|item| item.item("RequestPayload")).unwrap_or(&nothing);
        let chance = bindings.objects.chance(operation, payload, placeholder.as_deref());
        let named = ["AttributeName", "AttributeReference"].iter().any(|name| payload.item(name).is_some());
        let place = Place { path: &path, operation, chance: Some(&chance), named, ..place };
        named_alike(wanted, found, place)?;
        if wanted.text("ResultStatus") != found.text("ResultStatus") {
            return Err(place.difference(outcome(wanted), outcome(found)));
        }
        children(wanted, found, place, bindings, now)?;
        if let Some(answer) = found.item("ResponsePayload") {
            bindings.objects.note(operation, payload, answer, placeholder.as_deref());
            bindings.note_shown(answer);
            let identifier = answer.items.iter().find(|item| item.name.ends_with("UniqueIdentifier"));
            placeholder = identifier.map(|item| item.value.clone()).or(placeholder);
        }
        number += 1;
    }
    match got_items.next() {
        None => Ok(()),
        Some(more) => Err(place.unexpected(more)),
    }
}

impl Place<'_> {
    fn difference(self, expected: impl Into<String>, got: impl Into<String>) -> Difference {
        Difference { path: self.path.to_owned(), expected: expected.into(), got: got.into() }
    }

    fn missing(self, wanted: &Node) -> Difference {
        self.difference(shown(wanted), "nothing")
    }

    fn unexpected(self, found: &Node) -> Difference {
        self.difference("nothing more", shown(found))
    }
}

/// An item in a few words.
fn shown(node: &Node) -> String {
    let name = &node.name;
    match node.text("AttributeName") {
        Some(attribute) => format!("{name} {attribute}"),
        None if node.is_structure() => name.clone(),
        None => format!("{name} {}", node.value),
    }
}

fn named_alike(expected: &Node, got: &Node, place: Place<'_>) -> Result<(), Difference> {
    if expected.name != got.name || expected.item_type != got.item_type {
        return Err(place.difference(shown(expected), shown(got)));
    }
    Ok(())
}

fn node(
    expected: &Node,
    got: &Node,
    place: Place<'_>,
    bindings: &mut Bindings,
    now: DateTime,
) -> Result<(), Difference> {
    named_alike(expected, got, place)?;
    let path = match got.text("AttributeName") {
        Some(attribute) => format!("{}/{}({attribute})", place.path, expected.name),
        None => format!("{}/{}", place.path, expected.name),
    };
    let inside = Place { path: &path, ..place };
    if expected.is_structure() {
        // A server answers in the version of the request, whatever a case shows (1.4 section 6.1).
        if is_any_content(expected) || (expected.name == "ProtocolVersion" && place.version == Some(got)) {
            return Ok(());
        }
        return children(expected, got, inside, bindings, now);
    }
    value(expected, got, inside, bindings, now)
}

/// Structures of the server's own making, by their tag or, in 1.x, by the attribute's name.
fn is_any_content(expected: &Node) -> bool {
    rules::ANY_CONTENT.contains(&expected.name.as_str())
        || expected.text("AttributeName").is_some_and(|name| {
            rules::ANY_CONTENT.contains(&kms_protocol::encoding::normalized(name).as_str())
        })
}

fn children(
    expected: &Node,
    got: &Node,
    place: Place<'_>,
    bindings: &mut Bindings,
    now: DateTime,
) -> Result<(), Difference> {
    let inside = Place { parent: &expected.name, ..place };
    if rules::in_any_order(place.operation, &expected.name) {
        return unordered(expected, got, inside, bindings, now);
    }
    let is_optional = |node: &Node| rules::OPTIONAL.contains(&node.name.as_str());
    let mut wanted = expected.items.iter().peekable();
    let mut found = got.items.iter().peekable();
    loop {
        match (wanted.peek(), found.peek()) {
            (None, None) => return Ok(()),
            (Some(want), Some(have)) if want.name == have.name => {
                node(want, have, inside, bindings, now)?;
                wanted.next();
                found.next();
            }
            (_, Some(have)) if is_optional(have) => _ = found.next(),
            (Some(want), _) if is_optional(want) => _ = wanted.next(),
            (Some(want), Some(have)) => return Err(inside.difference(shown(want), shown(have))),
            (Some(want), None) => return Err(inside.missing(want)),
            (None, Some(have)) => return Err(inside.unexpected(have)),
        }
    }
}

fn unordered(
    expected: &Node,
    got: &Node,
    place: Place<'_>,
    bindings: &mut Bindings,
    now: DateTime,
) -> Result<(), Difference> {
    let mut left: Vec<&Node> = got.items.iter().collect();
    for want in &expected.items {
        let mut first = None;
        let mut found = None;
        for (at, have) in left.iter().enumerate().filter(|(_, have)| is_of_a_kind(want, have)) {
            // What a failed try takes note of is forgotten.
            let mut tried = bindings.clone();
            match node(want, have, place, &mut tried, now) {
                Ok(()) => {
                    found = Some((at, tried));
                    break;
                }
                Err(difference) => _ = first.get_or_insert(difference),
            }
        }
        match (found, first) {
            (Some((at, tried)), _) => {
                *bindings = tried;
                left.remove(at);
            }
            // One value of a list is not another: it is missing.
            (None, Some(difference))
                if want.is_structure()
                    || expected.items.iter().filter(|one| one.name == want.name).count() == 1 =>
            {
                return Err(difference);
            }
            (None, None)
                if place.operation == "Query" && rules::OF_ONE_VENDOR.contains(&want.name.as_str()) => {}
            (None, _) => return Err(place.missing(want)),
        }
    }
    match left.into_iter().find(|more| !rules::may_add(place.operation, &more.name, place.named)) {
        None => Ok(()),
        Some(more) => Err(place.unexpected(more)),
    }
}

/// What a failed item says of itself, where the case expects another outcome.
fn outcome(item: &Node) -> String {
    let words = ["ResultStatus", "ResultReason", "ResultMessage"];
    words.iter().filter_map(|word| item.text(word)).collect::<Vec<_>>().join(", ")
}

/// Whether two items could be the same one: the same tag and, in 1.x, the same attribute; the first item of any other
/// list tells its own difference.
fn is_of_a_kind(want: &Node, have: &Node) -> bool {
    want.name == have.name && want.text("AttributeName") == have.text("AttributeName")
}

fn value(
    expected: &Node,
    got: &Node,
    place: Place<'_>,
    bindings: &mut Bindings,
    now: DateTime,
) -> Result<(), Difference> {
    let name = expected.name.as_str();
    let of_the_server = place.operation == "Query"
        && place.parent == "ResponsePayload"
        && rules::OF_THE_SERVER.contains(&name);
    if let Some(offset) = offset_from_now(&expected.value) {
        let off = seconds(&got.value).map(|time| time.abs_diff(now.0.saturating_add(offset)));
        return match off {
            Some(off) if off <= rules::CLOCKS_DIFFER.unsigned_abs() => Ok(()),
            _ => Err(place.difference(expected.value.as_str(), got.value.as_str())),
        };
    }
    if is_name(&expected.value) {
        return match bindings.resolve(&expected.value, now) {
            None => {
                bindings.bind(&expected.value, &got.value);
                Ok(())
            }
            Some(known) if known == got.value => Ok(()),
            Some(known) if rules::ANY_VALUE.contains(&name) => {
                let _ = known;
                bindings.bind(&expected.value, &got.value);
                Ok(())
            }
            Some(known) => Err(place.difference(format!("{known} ({})", expected.value), got.value.as_str())),
        };
    }
    if rules::ANY_VALUE.contains(&name) || of_the_server {
        return Ok(());
    }
    let known = bindings.resolve(&expected.value, now).unwrap_or_default();
    let earlier = bindings.of_earlier_case(&expected.value).unwrap_or(&known);
    if [known.as_str(), earlier].iter().any(|value| same(&expected.item_type, value, &got.value)) {
        return Ok(());
    }
    let permitted =
        place.chance.map_or(Ok(false), |chance| chance.permits(name, &expected.value, &got.value));
    match permitted {
        Ok(true) => {
            bindings.bind(&expected.value, &got.value);
            Ok(())
        }
        Ok(false) => Err(place.difference(known, got.value.as_str())),
        Err(right) => Err(place.difference(right, got.value.as_str())),
    }
}

/// Whether two values of one type are the same however they are written.
fn same(item_type: &str, one: &str, other: &str) -> bool {
    match item_type {
        "TextString" => one == other,
        "DateTime" | "DateTimeExtended" => {
            one == other || seconds(one).is_some_and(|time| seconds(other) == Some(time))
        }
        "Integer" => {
            let words = |text: &str| {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                words.sort_unstable();
                words
            };
            words(one) == words(other)
        }
        "BigInteger" => {
            let significant = |text: &str| text.trim_start_matches('0').to_ascii_lowercase();
            significant(one) == significant(other)
        }
        _ => one.eq_ignore_ascii_case(other),
    }
}

fn seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}
