//! Recorded conversations with another server: written by `record`, which stands between a client and that server, and served
//! by `replay`, which stands in for it. Secrets are zeros of the same length before anything is written.

mod names;
mod record;
mod replay;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::limits;

pub use record::{Recorder, Upstream};
pub use replay::Replayer;

/// One line of a cassette: a request and its answer, as hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taped {
    /// Who asked, as this server knew it.
    pub client: String,
    /// The request without its secrets.
    pub request: String,
    /// The answer without its secrets.
    pub response: String,
}

/// Reads a cassette.
///
/// # Errors
/// [`Failure`] names the line that is none of a cassette.
pub fn read(file: &Path) -> Result<Vec<Taped>, Failure> {
    let wrong = |what: String| {
        Failure::new(Kind::Config, format!("{}: {what}", file.display()))
            .hint("`kms-server record` writes cassettes: one JSON object a line")
    };
    let opened = File::open(file).map_err(|error| wrong(error.to_string()))?;
    let mut all = Vec::new();
    for (at, line) in BufReader::new(opened.take(limits::CASSETTE)).lines().enumerate() {
        let line = line.map_err(|error| wrong(format!("line {}: {error}", at + 1)))?;
        all.push(serde_json::from_str(&line).map_err(|error| wrong(format!("line {}: {error}", at + 1)))?);
    }
    Ok(all)
}
