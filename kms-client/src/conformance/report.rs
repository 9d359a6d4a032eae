//! What came of a run: for people, for programs and for continuous integration.

use std::fmt::{self, Write as _};

use quick_xml::escape::escape;
use serde_json::{Value, json};

use super::Difference;

/// What came of one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every response was as the case has it.
    Passed,
    /// One was not.
    Failed {
        /// Which exchange, from 0.
        step: usize,
        /// Where and how.
        difference: Difference,
    },
    /// It was not run, for this reason.
    Skipped(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("pass"),
            Self::Failed { step, difference } => write!(f, "FAIL  step {step}, {difference}"),
            Self::Skipped(reason) => write!(f, "skip  {reason}"),
        }
    }
}

/// What came of all cases, in the order in which they ran.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    cases: Vec<(String, Verdict)>,
}

impl Report {
    pub(super) fn push(&mut self, name: String, verdict: Verdict) {
        self.cases.push((name, verdict));
    }

    /// Whether no case has been run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Each case with its verdict.
    #[must_use]
    pub fn cases(&self) -> &[(String, Verdict)] {
        &self.cases
    }

    /// How many cases passed, failed and were skipped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |which: fn(&Verdict) -> bool| self.cases.iter().filter(|(_, one)| which(one)).count();
        (
            count(|one| matches!(one, Verdict::Passed)),
            count(|one| matches!(one, Verdict::Failed { .. })),
            count(|one| matches!(one, Verdict::Skipped(_))),
        )
    }

    /// Whether any case failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.counts().1 > 0
    }

    /// The report as a JSON value.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (passed, failed, skipped) = self.counts();
        let cases: Vec<Value> = self.cases.iter().map(|(name, verdict)| case_json(name, verdict)).collect();
        json!({ "passed": passed, "failed": failed, "skipped": skipped, "cases": cases })
    }

    /// The report as a JUnit file, as continuous integration reads it.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let (_, failed, skipped) = self.counts();
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"KMIP conformance\" tests=\"{}\" \
             failures=\"{failed}\" skipped=\"{skipped}\">\n",
            self.cases.len()
        );
        for (name, verdict) in &self.cases {
            let inside = match verdict {
                Verdict::Passed => String::new(),
                Verdict::Failed { step, difference } => {
                    format!("<failure message=\"step {step}, {}\"/>", printable(&difference.to_string()))
                }
                Verdict::Skipped(reason) => format!("<skipped message=\"{}\"/>", printable(reason)),
            };
            let name = printable(name);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  <testcase classname=\"kmip\" name=\"{name}\">{inside}</testcase>");
        }
        out.push_str("</testsuite>\n");
        out
    }
}

/// Text as XML can carry it.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    escape(text).into_owned()
}

fn case_json(name: &str, verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Passed => json!({ "case": name, "verdict": "pass" }),
        Verdict::Skipped(reason) => json!({ "case": name, "verdict": "skip", "reason": reason }),
        Verdict::Failed { step, difference } => json!({
            "case": name,
            "verdict": "fail",
            "step": step,
            "path": difference.path,
            "expected": difference.expected,
            "got": difference.got,
        }),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed, skipped) = self.counts();
        write!(f, "{passed} of {} cases passed, {failed} failed, {skipped} skipped", self.cases.len())
    }
}
