//! A disk that is full, really.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kms_server::audit::{Access, OnFull, Options, Outcome, Segments, Source, Trail};
use kms_server::store::{Batch, MemoryStore, Put, Store, StoreError};

use super::disk::{TAKES_ROOT, Tmpfs, skip};
use super::{lines, whole};

const SEGMENT: u64 = 256 << 10;

/// Waits until `is_so`; a test that waits for ever fails.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

struct Log {
    trail: Trail,
    store: Arc<dyn Store>,
    noted: u32,
    changed: u32,
}

impl Log {
    fn open(folder: &Path, on_full: OnFull) -> Self {
        let segments = Segments { bytes: SEGMENT, keep: 1_000 };
        let folder = Some(folder.to_owned());
        let options = Options { folder, on_full, segments, ..Options::default() };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Self { trail: Trail::open(&options, &store).unwrap(), store, noted: 0, changed: 0 }
    }

    /// Reads as a server does: asks whether it may, then says that it did.
    fn read(&mut self) -> bool {
        let is_admitted = self.trail.admit(Access::Read).is_ok();
        if is_admitted {
            self.noted += 1;
            let detail = format!("read {} {}", self.noted, "x".repeat(200));
            self.trail.note(self.trail.record(Source::Request, "Get").detail(detail));
        }
        is_admitted
    }

    fn change(&mut self) -> Result<u64, StoreError> {
        let put =
            Put { id: format!("{}", self.changed), replaces: None, value: Vec::new(), terms: Vec::new() };
        let record = self.trail.record(Source::Request, "Activate");
        let done = self.trail.commit(self.store.as_ref(), Batch::new().put(put), vec![record]);
        self.changed += u32::from(done.is_ok());
        done
    }

    /// Closes the log, which then holds everything that was done.
    fn check(self, folder: &Path) {
        let Self { trail, noted, changed, .. } = self;
        drop(trail);
        whole(folder);
        let lines = lines(folder);
        let count =
            |operation: &str| lines.iter().filter(|(_, line)| line.record.operation == operation).count();
        assert_eq!((count("Get"), count("Activate")), (noted as usize, changed as usize));
        assert!(lines.iter().all(|(_, line)| line.record.outcome == Outcome::Success));
    }
}

/// Fills the disk with somebody else's bytes.
fn fill(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("else")).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 4_096]).is_ok() {}
}

fn full_disk(test: &str, work: impl FnOnce(&Path, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = Tmpfs::mount(4, folder.path()) else { return skip(test, TAKES_ROOT) };
    work(folder.path(), &folder.path().join("audit"));
}

#[test]
fn a_log_on_a_full_disk_holds_up_everything_until_there_is_room() {
    full_disk("a_log_on_a_full_disk_holds_up_everything_until_there_is_room", |disk, folder| {
        let mut log = Log::open(folder, OnFull::Refuse);
        log.change().unwrap();
        fill(disk);
        // The segment in use has its place on disk; when it is full, so is the log.
        until("the log notices", || !log.read());
        assert!(log.noted > 500, "{} reads until then", log.noted);
        let refused = log.change().unwrap_err();
        assert!(
            matches!(&refused, StoreError::Unrecorded { cause } if cause.contains("disk is full")),
            "{refused}"
        );
        assert!(log.trail.admit(Access::Change).is_err());

        std::fs::remove_file(disk.join("else")).unwrap();
        until("the server operates again", || log.read());
        log.change().unwrap();
        log.check(folder);
    });
}

#[test]
fn reads_go_on_from_the_reserve_and_end_with_it() {
    full_disk("reads_go_on_from_the_reserve_and_end_with_it", |disk, folder| {
        let mut log = Log::open(folder, OnFull::ContinueReads);
        fill(disk);
        until("changes are refused", || {
            assert!(log.read(), "reads go on");
            thread::sleep(Duration::from_micros(100));
            log.change().is_err()
        });
        let before = log.noted;
        until("the reserve is used up", || {
            thread::sleep(Duration::from_micros(50));
            !log.read()
        });
        let from_reserve = log.noted - before;
        assert!(from_reserve > 500, "{from_reserve} reads from the reserve");
        assert!(log.change().is_err());

        std::fs::remove_file(disk.join("else")).unwrap();
        until("the server operates again", || log.read() && log.change().is_ok());
        log.check(folder);
    });
}

#[test]
fn a_server_that_starts_on_a_full_disk_waits_for_room() {
    full_disk("a_server_that_starts_on_a_full_disk_waits_for_room", |disk, folder| {
        let mut log = Log::open(folder, OnFull::Refuse);
        assert!(log.read());
        drop(log);
        // The bytes kept aside are gone as well.
        std::fs::remove_file(folder.join("spare")).unwrap();
        fill(disk);
        let mut log = Log::open(folder, OnFull::Refuse);
        until("the log notices", || !log.read());
        std::fs::remove_file(disk.join("else")).unwrap();
        until("the server operates", || log.read());
        log.noted += 1;
        log.check(folder);
    });
}
