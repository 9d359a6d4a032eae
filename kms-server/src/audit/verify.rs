//! Checks a log: that nothing in it was changed, taken out, put in or moved.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::line::{self, Position};
use super::segment::{self, Lines};

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// Whether everything fits.
    pub whole: bool,
    /// How many segments there are.
    pub segments: usize,
    /// The first line's number; later than 1 once old segments were given up.
    pub first_line: u64,
    /// The number of the last line that fits.
    pub last_line: u64,
    /// Its hash. Who notes it elsewhere can tell later that nothing up to it was changed.
    pub last_hash: String,
    /// Bytes behind the last line that were being written, or were cut off in a crash.
    pub unfinished_bytes: u64,
    /// The first thing that does not fit.
    pub fault: Option<Fault>,
}

/// Something that does not fit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// In which file.
    pub file: String,
    /// The number of the line that should stand there.
    pub line: u64,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// Checks the log in `folder`, also while a server writes it.
///
/// `known` is where the chain once ended, as an earlier report said and somebody noted.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn verify(folder: &Path, known: Option<Position>) -> io::Result<Report> {
    segment::unless_given_up(|| verify_listed(folder, known))
}

fn verify_listed(folder: &Path, known: Option<Position>) -> io::Result<Report> {
    // Read first: what a server appends meanwhile comes after it.
    let head = segment::head(folder)?;
    let mut check = Check { at: Position::default(), first: 1, known: [known, head], pruned: 0 };
    let numbers = segment::list(folder)?;
    let mut fault = None;
    let mut unfinished = 0;
    for (index, (&number, expected)) in
        numbers.iter().zip(numbers.first().copied().unwrap_or(1)..).enumerate()
    {
        if number != expected {
            fault = Some(check.missing(expected));
            break;
        }
        let is_last = index + 1 == numbers.len();
        match check.segment(folder, number, index == 0, is_last)? {
            Ok(rest) => unfinished = rest,
            Err(found) => {
                fault = Some(found);
                break;
            }
        }
    }
    let fault = fault.or_else(|| check.ends(&numbers)).or_else(|| match head {
        None => Some(check.fault(segment::HEAD, 0, "it is missing, or does not say where the log ends")),
        Some(_) => None,
    });
    Ok(Report {
        whole: fault.is_none(),
        segments: numbers.len(),
        first_line: check.first,
        last_line: check.at.line,
        last_hash: hex::encode(check.at.hash),
        unfinished_bytes: unfinished,
        fault,
    })
}

struct Check {
    at: Position,
    first: u64,
    /// Lines that must be there with just this hash.
    known: [Option<Position>; 2],
    /// Up to which segment the log says that it was given up.
    pruned: u32,
}

impl Check {
    /// Checks one segment; how many bytes behind its last line are no line.
    fn segment(
        &mut self,
        folder: &Path,
        number: u32,
        is_first: bool,
        is_last: bool,
    ) -> io::Result<Result<u64, Fault>> {
        let path = segment::path(folder, number);
        let file = segment::name(number);
        if is_first && number > 1 {
            // What was before is gone; the log itself has to say that it should be.
            self.at = segment::begins_after(&path)?.unwrap_or_default();
            self.first = self.at.line + 1;
        }
        let mut lines = Lines::open(&path)?;
        let mut begins = true;
        loop {
            let offset = lines.offset;
            let Some(line) = lines.next_line()? else { break };
            match self.line(line, begins.then_some(number)) {
                Ok(()) => begins = false,
                Err(what) => return Ok(Err(self.fault(&file, offset, what))),
            }
        }
        let rest = path.metadata()?.len().saturating_sub(lines.offset);
        if rest > 0 && (!is_last || self.is_known_beyond()) {
            return Ok(Err(self.fault(&file, lines.offset, "it is no whole line")));
        }
        Ok(Ok(rest))
    }

    /// Checks one line; `begins` is the number of the segment that it is the first of.
    fn line(&mut self, text: &[u8], begins: Option<u32>) -> Result<(), &'static str> {
        let next = line::check(text, &self.at).map_err(|what| match begins {
            Some(_) => "the segment does not begin where the one before it ends",
            None => what,
        })?;
        let read = line::read(text).map_err(|_| "it is no record")?;
        if read.marks.segment != begins {
            return Err("a segment's first line is not in its place");
        }
        if self.known.iter().flatten().any(|known| known.line == next.line && known.hash != next.hash) {
            return Err("another line with this number is known to have been written");
        }
        self.pruned = self.pruned.max(read.marks.pruned.unwrap_or(0));
        self.at = next;
        Ok(())
    }

    /// Whether a line beyond the last one is known to have been written.
    fn is_known_beyond(&self) -> bool {
        self.known.iter().flatten().any(|known| known.line > self.at.line)
    }

    /// What is wrong with where the log begins and ends.
    fn ends(&self, numbers: &[u32]) -> Option<Fault> {
        let first = numbers.first().copied().unwrap_or(1);
        if first > self.pruned + 1 {
            let file = segment::name(first - 1);
            return Some(self.fault(
                &file,
                0,
                "the segment is missing, and the log does not say that it was given up",
            ));
        }
        let last = numbers.last().copied().unwrap_or(1);
        self.is_known_beyond().then(|| {
            self.fault(
                &segment::name(last),
                0,
                "the log ends before a line that is known to have been written",
            )
        })
    }

    fn missing(&self, number: u32) -> Fault {
        self.fault(&segment::name(number), 0, "the segment is missing")
    }

    fn fault(&self, file: &str, offset: u64, what: &str) -> Fault {
        Fault { file: file.to_owned(), line: self.at.line + 1, offset, what: what.to_owned() }
    }
}
