//! What the server tells of its own accord: over a connection that has changed sides, and to clients that listen.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kms_client::{Client, KeySpec, Notification, Notifications, Profile};
use kms_protocol::enums::{Operation, ResultStatus};
use kms_protocol::frame::message_length;
use kms_protocol::message::{Outcome, RequestMessage, ResponseHeader, write_response};
use kms_protocol::object::ManagedObject;
use kms_protocol::{DateTime, Version};
use kms_server::testing::{TestClient, TestServer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn client(server: &TestServer, name: &str) -> Client {
    let profile = Profile::load(&server.client(name).profile()).expect("a profile");
    profile.builder().build().expect("a client")
}

async fn next(notifications: &mut Notifications) -> Notification {
    timeout(PATIENCE, notifications.next()).await.expect("in time").expect("a notification")
}

async fn listening(client: &Client) -> Notifications {
    let mut notifications = client.notifications();
    let first = next(&mut notifications).await;
    assert!(matches!(first, Notification::Listening { .. }), "{first:?}");
    notifications
}

/// The next public key that is handed over: its identifier and the one that it replaces.
async fn handed_over(notifications: &mut Notifications) -> (String, Option<String>) {
    loop {
        if let Notification::Put { id, replaces, object, .. } = next(notifications).await {
            assert!(matches!(*object, ManagedObject::PublicKey(_)), "nothing else is");
            return (id, replaces);
        }
    }
}

#[tokio::test]
async fn a_rotation_is_known_at_once_and_the_server_may_restart_meanwhile() {
    let server = TestServer::start().await;
    let (mine, other) = (client(&server, "a"), client(&server, "b"));
    let mut told = listening(&mine).await;
    let mut others = listening(&other).await;
    let key = mine.request_key("nightly", KeySpec::Rsa2048).await.expect("a key");
    assert_eq!(handed_over(&mut told).await, (key.public_id.clone(), None));
    server.clock().advance("91d").await;
    let (rotated, replaces) = handed_over(&mut told).await;
    assert_eq!(replaces.as_deref(), Some(key.public_id.as_str()));
    server.restart().await;
    loop {
        if let Notification::Listening { .. } = next(&mut told).await {
            break;
        }
    }
    server.clock().advance("91d").await;
    assert_eq!(handed_over(&mut told).await.1, Some(rotated));
    // The first that the other client hears of is its own key.
    loop {
        if let Notification::Listening { .. } = next(&mut others).await {
            break;
        }
    }
    let own = other.request_key("weekly", KeySpec::Rsa2048).await.expect("a key");
    assert_eq!(handed_over(&mut others).await.0, own.public_id);
}

#[test]
fn a_client_that_is_not_async_is_told_too() {
    let server = kms_server::testing::blocking::TestServer::start();
    let client = kms_client::blocking::Client::new(client(&server, "a")).expect("a client");
    let mut told = client.notifications().expect("no runtime around it");
    assert!(matches!(told.next(), Ok(Notification::Listening { .. })));
    let key = client.request_key("nightly", KeySpec::Rsa2048).expect("a key");
    loop {
        if let Notification::Put { id, .. } = told.next().expect("a notification") {
            assert_eq!(id, key.public_id);
            break;
        }
    }
}

/// A client that listens by TLS, with its own certificate, takes everything and says what it was asked.
fn listener(certificate: &TestClient, socket: TcpListener) -> Receiver<(Version, Vec<Operation>)> {
    let chain = vec![CertificateDer::from_pem_file(certificate.certificate()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certificate.key()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("TLS");
    let (said, heard) = channel();
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for stream in socket.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("TLS");
            let mut stream = StreamOwned::new(connection, stream);
            while let Some(asked) = answer_one(&mut stream) {
                if said.send(asked).is_err() {
                    return;
                }
            }
        }
    });
    heard
}

/// Answers one request by success; nothing once the connection ends.
fn answer_one(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<(Version, Vec<Operation>)> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).ok()?;
    let length = message_length(&head, 1 << 20).ok()??;
    let mut request = head.to_vec();
    request.resize(length, 0);
    stream.read_exact(&mut request[8..]).ok()?;
    let message = RequestMessage::read(&request).expect("a request");
    let version = message.header.protocol_version;
    let outcome = |item: &kms_protocol::message::RequestItem<'_>| Outcome {
        operation: Some(item.operation),
        unique_batch_item_id: item.unique_batch_item_id.clone(),
        result_status: ResultStatus::Success,
        result_reason: None,
        result_message: None,
        asynchronous_correlation_value: None,
        payload: None,
    };
    let outcomes: Vec<_> = message.items.iter().map(outcome).collect();
    let answer = write_response(ResponseHeader::new(version, DateTime(0)), &outcomes);
    stream.write_all(answer.expose()).ok()?;
    Some((version, message.items.iter().map(|item| item.operation).collect()))
}

#[tokio::test]
async fn a_client_that_listens_is_told_in_its_version_if_it_is_the_one() {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [right, wrong] = sockets.each_ref().map(|socket| socket.local_addr().expect("an address"));
    let config = format!(
        "[[notify]]\naddress = \"{right}\"\nprincipal = \"a\"\nversion = \"1.0\"\n\n[[notify]]\naddress = \"{wrong}\"\nprincipal = \"a\"\n"
    );
    let server = TestServer::builder().config(&config).start().await;
    let [right, wrong] = sockets;
    let told = listener(&server.client("a"), right);
    let mistaken = listener(&server.client("b"), wrong);
    client(&server, "a").request_key("nightly", KeySpec::Rsa2048).await.expect("a key");
    let told = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        while !all.contains(&(Version::V1_0, vec![Operation::Notify, Operation::Put])) {
            all.push(told.recv_timeout(PATIENCE).expect("it is told"));
        }
    });
    told.await.expect("the pair was told");
    assert!(mistaken.try_recv().is_err(), "whoever else answers at an address hears nothing");
}
