//! A TCP proxy between a client and a server that misbehaves when it is told to.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// They are passed on.
    Pass,
    /// Those that are there and each new one are reset.
    Reset,
    /// Nothing comes through any more, in either direction, and nobody says so.
    Swallow,
}

/// At which moment [`Proxy::watch_for`] speaks up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// The client's next bytes have been passed on.
    Request,
    /// The server's next bytes are here, and are not passed on.
    Answer,
}

/// A proxy on a port of its own. It ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect to.
    pub address: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<String>,
    mode: watch::Sender<Mode>,
    accepted: Mutex<Vec<Instant>>,
    watched: Mutex<Option<(Moment, Sender<()>)>>,
}

impl Shared {
    /// Tells whoever waits for this moment; whether somebody did.
    fn is_watched(&self, moment: Moment) -> bool {
        let mut watched = lock(&self.watched);
        match watched.take_if(|(wanted, _)| *wanted == moment) {
            // The one who waits may have given up.
            Some((_, told)) => told.send(()).is_ok(),
            None => false,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("not poisoned")
}

impl Proxy {
    /// A proxy to `upstream`, as `host:port`.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn to(upstream: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream.to_owned()),
            mode: watch::Sender::new(Mode::Pass),
            accepted: Mutex::default(),
            watched: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                lock(&serving.accepted).push(Instant::now());
                tokio::spawn(serve(client, Arc::clone(&serving)));
            }
        });
        Self { address, shared, runtime: Some(runtime) }
    }

    /// Changes what becomes of connections, those that are there too.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, upstream: &str) {
        upstream.clone_into(&mut lock(&self.shared.upstream));
    }

    /// When connections were accepted.
    #[must_use]
    pub fn accepted(&self) -> Vec<Instant> {
        lock(&self.shared.accepted).clone()
    }

    /// Waits, once, for what happens next. After an answer was held back nothing more of that connection is passed on,
    /// and it ends when the server ends it.
    #[must_use]
    pub fn watch_for(&self, moment: Moment) -> Receiver<()> {
        let (told, waiting) = channel();
        *lock(&self.shared.watched) = Some((moment, told));
        waiting
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut mode = shared.mode.subscribe();
    // How it ends is up to the two sides; there is nobody to tell.
    let _ = pass(client, &shared, &mut mode).await;
}

async fn pass(mut client: TcpStream, shared: &Shared, mode: &mut watch::Receiver<Mode>) -> io::Result<()> {
    let first = *mode.borrow_and_update();
    match first {
        Mode::Pass => {}
        Mode::Reset => return reset(client),
        Mode::Swallow => {
            let _ = mode.changed().await;
            return reset(client);
        }
    }
    let upstream = lock(&shared.upstream).clone();
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        tokio::select! {
            changed = mode.changed() => {
                changed.map_err(io::Error::other)?;
                let now = *mode.borrow_and_update();
                if now == Mode::Swallow {
                    let _ = mode.changed().await;
                }
                if now != Mode::Pass {
                    drop(server);
                    return reset(client);
                }
            }
            length = client.read(&mut asked) => {
                let Some(bytes) = asked.get(..length?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                server.write_all(bytes).await?;
                let _ = shared.is_watched(Moment::Request);
            }
            length = server.read(&mut answered) => {
                let Some(bytes) = answered.get(..length?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                if shared.is_watched(Moment::Answer) {
                    while server.read(&mut answered).await? > 0 {}
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}

fn reset(stream: TcpStream) -> io::Result<()> {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))
}
