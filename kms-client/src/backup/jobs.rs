//! Jobs: they get a key from their KMS and write backups with it.

use kms_protocol::DateTime;

use super::database::Database;
use super::envelope::{KeyReference, KmsRecipient, PasswordKey, public_key_bits};
use super::kms::{IssuedKey, KeyAlgorithm, KeyManagement, KeyRequest, KmsError, KmsErrorKind, Scheme};
use super::records::{Contact, Job, JobKey, JobKms, Repository, ServerEntry, check_name};
use super::{BackupError, limits};
use crate::agreement::is_p256;

/// A job whose key is being asked for.
///
/// The database is written before and after the KMS is asked, and not held meanwhile. When this process dies in
/// between, the next `job create` of the same name finds the job begun and asks for the key under the same name.
pub struct NewJob {
    /// The job as it is while the key is asked for.
    job: Job,
    /// Whether there was such a job, with a password or without a key of its own.
    existed: bool,
    kms: JobKms,
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
        let existing = found(database, name)?;
        let exists = || BackupError::Exists { what: "job", name: name.to_owned() };
        let (job, retry) = match existing.clone() {
            None => (Job::new(name, now), false),
            Some(job) => match &job.kms {
                // A job with a password, or with none of its own, gets a key, and goes over to it.
                None => (job, false),
                Some(kms)
                    if kms.generation.is_none()
                        && kms.server == server.name
                        && kms.algorithm == algorithm =>
                {
                    (job, true)
                }
                Some(_) => return Err(exists()),
            },
        };
        let existed = existing.is_some() && (!retry || job.password.is_some());
        let before = job.clone();
        let kms = match job.kms.clone() {
            Some(kms) => kms,
            None => {
                let kms = JobKms {
                    server: server.name,
                    algorithm,
                    key_name: format!("backup/{}/{name}/{}", database.installation(), now.0),
                    generation: None,
                    blocked: None,
                    offline: None,
                };
                let begun = Job { kms: Some(kms.clone()), ..job };
                database.put_job(existing.as_ref(), &begun, None)?;
                kms
            }
        };
        let request = KeyRequest { name: kms.key_name.clone(), algorithm, retry };
        Ok(Self { job: Job { kms: Some(kms.clone()), ..before }, existed, kms, request })
    }

    /// Asks the KMS for the key.
    ///
    /// # Errors
    /// When it gives none, or one that cannot be used.
    pub fn request(&self, kms: &dyn KeyManagement) -> Result<IssuedKey, BackupError> {
        let failed = BackupError::kms_failed(&self.kms.server);
        let issued = kms.request_key(&self.request).map_err(failed)?;
        check_issued(&issued, self.kms.algorithm)
            .map_err(|what| BackupError::UnusableKey { server: self.kms.server.clone(), what })?;
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
        let kms = JobKms { generation: Some(key.generation), ..self.kms };
        let job = Job { kms: Some(kms), password: None, ..self.job.clone() };
        database.put_job(Some(&self.job), &job, Some(&key))?;
        Ok((job, key))
    }

    /// Forgets the job, or makes it what it was, after an `error` of the KMS that says that no key was made.
    ///
    /// # Errors
    /// When the database fails.
    pub fn give_up(self, database: &mut Database, error: &KmsError) -> Result<(), BackupError> {
        match error.kind {
            KmsErrorKind::Refused | KmsErrorKind::Unsupported if self.existed => {
                database.put_job(Some(&self.job), &Job { kms: None, ..self.job.clone() }, None)
            }
            KmsErrorKind::Refused | KmsErrorKind::Unsupported => database.forget_requested_job(&self.job),
            _ => Ok(()),
        }
    }
}

/// Checks a key before anything is encrypted to it: of the job's algorithm, and not shorter than it wants.
pub(super) fn check_issued(issued: &IssuedKey, algorithm: KeyAlgorithm) -> Result<(), String> {
    if algorithm == KeyAlgorithm::P256 {
        if issued.scheme != Scheme::P256 || !is_p256(&issued.public_key_spki) {
            return Err("it is no key on P-256".to_owned());
        }
    } else {
        let bits = public_key_bits(&issued.public_key_spki).map_err(|error| error.to_string())?;
        if bits < algorithm.bits() {
            return Err(format!("it has {bits} bits, the job wants {}", algorithm.bits()));
        }
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
        scheme: issued.scheme,
        adopted: now.0,
    }
}

fn found(database: &Database, name: &str) -> Result<Option<Job>, BackupError> {
    match database.job(name) {
        Ok(job) => Ok(Some(job)),
        Err(BackupError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a job a password, which encrypts from now on; makes the job if there is none.
///
/// # Errors
/// When the name is not acceptable or the database fails.
pub fn set_password(
    database: &mut Database,
    name: &str,
    password: PasswordKey,
    now: DateTime,
) -> Result<Job, BackupError> {
    check_name("job name", name)?;
    let existing = found(database, name)?;
    let new = Job::new(name, now);
    let job = Job { password: Some(password), ..existing.clone().unwrap_or(new) };
    database.put_job(existing.as_ref(), &job, None)?;
    Ok(job)
}

/// Makes a job without a key of its own: its repositories have one.
///
/// # Errors
/// `Exists` when there is such a job.
pub fn keyless(database: &mut Database, name: &str, now: DateTime) -> Result<Job, BackupError> {
    check_name("job name", name)?;
    if database.job(name).is_ok() {
        return Err(BackupError::Exists { what: "job", name: name.to_owned() });
    }
    let job = Job::new(name, now);
    database.put_job(None, &job, None)?;
    Ok(job)
}

/// Has a job encrypt with its KMS key again.
///
/// # Errors
/// `Blocked` when it has no KMS key.
pub fn use_kms(database: &mut Database, name: &str) -> Result<Job, BackupError> {
    change_kms(database, name, |job, _| job.password = None)
}

/// Sets for how many seconds a job may encrypt with its KMS key while the KMS is down; whether it encrypts with that key or
/// with a password stays as it is.
///
/// # Errors
/// `Blocked` when it has no KMS key.
pub fn set_offline(database: &mut Database, name: &str, offline: Option<u64>) -> Result<Job, BackupError> {
    change_kms(database, name, |_, kms| kms.offline = offline)
}

fn change_kms(
    database: &mut Database,
    name: &str,
    change: impl FnOnce(&mut Job, &mut JobKms),
) -> Result<Job, BackupError> {
    let before = database.job(name)?;
    let mut after = before.clone();
    let Some(mut kms) = before.kms.clone() else {
        let reason = "it has no KMS key; `job create` with --server gives it one".to_owned();
        return Err(BackupError::Blocked { job: name.to_owned(), reason });
    };
    change(&mut after, &mut kms);
    let after = Job { kms: Some(kms), ..after };
    database.put_job(Some(&before), &after, None)?;
    Ok(after)
}

/// What encrypts a job's backups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Protection {
    /// A key whose private half is in a KMS.
    Kms {
        /// The KMS server.
        server: ServerEntry,
        /// The key.
        key: JobKey,
    },
    /// A password.
    Password(PasswordKey),
}

/// What a job needs to write a backup, read from the database at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyJob {
    /// The job.
    pub job: Job,
    /// What encrypts.
    pub protection: Protection,
    /// An Enterprise Manager's recipient, which every file key is wrapped for as well.
    pub recovery: Option<String>,
}

impl ReadyJob {
    /// Reads it.
    ///
    /// # Errors
    /// `Unknown` when there is no such job; `Blocked` when it has no key to encrypt with.
    pub fn load(database: &Database, name: &str) -> Result<Self, BackupError> {
        let job = database.job(name)?;
        let recovery = database.recovery()?.map(|recovery| recovery.recipient);
        if let Some(password) = job.password.clone() {
            return Ok(Self { job, protection: Protection::Password(password), recovery });
        }
        let blocked = |reason| BackupError::Blocked { job: job.name.clone(), reason };
        let kms = job.kms.as_ref().ok_or_else(|| {
            blocked("it has neither a KMS key nor a password, and its repository has none for it".to_owned())
        })?;
        let server = database.server(&kms.server)?;
        if let Some(reason) = &kms.blocked {
            return Err(blocked(reason.clone()));
        }
        let unfinished = || blocked("it was requested but never received; run `job create` again".to_owned());
        let key = database.current_key(&job)?.ok_or_else(unfinished)?;
        Ok(Self { job, protection: Protection::Kms { server, key }, recovery })
    }

    /// Reads a job for its backups into a repository, whose key encrypts where the job has none.
    ///
    /// # Errors
    /// As [`ReadyJob::load`] has them.
    pub fn load_for(
        database: &Database,
        name: &str,
        repository: Option<&Repository>,
    ) -> Result<Self, BackupError> {
        let job = database.job(name)?;
        let key_of = repository.and_then(|repository| repository.key_of.as_ref());
        match key_of {
            Some(key_of) if job.kms.is_none() && job.password.is_none() => {
                let Self { job: holder, protection, recovery } = Self::load(database, key_of)?;
                // Whether it may go on without the KMS is said of the key, not of who uses it.
                let job = Job { kms: holder.kms, ..job };
                Ok(Self { job, protection, recovery })
            }
            _ => Self::load(database, name),
        }
    }

    /// Who can open what the job encrypts.
    ///
    /// # Errors
    /// When a key cannot be used.
    pub fn recipients(&self) -> Result<Vec<Box<dyn age::Recipient>>, BackupError> {
        let mut recipients: Vec<Box<dyn age::Recipient>> = vec![self.protection.recipient()?];
        if let Some(recovery) = &self.recovery {
            let parsed: Result<age::x25519::Recipient, _> = recovery.parse();
            let broken = |_| BackupError::Invalid {
                what: "Enterprise Manager key",
                value: recovery.clone(),
                rule: "an age recipient, such as `recovery new` prints",
            };
            recipients.push(Box::new(parsed.map_err(broken)?));
        }
        Ok(recipients)
    }
}

impl Protection {
    /// Whoever can open what is encrypted so.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn recipient(&self) -> Result<Box<dyn age::Recipient>, BackupError> {
        match self {
            Self::Password(password) => Ok(Box::new(password.recipient()?)),
            Self::Kms { server, key } => {
                let reference = KeyReference {
                    server: server.name.clone(),
                    address: server.address.clone(),
                    private_id: key.private_id.clone(),
                    generation: key.generation,
                };
                let recipient =
                    KmsRecipient::new(reference, key.scheme, &key.public_key).map_err(|error| {
                        BackupError::UnusableKey { server: server.name.clone(), what: error.to_string() }
                    })?;
                Ok(Box::new(recipient))
            }
        }
    }
}

/// Notes whether a KMS server answered.
///
/// # Errors
/// When the database fails.
pub fn note_contact(
    database: &mut Database,
    server: &str,
    answer: Result<(), &KmsError>,
    now: DateTime,
) -> Result<Contact, BackupError> {
    let before = database.contact(server)?;
    let contact = match answer {
        Ok(()) => Contact { answered: Some(now.0), failing_since: None, error: None },
        Err(error) => Contact {
            answered: before.answered,
            // A clock that was set back must not make it later than now.
            failing_since: Some(before.failing_since.map_or(now.0, |since| since.min(now.0))),
            error: Some(error.to_string()),
        },
    };
    database.put_contact(server, &contact)?;
    Ok(contact)
}

/// Whether a job may encrypt with the public key that it has although its KMS is down: where its policy says so, for so long
/// since the KMS last answered.
///
/// # Errors
/// What the KMS said, where it may not.
pub fn allow_offline(
    job: &Job,
    server: &ServerEntry,
    contact: &Contact,
    error: KmsError,
    now: DateTime,
) -> Result<i64, BackupError> {
    let down = BackupError::kms_failed(&server.name);
    let Some(allowed) = job.kms.as_ref().and_then(|kms| kms.offline) else { return Err(down(error)) };
    if error.kind != KmsErrorKind::Unreachable {
        return Err(down(error));
    }
    // An answer later than the failures was noted while the clock was wrong.
    let known = contact.answered.into_iter().chain(contact.failing_since).min().unwrap_or(now.0);
    let until = known.saturating_add(i64::try_from(allowed).unwrap_or(i64::MAX));
    if now.0 < until {
        return Ok(until);
    }
    Err(BackupError::OfflineOver {
        job: job.name.clone(),
        server: server.name.clone(),
        source: Box::new(error),
    })
}
