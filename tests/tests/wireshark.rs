//! The Wireshark dissector on a capture of our own port.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use kms_protocol::Tag;
use kms_protocol::enums::{Enumeration, Operation, ResultReason, ResultStatus, State};
use kms_tests::process::finish_within;
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

/// A capture of one segment to port 5696, in the clear.
fn capture(data: &[u8]) -> Vec<u8> {
    let mut bytes =
        vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 101, 0, 0, 0];
    let length = u16::try_from(40 + data.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    packet.extend([0x30, 0x39, 0x16, 0x40, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
    packet.extend(data);
    let stated = u32::from(length).to_le_bytes();
    bytes.extend([0; 8]);
    bytes.extend(stated);
    bytes.extend(stated);
    bytes.extend(packet);
    bytes
}

#[test]
fn tshark_shows_what_was_asked() {
    let Ok(version) = Command::new("tshark").arg("--version").output() else {
        return skip("tshark_shows_what_was_asked", "there is no tshark");
    };
    assert!(version.status.success());
    let mut builder = kms_protocol::message::RequestBuilder::new(kms_protocol::message::RequestHeader::new(
        kms_protocol::Version::V1_4,
    ));
    let id = "0a1b2c3d-a-key";
    builder.push(&kms_protocol::operation::ActivateRequest { unique_identifier: Some(id.into()) }, None);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kmip.pcap");
    fs::write(&file, capture(builder.finish().expose())).expect("written");
    let script = format!("lua_script:{}", root().join("contrib/kmip.lua").display());
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&file).args(["-X", &script, "-V", "-O", "kmip_ttlv"]);
    let shown = finish_within(&mut command, Duration::from_secs(60)).success().stdout;
    for line in ["Request Message", "Operation (Enumeration): Activate", &format!("(Text String): {id}")] {
        assert!(shown.contains(line), "{line} is missing in {shown}");
    }
}
