//! Webhooks against a server that fails first.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aws_lc_rs::hmac;
use kms_server::audit::Source;
use kms_server::config::{Config, Webhook};
use kms_server::kms::Event;
use kms_server::webhook::{SIGNATURE, Webhooks};
use serde_json::Value;

use super::asking::{Asker, pair_request};
use super::server;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a webhook was sent.
#[derive(Debug)]
struct Sent {
    signature: String,
    body: Vec<u8>,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Listens, answers each request with the next status (the last one for ever), and shows what was sent.
fn listen(statuses: &'static [u16]) -> (SocketAddr, Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, sent) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut signature) = (0, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else {
                    if line.trim().is_empty() {
                        break;
                    }
                    assert!(line.starts_with("POST /kms "), "{line}");
                    continue;
                };
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    name if name == SIGNATURE.to_lowercase() => signature = value.to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = statuses.get(number).or(statuses.last()).unwrap();
            let answer = format!(
                "HTTP/1.1 {status} so\r\nLocation: /else\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            if send.send(Sent { signature, body }).is_err() {
                return;
            }
        }
    });
    (address, sent)
}

fn hook(folder: &Path, address: SocketAddr, events: &[&str]) -> Vec<Webhook> {
    let secret = folder.join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[[webhook]]\nurl = \"http://{address}/kms\"\nevents = {events:?}\nsecret-file = {:?}",
        secret.display().to_string()
    );
    toml::from_str::<Config>(&text).unwrap().webhooks
}

fn next(sent: &Receiver<Sent>) -> Sent {
    sent.recv_timeout(Duration::from_secs(60)).expect("an event is sent")
}

fn store_event(kms: &Asker) {
    let trail = kms.trail();
    trail.note(trail.record(Source::Server, "store").with(Event::StoreWritable));
}

#[test]
fn an_event_is_signed_and_sent_until_it_is_taken_and_the_next_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let (address, sent) = listen(&[500, 302, 200]);
    let kms = server(&folder.path().join("audit"), "");
    let hooks = hook(folder.path(), address, &[]);
    let _webhooks = Webhooks::start(&hooks, kms.trail(), Some(folder.path())).unwrap();
    let (private, _) = kms.pair(&pair_request("job", 2048));
    kms.activate(&private);
    let tries = [next(&sent), next(&sent), next(&sent)];
    for sent in &tries {
        assert_eq!(
            sent.json(),
            tries[0].json(),
            "the same event until it is taken, wherever it is redirected"
        );
        let signature = hex::decode(sent.signature.strip_prefix("sha256=").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, &sent.body, &signature).unwrap();
    }
    let made = tries[0].json();
    assert_eq!((&made["kind"], &made["new"]["private"]), (&"created".into(), &private.as_str().into()));
    let activated = next(&sent).json();
    assert_eq!((&activated["kind"], &activated["state"]), (&"state-changed".into(), &"Active".into()));
    assert!(activated["n"].as_u64() > made["n"].as_u64());
}

#[test]
fn a_webhook_gets_the_kinds_that_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let (address, sent) = listen(&[200]);
    let kms = server(&folder.path().join("audit"), "");
    let hooks = hook(folder.path(), address, &["state-changed"]);
    let _webhooks = Webhooks::start(&hooks, kms.trail(), None).unwrap();
    let (private, _) = kms.pair(&pair_request("job", 2048));
    store_event(&kms);
    kms.activate(&private);
    assert_eq!(next(&sent).json()["kind"], "state-changed");
}

#[test]
fn what_was_not_taken_is_sent_after_a_restart_and_what_was_taken_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let (address, sent) = listen(&[200, 500]);
    let kms = server(&audit, "");
    let hooks = hook(folder.path(), address, &[]);
    let webhooks = Webhooks::start(&hooks, kms.trail(), Some(&audit)).unwrap();
    store_event(&kms);
    let first = next(&sent).json()["n"].as_u64().unwrap();
    store_event(&kms);
    let second = next(&sent).json()["n"].as_u64().unwrap();
    assert!(second > first);
    drop((webhooks, kms));

    // While nobody sends, more happens.
    let kms = server(&audit, "");
    kms.pair(&pair_request("job", 2048));
    drop(kms);
    drop(sent);

    let kms = server(&audit, "");
    // The same webhook elsewhere: a test cannot have the port twice.
    let (elsewhere, sent) = listen(&[200]);
    let moved = hook(folder.path(), elsewhere, &[]);
    rename_taken(&audit, &hooks, &moved);
    let _webhooks = Webhooks::start(&moved, kms.trail(), Some(&audit)).unwrap();
    assert_eq!(next(&sent).json()["n"].as_u64(), Some(second), "what failed comes again");
    assert_eq!(next(&sent).json()["kind"], "created");
}

/// Hands on what a webhook has taken to another.
fn rename_taken(folder: &Path, from: &[Webhook], to: &[Webhook]) {
    let file = |hook: &Webhook| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, hook.url.url.as_bytes());
        folder.join(format!("webhook-{}.json", hex::encode(&digest.as_ref()[..8])))
    };
    let text = std::fs::read_to_string(file(&from[0])).unwrap();
    std::fs::write(file(&to[0]), text.replace(&from[0].url.url, &to[0].url.url)).unwrap();
}

#[test]
fn a_new_webhook_begins_with_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let (address, sent) = listen(&[200]);
    let kms = server(&audit, "");
    let (private, _) = kms.pair(&pair_request("job", 2048));
    let begin = std::time::Instant::now();
    while kms.trail().events(0).unwrap().events.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    let _webhooks = Webhooks::start(&hook(folder.path(), address, &[]), kms.trail(), Some(&audit)).unwrap();
    kms.activate(&private);
    assert_eq!(next(&sent).json()["kind"], "state-changed");
}

#[test]
fn a_webhook_that_wants_nothing_of_what_happens_does_not_read_it_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let kms = server(&audit, "");
    let hooks = hook(folder.path(), "127.0.0.1:1".parse().unwrap(), &["rotated"]);
    let taken = || {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, hooks[0].url.url.as_bytes());
        let file = audit.join(format!("webhook-{}.json", hex::encode(&digest.as_ref()[..8])));
        let json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        json["after"].as_u64().unwrap()
    };
    drop(Webhooks::start(&hooks, kms.trail(), Some(&audit)).unwrap());
    kms.pair(&pair_request("job", 2048));
    let begin = std::time::Instant::now();
    while kms.trail().events(0).unwrap().events.is_empty() || taken() < kms.trail().last() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{} of {}", taken(), kms.trail().last());
        let webhooks = Webhooks::start(&hooks, kms.trail(), Some(&audit)).unwrap();
        std::thread::sleep(kms_server::limits::WEBHOOK_LOOK * 2);
        drop(webhooks);
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let kms = server(&folder.path().join("audit"), "");
    let hooks = hook(folder.path(), "127.0.0.1:1".parse().unwrap(), &[]);
    std::fs::set_permissions(&hooks[0].secret_file, Permissions::from_mode(0o640)).unwrap();
    let refused = Webhooks::start(&hooks, kms.trail(), None).expect_err("others can read it").to_string();
    assert!(refused.contains("others can read it"), "{refused}");
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let kms = server(&folder.path().join("audit"), "");
    let hooks = hook(folder.path(), "127.0.0.1:1".parse().unwrap(), &[]);
    std::fs::write(&hooks[0].secret_file, "short").unwrap();
    let refused = Webhooks::start(&hooks, kms.trail(), None).unwrap_err().to_string();
    assert!(refused.contains("5 bytes") && refused.contains("openssl rand"), "{refused}");
}
