//! A report for people at a terminal.

use core::fmt;

use super::{Event, Report, Summary};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.2} s  {}", self.at.as_secs_f64(), printable(&self.what))?;
        if let Some(said) = &self.said {
            write!(f, ": {}", printable(said))?;
        }
        // What is done at once needs no time told.
        if self.took.as_millis() >= 100 { write!(f, " ({:.2} s)", self.took.as_secs_f64()) } else { Ok(()) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, count, failed, median, longest, .. } = self;
        let kind = kind.to_string();
        write!(
            f,
            "{kind:<11}{count:>6} done, {failed} failed; half took {:.0} ms or less, the longest {:.2} s",
            median.as_secs_f64() * 1000.0,
            longest.as_secs_f64()
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for summary in &self.load {
            writeln!(f, "{summary}")?;
            for failure in &summary.failures {
                writeln!(f, "           failed: {}", printable(failure))?;
            }
        }
        writeln!(f)?;
        for assertion in &self.assertions {
            let verdict = if assertion.passed { "pass" } else { "FAIL" };
            writeln!(f, "{verdict}  {:<24}{}", assertion.name, printable(&assertion.detail))?;
        }
        let kept = self.assertions.iter().filter(|assertion| assertion.passed).count();
        let verdict = if self.passed { "passed" } else { "FAILED" };
        write!(
            f,
            "\n{} {verdict}: {kept} of {} expectations were met, in {:.1} s",
            printable(&self.drill),
            self.assertions.len(),
            self.took.as_secs_f64()
        )
    }
}

/// Text on one line, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
