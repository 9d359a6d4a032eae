//! What is read, and what is said of what cannot be.

use super::super::ready;
use super::*;

/// A whole drill, in which one text is replaced by another.
fn with(from: &str, to: &str) -> String {
    let text = r#"name = "one"
limit = "20s"
[[server]]
name = "near"
[[server]]
name = "far"
copy-of = "near"
[load]
decrypt = 1
[[step]]
load = "begin"
[[step]]
at = "1s"
kill = "near"
[[step]]
after = "1s"
restart = "near"
[[step]]
at = "3s"
advance = "far"
by = "90d"
[[step]]
load = "end"
[expect]
no-failed-decryption = true
recovery-under = "5s"
"#;
    assert!(from.is_empty() || text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn a_drill_is_read() {
    let drill = Drill::parse(&with("name = \"one\"", "name = \"two\""), "x").unwrap();
    assert_eq!(drill.name, "two");
    assert_eq!(drill.steps.len(), 5);
    let kill = Step { when: When::At(Duration::from_secs(1)), action: Action::Server(0, Deed::Kill) };
    assert_eq!(drill.steps.get(1), Some(&kill));
    let advance = Action::Server(1, Deed::Advance("90d".to_owned()));
    assert_eq!(drill.steps.get(3).map(|step| step.action.clone()), Some(advance));
    assert_eq!(drill.expect.recovery_under, Some(Duration::from_secs(5)));
    let fault = with(
        "kill = \"near\"",
        "fault = \"near\"\nwhat = \"close:after-commit\"\noperation = \"Decrypt\"\ncount = 2",
    );
    let drill = Drill::parse(&fault, "x").unwrap();
    let rule = json!({"fault": "close:after-commit", "operation": "Decrypt", "count": 2});
    assert_eq!(
        drill.steps.get(1).map(|step| step.action.clone()),
        Some(Action::Server(0, Deed::Fault(rule)))
    );
}

#[test]
fn the_drills_that_come_along_are_right() {
    assert_eq!(ready::ALL.len(), 5);
    for one in ready::ALL {
        let drill =
            Drill::parse(one.text, one.name).unwrap_or_else(|error| panic!("{error}; {}", error.hint));
        assert!(drill.steps.len() > 3 && !drill.description.is_empty(), "{}", one.name);
    }
    assert_eq!(ready::find("partition").map(|one| one.name), Some("partition"));
    assert_eq!(ready::find("nothing"), None);
}

#[test]
fn each_mistake_is_said_with_its_line_and_what_to_do() {
    let cases = [
        ("kill = \"near\"", "kil = \"near\"", Some(14), "unknown field `kil`", "did you mean `kill`?"),
        ("decrypt = 1", "decrpyt = 1", Some(9), "unknown field", "did you mean `decrypt`?"),
        ("[expect]", "[expects]", Some(24), "unknown field", "did you mean `expect`?"),
        ("copy-of", "copy-off", Some(7), "unknown field", "did you mean `copy-of`?"),
        ("recovery-under", "recovery-undr", Some(26), "unknown field", "did you mean `recovery-under`?"),
        ("kill = \"near\"", "kill = \"neer\"", Some(12), "no server \"neer\"", "did you mean `near`?"),
        ("kill = \"near\"", "kill = \"x\"", Some(12), "no server", "servers are far, near"),
        ("kill = \"near\"", "", Some(12), "does nothing", "one of load, start"),
        ("kill = \"near\"", "kill = \"near\"\nstop = \"far\"", Some(12), "2 things", "one of load"),
        (
            "kill = \"near\"",
            "kill = \"near\"\nby = \"1d\"",
            Some(12),
            "nothing of `kill`",
            "belongs to `advance`",
        ),
        ("kill = \"near\"", "kill = \"near\"\nafter = \"1s\"", Some(12), "at or after", "leave one out"),
        ("kill = \"near\"", "partition = \"near\"\nhow = \"so\"", Some(12), "not said how", "black-hole"),
        ("kill = \"near\"", "fault = \"near\"", Some(12), "which fault", "docs/mock.md"),
        ("by = \"90d\"", "by = \"long\"", Some(18), "by how much", "90d"),
        ("at = \"3s\"", "at = \"500ms\"", Some(18), "before a step above", "in the order"),
        ("at = \"1s\"", "at = \"soon\"", Some(13), "is no time", "docs/drills.md"),
        ("limit = \"20s\"", "limit = \"1000m\"", Some(2), "is no time", "docs/drills.md"),
        ("copy-of = \"near\"", "", Some(5), "where \"far\" has its keys from", "copy-of = \"near\""),
        (
            "copy-of = \"near\"",
            "copy-of = \"nera\"",
            Some(5),
            "no server \"nera\" above",
            "did you mean `near`?",
        ),
        ("copy-of = \"near\"", "copy-of = \"near\"\nstandby-of = \"near\"", Some(5), "both", "leave"),
        ("name = \"far\"", "name = \"near\"", Some(5), "two servers", "name of its own"),
        ("name = \"far\"", "name = \"a/b\"", Some(5), "cannot be the name", "letters"),
        ("decrypt = 1", "decrypt = 99", Some(8), "too many threads", "8 are the most"),
        ("decrypt = 1", "keys = 0", Some(8), "keys = 0", "1 to 32"),
        ("decrypt = 1", "restore = 1", Some(8), "nothing to restore", "backup = 1"),
        ("decrypt = 1", "keys = 1", Some(8), "does nothing", "decrypt = 2"),
        ("decrypt = 1", "pause = \"1ms\"\ndecrypt = 1", Some(8), "pause", "5 ms"),
        ("load = \"begin\"", "load = \"now\"", Some(10), "does not \"now\"", "begin"),
        ("load = \"begin\"", "start = \"far\"", None, "does not begin once", "load = \"begin\""),
        ("kill = \"near\"", "start = \"near\"", None, "started by a step", "restart"),
        ("decrypt = 1", "create = 1", None, "load that does not decrypt", "decrypt = 1"),
        ("kill = \"near\"", "heal = \"near\"", None, "nothing to recover from", "leave recovery-under out"),
        (
            "no-failed-decryption = true\nrecovery-under = \"5s\"",
            "",
            None,
            "nothing is expected",
            "no-lost-key",
        ),
        ("name = \"one\"", "", Some(1), "missing field `name`", "docs/drills.md"),
        ("limit = \"20s\"", "limit = ", Some(2), "", "docs/drills.md"),
    ];
    for (from, to, line, what, hint) in cases {
        let error = Drill::parse(&with(from, to), "x.toml").unwrap_err();
        assert_eq!(error.line, line, "{to}: {error}");
        assert!(error.to_string().starts_with("x.toml"), "{error}");
        assert!(error.what.contains(what), "{to}: {error}");
        assert!(error.hint.contains(hint), "{to}: {error}: {}", error.hint);
    }
    for (text, what) in [
        ("name = 'x'", "there is no server"),
        ("name = 'x'\n[[server]]\nname = 'a'\n[load]\ndecrypt = 1", "there is no step"),
    ] {
        let error = Drill::parse(text, "x").unwrap_err();
        assert!(error.what.contains(what) && !error.hint.is_empty(), "{error}");
    }
}
