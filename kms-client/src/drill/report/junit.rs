//! A report for continuous integration: each expectation is a test case.

use core::fmt::Write as _;

use super::{Report, escaped};

impl Report {
    /// The report as a JUnit file.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let failed = self.assertions.iter().filter(|assertion| !assertion.passed).count();
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" \
             time=\"{:.3}\" timestamp=\"{}\">\n",
            escaped(&self.drill),
            self.assertions.len(),
            self.took.as_secs_f64(),
            escaped(&self.started),
        );
        for assertion in &self.assertions {
            let inside = match assertion.passed {
                true => String::new(),
                false => format!("<failure message=\"{}\"/>", escaped(&assertion.detail)),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "  <testcase classname=\"drill.{}\" name=\"{}\">{inside}</testcase>",
                escaped(&self.drill),
                assertion.name
            );
        }
        let steps: String = self.steps.iter().map(|step| format!("{step}\n")).collect();
        let _ = writeln!(out, "  <system-out>{}</system-out>\n</testsuite>", lines(&steps));
        out
    }
}

fn lines(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}
