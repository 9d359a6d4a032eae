//! Looks into a log.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::line::{self, Line};
use super::record::{Outcome, Source};
use super::segment::{self, Lines};

/// Which records to show; what is absent counts for all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Who did it.
    pub principal: Option<String>,
    /// The operation, in any letters' case, with or without spaces.
    pub operation: Option<String>,
    /// An object that it touched.
    pub object: Option<String>,
    /// The correlation value, the server's or the client's.
    pub correlation: Option<String>,
    /// Where it came from.
    pub source: Option<Source>,
    /// Only what was refused.
    pub refused: bool,
    /// Not before this real time.
    pub since: Option<Timestamp>,
    /// Before this real time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether a line is to be shown.
    #[must_use]
    pub fn shows(&self, line: &Line) -> bool {
        let record = &line.record;
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let plain = |text: &str| text.replace([' ', '-'], "").to_lowercase();
        let correlations = [Some(&record.correlation), record.client_correlation.as_ref()];
        same(&self.principal, &record.principal)
            && self.operation.as_ref().is_none_or(|wanted| plain(wanted) == plain(&record.operation))
            && self.object.as_ref().is_none_or(|wanted| record.objects.contains(wanted))
            && self.correlation.as_ref().is_none_or(|wanted| correlations.contains(&Some(wanted)))
            && self.source.is_none_or(|wanted| wanted == record.source)
            && (!self.refused || record.outcome != Outcome::Success)
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }
}

/// Shows the lines of the log in `folder` that `filter` shows, in their order, with their text.
///
/// # Errors
/// When the log cannot be read, or `each` fails.
pub fn show(
    folder: &Path,
    filter: &Filter,
    mut each: impl FnMut(&str, &Line) -> io::Result<()>,
) -> io::Result<()> {
    for number in segment::list(folder)? {
        let mut lines = match Lines::open(&segment::path(folder, number)) {
            // The server gave it up since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lines => lines?,
        };
        while let Some(text) = lines.next_line()? {
            let Ok(line) = line::read(text) else { continue };
            if filter.shows(&line) {
                each(&String::from_utf8_lossy(text), &line)?;
            }
        }
    }
    Ok(())
}
