//! The configuration database: what was acknowledged is there, whatever happened since.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kms_client::backup::database::Database;
use kms_client::backup::records::{Change, Job, JobKey, JobKms, Outcome, ServerEntry, SyncRun};
use kms_client::backup::{BackupError, KeyAlgorithm, Scheme, limits};
use tempfile::tempdir;

fn server(name: &str) -> ServerEntry {
    ServerEntry {
        name: name.to_owned(),
        address: "127.0.0.1:5696".to_owned(),
        standby: vec!["127.0.0.1:5697".to_owned()],
        ca: PathBuf::from("/ca.pem"),
        certificate: PathBuf::from("/client.pem"),
        key: PathBuf::from("/client.key"),
        username: Some("backup".to_owned()),
        password_file: Some(PathBuf::from("/password")),
        keys_may_travel: false,
    }
}

fn job(name: &str, generation: Option<u32>) -> Job {
    let kms = JobKms {
        server: "lab".to_owned(),
        algorithm: KeyAlgorithm::Rsa4096,
        key_name: format!("backup/{name}"),
        generation,
        blocked: None,
        offline: None,
    };
    Job { name: name.to_owned(), created: 7, kms: Some(kms), password: None, signing: None }
}

fn key(generation: u32) -> JobKey {
    JobKey {
        generation,
        private_id: format!("private-{generation}"),
        public_id: format!("public-{generation}"),
        public_key: vec![0xa5; 550],
        scheme: Scheme::OaepSha256,
        adopted: i64::from(generation),
    }
}

fn run(at: i64) -> SyncRun {
    let outcome = Outcome::Rotated {
        to_generation: 2,
        from_private_id: "private-1".to_owned(),
        to_private_id: "private-2".to_owned(),
    };
    let change = Change { job: "docs".to_owned(), generation: 1, outcome };
    SyncRun {
        at,
        server: "lab".to_owned(),
        asked: 1,
        changes: vec![change],
        warnings: Vec::new(),
        error: None,
    }
}

#[test]
fn records_are_there_after_reopening() {
    let folder = tempdir().unwrap();
    let state = folder.path().join("state");
    let installation = {
        let mut database = Database::open(&state).unwrap();
        database.add_server(&server("lab")).unwrap();
        database.put_job(None, &job("docs", None), None).unwrap();
        database.put_job(Some(&job("docs", None)), &job("docs", Some(1)), Some(&key(1))).unwrap();
        let overtaken =
            database.put_sync(&run(1), &[(job("docs", Some(1)), job("docs", Some(11)), Some(key(11)))]);
        assert_eq!(overtaken.unwrap(), [""; 0]);
        database.installation().to_owned()
    };
    let database = Database::open(&state).unwrap();
    assert_eq!(database.installation(), installation);
    assert_eq!(database.servers().unwrap(), [server("lab")]);
    assert_eq!(database.jobs().unwrap(), [job("docs", Some(11))]);
    assert_eq!(database.keys("docs").unwrap(), [key(1), key(11)]);
    assert_eq!(database.current_key(&job("docs", Some(11))).unwrap(), Some(key(11)));
    assert_eq!(database.sync_history().unwrap(), [run(1)]);
    assert_eq!(state.join("database/blobs").read_dir().unwrap().count(), 0, "sled never syncs blobs");
}

#[test]
fn a_job_whose_name_begins_with_anothers_has_its_own_keys() {
    let folder = tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    for (name, generation) in [("a", 1), ("a.b", 2), ("ab", 3)] {
        database.put_job(None, &job(name, Some(generation)), Some(&key(generation))).unwrap();
    }
    assert_eq!(database.keys("a").unwrap(), [key(1)]);
    assert_eq!(database.job("a").unwrap().kms.unwrap().generation, Some(1));
}

#[test]
fn names_are_taken_once_and_checked() {
    let folder = tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    database.add_server(&server("lab")).unwrap();
    assert!(matches!(database.add_server(&server("lab")), Err(BackupError::Exists { .. })));
    for name in ["", "-a", ".a", "a/b", "a b", "ä", &"a".repeat(65)] {
        assert!(matches!(database.add_server(&server(name)), Err(BackupError::Invalid { .. })), "{name:?}");
    }
    let long = format!("{}:1", "h".repeat(300));
    for address in ["", "host", "host:", ":5696", "host:0", "host:70000", "ho st:1", &long] {
        let server = ServerEntry { address: address.to_owned(), ..server("other") };
        assert!(matches!(database.add_server(&server), Err(BackupError::Invalid { .. })), "{address:?}");
    }
    assert!(matches!(database.server("none"), Err(BackupError::Unknown { what: "server", .. })));
    assert!(matches!(database.job("none"), Err(BackupError::Unknown { what: "job", .. })));
}

#[test]
fn a_change_that_another_process_overtook_is_refused() {
    let folder = tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    database.put_job(None, &job("docs", Some(1)), Some(&key(1))).unwrap();
    let stale = job("docs", None);
    let overtaken = |result| assert!(matches!(result, Err(BackupError::Overtaken { .. })), "{result:?}");
    overtaken(database.put_job(None, &job("docs", Some(2)), Some(&key(2))));
    overtaken(database.put_job(Some(&stale), &job("docs", Some(2)), Some(&key(2))));
    overtaken(database.forget_requested_job(&stale));
    let names = database.put_sync(&run(1), &[(stale, job("docs", Some(2)), Some(key(2)))]).unwrap();
    assert_eq!(names, ["docs"]);
    assert_eq!(database.keys("docs").unwrap(), [key(1)]);
}

#[test]
fn the_history_keeps_the_newest_runs() {
    let folder = tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    let runs = limits::MAX_SYNC_HISTORY as i64 + 3;
    for at in 0..runs {
        database.put_sync(&run(at), &[]).unwrap();
    }
    let history = database.sync_history().unwrap();
    assert_eq!(history.len(), limits::MAX_SYNC_HISTORY);
    assert_eq!((history[0].at, history.last().unwrap().at), (3, runs - 1));
}

#[test]
fn records_of_a_newer_version_are_not_touched() {
    let folder = tempdir().unwrap();
    drop(Database::open(folder.path()).unwrap());
    {
        let sled = open_raw(folder.path());
        sled.insert("job/docs", &br#"{"version":2,"name":{"new":"shape"}}"#[..]).unwrap();
        sled.insert("job/torn", &b"not json"[..]).unwrap();
        sled.flush().unwrap();
    }
    let database = Database::open(folder.path()).unwrap();
    let error = database.job("docs").unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    assert!(matches!(database.job("torn"), Err(BackupError::Database { .. })));
}

#[test]
fn a_snapshot_that_was_never_finished_does_no_harm() {
    let folder = tempdir().unwrap();
    let state = folder.path().join("state");
    Database::open(&state).unwrap().add_server(&server("lab")).unwrap();
    let unfinished = state.join("database/snap.00000000FFFFFFFF.generating");
    fs::write(&unfinished, "").unwrap();
    assert_eq!(Database::open(&state).unwrap().server("lab").unwrap(), server("lab"));
    assert!(!unfinished.exists());
}

fn open_raw(state: &Path) -> sled::Db {
    for _ in 0..100 {
        if let Ok(sled) = sled::open(state.join("database")) {
            return sled;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("sled keeps its lock");
}

const CHILD_STATE: &str = "KMS_TEST_DATABASE_WRITER";

/// The child of the two tests below: adds generations to a job for ever, and prints each that is durable.
#[test]
#[ignore = "a child process of the tests below runs it"]
fn database_writer() {
    let state = std::env::var_os(CHILD_STATE).expect("only for the tests below");
    let mut database = Database::open(Path::new(&state)).unwrap();
    let mut current = database.job("docs").ok();
    println!("opened");
    loop {
        let generation = current.as_ref().and_then(|job| job.kms.as_ref()?.generation).unwrap_or(0) + 1;
        let next = job("docs", Some(generation));
        match &current {
            None => database.put_job(None, &next, Some(&key(generation))).unwrap(),
            Some(current) => {
                let update = (current.clone(), next.clone(), Some(key(generation)));
                assert_eq!(database.put_sync(&run(generation.into()), &[update]).unwrap(), [""; 0]);
            }
        }
        current = Some(next);
        println!("durable {generation}");
        std::io::stdout().flush().unwrap();
    }
}

fn spawn_writer(state: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "database::database_writer", "--ignored", "--nocapture"])
        .env(CHILD_STATE, state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_instant() {
    let rounds: u32 = std::env::var("KMS_TEST_KILLS").map_or(12, |rounds| rounds.parse().unwrap());
    let folder = tempdir().unwrap();
    let mut last = 0;
    for round in 0..rounds {
        let mut child = spawn_writer(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut acknowledged = last;
        let goal = last + 1 + round % 7;
        while acknowledged < goal {
            let line = lines.next().expect("the writer ended by itself");
            if let Some(generation) = line.strip_prefix("durable ") {
                acknowledged = generation.parse().unwrap();
            }
        }
        std::thread::sleep(Duration::from_micros(u64::from(round) * 317 % 4000));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged =
            lines.filter_map(|line| line.strip_prefix("durable ")?.parse().ok()).fold(acknowledged, Ord::max);

        let database = Database::open(folder.path()).unwrap();
        let job = database.job("docs").unwrap();
        let generation = job.kms.unwrap().generation.unwrap();
        assert!(generation >= acknowledged, "round {round}: {generation} < {acknowledged}");
        let keys = database.keys("docs").unwrap();
        assert_eq!(keys, (1..=generation).map(key).collect::<Vec<_>>(), "round {round}: half a change");
        let history = database.sync_history().unwrap();
        assert_eq!(
            history.last().map_or(1, |run| run.at),
            i64::from(generation),
            "round {round}: half a change"
        );
        last = generation;
    }
    assert!(last >= rounds);
}

#[test]
fn a_database_in_use_is_named_as_such() {
    let folder = tempdir().unwrap();
    let mut child = spawn_writer(folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "opened"));
    std::thread::spawn(move || lines.for_each(drop));
    let error = Database::open(folder.path()).err().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(error, BackupError::Locked { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--state"));
    Database::open(folder.path()).unwrap();
}
