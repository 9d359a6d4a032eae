//! The system job, and what goes on while the KMS is down.

use kms_client::backup::database::read_export;
use kms_client::cli::Exit;
use kms_protocol::enums::State;
use serde_json::Value;

use crate::fake_kms::FakeKms;
use crate::flows::Installation;
use crate::trees;

#[test]
fn the_daemon_asks_once_a_day_and_once_after_days_of_sleep() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let runs = || installation.run("sync --history --json").events();
    let ended = installation.daemon("daemon --json", 3 * 24 * 60 + 60);
    assert_eq!(ended.exit, Exit::Done, "{}", ended.stderr);
    let times: Vec<i64> = runs().iter().map(|run| run["at"].as_i64().unwrap()).collect();
    assert_eq!(times.len(), 3, "three days, the jitter added: {times:?}");
    for pair in times.windows(2) {
        let apart = pair[1] - pair[0];
        assert!((86_400..=86_400 * 11 / 10).contains(&apart), "{apart}");
    }
    installation.wait(10 * 86_400);
    kms.rotate();
    installation.daemon("daemon", 1);
    assert_eq!(runs().len(), 4, "one run makes up for all that were missed");
    assert_eq!(runs()[3]["changes"][0]["outcome"], "rotated");
    let before = runs().len();
    installation.daemon("daemon --every 1s --jitter 0s", 5);
    assert!(runs().len() >= before + 4, "down to a second");
}

#[test]
fn a_clock_that_was_wrong_puts_nothing_off_for_longer() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    installation.run("job set docs --offline 1h").done();
    let year = 365 * 86_400;
    installation.wait(year);
    installation.run("sync").done();
    // The clock is put right.
    installation.wait(-year);
    kms.rotate();
    installation.daemon("daemon", 1);
    let last = installation.run("sync --history --json").events().pop().unwrap();
    assert_eq!(last["changes"][0]["outcome"], "rotated");
    assert!((0..=60).contains(&(installation.now() - last["at"].as_i64().unwrap())), "{last}");

    installation.wait(year);
    installation.run("sync").done();
    installation.wait(-year);
    kms.set_down(true);
    installation.run("backup docs @tree --to @backups").done();
    installation.wait(3601);
    installation
        .run("backup docs @tree --to @backups")
        .failed(Exit::Unreachable, &["may not go on without it any more"]);
    installation.wait(-year);
    installation.run("backup docs @tree --to @backups").done();
    installation.wait(3601);
    installation
        .run("backup docs @tree --to @backups")
        .failed(Exit::Unreachable, &["may not go on without it any more"]);
}

#[test]
fn the_time_without_a_kms_changes_nothing_of_what_encrypts() {
    let installation = Installation::with_job(&FakeKms::default());
    trees::write(installation.path("secret"), b"correct horse");
    installation.run("job set docs --password-file @secret --hint animal").done();
    let set = installation.run("job set docs --offline 1h").done();
    assert!(set.contains("password (hint: animal)") && set.contains("for 3600 s"), "{set}");
    let set = installation.run("job set docs --kms").done();
    assert!(!set.contains("password") && set.contains("for 3600 s"), "{set}");
    let set = installation.run("job set docs --offline 0s").done();
    assert!(!set.contains("may go on"), "{set}");
    installation.run("job set none --password-file @secret").failed(Exit::Failed, &["no job named \"none\""]);
}

#[test]
fn a_run_that_fails_does_not_end_the_daemon_and_one_runs_at_a_time() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    kms.set_down(true);
    let ended = installation.daemon("daemon --every 1h --jitter 0s", 3 * 60);
    assert_eq!(ended.exit, Exit::Done);
    assert!(ended.stderr.matches("connection refused").count() >= 2, "{}", ended.stderr);
    let state = kms_client::backup::state::State::new(&installation.path("state"));
    let lock = state.lock_sync().unwrap();
    installation.run("sync").failed(Exit::Failed, &["a sync runs already", "hint: wait"]);
    drop(lock);
    let lock = state.lock_daemon().unwrap();
    installation.daemon("daemon", 1).failed(Exit::Failed, &["a daemon runs already"]);
    drop(lock);
}

#[test]
fn keys_without_successor_and_certificates_about_to_expire_are_warned_of() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    kms.set_certificate_end(installation.now() + 86_400 * 31);
    installation.run("sync").done();
    kms.set_certificate_end(installation.now() + 86_400 * 12 + 5);
    let ended = installation.run("sync");
    assert!(ended.stdout.contains("this client (CN=test) expires in 12 days"), "{}", ended.stdout);
    ended.failed(Exit::Partly, &[]);
    let status = installation.run("status");
    assert!(status.stdout.contains("expires in 12 days"), "{}", status.stdout);
    kms.set_certificate_end(installation.now() - 1);
    assert!(installation.run("sync").stdout.contains("has expired"));
    kms.set_certificate_end(installation.now() + 86_400 * 400);
    kms.set_state("private-1", State::Deactivated);
    installation.run("sync").failed(Exit::Partly, &[]);
    let status = installation.run("status");
    assert!(status.stdout.contains("nothing has replaced it"), "{}", status.stdout);
    assert_eq!(status.exit, Exit::Partly);
}

#[test]
fn while_the_kms_is_down_jobs_with_passwords_go_on_and_others_as_their_policy_says() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    trees::write(installation.path("secret"), b"correct horse");
    installation.run("job create offsite --password-file @secret --hint animal").done();
    installation.run("sync").done();
    assert_eq!(installation.run("status").exit, Exit::Done);
    installation.wait(100);
    kms.set_down(true);
    let since = installation.now();
    installation
        .run("backup docs @tree --to @backups")
        .failed(Exit::Unreachable, &["connection refused", "hint: "]);
    installation.run("backup offsite @tree --to @backups").done();
    installation.wait(50);
    let status = installation.run("status --json");
    let lines = status.events();
    assert_eq!(lines[0]["down_since"], since, "{}", status.stdout);
    let job = |name: &str| lines.iter().find(|line| line["job"] == name).unwrap()["ready"].clone();
    assert_eq!((job("docs"), job("offsite")), (Value::Bool(false), Value::Bool(true)));
    assert_eq!(status.exit, Exit::Partly);

    // An hour since the KMS last answered, which was 150 seconds ago.
    installation.run("job set docs --offline 1h").done();
    let ended = installation.run("backup docs @tree --to @backups --json");
    assert_eq!(ended.exit, Exit::Done, "{}", ended.stderr);
    let offline = &ended.events()[0];
    assert_eq!((&offline["event"], &offline["until"]), (&"offline".into(), &(since - 100 + 3600).into()));
    installation.wait(3600 - 151);
    installation.run("backup docs @tree --to @backups").done();
    installation.wait(1);
    let over = installation.run("backup docs @tree --to @backups");
    over.failed(Exit::Unreachable, &["may not go on without it any more", "hint: bring the KMS back"]);

    kms.set_down(false);
    kms.rotate();
    installation.run("sync").done();
    assert_eq!(installation.run("status").exit, Exit::Done);
    let file = installation.back_up();
    installation.assert_restores(&file, "restored");
    // What was written offline stands in the metadata for the newest key, too.
    kms.destroy("private-1");
    let chain = file.to_string_lossy().replace(".0003.age", ".chain");
    installation.run(&format!("restore {chain} --to @newest")).done();
}

#[test]
fn the_database_moves_to_another_folder_and_holds_no_secret() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    trees::write(installation.path("secret"), b"correct horse");
    installation.run("job create offsite --password-file @secret --hint animal").done();
    let file = installation.back_up();
    let exported = installation.run("database export").done();
    assert!(exported.contains("\"name\":\"job/docs\""), "{exported}");
    assert!(!exported.contains("correct horse") && !exported.contains("PRIVATE"), "{exported}");
    trees::write(installation.path("export"), exported.as_bytes());
    installation.run("database import @export").failed(Exit::Failed, &["exists already", "--state"]);
    std::fs::remove_dir_all(installation.path("state")).unwrap();
    let foreign = exported.replacen("job/docs", "odd/docs", 1);
    let (records, _) = foreign.trim_end().rsplit_once('\n').unwrap();
    let (records, count) = (format!("{records}\n"), records.lines().count());
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&records));
    let end = format!("{{\"records\":{count},\"sha256\":\"{digest}\"}}\n");
    trees::write(installation.path("foreign"), format!("{records}{end}").as_bytes());
    installation.run("database import @foreign").failed(Exit::Failed, &["is no record"]);
    trees::write(installation.path("cut"), records.as_bytes());
    installation.run("database import @cut").failed(Exit::Damaged, &["cut is damaged", "its end is missing"]);
    installation.run("database import @export").done();
    assert_eq!(installation.run("database export").done(), exported);
    installation.assert_restores(&file, "restored");
    let next = installation.run("backup docs @tree --to @backups --json").events().pop().unwrap();
    assert_eq!(next["number"], 1, "what was backed up is not known any more");
}

#[test]
fn a_job_without_a_key_gets_one_later_and_stays_what_it_was_where_the_kms_refuses() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    installation.run("job create plain --no-key").done();
    let plain = installation.run("job show plain").done();
    kms.set_refusing(true);
    installation
        .run("job create plain --server lab --key rsa-2048")
        .failed(Exit::Failed, &["Permission Denied"]);
    assert_eq!(installation.run("job show plain").done(), plain);
    kms.set_refusing(false);
    installation.run("job create plain --server lab --key rsa-2048").done();
    installation.run("backup plain @tree --to @backups").done();
}

#[test]
fn a_thousand_flipped_bytes_of_an_exported_database_are_found() {
    let installation = Installation::with_job(&FakeKms::default());
    installation.back_up();
    let exported = installation.run("database export").done().into_bytes();
    let records = read_export(exported.as_slice()).unwrap();
    assert!(records.len() > 4, "{records:?}");
    for number in 0..1000_usize {
        let mut bytes = exported.clone();
        // Every place in turn, the last lines first.
        let at = bytes.len() - 1 - number * 7919 % bytes.len();
        bytes[at] ^= 1 << (number % 8);
        assert!(read_export(bytes.as_slice()).is_err(), "byte {at}, bit {}", number % 8);
    }
    for line in exported.split_inclusive(|byte| *byte == b'\n') {
        let at = exported.windows(line.len()).position(|found| found == line).unwrap();
        let without = [&exported[..at], &exported[at + line.len()..]].concat();
        assert!(read_export(without.as_slice()).is_err(), "without {}", String::from_utf8_lossy(line));
    }
    trees::write(installation.path("flipped"), &[&exported[..100], b"?", &exported[101..]].concat());
    let new = Installation::new(&FakeKms::default());
    let import = format!("database import {}", installation.path("flipped").display());
    new.run(&import).failed(Exit::Damaged, &["flipped is damaged"]);
    assert_eq!(new.run("job list").done(), "");
}
