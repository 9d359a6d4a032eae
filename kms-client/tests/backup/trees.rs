//! Folders with everything in them that a file system can hold, and their comparison.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// What one path is: mode, time and contents.
#[derive(PartialEq, Eq, Debug, Clone)]
pub enum Thing {
    File { mode: u32, time: (i64, i64), contents: Vec<u8> },
    Folder { mode: u32, time: (i64, i64) },
    Link { target: OsString, time: (i64, i64) },
}

/// Everything below `root`, and `root` itself under the empty path.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    visit(root, Path::new(""), &mut things);
    things
}

fn visit(root: &Path, relative: &Path, things: &mut BTreeMap<PathBuf, Thing>) {
    let path = if relative == Path::new("") { root.to_owned() } else { root.join(relative) };
    let metadata = path.symlink_metadata().unwrap();
    let (mode, time) = (metadata.mode() & 0o7777, (metadata.mtime(), metadata.mtime_nsec()));
    let thing = if metadata.is_symlink() {
        Thing::Link { target: path.read_link().unwrap().into_os_string(), time }
    } else if metadata.is_dir() {
        for entry in path.read_dir().unwrap() {
            visit(root, &relative.join(entry.unwrap().file_name()), things);
        }
        Thing::Folder { mode, time }
    } else {
        Thing::File { mode, time, contents: fs::read(&path).unwrap() }
    };
    things.insert(relative.to_owned(), thing);
}

/// Fails where the two folders differ in anything, with the names of what differs.
pub fn assert_same(expected: &Path, actual: &Path) {
    let (expected, actual) = (snapshot(expected), snapshot(actual));
    for (path, thing) in &expected {
        match actual.get(path) {
            Some(other) if other == thing => {}
            Some(Thing::File { mode, time, .. }) => panic!("{path:?} differs: now {mode:o} {time:?}"),
            other => panic!("{path:?} differs: expected {thing:?}, found {other:?}"),
        }
    }
    let added: Vec<_> = actual.keys().filter(|path| !expected.contains_key(*path)).collect();
    assert!(added.is_empty(), "not in the original: {added:?}");
}

pub fn write(path: impl AsRef<Path>, contents: &[u8]) {
    fs::write(path, contents).unwrap();
}

fn set_time(path: &Path, seconds: i64, nanoseconds: u32) {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    let times = FileTimes::new().set_modified(time + Duration::from_nanos(nanoseconds.into()));
    File::open(path).unwrap().set_times(times).unwrap();
}

/// A folder with odd names, kinds, permissions and times; about 40 entries.
pub fn make(root: &Path) {
    fs::create_dir(root).unwrap();
    write(root.join("plain.txt"), b"hello\n");
    write(root.join("empty"), b"");
    write(root.join("block"), &[7; 512]);
    write(root.join("block and one"), &[7; 513]);
    odd_names(root);
    links(root);
    fs::create_dir_all(root.join("empty folder/within another")).unwrap();
    for mode in [0o400, 0o444, 0o600, 0o640, 0o755, 0o777] {
        let path = root.join(format!("mode {mode:o}"));
        write(&path, format!("{mode:o}").as_bytes());
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    for (seconds, nanoseconds) in [(0, 0), (1, 1), (-1, 0), (-2, 750_000_000), (1_700_000_000, 123_456_789)] {
        let path = root.join(format!("time {seconds} {nanoseconds}"));
        write(&path, b"t");
        set_time(&path, seconds, nanoseconds);
    }
    let sticky = root.join("sticky");
    fs::create_dir(&sticky).unwrap();
    fs::set_permissions(&sticky, Permissions::from_mode(0o1777)).unwrap();
    let locked = root.join("read-only folder");
    fs::create_dir_all(locked.join("inner")).unwrap();
    write(locked.join("inner/file"), b"inside");
    set_time(&locked.join("inner"), 86_400, 5);
    fs::set_permissions(locked.join("inner"), Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o555)).unwrap();
    set_time(root, 1_600_000_000, 999_999_999);
}

fn odd_names(root: &Path) {
    let deep = ["a rather long name of a folder that holds others"; 12].join("/");
    fs::create_dir_all(root.join(&deep)).unwrap();
    write(root.join(&deep).join("at the bottom, more than 500 bytes down"), b"deep");
    let names: [&[u8]; 13] = [
        b"with\nnewline",
        b"-rf",
        b" leading and trailing ",
        b"tab\tand\x07bell",
        b"back\\slash",
        b"quote'\"",
        b"...",
        b"\xff\xfe not UTF-8",
        "Grüße aus dem Ĳsselmeer ☃".as_bytes(),
        &[b'x'; 99],
        &[b'x'; 100],
        &[b'y'; 255],
        &[0xff; 200],
    ];
    for name in names {
        write(root.join(OsStr::from_bytes(name)), name);
    }
    let many = root.join(["d"; 270].join("/"));
    fs::create_dir_all(&many).unwrap();
    write(many.join("f"), b"below 270 folders");
}

fn links(root: &Path) {
    let targets: [&[u8]; 7] = [
        b"plain.txt",
        b"nowhere",
        b"/etc/passwd",
        b"../../outside",
        b"./odd//but/../kept/.",
        b"\xff\n",
        &[b'l'; 300],
    ];
    for (number, target) in targets.into_iter().enumerate() {
        symlink(OsString::from_vec(target.to_vec()), root.join(format!("link {number}"))).unwrap();
    }
    symlink("/", root.join("link to a folder")).unwrap();
}

/// A file of `length` bytes that a compressor cannot shrink, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64*: fast, and good enough not to be compressed.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A file of `length` bytes with nothing but a few words at its start, middle and end.
pub fn sparse(path: &Path, length: u64) {
    let mut file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    for at in [0, length / 2, length - 5] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"words").unwrap();
    }
}
