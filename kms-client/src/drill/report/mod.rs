//! What came of a drill, as data; [`text`], [`junit`] and [`html`] show it.

mod html;
mod junit;
mod text;

use core::time::Duration;

use kms_protocol::DateTime;
use serde::Serialize;
use serde::Serializer;

use super::Assertion;
use super::limits;
use super::load::{Kind, Sample};
use super::plan::Drill;
use super::site::{Change, Condition};

/// A step that was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// When it was begun, in seconds since the beginning of the timeline.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// How long it took, in seconds.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// What was done.
    pub what: String,
    /// What came of it.
    pub said: Option<String>,
    /// To which server, by its place.
    #[serde(skip)]
    pub server: Option<usize>,
    /// Whether something had to be recovered from.
    pub breaks: bool,
}

/// How a server was, over time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lane {
    /// The server.
    pub server: String,
    /// How it was, one after the other.
    pub stretches: Vec<Stretch>,
}

/// A time during which a server was so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Stretch {
    /// Since when, in seconds.
    #[serde(serialize_with = "seconds")]
    pub from: Duration,
    /// Until when, in seconds.
    #[serde(serialize_with = "seconds")]
    pub to: Duration,
    /// How.
    pub condition: Condition,
}

/// What became of the operations of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Summary {
    /// The kind.
    pub kind: Kind,
    /// How many there were.
    pub count: usize,
    /// How many failed.
    pub failed: usize,
    /// How long half of those that succeeded took at most, in seconds.
    #[serde(serialize_with = "seconds")]
    pub median: Duration,
    /// The longest, in seconds.
    #[serde(serialize_with = "seconds")]
    pub longest: Duration,
    /// Why the first of those that failed did.
    pub failures: Vec<String>,
}

/// What came of a drill.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The drill.
    pub drill: String,
    /// What it is for.
    pub description: String,
    /// Whether all that was expected came true.
    pub passed: bool,
    /// When it was begun.
    pub started: String,
    /// How long the timeline took, in seconds.
    #[serde(serialize_with = "seconds")]
    pub timeline: Duration,
    /// How long it took with preparing and looking afterwards, in seconds.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// What was expected.
    pub assertions: Vec<Assertion>,
    /// What happened.
    pub steps: Vec<Event>,
    /// How the servers were.
    pub servers: Vec<Lane>,
    /// What the load did.
    pub load: Vec<Summary>,
    /// Every operation, for the timeline.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}

impl Report {
    pub(super) fn new(
        drill: &Drill,
        started: DateTime,
        (timeline, took): (Duration, Duration),
        steps: Vec<Event>,
        assertions: Vec<Assertion>,
        samples: Vec<Sample>,
        changes: &[Change],
    ) -> Self {
        let lanes = drill.servers.iter().enumerate().map(|(server, spec)| {
            let own: Vec<&Change> = changes.iter().filter(|change| change.server == server).collect();
            let ends = own.iter().skip(1).map(|change| change.at).chain([timeline]);
            let stretches = own.iter().zip(ends);
            let stretches =
                stretches.map(|(change, to)| Stretch { from: change.at, to, condition: change.condition });
            Lane { server: spec.name.clone(), stretches: stretches.filter(|one| one.to > one.from).collect() }
        });
        Self {
            drill: drill.name.clone(),
            description: drill.description.clone(),
            passed: assertions.iter().all(|assertion| assertion.passed),
            started: jiff::Timestamp::from_second(started.0).map(|time| time.to_string()).unwrap_or_default(),
            timeline,
            took,
            servers: lanes.collect(),
            load: Kind::ALL.into_iter().filter_map(|kind| Summary::of(kind, &samples)).collect(),
            assertions,
            steps,
            samples,
        }
    }
}

impl Summary {
    /// Nothing where there was no operation of that kind.
    fn of(kind: Kind, samples: &[Sample]) -> Option<Self> {
        let own: Vec<&Sample> = samples.iter().filter(|sample| sample.kind == kind).collect();
        let mut times: Vec<Duration> =
            own.iter().filter(|sample| sample.failure.is_none()).map(|sample| sample.took).collect();
        times.sort_unstable();
        let failures: Vec<String> = own.iter().filter_map(|sample| sample.failure.clone()).collect();
        (!own.is_empty()).then(|| Self {
            kind,
            count: own.len(),
            failed: failures.len(),
            median: times.get(times.len() / 2).copied().unwrap_or_default(),
            longest: own.iter().map(|sample| sample.took).max().unwrap_or_default(),
            failures: failures.into_iter().take(limits::TOLD).collect(),
        })
    }
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are all that anybody can make something of.
    to.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Text without what XML cannot carry, escaped for elements and attributes.
fn escaped(text: &str) -> String {
    let is_no_char = |c: char| matches!(c, '\u{FFFE}' | '\u{FFFF}');
    let text: String = text.chars().map(|c| if c.is_control() || is_no_char(c) { ' ' } else { c }).collect();
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event as Xml;

    use super::*;

    const NASTY: &str = "<script>alert('x')</script>\u{1}\u{1b}[31m & \"quoted\" ]]> \u{FFFF}";

    /// A report that failed, with names and words that no page must run and no report break on.
    pub(super) fn nasty() -> Report {
        let text = "name = 'x'\n[[server]]\nname = 'a'\n[load]\ndecrypt = 1\n[[step]]\nload = 'begin'\n\
                    [expect]\nno-lost-key = true\n";
        let drill = Drill {
            name: NASTY.to_owned(),
            description: NASTY.to_owned(),
            ..Drill::parse(text, "x").unwrap()
        };
        let second = Duration::from_secs(1);
        let sample = |kind, begun, failure: Option<&str>| Sample {
            kind,
            begun: second * begun,
            took: second / 10,
            failure: failure.map(str::to_owned),
        };
        let event = Event {
            at: second,
            took: second / 2,
            what: format!("kill {NASTY}"),
            said: Some(NASTY.to_owned()),
            server: Some(0),
            breaks: true,
        };
        let assertion = |passed| Assertion { name: "no-lost-key", passed, detail: NASTY.to_owned() };
        let change = |at, condition| Change { server: 0, at: second * at, condition };
        Report::new(
            &drill,
            DateTime(1_800_000_000),
            (second * 4, second * 5),
            vec![event],
            vec![assertion(true), assertion(false)],
            vec![
                sample(Kind::Decryption, 0, None),
                sample(Kind::Decryption, 2, Some(NASTY)),
                sample(Kind::Backup, 3, None),
            ],
            &[change(0, Condition::Up), change(1, Condition::Down), change(2, Condition::Up)],
        )
    }

    /// Every element with its attributes and every text, in order.
    fn parsed(text: &str) -> Vec<String> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = true;
        let (mut seen, mut depth) = (Vec::new(), 0_usize);
        loop {
            match reader.read_event().unwrap_or_else(|error| panic!("{error} in {text}")) {
                Xml::Eof => break,
                Xml::Start(tag) => {
                    depth += 1;
                    seen.push(tag.to_string());
                }
                Xml::Empty(tag) => seen.push(tag.to_string()),
                Xml::End(_) => depth -= 1,
                _ => {}
            }
        }
        assert_eq!(depth, 0, "every element ends");
        seen
    }

    #[test]
    fn a_report_counts_what_happened() {
        let report = nasty();
        assert!(!report.passed);
        let decryptions = report.load.first().unwrap();
        assert_eq!((decryptions.kind, decryptions.count, decryptions.failed), (Kind::Decryption, 2, 1));
        let conditions: Vec<_> = report
            .servers
            .first()
            .unwrap()
            .stretches
            .iter()
            .map(|one| (one.condition, one.to.as_secs()))
            .collect();
        assert_eq!(conditions, [(Condition::Up, 1), (Condition::Down, 2), (Condition::Up, 4)]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json.pointer("/steps/0/took"), Some(&serde_json::json!(0.5)));
        assert_eq!(json.pointer("/servers/0/stretches/1/condition"), Some(&serde_json::json!("down")));
        assert_eq!(json.pointer("/assertions/1/passed"), Some(&serde_json::json!(false)));
    }

    #[test]
    fn the_junit_report_is_well_formed_and_says_what_failed() {
        let elements = parsed(&nasty().to_junit());
        assert!(elements.iter().any(|one| one.contains("tests=\"2\" failures=\"1\"")), "{elements:?}");
        assert_eq!(elements.iter().filter(|one| one.starts_with("testcase")).count(), 2);
        assert_eq!(elements.iter().filter(|one| one.starts_with("failure")).count(), 1);
    }

    #[test]
    fn the_page_is_whole_by_itself_and_runs_nothing() {
        let page = nasty().to_html();
        for outside in
            ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<img", "<iframe"]
        {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
        assert!(page.contains("prefers-color-scheme: dark"), "it has a dark form");
        assert!(page.contains("&lt;script&gt;"), "what was said is shown, not run");
        assert!(!page.contains('\u{1b}') && !page.contains('\u{1}'));
        let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
        let elements = parsed(body);
        assert!(elements.iter().any(|one| one.starts_with("svg")), "the timeline is in the page");
        assert!(elements.iter().filter(|one| one.starts_with("rect")).count() >= 5);
    }

    #[test]
    fn the_text_says_what_failed() {
        let text = nasty().to_string();
        assert!(text.contains("FAIL  no-lost-key"), "{text}");
        assert!(text.contains("1 of 2 expectations"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
