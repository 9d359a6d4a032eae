//! Files that are there whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Error;

/// How the name of a file begins until it is whole.
const UNFINISHED: &str = ".unfinished-";

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Its owner alone (mode 0600).
    Private,
    /// Everybody (mode 0644).
    Public,
}

/// Writes `contents` to `path` so that a crash or a reader in between sees the old file or the new one, never a part;
/// once this returns, a power cut does not lose it.
///
/// # Errors
/// [`Error::Write`] with what the operating system said.
pub fn replace_file(path: &Path, contents: &[u8], access: Access) -> Result<(), Error> {
    let failed = |cause| Error::Write { path: path.to_owned(), cause };
    let folder = folder_of(path);
    let file = write_beside(folder, contents, access).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The rename itself is durable only once the folder is.
    sync_folder(folder).map_err(failed)
}

/// Writes `contents` to `path`, readable by everybody, whole or not at all, without waiting for the disk: for what is
/// written anew at each start.
///
/// # Errors
/// [`Error::Write`] with what the operating system said.
pub fn publish_file(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let failed = |cause| Error::Write { path: path.to_owned(), cause };
    let file = write_beside(folder_of(path), contents, Access::Public).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

/// Removes from `folder` what writers that were killed had begun. Only for one who knows that nobody writes there now.
///
/// # Errors
/// What the operating system said.
pub fn sweep(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The folder that `path` stands in: the working folder for a mere name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes durable which files stand in `folder`, and under which names.
///
/// # Errors
/// What the operating system said.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_beside(folder: &Path, contents: &[u8], access: Access) -> std::io::Result<NamedTempFile> {
    // Made with mode 0600: a private key is never readable by others, not even for a moment.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(contents)?;
    if access == Access::Public {
        fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{Access, publish_file, replace_file, sweep};
    use crate::Error;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        for (name, access, mode) in [("private", Access::Private, 0o600), ("public", Access::Public, 0o644)] {
            let path = folder.path().join(name);
            fs::write(&path, "old").unwrap();
            replace_file(&path, b"new", access).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        let path = folder.path().join("published");
        publish_file(&path, b"old").unwrap();
        publish_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".unfinished-abc"), "half").unwrap();
        fs::write(folder.path().join("whole"), "whole").unwrap();
        sweep(folder.path()).unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["whole"]);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named() {
        let path = std::path::Path::new("/nonexistent/folder/file");
        match replace_file(path, b"", Access::Public) {
            Err(Error::Write { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
    }
}
