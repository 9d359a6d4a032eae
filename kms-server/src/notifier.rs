//! Reaches clients that listen for Notify and Put, and tells them (KMIP 1.4 section 5).
//!
//! A client that cannot be reached is told later, in order, of everything since the server's start that the audit log keeps.

use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::config::NotifiedClient;
use crate::connection::{End, Push, Shared};
use crate::limits;
use crate::shutdown::Stop;
use crate::tls::ServerTls;

/// Tells `client` of what happens from now on, until `stop`.
pub async fn tell(client: NotifiedClient, tls: Arc<ServerTls>, shared: Arc<Shared>, mut stop: Stop) {
    let Some(kms) = Arc::clone(&shared.service).kms() else { return };
    let after = kms.trail().last();
    let (principal, serial) = (client.principal.clone(), Vec::new());
    let mut push = Push { kms, principal, serial, version: client.version.0, after };
    let mut pause = limits::REACH_RETRY;
    loop {
        let told = push.after;
        let end = reach_and_tell(&client, &mut push, &tls, &shared, &mut stop).await;
        if let Err(End::Stopped) | Ok(()) = end {
            return;
        }
        if let Err(end) = end {
            tracing::warn!(address = client.address, principal = client.principal, reason = %end, again_in = ?pause,
                "a client that is to be told of its objects is not there");
        }
        tokio::select! {
            () = stop.requested() => return,
            () = sleep(pause) => {}
        }
        pause =
            if push.after > told { limits::REACH_RETRY } else { (pause * 2).min(limits::REACH_RETRY_MOST) };
    }
}

async fn reach_and_tell(
    client: &NotifiedClient,
    push: &mut Push,
    tls: &ServerTls,
    shared: &Shared,
    stop: &mut Stop,
) -> Result<(), End> {
    let host = client.address.rsplit_once(':').map_or("", |(host, _)| host.trim_matches(['[', ']']));
    let host = ServerName::try_from(host.to_owned())
        .map_err(|_| End::Unreached(format!("{host:?} is neither a name nor an address")))?;
    let reach = async {
        let stream = TcpStream::connect(&client.address).await?;
        stream.set_nodelay(true)?;
        let (stream, caller) = tls
            .connect(stream, host, clock::system_now())
            .await
            .map_err(|refusal| End::Unreached(refusal.reason))?;
        if caller.principal != client.principal {
            return Err(End::Unreached(format!("{:?} answers there", caller.principal)));
        }
        Ok((stream, caller.serial))
    };
    let (mut stream, serial) = tokio::select! {
        () = stop.requested() => return Err(End::Stopped),
        reached = timeout(limits::HANDSHAKE, reach) => {
            reached.unwrap_or_else(|_| Err(End::Unreached("nobody answers there".to_owned())))?
        }
    };
    push.serial = serial;
    Err(push.serve(&mut stream, shared, stop).await)
}
