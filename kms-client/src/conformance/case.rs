//! A file of test cases as a tree of items.

use std::fs;
use std::io;
use std::path::Path;

use kms_protocol::encoding::{EncodingError, from_xml};
use kms_protocol::{Secret, Tag};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::limits;

/// One item of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// The tag's name, or its number where it has none.
    pub name: String,
    /// The type's name; empty for a Structure.
    pub item_type: String,
    /// The value of everything but a Structure.
    pub value: String,
    /// The items of a Structure.
    pub items: Vec<Self>,
}

impl Node {
    /// The first item inside with this name.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<&Self> {
        self.items.iter().find(|item| item.name == name)
    }

    /// The value of the first item inside with this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.item(name).map(|item| item.value.as_str())
    }

    /// Whether it holds items instead of a value.
    #[must_use]
    pub fn is_structure(&self) -> bool {
        self.item_type.is_empty()
    }

    /// The message as bytes.
    ///
    /// # Errors
    /// When a name or a value means nothing.
    pub fn to_ttlv(&self) -> Result<Secret, EncodingError> {
        let mut xml = String::new();
        self.write(&mut xml);
        from_xml(&xml)
    }

    fn write(&self, xml: &mut String) {
        let name = if self.name.starts_with("0x") { "TTLV" } else { &self.name };
        xml.push('<');
        xml.push_str(name);
        let mut attribute = |key: &str, value: &str| {
            let value = quick_xml::escape::escape(value);
            xml.push_str(&format!(" {key}=\"{value}\""));
        };
        if name != self.name {
            attribute("tag", &self.name);
        }
        if self.is_structure() {
            xml.push('>');
            self.items.iter().for_each(|item| item.write(xml));
            xml.push_str(&format!("</{name}>"));
        } else {
            attribute("type", &self.item_type);
            attribute("value", &self.value);
            xml.push_str("/>");
        }
    }
}

/// One exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What is sent.
    pub request: Node,
    /// What has to come back.
    pub response: Node,
}

/// A test case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its name: the file's, without ending.
    pub name: String,
    /// Its exchanges, in order.
    pub steps: Vec<Step>,
}

/// Why a file is no test case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Its content is something else.
    #[error("{name}: {what}")]
    NoCase {
        /// The file's name.
        name: String,
        /// What it is not.
        what: String,
    },
}

impl Case {
    /// The group of cases that it belongs to: `TL-M` is that of `TL-M-3-14`, which is its third case in version 1.4.
    #[must_use]
    pub fn group(&self) -> &str {
        let mut parts = self.name.rsplitn(3, '-');
        let numbers = [parts.next(), parts.next()];
        let are_numbers = numbers.iter().flatten().all(|part| part.bytes().all(|c| c.is_ascii_digit()));
        parts.next().filter(|_| are_numbers).unwrap_or(&self.name)
    }

    /// All cases of a folder (every file that ends in `.xml`), in the order of their names.
    ///
    /// # Errors
    /// When the folder or one of its files cannot be read, or is no case.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, CaseError> {
        let unreadable = |path: &Path| {
            let path = path.display().to_string();
            move |source| CaseError::Unreadable { path, source }
        };
        let mut cases = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path.extension().is_none_or(|ending| ending != "xml") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let length = fs::metadata(&path).map_err(unreadable(&path))?.len();
            if length > limits::CASE_FILE {
                let what = format!("it is {length} bytes long; a case has at most {}", limits::CASE_FILE);
                return Err(CaseError::NoCase { name, what });
            }
            let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
            cases.push(Self::parse(&name, &text)?);
        }
        cases.sort_by_cached_key(|case| in_order(&case.name));
        Ok(cases)
    }

    /// Reads a case.
    ///
    /// # Errors
    /// When the text is no list of requests, each followed by its response.
    pub fn parse(name: &str, text: &str) -> Result<Self, CaseError> {
        let wrong = |what: String| CaseError::NoCase { name: name.to_owned(), what };
        let root = parse(text).map_err(wrong)?;
        let mut messages = match root.name.as_str() {
            "RequestMessage" => return Err(wrong("it has no root around its messages".to_owned())),
            _ => root.items.into_iter(),
        };
        let mut steps = Vec::new();
        while let Some(request) = messages.next() {
            match messages.next() {
                Some(response) if request.name == "RequestMessage" && response.name == "ResponseMessage" => {
                    steps.push(Step { request, response });
                }
                _ => return Err(wrong("a request is not followed by its response".to_owned())),
            }
        }
        if steps.is_empty() {
            return Err(wrong("it has no request".to_owned()));
        }
        Ok(Self { name: name.to_owned(), steps })
    }
}

/// A name such that 10 comes after 9.
fn in_order(name: &str) -> Vec<(String, u64)> {
    name.split('-')
        .map(|part| part.parse().map_or_else(|_| (part.to_owned(), 0), |number| (String::new(), number)))
        .collect()
}

/// One element with all that is in it.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut events = Reader::from_str(text);
    let mut open: Vec<Node> = Vec::new();
    loop {
        let at = events.buffer_position();
        let event = events.read_event().map_err(|error| format!("{error}, at byte {at}"))?;
        let done = match event {
            Event::Start(start) => {
                if open.len() > limits::CASE_DEPTH {
                    return Err("its items nest too deep".to_owned());
                }
                open.push(node(&start)?);
                continue;
            }
            Event::Empty(start) => node(&start)?,
            Event::End(_) => open.pop().ok_or("an element ends that did not begin")?,
            Event::Eof => return Err("it ends before its root does".to_owned()),
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.items.push(done),
            None => return Ok(done),
        }
    }
}

fn node(start: &BytesStart<'_>) -> Result<Node, String> {
    let mut node = Node { name: start.local_name().as_ref().to_owned(), ..Node::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        match attribute.key.as_ref() {
            "tag" if node.name == "TTLV" => node.name = value.into_owned(),
            "type" if value != "Structure" => node.item_type = value.into_owned(),
            "value" => node.value = value.into_owned(),
            _ => {}
        }
    }
    if let Some(tag) = kms_protocol::encoding::tag_named(&node.name).filter(|_| node.name.starts_with("0x")) {
        node.name = kms_protocol::encoding::tag_name(tag).map_or_else(|| number(tag), ToOwned::to_owned);
    }
    Ok(node)
}

fn number(tag: Tag) -> String {
    format!("0x{:06x}", tag.0)
}

#[cfg(test)]
mod tests {
    use super::{Case, in_order};

    #[test]
    fn cases_come_in_the_order_in_which_people_count() {
        let mut names = ["SKFF-M-10-14", "SKFF-M-9-14", "SKFF-M-1-14", "AX-M-1-14"];
        names.sort_by_cached_key(|name| in_order(name));
        assert_eq!(names, ["AX-M-1-14", "SKFF-M-1-14", "SKFF-M-9-14", "SKFF-M-10-14"]);
    }

    #[test]
    fn what_is_no_case_is_said_to_be_none() {
        for (text, what) in [
            ("<KMIP/>", "no request"),
            ("<KMIP><RequestMessage/></KMIP>", "not followed"),
            ("<KMIP><ResponseMessage/><RequestMessage/></KMIP>", "not followed"),
            ("<RequestMessage/>", "no root"),
            ("<KMIP>", "ends before"),
            ("", "ends before"),
        ] {
            let error = Case::parse("it", text).unwrap_err().to_string();
            assert!(error.contains(what) && error.starts_with("it: "), "{text}: {error}");
        }
        assert!(Case::parse("it", &"<a>".repeat(100)).unwrap_err().to_string().contains("too deep"));
    }
}
