//! A second server on the same store: it waits until the first has gone, and takes over.
//!
//! Who serves is decided by the lock on the store's folder, which the system lets go of when a process ends, however it
//! ends. So two never serve at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::admin;
use crate::failure::{Failure, Kind};
use crate::limits;
use crate::listener;
use crate::shutdown::{self, Trigger};
use crate::store::{SledOptions, SledStore, StoreError};

/// What was waited for, and where the admin API was meanwhile.
pub struct Opened<T = SledStore> {
    /// The store, or the state folder, which nobody else has open.
    pub store: T,
    /// The admin API's port: the one that was picked, if one was.
    pub admin: Option<SocketAddr>,
    /// Whether another server had it: secrets and certificates that were read before may be of yesterday.
    pub has_waited: bool,
}

/// Opens the store in `folder`, waiting for as long as another server has it. Says so to `waiting`, once, with the address
/// of the admin API if that could be opened, and answers there as a standby. Where there is none, one is made if it `may_be_new`.
///
/// # Errors
/// [`Failure`] when there is no store, it cannot be opened for another reason, or `waiting` fails.
pub async fn open(
    folder: &Path,
    may_be_new: bool,
    admin: Option<SocketAddr>,
    started: Instant,
    waiting: impl FnOnce(Option<SocketAddr>) -> Result<(), Failure>,
) -> Result<Opened, Failure> {
    let look = async |has_waited: bool| try_open(folder, may_be_new && !has_waited).await;
    wait(folder, admin, started, waiting, look).await
}

/// The same for whatever `look` opens, or else says who holds; it is told whether it has been asked before.
///
/// # Errors
/// [`Failure`] of `look` or `waiting`.
pub async fn wait<T>(
    folder: &Path,
    admin: Option<SocketAddr>,
    started: Instant,
    waiting: impl FnOnce(Option<SocketAddr>) -> Result<(), Failure>,
    look: impl AsyncFn(bool) -> Result<Result<T, Option<String>>, Failure>,
) -> Result<Opened<T>, Failure> {
    let holder = match look(false).await? {
        Ok(store) => return Ok(Opened { store, admin, has_waited: false }),
        Err(holder) => holder,
    };
    info!(
        store = %folder.display(),
        "standby: another server{} has the store open; this one takes over when it ends",
        holder.unwrap_or_default()
    );
    let answering = admin.and_then(|address| Answering::start(address, folder, started));
    let address = answering.as_ref().map(|answering| answering.address);
    waiting(address)?;
    let store = loop {
        tokio::time::sleep(limits::STANDBY_LOOK).await;
        if let Ok(store) = look(true).await? {
            break store;
        }
    };
    info!(store = %folder.display(), "the other server has gone: taking over");
    if let Some(answering) = answering {
        answering.stop().await;
    }
    Ok(Opened { store, admin: address.or(admin), has_waited: true })
}

/// The store, or who holds it.
async fn try_open(folder: &Path, may_be_new: bool) -> Result<Result<SledStore, Option<String>>, Failure> {
    if !may_be_new && !SledStore::is_in(folder) {
        let what = format!("there is no store in {}", folder.display());
        return Err(Failure::new(Kind::State, what).hint(
            "is its disk mounted? the first start, which makes a store, is `kms-server run --new-store`",
        ));
    }
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || SledStore::open(&folder, SledOptions::default())).await;
    match opened.map_err(|defect| Failure::new(Kind::Other, defect.to_string()))? {
        Ok(store) => Ok(Ok(store)),
        Err(StoreError::Locked { holder, .. }) => Ok(Err(holder)),
        Err(error) => Err(error.into()),
    }
}

/// What was read before the wait, read again where it can be; a server that takes over does not fail on what it had.
pub fn again<T>(what: &str, old: T, read: impl FnOnce() -> Result<Option<T>, Failure>) -> T {
    match read() {
        Ok(new) => new.unwrap_or(old),
        Err(failure) => {
            let (cause, hint) = failure.into_parts();
            warn!(
                cause,
                hint, "{what} cannot be read again: what was read when this server began to wait counts"
            );
            old
        }
    }
}

/// The admin API of a server that waits.
struct Answering {
    address: SocketAddr,
    trigger: Trigger,
    task: JoinHandle<()>,
}

impl Answering {
    /// `None` where the port cannot be opened: the server that is waited for may have it.
    fn start(address: SocketAddr, folder: &Path, started: Instant) -> Option<Self> {
        let opened = listener::open(address).and_then(listener::accepting);
        let opened = opened.and_then(|port| port.local_addr().map(|local| (port, local)));
        let (port, address) = opened
            .inspect_err(|error| {
                warn!(%address, %error, "no admin API while waiting; name another port with --admin");
            })
            .ok()?;
        let (trigger, stop) = shutdown::channel();
        let standby = Arc::new(admin::Standby { started, state: folder.to_owned() });
        Some(Self { address, trigger, task: tokio::spawn(admin::serve_standby(port, standby, stop)) })
    }

    async fn stop(self) {
        self.trigger.stop();
        if tokio::time::timeout(limits::CLOSE, self.task).await.is_err() {
            warn!("a client holds on to the admin API of the standby");
        }
    }
}
