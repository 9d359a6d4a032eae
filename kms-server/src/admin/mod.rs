//! The admin API: HTTP on a port of its own, for people and tests on this machine.

pub mod api;
mod crl;
mod events;
mod faults;
mod host;
mod journal;
mod operator;
mod recorded;
mod seed;
mod serve;
mod standby;
mod store;

pub use crl::serve_list;
pub use operator::Operator;
pub use standby::{Standby, serve_standby};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use tokio::net::TcpListener;
use tracing::info;

use recorded::Detail;

use crate::audit::{Status, Trail};
use crate::clock::{Change, Clock, ClockError};
use crate::limits;
use crate::mock::Mock;
use crate::revocation::Revocations;
use crate::rotator::Rotator;
use crate::shutdown::Stop;

/// Where the store is checked.
const STORE_CHECK: &str = "/v1/store/check";

/// Where a copy of the store is had.
const STORE_COPY: &str = "/v1/store/copy";

/// What the admin API acts on.
pub struct Admin {
    /// The server's clock.
    pub clock: Arc<Clock>,
    /// Moves the clock and does what falls due on the way.
    pub rotator: Arc<Rotator>,
    /// Keys and policies, where the server lets anybody at them.
    pub operator: Option<Operator>,
    /// When the server started.
    pub started: Instant,
    /// Where it keeps its state, if it does.
    pub state: Option<PathBuf>,
    /// The list of revoked certificates, where there is one.
    pub revocations: Option<Arc<Revocations>>,
    /// Faults and journal, where it has them.
    pub mock: Option<Arc<Mock>>,
    /// Whether it is stopping.
    pub stop: Stop,
}

impl Admin {
    fn trail(&self) -> Option<&Arc<Trail>> {
        self.rotator.trail()
    }

    fn mock(&self) -> Result<&Arc<Mock>, Problem> {
        self.mock.as_ref().ok_or_else(|| Problem {
            status: StatusCode::FORBIDDEN,
            error: "this server is for production: it has no faults and no journal".into(),
            hint: "start `kms-server dev` for a server that can be broken on purpose".into(),
        })
    }

    fn audit_status(&self) -> Option<api::AuditStatus> {
        let Status { end, trouble, reads_go_on } = self.trail()?.status()?;
        Some(api::AuditStatus { end: end.to_string(), trouble, reads_go_on })
    }
}

/// Serves the admin API on `listener` until `stop`.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: Stop) {
    serve_until(listener, router(admin), stop).await;
}

async fn serve_until(listener: TcpListener, router: Router, stop: Stop) {
    serve::run(listener, router.layer(middleware::from_fn(serve::read_body)), stop).await;
}

/// The admin API as a router.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/v1/openapi.json", get(document))
        .route("/v1/health", get(health))
        .route("/v1/status", get(status))
        .route("/v1/clock", get(show_clock).post(change_clock))
        .route("/v1/policies", get(operator::list_policies).post(operator::change_policy))
        .route("/v1/keys", get(operator::list_keys))
        .route("/v1/keys/{id}", get(operator::show_key).post(operator::change_key))
        .route("/v1/events", get(events::list))
        .route("/v1/faults", get(faults::list).post(faults::add).delete(faults::reset))
        .route("/v1/faults/{id}", delete(faults::remove))
        .route("/v1/journal", get(journal::list).delete(journal::clear))
        .route("/v1/seed", get(seed::export).post(seed::apply))
        .route("/v1/store", get(store::show))
        .route(STORE_CHECK, post(store::check))
        .route(STORE_COPY, get(store::copy))
        .route("/v1/store/rekey", post(store::rekey))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(limits::ADMIN_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), recorded::record))
        .layer(middleware::from_fn(host::check))
        // Whoever checks certificates asks for the list by the name that stands in them.
        .route("/ca.crl", get(crl::list))
        .with_state(admin)
}

/// What the API is, in OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");

async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn health(State(admin): State<Arc<Admin>>) -> Response {
    if admin.stop.is_requested() {
        let health = api::Health { status: "stopping".into(), trouble: None };
        return (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response();
    }
    let store = admin.store_status();
    let trouble = store.and_then(|store| store.audit.or(store.read_only));
    Json(api::Health { status: "ok".into(), trouble }).into_response()
}

async fn status(State(admin): State<Arc<Admin>>) -> Json<api::Status> {
    Json(api::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        role: api::Role::Active,
        uptime_seconds: admin.started.elapsed().as_secs(),
        state: admin.state.clone(),
        clock: api::Clock::of(&admin.clock),
        store: admin.store_status(),
        audit: admin.audit_status(),
    })
}

async fn show_clock(State(admin): State<Arc<Admin>>) -> Json<api::Clock> {
    Json(api::Clock::of(&admin.clock))
}

async fn change_clock(
    State(admin): State<Arc<Admin>>,
    change: Result<Json<Change>, JsonRejection>,
) -> Result<(Extension<Detail>, Json<api::Moved>), Problem> {
    let hint = r#"send {"advance": "90d"}, {"set": "2027-01-01T00:00:00Z"}, "freeze" or "resume" as application/json"#;
    let Json(change) = change.map_err(|rejection| Problem::body(&rejection, hint))?;
    let mover = Arc::clone(&admin);
    // It may generate keys on the way.
    let moved = tokio::task::spawn_blocking(move || {
        let moved = mover.rotator.move_clock(&change);
        moved.map(|moved| (change, moved))
    });
    let (change, moved) = moved.await.map_err(|_| Problem::defect())??;
    let fired = moved.fired.len() + moved.omitted;
    info!(?change, now = crate::clock::text(moved.now), fired, "clock changed");
    let detail = Detail(format!("{change:?}, now {}, {fired} fired", crate::clock::text(moved.now)));
    let moved = api::Moved {
        clock: api::Clock::of(&admin.clock),
        omitted: moved.omitted,
        is_cut_short: moved.is_cut_short,
        fired: moved.fired.into_iter().map(api::Fired::from).collect(),
    };
    Ok((Extension(detail), Json(moved)))
}

async fn unknown(uri: Uri) -> Problem {
    Problem {
        status: StatusCode::NOT_FOUND,
        error: format!("there is nothing at {}", uri.path()),
        hint: "GET /ca.crl, /v1/openapi.json, /v1/health, /v1/status, /v1/clock, /v1/events, /v1/policies, /v1/keys, /v1/store, /v1/store/copy, \
               /v1/faults, /v1/journal, /v1/seed; POST /v1/clock, /v1/policies, /v1/keys/ID, /v1/store/check, /v1/store/rekey, \
               /v1/faults, /v1/seed; DELETE /v1/faults, /v1/faults/ID, /v1/journal"
            .into(),
    }
}

async fn wrong_method(uri: Uri) -> Problem {
    Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        error: format!("{} does not know this method", uri.path()),
        hint: "GET reads; POST /v1/clock changes the clock".into(),
    }
}

/// What went wrong with a request, as JSON.
struct Problem {
    status: StatusCode,
    error: String,
    hint: String,
}

impl Problem {
    /// A body that is not what was to be sent.
    fn body(rejection: &JsonRejection, hint: &str) -> Self {
        Self { status: rejection.status(), error: rejection.body_text(), hint: hint.into() }
    }

    fn defect() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "the request met a defect in this server".into(),
            hint: "the server's log says more".into(),
        }
    }
}

impl From<ClockError> for Problem {
    fn from(error: ClockError) -> Self {
        let status = match error {
            ClockError::Real => StatusCode::FORBIDDEN,
            ClockError::Backward { .. } => StatusCode::CONFLICT,
            ClockError::Duration { .. } | ClockError::Time { .. } => StatusCode::BAD_REQUEST,
            ClockError::Stamp { .. } => StatusCode::SERVICE_UNAVAILABLE,
            ClockError::File { .. } | ClockError::Write(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error: error.to_string(), hint: error.hint().into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(api::Problem { error: self.error, hint: self.hint })).into_response()
    }
}
