//! SIGKILL at random instants: every acknowledged change is in the log, exactly once.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use kms_protocol::attribute::Attribute;
use kms_protocol::enums::CryptographicAlgorithm;
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, CreateKeyPairResponse, RekeyKeyPairRequest,
};
use kms_server::audit::Source;
use kms_server::kms::Event;
use kms_server::store::{SledOptions, SledStore, Store};

use super::asking::Asker;
use super::{lines, whole};

const FOLDER: &str = "KMS_TESTS_AUDITED";
const WRITERS: usize = 3;

fn start(folder: &Path) -> Asker {
    let audit = folder.join("audit").display().to_string();
    Asker::keeping(&folder.join("store"), &format!("[audit]\nfolder = {audit:?}"))
}

#[test]
#[ignore = "the child that the test here starts and kills"]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let kms = start(Path::new(&folder));
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| change(&kms));
        }
    });
}

/// Makes pairs, activates and re-keys them, and says what was acknowledged.
fn change(kms: &Asker) {
    let request = CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
            Attribute::CryptographicLength(256),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    };
    let say = |line: String| {
        let mut stdout = std::io::stdout().lock();
        // One line in one call: a kill leaves no half of it.
        stdout.write_all(line.as_bytes()).unwrap();
        stdout.flush().unwrap();
    };
    loop {
        let CreateKeyPairResponse { private_key_unique_identifier: private, .. } = kms.ask(&request).unwrap();
        say(format!("ack made {private}\n"));
        kms.ask(&ActivateRequest { unique_identifier: Some(private.as_str().into()) }).unwrap();
        say(format!("ack activated {private}\n"));
        let rekey = RekeyKeyPairRequest {
            private_key_unique_identifier: Some(private.as_str().into()),
            ..RekeyKeyPairRequest::default()
        };
        kms.ask(&rekey).unwrap();
        say(format!("ack rotated {private}\n"));
    }
}

/// What the log says was changed, and how often it says so.
fn logged(folder: &Path) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for (_, line) in lines(folder) {
        let what = match line.record.event.as_deref() {
            Some(Event::Created { new, .. }) => format!("made {}", new.private),
            Some(Event::StateChanged { id, .. }) => format!("activated {id}"),
            Some(Event::Rotated { old, .. }) => format!("rotated {}", old.private),
            _ => continue,
        };
        assert_eq!(line.record.source, Source::Request);
        *found.entry(what).or_insert(0) += 1;
    }
    found
}

#[test]
fn every_acknowledged_change_is_in_the_log_exactly_once_whenever_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let rounds = env::var("KMS_TESTS_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap());
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, acks) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test harness puts words of its own in front of the first line.
                if let Some((_, ack)) = line.split_once("ack ") {
                    let _ = send.send(ack.to_owned());
                }
            }
        });
        let first = acks.recv_timeout(Duration::from_secs(60)).expect("the child acknowledges something");
        thread::sleep(Duration::from_millis(random(400)));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.push(first);
        acknowledged.extend(acks.iter());
        // Every other time the next child has to go on by itself, and may be killed while it does.
        if round % 2 == 0 {
            continue;
        }
        drop(start(folder.path()));
        check(&audit, &acknowledged);
        nothing_waits(&folder.path().join("store"));
    }
    println!("{rounds} kills, {} changes acknowledged, each in the log once", acknowledged.len());
}

fn check(audit: &Path, acknowledged: &[String]) {
    whole(audit);
    let logged = logged(audit);
    let wrong: Vec<_> = logged.iter().filter(|(_, times)| **times != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let missing: Vec<_> = acknowledged.iter().filter(|change| !logged.contains_key(*change)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // What was in flight when a child was killed may be there too, and nothing else.
    assert!(logged.len() >= acknowledged.len());
}

/// No record is left in the store once it is in the log.
fn nothing_waits(store: &Path) {
    let store: Arc<dyn Store> = Arc::new(SledStore::open(store, SledOptions::default()).unwrap());
    let page = store.records(Some("~audit/"), 1).unwrap();
    assert!(page.iter().all(|(id, _)| !id.starts_with("~audit/")), "{page:?}");
}

fn random(limit: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % limit
}
