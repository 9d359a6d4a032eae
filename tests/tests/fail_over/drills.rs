//! Drills by the real programs: one that comes along passes, one whose server loses its keys fails and says so, and whatever
//! becomes of a drill nothing of it remains.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kms_tests::process::{Finished, finish_within};
use kms_tests::repository::program;
use serde_json::Value;

use crate::alone;

const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that a drill makes its own in.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `kms-client drill run` of a file, or of a drill that comes along.
    fn command(&self, file: &str) -> Command {
        fs::create_dir_all(self.path("tmp")).unwrap();
        let mut command = Command::new(program("kms-client"));
        command.args(["--json", "drill", "run", file]).env("TMPDIR", self.path("tmp"));
        command.arg("--junit").arg(self.path("junit.xml")).arg("--html").arg(self.path("drill.html"));
        command
    }

    fn run(&self, text: &str) -> Finished {
        let file = self.path("drill.toml");
        fs::write(&file, text).unwrap();
        finish_within(&mut self.command(file.to_str().unwrap()), PATIENCE)
    }

    fn assert_nothing_remains(&self) {
        let left: Vec<_> =
            fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(servers_below(self.0.path()).is_empty(), "a server runs on");
    }
}

/// The processes that were started with a folder below this one.
fn servers_below(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.contains("kms-server") && command.contains(folder)).collect()
}

fn verdicts(report: &Value) -> Vec<(&str, bool)> {
    let assertions = report["assertions"].as_array().unwrap();
    assertions.iter().map(|one| (one["name"].as_str().unwrap(), one["passed"].as_bool().unwrap())).collect()
}

#[test]
fn a_server_that_is_killed_during_backups_passes_the_drill() {
    let _alone = alone();
    let place = Place::new();
    let done = finish_within(&mut place.command("killed"), PATIENCE);
    println!("{}", done.stdout);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report = done.json();
    assert_eq!(report["passed"], true);
    assert_eq!(verdicts(&report).len(), 6);
    assert!(
        report["load"].as_array().unwrap().iter().all(|kind| kind["count"].as_u64() > Some(0)),
        "{report}"
    );
    let conditions: Vec<_> = report["servers"][1]["stretches"].as_array().unwrap().iter().collect();
    let conditions: Vec<_> = conditions.iter().map(|one| one["condition"].as_str().unwrap()).collect();
    assert_eq!(conditions, ["down", "standby", "up", "down"], "the second waited, took over and was killed");
    assert!(fs::read_to_string(place.path("junit.xml")).unwrap().contains("failures=\"0\""));
    assert!(fs::read_to_string(place.path("drill.html")).unwrap().contains("<svg"));
    place.assert_nothing_remains();
}

#[test]
fn a_server_that_loses_its_keys_fails_the_drill() {
    let _alone = alone();
    let place = Place::new();
    let done = place.run(
        "name = 'lost'\n[[server]]\nname = 'kms'\n[load]\ndecrypt = 1\ncreate = 1\nbackup = 1\npatience = '5s'\n\
         [[step]]\nload = 'begin'\n[[step]]\nat = '700ms'\nkill = 'kms'\n[[step]]\nlose-store = 'kms'\n\
         [[step]]\nrestart = 'kms'\n[[step]]\nafter = '500ms'\nload = 'end'\n\
         [expect]\nno-lost-key = true\nno-failed-decryption = true\nbackups-restore = true\n\
         one-newest-generation = true\nrecovery-under = '10s'\n",
    );
    println!("{}", done.stdout);
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    let report = done.json();
    assert_eq!(report["passed"], false);
    for name in ["no-lost-key", "no-failed-decryption", "backups-restore", "recovery-under"] {
        assert!(verdicts(&report).contains(&(name, false)), "{name}: {report}");
    }
    let junit = fs::read_to_string(place.path("junit.xml")).unwrap();
    assert!(junit.contains("name=\"no-lost-key\"><failure message=\""), "{junit}");
    assert!(fs::read_to_string(place.path("drill.html")).unwrap().contains("class=\"bad\">fail"));
    place.assert_nothing_remains();
}

#[test]
fn every_step_can_be_taken() {
    let _alone = alone();
    let place = Place::new();
    let mut text = "name = 'all'\n[[server]]\nname = 'a'\n[[server]]\nname = 'b'\ncopy-of = 'a'\n\
         [load]\nkeys = 1\ndecrypt = 1\nbackup = 1\n[[step]]\nload = 'begin'\n"
        .to_owned();
    for step in [
        "freeze = 'a'",
        "thaw = 'a'",
        "rotate = 'a'",
        "advance = 'a'\nby = '91d'",
        "fill-disk = 'a'",
        "free-disk = 'a'",
        "partition = 'b'\nhow = 'refuse'",
        "heal = 'b'",
        "fault = 'b'\nwhat = 'delay:10ms'\noperation = 'Decrypt'\ncount = 1",
        "clear-faults = 'b'",
        "stop = 'b'",
        "restart = 'b'",
    ] {
        text.push_str(&format!("[[step]]\nafter = '50ms'\n{step}\n"));
    }
    // Two rotations of the job's pair: by hand and by the clock.
    text.push_str(
        "[expect]\nno-failed-decryption = true\nrotations-seen = 2\none-newest-generation = true\n",
    );
    let done = place.run(&text);
    println!("{}", done.stdout);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    place.assert_nothing_remains();
}

#[test]
fn a_drill_that_cannot_be_run_says_why_and_is_no_failed_one() {
    let _alone = alone();
    let place = Place::new();
    let text = |step: &str| {
        format!(
            "name = 'x'\n[[server]]\nname = 'kms'\n[load]\nkeys = 1\ndecrypt = 1\n[[step]]\nload = 'begin'\n\
             [[step]]\n{step} = 'kms'\n[expect]\nno-lost-key = true\n"
        )
    };
    for (step, why) in [
        ("lose-store", "step 2 (lose-store kms): kms runs"),
        ("strat", "drill.toml, line 10: unknown field `strat`"),
    ] {
        let done = place.run(&text(step));
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains(why) && done.stderr.contains("hint: "), "{}", done.stderr);
        place.assert_nothing_remains();
    }
    let mut command = place.command("killed");
    let done = finish_within(command.args(["--server-binary", "/nowhere/kms-server"]), PATIENCE);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("cannot start /nowhere/kms-server"), "{}", done.stderr);
    place.assert_nothing_remains();
    let mut list = Command::new(program("kms-client"));
    let listed = finish_within(list.args(["drill", "list"]), PATIENCE).success();
    assert_eq!(listed.stdout.lines().count(), 5, "{}", listed.stdout);
}

#[test]
fn a_drill_that_is_broken_off_leaves_no_server() {
    let _alone = alone();
    let place = Place::new();
    let file = place.path("long.toml");
    let text = "name = 'x'\n[[server]]\nname = 'kms'\n[load]\nkeys = 1\ndecrypt = 1\n[[step]]\nload = 'begin'\n\
                [[step]]\nafter = '200ms'\nfreeze = 'kms'\n[[step]]\nafter = '50s'\nthaw = 'kms'\n\
                [expect]\nno-lost-key = true\n";
    fs::write(&file, text).unwrap();
    let start = || {
        let mut command = place.command(file.to_str().unwrap());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("a server runs", || !servers_below(place.0.path()).is_empty());
        // The load has begun and waits for a server that is frozen, or not yet: both have to be got over.
        thread::sleep(Duration::from_millis(700));
        child
    };
    let mut asked = start();
    signal(&asked, "INT");
    assert_eq!(asked.wait().unwrap().code(), Some(1), "it was not run to its end");
    place.assert_nothing_remains();

    let mut killed = start();
    signal(&killed, "KILL");
    killed.wait().unwrap();
    until("its server ends with it", || servers_below(place.0.path()).is_empty());
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not so: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
