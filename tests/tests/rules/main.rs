//! The rules that hold the architecture, checked on the source.
//!
//! Each rule is a row of a table. Where the code has a good reason not to keep one, the row carries the exception and its
//! reason; a row that is not needed any more fails as well, so that the tables stay true.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod names;
mod source;

use std::collections::BTreeSet;
use std::fs;

use kms_tests::repository::root;
use source::{Source, sources, tracked};
use toml::Table;

const CRATES: [&str; 5] = ["protocol", "kms-server", "kms-client", "certs", "tests"];
const LIBRARIES: [&str; 4] = ["protocol/src/", "kms-server/src/", "kms-client/src/", "certs/src/"];

fn fail_with(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}

fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    fs::read_to_string(path).expect("a Cargo.toml").parse().expect("TOML")
}

#[test]
fn every_name_stands_only_where_it_may() {
    let sources = sources();
    let mut broken = Vec::new();
    for rule in names::rules() {
        let mut used = BTreeSet::new();
        for source in
            sources.iter().filter(|source| rule.within.iter().any(|part| source.path.starts_with(part)))
        {
            for word in rule.words {
                for line in Source::lines_with(&source.product, word) {
                    match rule.except.iter().find(|(part, _)| source.path.starts_with(part)) {
                        Some((part, _)) => _ = used.insert(*part),
                        None => broken.push(format!("{}:{line} names {word}: {}", source.path, rule.reason)),
                    }
                }
            }
        }
        for (part, reason) in rule.except.iter().filter(|(part, _)| !used.contains(part)) {
            broken.push(format!("{part} is excepted from {:?} ({reason}) and need not be", rule.words));
        }
    }
    fail_with(&broken);
}

#[test]
fn crates_depend_in_one_direction() {
    let may = [
        ("protocol", &[][..]),
        ("certs", &[][..]),
        ("kms-server", &["kms-protocol", "kms-certs"][..]),
        ("kms-client", &["kms-protocol"][..]),
    ];
    for (folder, allowed) in may {
        let manifest = manifest(folder);
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        let all = tables.iter().filter_map(|table| manifest.get(*table)?.as_table()).flat_map(Table::keys);
        let own: Vec<_> = all.filter(|name| name.starts_with("kms-")).map(String::as_str).collect();
        assert_eq!(own.iter().collect::<BTreeSet<_>>(), allowed.iter().collect(), "what {folder} depends on");
    }
}

#[test]
fn lints_are_on_everywhere() {
    let workspace = manifest("");
    let lint = |group: &str, name: &str| {
        workspace["workspace"]["lints"][group]
            .get(name)
            .and_then(toml::Value::as_str)
            .unwrap_or("absent")
            .to_owned()
    };
    assert_eq!(lint("rust", "unsafe_code"), "forbid");
    assert_eq!(lint("rust", "missing_docs"), "warn");
    for name in LINTS {
        assert_eq!(lint("clippy", name), "warn", "clippy::{name}");
    }
    for folder in CRATES {
        assert_eq!(manifest(folder)["lints"]["workspace"].as_bool(), Some(true), "lints of {folder}");
    }
    let clippy: Table = fs::read_to_string(root().join("clippy.toml")).expect("text").parse().expect("TOML");
    assert_eq!(clippy["too-many-lines-threshold"].as_integer(), Some(70), "how long a function may be");
}

/// What would let a peer's input stop a program, or a half-done thing pass.
const LINTS: [&str; 10] = [
    "dbg_macro",
    "expect_used",
    "indexing_slicing",
    "panic",
    "print_stderr",
    "print_stdout",
    "todo",
    "too_many_lines",
    "unimplemented",
    "unwrap_used",
];

#[test]
fn lints_are_not_allowed_away_outside_tests() {
    let excepted = [
        ("kms-server/src/main.rs", "print_stderr", "a command talks to whoever runs it"),
        ("kms-server/src/testing/mod.rs", "panic", "a test fails by panicking"),
        ("kms-client/src/bin/age-plugin-kmip.rs", "print_stderr", "a command talks to whoever runs it"),
    ];
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| LIBRARIES.iter().any(|part| source.path.starts_with(part)))
    {
        let clippy = LINTS.iter().map(|lint| (*lint, format!("clippy::{lint}")));
        let rust = ["missing_docs", "unsafe_code"].map(|lint| (lint, lint.to_owned()));
        for (lint, name) in clippy.chain(rust) {
            let named = Source::lines_with(&source.product, &name);
            let may = excepted.iter().any(|(path, may, _)| source.path == *path && *may == lint);
            if !named.is_empty() && !may {
                broken.push(format!("{}:{} allows {name}", source.path, named[0]));
            }
        }
    }
    fail_with(&broken);
}

#[test]
fn files_are_short() {
    let long = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > 600).then(|| format!("{} has {lines} lines, 600 are the most", source.path))
    };
    fail_with(&sources().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn names_say_what_things_are() {
    let getters = [
        ("get_attributes", "the KMIP operation Get Attributes"),
        ("get_attribute_list", "the KMIP operation Get Attribute List"),
        ("get_usage_allocation", "the KMIP operation Get Usage Allocation"),
        ("get_constraints", "the KMIP operation Get Constraints"),
        ("get_request", "a request of the KMIP operation Get"),
    ];
    let empty_words = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let mut broken = Vec::new();
    for source in sources() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if part.split(['_', '-']).any(|word| empty_words.contains(&word)) {
                broken.push(format!("{} is named by the empty word {part:?}", source.path));
            }
        }
        for (at, line) in source.code.lines().enumerate() {
            let names = line
                .split("fn ")
                .skip(1)
                .map(|after| after.split(|c: char| c != '_' && !c.is_alphanumeric()));
            for name in names.filter_map(|mut words| words.next()) {
                if name.starts_with("get_") && !getters.iter().any(|(getter, _)| *getter == name) {
                    broken.push(format!(
                        "{}:{} `{name}`: say what it gives, without get_",
                        source.path,
                        at + 1
                    ));
                }
            }
            let kinds = ["struct ", "enum ", "trait "].into_iter();
            let types = kinds.flat_map(|kind| line.split(kind).skip(1));
            for name in types.filter_map(|after| after.split(|c: char| !c.is_alphanumeric()).next()) {
                if ["Manager", "Helper", "Util", "Utils"].iter().any(|end| name.ends_with(end)) {
                    broken.push(format!("{}:{} `{name}` says nothing", source.path, at + 1));
                }
            }
        }
    }
    fail_with(&broken);
}

#[test]
fn nothing_is_half_done() {
    let run_by_hand = [
        ("kms-server/tests/store_durability/load.rs", "the child that its tests start and kill"),
        ("kms-server/tests/audit/killed.rs", "the child that its test starts and kills"),
        ("kms-client/tests/backup/database.rs", "the child that its tests start and kill"),
        ("kms-server/tests/store_formats.rs", "writes the fixture of a new format, once"),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for word in ["todo!", "unimplemented!", "#[ignore", "TODO", "FIXME", "XXX"] {
            // Comments count for the words that stand in comments.
            let text = if word.ends_with('!') || word.starts_with('#') { &source.code } else { &source.text };
            let by_hand = word == "#[ignore" && run_by_hand.iter().any(|(path, _)| source.path == *path);
            if source.path != "tests/tests/rules/main.rs" && !by_hand {
                let lines = Source::lines_with(text, word);
                broken.extend(lines.iter().map(|line| format!("{}:{line} has {word}", source.path)));
            }
        }
    }
    fail_with(&broken);
}

#[test]
fn every_limit_gives_its_reason() {
    let mut broken = Vec::new();
    let mut limits = 0;
    for source in sources().iter().filter(|source| source.path.ends_with("/limits.rs")) {
        let mut before = "";
        for (at, line) in source.text.lines().enumerate() {
            if line.contains("const ") && !line.trim_start().starts_with("//") {
                limits += 1;
                if !before.trim_start().starts_with("///") {
                    broken.push(format!("{}:{} a limit without a reason", source.path, at + 1));
                }
            }
            before = line;
        }
    }
    assert!(limits > 40, "the limits are in files called limits.rs: {limits}");
    fail_with(&broken);
}

#[test]
fn nothing_private_and_nothing_of_one_machine_is_under_version_control() {
    let places = ["/home/", "/root/", "/Users/", "/work/", "C:\\Users"];
    let mut broken = Vec::new();
    for path in tracked() {
        let ending = path.rsplit('.').next().unwrap_or_default();
        if ["key", "pem", "p12", "pfx", "der", "crt"].contains(&ending) {
            broken.push(format!("{path} is a key or certificate: tests make theirs anew"));
        }
        let bytes = fs::read(root().join(&path)).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        let mut after_header = false;
        for (at, line) in text.lines().enumerate() {
            let body = line.trim();
            let is_base64 =
                body.len() >= 40 && body.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
            if after_header && is_base64 {
                broken.push(format!("{path}:{} is a private key", at + 1));
            }
            after_header = line.contains("PRIVATE KEY-----");
            if path != "tests/tests/rules/main.rs" && places.iter().any(|place| line.contains(place)) {
                broken.push(format!("{path}:{} names a place on one machine: {body}", at + 1));
            }
        }
    }
    fail_with(&broken);
}
