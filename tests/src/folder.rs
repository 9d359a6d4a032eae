//! Folders compared byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

/// How much was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    /// Files with the same bytes.
    pub files: u64,
    /// Those bytes.
    pub bytes: u64,
}

/// Compares what is at `a` with what is at `b`.
///
/// # Errors
/// The first difference, in words.
pub fn compare(a: &Path, b: &Path) -> Result<Compared, String> {
    let mut compared = Compared::default();
    let mut pending: Vec<(PathBuf, PathBuf)> = vec![(a.to_owned(), b.to_owned())];
    while let Some((a, b)) = pending.pop() {
        let kind = |path: &Path| {
            fs::symlink_metadata(path)
                .map_err(|error| format!("{}: {error}", path.display()))
                .map(|data| data.file_type())
        };
        let (kind_a, kind_b) = (kind(&a)?, kind(&b)?);
        if kind_a != kind_b {
            return Err(format!("{} is {kind_a:?}, {} is {kind_b:?}", a.display(), b.display()));
        }
        if kind_a.is_dir() {
            let (names_a, names_b) = (names(&a)?, names(&b)?);
            if names_a != names_b {
                return Err(format!("{} holds {names_a:?}, {} holds {names_b:?}", a.display(), b.display()));
            }
            pending.extend(names_a.iter().map(|name| (a.join(name), b.join(name))));
        } else if kind_a.is_symlink() {
            let target = |path: &Path| fs::read_link(path).map_err(|error| error.to_string());
            if target(&a)? != target(&b)? {
                return Err(format!("{} and {} point to different places", a.display(), b.display()));
            }
        } else {
            let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
            let (bytes_a, bytes_b) = (read(&a)?, read(&b)?);
            if bytes_a != bytes_b {
                return Err(format!("{} and {} have different bytes", a.display(), b.display()));
            }
            compared.files += 1;
            compared.bytes += bytes_a.len() as u64;
        }
    }
    Ok(compared)
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(|error| format!("{}: {error}", folder.display()))?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Compared, compare};

    #[test]
    fn differences_are_found() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(a.path().join("f"), "1").unwrap();
        assert!(compare(a.path(), b.path()).unwrap_err().contains("holds"));
        fs::write(b.path().join("f"), "2").unwrap();
        assert!(compare(a.path(), b.path()).unwrap_err().contains("different bytes"));
        fs::write(b.path().join("f"), "1").unwrap();
        assert_eq!(compare(a.path(), b.path()), Ok(Compared { files: 1, bytes: 1 }));
    }
}
