//! Logs that somebody has changed.

use std::fs;
use std::path::{Path, PathBuf};

use kms_protocol::operation::QueryRequest;
use kms_server::audit::{Fault, Options, Outcome, Segments, Source, Trail, verify};
use kms_server::store::{MemoryStore, Store};

use super::{lines, server, whole};

/// A log of several small segments.
fn log(folder: &Path, records: u32, keep: u32) {
    let segments = Segments { bytes: 4_096, keep };
    let options = Options { folder: Some(folder.to_owned()), segments, ..Options::default() };
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(MemoryStore::new());
    let trail = Trail::open(&options, &store).unwrap();
    for number in 0..records {
        trail.note(trail.record(Source::Request, "Get").detail(format!("number {number}")));
    }
}

fn fault(folder: &Path) -> Fault {
    let report = verify(folder, None).unwrap();
    assert!(!report.whole);
    report.fault.expect("a fault")
}

fn segment(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.jsonl"))
}

#[test]
fn a_flipped_byte_anywhere_is_found_and_its_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 25, 100);
    let segments = whole(folder.path()).segments;
    assert!(segments >= 2, "{segments}");
    let mut line = 0;
    for number in 1..=u32::try_from(segments).unwrap() {
        let path = segment(folder.path(), number);
        let right = fs::read(&path).unwrap();
        for at in 0..right.len() {
            if at == 0 || right[at - 1] == b'\n' {
                line += 1;
            }
            let mut wrong = right.clone();
            wrong[at] ^= 1 << (at % 8);
            fs::write(&path, &wrong).unwrap();
            let found = fault(folder.path());
            assert_eq!(
                (found.file.as_str(), found.line),
                (format!("{number:06}.jsonl").as_str(), line),
                "byte {at}"
            );
        }
        fs::write(&path, &right).unwrap();
    }
    whole(folder.path());
}

#[test]
fn a_changed_head_is_found() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 5, 100);
    let path = folder.path().join("head");
    let right = fs::read(&path).unwrap();
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fs::write(&path, &wrong).unwrap();
        fault(folder.path());
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(fault(folder.path()).file, "head");
}

#[test]
fn a_log_that_was_cut_off_is_found() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 60, 100);
    let last = u32::try_from(whole(folder.path()).segments).unwrap();
    for number in [1, 2, last] {
        let path = segment(folder.path(), number);
        let right = fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..right.len()).filter(|at| right[*at] == b'\n').map(|at| at + 1).collect();
        let whole_lines = ends[ends.len() - 2];
        for length in [0, ends[0], whole_lines, right.len() - 1, right.len() - 100] {
            fs::write(&path, &right[..length]).unwrap();
            let found = fault(folder.path());
            let next = [format!("{number:06}.jsonl"), format!("{:06}.jsonl", number + 1)];
            assert!(next.contains(&found.file), "segment {number} cut to {length}: {found:?}");
        }
        fs::write(&path, &right).unwrap();
    }
    whole(folder.path());
}

#[test]
fn a_missing_segment_is_found_wherever_it_was() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 60, 100);
    let last = u32::try_from(whole(folder.path()).segments).unwrap();
    assert!(last >= 4);
    for number in [1, 2, last] {
        let path = segment(folder.path(), number);
        let right = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let found = fault(folder.path());
        assert!(found.what.contains("missing") || found.what.contains("ends before"), "{number}: {found:?}");
        fs::write(&path, &right).unwrap();
    }
    whole(folder.path());
}

#[test]
fn lines_that_changed_places_are_found() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 10, 100);
    let path = segment(folder.path(), 1);
    let text = fs::read_to_string(&path).unwrap();
    let mut moved: Vec<&str> = text.lines().collect();
    moved.swap(4, 5);
    fs::write(&path, moved.join("\n") + "\n").unwrap();
    assert_eq!(fault(folder.path()).line, 5);
    let mut taken: Vec<&str> = text.lines().collect();
    taken.remove(3);
    fs::write(&path, taken.join("\n") + "\n").unwrap();
    assert_eq!(fault(folder.path()).line, 4);
    let mut twice: Vec<&str> = text.lines().collect();
    twice.insert(3, twice[2]);
    fs::write(&path, twice.join("\n") + "\n").unwrap();
    assert_eq!(fault(folder.path()).line, 4);
}

#[test]
fn segments_beyond_those_kept_are_given_up_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), 200, 3);
    let report = whole(folder.path());
    assert_eq!(report.segments, 3);
    assert!(report.first_line > 1);
    let lines = lines(folder.path());
    assert_eq!(lines.first().unwrap().1.n, report.first_line);
    // Nobody else may give up more.
    let oldest = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let oldest =
        oldest.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).min().unwrap();
    fs::remove_file(oldest).unwrap();
    assert!(fault(folder.path()).what.contains("missing"));
}

#[test]
fn who_noted_where_a_log_ended_finds_one_that_was_written_anew() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    log(first.path(), 5, 100);
    log(second.path(), 8, 100);
    let noted = whole(first.path());
    let noted = format!("{}:{}", noted.last_line, noted.last_hash).parse().unwrap();
    assert!(verify(first.path(), Some(noted)).unwrap().whole);
    assert!(!verify(second.path(), Some(noted)).unwrap().whole);
}

#[test]
fn a_server_goes_on_behind_a_line_cut_off_in_a_crash_and_not_behind_a_changed_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(server(folder.path(), ""));
    let lines_before = whole(folder.path()).last_line;
    let path = segment(folder.path(), 1);
    let mut text = fs::read(&path).unwrap();
    text.extend(b"{\"hash\":\"00");
    fs::write(&path, &text).unwrap();
    let report = whole(folder.path());
    assert_eq!(report.unfinished_bytes, 11);
    let kms = server(folder.path(), "");
    kms.ask(&QueryRequest::default()).unwrap();
    drop(kms);
    let report = whole(folder.path());
    assert_eq!(report.unfinished_bytes, 0);
    assert!(report.last_line > lines_before);
    assert!(lines(folder.path()).iter().all(|(_, line)| line.record.outcome == Outcome::Success));

    let mut text = fs::read(&path).unwrap();
    let middle = text.len() / 2;
    text[middle] ^= 1;
    fs::write(&path, &text).unwrap();
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(MemoryStore::new());
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let refused = Trail::open(&options, &store).unwrap_err();
    assert!(refused.to_string().contains("damaged") && refused.hint().contains("audit verify"), "{refused}");
}
