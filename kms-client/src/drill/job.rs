//! Real backups of a small folder, through the backup side, and their restores.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::backup::archive::{BackupRequest, RestoreOptions, Unobserved};
use crate::backup::chains::{Plan, Wanted};
use crate::backup::jobs::{NewJob, ReadyJob};
use crate::backup::records::ServerEntry;
use crate::backup::restore::{Point, open};
use crate::backup::signing::Signatures;
use crate::backup::state::State;
use crate::backup::sync;
use crate::backup::unlock::{Connect, Recovered, Unlocker};
use crate::backup::{BackupError, KeyAlgorithm, KeyManagement, KmsError, limits as backup_limits};

use super::limits;
use super::load::Clock;
use super::site::Clients;

/// What the configuration database calls the KMS.
const KMS: &str = "kms";

/// A backup job with a folder of its own.
pub(super) struct Job {
    pub name: String,
    state: State,
    clients: Clients,
    clock: Clock,
    tree: PathBuf,
    target: PathBuf,
    contents: Digests,
}

/// What a folder holds: the digest of each file.
type Digests = BTreeMap<String, [u8; 32]>;

/// A backup that was made, and what has to come out of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MadeBackup {
    pub file: PathBuf,
    tree: PathBuf,
    contents: Digests,
}

impl Job {
    /// Makes the job and what it backs up, in `folder`; the KMS makes its key.
    pub fn make(name: &str, clients: &Clients, clock: Clock, folder: &Path) -> Result<Self, BackupError> {
        let folder = folder.join(name);
        let (tree, target) = (folder.join("tree"), folder.join("backups"));
        for part in [&tree, &target] {
            fs::create_dir_all(part).map_err(BackupError::io("make the folder", part))?;
        }
        let state = State::new(&folder.join("state"));
        let mut job = Self {
            name: name.to_owned(),
            state,
            clients: clients.clone(),
            clock,
            tree,
            target,
            contents: Digests::new(),
        };
        for number in 0..limits::TREE_FILES {
            job.write(number)?;
        }
        job.state.database()?.add_server(&server(clients))?;
        let now = clock.now();
        let new = NewJob::begin(&mut job.state.database()?, name, KMS, KeyAlgorithm::Rsa2048, now)?;
        let issued = new.request(&*job.kms()?)?;
        new.complete(&mut job.state.database()?, issued, now)?;
        Ok(job)
    }

    /// Writes a file anew.
    fn write(&mut self, number: u64) -> Result<(), BackupError> {
        let name = format!("file-{number}");
        let path = self.tree.join(&name);
        let mut contents = vec![0; limits::TREE_BYTES];
        let failed =
            |error: getrandom::Error| BackupError::io("write", &path)(io::Error::other(error.to_string()));
        getrandom::fill(&mut contents).map_err(failed)?;
        fs::write(&path, &contents).map_err(BackupError::io("write", &path))?;
        self.contents.insert(name, Sha256::digest(&contents).into());
        Ok(())
    }

    fn kms(&self) -> Result<Box<dyn KeyManagement>, BackupError> {
        connect(&self.clients).map_err(BackupError::kms_failed(KMS))
    }

    /// Learns of rotations, as the system job does.
    pub fn sync(&self) -> Result<(), BackupError> {
        let clients = self.clients.clone();
        let connect: Box<Connect> = Box::new(move |_| connect(&clients));
        let (_, error) = sync::run(&self.state, &server(&self.clients), &*connect, self.clock.now())?;
        error.map_or(Ok(()), Err)
    }

    /// Changes a file, syncs and backs up, as the command line does.
    pub fn back_up(&mut self, turn: usize) -> Result<MadeBackup, BackupError> {
        self.write(turn as u64 % limits::TREE_FILES)?;
        self.sync()?;
        let ready = ReadyJob::load(&self.state.database()?, &self.name)?;
        let kms = self.kms()?;
        kms.check().map_err(BackupError::kms_failed(KMS))?;
        let request = BackupRequest {
            job: self.name.clone(),
            paths: vec![self.tree.clone()],
            target: self.target.clone(),
            now: self.clock.now(),
        };
        let wanted = Wanted { request, full: false, checkpoint: backup_limits::CHECKPOINT };
        let plan = Plan::make(&self.state, &ready, wanted)?;
        let (summary, unsigned) = plan.run(Some(&*kms), None, &Unobserved)?;
        match unsigned {
            Some(error) => Err(error),
            None => Ok(MadeBackup {
                file: summary.file,
                tree: self.tree.clone(),
                contents: self.contents.clone(),
            }),
        }
    }

    /// The private key that it encrypts for, and how many rotations lie behind that.
    pub fn key(&self) -> Result<(String, u32), BackupError> {
        let database = self.state.database()?;
        let job = database.job(&self.name)?;
        let key = database.current_key(&job)?;
        let key = key.ok_or_else(|| BackupError::Blocked {
            job: self.name.clone(),
            reason: "it has no key".to_owned(),
        })?;
        Ok((key.private_id, key.generation.saturating_sub(1)))
    }
}

fn connect(clients: &Clients) -> Result<Box<dyn KeyManagement>, KmsError> {
    Ok(Box::new(clients.kms()?))
}

fn server(clients: &Clients) -> ServerEntry {
    let profile = &clients.profile;
    ServerEntry {
        name: KMS.to_owned(),
        address: profile.server.clone(),
        standby: profile.standby.clone(),
        ca: profile.ca.clone(),
        certificate: profile.certificate.clone(),
        key: profile.key.clone(),
        username: None,
        password_file: None,
        keys_may_travel: false,
    }
}

/// Restores backups, for all of whose keys the KMS is asked at once, and compares what comes out; one answer for each.
pub(super) fn restore(backups: &[MadeBackup], clients: &Clients) -> Vec<Result<(), String>> {
    let here = clients.clone();
    let connect: Box<Connect> = Box::new(move |_| connect(&here));
    let mut unlocker = Unlocker {
        servers: vec![server(clients)],
        whatever_named: false,
        connect: &*connect,
        passwords: Vec::new(),
        ask: &|_| None,
        recovered: Recovered::new(),
        signatures: Signatures::WherePresent,
    };
    let (mut points, mut answers) = (Vec::new(), Vec::new());
    for backup in backups {
        match Point::of_file(&backup.file) {
            Ok(point) => {
                points.push(point);
                answers.push(Ok(()));
            }
            Err(error) => answers.push(Err(error.to_string())),
        }
    }
    let mut opened = open(points, &mut unlocker).into_iter();
    for (answer, backup) in answers.iter_mut().zip(backups).filter(|(answer, _)| answer.is_ok()) {
        if let Some(point) = opened.next() {
            *answer = compare(backup, |target| {
                point.restore(target, RestoreOptions::default(), false, &Unobserved).map(drop)
            });
        }
    }
    answers
}

/// Restores into a folder that goes again, and compares.
fn compare(
    backup: &MadeBackup,
    restore: impl FnOnce(&Path) -> Result<(), BackupError>,
) -> Result<(), String> {
    let name = backup.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = backup.tree.parent().unwrap_or(&backup.tree);
    let folder = tempfile::tempdir_in(beside).map_err(|error| format!("{name}: {error}"))?;
    let target = folder.path().join("restored");
    restore(&target).map_err(|error| format!("{name}: {error}"))?;
    let restored = target.join(backup.tree.file_name().unwrap_or_default());
    let found = digests(&restored).map_err(|error| format!("{name}: {error}"))?;
    let differs = backup.contents.iter().find(|(path, digest)| found.get(*path) != Some(digest));
    match differs {
        Some((path, _)) => Err(format!("{name}: {path} is not what was backed up")),
        None if found.len() != backup.contents.len() => Err(format!("{name}: holds more than was backed up")),
        None => Ok(()),
    }
}

fn digests(folder: &Path) -> io::Result<Digests> {
    let mut digests = Digests::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        digests.insert(name, Sha256::digest(fs::read(entry.path())?).into());
    }
    Ok(digests)
}
