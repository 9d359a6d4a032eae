//! From a server's name to a TCP connection. The only code that reaches out.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Step};
use crate::limits;

/// The addresses of `host:port`, at least one.
///
/// # Errors
/// When there is none, or resolving takes until `deadline`, which is `limit` after its start.
pub(crate) async fn resolve(
    address: &str,
    deadline: Instant,
    limit: Duration,
) -> Result<Vec<SocketAddr>, Error> {
    let unresolved = |reason: String| Error::Resolve { address: address.to_owned(), reason };
    let found = timeout_at(deadline, lookup_host(address))
        .await
        .map_err(|_| Error::TimedOut { address: address.to_owned(), step: Step::Resolve, after: limit })?
        .map_err(|error| unresolved(error.to_string()))?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() { Err(unresolved("the name has no address".to_owned())) } else { Ok(addresses) }
}

/// A connection to one address of the server that errors call `name`.
///
/// # Errors
/// When there is none within `limit`.
pub(crate) async fn connect(name: &str, address: SocketAddr, limit: Duration) -> Result<TcpStream, Error> {
    let failed = |error: io::Error| Error::Connect {
        address: name.to_owned(),
        kind: error.kind(),
        reason: error.to_string(),
    };
    let tcp = timeout_at(Instant::now() + limit, TcpStream::connect(address))
        .await
        .map_err(|_| Error::TimedOut { address: name.to_owned(), step: Step::Connect, after: limit })?
        .map_err(failed)?;
    prepare(&tcp).map_err(failed)?;
    Ok(tcp)
}

/// A connection to `host:port`: its addresses in turn, each with its share of the time that is left.
///
/// # Errors
/// When none answers until `deadline`, which is `limit` after its start.
pub(crate) async fn open(name: &str, deadline: Instant, limit: Duration) -> Result<TcpStream, Error> {
    let addresses = resolve(name, deadline, limit).await?;
    let mut last = Error::Resolve { address: name.to_owned(), reason: "the name has no address".to_owned() };
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let rest = deadline.saturating_duration_since(Instant::now());
        match connect(name, *address, rest / u32::try_from(left).unwrap_or(u32::MAX)).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Requests are small and waited for: they go out at once. Keep-alive notices a peer that is gone, and keeps firewalls
/// from forgetting the connection.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keep_alive =
        socket2::TcpKeepalive::new().with_time(limits::KEEP_ALIVE).with_interval(limits::KEEP_ALIVE);
    socket2::SockRef::from(tcp).set_tcp_keepalive(&keep_alive)
}
