use kms_protocol::DateTime;
use kms_server::clock::{self, Change, Clock, ClockError};

/// Makes a change with nothing to do on the way.
fn change(clock: &Clock, change: Change) -> Result<DateTime, ClockError> {
    clock.depart(&change)?;
    clock.arrive();
    Ok(clock.now())
}

fn advance(by: &str) -> Change {
    Change::Advance(by.into())
}

#[test]
fn a_frozen_clock_moves_only_when_told() {
    let clock = Clock::frozen_at(DateTime(1_000));
    for (step, expected) in [
        (advance("1s"), 1_001),
        (advance("2m"), 1_121),
        (advance("1h"), 4_721),
        (advance("1d 12h"), 134_321),
        (advance("1w"), 739_121),
        (advance("0s"), 739_121),
        (Change::Freeze, 739_121),
        (Change::Set("1970-01-10T00:00:00Z".into()), 777_600),
        (Change::Set("1970-01-10T01:00:00+01:00".into()), 777_600),
    ] {
        assert_eq!(change(&clock, step.clone()).unwrap(), DateTime(expected), "{step:?}");
        assert_eq!(clock.now(), DateTime(expected));
        assert!(clock.is_frozen());
    }
}

#[test]
fn a_change_that_makes_no_sense_is_refused_and_changes_nothing() {
    for (step, expected) in [
        (advance("soon"), "\"soon\" is no duration"),
        (advance(""), "is no duration"),
        (advance("-1d"), "it is negative"),
        (advance("7000000d"), "after the year 9999"),
        (advance("1mo"), "months and years differ in length"),
        (advance("1y"), "months and years differ in length"),
        (advance("0.5s"), "a second is the smallest unit"),
        (advance("99999999999999w"), "is no duration"),
        (Change::Set("tomorrow".into()), "\"tomorrow\" is no time"),
        (Change::Set("1970-01-01T00:00:00Z".into()), "1970-01-01T00:00:00Z is before 1970-01-01T00:16:40Z"),
    ] {
        let clock = Clock::frozen_at(DateTime(1_000));
        let error = change(&clock, step.clone()).unwrap_err();
        assert!(error.to_string().contains(expected), "{step:?}: {error}");
        assert!(!error.hint().is_empty());
        assert_eq!(clock.now(), DateTime(1_000), "{step:?}");
    }
}

#[test]
fn the_real_clock_shows_the_systems_time_and_moves_for_nobody() {
    let clock = Clock::real();
    let before = clock::system_now();
    let now = clock.now();
    assert!(before <= now && now <= clock::system_now());
    for step in [advance("1d"), Change::Set("2999-01-01T00:00:00Z".into()), Change::Freeze, Change::Resume] {
        assert!(matches!(change(&clock, step), Err(ClockError::Real)));
    }
}

#[test]
fn a_resumed_clock_runs_on_from_where_it_stood() {
    let clock = Clock::movable();
    change(&clock, advance("90d")).unwrap();
    let frozen = change(&clock, Change::Freeze).unwrap();
    assert!(frozen >= clock::system_now().plus(90 * 86_400 - 60));
    let resumed = change(&clock, Change::Resume).unwrap();
    assert!(!clock.is_frozen());
    assert!(resumed >= frozen && resumed <= frozen.plus(60));
}

#[test]
fn a_moved_clock_stands_where_it_stepped_until_it_arrives() {
    let clock = Clock::frozen_at(DateTime(0));
    assert_eq!(clock.depart(&advance("100s")).unwrap(), DateTime(100));
    assert_eq!(clock.now(), DateTime(0));
    clock.step(DateTime(40));
    assert_eq!(clock.now(), DateTime(40));
    clock.step(DateTime(30));
    assert_eq!(clock.now(), DateTime(40), "it never goes back");
    clock.arrive();
    assert_eq!(clock.now(), DateTime(100));
    clock.step(DateTime(200));
    assert_eq!(clock.now(), DateTime(100), "a step belongs to a move");
}

#[test]
fn a_kept_clock_survives_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock.json");
    let first = Clock::kept_in(&file).unwrap();
    change(&first, advance("90d")).unwrap();
    let frozen = change(&first, Change::Freeze).unwrap();
    // What is on disk counts from the moment of the change, even if the server dies on the way.
    first.depart(&advance("1d")).unwrap();
    drop(first);

    let second = Clock::kept_in(&file).unwrap();
    assert_eq!(second.now(), frozen.plus(86_400));
    assert!(second.is_frozen());

    for nonsense in ["", "{}", "{\"ahead-seconds\": \"much\"}", "{\"ahead-seconds\": 1, \"more\": 2}"] {
        std::fs::write(&file, nonsense).unwrap();
        assert!(matches!(Clock::kept_in(&file), Err(ClockError::File { .. })), "{nonsense:?}");
    }
}

#[test]
fn times_are_told_in_words() {
    assert_eq!(clock::text(DateTime(1_800_000_000)), "2027-01-15T08:00:00Z");
    assert_eq!(clock::parse_time("2027-01-15T08:00:00Z").unwrap(), DateTime(1_800_000_000));
    assert_eq!(clock::text(DateTime(i64::MAX)), "9223372036854775807 s");
}
