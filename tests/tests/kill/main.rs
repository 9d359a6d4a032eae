//! `kill -9` and power cuts at any moment, again and again on one store.
//!
//! `KMS_TEST_ROUNDS` sets the number of rounds (`tests/scripts/kill-rounds.sh` runs many), `KMS_TEST_SEED` repeats a run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../../../kms-server/tests/disk/mod.rs"]
#[allow(dead_code, reason = "other disks of it break or are small")]
mod disk;
mod lines;
mod pairs;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kms_client::Profile;
use kms_client::blocking::Client;
use kms_protocol::Version;
use kms_protocol::attribute::Attribute;
use kms_protocol::enums::LinkType;
use kms_tests::process::finish;
use kms_tests::repository::program;

/// As many as the tester asks for.
fn rounds(usual: usize) -> usize {
    std::env::var("KMS_TEST_ROUNDS").map_or(usual, |text| text.parse().expect("KMS_TEST_ROUNDS is a number"))
}

/// Moves the clock past the policy's interval, again and again.
fn move_clock(admin: &str) {
    let program = program("kms-server");
    loop {
        let mut command = Command::new(&program);
        command.args(["ctl", "--admin", admin, "clock", "advance", "2d"]);
        if finish(&mut command).code != Some(0) {
            return;
        }
    }
}

fn client(profile: &Path, version: Version) -> Client {
    let profile = Profile::load(profile).expect("a profile");
    let client = profile.builder().version(version).deadline(Duration::from_secs(60)).build();
    Client::new(client.expect("a client")).expect("a runtime")
}

fn link(attributes: &[Attribute], link_type: LinkType) -> Option<&str> {
    attributes.iter().find_map(|attribute| match attribute {
        Attribute::Link(link) if link.link_type == link_type => link.target.as_text(),
        _ => None,
    })
}
