//! The system job: asks a KMS which keys were rotated, and takes the new public keys over.

use kms_protocol::DateTime;

use super::BackupError;
use super::database::Database;
use super::jobs::{check_issued, job_key, note_contact};
use super::kms::{Finding, IssuedKey, KeyManagement, KmsError, KmsErrorKind, KnownKey};
use super::records::{Change, Job, JobKey, JobKms, Outcome, ServerEntry, SyncRun};
use super::state::State;
use super::unlock::Connect;

/// The keys of one server, to be asked about in one call.
///
/// The database is read before and written after the KMS is asked, and not held meanwhile.
pub struct Sync {
    server: ServerEntry,
    jobs: Vec<(Job, JobKms, JobKey)>,
    known: Vec<KnownKey>,
}

impl Sync {
    /// Reads the keys of all jobs of a server.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn prepare(database: &Database, server: &ServerEntry) -> Result<Self, BackupError> {
        let mut jobs = Vec::new();
        for job in database.jobs()? {
            let Some(kms) = job.kms.clone().filter(|kms| kms.server == server.name) else { continue };
            if let Some(key) = database.current_key(&job)? {
                jobs.push((job, kms, key));
            }
        }
        let known = jobs.iter().map(|(_, kms, key)| key.known(kms)).collect();
        Ok(Self { server: server.clone(), jobs, known })
    }

    /// Asks about all keys at once. A server without jobs is only asked whether it answers.
    ///
    /// # Errors
    /// When the KMS does not answer, or not for every key.
    pub fn ask(&self, kms: &dyn KeyManagement) -> Result<Vec<Finding>, KmsError> {
        if self.known.is_empty() {
            return kms.check().map(|()| Vec::new());
        }
        let findings = kms.rotations(&self.known)?;
        if findings.len() == self.known.len() {
            return Ok(findings);
        }
        Err(KmsError {
            what: format!("it answered for {} of {} keys", findings.len(), self.known.len()),
            hint: None,
            retryable: false,
            kind: KmsErrorKind::Failed,
        })
    }

    /// Takes over what the KMS answered and records the run, as one change of the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record(
        self,
        database: &mut Database,
        answer: &Result<Vec<Finding>, KmsError>,
        warnings: Vec<String>,
        now: DateTime,
    ) -> Result<SyncRun, BackupError> {
        let asked = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let error = answer.as_ref().err().map(ToString::to_string);
        let mut run =
            SyncRun { at: now.0, server: self.server.name, asked, changes: Vec::new(), warnings, error };
        let mut updates = Vec::new();
        let findings = answer.as_ref().map_or(&[][..], Vec::as_slice);
        for ((job, kms, key), finding) in self.jobs.into_iter().zip(findings) {
            let Decision { outcome, adopted, blocked } = decide(&kms, &key, finding, now);
            let generation = Some(adopted.as_ref().map_or(key.generation, |adopted| adopted.generation));
            let changed = Job { kms: Some(JobKms { generation, blocked, ..kms }), ..job.clone() };
            if let Some(outcome) = outcome {
                run.changes.push(Change { job: job.name.clone(), generation: key.generation, outcome });
            }
            if changed != job {
                updates.push((job, changed, adopted));
            }
        }
        let overtaken = database.put_sync(&run, &updates)?;
        run.changes.retain(|change| !overtaken.contains(&change.job));
        Ok(run)
    }
}

/// Asks one server about all of its keys, takes over what it answers and records the run: what the system job does.
///
/// The second value is why the run failed as a whole, which is recorded too.
///
/// # Errors
/// When the database fails.
pub fn run(
    state: &State,
    server: &ServerEntry,
    connect: &Connect,
    now: DateTime,
) -> Result<(SyncRun, Option<BackupError>), BackupError> {
    let sync = Sync::prepare(&state.database()?, server)?;
    let mut certificates = Vec::new();
    let answer = connect(server).and_then(|kms| {
        let findings = sync.ask(kms.as_ref())?;
        certificates = kms.certificates();
        Ok(findings)
    });
    let mut database = state.database()?;
    note_contact(&mut database, &server.name, answer.as_ref().map(|_| ()), now)?;
    let warnings = certificates.iter().filter_map(|certificate| certificate.warning(now)).collect();
    let run = sync.record(&mut database, &answer, warnings, now)?;
    Ok((run, answer.err().map(BackupError::kms_failed(&server.name))))
}

/// What follows from a finding.
struct Decision {
    outcome: Option<Outcome>,
    adopted: Option<JobKey>,
    blocked: Option<String>,
}

fn decide(job: &JobKms, key: &JobKey, finding: &Finding, now: DateTime) -> Decision {
    let keep = |outcome| Decision { outcome, adopted: None, blocked: None };
    let block = |reason: String| Decision {
        outcome: Some(Outcome::Blocked { reason: reason.clone() }),
        adopted: None,
        blocked: Some(reason),
    };
    match finding {
        Finding::Unchanged => keep(None),
        Finding::PendingActivation => keep(Some(Outcome::Pending)),
        Finding::Rotated { generations, newest } => adopt(job, key, *generations, newest, now),
        Finding::RetiredWithoutSuccessor { state } => {
            block(format!("key {} is {state} and nothing has replaced it", key.private_id))
        }
        Finding::Gone => block(format!("the KMS has no key {}, or does not show it", key.private_id)),
        Finding::Ambiguous { candidates } => {
            let reason = format!("several keys could follow {}: {}", key.private_id, candidates.join(", "));
            Decision {
                outcome: Some(Outcome::Rejected { reason }),
                adopted: None,
                blocked: job.blocked.clone(),
            }
        }
    }
}

fn adopt(job: &JobKms, key: &JobKey, generations: u32, newest: &IssuedKey, now: DateTime) -> Decision {
    // An answer of 0 would overwrite the generation that earlier backups name.
    let generation = key.generation.saturating_add(generations.max(1));
    if let Err(reason) = check_issued(newest, job.algorithm) {
        let reason = format!("key {} cannot follow {}: {reason}", newest.private_id, key.private_id);
        return Decision {
            outcome: Some(Outcome::Rejected { reason }),
            adopted: None,
            blocked: job.blocked.clone(),
        };
    }
    let outcome = Outcome::Rotated {
        to_generation: generation,
        from_private_id: key.private_id.clone(),
        to_private_id: newest.private_id.clone(),
    };
    let adopted = job_key(newest.clone(), generation, now);
    Decision { outcome: Some(outcome), adopted: Some(adopted), blocked: None }
}
