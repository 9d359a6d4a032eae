//! Records what operators change, whatever it is: one door for every request that is no question.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Admin, Problem};
use crate::audit::{Access, Source, bounded};

/// What a handler says of a change, for the audit log; it travels as an extension of the response.
#[derive(Clone, Debug)]
pub(super) struct Detail(pub String);

/// Lets a change through where it can be recorded, and records how it ended.
pub(super) async fn record(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    // A check takes a while, so it is no GET, and changes nothing. A copy neither, but it takes everything along.
    let is_question = match request.uri().path() {
        super::STORE_CHECK => true,
        super::STORE_COPY => false,
        _ => matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS),
    };
    let Some(trail) = admin.trail().filter(|_| !is_question) else { return next.run(request).await };
    if let Err(shut) = trail.admit(Access::Change) {
        let problem = Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: shut.to_string(),
            hint: "mend that, or free space on its disk; the server goes on by itself".into(),
        };
        return problem.into_response();
    }
    let mut record = trail.record(Source::Operator, "").at(admin.clock.now());
    record.operation = format!("{} {}", request.method(), bounded(request.uri().path())).into();
    record.peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    record.correlation = trail.correlation();
    let response = next.run(request).await;
    if let Some(Detail(detail)) = response.extensions().get() {
        record = record.detail(detail);
    }
    let status = response.status();
    trail.note(match status.is_success() {
        true => record,
        false => record.refused(status.canonical_reason().unwrap_or("Refused")),
    });
    response
}
