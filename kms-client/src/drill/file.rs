//! Reads drill files, and says what is wrong with one that cannot be read.

use core::time::Duration;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;

use super::limits;
use super::plan::{Action, Cut, Deed, Drill, Expect, LoadSpec, ServerSpec, Step, When, some_span, time};

/// What is wrong with a drill file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{origin}{}: {what}", line.map_or_else(String::new, |line| format!(", line {line}")))]
pub struct FileError {
    /// The file.
    pub origin: String,
    /// Where in it.
    pub line: Option<usize>,
    /// What.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, deserialize_with = "some_span")]
    limit: Option<Duration>,
    #[serde(default)]
    server: Vec<Spanned<ServerSpec>>,
    #[serde(default)]
    load: Option<Spanned<LoadSpec>>,
    #[serde(default)]
    step: Vec<Spanned<WrittenStep>>,
    #[serde(default)]
    expect: Expect,
}

macro_rules! verbs {
    ($($field:ident),*) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct WrittenStep {
            #[serde(default, deserialize_with = "some_span")]
            at: Option<Duration>,
            #[serde(default, deserialize_with = "some_span")]
            after: Option<Duration>,
            $($field: Option<String>,)*
            by: Option<String>,
            how: Option<String>,
            what: Option<String>,
            operation: Option<String>,
            client: Option<String>,
            key: Option<String>,
            count: Option<u32>,
            skip: Option<u32>,
            probability: Option<f64>,
        }

        impl WrittenStep {
            /// The verbs that stand in it, each with what it names.
            fn verbs(&self) -> Vec<(String, &str)> {
                let mut verbs = Vec::new();
                $(if let Some(named) = &self.$field {
                    verbs.push((stringify!($field).replace('_', "-"), named.as_str()));
                })*
                verbs
            }
        }

        /// Every verb of a step.
        fn known_verbs() -> String {
            [$(stringify!($field)),*].join(", ").replace('_', "-")
        }
    };
}

verbs!(
    load,
    start,
    stop,
    kill,
    freeze,
    thaw,
    restart,
    rotate,
    advance,
    expire_certificate,
    renew_certificate,
    fill_disk,
    free_disk,
    partition,
    heal,
    fault,
    clear_faults,
    lose_store
);

impl Drill {
    /// Reads a drill file; `origin` is what errors call it.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str, origin: &str) -> Result<Self, FileError> {
        let file = File { text, origin };
        let written: Written = toml::from_str(text).map_err(|error| file.not_toml(&error))?;
        let servers = file.servers(written.server)?;
        let load_at = written.load.as_ref().map_or(0, |load| load.span().start);
        let load = written.load.map(Spanned::into_inner).unwrap_or_default();
        file.check_load(&load, load_at)?;
        let limit = written.limit.unwrap_or(limits::USUAL);
        if limit > limits::LONGEST {
            let what = format!("a limit of {} s is too long", limit.as_secs());
            return Err(file.wrong(None, what, format!("{} s are the most", limits::LONGEST.as_secs())));
        }
        let steps = file.steps(&written.step, &servers)?;
        let drill = Self {
            name: written.name,
            description: written.description,
            limit,
            servers,
            load,
            steps,
            expect: written.expect,
        };
        file.check_whole(&drill)?;
        Ok(drill)
    }
}

struct File<'a> {
    text: &'a str,
    origin: &'a str,
}

impl File<'_> {
    fn wrong(&self, at: Option<usize>, what: impl Into<String>, hint: impl Into<String>) -> FileError {
        let line = at.and_then(|at| self.text.get(..at)).map(|before| before.matches('\n').count() + 1);
        FileError { origin: self.origin.to_owned(), line, what: what.into(), hint: hint.into() }
    }

    fn not_toml(&self, error: &toml::de::Error) -> FileError {
        let message = error.message().to_owned();
        let hint = match nearest(&message) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "docs/drills.md tells what a drill file may say; `kms-client drill show NAME` shows a whole one"
                .to_owned(),
        };
        self.wrong(error.span().map(|span| span.start), message, hint)
    }

    fn servers(&self, written: Vec<Spanned<ServerSpec>>) -> Result<Vec<ServerSpec>, FileError> {
        let mut servers: Vec<ServerSpec> = Vec::new();
        for server in written {
            let at = Some(server.span().start);
            let server = server.into_inner();
            let known: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if server.name.is_empty() || server.name.len() > 32 || !server.name.chars().all(is_plain) {
                let what = format!("{:?} cannot be the name of a server", server.name);
                return Err(self.wrong(at, what, "use letters, digits and dashes, 32 at most"));
            }
            if known.contains(&server.name.as_str()) {
                let what = format!("two servers are called {:?}", server.name);
                return Err(self.wrong(at, what, "give each a name of its own"));
            }
            match (&server.standby_of, &server.copy_of) {
                (None, None) if !servers.is_empty() => {
                    let what = format!("it is not said where {:?} has its keys from", server.name);
                    return Err(self.wrong(
                        at,
                        what,
                        format!("write standby-of = {:?} or copy-of = {0:?}", known.first().unwrap_or(&"")),
                    ));
                }
                (Some(_), Some(_)) => {
                    let what = format!("{:?} cannot be both a standby and a copy", server.name);
                    return Err(self.wrong(at, what, "leave standby-of or copy-of out"));
                }
                (Some(of), None) | (None, Some(of)) if !known.contains(&of.as_str()) => {
                    let what = format!("there is no server {of:?} above {:?}", server.name);
                    return Err(self.wrong(at, what, self.choice(of, &known)));
                }
                _ => {}
            }
            servers.push(server);
        }
        match servers.len() {
            0 => Err(self.wrong(None, "there is no server", "begin with [[server]] and name = \"kms\"")),
            1..=limits::SERVERS => Ok(servers),
            many => {
                let what = format!("{many} servers are too many");
                Err(self.wrong(None, what, format!("{} are the most", limits::SERVERS)))
            }
        }
    }

    fn check_load(&self, load: &LoadSpec, at: usize) -> Result<(), FileError> {
        let LoadSpec { keys, decrypt, create, backup, restore, pause, .. } = *load;
        let threads = [("decrypt", decrypt), ("create", create), ("backup", backup), ("restore", restore)];
        for (name, count) in threads {
            if count > limits::WORKERS {
                let hint = format!("{} are the most", limits::WORKERS);
                return Err(self.wrong(Some(at), format!("{name} = {count} are too many threads"), hint));
            }
        }
        if keys == 0 || keys > limits::KEYS {
            let hint = format!("1 to {} are possible", limits::KEYS);
            return Err(self.wrong(Some(at), format!("keys = {keys} is not possible"), hint));
        }
        if pause < limits::LEAST_PAUSE {
            let hint = format!("{} ms are the least", limits::LEAST_PAUSE.as_millis());
            return Err(self.wrong(Some(at), "the pause is too short", hint));
        }
        if restore > 0 && backup == 0 {
            return Err(self.wrong(Some(at), "there is nothing to restore", "have backup = 1 as well"));
        }
        if threads.iter().all(|(_, count)| *count == 0) {
            return Err(self.wrong(
                Some(at),
                "the load does nothing",
                "write decrypt = 2 or backup = 1 in [load]",
            ));
        }
        Ok(())
    }

    fn steps(
        &self,
        written: &[Spanned<WrittenStep>],
        servers: &[ServerSpec],
    ) -> Result<Vec<Step>, FileError> {
        let mut steps = Vec::new();
        let mut latest = Duration::ZERO;
        for step in written {
            let at = step.span().start;
            let step = self.step(step.get_ref(), at, servers)?;
            if let When::At(time) = step.when {
                if time < latest {
                    let what = "it is before a step above it";
                    return Err(self.wrong(Some(at), what, "write steps in the order in which they happen"));
                }
                latest = time;
            }
            steps.push(step);
        }
        match steps.len() {
            0 => Err(self.wrong(None, "there is no step", "begin with [[step]] and load = \"begin\"")),
            1..=limits::STEPS => Ok(steps),
            many => {
                let what = format!("{many} steps are too many");
                Err(self.wrong(None, what, format!("{} are the most", limits::STEPS)))
            }
        }
    }

    fn step(&self, written: &WrittenStep, at: usize, servers: &[ServerSpec]) -> Result<Step, FileError> {
        let when = match (written.at, written.after) {
            (Some(_), Some(_)) => {
                return Err(self.wrong(Some(at), "a step has at or after, not both", "leave one out"));
            }
            (Some(time), None) => When::At(time),
            (None, after) => When::After(after.unwrap_or_default()),
        };
        let verbs = written.verbs();
        let [(verb, named)] = verbs.as_slice() else {
            let what = match verbs.as_slice() {
                [] => "the step does nothing".to_owned(),
                _ => format!("the step does {} things", verbs.len()),
            };
            let hint = format!("a step has one of {}", known_verbs());
            return Err(self.wrong(Some(at), what, hint));
        };
        self.check_details(written, verb, at)?;
        if verb == "load" {
            return match *named {
                "begin" => Ok(Step { when, action: Action::Load(true) }),
                "end" => Ok(Step { when, action: Action::Load(false) }),
                other => Err(self.wrong(
                    Some(at),
                    format!("a load does not {other:?}"),
                    "write load = \"begin\" or load = \"end\"",
                )),
            };
        }
        let Some(server) = servers.iter().position(|server| server.name == *named) else {
            let known: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
            let what = format!("there is no server {named:?}");
            return Err(self.wrong(Some(at), what, self.choice(named, &known)));
        };
        Ok(Step { when, action: Action::Server(server, self.deed(written, verb, at)?) })
    }

    /// What says more about a step has to fit what it does.
    fn check_details(&self, written: &WrittenStep, verb: &str, at: usize) -> Result<(), FileError> {
        let of_fault = [
            ("what", written.what.is_some()),
            ("operation", written.operation.is_some()),
            ("client", written.client.is_some()),
            ("key", written.key.is_some()),
            ("count", written.count.is_some()),
            ("skip", written.skip.is_some()),
            ("probability", written.probability.is_some()),
        ];
        let details = [("by", "advance", written.by.is_some()), ("how", "partition", written.how.is_some())];
        let details = details.into_iter().chain(of_fault.map(|(name, is_said)| (name, "fault", is_said)));
        for (name, of, is_said) in details {
            if is_said && verb != of {
                let what = format!("`{name}` says nothing of `{verb}`");
                return Err(self.wrong(Some(at), what, format!("`{name}` belongs to `{of}`")));
            }
        }
        Ok(())
    }

    fn deed(&self, written: &WrittenStep, verb: &str, at: usize) -> Result<Deed, FileError> {
        let lacks = |what: &str, hint: &str| self.wrong(Some(at), what, hint);
        Ok(match verb {
            "start" => Deed::Start,
            "stop" => Deed::Stop,
            "kill" => Deed::Kill,
            "freeze" => Deed::Freeze,
            "thaw" => Deed::Thaw,
            "restart" => Deed::Restart,
            "rotate" => Deed::Rotate,
            "advance" => match written.by.as_deref() {
                Some(by) if is_period(by) => Deed::Advance(by.to_owned()),
                _ => return Err(lacks("it is not said by how much", "write by = \"90d\" (s, m, h, d)")),
            },
            "expire-certificate" => Deed::ExpireCertificate,
            "renew-certificate" => Deed::RenewCertificate,
            "fill-disk" => Deed::FillDisk,
            "free-disk" => Deed::FreeDisk,
            "partition" => Deed::Partition(cut(written.how.as_deref()).ok_or_else(|| {
                lacks("it is not said how", "write how = \"refuse\", \"black-hole\" or \"delay:200ms\"")
            })?),
            "heal" => Deed::Heal,
            "fault" => match &written.what {
                Some(what) => Deed::Fault(rule(what, written)),
                None => {
                    return Err(lacks(
                        "it is not said which fault",
                        "write what = \"delay:200ms\"; docs/mock.md has all",
                    ));
                }
            },
            "clear-faults" => Deed::ClearFaults,
            _ => Deed::LoseStore,
        })
    }

    fn check_whole(&self, drill: &Drill) -> Result<(), FileError> {
        let loads: Vec<bool> = drill
            .steps
            .iter()
            .filter_map(|step| match step.action {
                Action::Load(begins) => Some(begins),
                Action::Server(..) => None,
            })
            .collect();
        if !matches!(loads.as_slice(), [true] | [true, false]) {
            let what = "the load does not begin once, and end at most once after that";
            return Err(self.wrong(
                None,
                what,
                "write a step with load = \"begin\", and later one with load = \"end\"",
            ));
        }
        if drill.is_started_later(0) {
            let what = format!(
                "the first server, {:?}, is started by a step",
                drill.servers.first().map_or("", |one| &one.name)
            );
            return Err(self.wrong(
                None,
                what,
                "it runs from the beginning, and keys are made there; have it `restart`",
            ));
        }
        let Expect { recovery_under, rotations_seen, .. } = &drill.expect;
        if drill.expect == Expect::default() {
            return Err(self.wrong(None, "nothing is expected", "write no-lost-key = true in [expect]"));
        }
        let breaks = |step: &Step| matches!(&step.action, Action::Server(_, deed) if deed.breaks());
        if recovery_under.is_some() && !drill.steps.iter().any(breaks) {
            return Err(self.wrong(
                None,
                "there is nothing to recover from",
                "leave recovery-under out, or have a step `kill`",
            ));
        }
        let needs = [
            ("no-failed-backup", drill.expect.no_failed_backup, drill.load.backup, "backup"),
            ("backups-restore", drill.expect.backups_restore, drill.load.backup, "backup"),
            ("rotations-seen", rotations_seen.is_some(), drill.load.backup, "backup"),
            ("no-failed-decryption", drill.expect.no_failed_decryption, drill.load.decrypt, "decrypt"),
            ("no-failed-creation", drill.expect.no_failed_creation, drill.load.create, "create"),
        ];
        for (name, is_expected, count, kind) in needs {
            if is_expected && count == 0 {
                let what = format!("{name} is expected of a load that does not {kind}");
                return Err(self.wrong(None, what, format!("write {kind} = 1 in [load]")));
            }
        }
        Ok(())
    }

    fn choice(&self, given: &str, known: &[&str]) -> String {
        let mut message = format!("unknown `{given}`");
        known.iter().for_each(|name| message.push_str(&format!(", `{name}`")));
        match nearest(&message) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "servers are {}",
                known.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// The nearest of the names that are offered in "unknown field `x`, expected one of `a`, `b`".
pub(super) fn nearest(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let given = quoted.next()?;
    let distance = |name: &&str| strsim::damerau_levenshtein(given, name);
    let best = quoted.min_by_key(distance)?;
    // Further away than half of itself it is another word, not a slip.
    (distance(&best) * 2 <= best.chars().count()).then_some(best)
}

fn rule(what: &str, written: &WrittenStep) -> Value {
    let mut rule = json!({ "fault": what });
    let mut say = |name: &str, value: Option<Value>| {
        if let (Some(rule), Some(value)) = (rule.as_object_mut(), value) {
            rule.insert(name.to_owned(), value);
        }
    };
    say("operation", written.operation.as_ref().map(|operation| json!(operation)));
    say("client", written.client.as_ref().map(|client| json!(client)));
    say("key", written.key.as_ref().map(|key| json!(key)));
    say("count", written.count.map(|count| json!(count)));
    say("skip", written.skip.map(|skip| json!(skip)));
    say("probability", written.probability.map(|probability| json!(probability)));
    rule
}

fn cut(how: Option<&str>) -> Option<Cut> {
    match how? {
        "refuse" => Some(Cut::Refuse),
        "black-hole" => Some(Cut::BlackHole),
        other => time(other.strip_prefix("delay:")?).map(Cut::Delay),
    }
}

/// A length of time that a clock is moved by.
fn is_period(text: &str) -> bool {
    let digits = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or_default();
    !digits.is_empty() && digits.len() < 10 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
