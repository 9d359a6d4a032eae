//! The Wireshark dissector on a capture of our own port.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kms_protocol::Tag;
use kms_protocol::enums::{Enumeration, Operation, ResultReason, ResultStatus, State};
use kms_tests::process::{Server, finish_within};
use kms_tests::repository::root;
use kms_tests::skip;

/// The names that the dissector knows, as Lua.
fn tables() -> String {
    let mut lua = String::from("local TAGS = {\n");
    for tag in (0x42_0001..=0x42_0200).map(Tag) {
        if let Some(name) = tag.name() {
            let _ = writeln!(lua, "  [0x{:06X}] = {name:?},", tag.0);
        }
    }
    lua.push_str("}\nlocal ENUMERATIONS = {\n");
    fn names<E: Enumeration>(lua: &mut String, tag: Tag) {
        let _ = write!(lua, "  [0x{:06X}] = {{", tag.0);
        for value in E::ALL {
            let _ = write!(lua, " [0x{:X}] = {:?},", value.value(), value.name().unwrap());
        }
        lua.push_str(" },\n");
    }
    names::<Operation>(&mut lua, Tag::OPERATION);
    names::<ResultStatus>(&mut lua, Tag::RESULT_STATUS);
    names::<ResultReason>(&mut lua, Tag::RESULT_REASON);
    names::<State>(&mut lua, Tag::STATE);
    lua.push_str("}\n");
    lua
}

#[test]
fn it_knows_the_names_that_the_protocol_has() {
    let script = fs::read_to_string(root().join("contrib/kmip.lua")).expect("the dissector");
    let (before, rest) = script.split_once("-- TABLES\n").expect("its tables");
    let (has, after) = rest.split_once("-- END\n").expect("their end");
    if has != tables() {
        let fresh = std::env::temp_dir().join("kmip.lua");
        fs::write(&fresh, format!("{before}-- TABLES\n{}-- END\n{after}", tables())).expect("written");
        panic!("contrib/kmip.lua is not up to date: copy {}", fresh.display());
    }
}

/// Who sent some bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// A capture of a connection to port 5696 over which these bytes went.
fn capture(sent: &[(Side, Vec<u8>)]) -> Vec<u8> {
    const CLIENT: [u8; 2] = 12345u16.to_be_bytes();
    const SERVER: [u8; 2] = 5696u16.to_be_bytes();
    let mut bytes =
        vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 101, 0, 0, 0];
    let (mut from_client, mut from_server) = (1u32, 1u32);
    for (from, data) in
        sent.iter().flat_map(|(from, data)| data.chunks(60_000).map(move |part| (*from, part)))
    {
        let (ports, sequence, acknowledged) = match from {
            Side::Client => ([CLIENT, SERVER], &mut from_client, from_server),
            Side::Server => ([SERVER, CLIENT], &mut from_server, from_client),
        };
        let length = u16::try_from(40 + data.len()).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        packet.extend(ports.concat());
        packet.extend(sequence.to_be_bytes());
        packet.extend(acknowledged.to_be_bytes());
        packet.extend([0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
        packet.extend(data);
        *sequence += u32::try_from(data.len()).unwrap();
        let stated = u32::from(length).to_le_bytes();
        bytes.extend([0; 8]);
        bytes.extend(stated);
        bytes.extend(stated);
        bytes.extend(packet);
    }
    bytes
}

/// What was said, by whom, piece by piece.
type Conversation = Vec<(Side, Vec<u8>)>;

/// Passes one connection on to `upstream`; what went over it in which direction, once it has ended.
fn overheard(upstream: &str) -> (String, JoinHandle<Conversation>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let upstream = upstream.to_owned();
    let heard = thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let server = TcpStream::connect(upstream).expect("the server");
        let sent = Mutex::new(Vec::new());
        let pass = |from: Side, mut source: &TcpStream, mut sink: &TcpStream| {
            let mut part = [0; 16 << 10];
            while let Ok(length @ 1..) = source.read(&mut part) {
                let data = part.get(..length).unwrap().to_vec();
                sent.lock().unwrap().push((from, data.clone()));
                if sink.write_all(&data).is_err() {
                    break;
                }
            }
            // The one that goes on would wait for ever.
            let _ = sink.shutdown(Shutdown::Both);
            let _ = source.shutdown(Shutdown::Both);
        };
        thread::scope(|scope| {
            scope.spawn(|| pass(Side::Server, &server, &client));
            pass(Side::Client, &client, &server);
        });
        sent.into_inner().unwrap()
    });
    (address, heard)
}

/// What tshark shows of a capture with the dissector, once it is there at all.
fn shown(test: &str, file: &Path, more: &[&str]) -> Option<String> {
    if Command::new("tshark").arg("--version").output().is_err() {
        skip(test, "there is no tshark");
        return None;
    }
    let script = format!("lua_script:{}", root().join("contrib/kmip.lua").display());
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-X", &script, "-V", "-O", "kmip_ttlv"]).args(more);
    Some(finish_within(&mut command, Duration::from_secs(60)).success().stdout)
}

#[test]
fn tshark_reads_a_tls_connection_to_our_port_by_the_servers_key_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, file) = (folder.path().join("keys.log"), folder.path().join("tls.pcap"));
    let key_log = log.display().to_string();
    let server = Server::start_with(&folder.path().join("state"), "127.0.0.1:0", &["--key-log", &key_log]);
    let (address, heard) = overheard(&server.listen);
    let pki = server.pki();
    let client = kms_client::Client::builder(&address)
        .ca_file(pki.join("ca.pem"))
        .identity_files(pki.join("client.pem"), pki.join("client.key"))
        .build()
        .expect("a client");
    let client = kms_client::blocking::Client::new(client).expect("a client");
    let key = client.request_key("nightly", kms_client::KeySpec::P256).expect("a key");
    drop(client);
    server.kill();
    fs::write(&file, capture(&heard.join().expect("what went over it"))).expect("written");
    let keys = format!("tls.keylog_file:{}", log.display());
    let Some(plain) = shown("tshark and TLS", &file, &["-o", &keys]) else { return };
    for line in ["Operation (Enumeration): Create Key Pair", "Response Message", &key.private_id, "nightly"] {
        assert!(plain.contains(line), "{line} is missing in {plain}");
    }
    let sealed = shown("tshark and TLS", &file, &[]).expect("tshark is there");
    assert!(!sealed.contains("Create Key Pair"), "without the log nothing is seen: {sealed}");
}

#[test]
fn tshark_shows_what_was_asked() {
    let mut builder = kms_protocol::message::RequestBuilder::new(kms_protocol::message::RequestHeader::new(
        kms_protocol::Version::V1_4,
    ));
    let id = "0a1b2c3d-a-key";
    builder.push(&kms_protocol::operation::ActivateRequest { unique_identifier: Some(id.into()) }, None);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kmip.pcap");
    let request = builder.finish().expose().to_vec();
    fs::write(&file, capture(&[(Side::Client, request.clone())])).expect("written");
    let Some(shown) = shown("tshark", &file, &[]) else { return };
    for line in ["Request Message", "Operation (Enumeration): Activate", &format!("(Text String): {id}")] {
        assert!(shown.contains(line), "{line} is missing in {shown}");
    }
    // As tshark itself saves it, and as Wireshark does.
    let next = folder.path().join("kmip.pcapng");
    let mut convert = Command::new("tshark");
    convert.arg("-r").arg(&file).args(["-F", "pcapng", "-w"]).arg(&next);
    let _ = finish_within(&mut convert, Duration::from_secs(60)).success();
    for capture in [&file, &next] {
        let input = fs::read(capture).expect("a capture");
        let (form, messages) = kms_server::wire::messages(&input).expect("messages");
        assert_eq!((form, messages), (kms_server::wire::Form::Capture, vec![request.clone()]), "{capture:?}");
    }
}
