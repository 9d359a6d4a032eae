//! `/v1/journal`: what was asked and what came of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::{Admin, Problem, api};
use crate::journal::{Page, Wanted};
use crate::limits;

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    asked: Result<Query<api::JournalAsked>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let journal = &admin.mock()?.journal;
    let Query(asked) = asked.map_err(|rejection| Problem {
        status: StatusCode::BAD_REQUEST,
        error: rejection.body_text(),
        hint: "ask for /v1/journal?after=NUMBER&wait=SECONDS&client=NAME&operation=NAME&key=ID&failed=true&faults=true\
               &messages=true&limit=COUNT"
            .into(),
    })?;
    let mut wanted = Wanted::from(&asked);
    let deadline = Instant::now() + Duration::from_secs(asked.wait).min(limits::EVENTS_WAIT);
    let (mut news, mut stop) = (journal.follow(), admin.stop.clone());
    loop {
        // Seen before looking, so that what comes in between wakes.
        news.mark_unchanged();
        let page = journal.page(&wanted);
        if !page.exchanges.is_empty() || page.lost_up_to.is_some() {
            return Ok(Json(page));
        }
        wanted.after = Some(page.next);
        let changed = async {
            tokio::select! {
                changed = news.changed() => changed.is_ok(),
                () = stop.requested() => false,
            }
        };
        if !timeout_at(deadline, changed).await.unwrap_or(false) {
            return Ok(Json(page));
        }
    }
}

pub(super) async fn clear(State(admin): State<Arc<Admin>>) -> Result<Json<Page>, Problem> {
    let journal = &admin.mock()?.journal;
    journal.clear();
    Ok(Json(journal.page(&Wanted { limit: Some(1), after: Some(u64::MAX), ..Wanted::default() })))
}
