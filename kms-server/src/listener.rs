//! Opens ports, accepts connections, and lets them finish when the server stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kms_protocol::DateTime;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use crate::audit::{Source, bounded};
use crate::clock;
use crate::connection::{self, End, Shared};
use crate::faults::Ending;
use crate::journal::Exchange;
use crate::limits;
use crate::shutdown::Stop;
use crate::tls::{Refusal, ServerTls};

/// How long to wait when the operating system has no file descriptor left; closing connections free some.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Opens `address` for connections; port 0 picks a free one.
///
/// # Errors
/// What the operating system said.
pub fn open(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes its port over from connections that are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::BACKLOG)?;
    Ok(socket.into())
}

/// A port that was opened, ready for the tasks of this runtime.
///
/// # Errors
/// What the operating system said.
pub fn accepting(port: std::net::TcpListener) -> io::Result<TcpListener> {
    TcpListener::from_std(port)
}

/// How many connections fit, after asking the system for as many file descriptors as [`limits::CONNECTIONS`] need.
///
/// Descriptors have to be left over: without one the store cannot work, and peers that prove nothing could stop it.
fn room() -> usize {
    let needed = (limits::CONNECTIONS + limits::OTHER_FILES) as u64;
    let limit = getrlimit(Resource::Nofile);
    let mut files = limit.current.unwrap_or(u64::MAX);
    if files < needed {
        let more = needed.min(limit.maximum.unwrap_or(u64::MAX));
        if setrlimit(Resource::Nofile, Rlimit { current: Some(more), ..limit }).is_ok() {
            files = more;
        }
    }
    let room = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(limits::OTHER_FILES);
    let room = room.clamp(1, limits::CONNECTIONS);
    if room < limits::CONNECTIONS {
        warn!(
            connections = room,
            files, "few connections at once: allow this process more open files (`ulimit -n`)"
        );
    }
    room
}

/// What is spoken over TLS on a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// KMIP's messages, one after the other.
    Kmip,
    /// HTTP, which carries them.
    Https,
}

/// The connections of all KMIP ports together.
#[derive(Clone, Debug)]
pub struct Room {
    most: usize,
    places: Arc<Semaphore>,
}

impl Room {
    /// As much as the system lets this process have.
    #[must_use]
    pub fn measure() -> Self {
        let most = room();
        Self { most, places: Arc::new(Semaphore::new(most)) }
    }
}

/// Serves every connection that comes to `listener` until `stop`, then gives requests in flight [`limits::DRAIN`].
pub async fn run(
    listener: TcpListener,
    speaks: Speaks,
    room: Room,
    tls: Arc<ServerTls>,
    shared: Arc<Shared>,
    mut stop: Stop,
) {
    let mut connections = JoinSet::new();
    let mut failures = AcceptFailures::default();
    let stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            () = stop.requested() => break,
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                report_defect(ended);
                continue;
            }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(failure) => {
                failures.pause_after(&failure, "the KMIP port").await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room.places).try_acquire_owned() else {
            warn!(%peer, limit = room.most, "connection refused: too many are open");
            record_refused(&shared, peer, "too many connections are open");
            continue;
        };
        let (tls, shared, stop) = (Arc::clone(&tls), Arc::clone(&shared), stopping.clone());
        connections.spawn(async move {
            attend(stream, peer, speaks, &tls, &shared, stop).await;
            drop(place);
        });
    }
    drop(listener);
    drain(connections).await;
}

async fn drain(mut connections: JoinSet<()>) {
    if !connections.is_empty() {
        info!(connections = connections.len(), "waiting for requests in flight");
    }
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report_defect(ended);
        }
    };
    if timeout(limits::DRAIN, all).await.is_err() {
        warn!(connections = connections.len(), within = ?limits::DRAIN, "closing connections that did not finish");
        connections.shutdown().await;
    }
}

/// What went wrong with accepting connections, told once a second.
#[derive(Default)]
pub struct AcceptFailures {
    told: Option<DateTime>,
}

impl AcceptFailures {
    /// A connection that died before it reached a server must not stop it, nor may a full table of files spin it.
    pub async fn pause_after(&mut self, failure: &io::Error, whose: &str) {
        match failure.kind() {
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted => {}
            _ => {
                let now = clock::system_now();
                if self.told.replace(now) != Some(now) {
                    warn!(%failure, "{whose} cannot accept connections");
                }
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

fn report_defect(ended: Result<(), JoinError>) {
    if let Err(failure) = ended
        && failure.is_panic()
    {
        error!(%failure, "a connection was lost to a defect in this server");
    }
}

async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    speaks: Speaks,
    tls: &ServerTls,
    shared: &Shared,
    mut stop: Stop,
) {
    if is_cut(&stream, peer, None, shared) {
        return;
    }
    // Without this, an answer in two segments waits 40 ms for the peer's delayed acknowledgement.
    if let Err(failure) = stream.set_nodelay(true) {
        debug!(%peer, %failure, "connection closed before it began");
        return;
    }
    let shaken = async {
        if let Some(mock) = &shared.mock {
            mock.running().await;
        }
        timeout(limits::HANDSHAKE, tls.accept(stream, clock::system_now())).await
    };
    let handshake = tokio::select! {
        () = stop.requested() => return,
        handshake = shaken => handshake,
    };
    let refused = match handshake {
        Ok(Ok((mut stream, mut caller))) => {
            caller.peer = Some(peer);
            if is_cut(stream.get_ref().0, peer, Some(&caller.principal), shared) {
                return;
            }
            debug!(%peer, principal = caller.principal, "connected");
            let principal = caller.principal.clone();
            let end = match speaks {
                Speaks::Kmip => connection::serve(&mut stream, caller, shared, stop).await,
                Speaks::Https => connection::serve_https(&mut stream, caller, shared, stop).await,
            };
            if matches!(end, End::Fault(Ending::Resets)) {
                reset(stream.get_ref().0);
            }
            drop(stream);
            report_end(peer, &principal, &end);
            if matches!(end, End::Defect(_)) {
                record_defect(shared, peer, principal);
            }
            return;
        }
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::too_slow(),
    };
    let Refusal { reason, hint, harmless } = refused;
    if harmless {
        debug!(%peer, reason, hint, "connection refused");
    } else {
        warn!(%peer, reason, hint, "connection refused");
        record_refused(shared, peer, &reason);
    }
}

/// Whether a fault cuts a new connection off, and the cut.
fn is_cut(stream: &TcpStream, peer: SocketAddr, principal: Option<&str>, shared: &Shared) -> bool {
    let Some(mock) = &shared.mock else { return false };
    let Some(fired) = mock.faults.refuses(principal) else { return false };
    reset(stream);
    let time = clock::text(shared.clock.now());
    let client = principal.map(str::to_owned);
    mock.note_fault(fired, Exchange { time, client, peer: Some(peer), ..Exchange::default() });
    true
}

/// Has the connection end with a TCP reset when it is dropped.
fn reset(stream: &TcpStream) {
    if let Err(failure) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        debug!(%failure, "a connection that was to be reset is closed");
    }
}

fn record_refused(shared: &Shared, peer: SocketAddr, reason: &str) {
    let Some(trail) = shared.service.trail() else { return };
    let mut record = trail.record(Source::Connection, "connect").refused("Refused").detail(bounded(reason));
    record.peer = Some(peer);
    trail.note_refused(record);
}

/// A request that met a defect left no record of its own.
fn record_defect(shared: &Shared, peer: SocketAddr, principal: String) {
    let Some(trail) = shared.service.trail() else { return };
    let mut record = trail.record(Source::Request, "unanswered").refused("Defect");
    (record.peer, record.principal) = (Some(peer), Some(principal));
    trail.note(record);
}

fn report_end(peer: SocketAddr, principal: &str, end: &End) {
    match end {
        End::Closed | End::Stopped | End::Idle => debug!(%peer, principal, reason = %end, "disconnected"),
        End::Broken(_) | End::Fault(_) => debug!(%peer, principal, reason = %end, "disconnected"),
        End::Defect(_) => error!(%peer, principal, reason = %end, "connection closed"),
        _ => warn!(%peer, principal, reason = %end, "connection closed"),
    }
}
