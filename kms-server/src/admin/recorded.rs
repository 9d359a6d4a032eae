//! Records what operators change, whatever it is: one door for every request that is no question.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Admin, Problem};
use crate::audit::{Access, Source, bounded};
use crate::kms::Order;

/// What a handler says of a change, for the audit log; it travels as an extension of the response.
#[derive(Clone, Debug)]
pub(super) struct Detail(pub String);

/// Lets a change through where it can be recorded, and records how it ended, also where nobody waits for that any more.
pub(super) async fn record(State(admin): State<Arc<Admin>>, mut request: Request, next: Next) -> Response {
    let trail = admin.trail().map(Arc::clone);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let correlation = trail.as_ref().map(|trail| trail.correlation()).unwrap_or_default();
    let order = Order { now: admin.clock.now(), peer, correlation };
    request.extensions_mut().insert(order.clone());
    // A check takes a while, so it is no GET, and changes nothing. A copy neither, but it takes everything along.
    let is_question = match request.uri().path() {
        super::STORE_CHECK => true,
        super::STORE_COPY => false,
        _ => matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS),
    };
    let Some(trail) = trail.filter(|_| !is_question) else { return next.run(request).await };
    if let Err(shut) = trail.admit(Access::Change) {
        let problem = Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: shut.to_string(),
            hint: "mend that, or free space on its disk; the server goes on by itself".into(),
        };
        return problem.into_response();
    }
    let operation = format!("{} {}", bounded(request.method().as_str()), bounded(request.uri().path()));
    let mut record = trail.record(Source::Operator, "").at(order.now);
    record.operation = operation.into();
    record.peer = order.peer;
    record.correlation = order.correlation;
    // A peer that hangs up ends what waits here, and not the change.
    let changed = tokio::spawn(async move {
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
    });
    changed.await.unwrap_or_else(|_| Problem::defect().into_response())
}
