//! The servers that answer for one KMS: a pool of connections to each, its health, and which one to ask.
//!
//! A request that may be repeated goes to the next server as soon as one fails. One that may not goes to the next only
//! while nothing of it has been sent.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kms_protocol::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::connection::Connection;
use crate::error::{Error, Step};
use crate::limits;
use crate::tls::{BoxedStream, Connect};

/// How connections are kept and how long is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Connections to one server in use at a time, and as many idle ones.
    pub(crate) connections: usize,
    /// How long an idle connection is kept.
    pub(crate) idle: Duration,
    /// How long a server may take where another one could answer.
    pub(crate) attempt: Duration,
    /// How long all servers are tried again after all have failed.
    pub(crate) patience: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            idle: limits::IDLE,
            attempt: limits::ATTEMPT,
            patience: Duration::ZERO,
        }
    }
}

/// A request as the endpoints see it.
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    /// How many batch items it holds.
    pub(crate) items: u32,
    /// Whether asking twice does no harm.
    pub(crate) repeatable: bool,
    pub(crate) deadline: Instant,
}

/// Why an exchange failed, and whether the server may have seen the request.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) sent: bool,
}

/// All servers, in the order of the caller's preference.
pub(crate) struct Endpoints {
    all: Vec<Arc<Endpoint>>,
    rules: Rules,
}

impl Endpoints {
    pub(crate) fn new(servers: Vec<Box<dyn Connect>>, rules: Rules) -> Self {
        let all = servers.into_iter().map(|server| Arc::new(Endpoint::new(server, rules))).collect();
        Self { all, rules }
    }

    /// Sends a message to the first server that takes it and returns its answer.
    pub(crate) async fn exchange(&self, message: &Message<'_>) -> Result<Reply, Failure> {
        let patience = Instant::now() + self.rules.patience;
        loop {
            let failure = match self.round(message).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let pause = jittered(limits::ROUND);
            let next = Instant::now() + pause;
            let again = failure.error.is_retryable() && (message.repeatable || !failure.sent);
            if !again || next > patience || next > message.deadline {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }

    /// How errors name the first server.
    pub(crate) fn first_address(&self) -> &str {
        self.all.first().map_or("", |endpoint| endpoint.server.address())
    }

    /// A new connection to the first server, outside the pool.
    pub(crate) async fn connect_first(&self) -> Result<Connection<BoxedStream>, Error> {
        match self.all.first() {
            Some(endpoint) => endpoint.connect(Instant::now() + limits::CONNECT).await,
            None => Err(no_server()),
        }
    }

    /// Asks each server once, those believed to work first.
    async fn round(&self, message: &Message<'_>) -> Result<Reply, Failure> {
        let now = Instant::now();
        let mut order: Vec<_> = self.all.iter().collect();
        order.sort_by_key(|endpoint| endpoint.is_shunned(now));
        let mut last = Failure { error: no_server(), sent: false };
        let mut others = order.len();
        for endpoint in order {
            others -= 1;
            let mut deadline = message.deadline;
            if others > 0 && message.repeatable {
                let attempt = self.rules.attempt + limits::ATTEMPT_PER_ITEM * message.items;
                deadline = deadline.min(Instant::now() + attempt);
            }
            match endpoint.exchange(message, deadline).await {
                Ok(reply) => {
                    endpoint.answered();
                    return Ok(reply);
                }
                Err(failure) => {
                    if others > 0 {
                        tracing::warn!(server = endpoint.server.address(), error = %failure.error,
                            "a KMS server failed, another one is asked");
                    }
                    endpoint.failed();
                    let stop = failure.sent && !message.repeatable;
                    last = failure;
                    if stop {
                        break;
                    }
                }
            }
        }
        Err(last)
    }
}

/// One server: how to reach it, its idle connections, and how it did lately.
struct Endpoint {
    server: Box<dyn Connect>,
    rules: Rules,
    idle: Mutex<Vec<Idle>>,
    free: Arc<Semaphore>,
    health: Mutex<Health>,
}

struct Idle {
    connection: Connection<BoxedStream>,
    since: Instant,
}

#[derive(Default)]
struct Health {
    failures: u32,
    /// Until when other servers are asked first.
    shunned_until: Option<Instant>,
}

/// An answer, and the connection that it came over.
pub(crate) struct Reply {
    pub(crate) bytes: Secret,
    lease: Lease,
}

impl Reply {
    /// Gives the connection back to the pool; called when the answer turned out to be one to what was asked.
    pub(crate) fn accept(self) -> Secret {
        self.lease.give_back();
        self.bytes
    }
}

/// A connection in use. Dropped without being given back, it is closed.
struct Lease {
    endpoint: Arc<Endpoint>,
    connection: Connection<BoxedStream>,
    reused: bool,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    fn give_back(self) {
        let mut idle = self.endpoint.idle();
        if idle.len() >= self.endpoint.rules.connections {
            idle.remove(0);
        }
        idle.push(Idle { connection: self.connection, since: Instant::now() });
    }
}

impl Endpoint {
    fn new(server: Box<dyn Connect>, rules: Rules) -> Self {
        Self {
            server,
            rules,
            idle: Mutex::default(),
            free: Arc::new(Semaphore::new(rules.connections)),
            health: Mutex::default(),
        }
    }

    /// One exchange; over a new connection once more where a kept one turned out to be stale and that does no harm.
    async fn exchange(self: &Arc<Self>, message: &Message<'_>, deadline: Instant) -> Result<Reply, Failure> {
        let unsent = |error| Failure { error, sent: false };
        let mut lease = self.lease(message.repeatable, deadline).await.map_err(unsent)?;
        match lease.connection.exchange(message.bytes, deadline).await {
            Ok(bytes) => Ok(Reply { bytes, lease }),
            Err(Error::Lost { .. }) if lease.reused && message.repeatable => {
                // What closed this connection has most likely closed its idle siblings too.
                self.idle().clear();
                lease.connection = self.connect(deadline).await.map_err(unsent)?;
                lease.reused = false;
                match lease.connection.exchange(message.bytes, deadline).await {
                    Ok(bytes) => Ok(Reply { bytes, lease }),
                    Err(error) => Err(Failure { error, sent: true }),
                }
            }
            // A server that does not trust this client has done nothing for it.
            Err(error @ Error::Tls { .. }) => Err(Failure { error, sent: false }),
            Err(error) => Err(Failure { error, sent: true }),
        }
    }

    async fn lease(self: &Arc<Self>, repeatable: bool, deadline: Instant) -> Result<Lease, Error> {
        let started = Instant::now();
        let late = |step| Error::TimedOut {
            address: self.server.address().to_owned(),
            step,
            after: deadline.saturating_duration_since(started),
        };
        let permit = timeout_at(deadline, Arc::clone(&self.free).acquire_owned())
            .await
            .map_err(|_| late(Step::FreeConnection))?
            .map_err(|_| late(Step::FreeConnection))?;
        let (connection, reused) = match self.take_idle(repeatable) {
            Some(connection) => (connection, true),
            None => (self.connect(deadline).await?, false),
        };
        Ok(Lease { endpoint: Arc::clone(self), connection, reused, _permit: permit })
    }

    /// The connection used last, if it is not too old and the server has not closed it.
    fn take_idle(&self, repeatable: bool) -> Option<Connection<BoxedStream>> {
        let now = Instant::now();
        let limit = if repeatable { self.rules.idle } else { self.rules.idle.min(limits::IDLE_UNREPEATABLE) };
        let mut idle = self.idle();
        idle.retain(|entry| now.saturating_duration_since(entry.since) < self.rules.idle);
        while let Some(mut entry) = idle.pop() {
            if now.saturating_duration_since(entry.since) >= limit {
                idle.push(entry);
                return None;
            }
            if entry.connection.is_usable() {
                return Some(entry.connection);
            }
        }
        None
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection<BoxedStream>, Error> {
        let started = Instant::now();
        let stream = timeout_at(deadline, self.server.connect()).await.map_err(|_| Error::TimedOut {
            address: self.server.address().to_owned(),
            step: Step::Connect,
            after: deadline.saturating_duration_since(started),
        })??;
        Ok(Connection::over(stream, self.server.address()))
    }

    fn answered(&self) {
        *self.health() = Health::default();
    }

    fn failed(&self) {
        let mut health = self.health();
        let doubled = limits::RETURN_FIRST.saturating_mul(1 << health.failures.min(8));
        health.failures = health.failures.saturating_add(1);
        health.shunned_until = Some(Instant::now() + jittered(doubled.min(limits::RETURN_MOST)));
    }

    fn is_shunned(&self, now: Instant) -> bool {
        self.health().shunned_until.is_some_and(|until| until > now)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_server() -> Error {
    Error::settings("no server is given", "give at least one address, as host:port")
}

/// Between a half and the whole of `pause`, so that many clients do not come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness the pause is merely not jittered.
    let share = aws_lc_rs::rand::fill(&mut random).map_or(255, |()| random[0]);
    pause / 2 + pause * u32::from(share) / 510
}
