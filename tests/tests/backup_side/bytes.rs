//! One changed byte anywhere in any file of a chain: found, the file named, and nothing else lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kms_client::backup::archive::{RestoreOptions, Unobserved};
use kms_client::backup::kmip::Kmip;
use kms_client::backup::restore::{Point, open, open_metadata};
use kms_client::backup::signing::Signatures;
use kms_client::backup::state::State;
use kms_client::backup::unlock::{Recovered, Unlocker};
use kms_client::backup::{KeyManagement, KmsError};
use kms_tests::chance::Chance;

use crate::support::{Place, assert_same, file_of};

const FLIPS: usize = 1000;

/// Restores the newest point in this process: a thousand programs would take an hour.
fn restore(place: &Place, file: &Path, salvage: bool) -> Result<BTreeSet<PathBuf>, String> {
    let servers = State::new(&place.path("state")).database().unwrap().servers().unwrap();
    let connect =
        |server: &_| -> Result<Box<dyn KeyManagement>, KmsError> { Ok(Box::new(Kmip::new(server)?)) };
    let mut unlocker = Unlocker {
        servers,
        whatever_named: false,
        connect: &connect,
        passwords: Vec::new(),
        ask: &|_| None,
        recovered: Recovered::new(),
        signatures: Signatures::default(),
    };
    let target = place.path("restored");
    let _ = fs::remove_dir_all(&target);
    let point = match file.extension().is_some_and(|extension| extension == "chain") {
        true => open_metadata(file, &mut unlocker).and_then(|metadata| Point::of_metadata(file, &metadata)),
        false => Point::of_file(file),
    };
    let point = point.map_err(|error| error.to_string())?;
    let opened = open(vec![point], &mut unlocker).remove(0);
    let summary = opened.restore(&target, RestoreOptions::default(), salvage, &Unobserved);
    let summary = summary.map_err(|error| error.to_string())?;
    Ok(summary.lost.first.into_iter().map(|warning| warning.path).collect())
}

#[test]
fn a_thousand_flipped_bytes_are_found_and_named_and_cost_nothing_else() {
    let place = Place::connected();
    place.run(["job", "create", "docs", "--key", "rsa-2048"]);
    let tree = place.path("tree");
    fs::create_dir(&tree).unwrap();
    let mut chance = Chance::of_this_run("flipped bytes");
    let mut files = Vec::new();
    for number in 1..=4 {
        fs::write(tree.join(format!("only in {number}")), chance.bytes(5000)).unwrap();
        files.push(file_of(&place.back_up()));
    }
    let (newest, others) = files.split_last().unwrap();
    let kept: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(restore(&place, newest, false), Ok(BTreeSet::new()));
    for _ in 0..FLIPS {
        let which = chance.below(files.len());
        let (file, mut bytes) = (&files[which], kept[which].clone());
        let (at, bit) = (chance.below(bytes.len()), chance.below(8));
        bytes[at] ^= 1 << bit;
        fs::write(file, bytes).unwrap();
        let told = format!("byte {at}, bit {bit} of {}", file.display());
        let error = restore(&place, newest, false).expect_err(&told);
        assert!(error.contains(&*file.to_string_lossy()), "{told}: {error}");
        assert!(!place.path("restored").exists(), "{told}: nothing half restored");
        if others.contains(file) {
            let lost = restore(&place, newest, true).expect(&told);
            let expected = PathBuf::from(format!("tree/only in {}", which + 1));
            assert_eq!(lost, BTreeSet::from([expected.clone()]), "{told}");
            for number in (1..=4).filter(|number| *number != which + 1) {
                let name = format!("only in {number}");
                assert_eq!(
                    fs::read(place.path("restored/tree").join(&name)).unwrap(),
                    fs::read(tree.join(name)).unwrap()
                );
            }
        } else {
            // The newest file says what its point consists of: without it, the one before is the newest.
            assert_eq!(restore(&place, others.last().unwrap(), false), Ok(BTreeSet::new()), "{told}");
        }
        fs::write(file, &kept[which]).unwrap();
    }
    let metadata = files[0].with_extension("chain");
    let whole = fs::read(&metadata).unwrap();
    for _ in 0..FLIPS / 10 {
        let mut bytes = whole.clone();
        let (at, bit) = (chance.below(bytes.len()), chance.below(8));
        bytes[at] ^= 1 << bit;
        fs::write(&metadata, bytes).unwrap();
        let told = format!("byte {at}, bit {bit} of {}", metadata.display());
        let error = restore(&place, &metadata, false).expect_err(&told);
        assert!(error.contains(&*metadata.to_string_lossy()), "{told}: {error}");
        assert!(!place.path("restored").exists(), "{told}: nothing half restored");
    }
    // The chain opens without it.
    restore(&place, newest, false).unwrap();
    assert_same(&tree, &place.path("restored/tree"));
}
