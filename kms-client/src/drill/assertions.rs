//! Whether what was expected of a drill is true in the end.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::KeySpec;
use crate::blocking::Client;

use super::DrillError;
use super::admin::Key;
use super::job::restore;
use super::limits;
use super::load::{HeldKey, Kind, Load, Sample, decrypt, encrypt};
use super::plan::Drill;
use super::report::Event;
use super::site::Site;

/// Something that was expected, and whether it came true.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Assertion {
    /// The word for it in a drill file.
    pub name: &'static str,
    /// Whether it is true.
    pub passed: bool,
    /// What was looked at, or what is wrong.
    pub detail: String,
}

impl Assertion {
    fn of(name: &'static str, result: Result<String, String>) -> Self {
        let passed = result.is_ok();
        Self { name, passed, detail: result.unwrap_or_else(|wrong| wrong) }
    }
}

/// Looks at everything that the drill expects, and at whether servers ended that nobody ended.
pub(super) fn judge(
    drill: &Drill,
    site: &Site<'_>,
    load: &Load,
    events: &[Event],
) -> Result<Vec<Assertion>, DrillError> {
    let expect = &drill.expect;
    let samples = load.samples();
    let mut all = Vec::new();
    let none_failed = [
        ("no-failed-backup", expect.no_failed_backup, Kind::Backup),
        ("no-failed-decryption", expect.no_failed_decryption, Kind::Decryption),
        ("no-failed-creation", expect.no_failed_creation, Kind::Creation),
    ];
    for (name, is_expected, kind) in none_failed {
        if is_expected {
            all.push(Assertion::of(name, no_failure(&samples, kind)));
        }
    }
    if expect.no_lost_key {
        let client = load.clients.blocking().map_err(|error| error.to_string());
        all.push(Assertion::of("no-lost-key", client.and_then(|client| no_lost_key(&client, &load.keys()))));
    }
    if expect.backups_restore {
        all.push(Assertion::of("backups-restore", backups_restore(load)));
    }
    if let Some(limit) = expect.recovery_under {
        all.push(Assertion::of("recovery-under", recovery(&samples, events, limit)));
    }
    if let Some(least) = expect.rotations_seen {
        let keys = site.admins().into_iter().next().map(|(_, admin)| admin.keys()).transpose();
        let keys = keys.map_err(|error| error.to_string()).map(Option::unwrap_or_default);
        all.push(Assertion::of("rotations-seen", keys.and_then(|keys| rotations_seen(load, &keys, least))));
    }
    if expect.one_newest_generation {
        all.push(Assertion::of("one-newest-generation", one_newest(site)));
    }
    if !site.deaths.is_empty() {
        all.push(Assertion::of("no-server-ended-by-itself", Err(site.deaths.join("; "))));
    }
    Ok(all)
}

/// The first of what is wrong, and how many more are.
fn told(wrong: &[String]) -> String {
    let shown = wrong.iter().take(limits::TOLD).cloned().collect::<Vec<_>>().join("; ");
    match wrong.len().checked_sub(limits::TOLD) {
        Some(more) if more > 0 => format!("{shown}; and {more} more"),
        _ => shown,
    }
}

fn no_failure(samples: &[Sample], kind: Kind) -> Result<String, String> {
    let of_kind: Vec<&Sample> = samples.iter().filter(|sample| sample.kind == kind).collect();
    let failed = |sample: &&&Sample| sample.failure.is_some();
    let failures: Vec<String> = of_kind
        .iter()
        .filter(failed)
        .map(|sample| {
            format!("at {:.2} s: {}", sample.begun.as_secs_f64(), sample.failure.clone().unwrap_or_default())
        })
        .collect();
    match (of_kind.len(), failures.len()) {
        (0, _) => Err(format!("no {kind} was tried")),
        (count, 0) => Ok(format!("all of {count} succeeded")),
        (count, failed) => Err(format!("{failed} of {count} failed: {}", told(&failures))),
    }
}

/// Every pair that was handed out has the public half that was handed out, and decrypts.
fn no_lost_key(client: &Client, keys: &[HeldKey]) -> Result<String, String> {
    let lost: Vec<String> = keys
        .iter()
        .filter_map(|held| is_kept(client, held).err().map(|why| format!("{}: {why}", held.name)))
        .collect();
    match (keys.len(), lost.len()) {
        (0, _) => Err("no pair was handed out".to_owned()),
        (count, 0) => Ok(format!("all of {count} pairs are there and decrypt")),
        (count, gone) => Err(format!("{gone} of {count} pairs are lost: {}", told(&lost))),
    }
}

fn is_kept(client: &Client, held: &HeldKey) -> Result<(), String> {
    let HeldKey { name, key, witness } = held;
    // Its Names belong to its newest generation.
    client
        .find_key(name, KeySpec::Rsa2048)
        .map_err(|error| error.to_string())?
        .ok_or("nothing has its name any more")?;
    let ciphertext = match witness {
        Some(witness) => witness.clone(),
        None => encrypt(client, key).map_err(|error| format!("Encrypt: {error}"))?,
    };
    decrypt(client, key, ciphertext)
}

fn backups_restore(load: &Load) -> Result<String, String> {
    let backups = load.backups();
    let wrong: Vec<String> = restore(&backups, &load.clients).into_iter().filter_map(Result::err).collect();
    match (backups.len(), wrong.len()) {
        (0, _) => Err("there is no backup".to_owned()),
        (count, 0) => Ok(format!("all of {count} restore bit for bit")),
        (count, failed) => Err(format!("{failed} of {count} do not restore: {}", told(&wrong))),
    }
}

/// How long it took after each step that broke something until each kind of operation succeeded again: the first that was begun
/// after it, or else the last of those that were under way.
fn recovery(samples: &[Sample], events: &[Event], limit: Duration) -> Result<String, String> {
    let kinds: BTreeSet<Kind> = samples.iter().map(|sample| sample.kind).collect();
    let (mut longest, mut wrong) = (None, Vec::new());
    for event in events.iter().filter(|event| event.breaks) {
        for kind in &kinds {
            match succeeded(samples, *kind, event.at) {
                None => wrong.push(format!("no {kind} has succeeded since `{}`", event.what)),
                Some(at) => {
                    let took = at.saturating_sub(event.at);
                    if took > limit {
                        wrong.push(format!(
                            "the next {kind} after `{}` took {:.2} s",
                            event.what,
                            took.as_secs_f64()
                        ));
                    }
                    if longest.as_ref().is_none_or(|(most, _)| took > *most) {
                        longest = Some((took, format!("{kind} after `{}`", event.what)));
                    }
                }
            }
        }
    }
    match (longest, wrong.is_empty()) {
        (Some((took, what)), true) => {
            Ok(format!("at most {:.2} s of {:.1} s: {what}", took.as_secs_f64(), limit.as_secs_f64()))
        }
        (None, true) => Err("nothing was asked after a step that breaks something".to_owned()),
        (_, false) => Err(format!("{:.1} s are allowed: {}", limit.as_secs_f64(), told(&wrong))),
    }
}

/// When an operation of a kind succeeded that says of a time that the kind works again.
fn succeeded(samples: &[Sample], kind: Kind, since: Duration) -> Option<Duration> {
    let end = |sample: &Sample| sample.begun + sample.took;
    let own = samples.iter().filter(|sample| sample.kind == kind && sample.failure.is_none());
    let later = own.clone().filter(|sample| sample.begun >= since).map(end).min();
    // What was under way may have been answered already, but for the last of it.
    later.or_else(|| own.map(end).filter(|end| *end >= since).max())
}

/// Every job encrypts for the newest generation after one more sync, and they adopted so many rotations together.
fn rotations_seen(load: &Load, keys: &[Key], least: u32) -> Result<String, String> {
    let known: BTreeMap<&str, &Key> = keys.iter().map(|key| (key.id.as_str(), key)).collect();
    let mut seen = 0;
    for job in load.jobs() {
        job.sync().map_err(|error| format!("{}: {error}", job.name))?;
        let (id, rotations) = job.key().map_err(|error| format!("{}: {error}", job.name))?;
        let key =
            known.get(id.as_str()).ok_or_else(|| format!("{}: the server has no key {id}", job.name))?;
        if let Some(successor) = &key.successor {
            return Err(format!("{} encrypts for {id}, which {successor} has replaced", job.name));
        }
        if i64::from(rotations) != key.generation {
            let generation = key.generation;
            return Err(format!("{} saw {rotations} rotations, the server made {generation}", job.name));
        }
        seen += rotations;
    }
    if seen < least {
        return Err(format!("{seen} rotations were seen, {least} are expected"));
    }
    Ok(format!("{seen} rotations by {} jobs", load.jobs().len()))
}

fn one_newest(site: &Site<'_>) -> Result<String, String> {
    let mut said = Vec::new();
    for (name, admin) in site.admins() {
        let keys = admin.keys().map_err(|error| format!("{name}: {error}"))?;
        said.push(format!("{name}: {}", lines(&keys).map_err(|wrong| format!("{name}: {wrong}"))?));
    }
    if said.is_empty() { Err("no server serves".to_owned()) } else { Ok(said.join("; ")) }
}

/// Walks each line of generations from its oldest key.
fn lines(keys: &[Key]) -> Result<String, String> {
    let known: BTreeMap<&str, &Key> = keys.iter().map(|key| (key.id.as_str(), key)).collect();
    let mut walked = BTreeSet::new();
    let (mut count, mut wrong) = (0_usize, Vec::new());
    for oldest in keys.iter().filter(|key| key.predecessor.is_none()) {
        let mut key = oldest;
        count += 1;
        while walked.insert(key.id.as_str()) {
            let Some(successor) = &key.successor else { break };
            match known.get(successor.as_str()) {
                Some(next) if next.predecessor.as_ref() == Some(&key.id) => key = next,
                Some(_) => wrong.push(format!("{successor} does not say that it follows {}", key.id)),
                None => wrong.push(format!("{}, which follows {}, is not there", successor, key.id)),
            }
        }
    }
    let astray = keys.iter().filter(|key| !walked.contains(key.id.as_str()));
    wrong.extend(astray.map(|key| format!("{} stands in no line", key.id)));
    let mut named = BTreeSet::new();
    for key in keys.iter().filter(|key| key.successor.is_none()) {
        for name in &key.names {
            if !named.insert((key.object_type.as_str(), name.as_str())) {
                wrong.push(format!("two newest keys are called {name:?}"));
            }
        }
    }
    match (count, wrong.is_empty()) {
        (0, _) => Err("there is no key".to_owned()),
        (count, true) => Ok(format!("{count} lines of {} keys, each with one newest", keys.len())),
        (_, false) => Err(told(&wrong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sample(kind: Kind, begun: u32, took: u32, failure: Option<&str>) -> Sample {
        Sample { kind, begun: MS * begun, took: MS * took, failure: failure.map(str::to_owned) }
    }

    fn kill(at: u32) -> Event {
        let what = format!("kill {at}");
        Event { at: MS * at, took: Duration::ZERO, what, said: None, server: Some(0), breaks: true }
    }

    #[test]
    fn a_failure_is_found_and_nothing_tried_is_no_success() {
        let mut samples =
            vec![sample(Kind::Backup, 0, 10, None), sample(Kind::Decryption, 0, 1, Some("gone"))];
        assert_eq!(no_failure(&samples, Kind::Backup), Ok("all of 1 succeeded".to_owned()));
        samples.push(sample(Kind::Backup, 1_500, 10, Some("the disk is full")));
        let wrong = no_failure(&samples, Kind::Backup).unwrap_err();
        assert_eq!(wrong, "1 of 2 failed: at 1.50 s: the disk is full");
        assert_eq!(no_failure(&samples, Kind::Creation).unwrap_err(), "no creation was tried");
        samples.extend((0..7).map(|at| sample(Kind::Backup, at, 1, Some("x"))));
        assert!(no_failure(&samples, Kind::Backup).unwrap_err().ends_with("; and 3 more"));
    }

    #[test]
    fn recovery_counts_from_the_step_to_the_first_success_that_was_begun_after_it() {
        let before = sample(Kind::Decryption, 900, 50, None);
        let failed = sample(Kind::Decryption, 1_100, 10, Some("gone"));
        let after = sample(Kind::Decryption, 1_200, 800, None);
        let all = [before.clone(), failed, after];
        let took = recovery(&all, &[kill(1_000)], MS * 1_000).unwrap();
        assert!(took.starts_with("at most 1.00 s of 1.0 s"), "{took}");
        let slow = recovery(&all, &[kill(1_000)], MS * 999).unwrap_err();
        assert!(slow.contains("the next decryption after `kill 1000` took 1.00 s"), "{slow}");
        let never = recovery(&all, &[kill(1_000), kill(2_500)], MS * 5_000).unwrap_err();
        assert!(never.contains("no decryption has succeeded since `kill 2500`"), "{never}");
        let other = recovery(&[before, sample(Kind::Backup, 1_000, 5, None)], &[kill(1_000)], MS * 5_000);
        assert!(other.unwrap_err().contains("no decryption"), "each kind has to come back");
        let under_way = [sample(Kind::Creation, 900, 6_000, None), sample(Kind::Creation, 950, 60, None)];
        let took = recovery(&under_way, &[kill(1_000)], MS * 10_000).unwrap();
        assert!(took.starts_with("at most 5.90 s"), "{took}");
        assert!(recovery(&[], &[kill(1)], MS).is_err(), "nothing was asked");
        let calm = Event { breaks: false, ..kill(1) };
        assert!(recovery(&all, &[calm], MS).is_err(), "nothing was broken");
    }

    fn key(id: &str, before: Option<&str>, after: Option<&str>) -> Key {
        Key {
            id: id.to_owned(),
            object_type: "Private Key".to_owned(),
            state: "Active".to_owned(),
            names: vec![format!("name of {id}")],
            generation: 0,
            predecessor: before.map(str::to_owned),
            successor: after.map(str::to_owned),
        }
    }

    #[test]
    fn a_line_of_generations_has_one_newest() {
        let whole = [key("a", None, Some("b")), key("b", Some("a"), None), key("c", None, None)];
        assert_eq!(lines(&whole), Ok("2 lines of 3 keys, each with one newest".to_owned()));
        assert!(lines(&[]).is_err(), "nothing is no line");
        let lost = lines(&[key("a", None, Some("b"))]).unwrap_err();
        assert_eq!(lost, "b, which follows a, is not there");
        let forked = [key("a", None, Some("b")), key("b", Some("a"), None), key("c", Some("a"), None)];
        assert_eq!(lines(&forked).unwrap_err(), "c stands in no line");
        let strange = [key("a", None, Some("b")), key("b", Some("x"), None)];
        assert!(lines(&strange).unwrap_err().contains("b does not say that it follows a"));
        let twice = Key { names: vec!["name of a".to_owned()], ..key("c", None, None) };
        assert!(lines(&[key("a", None, None), twice]).unwrap_err().contains("two newest keys are called"));
    }
}
