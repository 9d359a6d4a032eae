//! The standard's cases and the project's own, replayed against the server by the command that users have.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use kms_tests::process::{Client, Server};
use kms_tests::repository::{root, shared};
use kms_tests::skip;
use serde_json::Value;

/// The cases that do not pass yet, each with what it waits for. The list shrinks as the server grows.
fn not_yet() -> BTreeMap<String, String> {
    let path = root().join("tests/conformance/not-yet.toml");
    toml::from_str(&fs::read_to_string(path).expect("the list")).expect("a list of cases and reasons")
}

/// What a server's configuration has to say for a case to pass, for cases that want another policy than most.
fn options() -> BTreeMap<String, String> {
    let path = root().join("tests/conformance/server-options.toml");
    toml::from_str(&fs::read_to_string(path).expect("the options")).expect("a list of cases and settings")
}

/// Every case of the folder with its verdict, against a server of its own; those that want other policies once more,
/// against servers that have them.
fn replayed(folder: &Path) -> Vec<Value> {
    let mut cases = against("", folder, &[]);
    let mut by_settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (case, settings) in options() {
        if cases.iter().any(|one| one["case"] == case.as_str()) {
            by_settings.entry(settings).or_default().push(case);
        }
    }
    for (settings, wanted) in by_settings {
        for again in against(&settings, folder, &wanted) {
            let place = cases.iter_mut().find(|one| one["case"] == again["case"]).expect("a case of before");
            assert_eq!(place["verdict"], "fail", "{} needs no {settings}", again["case"]);
            *place = again;
        }
    }
    cases
}

fn against(settings: &str, folder: &Path, only: &[String]) -> Vec<Value> {
    let state = tempfile::tempdir().expect("a folder");
    let of_server = state.path().join("server");
    fs::create_dir(&of_server).expect("a folder");
    fs::write(of_server.join("kms.toml"), settings).expect("written");
    let server = Server::start(&of_server, "127.0.0.1:0");
    let client = Client::new(&state.path().join("client"), &server.profile());
    let mut arguments: Vec<OsString> = vec!["conformance".into(), "--cases".into(), folder.into()];
    arguments.extend(only.iter().flat_map(|case| [OsString::from("--only"), case.into()]));
    let finished = client.run(arguments);
    assert!(matches!(finished.code, Some(0 | 4)), "{}{}", finished.stdout, finished.stderr);
    finished.json()["cases"].as_array().expect("verdicts").clone()
}

/// Holds the verdicts against the list: what is on it has to fail still, what is not has to pass.
fn hold(cases: &[Value], not_yet: &BTreeMap<String, String>) {
    let mut wrong = Vec::new();
    let mut passed = 0;
    for case in cases {
        let name = case["case"].as_str().expect("a name");
        match (case["verdict"].as_str(), not_yet.get(name)) {
            (Some("pass"), None) => passed += 1,
            (Some("fail"), Some(_)) => {}
            (Some("pass"), Some(_)) => {
                wrong.push(format!("{name} passes: take it off tests/conformance/not-yet.toml"));
            }
            _ => wrong.push(case.to_string()),
        }
    }
    #[allow(clippy::print_stderr, reason = "the tester wants to know")]
    {
        eprintln!("{passed} of {} cases pass", cases.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn official(version: &str, count: usize) {
    let folder = shared(&format!("oasis/{version}"));
    if !folder.is_dir() {
        return skip(&format!("the standard's cases of {version}"), "../shared/oasis is not there");
    }
    let cases = replayed(&folder);
    assert_eq!(cases.len(), count, "all cases are run");
    hold(&cases, &not_yet());
}

#[test]
fn the_standards_cases_of_1_4_pass_but_for_those_that_wait() {
    official("1.4", 75);
}

#[test]
fn the_standards_cases_of_2_1_pass_but_for_those_that_wait() {
    official("2.1", 93);
}

#[test]
fn the_projects_own_cases_pass() {
    let cases = replayed(&root().join("tests/conformance/own"));
    assert!(!cases.is_empty());
    hold(&cases, &BTreeMap::new());
}

#[test]
fn a_reason_stands_beside_every_case_that_waits() {
    for (case, reason) in not_yet() {
        assert!(reason.len() > 9, "{case} waits for {reason:?}");
    }
}
