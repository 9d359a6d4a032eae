//! Connections to the admin API: so many, and none that only holds a place.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::Problem;
use crate::limits;
use crate::listener::AcceptFailures;
use crate::shutdown::Stop;

/// Serves `router` on `listener` until `stop`, then lets requests in flight finish.
pub(super) async fn run(listener: TcpListener, router: Router, mut stop: Stop) {
    let room = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut failures = AcceptFailures::default();
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.requested() => break,
            next = next => next,
        };
        let (stream, peer): (_, SocketAddr) = match accepted {
            Ok(accepted) => accepted,
            Err(failure) => {
                failures.pause_after(&failure, "the admin API").await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
        let mut connection = http1::Builder::new();
        connection.timer(TokioTimer::new()).header_read_timeout(limits::ADMIN_REQUEST);
        let served = graceful.watch(connection.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(failure) = served.await {
                debug!(%peer, %failure, "a connection to the admin API ended");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Takes a request's body before anything is done about it: whoever sends none of what it announced keeps nobody waiting.
pub(super) async fn read_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let problem =
        |status, error: String, hint: &str| Problem { status, error, hint: hint.into() }.into_response();
    match timeout(limits::ADMIN_REQUEST, to_bytes(body, limits::ADMIN_BODY)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(error)) => {
            let most = limits::ADMIN_BODY;
            let what = format!("the body cannot be read: {error}");
            problem(StatusCode::PAYLOAD_TOO_LARGE, what, &format!("send at most {most} bytes"))
        }
        Err(_) => {
            let what = format!("the body did not come within {} s", limits::ADMIN_REQUEST.as_secs());
            problem(StatusCode::REQUEST_TIMEOUT, what, "send what Content-Length announces")
        }
    }
}
