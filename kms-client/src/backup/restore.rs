//! Restores points in time: finds the files that one needs, has their keys unwrapped, unpacks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BackupError;
use super::archive::{self, Observer, PointFile, RestoreOptions, RestoreSummary, facts};
use super::chains::metadata::{self, Metadata, Unchecked};
use super::chains::stem_and_number;
use super::envelope::{FileKeyIdentity, Header, Locks};
use super::signing;
use super::unlock::{LockedFile, Unlocker};

/// Which keys open a file, from its header alone; no key is needed for that.
///
/// # Errors
/// When it is no backup file, or nothing that this version knows opens it.
pub fn locked(file: &Path) -> Result<LockedFile, BackupError> {
    lock_of(file, facts(file)?.header)
}

/// What opens the file with this header.
pub(super) fn lock_of(file: &Path, header: Header) -> Result<LockedFile, BackupError> {
    let Header { locks, unusable, .. } = header;
    if locks.is_empty() {
        let what = unusable.first().map_or_else(
            || "neither a KMS key nor a password opens this file".to_owned(),
            ToString::to_string,
        );
        return Err(BackupError::NotABackup { file: file.to_owned(), what });
    }
    Ok(LockedFile { file: file.to_owned(), locks })
}

/// A point in time that is wanted: the files of its chain that may hold something of it.
#[derive(Debug)]
pub struct Point {
    /// What was named on the command line.
    pub named: PathBuf,
    /// The files up to the newest, by number, or why one cannot be looked at.
    files: BTreeMap<u32, Result<LockedFile, Arc<BackupError>>>,
    newest: u32,
}

impl Point {
    /// The point that ends with a backup file, whose chain is looked for beside it.
    ///
    /// # Errors
    /// When the file is no backup file.
    pub fn of_file(file: &Path) -> Result<Self, BackupError> {
        Self::of(file, false)
    }

    /// All files of the chain that a backup file belongs to.
    ///
    /// # Errors
    /// When the file is no backup file.
    pub fn of_chain(file: &Path) -> Result<Self, BackupError> {
        Self::of(file, true)
    }

    /// A file, and of its chain beside it the files before it, or all.
    fn of(file: &Path, whole_chain: bool) -> Result<Self, BackupError> {
        let own = Ok(locked(file)?);
        let Some((stem, number)) = stem_and_number(file) else {
            return Ok(Self { named: file.to_owned(), files: BTreeMap::from([(1, own)]), newest: 1 });
        };
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        let mut files = BTreeMap::from([(number, own)]);
        for other in siblings(folder, &stem)? {
            if other < number || whole_chain && other > number {
                let path = folder.join(archive::file_name(&stem, other));
                files.insert(other, locked(&path).map_err(Arc::new));
            }
        }
        let newest = files.keys().next_back().copied().unwrap_or(number);
        Ok(Self { named: file.to_owned(), files, newest })
    }

    /// The newest complete point of a chain, by its metadata, which takes the newest key alone.
    ///
    /// # Errors
    /// When the chain has no complete point.
    pub fn of_metadata(path: &Path, metadata: &Metadata) -> Result<Self, BackupError> {
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let none = || BackupError::NotABackup {
            file: path.to_owned(),
            what: "its chain has no complete backup".to_owned(),
        };
        let newest = metadata.files.iter().filter(|file| file.complete).map(|file| file.number).max();
        let newest = newest.ok_or_else(none)?;
        let mut files = BTreeMap::new();
        for known in metadata.files.iter().filter(|file| file.number <= newest) {
            let file = folder.join(archive::file_name(&metadata.chain.stem, known.number));
            let there = known.facts_at(&file);
            let locked = LockedFile { file, locks: Locks::of(&known.stanzas).0 };
            files.insert(known.number, there.map(|_| locked).map_err(Arc::new));
        }
        Ok(Self { named: path.to_owned(), files, newest })
    }

    /// What opens its files.
    ///
    /// # Errors
    /// When one of them cannot be looked at.
    pub fn locked(self) -> Result<Vec<LockedFile>, BackupError> {
        self.files.into_values().map(|file| file.map_err(BackupError::Shared)).collect()
    }

    /// Number of the file that ends it.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.newest
    }
}

/// The numbers of the files of a chain in a folder.
fn siblings(folder: &Path, stem: &str) -> Result<Vec<u32>, BackupError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error| BackupError::io("read the folder", folder)(error);
    let mut numbers = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        match stem_and_number(Path::new(&name)) {
            Some((other, number)) if other == stem => numbers.push(number),
            _ => {}
        }
    }
    Ok(numbers)
}

/// Reads a chain's metadata, which takes the newest key alone, and checks its signature as the unlocker says. Whether that
/// was checked its chain says.
///
/// # Errors
/// When nothing opens it, it is damaged, or its signature is not valid.
pub fn open_metadata(path: &Path, unlocker: &mut Unlocker<'_>) -> Result<Metadata, BackupError> {
    let locked = locked(path)?;
    let identity = unlocker.unlock(&[locked]).into_iter().next();
    let identity = identity.unwrap_or(Err(Arc::new(BackupError::MissingFile { number: 0 })));
    let Unchecked { mut metadata, body, signature } =
        metadata::read(path, &identity.map_err(BackupError::Shared)?)?;
    metadata.chain.signed = signing::check(path, &body, signature.as_ref(), unlocker)?;
    Ok(metadata)
}

/// The point that ends with a backup file of a chain whose metadata is signed: the signed metadata says what its files are
/// and what opens them, and not the files themselves.
///
/// # Errors
/// As [`open_metadata`] has them, and `Damaged` where the metadata does not know that the file ends a point.
pub fn signed_point(file: &Path, unlocker: &mut Unlocker<'_>) -> Result<Point, BackupError> {
    let unknown = || BackupError::Damaged {
        file: file.to_owned(),
        what: "its chain's signed metadata knows of no point that it ends".to_owned(),
    };
    let (stem, number) = stem_and_number(file).ok_or_else(unknown)?;
    let path = file.with_file_name(format!("{stem}.chain"));
    let mut metadata = open_metadata(&path, unlocker)?;
    metadata.files.retain(|known| known.number <= number);
    match metadata.files.last() {
        Some(last) if last.number == number && last.complete && metadata.chain.stem == stem => {
            Ok(Point { named: file.to_owned(), ..Point::of_metadata(&path, &metadata)? })
        }
        _ => Err(unknown()),
    }
}

/// A point whose files' keys are unwrapped, or not.
pub struct OpenPoint {
    /// What was named.
    pub named: PathBuf,
    files: BTreeMap<u32, (PathBuf, Result<FileKeyIdentity, Arc<BackupError>>)>,
    newest: u32,
}

/// Has the keys of all points unwrapped: each KMS is asked once, for each file once.
#[must_use]
pub fn open(points: Vec<Point>, unlocker: &mut Unlocker<'_>) -> Vec<OpenPoint> {
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut files = Vec::new();
    for locked in points.iter().flat_map(|point| point.files.values()).filter_map(|file| file.as_ref().ok()) {
        places.entry(locked.file.clone()).or_insert_with(|| {
            files.push(locked.clone());
            files.len() - 1
        });
    }
    let answers = unlocker.unlock(&files);
    let open_one = |point: Point| {
        let open_file = |(number, locked): (u32, Result<LockedFile, Arc<BackupError>>)| {
            let path = locked.as_ref().map(|locked| locked.file.clone()).unwrap_or_default();
            let answer = locked.and_then(|locked| {
                let answer = places.get(&locked.file).and_then(|at| answers.get(*at));
                match answer {
                    Some(Ok(identity)) => Ok(identity.again()),
                    Some(Err(error)) => Err(Arc::clone(error)),
                    None => Err(Arc::new(BackupError::MissingFile { number })),
                }
            });
            (number, (path, answer))
        };
        OpenPoint {
            named: point.named,
            files: point.files.into_iter().map(open_file).collect(),
            newest: point.newest,
        }
    };
    points.into_iter().map(open_one).collect()
}

/// A file of a point, and what opens it or why nothing does.
pub type OpenedFile<'a> = (u32, &'a Path, Result<&'a FileKeyIdentity, &'a Arc<BackupError>>);

impl OpenPoint {
    /// Its files, oldest first.
    pub fn files(&self) -> impl Iterator<Item = OpenedFile<'_>> {
        self.files.iter().map(|(number, (path, identity))| (*number, path.as_path(), identity.as_ref()))
    }

    /// Shows that each file is the one that its key was made for: by its header, and `whole` by all of its contents.
    ///
    /// # Errors
    /// `Damaged`, naming the first file that is not.
    pub fn prove(&self, whole: bool) -> Result<(), BackupError> {
        for (_, path, identity) in self.files() {
            let identity = identity.map_err(|error| BackupError::Shared(Arc::clone(error)))?;
            archive::prove(path, identity, whole)?;
        }
        Ok(())
    }

    /// Restores the point into `target`. With `salvage` what a file held that cannot be read is lost, and listed.
    ///
    /// # Errors
    /// As [`archive::restore_point`] has them.
    pub fn restore(
        &self,
        target: &Path,
        options: RestoreOptions,
        salvage: bool,
        observer: &dyn Observer,
    ) -> Result<RestoreSummary, BackupError> {
        if self.newest == 1
            && !salvage
            && let Some((path, identity)) = self.files.get(&1)
        {
            let identity = identity.as_ref().map_err(|error| BackupError::Shared(Arc::clone(error)))?;
            return archive::restore(path, identity, target, options, observer);
        }
        archive::restore_point(&self.point_files(), self.newest, target, options, salvage, observer)
    }

    fn point_files(&self) -> BTreeMap<u32, PointFile<'_>> {
        let mut files = BTreeMap::new();
        for (number, (path, identity)) in &self.files {
            let identity = identity.as_ref().map(|identity| identity as &dyn age::Identity);
            let identity = identity.map_err(Arc::clone);
            files.insert(*number, PointFile { path: path.clone(), identity });
        }
        files
    }
}
