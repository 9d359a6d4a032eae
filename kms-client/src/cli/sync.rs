//! `kms-client sync` and `kms-client daemon`.

use core::time::Duration;

use clap::Args;
use serde_json::json;

use crate::backup::limits;
use crate::backup::records::{Outcome, SyncRun};
use crate::backup::schedule::Schedule;
use crate::backup::sync;

use super::Session;
use super::exit::{CommandError, Exit};
use super::output::time;
use super::quantity::seconds;

#[derive(Args)]
pub struct Arguments {
    /// Show what earlier runs found instead.
    #[arg(long)]
    history: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    if arguments.history {
        for run in session.state.database()?.sync_history()? {
            let lines: Vec<String> = lines(&run).iter().map(|line| format!("\n  {line}")).collect();
            session
                .output
                .data(&format!("{}  {}{}", time(run.at), run.server, lines.concat()), &json!(run))?;
        }
        return Ok(Exit::Done);
    }
    sync_all(session)
}

/// Asks all servers, one after the other; nobody else does meanwhile.
fn sync_all(session: &Session) -> Result<Exit, CommandError> {
    let _lock = session.state.lock_sync()?;
    let servers = session.state.database()?.servers()?;
    if servers.is_empty() {
        session.output.say("no server is registered; `kms-client server add NAME` registers one");
    }
    let mut unreachable = 0_usize;
    let mut attention = false;
    for server in &servers {
        let (run, error) = sync::run(&session.state, server, &*session.connect, session.now())?;
        if let Some(error) = error
            && session.output.error(&error.into()) == Exit::Unreachable
        {
            unreachable += 1;
        }
        attention |= run.error.is_some() || !run.warnings.is_empty();
        attention |= run.changes.iter().any(|change| needs_attention(&change.outcome));
        session.output.data(&format!("{}: {}", run.server, lines(&run).join("\n  ")), &json!(run))?;
    }
    Ok(match (unreachable, attention) {
        (0, false) => Exit::Done,
        (unreachable, _) if unreachable > 0 && unreachable == servers.len() => Exit::Unreachable,
        _ => Exit::Partly,
    })
}

#[derive(Args)]
pub struct DaemonArguments {
    /// Time between two runs (s, m, h, d).
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "24h", env = "KMS_SYNC_EVERY")]
    every: u64,
    /// By how much a run may come later, so that many installations do not ask at once; a tenth of --every unless given.
    #[arg(long, value_name = "TIME", value_parser = seconds, env = "KMS_SYNC_JITTER")]
    jitter: Option<u64>,
}

/// Runs the system job for ever. A run that fails is reported, and the next one comes in its time.
pub fn daemon(session: &Session, arguments: &DaemonArguments) -> Result<Exit, CommandError> {
    let every = arguments.every.max(1);
    let schedule = Schedule { period: every, jitter: arguments.jitter.unwrap_or(every / 10) };
    let _lock = session.state.lock_daemon()?;
    session
        .output
        .say(&format!("asking every {every} s for rotated keys, up to {} s later", schedule.jitter));
    loop {
        let due = next_run(session, schedule)?;
        let left = u64::try_from(due.saturating_sub(session.now().0)).unwrap_or(0);
        if left == 0 {
            if let Err(error) = sync_all(session) {
                // Nobody reads what it says any more: nobody wants it to go on.
                if matches!(error, CommandError::Output(_)) {
                    return Err(error);
                }
                session.output.error(&error);
                if !(session.sleep)(Duration::from_secs(limits::LONGEST_SLEEP.min(every))) {
                    return Ok(Exit::Done);
                }
            }
            continue;
        }
        if !(session.sleep)(Duration::from_secs(left.min(limits::LONGEST_SLEEP))) {
            return Ok(Exit::Done);
        }
    }
}

/// When the next run is due: after the last one of the server that was asked longest ago. Without servers, a period from now.
fn next_run(session: &Session, schedule: Schedule) -> Result<i64, CommandError> {
    let database = session.state.database()?;
    let (now, history) = (session.now().0, database.sync_history()?);
    let last = |name: &str| history.iter().rev().find(|run| run.server == name).map(|run| run.at);
    let servers = database.servers()?;
    let dues = servers.iter().map(|server| schedule.due(database.installation(), last(&server.name), now));
    let none = now.saturating_add(i64::try_from(schedule.period).unwrap_or(i64::MAX));
    Ok(dues.min().unwrap_or(none))
}

fn needs_attention(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Blocked { .. } | Outcome::Rejected { .. })
}

fn lines(run: &SyncRun) -> Vec<String> {
    if let Some(error) = &run.error {
        return vec![format!("failed: {error}")];
    }
    let mut lines = vec![format!("{} keys asked about, {} findings", run.asked, run.changes.len())];
    lines.extend(run.changes.iter().map(|change| {
        let (job, generation) = (&change.job, change.generation);
        match &change.outcome {
            Outcome::Rotated { to_generation, from_private_id, to_private_id } => format!(
                "{job}: rotated, generation {generation} → {to_generation}, private key {from_private_id} → {to_private_id}"
            ),
            Outcome::Pending => format!("{job}: a newer key waits for its activation date"),
            Outcome::Blocked { reason } => format!("{job}: must not encrypt any more: {reason}"),
            Outcome::Rejected { reason } => format!("{job}: keeps its key: {reason}"),
        }
    }));
    lines.extend(run.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines
}
