//! What a server answers while it waits for another's store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::net::TcpListener;

use super::{Problem, api, host};
use crate::clock::Clock;
use crate::shutdown::Stop;

/// A server that waits.
pub struct Standby {
    /// When it started.
    pub started: Instant,
    /// The folder of the store that it waits for.
    pub state: PathBuf,
}

/// Serves the admin API of a standby on `listener` until `stop`.
pub async fn serve_standby(listener: TcpListener, standby: Arc<Standby>, stop: Stop) {
    let router = Router::new()
        .route("/v1/health", get(async || Json(api::Health { status: "standby".into(), trouble: None })))
        .route("/v1/status", get(status))
        .fallback(waiting)
        .layer(middleware::from_fn(host::check))
        .with_state(standby);
    super::serve_until(listener, router, stop).await;
}

async fn status(State(standby): State<Arc<Standby>>) -> Json<api::Status> {
    Json(api::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        role: api::Role::Standby,
        uptime_seconds: standby.started.elapsed().as_secs(),
        state: Some(standby.state.clone()),
        clock: api::Clock::of(&Clock::real()),
        store: None,
        audit: None,
    })
}

async fn waiting() -> Problem {
    Problem {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "this server is a standby: another one has the store".into(),
        hint: "ask that one; this one takes over when it ends".into(),
    }
}
