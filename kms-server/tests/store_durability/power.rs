//! Power cuts.

use std::path::Path;

use super::disk::{Disk, Tools, skip};
use super::load::{Acknowledged, start, state, strike_at, verify};
use super::{random, rounds};

/// All that was written but not synced is gone.
#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    match Tools::find().and_then(|tools| Ok((tools, Tools::forgetful()?))) {
        Ok((tools, forgetful)) => cut_power(&tools, &forgetful, |_| {}),
        Err(why) => skip("a_power_cut_loses_nothing_acknowledged", &why),
    }
}

/// Any part of what was written but not synced is on the disk, as if a disk wrote its cache in its own order.
#[test]
fn a_power_cut_that_keeps_some_unsynced_writes_loses_nothing_acknowledged() {
    match Tools::find() {
        Ok(tools) => cut_power(&tools, &Tools::broken(), |disk| disk.order(".power-cut")),
        Err(why) => skip("a_power_cut_that_keeps_some_unsynced_writes_loses_nothing_acknowledged", &why),
    }
}

fn cut_power(tools: &Tools, program: &Path, last_order: impl Fn(&Disk)) {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    let mut commits = 0;
    let rounds = rounds(5);
    for round in 0..rounds {
        let disk = tools.mount(program, folder.path());
        let (mut child, acks) = start(&disk.path().join("store"));
        let delay = random(400);
        // The disk goes first: what the child says after that cannot have been synced.
        let said = strike_at(delay, &acks, || {
            last_order(&disk);
            drop(disk);
            child.kill().unwrap();
        });
        child.wait().unwrap();
        commits += said.len();
        acknowledged.extend(said);
        println!("round {round}: power cut after {delay} ms, {commits} commits acknowledged so far");
        let store = folder.path().join("store");
        verify(&store, &acknowledged);
        acknowledged = state(&store);
    }
    println!("{rounds} power cuts, {commits} commits acknowledged, none lost");
}
