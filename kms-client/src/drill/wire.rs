//! The way between clients and a server, which can be cut. It also stays where it is when the server gets another port.

use core::time::Duration;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::limits;
use super::plan::Cut;

/// Passes connections on to a server. It ends when dropped.
#[derive(Debug)]
pub(super) struct Forwarder {
    /// Where clients connect to.
    pub address: String,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

/// Where connections lead, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Way {
    /// Nowhere while there is no server.
    upstream: Option<String>,
    cut: Option<Cut>,
}

impl Forwarder {
    /// One on a port of its own that leads nowhere yet.
    pub fn start(runtime: &Handle) -> io::Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let (way, looked) = watch::channel(Way::default());
        let task = runtime.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => _ = tokio::spawn(serve(client, looked.clone())),
                    // The process has too many files open: connections that end give some back.
                    Err(_) => tokio::time::sleep(limits::TICK).await,
                }
            }
        });
        Ok(Self { address, way, task })
    }

    /// Leads new connections to a server, or nowhere.
    pub fn lead_to(&self, upstream: Option<String>) {
        self.way.send_if_modified(|way| core::mem::replace(&mut way.upstream, upstream.clone()) != upstream);
    }

    /// Cuts the way, or heals it.
    pub fn cut(&self, cut: Option<Cut>) {
        self.way.send_if_modified(|way| core::mem::replace(&mut way.cut, cut) != cut);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, mut way: watch::Receiver<Way>) {
    // How it ends is up to the two sides; there is nobody to tell.
    let _ = pass(client, &mut way).await;
}

/// Passes on, both ways, for as long as the way is not cut so that connections are reset.
async fn pass(mut client: TcpStream, way: &mut watch::Receiver<Way>) -> io::Result<()> {
    open(way, &client).await?;
    let upstream = way.borrow().upstream.clone();
    let Some(upstream) = upstream else { return reset(&client) };
    let Ok(mut server) = TcpStream::connect(&upstream).await else { return reset(&client) };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; limits::CHUNK], vec![0; limits::CHUNK]);
    loop {
        open(way, &client).await?;
        tokio::select! {
            changed = way.changed() => changed.map_err(io::Error::other)?,
            length = client.read(&mut asked) => {
                let Some(bytes) = asked.get(..length?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                tokio::time::sleep(open(way, &client).await?).await;
                open(way, &client).await?;
                server.write_all(bytes).await?;
            }
            length = server.read(&mut answered) => {
                let Some(bytes) = answered.get(..length?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                tokio::time::sleep(open(way, &client).await?).await;
                open(way, &client).await?;
                client.write_all(bytes).await?;
            }
        }
    }
}

/// Waits out a black hole, resets where that is how the way is cut, and says how much later things come.
async fn open(way: &mut watch::Receiver<Way>, client: &TcpStream) -> io::Result<Duration> {
    loop {
        let cut = way.borrow_and_update().cut;
        match cut {
            None => return Ok(Duration::ZERO),
            Some(Cut::Delay(delay)) => return Ok(delay),
            Some(Cut::Refuse) => {
                reset(client)?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(Cut::BlackHole) => way.changed().await.map_err(io::Error::other)?,
        }
    }
}

/// Has a connection end with a reset when it is dropped.
fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends everything back.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[test]
    fn a_way_is_cut_in_every_way_and_healed() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let forwarder = Forwarder::start(runtime.handle()).unwrap();
        let connect = || TcpStream::connect(&forwarder.address);
        runtime.block_on(async {
            if let Ok(mut nowhere) = connect().await {
                assert!(ask(&mut nowhere).await.is_err(), "there is no server yet");
            }
            forwarder.lead_to(Some(echo().await));
            let mut old = connect().await.unwrap();
            assert_eq!(ask(&mut old).await.unwrap(), b'x');

            forwarder.cut(Some(Cut::BlackHole));
            let mut new = connect().await.unwrap();
            for stream in [&mut old, &mut new] {
                let silence = tokio::time::timeout(Duration::from_millis(50), ask(stream)).await;
                assert!(silence.is_err(), "nothing comes, and nobody says so");
            }
            forwarder.cut(None);
            for stream in [&mut old, &mut new] {
                assert_eq!(stream.read_u8().await.unwrap(), b'x', "what was under way arrives");
            }

            forwarder.cut(Some(Cut::Delay(Duration::from_millis(40))));
            let begun = tokio::time::Instant::now();
            assert_eq!(ask(&mut old).await.unwrap(), b'x');
            assert!(begun.elapsed() >= Duration::from_millis(80), "there and back");

            forwarder.cut(Some(Cut::Refuse));
            assert!(ask(&mut old).await.is_err());
            // Where the reset comes first, there is no connection at all.
            if let Ok(mut refused) = connect().await {
                assert!(ask(&mut refused).await.is_err());
            }
            forwarder.cut(None);
            assert_eq!(ask(&mut connect().await.unwrap()).await.unwrap(), b'x');
        });
    }
}
