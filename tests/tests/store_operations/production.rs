use std::fs;
use std::os::unix::fs::PermissionsExt;

use kms_protocol::DateTime;
use kms_server::kms::notes::MovedClock;
use kms_server::store::{SledOptions, SledStore};
use kms_tests::process::Server;

use super::support::Site;

#[test]
fn what_is_not_fit_for_production_is_refused_with_a_hint() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let key = fs::read_to_string(site.path("store.key")).unwrap();
    for (file, mode) in [("store.key", 0o640), ("server.key", 0o604)] {
        let allow = |mode| fs::set_permissions(site.path(file), fs::Permissions::from_mode(mode)).unwrap();
        allow(mode);
        let (code, log) = site.launch("refused", &[]).refused();
        assert_eq!(code, 4, "{log}");
        assert!(log.contains("others can read it") && log.contains("hint: chmod 600"), "{log}");
        assert!(!site.path("store").exists(), "nothing is started");
        allow(0o600);
    }
    site.configure("");
    let (code, log) = site.launch("keyless", &[]).refused();
    assert_eq!(code, 5);
    assert!(log.contains("nothing says what the store's key is"), "{log}");
    // The environment is as good as the file, and counts before it.
    site.launch_with("environment", &[], &[("KMS_STORE_KEY", key.trim())]).ready("active").stop();
    site.configure("store-key = \"store.key\"");
    let (code, log) = site.launch_with("wrong", &[], &[("KMS_STORE_KEY", &"0f".repeat(32))]).refused();
    assert_eq!(code, 4);
    assert!(log.contains("the store key is wrong: the store is sealed with key"), "{log}");
    let (code, _) = site.launch_with("short", &[], &[("KMS_STORE_KEY", "abc")]).refused();
    assert_eq!(code, 4);
    site.start().stop();
}

#[test]
fn a_production_server_leaves_no_core_dump_and_has_no_clock_to_move() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let server = site.start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let fields: Vec<_> = core.split_whitespace().collect();
    assert_eq!(fields[4..6], ["0", "0"], "{core}");
    let refused = server.ctl(&["clock", "advance", "1d"]);
    assert_eq!(refused.code, Some(7));
    assert!(refused.stderr.contains("real clock") && refused.stderr.contains("hint: "), "{}", refused.stderr);
    server.stop();
    let store = SledStore::open(&site.path("store"), SledOptions::default()).unwrap();
    assert_eq!(MovedClock::read(&store).unwrap(), None, "asking in vain leaves no stamp");
}

#[test]
fn a_store_that_lived_under_a_moved_clock_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let state = site.path("dev");
    let dev = Server::start(&state, "127.0.0.1:0");
    let _ = dev.ctl(&["clock", "advance", "1s"]).success();
    dev.kill();
    // The stamp is in the store itself.
    fs::remove_file(state.join("clock.json")).unwrap();
    site.configure_as("kms.toml", "store-key = \"dev/store.key\"", "dev/store");
    let (code, log) = site.launch("refused", &[]).refused();
    assert_eq!(code, 4, "{log}");
    assert!(log.contains("under a clock that was moved") && log.contains("--accept-moved-clock"), "{log}");
    site.launch("accepted", &["--accept-moved-clock"]).ready("active").stop();
    // It stays what it is.
    assert_eq!(site.launch("refused", &[]).refused().0, 4);
    // And now that it is a production server's, `dev` says both.
    let dev = Server::start(&state, "127.0.0.1:0");
    let log = dev.log();
    assert!(
        log.contains("the clock shows the real time again") && log.contains("a production server's"),
        "{log}"
    );
}

#[test]
fn the_stamp_of_a_moved_clock_goes_along_with_a_backup() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let store = SledStore::open(&site.path("store"), SledOptions::default()).unwrap();
    MovedClock::stamp(&store, DateTime(1_800_000_000)).unwrap();
    drop(store);
    let passphrase = site.secret("pass", "x");
    let _ = site.kms(&["store", "backup", "b.age", "--passphrase-file", &passphrase]).success();
    let _ =
        site.kms(&["store", "restore", "b.age", "--to", "to", "--passphrase-file", &passphrase]).success();
    let store = SledStore::open(&site.path("to"), SledOptions::default()).unwrap();
    assert_eq!(MovedClock::read(&store).unwrap(), Some(MovedClock { since: 1_800_000_000 }));
}

#[test]
fn what_a_client_calls_its_keys_does_nothing_to_the_operators_terminal() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path());
    let server = site.start();
    let id = server.client().make_ec("evil\u{1b}[2J\u{9b}31m\nACTIVE\u{202e}");
    for arguments in [&["key", "list"][..], &["key", "show", &id], &["events"]] {
        let shown = server.ctl(arguments).success().stdout;
        assert!(shown.contains("evil") || arguments == ["events"], "{shown}");
        let obeyed =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!shown.contains(obeyed) && !shown.contains("\nACTIVE"), "{shown:?}");
    }
    let listed = server.ctl(&["key", "list", "--json"]).success().json();
    assert!(listed.to_string().contains("ACTIVE\u{202e}"), "JSON keeps it as it is: {listed}");
}
