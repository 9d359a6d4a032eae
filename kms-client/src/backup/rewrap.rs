//! Gives backups a header for another key without encrypting them anew, and says which keys are still needed.
//!
//! What follows an age header depends on the file key alone. So the file key is unwrapped with the old key, wrapped for the
//! new one, and the rest is copied as it is. A file is replaced by a rename: a kill leaves the old one or the new one, and
//! the next run goes on with what is left.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::archive::{facts, prove};
use super::chains::{Chain, ChainFile, metadata};
use super::database::Database;
use super::envelope::{KeyStanza, Locks, StoredStanza, wrap, write_header};
use super::jobs::{Protection, ReadyJob};
use super::restore::lock_of;
use super::signing::Signer;
use super::staging::{NewFile, clean};
use super::state::State;
use super::unlock::{LockedFile, Unlocker};
use super::{BackupError, limits};

/// What became of a chain.
#[derive(Debug, Default)]
pub struct Rewrapped {
    /// Files with a new header.
    pub changed: u32,
    /// Files that had it already.
    pub unchanged: u32,
    /// Files that could not be given one.
    pub failed: Vec<BackupError>,
}

/// Gives every file of a chain a header for what encrypts `ready`'s backups now, then writes the chain's metadata for it, signed
/// where `signer` is. `progress` is told of each file.
///
/// # Errors
/// When the database fails; what is wrong with a file is in the answer.
pub fn rewrap(
    state: &State,
    chain: &Chain,
    ready: &ReadyJob,
    unlocker: &mut Unlocker<'_>,
    signer: Option<&Signer<'_>>,
    progress: &dyn Fn(&Path),
) -> Result<Rewrapped, BackupError> {
    let _lock = state.lock_job(&chain.job)?;
    let recipients = ready.recipients()?;
    let recipients: Vec<&dyn age::Recipient> = recipients.iter().map(AsRef::as_ref).collect();
    let database = state.database()?;
    // A backup may have gone on with the chain while this one waited for the lock.
    let (chain, mut files) = (&database.chain(&chain.id)?, database.chain_files(&chain.id)?);
    drop(database);
    let mut done = Rewrapped::default();
    let mut work: Vec<(usize, LockedFile)> = Vec::new();
    // Files that a kill kept from being noted, or that were noted for the metadata alone.
    let mut healed: Vec<ChainFile> = Vec::new();
    for (at, file) in files.iter_mut().enumerate() {
        match todo(chain, file, ready) {
            Ok(Todo::Nothing) => done.unchanged += 1,
            Ok(Todo::Note(stanzas)) => {
                done.unchanged += 1;
                file.stanzas = stanzas;
                healed.push(file.clone());
            }
            Ok(Todo::Wrap(locked)) => work.push((at, locked)),
            Err(error) => done.failed.push(error),
        }
    }
    for noted in healed.chunks(limits::REWRAP_BATCH) {
        state.database()?.put_chain(chain, noted)?;
    }
    clean(&chain.repository())?;
    for batch in work.chunks(limits::REWRAP_BATCH) {
        let locked: Vec<LockedFile> = batch.iter().map(|(_, locked)| locked.clone()).collect();
        let mut noted: Vec<ChainFile> = Vec::new();
        for ((at, locked), identity) in batch.iter().zip(unlocker.unlock(&locked)) {
            let replaced = identity.map_err(BackupError::Shared).and_then(|identity| {
                // A header that was altered may hold the key of another file: what it still opens would be lost with it.
                prove(&locked.file, &identity, false)?;
                let wrapped = wrap(identity.file_key(), &recipients);
                let stanzas = wrapped.map_err(BackupError::io("wrap the key of", &locked.file))?;
                let header = write_header(identity.file_key(), &stanzas);
                replace_header(&locked.file, &header).map(|()| stanzas)
            });
            match (replaced, files.get_mut(*at)) {
                (Ok(stanzas), Some(file)) => {
                    (file.stanzas, file.recovery) = (stanzas, ready.recovery.clone());
                    noted.push(file.clone());
                    done.changed += 1;
                    progress(&locked.file);
                }
                (Err(error), _) => done.failed.push(error),
                (Ok(_), None) => {}
            }
        }
        state.database()?.put_chain(chain, &noted)?;
    }
    let mut chain = chain.clone();
    chain.signed = signer.is_some();
    metadata::write(&chain, files, &recipients, signer)?;
    state.database()?.put_chain(&chain, &[])?;
    Ok(done)
}

/// What is to be done for a file.
enum Todo {
    Nothing,
    /// Note what its header says.
    Note(Vec<StoredStanza>),
    Wrap(LockedFile),
}

fn todo(chain: &Chain, file: &ChainFile, ready: &ReadyJob) -> Result<Todo, BackupError> {
    let path = chain.file(file.number);
    let header = file.facts_at(&path)?.header;
    let noted = header.stanzas == file.stanzas;
    match is_for(&header.locks, ready) && file.recovery == ready.recovery {
        true if noted => Ok(Todo::Nothing),
        // Whoever can write into the repository can put a file of their own there: what is signed is opened by what was noted.
        _ if chain.signed => Ok(Todo::Wrap(LockedFile { file: path, locks: Locks::of(&file.stanzas).0 })),
        true => Ok(Todo::Note(header.stanzas)),
        false => lock_of(&path, header).map(Todo::Wrap),
    }
}

/// Whether a file's key is wrapped for what encrypts the job's backups now, and for nothing else.
fn is_for(locks: &Locks, ready: &ReadyJob) -> bool {
    let recovery = usize::from(ready.recovery.is_some());
    if locks.recovery.len() != recovery {
        return false;
    }
    match (&ready.protection, locks.keys.as_slice(), locks.passwords.as_slice()) {
        (Protection::Kms { server, key }, [stanza], []) => {
            let reference = &stanza.reference;
            reference.private_id == key.private_id && reference.server == server.name
        }
        (Protection::Password(password), [], [stanza]) => stanza.salt == password.salt,
        _ => false,
    }
}

/// Puts a file with the new header in the place of the old one, whose folder is clean. Where that one ends is looked at
/// here: another installation may have given the file another header since this one looked for what there is to do.
fn replace_header(path: &Path, header: &[u8]) -> Result<(), BackupError> {
    let before = facts(path)?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let new = NewFile::in_clean(folder)?;
    let copy = || -> io::Result<()> {
        let mut old = File::open(path)?;
        old.seek(SeekFrom::Start(before.header.length() as u64))?;
        let mut file = new.file();
        file.write_all(header)?;
        // The system copies, or shares the blocks where the file system can.
        io::copy(&mut old, &mut file).map(drop)
    };
    copy().map_err(BackupError::io("copy", path))?;
    new.replace(path.file_name().unwrap_or_default()).map(drop)
}

/// A key, and what still needs it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// The key's generation in its job.
    pub generation: u32,
    /// The jobs that it is or was a key of.
    pub jobs: Vec<String>,
    /// Whether a job encrypts with it now.
    pub current: bool,
    /// Backup files that it opens, by chain.
    pub files: BTreeMap<String, u32>,
}

/// By server and private key.
pub type Usages = BTreeMap<(String, String), Usage>;

/// Which keys are still needed, as the headers of the files say themselves; files that cannot be read come second: what opens
/// them is not known.
///
/// # Errors
/// When the database fails.
pub fn usage(database: &Database) -> Result<(Usages, Vec<BackupError>), BackupError> {
    let (mut usages, mut unread) = (Usages::new(), Vec::new());
    for job in database.jobs()? {
        let Some(kms) = &job.kms else { continue };
        for key in database.keys(&job.name)? {
            let usage = usages.entry((kms.server.clone(), key.private_id)).or_default();
            usage.generation = key.generation;
            usage.jobs.push(job.name.clone());
            usage.current |= kms.generation == Some(key.generation);
        }
    }
    for chain in database.chains()? {
        for file in database.chain_files(&chain.id)? {
            match facts(&chain.file(file.number)) {
                Ok(facts) => {
                    let keys = facts.header.locks.keys.into_iter();
                    keys.for_each(|stanza| note(&mut usages, &chain, stanza));
                }
                Err(error) => unread.push(error),
            }
        }
    }
    Ok((usages, unread))
}

fn note(usages: &mut Usages, chain: &Chain, stanza: KeyStanza) {
    let reference = stanza.reference;
    let usage = usages.entry((reference.server, reference.private_id)).or_default();
    usage.generation = reference.generation;
    *usage.files.entry(chain.stem.clone()).or_default() += 1;
}
