//! A job's next backup.

use std::fs::File;
use std::path::{PathBuf, absolute};

use super::super::archive::{
    self, BackupRequest, BackupSummary, Continuation, Estimate, Observer, Root, WrittenFile,
};
use super::super::envelope::{Locks, wrap};
use super::super::jobs::{Protection, ReadyJob};
use super::super::kms::KeyManagement;
use super::super::signing::Signer;
use super::super::state::State;
use super::super::{BackupError, limits};
use super::{Begun, Chain, ChainFile, metadata, text_of};

/// What a backup is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The job, the paths, the repository and the time.
    pub request: BackupRequest,
    /// Begin a new chain.
    pub full: bool,
    /// Bytes of input after which the next file is begun.
    pub checkpoint: u64,
}

/// A backup that is about to be written: it holds its job's lock.
pub struct Plan<'a> {
    state: &'a State,
    ready: &'a ReadyJob,
    request: BackupRequest,
    roots: Vec<Root>,
    /// The chain that it goes on with.
    chain: Option<Chain>,
    anew: Option<String>,
    continuation: Continuation,
    _lock: File,
}

impl<'a> Plan<'a> {
    /// Finds the chain to go on with.
    ///
    /// # Errors
    /// `Running` when the job's backup runs already; when a path does not exist.
    pub fn make(state: &'a State, ready: &'a ReadyJob, wanted: Wanted) -> Result<Self, BackupError> {
        let Wanted { mut request, full, checkpoint } = wanted;
        let roots = archive::roots(&request.paths)?;
        let whole = |path: &PathBuf| absolute(path).map_err(BackupError::io("find", path));
        request.paths = request.paths.iter().map(whole).collect::<Result<_, _>>()?;
        request.target = whole(&request.target)?;
        let lock = state.lock_job(&request.job)?;
        let known = if full { Known::None } else { newest(state, &request)? };
        let mut anew = None;
        let (chain, mut continuation) = match known {
            Known::Chain(chain, files) => {
                let manifest = chain.complete.map(|number| (state.manifest(&chain.id, number), u64::MAX));
                let begun = chain
                    .begun
                    .iter()
                    .map(|begun| (state.begun(&chain.id, begun.number), begun.manifest.length));
                let continuation = Continuation {
                    stem: Some(chain.stem.clone()),
                    number: free_number(&chain),
                    earlier: begun.chain(manifest).collect(),
                    nonces: files.into_iter().map(|file| (file.number, file.nonce)).collect(),
                    ..Continuation::new_chain(chain.id.clone())
                };
                (Some(chain), continuation)
            }
            none => {
                if let Known::Unusable(why) = none {
                    anew = Some(why);
                }
                (None, Continuation::new_chain(uuid::Uuid::new_v4().to_string()))
            }
        };
        continuation.checkpoint = checkpoint.max(1);
        Ok(Self { state, ready, request, roots, chain, anew, continuation, _lock: lock })
    }

    /// Why it begins a chain although there is one.
    #[must_use]
    pub fn anew(&self) -> Option<&str> {
        self.anew.as_deref()
    }

    /// Whether it begins a chain.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.chain.is_none()
    }

    /// Number of the first file that it writes.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.continuation.number
    }

    /// Whether it goes on with a backup that was ended before it was whole.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| !chain.begun.is_empty())
    }

    /// What it would find and store, without reading any contents.
    ///
    /// # Errors
    /// When the earlier manifest cannot be read.
    pub fn estimate(&self) -> Result<Estimate, BackupError> {
        archive::estimate(&self.roots, &self.request.target, &self.continuation.earlier)
    }

    /// Writes the backup, then the chain's metadata. `kms` is the job's, where it can be reached. Where a job signs and
    /// nobody can, the metadata stays as it was; the next backup that can be signed writes it for all files. So it does where
    /// the KMS fails at it in the end, which comes second.
    ///
    /// # Errors
    /// When a file cannot be written. What was written up to there stays, and the next backup goes on with it.
    pub fn run(
        self,
        kms: Option<&dyn KeyManagement>,
        signer: Option<&Signer<'_>>,
        observer: &dyn Observer,
    ) -> Result<(BackupSummary, Option<BackupError>), BackupError> {
        let Self { state, ready, request, roots, chain, continuation, _lock, anew: _ } = self;
        let recipients = ready.recipients()?;
        let recipients: Vec<&dyn age::Recipient> = recipients.iter().map(AsRef::as_ref).collect();
        let (id, began) = (continuation.chain.clone(), continuation.number);
        let manifest = state.new_manifest(&id, began)?;
        let mut record = Record { state, ready, request: &request, id: &id, began, chain };
        let mut written = |file: &WrittenFile| record.note(file);
        let summary = archive::write_point(
            &request,
            &roots,
            continuation,
            manifest,
            &recipients,
            observer,
            &mut written,
        )?;
        let Some(chain) = record.chain else { return Ok((summary, None)) };
        if ready.job.signing.is_some() && signer.is_none() {
            return Ok((summary, None));
        }
        match write_metadata(state, chain, ready, kms, &recipients, signer) {
            Err(error) if error.kms().is_some() => Ok((summary, Some(error))),
            written => written.map(|()| (summary, None)),
        }
    }
}

/// What there is to go on with.
enum Known {
    /// A chain, and its files.
    Chain(Chain, Vec<ChainFile>),
    /// A chain that cannot be gone on with, and why.
    Unusable(String),
    None,
}

/// The newest chain of the job for the same things in the same folder.
fn newest(state: &State, request: &BackupRequest) -> Result<Known, BackupError> {
    let paths: Vec<String> = request.paths.iter().map(|path| text_of(path)).collect();
    let repository = text_of(&request.target);
    let same =
        |chain: &Chain| chain.job == request.job && chain.repository == repository && chain.paths == paths;
    let database = state.database()?;
    let all = database.chains()?.into_iter().filter(same);
    let newest = all.max_by(|a, b| (a.created, &a.stem).cmp(&(b.created, &b.stem)));
    let Some(chain) = newest else { return Ok(Known::None) };
    let files = database.chain_files(&chain.id)?;
    // Not held while files are looked at.
    drop(database);
    if chain.next >= limits::MAX_CHAIN_FILES {
        return Ok(Known::Unusable(format!("{} has as many files as a chain may have", chain.stem)));
    }
    let complete = chain.complete.map(|number| (state.manifest(&chain.id, number), chain.manifest.as_ref()));
    let begun = chain.begun.iter().map(|begun| (state.begun(&chain.id, begun.number), Some(&begun.manifest)));
    for (path, extent) in complete.into_iter().chain(begun) {
        if !extent.is_some_and(|extent| extent.is_of(&path)) {
            let why = format!("{} is gone, or not as it was written", path.display());
            return Ok(Known::Unusable(why));
        }
    }
    // A file that is gone or another would be missed at a restore: a new chain needs nothing of the old one.
    match files.iter().find_map(|file| file.facts_at(&chain.file(file.number)).err()) {
        Some(error) => Ok(Known::Unusable(error.to_string())),
        None => Ok(Known::Chain(chain, files)),
    }
}

/// The number of the next file. A backup that was killed between putting a file in its place and noting it has left a
/// file that nobody will miss, whose number is taken.
fn free_number(chain: &Chain) -> u32 {
    let mut number = chain.next;
    while number < limits::MAX_CHAIN_FILES && chain.file(number).exists() {
        number += 1;
    }
    number
}

/// Notes in the database which files are in their places.
struct Record<'a> {
    state: &'a State,
    ready: &'a ReadyJob,
    request: &'a BackupRequest,
    id: &'a str,
    began: u32,
    chain: Option<Chain>,
}

impl Record<'_> {
    fn note(&mut self, file: &WrittenFile) -> Result<(), BackupError> {
        let request = self.request;
        let stem = || super::stem_and_number(&file.path).map_or_else(String::new, |(stem, _)| stem);
        let mut chain = self.chain.take().unwrap_or_else(|| Chain {
            id: self.id.to_owned(),
            job: request.job.clone(),
            stem: stem(),
            repository: text_of(&request.target),
            paths: request.paths.iter().map(|path| text_of(path)).collect(),
            created: request.now.0,
            next: 1,
            complete: None,
            manifest: None,
            begun: Vec::new(),
            signed: false,
        });
        chain.next = file.number + 1;
        chain.begun.retain(|begun| begun.number != self.began);
        if file.complete {
            self.state.complete(self.id, self.began, file.number)?;
            (chain.complete, chain.manifest) = (Some(file.number), Some(file.manifest.clone()));
            chain.begun.clear();
        } else {
            chain.begun.insert(0, Begun { number: self.began, manifest: file.manifest.clone() });
        }
        let file = ChainFile {
            number: file.number,
            created: request.now.0,
            complete: file.complete,
            nonce: file.facts.nonce.clone(),
            length: file.facts.length,
            stanzas: file.facts.header.stanzas.clone(),
            recovery: self.ready.recovery.clone(),
        };
        self.state.database()?.put_chain(&chain, &[file])?;
        if let (Some(number), true) = (chain.complete, chain.begun.is_empty()) {
            self.state.sweep(self.id, &[self.state.manifest(self.id, number)])?;
        }
        self.chain = Some(chain);
        Ok(())
    }
}

/// Writes a chain's metadata for the job's key of today: file keys that are wrapped for an older KMS key are wrapped for the
/// new one first, where the KMS can be asked.
fn write_metadata(
    state: &State,
    mut chain: Chain,
    ready: &ReadyJob,
    kms: Option<&dyn KeyManagement>,
    recipients: &[&dyn age::Recipient],
    signer: Option<&Signer<'_>>,
) -> Result<(), BackupError> {
    let mut files = state.database()?.chain_files(&chain.id)?;
    let renewed = kms.map(|kms| renew(&mut files, ready, kms, recipients)).unwrap_or_default();
    let was_signed = std::mem::replace(&mut chain.signed, signer.is_some());
    metadata::write(&chain, files, recipients, signer)?;
    if !renewed.is_empty() || was_signed != chain.signed {
        state.database()?.put_chain(&chain, &renewed)?;
    }
    Ok(())
}

/// Has the KMS unwrap, in one call, what is wrapped for its older keys, and wraps it for `recipients`. What it does not
/// unwrap stays as it is.
fn renew(
    files: &mut [ChainFile],
    ready: &ReadyJob,
    kms: &dyn KeyManagement,
    recipients: &[&dyn age::Recipient],
) -> Vec<ChainFile> {
    let Protection::Kms { server, key } = &ready.protection else { return Vec::new() };
    let old = |file: &ChainFile| {
        let (locks, _) = Locks::of(&file.stanzas);
        let stanza = locks.keys.into_iter().find(|stanza| stanza.reference.server == server.name)?;
        (stanza.reference.private_id != key.private_id).then(|| stanza.wrapped())
    };
    let mut stale: Vec<_> =
        files.iter_mut().filter_map(|file| old(file).map(|wrapped| (file, wrapped))).collect();
    if stale.is_empty() {
        return Vec::new();
    }
    let wrapped: Vec<_> = stale.iter().map(|(_, wrapped)| wrapped.clone()).collect();
    let mut renewed = Vec::new();
    for ((file, _), unwrapped) in stale.iter_mut().zip(kms.unwrap_keys(&wrapped)) {
        if let Some(stanzas) = unwrapped.ok().and_then(|file_key| wrap(&file_key, recipients).ok()) {
            file.stanzas = stanzas;
            renewed.push((*file).clone());
        }
    }
    renewed
}
