//! The running server: the KMIP port, the admin port and the rotator, started and stopped together.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;

use crate::admin::{self, Admin, Operator};
use crate::clock::Clock;
use crate::config::NotifiedClient;
use crate::connection::Shared;
use crate::crypto;
use crate::expiry;
use crate::failure::{Failure, Kind};
use crate::limits;
use crate::listener::{self, Room, Speaks};
use crate::mock::Mock;
use crate::notifier;
use crate::rotator::Rotator;
use crate::service::Service;
use crate::shutdown::{self, Trigger};
use crate::tls::ServerTls;
use crate::workers::Workers;

/// What a server is made of.
pub struct Parts {
    /// The KMIP port; port 0 picks one.
    pub listen: SocketAddr,
    /// The port of KMIP over HTTPS, if there shall be one; port 0 picks one.
    pub https: Option<SocketAddr>,
    /// The port of the admin API, if there shall be one.
    pub admin: Option<std::net::TcpListener>,
    /// Clients that are told of their objects where they listen.
    pub notify: Vec<NotifiedClient>,
    /// A port where nothing but the list of revoked certificates is had, if there shall be one.
    pub crl: Option<std::net::TcpListener>,
    /// How callers are proved.
    pub tls: ServerTls,
    /// What answers.
    pub service: Arc<dyn Service>,
    /// Who does private-key work.
    pub workers: Arc<crypto::Workers>,
    /// Keys and policies for the admin API, if it shall show them.
    pub operator: Option<Operator>,
    /// What time it is.
    pub clock: Clock,
    /// Where state is kept, for `status` to tell.
    pub state: Option<PathBuf>,
    /// When the program started.
    pub started: Instant,
    /// Faults and journal of a development server; a production server has none.
    pub mock: Option<Arc<Mock>>,
}

/// A running server. Dropping it cuts everything off; [`Server::stop`] lets it finish.
pub struct Server {
    listen: SocketAddr,
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    clock: Arc<Clock>,
    rotator: Arc<Rotator>,
    trigger: Trigger,
    tasks: JoinSet<()>,
}

impl Server {
    /// Opens the ports and serves them. When this returns, connections are accepted.
    ///
    /// # Errors
    /// [`Failure`] when a port cannot be opened.
    pub async fn start(parts: Parts) -> Result<Self, Failure> {
        let (kmip, listen) = served(open(parts.listen, "--listen")?)?;
        let https = parts.https.map(|address| served(open(address, "--listen-https")?)).transpose()?;
        let admin = parts.admin.map(served).transpose()?;
        let revocations = parts.tls.revocations().cloned();
        let (trigger, stop) = shutdown::channel();
        let clock = Arc::new(parts.clock);
        let rotator = Arc::new(Rotator::new(Arc::clone(&parts.service), Arc::clone(&clock), stop.clone()));
        let mut tasks = JoinSet::new();
        let shared = Shared {
            service: parts.service,
            clock: Arc::clone(&clock),
            workers: Workers::new(parts.workers),
            revocations: revocations.clone(),
            mock: parts.mock.clone(),
        };
        let tls = Arc::new(parts.tls.with_mock(parts.mock.clone()));
        tasks.spawn(expiry::watch(Arc::clone(&tls), Arc::clone(&shared.service), stop.clone()));
        let shared = Arc::new(shared);
        for client in parts.notify {
            tasks.spawn(notifier::tell(client, Arc::clone(&tls), Arc::clone(&shared), stop.clone()));
        }
        let room = Room::measure();
        let https_address = https.as_ref().map(|(_, address)| *address);
        let ports = [(Speaks::Kmip, Some(kmip)), (Speaks::Https, https.map(|(port, _)| port))];
        for (speaks, port) in ports {
            let Some(port) = port else { continue };
            let (room, tls, shared) = (room.clone(), Arc::clone(&tls), Arc::clone(&shared));
            tasks.spawn(listener::run(port, speaks, room, tls, shared, stop.clone()));
        }
        tasks.spawn(Arc::clone(&rotator).run());
        let mover = Arc::clone(&rotator);
        let admin_address = admin.as_ref().map(|(_, address)| *address);
        if let (Some(port), Some(list)) = (parts.crl, revocations.clone()) {
            tasks.spawn(admin::serve_list(served(port)?.0, list, stop.clone()));
        }
        if let Some((port, _)) = admin {
            let admin = Admin {
                clock: Arc::clone(&clock),
                rotator,
                operator: parts.operator,
                started: parts.started,
                state: parts.state,
                revocations,
                mock: parts.mock,
                stop: stop.clone(),
            };
            tasks.spawn(admin::serve(port, Arc::new(admin), stop));
        }
        Ok(Self { listen, https: https_address, admin: admin_address, clock, rotator: mover, trigger, tasks })
    }

    /// Where KMIP is spoken.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where KMIP over HTTPS is, if it is anywhere.
    #[must_use]
    pub fn https(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Where the admin API is, if there is one.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What time the server has.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the clock, and does what falls due on the way.
    #[must_use]
    pub fn rotator(&self) -> &Arc<Rotator> {
        &self.rotator
    }

    /// Cuts everything off, as a kill does. When this returns, the ports are free.
    pub async fn cut_off(mut self) {
        self.tasks.shutdown().await;
    }

    /// Accepts nothing more, lets requests in flight finish within [`limits::DRAIN`], says
    /// goodbye to every client and ends.
    pub async fn stop(mut self) {
        self.trigger.stop();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // The listener keeps its own deadline; this one is for whoever stalls the admin API.
        if tokio::time::timeout(limits::DRAIN + limits::CLOSE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
        info!("stopped");
    }
}

/// A port that was opened, ready for its tasks, and its address.
fn served(port: std::net::TcpListener) -> Result<(TcpListener, SocketAddr), Failure> {
    let port = listener::accepting(port).and_then(|port| port.local_addr().map(|local| (port, local)));
    port.map_err(|error| Failure::new(Kind::Listen, format!("cannot use a port: {error}")))
}

/// Opens `address`, which `option` sets; port 0 picks one.
///
/// # Errors
/// [`Failure`] says what to choose instead.
pub fn open(address: SocketAddr, option: &str) -> Result<std::net::TcpListener, Failure> {
    listener::open(address).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "stop what listens there, or choose another port: `{option} 127.0.0.1:0` picks a free one"
                )
            }
            io::ErrorKind::PermissionDenied => format!("choose a port above 1023 with {option}"),
            io::ErrorKind::AddrNotAvailable => format!("choose an address of this machine with {option}"),
            _ => format!("choose another address with {option}"),
        };
        Failure::new(Kind::Listen, format!("cannot listen on {address}: {error}")).hint(hint)
    })
}
