//! Jobs: they get a key from their KMS and write backups with it.

use std::path::{Path, PathBuf};

use kms_protocol::DateTime;

use super::archive::{self, BackupRequest, BackupSummary, Observer};
use super::database::Database;
use super::envelope::{KeyReference, KmsRecipient, public_key_bits};
use super::kms::{IssuedKey, KeyAlgorithm, KeyManagement, KeyRequest, KmsError, KmsErrorKind};
use super::records::{Job, JobKey, ServerEntry, check_name};
use super::{BackupError, limits};

/// A job whose key is being asked for.
///
/// The database is written before and after the KMS is asked, and not held meanwhile. When this process dies in
/// between, the next `job create` of the same name finds the job begun and asks for the key under the same name.
pub struct NewJob {
    job: Job,
    request: KeyRequest,
}

impl NewJob {
    /// Notes in the database that a key is about to be asked for.
    ///
    /// # Errors
    /// `Exists` when there is such a job with a key; `Unknown` when there is no such server.
    pub fn begin(
        database: &mut Database,
        name: &str,
        server: &str,
        algorithm: KeyAlgorithm,
        now: DateTime,
    ) -> Result<Self, BackupError> {
        check_name("job name", name)?;
        let server = database.server(server)?;
        let begun = match database.job(name) {
            Ok(job)
                if job.generation.is_none() && job.server == server.name && job.algorithm == algorithm =>
            {
                Some(job)
            }
            Ok(_) => return Err(BackupError::Exists { what: "job", name: name.to_owned() }),
            Err(BackupError::Unknown { .. }) => None,
            Err(error) => return Err(error),
        };
        let retry = begun.is_some();
        let job = match begun {
            Some(job) => job,
            None => {
                let job = Job {
                    name: name.to_owned(),
                    server: server.name,
                    algorithm,
                    key_name: format!("backup/{}/{name}/{}", database.installation(), now.0),
                    created: now.0,
                    generation: None,
                    blocked: None,
                };
                database.put_job(None, &job, None)?;
                job
            }
        };
        let request = KeyRequest { name: job.key_name.clone(), algorithm, retry };
        Ok(Self { job, request })
    }

    /// Asks the KMS for the key.
    ///
    /// # Errors
    /// When it gives none, or one that cannot be used.
    pub fn request(&self, kms: &dyn KeyManagement) -> Result<IssuedKey, BackupError> {
        let failed = BackupError::kms_failed(&self.job.server);
        let issued = kms.request_key(&self.request).map_err(failed)?;
        check_issued(&issued, self.job.algorithm)
            .map_err(|what| BackupError::UnusableKey { server: self.job.server.clone(), what })?;
        Ok(issued)
    }

    /// Gives the job its key.
    ///
    /// # Errors
    /// `Overtaken` when another process did meanwhile.
    pub fn complete(
        self,
        database: &mut Database,
        issued: IssuedKey,
        now: DateTime,
    ) -> Result<(Job, JobKey), BackupError> {
        let key = job_key(issued, 1, now);
        let job = Job { generation: Some(key.generation), ..self.job.clone() };
        database.put_job(Some(&self.job), &job, Some(&key))?;
        Ok((job, key))
    }

    /// Forgets the job after an `error` of the KMS that says that no key was made.
    ///
    /// # Errors
    /// When the database fails.
    pub fn give_up(self, database: &mut Database, error: &KmsError) -> Result<(), BackupError> {
        match error.kind {
            KmsErrorKind::Refused | KmsErrorKind::Unsupported => database.forget_requested_job(&self.job),
            _ => Ok(()),
        }
    }
}

/// Checks a key before anything is encrypted to it: an RSA key, and not shorter than the job wants.
pub(super) fn check_issued(issued: &IssuedKey, algorithm: KeyAlgorithm) -> Result<(), String> {
    let bits = public_key_bits(&issued.public_key_spki).map_err(|error| error.to_string())?;
    if bits < algorithm.bits() {
        return Err(format!("it has {bits} bits, the job wants {}", algorithm.bits()));
    }
    for id in [&issued.private_id, &issued.public_id] {
        if id.is_empty() || id.len() > limits::MAX_UNIQUE_IDENTIFIER {
            return Err(format!("its unique identifier has {} bytes", id.len()));
        }
    }
    Ok(())
}

pub(super) fn job_key(issued: IssuedKey, generation: u32, now: DateTime) -> JobKey {
    JobKey {
        generation,
        private_id: issued.private_id,
        public_id: issued.public_id,
        public_key: issued.public_key_spki,
        oaep: issued.oaep,
        adopted: now.0,
    }
}

/// What a job needs to write a backup, read from the database at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyJob {
    /// The job.
    pub job: Job,
    /// Its KMS server.
    pub server: ServerEntry,
    /// The key that encrypts.
    pub key: JobKey,
}

impl ReadyJob {
    /// Reads it.
    ///
    /// # Errors
    /// `Unknown` when there is no such job; `Blocked` when it has no key to encrypt with.
    pub fn load(database: &Database, name: &str) -> Result<Self, BackupError> {
        let job = database.job(name)?;
        let server = database.server(&job.server)?;
        let blocked = |reason| BackupError::Blocked { job: job.name.clone(), reason };
        if let Some(reason) = &job.blocked {
            return Err(blocked(reason.clone()));
        }
        let unfinished = || blocked("it was requested but never received; run `job create` again".to_owned());
        let key = database.current_key(&job)?.ok_or_else(unfinished)?;
        Ok(Self { job, server, key })
    }

    /// Backs up `paths` into a new file in `target`.
    ///
    /// Asks the KMS first: while it is down a job that encrypts with its keys fails, and writes nothing.
    ///
    /// # Errors
    /// When the KMS does not answer, a path does not exist, or the file cannot be written.
    pub fn back_up(
        &self,
        kms: &dyn KeyManagement,
        paths: &[PathBuf],
        target: &Path,
        now: DateTime,
        observer: &dyn Observer,
    ) -> Result<BackupSummary, BackupError> {
        kms.check().map_err(BackupError::kms_failed(&self.server.name))?;
        let reference = KeyReference {
            server: self.server.name.clone(),
            address: self.server.address.clone(),
            private_id: self.key.private_id.clone(),
            generation: self.key.generation,
            oaep: self.key.oaep,
        };
        let recipient = KmsRecipient::new(reference, &self.key.public_key).map_err(|error| {
            BackupError::UnusableKey { server: self.server.name.clone(), what: error.to_string() }
        })?;
        let request = BackupRequest {
            job: self.job.name.clone(),
            paths: paths.to_vec(),
            target: target.to_owned(),
            now,
        };
        archive::write(&request, &[&recipient], observer)
    }
}
