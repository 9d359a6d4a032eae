//! `kms-client status`.

use serde_json::json;

use crate::backup::database::Database;
use crate::backup::records::{Job, ServerEntry, SyncRun};

use super::Session;
use super::exit::{CommandError, Exit};
use super::output::time;

/// Says how everything is, and what needs somebody.
pub fn run(session: &Session) -> Result<Exit, CommandError> {
    let database = session.state.database()?;
    let mut attention = false;
    let history = database.sync_history()?;
    for server in database.servers()? {
        let last = history.iter().rev().find(|run| run.server == server.name);
        attention |= server_status(session, &database, &server, last)?;
    }
    for job in database.jobs()? {
        attention |= job_status(session, &database, &job)?;
    }
    for pending in database.imports()? {
        attention = true;
        let path = pending.path();
        let text =
            format!("import of {} waits since {}: {}", path.display(), time(pending.since), pending.needs);
        let value = json!({"import": path.to_string_lossy(), "since": pending.since, "needs": pending.needs});
        session.output.data(&text, &value)?;
    }
    let recovery = database.recovery()?;
    let text = recovery.as_ref().map_or_else(
        || "password loss protection: not enabled".to_owned(),
        |recovery| format!("password loss protection: {} since {}", recovery.recipient, time(recovery.since)),
    );
    session.output.data(&text, &json!({"recovery": recovery}))?;
    Ok(if attention { Exit::Partly } else { Exit::Done })
}

fn server_status(
    session: &Session,
    database: &Database,
    server: &ServerEntry,
    last: Option<&SyncRun>,
) -> Result<bool, CommandError> {
    let contact = database.contact(&server.name)?;
    let state = match (contact.failing_since, contact.answered) {
        (Some(since), _) => {
            format!("down since {}: {}", time(since), contact.error.as_deref().unwrap_or_default())
        }
        (None, Some(at)) => format!("answered at {}", time(at)),
        (None, None) => "never asked".to_owned(),
    };
    let synced = last.map_or_else(|| "no sync yet".to_owned(), |run| format!("last sync {}", time(run.at)));
    let warnings: Vec<String> = last.map(|run| run.warnings.clone()).unwrap_or_default();
    let mut text = format!("server {} at {}: {state}; {synced}", server.name, server.address);
    for warning in &warnings {
        text.push_str(&format!("\n  warning: {warning}"));
    }
    let value = json!({
        "server": server.name, "address": server.address, "answered": contact.answered,
        "down_since": contact.failing_since, "error": contact.error, "last_sync": last.map(|run| run.at),
        "warnings": warnings,
    });
    session.output.data(&text, &value)?;
    Ok(contact.failing_since.is_some() || !warnings.is_empty())
}

fn job_status(session: &Session, database: &Database, job: &Job) -> Result<bool, CommandError> {
    let (state, ready) = match (&job.password, &job.kms) {
        (Some(password), _) => (format!("encrypts with a password (hint: {})", password.hint), true),
        (None, None) => ("encrypts with the keys of its repositories".to_owned(), true),
        (None, Some(kms)) => match (&kms.blocked, kms.generation) {
            (Some(reason), _) => (format!("must not encrypt: {reason}"), false),
            (None, None) => ("has no key yet: run `job create` again".to_owned(), false),
            (None, Some(generation)) => {
                let since = database.contact(&kms.server)?.failing_since;
                match (since, kms.offline) {
                    (None, _) => (format!("encrypts with generation {generation} of {}", kms.server), true),
                    (Some(since), None) => {
                        (format!("fails while {} is down, since {}", kms.server, time(since)), false)
                    }
                    (Some(since), Some(allowed)) => (
                        format!(
                            "encrypts with generation {generation} while {} is down since {}, for {allowed} s at most",
                            kms.server,
                            time(since)
                        ),
                        true,
                    ),
                }
            }
        },
    };
    let value = json!({"job": job.name, "ready": ready, "state": state});
    session.output.data(&format!("job {}: {state}", job.name), &value)?;
    Ok(!ready)
}
