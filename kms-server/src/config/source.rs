//! Where in a file a setting stands, and what may have been meant by a wrong one.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::failure::{Failure, Kind};

/// A file of settings: its name, and the line of each setting by its path, such as `policy[0].offset`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    origin: String,
    lines: BTreeMap<String, usize>,
}

impl Source {
    /// Notes where the settings of `text` stand. What cannot be read has none.
    #[must_use]
    pub fn of(text: &str, origin: &str) -> Self {
        let mut source = Self { origin: origin.to_owned(), lines: BTreeMap::new() };
        if let Ok(table) = DeTable::parse(text) {
            let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
            source.note(table.get_ref(), "", &|at| starts.partition_point(|start| *start < at) + 1);
        }
        source
    }

    fn note(&mut self, table: &DeTable<'_>, parent: &str, line: &impl Fn(usize) -> usize) {
        for (key, value) in table {
            let path = if parent.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{parent}.{}", key.get_ref())
            };
            self.lines.insert(path.clone(), line(key.span().start));
            match value.get_ref() {
                DeValue::Table(table) => self.note(table, &path, line),
                DeValue::Array(values) => {
                    for (index, value) in values.iter().enumerate() {
                        let path = format!("{path}[{index}]");
                        self.lines.insert(path.clone(), line(value.span().start));
                        if let DeValue::Table(table) = value.get_ref() {
                            self.note(table, &path, line);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Where `path` stands, as in `kms.toml, line 7`; nothing when it is not stated.
    #[must_use]
    pub fn stated(&self, path: &str) -> Option<String> {
        self.lines.get(path).map(|line| format!("{}, line {line}", self.origin))
    }

    /// Where `path` stands, or else what it is part of.
    #[must_use]
    pub fn place(&self, path: &str) -> String {
        let mut path = path;
        loop {
            if let Some(place) = self.stated(path) {
                return place;
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.origin.clone(),
            }
        }
    }
}

/// Says where in the file, what, and what may have been meant.
pub fn explain(error: &toml::de::Error, text: &str, origin: &str) -> Failure {
    let place = match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
            format!("{origin}, line {line}, column {column}")
        }
        None => origin.to_owned(),
    };
    let mut message = error.message().to_owned();
    if message == "duplicate key"
        && let Some(key) = error.span().and_then(|span| text.get(span))
    {
        message = format!("`{key}` is there twice");
    }
    let failure = Failure::new(Kind::Config, format!("{place}: {message}"));
    match nearest(error.message()) {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure.hint(
            "docs/policies.md and the comments in the kms.toml of `kms-server dev` list what may stand there",
        ),
    }
}

/// The nearest of the names that serde offers in "unknown field `x`, expected one of `a`, `b`".
pub fn nearest(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    let given = given.to_lowercase();
    let distance = |name: &&str| strsim::damerau_levenshtein(&given, &name.to_lowercase());
    let best = quoted.min_by_key(distance)?;
    // Further away than half of itself it is another word, not a slip.
    (distance(&best) * 2 <= best.chars().count()).then_some(best)
}
