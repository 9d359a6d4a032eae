//! `/ca.crl`: which certificates of the development authority are revoked.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Admin, Problem, serve_until};
use crate::clock;
use crate::revocation::{FILE, Revocations};
use crate::shutdown::Stop;

/// Serves nothing but the list, and to everybody: for clients on other machines.
pub async fn serve_list(listener: TcpListener, list: Arc<Revocations>, stop: Stop) {
    let router = Router::new().route(&format!("/{FILE}"), get(alone)).with_state(list);
    serve_until(listener, router, stop).await;
}

async fn alone(State(list): State<Arc<Revocations>>) -> Response {
    answer(list).await
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Response {
    match &admin.revocations {
        Some(list) => answer(Arc::clone(list)).await,
        None => Problem {
            status: StatusCode::NOT_FOUND,
            error: "this server publishes no list of revoked certificates".into(),
            hint: "the authority that issues its certificates does".into(),
        }
        .into_response(),
    }
}

/// The list in DER (RFC 2585 section 4.2).
async fn answer(list: Arc<Revocations>) -> Response {
    let signed = tokio::task::spawn_blocking(move || list.signed(clock::system_time())).await;
    match signed {
        Ok(Ok(der)) => ([(CONTENT_TYPE, "application/pkix-crl")], der).into_response(),
        Ok(Err(failure)) => Problem::from(failure).into_response(),
        Err(_) => Problem::defect().into_response(),
    }
}
