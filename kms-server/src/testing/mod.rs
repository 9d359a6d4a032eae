//! A whole server inside a test: a free port, a store in memory, certificates of its own, a clock that is moved by hand.
//!
//! ```no_run
//! # async fn example() {
//! use kms_server::testing::TestServer;
//!
//! let server = TestServer::start().await;
//! let profile = server.client("veeam").profile(); // any KMIP client: address and certificates are in it
//! server.clock().advance("91d").await;
//! # }
//! ```
//!
//! Everything here panics where a test cannot go on, and says why.
//!
//! **Keys.** RSA keys take long to generate, so servers of one process share them: of each length [`KEPT`] are generated and
//! then handed out to each server in turn. The next pair of a length that a server makes has another key than the last one;
//! those further apart may share one. [`Builder::own_keys`] has each made anew.

pub mod blocking;
mod client;
mod keys;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kms_certs::{Authority, Request};
use kms_protocol::{DateTime, Secret};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::admin::Operator;
use crate::clock::{self, Change, Clock};
use crate::config::{Config, PolicyBook};
use crate::crypto::{KeyPool, Workers};
use crate::faults::Faults;
use crate::journal::Journal;
use crate::kms::Kms;
use crate::mock::Mock;
use crate::pki::{self, Broken};
use crate::revocation::{self, Revocations};
use crate::rotator::Moved;
use crate::seed::{Applied, Seed};
use crate::server::{self, Parts, Server};
use crate::service;
use crate::store::{MemoryStore, Store};
use crate::store_key::Given;
use crate::tls::{Identity, ServerTls};

pub use client::TestClient;
pub use keys::KEPT;

/// A server that lives as long as this value.
pub struct TestServer {
    folder: TempDir,
    config: Config,
    revocations: Arc<Revocations>,
    store: Arc<dyn Store>,
    mock: Arc<Mock>,
    pool: Arc<KeyPool>,
    listen: SocketAddr,
    https: SocketAddr,
    admin: SocketAddr,
    /// The admin API's port, between its opening and the server's start.
    opened: Option<std::net::TcpListener>,
    state: Mutex<State>,
}

/// What comes and goes with a restart.
#[derive(Default)]
struct State {
    server: Option<Server>,
    kms: Option<Arc<Kms>>,
    /// What time it was when the server was killed.
    stopped_at: Option<DateTime>,
}

/// How a test server is made.
#[derive(Clone, Debug)]
pub struct Builder {
    config: String,
    own_keys: bool,
    time: Option<DateTime>,
    broken: Option<Broken>,
}

impl Default for Builder {
    /// The configuration that `kms-server dev` begins with: one policy, which rotates after 90 days.
    fn default() -> Self {
        Self { config: include_str!("../dev.toml").to_owned(), own_keys: false, time: None, broken: None }
    }
}

impl Builder {
    /// Takes policies, principals and rules of access from the text of a `kms.toml`.
    #[must_use]
    pub fn config(self, kms_toml: &str) -> Self {
        Self { config: kms_toml.to_owned(), ..self }
    }

    /// Has each key generated for its object alone: an RSA-2048 pair then takes some 60 ms.
    #[must_use]
    pub fn own_keys(self) -> Self {
        Self { own_keys: true, ..self }
    }

    /// Begins at this time, such as `2027-01-01T00:00:00Z`, instead of now.
    #[must_use]
    pub fn time(self, time: &str) -> Self {
        Self { time: Some(must("the time", clock::parse_time(time))), ..self }
    }

    /// Shows clients a certificate that they have to refuse.
    #[must_use]
    pub fn broken(self, broken: Broken) -> Self {
        Self { broken: Some(broken), ..self }
    }

    /// Starts the server.
    pub async fn start(self) -> TestServer {
        let server = must("a test server", TestServer::prepare(&self));
        server.launch(self.time.unwrap_or_else(clock::system_now)).await
    }
}

impl TestServer {
    /// Starts a server as it usually is.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// For a server that is particular.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn prepare(how: &Builder) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::Builder::new().prefix("kms-test-").tempdir()?;
        let now = clock::system_time();
        let authority = Authority::generate(now)?;
        authority.write(folder.path())?;
        // The port comes first: its address stands in the certificates.
        let opened = server::open(any_port(), "the admin API").map_err(|failure| failure.to_string())?;
        let admin = opened.local_addr()?;
        let request = Request::server("localhost").host("127.0.0.1").crl(&list_at(admin));
        let issued = pki::issue(folder.path(), request, how.broken, None, now);
        issued.map_err(|failure| failure.to_string())?.write(folder.path(), "server")?;
        let mock = Arc::new(Mock::default());
        Ok(Self {
            revocations: Arc::new(Revocations::of(folder.path())),
            folder,
            config: Config::parse(&how.config, "the test's configuration")
                .map_err(|failure| failure.to_string())?,
            store: Arc::new(MemoryStore::with_faults(mock.store_faults())),
            mock,
            pool: if how.own_keys { Arc::new(KeyPool::new(0)?) } else { keys::shared_pool()? },
            listen: any_port(),
            https: any_port(),
            admin,
            opened: Some(opened),
            state: Mutex::default(),
        })
    }

    async fn launch(mut self, time: DateTime) -> Self {
        let admin = must("a port", self.opened.take().ok_or("it was taken"));
        let parts = must("a test server", self.parts(time, admin));
        let kms = Arc::clone(&parts.service).kms();
        let server = on_runtime(Server::start(parts)).await;
        let server = must("a test server", server);
        self.listen = server.listen();
        self.https = server.https().unwrap_or(self.https);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        (state.server, state.kms) = (Some(server), kms);
        self
    }

    fn parts(
        &self,
        time: DateTime,
        admin: std::net::TcpListener,
    ) -> Result<Parts, Box<dyn std::error::Error>> {
        let path = |name: &str| self.folder.path().join(name);
        let identity = Identity { certificate: path("server.pem"), key: path("server.key") };
        let book = PolicyBook::open(&self.config, None).map_err(|failure| failure.to_string())?;
        let workers = workers()?;
        let store_key = Given::Key(Secret::new(vec![7; 32]));
        let (store, pool) = (Arc::clone(&self.store), Arc::clone(&self.pool));
        let service = service::start_from(store, &store_key, &self.config, &book, &workers, pool)
            .map_err(|failure| failure.to_string())?;
        Ok(Parts {
            listen: self.listen,
            https: Some(self.https),
            admin: Some(admin),
            notify: self.config.notify.clone(),
            crl: None,
            tls: ServerTls::new(&[identity], &path("ca.pem"))?
                .with_revocations(Arc::clone(&self.revocations))
                .with_principals(crate::principal::Principals(self.config.principals.clone())),
            service: Arc::clone(&service) as Arc<dyn service::Service>,
            workers,
            operator: Some(Operator::new(service, book)),
            clock: Clock::frozen_at(time),
            state: None,
            started: tokio::time::Instant::now().into_std(),
            mock: Some(Arc::clone(&self.mock)),
        })
    }

    /// Where KMIP is spoken.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where KMIP is spoken over HTTPS: `POST /kmip`.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The certificate of the authority, in PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A client called `name`: its certificate and all that it needs to connect. Asked for again, it is the same one.
    #[must_use]
    pub fn client(&self, name: &str) -> TestClient {
        self.make_client(name, None)
    }

    /// A client whose certificate the server has to refuse.
    #[must_use]
    pub fn broken_client(&self, name: &str, broken: Broken) -> TestClient {
        self.make_client(name, Some(broken))
    }

    fn make_client(&self, name: &str, broken: Option<Broken>) -> TestClient {
        let addresses = (self.listen, &*list_at(self.admin));
        let made = TestClient::make(self.folder.path(), name, broken, addresses, clock::system_time());
        must("a client's certificate", made)
    }

    /// Revokes the certificate of the client called `name`: it is refused from its next handshake or request on.
    pub fn revoke(&self, name: &str) {
        let pem = std::fs::read_to_string(self.client(name).certificate());
        let pem = must("a client's certificate", pem);
        must("a revocation", revocation::revoke(self.folder.path(), &pem, clock::system_time()));
    }

    /// What goes wrong on purpose.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.mock.faults
    }

    /// What was asked and what came of it.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.mock.journal
    }

    /// What time it is on the server, and the hand that moves it.
    #[must_use]
    pub fn clock(&self) -> TestClock<'_> {
        TestClock { server: self }
    }

    /// Makes what a seed in TOML describes, its clients' certificates excepted: [`TestServer::client`] makes those.
    pub async fn seed(&self, toml: &str) -> Applied {
        let seed = must("a seed", Seed::from_toml(toml));
        let now = self.clock().now();
        let kms = self.lock().kms.clone();
        let kms = must("a running server to seed", kms.ok_or("it was killed"));
        let mock = Arc::clone(&self.mock);
        let applied = runtime().spawn_blocking(move || seed.apply(&kms, &mock.faults, &now.into())).await;
        must("a seed", must("a seed", applied))
    }

    /// Stops answering, as a process that was stopped: connections stay, nothing comes.
    pub fn pause(&self) {
        self.mock.pause();
    }

    /// Goes on where it was paused.
    pub fn resume(&self) {
        self.mock.resume();
    }

    /// Ends the server as `kill -9` does; what it had acknowledged stays. Does nothing when it is dead already.
    pub async fn kill(&self) {
        let Some(server) = self.lock().server.take() else { return };
        self.lock().kms = None;
        self.lock().stopped_at = Some(server.clock().now());
        on_runtime(server.cut_off()).await;
    }

    /// Kills the server if it runs, and starts it again on the same ports with the same keys at the same time.
    pub async fn restart(&self) {
        self.kill().await;
        let time = self.lock().stopped_at.unwrap_or_else(clock::system_now);
        let admin = must("its old port", server::open(self.admin, "the admin API"));
        let parts = must("a test server", self.parts(time, admin));
        let kms = Arc::clone(&parts.service).kms();
        let server = must("a test server on its old ports", on_runtime(Server::start(parts)).await);
        let mut state = self.lock();
        (state.server, state.kms) = (Some(server), kms);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of a test server. It stands still unless it is moved.
#[derive(Clone, Copy)]
pub struct TestClock<'a> {
    server: &'a TestServer,
}

impl TestClock<'_> {
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> DateTime {
        let state = self.server.lock();
        let running = state.server.as_ref().map(|server| server.clock().now());
        running.or(state.stopped_at).unwrap_or_else(clock::system_now)
    }

    /// Moves ahead by a duration such as `91d`; what falls due on the way is done and returned.
    pub async fn advance(&self, by: &str) -> Moved {
        self.change(Change::Advance(by.to_owned())).await
    }

    /// Moves ahead to a time such as `2027-01-01T00:00:00Z`; what falls due on the way is done and returned.
    pub async fn set(&self, to: &str) -> Moved {
        self.change(Change::Set(to.to_owned())).await
    }

    async fn change(&self, change: Change) -> Moved {
        let rotator = self.server.lock().server.as_ref().map(|server| Arc::clone(server.rotator()));
        let rotator = must("a running server, whose clock can be moved,", rotator.ok_or("it was killed"));
        let moved = runtime().spawn_blocking(move || rotator.move_clock(&change)).await;
        must("the clock", must("the clock", moved))
    }
}

/// Servers live on threads of their own, so that a test may block and a server still answers.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("kms-test-server")
            .enable_all()
            .build();
        must("threads", built)
    })
}

async fn on_runtime<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    must("a task of the test server", runtime().spawn(work).await)
}

/// The threads for private-key work, which all servers share.
fn workers() -> Result<Arc<Workers>, Box<dyn std::error::Error>> {
    static WORKERS: Mutex<Option<Arc<Workers>>> = Mutex::new(None);
    let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(workers) = &*workers {
        return Ok(Arc::clone(workers));
    }
    Ok(Arc::clone(workers.insert(Arc::new(Workers::one_per_core()?))))
}

/// Where the list of revoked certificates is.
fn list_at(admin: SocketAddr) -> String {
    format!("http://{admin}/{}", revocation::FILE)
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// What a test cannot do without.
#[expect(clippy::panic, reason = "a test fails by panicking")]
fn must<T, E: core::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("cannot have {what}: {error}"),
    }
}
