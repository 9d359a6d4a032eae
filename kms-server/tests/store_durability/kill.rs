//! SIGKILL at random instants.

use super::load::{Acknowledged, start, state, strike_at, verify};
use super::{random, rounds};

#[test]
fn a_killed_server_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    let mut commits = 0;
    let rounds = rounds(20);
    // One store through all rounds: it must also survive what recovery made of the last one.
    for round in 0..rounds {
        let (mut child, acks) = start(folder.path());
        let delay = random(120);
        let said = strike_at(delay, &acks, || child.kill().unwrap());
        child.wait().unwrap();
        commits += said.len();
        acknowledged.extend(said);
        println!("round {round}: killed after {delay} ms, {commits} commits acknowledged so far");
        verify(folder.path(), &acknowledged);
        acknowledged = state(folder.path());
    }
    println!("{rounds} kills, {commits} commits acknowledged, none lost");
}
