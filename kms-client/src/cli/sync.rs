//! `kms-client sync`.

use clap::Args;
use serde_json::json;

use crate::backup::BackupError;
use crate::backup::records::{Outcome, ServerEntry, SyncRun};
use crate::backup::sync::Sync;

use super::Session;
use super::exit::{CommandError, Exit};
use super::output::time;

#[derive(Args)]
pub struct Arguments {
    /// Show what earlier runs found instead.
    #[arg(long)]
    history: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Result<Exit, CommandError> {
    let database = session.state.database()?;
    if arguments.history {
        for run in database.sync_history()? {
            let lines: Vec<String> = lines(&run).iter().map(|line| format!("\n  {line}")).collect();
            session
                .output
                .data(&format!("{}  {}{}", time(run.at), run.server, lines.concat()), &json!(run))?;
        }
        return Ok(Exit::Done);
    }
    let servers = database.servers()?;
    drop(database);
    if servers.is_empty() {
        session.output.say("no server is registered; `kms-client server add NAME` registers one");
    }
    let mut unreachable = 0_usize;
    let mut attention = false;
    for server in &servers {
        let run = sync_server(session, server, &mut unreachable)?;
        attention |= run.error.is_some() || run.changes.iter().any(|change| needs_attention(&change.outcome));
        session.output.data(&format!("{}: {}", run.server, lines(&run).join("\n  ")), &json!(run))?;
    }
    Ok(match (unreachable, attention) {
        (0, false) => Exit::Done,
        (unreachable, _) if unreachable > 0 && unreachable == servers.len() => Exit::Unreachable,
        _ => Exit::Partly,
    })
}

fn sync_server(
    session: &Session,
    server: &ServerEntry,
    unreachable: &mut usize,
) -> Result<SyncRun, CommandError> {
    let sync = Sync::prepare(&session.state.database()?, server)?;
    let answer = (session.connect)(server).and_then(|kms| sync.ask(kms.as_ref()));
    let run = sync.record(&mut session.state.database()?, &answer, session.now())?;
    if let Err(source) = answer {
        let error = BackupError::kms_failed(&server.name)(source);
        if session.output.error(&error.into()) == Exit::Unreachable {
            *unreachable += 1;
        }
    }
    Ok(run)
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
    lines
}
