//! Imports chains that another installation wrote, or this one before it lost its database.
//!
//! By the chain's metadata, which takes the newest key alone, or by one of its backup files, which takes all of its keys. Where
//! the KMS is connected that needs nobody. Where something is missing, the import is noted with what it needs, and goes on
//! once that is there.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use kms_protocol::DateTime;
use serde::{Deserialize, Serialize};

use super::archive::{Description, ManifestExtent, copy_manifest, facts};
use super::chains::{Chain, ChainFile, path_of, stem_and_number, text_of};
use super::database::Database;
use super::restore::{OpenPoint, Point, open, open_metadata};
use super::signing::Signatures;
use super::state::State;
use super::unlock::Unlocker;
use super::{BackupError, KmsErrorKind};

/// An import that waits for something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PendingImport {
    /// The metadata or backup file, escaped.
    path: String,
    /// Since when, in seconds since 1970-01-01T00:00:00Z.
    pub since: i64,
    /// What it needs.
    pub needs: String,
}

impl PendingImport {
    /// The metadata or backup file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path_of(&self.path)
    }

    pub(super) fn key(&self) -> &str {
        &self.path
    }
}

/// A chain that was imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// The chain.
    pub chain: Chain,
    /// How many files it has.
    pub files: usize,
    /// When its newest point was made, in seconds since 1970-01-01T00:00:00Z.
    pub newest: i64,
}

/// The file to import a chain by: the metadata where there is one, else its first backup file. Of a folder, those of all
/// its chains.
///
/// # Errors
/// When a folder cannot be read.
pub fn candidates(path: &Path) -> Result<Vec<PathBuf>, BackupError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| BackupError::io("read the folder", path)(error);
    let mut found = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is = |ending: &str| file.extension().is_some_and(|extension| extension == ending);
        let first = stem_and_number(&file).is_some_and(|(_, number)| number == 1);
        if is("chain") || (is("age") && first && !file.with_extension("chain").exists()) {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// Imports one chain. `whole` reads all of its files through, so that whatever was altered is found now and not at a
/// restore.
///
/// # Errors
/// What it lacks, or what is wrong with it.
pub fn import(
    state: &State,
    path: &Path,
    unlocker: &mut Unlocker<'_>,
    whole: bool,
) -> Result<Imported, BackupError> {
    let path = absolute(path).map_err(BackupError::io("find", path))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("/")).to_owned();
    if path.extension().is_some_and(|extension| extension == "chain") {
        let metadata = open_metadata(&path, unlocker)?;
        let point = Point::of_metadata(&path, &metadata)?;
        let newest = point.number();
        let opened = open_all(point, unlocker)?;
        opened.prove(whole)?;
        let numbered = |file: &&ChainFile| file.number <= newest;
        let files: Vec<ChainFile> = metadata.files.iter().filter(numbered).cloned().collect();
        let chain = metadata.chain.moved(&folder, newest);
        return register(state, chain, files, &opened, newest, None);
    }
    if unlocker.signatures == Signatures::Required {
        let what = "a backup file is not signed itself: import its chain by its metadata".to_owned();
        return Err(BackupError::NotABackup { file: path, what });
    }
    let opened = open_all(Point::of_chain(&path)?, unlocker)?;
    opened.prove(whole)?;
    let (newest, found, manifest) = newest_complete(&opened, &folder)?;
    let mut files = Vec::new();
    for (number, file, _) in opened.files().filter(|(number, ..)| *number <= newest) {
        let facts = facts(file)?;
        let (nonce, length, stanzas) = (facts.nonce, facts.length, facts.header.stanzas);
        let complete = number == newest;
        let (created, recovery) = (found.created, None);
        files.push(ChainFile { number, created, complete, nonce, length, stanzas, recovery });
    }
    register(state, found.moved(&folder, newest), files, &opened, newest, Some(manifest))
}

/// Opens a point; every one of its files has to open.
fn open_all(point: Point, unlocker: &mut Unlocker<'_>) -> Result<OpenPoint, BackupError> {
    let opened = open(vec![point], unlocker).into_iter().next();
    let opened = opened.ok_or(BackupError::MissingFile { number: 1 })?;
    let failed = opened.files().find_map(|(_, _, identity)| identity.err());
    match failed {
        Some(error) => Err(BackupError::Shared(Arc::clone(error))),
        None => Ok(opened),
    }
}

/// A manifest that was read, and what its file says of itself.
type ReadManifest = (Description, File);

/// The newest file that ends a point, the chain that it says it is of, and its manifest.
fn newest_complete(opened: &OpenPoint, folder: &Path) -> Result<(u32, Chain, ReadManifest), BackupError> {
    let scratch = |folder: &Path| {
        tempfile::tempfile_in(folder).map_err(BackupError::io("make a temporary file in", folder))
    };
    let mut problem = BackupError::MissingFile { number: 1 };
    let numbered: Vec<_> = opened.files().collect();
    for (number, path, identity) in numbered.into_iter().rev() {
        let identity = identity.map_err(|error| BackupError::Shared(Arc::clone(error)))?;
        match copy_manifest((path, identity), folder, scratch(folder)?) {
            Ok((description, manifest)) => {
                let (stem, _) = stem_and_number(path).unwrap_or_default();
                let id = description.chain.as_ref().map_or_else(String::new, |position| position.id.clone());
                let chain = Chain::found(id, description.job.clone(), stem, description.created);
                return Ok((number, chain, (description, manifest)));
            }
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// Notes the chain and keeps the manifest of its newest point, so that restores find it and its job can go on with it. The
/// manifest is read out of the newest file, unless it was `read` already.
fn register(
    state: &State,
    mut chain: Chain,
    files: Vec<ChainFile>,
    opened: &OpenPoint,
    newest: u32,
    read: Option<ReadManifest>,
) -> Result<Imported, BackupError> {
    let found = opened.files().find(|(number, ..)| *number == newest);
    let (_, path, identity) = found.ok_or(BackupError::MissingFile { number: newest })?;
    let identity = identity.map_err(|error| BackupError::Shared(Arc::clone(error)))?;
    if let Some(what) = chain.oddity() {
        return Err(BackupError::NotABackup { file: path.to_owned(), what });
    }
    let _lock = state.lock_job(&chain.job)?;
    let mut manifest = state.new_manifest(&chain.id, newest)?;
    let (description, mut manifest) = match read {
        None => copy_manifest((path, identity), state.folder(), manifest)?,
        Some((description, mut read)) => {
            let copied = io::copy(&mut read, &mut manifest);
            copied.map_err(BackupError::io("write a manifest in", state.folder()))?;
            (description, manifest)
        }
    };
    let position = description.chain.as_ref();
    if position.is_none_or(|position| position.id != chain.id || position.number != newest) {
        return Err(BackupError::Damaged {
            file: path.to_owned(),
            what: "it belongs to another chain, or to another place in it".to_owned(),
        });
    }
    manifest.sync_data().map_err(BackupError::io("sync a manifest in", state.folder()))?;
    let extent = manifest.rewind().and_then(|()| ManifestExtent::of(&manifest));
    chain.manifest = Some(extent.map_err(BackupError::io("read a manifest in", state.folder()))?);
    state.complete(&chain.id, newest, newest)?;
    state.database()?.replace_chain(&chain, &files)?;
    state.sweep(&chain.id, &[state.manifest(&chain.id, newest)])?;
    Ok(Imported { chain, files: files.len(), newest: description.created })
}

/// Notes an import that waits, where the error says that it can go on later; forgets one that is done.
///
/// # Errors
/// When the database fails.
pub fn note(
    database: &mut Database,
    path: &Path,
    outcome: Result<(), &BackupError>,
    now: DateTime,
) -> Result<bool, BackupError> {
    let path = absolute(path).map_err(BackupError::io("find", path))?;
    let pending =
        |error: &BackupError| PendingImport { path: text_of(&path), since: now.0, needs: error.to_string() };
    match outcome {
        Ok(()) => database.forget_import(&text_of(&path)).map(|()| false),
        Err(error) if can_go_on(error) => database.put_import(&pending(error)).map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Whether what an import lacks can come: a server, a key, a password.
fn can_go_on(error: &BackupError) -> bool {
    match error {
        BackupError::Shared(error) => can_go_on(error),
        BackupError::UnknownServer { .. }
        | BackupError::NeedsPassword { .. }
        | BackupError::WrongPassword { .. } => true,
        other => other.kms().is_some_and(|error| {
            matches!(error.kind, KmsErrorKind::Unreachable | KmsErrorKind::NoSuchKey | KmsErrorKind::Refused)
        }),
    }
}
