//! Takes the steps of a drill in their time.

use core::time::Duration;

use super::load::Load;
use super::plan::{Action, Cut, Deed, Drill, When};
use super::process::pause;
use super::report::Event;
use super::site::Site;
use super::{DrillError, Setup};

/// Takes all steps, then ends the load, and says what was done when.
pub(super) fn run(
    drill: &Drill,
    site: &mut Site<'_>,
    load: &mut Load,
    setup: &Setup<'_>,
) -> Result<Vec<Event>, DrillError> {
    site.begin();
    let (mut events, mut is_loaded) = (Vec::new(), false);
    let mut done = Duration::ZERO;
    for (number, step) in drill.steps.iter().enumerate() {
        let due = match step.when {
            When::At(at) => at,
            When::After(after) => done + after,
        };
        wait_until(due, site, setup)?;
        let at = site.elapsed();
        let (server, breaks) = match &step.action {
            Action::Load(_) => (None, false),
            Action::Server(server, deed) => (Some(*server), deed.breaks()),
        };
        let said = match &step.action {
            Action::Load(true) => {
                is_loaded = true;
                load.begin(site.begun()).map(|()| None)
            }
            Action::Load(false) => {
                is_loaded = false;
                load.end().map(|()| None)
            }
            Action::Server(server, deed) => site.act(*server, deed),
        };
        let what = described(drill, &step.action);
        let said = said.map_err(|error| in_step(error, number, &what))?;
        done = site.elapsed();
        let event = Event { at, took: done.saturating_sub(at), what, said, server, breaks };
        (setup.tell)(&event);
        events.push(event);
    }
    if is_loaded {
        load.end()?;
    }
    site.look();
    Ok(events)
}

/// Waits for a step's time, and looks after the servers meanwhile.
fn wait_until(due: Duration, site: &mut Site<'_>, setup: &Setup<'_>) -> Result<(), DrillError> {
    loop {
        site.look();
        setup.stop.check()?;
        let left = due.saturating_sub(site.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        pause(left.min(super::limits::TICK), setup.stop)?;
    }
}

fn in_step(error: DrillError, number: usize, what: &str) -> DrillError {
    match error {
        DrillError::Run { what: why, hint } => {
            DrillError::Run { what: format!("step {} ({what}): {why}", number + 1), hint }
        }
        other => other,
    }
}

/// A step in words.
pub(super) fn described(drill: &Drill, action: &Action) -> String {
    let (server, deed) = match action {
        Action::Load(true) => return "load begins".to_owned(),
        Action::Load(false) => return "load ends".to_owned(),
        Action::Server(server, deed) => (drill.servers.get(*server).map_or("", |server| &server.name), deed),
    };
    let more = match deed {
        Deed::Advance(by) => format!(" by {by}"),
        Deed::Partition(Cut::Refuse) => ": connections are reset".to_owned(),
        Deed::Partition(Cut::BlackHole) => ": nothing comes through".to_owned(),
        Deed::Partition(Cut::Delay(delay)) => format!(": all comes {delay:?} later"),
        Deed::Fault(rule) => {
            format!(": {}", rule.get("fault").and_then(serde_json::Value::as_str).unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("{} {server}{more}", deed.name())
}
