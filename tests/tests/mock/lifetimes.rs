//! Paused, killed, started again; and many at once.

use kms_client::{KeySpec, Profile};
use kms_server::testing::TestServer;
use kms_server::testing::blocking;

use super::peer::{Peer, Seen, discover, pair};

fn client(server: &TestServer, name: &str) -> kms_client::Client {
    let profile = Profile::load(&server.client(name).profile()).expect("a profile");
    profile.builder().build().expect("a client")
}

#[test]
fn a_killed_server_comes_back_on_its_port_with_its_keys_at_its_time() {
    let server = blocking::TestServer::start();
    let certificate = server.client("a");
    let mut peer = Peer::connect(&server, &certificate);
    peer.call(&pair("kept"));
    server.advance("12h");
    let (listen, time) = (server.listen(), server.clock().now());
    server.kill();
    assert!(!matches!(peer.ask(&discover()), Seen::Answer(_)), "its connections are gone");
    assert!(std::net::TcpStream::connect(listen).is_err(), "nobody listens");
    server.restart();
    assert_eq!((server.listen(), server.clock().now()), (listen, time));
    assert_eq!(Peer::connect(&server, &certificate).named("kept"), 1);
}

#[test]
fn a_paused_server_says_nothing_until_it_goes_on() {
    let server = blocking::TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("a"));
    server.pause();
    peer.send(&discover());
    assert_eq!(peer.soon(), Seen::Silence);
    server.resume();
    assert!(matches!(peer.next(), Seen::Answer(_)));
}

#[tokio::test]
async fn a_hundred_live_in_one_process_and_know_nothing_of_each_other() {
    let servers: Vec<TestServer> = futures(100, |_| TestServer::start()).await;
    for (at, server) in servers.iter().enumerate() {
        let client = client(server, &format!("client-{at}"));
        client.request_key("nightly", KeySpec::Rsa2048).await.expect("a key");
    }
    let mut seen = std::collections::BTreeSet::new();
    for (at, server) in servers.iter().enumerate() {
        assert!(seen.insert(server.listen()));
        let page = server.journal().page(&kms_server::journal::Wanted::default());
        let whose = format!("client-{at}");
        assert!(page.exchanges.iter().all(|exchange| exchange.client.as_ref() == Some(&whose)));
        server.journal().assert_called(kms_protocol::enums::Operation::CreateKeyPair).times(1);
    }
}

async fn futures<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    make: impl Fn(usize) -> F,
) -> Vec<T> {
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..count {
        tasks.spawn(make(at));
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_configuration_and_a_time_of_its_own() {
    let server = TestServer::builder()
        .config("[[policy]]\nname = \"weekly\"\nrotate-every = \"7d\"")
        .time("2030-01-01T00:00:00Z")
        .own_keys()
        .start()
        .await;
    let client = client(&server, "a");
    client.request_key("k", KeySpec::Rsa2048).await.expect("a key");
    let moved = server.clock().set("2030-01-09T00:00:00Z").await;
    let what: Vec<String> = moved.fired.iter().map(|fired| fired.event.to_string()).collect();
    assert!(what.iter().any(|what| what.contains("rotated")), "{what:?}");
}
