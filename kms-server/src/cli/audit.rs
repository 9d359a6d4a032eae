//! `audit`: checks and shows an audit log, also while a server writes it.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use kms_server::audit::{self, Filter, Line, Outcome, Position, Report, Source};
use kms_server::failure::{Failure, Kind};

use super::{printable, say, say_json};

#[derive(Args)]
pub(super) struct Audit {
    /// The log's folder [default: `audit` in the development server's folder]
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The development server's folder
    #[arg(long, global = true, env = "KMS_STATE", default_value = ".kms-dev")]
    state: PathBuf,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks that nothing in the log was changed, taken out, put in or moved; names the first record that does not fit
    Verify {
        /// Where the log once ended, as an earlier check said: also this line must be there, with this hash
        #[arg(long, value_name = "LINE:HASH", value_parser = known)]
        known: Option<Position>,
    },
    /// Shows records
    Show(Show),
}

#[derive(Args)]
struct Show {
    /// Only what this principal did
    #[arg(long)]
    principal: Option<String>,
    /// Only this operation: `Create Key Pair`, `create-key-pair`
    #[arg(long)]
    operation: Option<String>,
    /// Only what touched this object
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only the request with this correlation value, the server's or the client's
    #[arg(long, value_name = "VALUE")]
    correlation: Option<String>,
    /// Only what came from there
    #[arg(long, value_enum)]
    source: Option<From>,
    /// Only what was refused or failed
    #[arg(long)]
    refused: bool,
    /// Only from this real time on, such as 2027-01-01T00:00:00Z; a day such as 2027-01-01 begins at midnight UTC
    #[arg(long, value_parser = time)]
    since: Option<Timestamp>,
    /// Only before this real time
    #[arg(long, value_parser = time)]
    until: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    Request,
    Schedule,
    Operator,
    Connection,
    Server,
}

pub(super) fn run(options: &Audit) -> Result<(), Failure> {
    let folder = options.folder.clone().unwrap_or_else(|| options.state.join("audit"));
    match &options.command {
        Command::Verify { known } => verify(&folder, *known, options.json),
        Command::Show(show) => show.run(&folder, options.json),
    }
}

fn known(text: &str) -> Result<Position, String> {
    text.parse().map_err(|()| "it is not a line's number, a colon and 64 hexadecimal digits".into())
}

/// A time, or the beginning of a day.
fn time(text: &str) -> Result<Timestamp, String> {
    let day = || text.parse::<jiff::civil::Date>()?.to_zoned(jiff::tz::TimeZone::UTC);
    text.parse::<Timestamp>().or_else(|error| day().map(|day| day.timestamp()).map_err(|_| error.to_string()))
}

fn verify(folder: &Path, known: Option<Position>, json: bool) -> Result<(), Failure> {
    let report = audit::verify(folder, known).map_err(|error| unreadable(folder, &error))?;
    if json {
        say_json(&report)?;
    }
    let Report { segments, first_line, last_line, last_hash, unfinished_bytes, fault, .. } = report;
    if let Some(fault) = fault {
        let what = format!("{}, line {}, byte {}: {}", fault.file, fault.line, fault.offset, fault.what);
        return Err(Failure::new(Kind::Damaged, format!("the audit log does not fit: {what}"))
            .hint("keep a copy of the folder as it is; what comes before that line is as it was written"));
    }
    if json {
        return Ok(());
    }
    say(&format!(
        "whole: lines {first_line} to {last_line} in {segments} files\nends   {last_line}:{last_hash}"
    ))?;
    match unfinished_bytes {
        0 => Ok(()),
        bytes => say(&format!("and {bytes} bytes of a line that is being written or was cut off in a crash")),
    }
}

impl Show {
    fn run(&self, folder: &Path, json: bool) -> Result<(), Failure> {
        let source = self.source.map(|source| match source {
            From::Request => Source::Request,
            From::Schedule => Source::Schedule,
            From::Operator => Source::Operator,
            From::Connection => Source::Connection,
            From::Server => Source::Server,
        });
        let filter = Filter {
            principal: self.principal.clone(),
            operation: self.operation.clone(),
            object: self.object.clone(),
            correlation: self.correlation.clone(),
            source,
            refused: self.refused,
            since: self.since,
            until: self.until,
        };
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut count = 0_u64;
        let shown = audit::show(folder, &filter, |text, line| {
            count += 1;
            if json { writeln!(out, "{text}") } else { writeln!(out, "{}", told(line)) }
        });
        if let (0, Ok(()), Some(operation)) = (count, &shown, &self.operation) {
            suggest(folder, operation);
        }
        match shown.and_then(|()| out.flush()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                let _ = out.into_parts();
                Ok(())
            }
            other => other.map_err(|error| unreadable(folder, &error)),
        }
    }
}

/// Says which operation of the log may have been meant by one that is not in it.
fn suggest(folder: &Path, operation: &str) {
    let mut nearest: Option<(usize, String)> = None;
    let looked = audit::show(folder, &Filter::default(), |_, line| {
        let found = &line.record.operation;
        let distance = strsim::damerau_levenshtein(&operation.to_lowercase(), &found.to_lowercase());
        if distance * 2 <= operation.len() && nearest.as_ref().is_none_or(|(best, _)| distance < *best) {
            nearest = Some((distance, found.to_string()));
        }
        Ok(())
    });
    if let (Ok(()), Some((1.., meant))) = (looked, nearest) {
        tracing::warn!("no record of {operation:?} is to be shown; did you mean {meant:?}?");
    }
}

/// A line for people.
fn told(line: &Line) -> String {
    let record = &line.record;
    let outcome = match &record.outcome {
        Outcome::Success => "Success",
        Outcome::Refused(reason) => reason,
    };
    let mut text = format!("{:>8}  {}  {}: {outcome}", line.n, record.time, record.operation);
    let mut add = |part: &str| {
        text.push_str("  ");
        text.push_str(part);
    };
    if let Some(principal) = &record.principal {
        add(&printable(principal));
    }
    if let Some(peer) = record.peer {
        add(&peer.to_string());
    }
    for object in &record.objects {
        add(&printable(object));
    }
    if record.more_objects > 0 {
        add(&format!("and {} more", record.more_objects));
    }
    if let Some(detail) = &record.detail {
        add(&printable(detail));
    }
    text
}

fn unreadable(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::State, format!("cannot read the audit log in {}: {error}", folder.display()))
        .hint("name its folder with --folder, or the development server's with --state")
}
