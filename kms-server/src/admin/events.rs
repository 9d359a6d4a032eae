//! `GET /v1/events`: what happened, in order, and a wait for what comes next.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Admin, Problem};
use crate::audit::{Events, Trail};
use crate::limits;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Events with a greater number; where it is absent, those that come from now on.
    after: Option<u64>,
    /// Seconds to wait for one where there is none yet; [`limits::EVENTS_WAIT`] at most.
    #[serde(default)]
    wait: u64,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Events>, Problem> {
    let Query(asked) = asked.map_err(|rejection| Problem {
        status: rejection.status(),
        error: rejection.body_text(),
        hint: "ask for /v1/events?after=NUMBER&wait=SECONDS".into(),
    })?;
    let Some(trail) = admin.trail().cloned() else { return Ok(Json(Events::default())) };
    let mut after = asked.after.unwrap_or_else(|| trail.last());
    let deadline = Instant::now() + Duration::from_secs(asked.wait).min(limits::EVENTS_WAIT);
    let (mut news, mut stop) = (trail.follow(), admin.stop.clone());
    loop {
        // Seen before looking, so that what comes in between wakes.
        news.mark_unchanged();
        let found = read(&trail, after).await?;
        if !found.events.is_empty() || found.lost_up_to.is_some() {
            return Ok(Json(found));
        }
        if found.next < trail.last() && found.next > after {
            // A file of the log without a single event; on to the next.
            after = found.next;
            continue;
        }
        let changed = async {
            tokio::select! {
                changed = news.changed() => changed.is_ok(),
                () = stop.requested() => false,
            }
        };
        if !timeout_at(deadline, changed).await.unwrap_or(false) {
            return Ok(Json(found));
        }
    }
}

async fn read(trail: &Arc<Trail>, after: u64) -> Result<Events, Problem> {
    let trail = Arc::clone(trail);
    let read =
        tokio::task::spawn_blocking(move || trail.events(after)).await.map_err(|_| Problem::defect())?;
    read.map_err(|error| Problem {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: format!("the audit log cannot be read: {error}"),
        hint: "check the disk and the permissions of the audit folder".into(),
    })
}
