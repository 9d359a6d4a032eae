//! Keeps web pages out of the admin API.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;

/// Refuses requests whose Host is a name other than `localhost`.
///
/// A web page can make its own host name resolve to 127.0.0.1 (DNS rebinding) and would then pass for this server's
/// own page. It cannot make the browser send an address or `localhost` as Host.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_trusted) {
        return next.run(request).await;
    }
    let problem = Problem {
        status: StatusCode::FORBIDDEN,
        error: format!("the admin API does not answer to the host {:?}", host.unwrap_or_default()),
        hint: "call it by address or as localhost".into(),
    };
    problem.into_response()
}

fn is_trusted(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => host.split(':').next(),
    };
    name.is_some_and(|name| name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_trusted;

    #[test]
    fn addresses_and_localhost_are_trusted_and_other_names_are_not() {
        for host in ["localhost", "LOCALHOST:5697", "127.0.0.1", "127.0.0.1:5697", "[::1]", "[::1]:5697"] {
            assert!(is_trusted(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:5697", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            assert!(!is_trusted(host), "{host}");
        }
    }
}
