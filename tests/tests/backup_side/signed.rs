//! Signed metadata with a real KMS: the key signs there, also after it was rotated, and an import verifies there.

use std::ffi::OsStr;
use std::fs;

use kms_tests::process::{Client, Finished};

use crate::support::{Place, file_of, restore};

fn import(client: &Client, metadata: &OsStr) -> Finished {
    client.run([OsStr::new("import"), "--signed".as_ref(), "--verify".as_ref(), metadata])
}

#[test]
fn signed_metadata_is_verified_at_import_and_restore_also_after_the_key_rotated() {
    let place = Place::with_key("p-256");
    let job = place.run(["job", "set", "docs", "--sign"]);
    let signer = job["job"]["signing"]["private_id"].as_str().unwrap().to_owned();
    let file = file_of(&place.back_up());
    let metadata = file.with_extension("chain");
    let first = fs::read(&metadata).unwrap();
    let imported = import(&place.other("first", true), metadata.as_ref()).success().json();
    assert_eq!(imported["signed"], true);

    // All pairs rotate by policy, the one that signs too: what the old one signed stays valid, the new one signs from now on.
    let _ = place.server.ctl(&["clock", "advance", "91d"]).success();
    place.run(["sync"]);
    let _ = import(&place.other("after the rotation", true), metadata.as_ref()).success();
    fs::write(place.path("tree/second"), b"x").unwrap();
    let second = file_of(&place.back_up());
    let job = place.run(["job", "show", "docs"]);
    assert_ne!(job["job"]["signing"]["private_id"], signer.as_str(), "{job}");
    let _ = import(&place.other("second", true), metadata.as_ref()).success();
    place.assert_restores(&place.client, &second, "restored");

    // An older state of the metadata, signed and all, knows nothing of the newest file.
    let newest = fs::read(&metadata).unwrap();
    fs::write(&metadata, &first).unwrap();
    let refused = restore(&place.client, &second, &place.path("refused"));
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("knows of no point that it ends"), "{}", refused.stderr);
    assert!(!place.path("refused").exists());
    fs::write(&metadata, newest).unwrap();

    // A key that signs and is gone: what it signed is verified by its public half, and nothing new is signed.
    place.destroy(job["job"]["signing"]["private_id"].as_str().unwrap());
    place.assert_restores(&place.client, &second, "still valid");
    fs::write(place.path("tree/third"), b"x").unwrap();
    let line = [OsStr::new("backup"), "docs".as_ref(), place.path("tree").as_ref(), "--to".as_ref()]
        .map(OsStr::to_owned);
    let unsigned = place.client.run(line.into_iter().chain([place.path("backups").into()])).success();
    assert!(unsigned.stdout.contains("\"event\":\"unsigned\""), "{}", unsigned.stdout);
}
