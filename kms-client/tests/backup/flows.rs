//! The flows of a backup product with a KMS, through the command line, against a KMS in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use kms_client::backup::records::ServerEntry;
use kms_client::backup::signing::Signatures;
use kms_client::backup::state::State as BackupState;
use kms_client::backup::unlock::{Recovered, Unlocker};
use kms_client::backup::{KeyManagement, KmsErrorKind};
use kms_client::cli::{self, Context, Exit};
use kms_protocol::DateTime;
use kms_protocol::enums::State;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::fake_kms::{FakeKms, error};
use crate::trees::{self, assert_same};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// How a command line ended and what it said.
pub struct Ended {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.exit, Exit::Done, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    #[track_caller]
    pub fn failed(self, exit: Exit, parts: &[&str]) {
        assert_eq!(self.exit, exit, "{}{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {}", self.stderr);
        }
    }

    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// An installation of the backup side, and the one KMS that it reaches at any address but `nowhere:1`.
pub struct Installation {
    folder: TempDir,
    kms: FakeKms,
    now: Rc<Cell<i64>>,
    /// KMS servers at addresses of their own.
    others: RefCell<BTreeMap<String, FakeKms>>,
    /// How often the daemon may wait before it ends.
    waits: Cell<u32>,
}

impl Installation {
    pub fn new(kms: &FakeKms) -> Self {
        let folder = tempdir().unwrap();
        fs::create_dir(folder.path().join(".kms-dev")).unwrap();
        for file in ["ca.pem", "client.pem", "client.key"] {
            fs::write(folder.path().join(".kms-dev").join(file), "PEM").unwrap();
        }
        let profile =
            "server = '127.0.0.1:5696'\nca = 'ca.pem'\ncertificate = 'client.pem'\nkey = 'client.key'\n";
        fs::write(folder.path().join(".kms-dev/client.toml"), profile).unwrap();
        Self {
            folder,
            kms: kms.clone(),
            now: Rc::new(Cell::new(1_790_000_000)),
            others: RefCell::default(),
            waits: Cell::new(0),
        }
    }

    /// An installation with a job `docs` that has a key.
    pub fn with_job(kms: &FakeKms) -> Self {
        let installation = Self::new(kms);
        installation.run("server add lab").done();
        installation.run("job create docs --key rsa-2048").done();
        trees::make(&installation.path("tree"));
        installation
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `line`, whose words are separated by blanks; `@name` is a path in the installation's folder.
    pub fn run(&self, line: &str) -> Ended {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let (kms, now, others) = (self.kms.clone(), Rc::clone(&self.now), self.others.borrow().clone());
        let (clock, waits) = (Rc::clone(&self.now), Cell::new(self.waits.get()));
        let context = Context {
            stdout: Box::new(stdout.clone()),
            stderr: Box::new(stderr.clone()),
            terminal: false,
            now: Box::new(move || DateTime(clock.get())),
            ask: Box::new(|_| None),
            sleep: Box::new(move |time| {
                now.set(now.get() + time.as_secs() as i64);
                waits.set(waits.get().saturating_sub(1));
                waits.get() > 0
            }),
            program: None,
            connect: Box::new(move |server| match server.address.as_str() {
                "nowhere:1" => Err(error(KmsErrorKind::Unreachable, "no route to host")),
                address => Ok(Box::new(others.get(address).unwrap_or(&kms).clone())),
            }),
        };
        let (state, profile) = (self.path("state"), self.path(".kms-dev/client.toml"));
        let own = ["--state".into(), state.into_os_string(), "--profile".into(), profile.into_os_string()];
        let words = line.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).into_os_string(),
            None => word.into(),
        });
        let arguments = std::iter::once("kms-client".into()).chain(own).chain(words);
        let exit = cli::run(arguments, context);
        Ended { exit, stdout: stdout.text(), stderr: stderr.text() }
    }

    /// Puts another KMS at `address`.
    pub fn put_kms(&self, address: &str, kms: &FakeKms) {
        self.others.borrow_mut().insert(address.to_owned(), kms.clone());
    }

    /// Runs the daemon until it has waited so often.
    pub fn daemon(&self, line: &str, waits: u32) -> Ended {
        self.waits.set(waits);
        self.run(line)
    }

    /// What there is to open files with by the library: the KMS.
    pub fn with_unlocker<T>(&self, then: impl FnOnce(&BackupState, &mut Unlocker<'_>) -> T) -> T {
        let state = BackupState::new(&self.path("state"));
        let kms = self.kms.clone();
        let connect = move |_: &ServerEntry| Ok(Box::new(kms.clone()) as Box<dyn KeyManagement>);
        let servers = state.database().unwrap().servers().unwrap();
        let mut unlocker = Unlocker {
            servers,
            whatever_named: false,
            connect: &connect,
            passwords: Vec::new(),
            ask: &|_| None,
            recovered: Recovered::default(),
            signatures: Signatures::default(),
        };
        then(&state, &mut unlocker)
    }

    pub fn now(&self) -> i64 {
        self.now.get()
    }

    /// Lets so many seconds pass.
    pub fn wait(&self, seconds: i64) {
        self.now.set(self.now.get() + seconds);
    }

    /// Backs up `tree` and returns the file.
    #[track_caller]
    pub fn back_up(&self) -> PathBuf {
        PathBuf::from(self.run("backup docs @tree --to @backups").done().trim_end())
    }

    #[track_caller]
    pub fn assert_restores(&self, file: &Path, target: &str) {
        self.run(&format!("restore {} --to @{target}", file.display())).done();
        assert_same(&self.path("tree"), &self.path(target).join("tree"));
    }
}

fn private_id(installation: &Installation) -> String {
    let shown: Value = serde_json::from_str(&installation.run("job show docs --json").done()).unwrap();
    shown["keys"].as_array().unwrap().last().unwrap()["private_id"].as_str().unwrap().to_owned()
}

#[test]
fn point_1_and_2_a_job_gets_a_key_pair_and_stores_the_public_key() {
    let kms = FakeKms::default();
    let installation = Installation::new(&kms);
    installation.run("server add lab").done();
    let created = installation.run("job create docs --key rsa-2048").done();
    assert_eq!(created, "docs  rsa-2048 at lab  generation 1, private key private-1\n");
    let shown: Value = serde_json::from_str(&installation.run("job show docs --json").done()).unwrap();
    assert_eq!(shown["job"]["kms"]["generation"], 1);
    assert_eq!(shown["keys"][0]["private_id"], "private-1");
    assert_eq!(shown["keys"][0]["public_key"].as_str().unwrap().len(), 2 * 294);
    let listed = installation.run("server list --json").done();
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap()["address"], "127.0.0.1:5696");
    installation
        .run("job create docs --key rsa-2048")
        .failed(Exit::Failed, &["\"docs\" exists already", "hint: "]);
    assert_eq!(kms.pairs(), 1);
}

#[test]
fn without_options_the_profile_is_used() {
    let installation = Installation::new(&FakeKms::default());
    let ended = installation.run("job create docs --key rsa-2048");
    assert!(ended.stderr.contains("registered the KMS server"), "{}", ended.stderr);
    ended.done();
    assert!(installation.run("server list").done().starts_with("dev  127.0.0.1:5696"));
    fs::remove_file(installation.path(".kms-dev/client.toml")).unwrap();
    installation
        .run("server add other")
        .failed(Exit::Failed, &["client.toml", "No such file", "hint: start"]);
    fs::write(installation.path(".kms-dev/client.toml"), "server = 5").unwrap();
    installation.run("server add other").failed(Exit::Failed, &["client.toml", "line 1"]);
}

#[test]
fn a_server_has_others_that_stand_in_and_a_user() {
    let installation = Installation::new(&FakeKms::default());
    let password = installation.path("password");
    let add = "server add both --standby 127.0.0.1:5697 --username backup --password-file";
    let add = format!("{add} {}", password.display());
    installation.run(&add).failed(Exit::Failed, &["password: No such file", "hint: "]);
    fs::write(&password, "secret").unwrap();
    let added = installation.run(&add).done();
    assert!(added.starts_with("both  127.0.0.1:5696, 127.0.0.1:5697  certificate "), "{added}");
    assert!(added.ends_with("client.pem  user backup\n"), "{added}");
    let listed: Value = serde_json::from_str(&installation.run("server list --json").done()).unwrap();
    assert_eq!(listed["password_file"].as_str().map(Path::new), Some(password.as_path()));
    assert!(!listed.to_string().contains("secret"));
}

#[test]
fn point_3_the_kms_decrypts_and_the_folder_comes_back() {
    let installation = Installation::with_job(&FakeKms::default());
    let file = installation.back_up();
    installation.assert_restores(&file, "restored");
    let again = installation.run(&format!("restore {} --to @restored", file.display()));
    again.failed(Exit::Failed, &["is not empty", "hint: ", "--overwrite", "not restored"]);
    installation.run(&format!("restore {} --to @restored --overwrite", file.display())).done();
    assert_same(&installation.path("tree"), &installation.path("restored/tree"));
}

#[test]
fn point_4_and_5_a_sync_takes_over_rotated_keys_and_both_generations_restore() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let first = installation.back_up();
    assert_eq!(installation.run("sync").done(), "lab: 1 keys asked about, 0 findings\n");
    kms.rotate();
    kms.rotate();
    let said = installation.run("sync").done();
    assert!(said.contains("docs: rotated, generation 1 → 3, private key private-1 → private-3"), "{said}");
    let second = installation.back_up();
    assert_ne!(first, second);
    let header = String::from_utf8_lossy(&fs::read(&second).unwrap()).into_owned();
    assert!(header.contains("key=private-3 generation=3 server=lab address=127.0.0.1:5696"), "{header}");
    installation.assert_restores(&first, "restored-1");
    installation.assert_restores(&second, "restored-2");

    let run = &installation.run("sync --json").events()[0];
    assert_eq!(run["changes"], Value::Array(Vec::new()));
    let history = installation.run("sync --history --json").events();
    assert_eq!(history.len(), 3);
    assert_eq!(history[1]["changes"][0]["outcome"], "rotated");
    assert_eq!(history[1]["changes"][0]["to_generation"], 3);
    let shown = installation.run("job show docs").done();
    assert!(shown.contains("generation 1 since") && shown.contains("generation 3 since"), "{shown}");
}

#[test]
fn a_sync_asks_about_all_jobs_in_one_call() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    for job in ["a", "b", "c"] {
        installation.run(&format!("job create {job} --key rsa-2048")).done();
    }
    kms.rotate();
    let run = &installation.run("sync --json").events()[0];
    assert_eq!(run["changes"].as_array().unwrap().len(), 4);
    assert_eq!(kms.rotation_calls(), 1);
}

#[test]
fn a_key_without_successor_stops_its_job_until_there_is_one() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    let file = installation.back_up();
    kms.set_state("private-1", State::Deactivated);
    let ended = installation.run("sync");
    assert!(
        ended.stdout.contains("private-1 is Deactivated and nothing has replaced it"),
        "{}",
        ended.stdout
    );
    ended.failed(Exit::Partly, &[]);
    let backup = installation.run("backup docs @tree --to @backups");
    backup.failed(Exit::Failed, &["no key to encrypt with", "Deactivated", "hint: have the KMS rotate"]);
    installation.assert_restores(&file, "restored");
    kms.rotate();
    assert!(installation.run("sync").done().contains("generation 1 → 2"));
    installation.assert_restores(&installation.back_up(), "restored-2");

    kms.destroy("private-2");
    let ended = installation.run("sync --json");
    assert_eq!(ended.events()[0]["changes"][0]["outcome"], "blocked");
    ended.failed(Exit::Partly, &[]);
}

#[test]
fn a_successor_that_waits_or_cannot_be_used_is_not_taken() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    kms.rotate();
    kms.set_pending(true);
    assert!(installation.run("sync").done().contains("waits for its activation date"));
    assert_eq!(private_id(&installation), "private-1");
    installation.back_up();
    kms.set_pending(false);
    // RSA-2048 must not follow RSA-4096: a fake that makes 2048 bits whatever is asked refuses such a job outright.
    let short = installation.run("job create strong --key rsa-4096");
    short.failed(Exit::Failed, &["cannot be used", "2048 bits", "4096"]);
}

#[test]
fn point_6_a_new_installation_opens_backups_where_the_kms_is_connected() {
    let kms = FakeKms::default();
    let file = Installation::with_job(&kms);
    let (old, file) = (&file, file.back_up());
    let new = Installation::new(&kms);
    // The profile names the same address.
    new.run(&format!("restore {} --to @restored", file.display())).done();
    assert_same(&old.path("tree"), &new.path("restored/tree"));

    let other = Installation::new(&kms);
    fs::remove_file(other.path(".kms-dev/client.toml")).unwrap();
    let unknown = other.run(&format!("restore {} --to @restored", file.display()));
    unknown.failed(
        Exit::Failed,
        &["needs key private-1 of KMS server \"lab\" at 127.0.0.1:5696", "hint: register"],
    );
    let certificates = "--ca @.kms-dev/ca.pem --certificate @.kms-dev/client.pem --key @.kms-dev/client.key";
    other.run(&format!("server add renamed --address kms.example:5696 {certificates}")).done();
    let unknown = other.run(&format!("restore {} --to @restored", file.display()));
    unknown.failed(Exit::Failed, &["which this installation does not know"]);
    other.run(&format!("restore {} --to @restored --server renamed", file.display())).done();
    assert_same(&old.path("tree"), &other.path("restored/tree"));
}

#[test]
fn point_7_while_the_kms_is_down_jobs_fail_and_write_nothing() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    kms.set_down(true);
    let ended = installation.run("backup docs @tree --to @backups");
    ended.failed(
        Exit::Unreachable,
        &["error: KMS server \"lab\": connection refused", "hint: a hint of the KMS"],
    );
    assert!(!installation.path("backups").exists());
    installation.run("job create more --key rsa-2048").failed(Exit::Unreachable, &["connection refused"]);
    assert!(!installation.run("job list").done().contains("more"));
    installation.run("sync").failed(Exit::Unreachable, &["connection refused"]);
    assert_eq!(installation.run("sync --history --json").events()[0]["error"], "connection refused");

    kms.set_down(false);
    let file = installation.back_up();
    kms.set_down(true);
    let ended = installation.run(&format!("restore {} --to @restored", file.display()));
    ended.failed(Exit::Unreachable, &[&file.to_string_lossy(), "connection refused"]);
    assert!(!installation.path("restored").exists());
    kms.set_down(false);
    installation.assert_restores(&file, "restored");
}

#[test]
fn a_key_whose_answer_was_lost_is_found_again() {
    let kms = FakeKms::default();
    let installation = Installation::new(&kms);
    installation.run("server add lab").done();
    kms.lose_next_answer();
    installation.run("job create docs --key rsa-2048").failed(Exit::Unreachable, &["connection reset"]);
    assert!(installation.run("job list").done().contains("requested but not received"));
    installation.run("backup docs @state --to @backups").failed(Exit::Failed, &["run `job create` again"]);
    installation.run("job create docs --key rsa-2048").done();
    assert_eq!(kms.pairs(), 1, "no second pair was made");

    kms.set_refusing(true);
    installation.run("job create other --key rsa-2048").failed(Exit::Failed, &["Permission Denied"]);
    assert!(!installation.run("job list").done().contains("other"), "no trace of a job that was refused");
}

#[test]
fn many_files_take_one_call_to_the_kms_and_fail_one_by_one() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    trees::write(installation.path("small"), b"small");
    for _ in 0..20 {
        installation.run("backup docs @small --to @backups").done();
    }
    kms.rotate();
    installation.run("sync").done();
    installation.run("backup docs @small --to @backups").done();
    let mut files: Vec<_> =
        installation.path("backups").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().unwrap() == "age");
    files.sort();
    let list: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let list = list.join(" ");
    let before = kms.unwrap_calls();
    installation.run(&format!("restore {list} --to @all")).done();
    assert_eq!(kms.unwrap_calls() - before, 1);
    for file in &files {
        let restored = installation.path("all").join(file.file_stem().unwrap()).join("small");
        assert_eq!(fs::read(restored).unwrap(), b"small");
    }

    fs::write(&files[3], b"no backup").unwrap();
    let mut damaged = fs::read(&files[5]).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&files[5], damaged).unwrap();
    let ended = installation.run(&format!("restore {list} --to @most --json"));
    let done = ended.events().iter().filter(|event| event["event"] == "done").count();
    let failed: Vec<_> = ended.events().into_iter().filter(|event| event["event"] == "failed").collect();
    assert_eq!((done, failed.len()), (19, 2));
    ended.failed(Exit::Partly, &[&files[3].to_string_lossy(), &files[5].to_string_lossy(), "is damaged"]);
    assert_eq!(installation.path("most").read_dir().unwrap().count(), 19);
    let only = installation.run(&format!("restore {} --to @none", files[5].display()));
    only.failed(Exit::Damaged, &["is damaged", "hint: restore from another copy"]);

    kms.destroy("private-1");
    let ended = installation.run(&format!("restore {} --to @none", files[0].display()));
    ended.failed(Exit::Failed, &["key private-1", "Item Not Found", "hint: the key was destroyed"]);
}

#[test]
fn a_backup_that_left_something_out_says_so() {
    let installation = Installation::with_job(&FakeKms::default());
    fs::create_dir(installation.path("with-socket")).unwrap();
    std::os::unix::net::UnixListener::bind(installation.path("with-socket/socket")).unwrap();
    let ended = installation.run("backup docs @with-socket --to @backups --json");
    let kinds: Vec<_> =
        ended.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["started", "warning", "done"]);
    assert_eq!(ended.events()[2]["warnings"], 1);
    ended.failed(Exit::Partly, &[]);
}

#[test]
fn one_server_of_several_that_is_down_does_not_stop_the_others() {
    let kms = FakeKms::default();
    let installation = Installation::with_job(&kms);
    installation.run("server add far --address nowhere:1").done();
    kms.rotate();
    let ended = installation.run("sync");
    assert!(ended.stdout.contains("generation 1 → 2"), "{}", ended.stdout);
    ended.failed(Exit::Partly, &["far", "no route to host"]);
    let ambiguous = installation.run("job create more --key rsa-2048");
    ambiguous.failed(Exit::Failed, &["2 servers are registered", "hint: name one with --server"]);
    installation.run("job create more --key rsa-2048 --server far").failed(Exit::Unreachable, &["no route"]);
    installation.run("job create more --key rsa-2048 --server lab").done();
}

#[test]
fn usage_errors_and_help_have_their_own_codes() {
    let installation = Installation::new(&FakeKms::default());
    installation.run("backup").failed(Exit::Usage, &["--to <DIR>"]);
    installation.run("job create docs --key rsa-1024").failed(Exit::Usage, &["rsa-4096"]);
    let help = installation.run("--help").done();
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    }
    installation
        .run("backup none @tree --to @backups")
        .failed(Exit::Failed, &["no job named \"none\"", "hint: "]);
    installation.run("job create docs --server none").failed(Exit::Failed, &["no server named", "hint: "]);
    installation
        .run("job create a/b --key rsa-2048")
        .failed(Exit::Failed, &["is no job name: 1 to 64 letters"]);
    installation.run("restore @missing --to @out").failed(Exit::Failed, &["cannot open", "missing"]);
    assert_eq!(installation.run("job list").exit, Exit::Done);
}
