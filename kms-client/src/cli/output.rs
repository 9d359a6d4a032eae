//! What a command says: data to stdout, talk to stderr, one JSON value a line where `--json` asks for it.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::backup::archive::{Observer, Warning};

use super::exit::{CommandError, Exit};

/// Bytes between two progress events of `--json`.
const PROGRESS_STEP: u64 = 64 * 1024 * 1024;

type Stream = Mutex<Box<dyn Write + Send>>;

/// The two streams.
pub struct Output {
    stdout: Stream,
    stderr: Stream,
    json: bool,
    terminal: bool,
}

impl Output {
    pub fn new(
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        json: bool,
        terminal: bool,
    ) -> Self {
        Self { stdout: Mutex::new(stdout), stderr: Mutex::new(stderr), json, terminal }
    }

    /// Writes data: `text` for people, or `value` where JSON is asked for.
    pub fn data(&self, text: &str, value: &Value) -> Result<(), CommandError> {
        let mut stdout = lock(&self.stdout);
        if self.json {
            writeln!(stdout, "{value}")?
        } else {
            writeln!(stdout, "{}", harmless(text))?
        }
        Ok(stdout.flush()?)
    }

    /// Writes an event: talk for people, a line of data where JSON is asked for.
    pub fn event(&self, text: &str, value: &Value) -> Result<(), CommandError> {
        if self.json {
            return self.data("", value);
        }
        self.say(text);
        Ok(())
    }

    /// Writes a line of talk.
    pub fn say(&self, text: &str) {
        // Talk that nobody hears changes nothing.
        let _ = writeln!(lock(&self.stderr), "{}", harmless(text));
    }

    /// Writes an error and its hint, and says what exit code it deserves.
    pub fn error(&self, error: &CommandError) -> Exit {
        if let CommandError::Output(output) = error
            && output.kind() == io::ErrorKind::BrokenPipe
        {
            return Exit::Failed;
        }
        if self.json {
            let value = json!({"event": "error", "error": error.to_string(), "hint": error.hint()});
            let _ = writeln!(lock(&self.stdout), "{value}");
        }
        self.say(&format!("error: {error}"));
        if let Some(hint) = error.hint() {
            self.say(&format!("hint: {hint}"));
        }
        error.exit()
    }

    /// Follows a backup or restore; `total` bytes are to be done, if that is known.
    pub fn progress(&self, verb: &'static str, total: Option<u64>) -> Progress<'_> {
        let bar = (self.terminal && !self.json).then(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            bar.set_draw_target(ProgressDrawTarget::stderr());
            let template = "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            let template = if total.is_some() { template } else { "{msg} {bytes}, {bytes_per_sec}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(verb);
            bar
        });
        Progress { output: self, bar, total, done: Mutex::new(0) }
    }
}

/// Text as a terminal may have it: names come out of files that others wrote, and must not move its cursor. Programs that
/// need them as they are take `--json`.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push(character),
            odd if odd.is_control() => shown.extend(odd.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bar on a terminal, events as JSON, silence otherwise; warnings always.
pub struct Progress<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    total: Option<u64>,
    done: Mutex<u64>,
}

impl Observer for Progress<'_> {
    fn advanced(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
        if !self.output.json {
            return;
        }
        let mut done = lock(&self.done);
        let before = *done / PROGRESS_STEP;
        *done += bytes;
        if *done / PROGRESS_STEP != before {
            let value = json!({"event": "progress", "bytes": *done, "total": self.total});
            // When nobody reads events any more the next result says so.
            let _ = self.output.data("", &value);
        }
    }

    fn warned(&self, warning: &Warning) {
        let Warning { path, problem } = warning;
        let text = format!("warning: {}: {problem}", path.display());
        let value =
            json!({"event": "warning", "path": path.to_string_lossy(), "problem": problem.to_string()});
        let write = || self.output.event(&text, &value);
        let _ = match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A time as people and programs read it.
pub fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// A number of bytes in words.
pub fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}
