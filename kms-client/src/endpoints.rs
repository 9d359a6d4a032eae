//! The servers that answer for one KMS: a pool of connections to each, its health, and which one to ask.
//!
//! A request that may be repeated goes to the next server as soon as one fails, or, where the caller wants that, takes
//! long. One that may not goes to the next only while nothing of it has been sent.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kms_protocol::Secret;
use tokio::runtime::{self, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::connection::Connection;
use crate::error::{Error, Step, TlsFault};
use crate::health::{Health, Standing, Trial, jittered};
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
    /// After how long without an answer another server is asked as well.
    pub(crate) hedge: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            idle: limits::IDLE,
            attempt: limits::ATTEMPT,
            patience: Duration::ZERO,
            hedge: None,
        }
    }
}

/// A request as the endpoints see it.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) bytes: Arc<Secret>,
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

impl Failure {
    /// Adds what became of the next server: one that may be back soon is worth more than one that needs a person.
    fn and(&mut self, next: Self) {
        if next.sent || next.error.is_retryable() || !self.error.is_retryable() {
            *self = next;
        }
    }
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
    pub(crate) async fn exchange(&self, message: &Message) -> Result<Reply, Failure> {
        let patience = (Instant::now() + self.rules.patience).min(message.deadline);
        let mut pause = limits::ROUND;
        loop {
            let failure = match self.round(message).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let left = patience.saturating_duration_since(Instant::now());
            let again = failure.error.is_retryable() && (message.repeatable || !failure.sent);
            if !again || left.is_zero() {
                return Err(failure);
            }
            sleep(jittered(pause).min(left)).await;
            pause = (pause * 2).min(limits::ROUND_MOST);
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

    /// A new connection to the first server that can be reached, outside the pools: those believed to work first.
    pub(crate) async fn connect_any(&self) -> Result<Connection<BoxedStream>, Error> {
        let (now, mut last) = (Instant::now(), no_server());
        let mut all: Vec<&Arc<Endpoint>> = self.all.iter().collect();
        all.sort_by_key(|endpoint| matches!(endpoint.health.standing(now, false), Standing::Shunned));
        for endpoint in all {
            match endpoint.connect(Instant::now() + limits::CONNECT).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks each server once, those believed to work first.
    async fn round(&self, message: &Message) -> Result<Reply, Failure> {
        let mut turns = self.turns(message);
        if message.repeatable {
            return Race::new(self.rules, message, turns).run().await;
        }
        let mut last = Failure { error: no_server(), sent: false };
        while let Some(turn) = turns.pop_front() {
            match turn.endpoint.exchange(message, message.deadline).await {
                Ok(reply) => {
                    turn.endpoint.health.answered();
                    return Ok(reply);
                }
                Err(failure) => {
                    turn.endpoint.failed(&failure, !turns.is_empty());
                    let sent = failure.sent;
                    last.and(failure);
                    if sent {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// All servers in the order in which they are asked: in that of preference, but those that failed last.
    fn turns(&self, message: &Message) -> VecDeque<Turn> {
        let now = Instant::now();
        // Finding out whether a server is back is for requests that another one can answer.
        let may_try = message.repeatable && self.all.len() > 1;
        let (mut sound, mut shunned) = (VecDeque::new(), VecDeque::new());
        for endpoint in &self.all {
            let turn = |trial| Turn { endpoint: Arc::clone(endpoint), trial };
            match endpoint.health.standing(now, may_try) {
                Standing::Sound => sound.push_back(turn(None)),
                Standing::Returning(trial) => sound.push_back(turn(Some(trial))),
                Standing::Shunned => shunned.push_back(turn(None)),
            }
        }
        sound.append(&mut shunned);
        sound
    }
}

/// A server that is to be asked.
struct Turn {
    endpoint: Arc<Endpoint>,
    trial: Option<Trial>,
}

type Outcome = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// A server that is being asked.
struct Attempt {
    turn: Turn,
    outcome: Outcome,
    /// When another server is asked as well.
    hedge_at: Option<Instant>,
}

impl Attempt {
    /// Ends the attempt, since another server has answered. A trial goes on without anybody waiting for it: a server that
    /// is merely farther away than the other, or has a handshake to make first, is back all the same.
    fn overtaken(self) {
        let Self { turn, outcome, .. } = self;
        if turn.trial.is_none() {
            return turn.endpoint.health.was_outpaced();
        }
        tokio::spawn(async move {
            match outcome.await {
                Ok(_) => turn.endpoint.health.answered(),
                Err(failure) => turn.endpoint.failed(&failure, false),
            }
        });
    }
}

/// One round of a request that any server may answer: the first answer wins.
struct Race<'a> {
    rules: Rules,
    message: &'a Message,
    waiting: VecDeque<Turn>,
    running: Vec<Attempt>,
    last: Failure,
}

impl<'a> Race<'a> {
    fn new(rules: Rules, message: &'a Message, waiting: VecDeque<Turn>) -> Self {
        let last = Failure { error: no_server(), sent: false };
        Self { rules, message, waiting, running: Vec::new(), last }
    }

    async fn run(mut self) -> Result<Reply, Failure> {
        loop {
            if self.running.is_empty() && !self.start_next() {
                return Err(self.last);
            }
            let hedge_at = self.running.last().and_then(|attempt| attempt.hedge_at);
            let hedge_at = hedge_at.filter(|_| !self.waiting.is_empty());
            let (at, result) = tokio::select! {
                done = first_done(&mut self.running) => done,
                () = sleep_until(hedge_at.unwrap_or(self.message.deadline)), if hedge_at.is_some() => {
                    self.start_next();
                    continue;
                }
            };
            let Attempt { turn, .. } = self.running.swap_remove(at);
            match result {
                Ok(reply) => {
                    turn.endpoint.health.answered();
                    self.running.into_iter().for_each(Attempt::overtaken);
                    return Ok(reply);
                }
                Err(failure) => {
                    turn.endpoint.failed(&failure, !self.waiting.is_empty() || !self.running.is_empty());
                    self.last.and(failure);
                    self.start_next();
                }
            }
        }
    }

    /// Asks the next server; whether there is one.
    fn start_next(&mut self) -> bool {
        let Some(mut turn) = self.waiting.pop_front() else { return false };
        if let Some(trial) = &mut turn.trial {
            trial.begin();
        }
        let now = Instant::now();
        let has_others = !self.waiting.is_empty();
        let mut deadline = self.message.deadline;
        if has_others {
            deadline = deadline.min(now + self.rules.attempt + limits::ATTEMPT_PER_ITEM * self.message.items);
        }
        let trial = turn.trial.as_ref().map(|_| limits::TRIAL);
        let hedge = trial.into_iter().chain(self.rules.hedge).min().filter(|_| has_others);
        let (endpoint, message) = (Arc::clone(&turn.endpoint), self.message.clone());
        let outcome: Outcome = Box::pin(async move { endpoint.exchange(&message, deadline).await });
        self.running.push(Attempt { turn, outcome, hedge_at: hedge.map(|hedge| now + hedge) });
        true
    }
}

/// The first of these that is done, by its place.
async fn first_done(running: &mut [Attempt]) -> (usize, Result<Reply, Failure>) {
    poll_fn(|context| {
        for (at, attempt) in running.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.outcome.as_mut().poll(context) {
                return Poll::Ready((at, result));
            }
        }
        Poll::Pending
    })
    .await
}

/// One server: how to reach it, its idle connections, and how it did lately.
struct Endpoint {
    server: Box<dyn Connect>,
    rules: Rules,
    idle: Mutex<Vec<Idle>>,
    free: Arc<Semaphore>,
    health: Health,
}

struct Idle {
    connection: Connection<BoxedStream>,
    since: Instant,
    /// The runtime that moves its bytes. In another one it would not stir.
    runtime: runtime::Id,
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
        idle.push(Idle {
            connection: self.connection,
            since: Instant::now(),
            runtime: Handle::current().id(),
        });
    }
}

impl Endpoint {
    fn new(server: Box<dyn Connect>, rules: Rules) -> Self {
        Self {
            server,
            rules,
            idle: Mutex::default(),
            free: Arc::new(Semaphore::new(rules.connections)),
            health: Health::default(),
        }
    }

    /// One exchange; over a new connection once more where a kept one turned out to be stale and that does no harm.
    async fn exchange(self: &Arc<Self>, message: &Message, deadline: Instant) -> Result<Reply, Failure> {
        let unsent = |error| Failure { error, sent: false };
        let mut lease = self.lease(message.repeatable, deadline).await.map_err(unsent)?;
        match lease.connection.exchange(message.bytes.expose(), deadline).await {
            Ok(bytes) => Ok(Reply { bytes, lease }),
            Err(Error::Lost { .. } | Error::Tls { .. }) if lease.reused && message.repeatable => {
                // What closed this connection has most likely closed its idle siblings too.
                self.idle().clear();
                lease.connection = self.connect(deadline).await.map_err(unsent)?;
                lease.reused = false;
                match lease.connection.exchange(message.bytes.expose(), deadline).await {
                    Ok(bytes) => Ok(Reply { bytes, lease }),
                    Err(error) => Err(Failure { error, sent: true }),
                }
            }
            Err(error) => {
                // A server that does not trust this client says so before it reads anything from it. Whatever else TLS
                // complains of, such as a damaged record, may have come after the request was worked.
                let refused = matches!(error, Error::Tls { fault: TlsFault::RefusedUs { .. }, .. });
                Err(Failure { error, sent: lease.reused || !refused })
            }
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
        if !repeatable {
            // A runtime that had nothing to do between two calls, such as the blocking client's, hears only now that a
            // server has closed a connection.
            tokio::task::yield_now().await;
        }
        let (connection, reused) = match self.take_idle(repeatable) {
            Some(connection) => (connection, true),
            None => (self.connect(deadline).await?, false),
        };
        Ok(Lease { endpoint: Arc::clone(self), connection, reused, _permit: permit })
    }

    /// The connection that this runtime used last, if it is not too old and the server has not closed it.
    fn take_idle(&self, repeatable: bool) -> Option<Connection<BoxedStream>> {
        let (now, here) = (Instant::now(), Handle::current().id());
        let limit = if repeatable { self.rules.idle } else { self.rules.idle.min(limits::IDLE_UNREPEATABLE) };
        let mut idle = self.idle();
        idle.retain(|entry| now.saturating_duration_since(entry.since) < self.rules.idle);
        while let Some(at) = idle
            .iter()
            .rposition(|entry| entry.runtime == here && now.saturating_duration_since(entry.since) < limit)
        {
            let mut entry = idle.remove(at);
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
        Ok(Connection::over(stream, self.server.address()).carried(self.server.https()))
    }

    fn failed(&self, failure: &Failure, has_others: bool) {
        if has_others {
            tracing::warn!(server = self.server.address(), error = %failure.error, "another KMS server is asked");
        }
        self.health.failed();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_server() -> Error {
    Error::settings("no server is given", "give at least one address, as host:port")
}
