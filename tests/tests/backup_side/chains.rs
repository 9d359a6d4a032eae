//! Chains over many generations, and large files.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::support::{Place, file_of};

#[test]
fn a_backup_of_generation_1_restores_40_rotations_later() {
    let place = Place::with_job();
    let file = file_of(&place.back_up());
    for _ in 0..40 {
        place.rotate();
    }
    let keys = place.run(["job", "show", "docs"])["keys"].as_array().unwrap().len();
    assert_eq!(keys, 41);
    place.assert_restores(&place.client, &file, "restored");
}

#[test]
fn a_chain_across_10_generations_restores_with_all_keys_and_with_the_newest_alone() {
    let place = Place::with_job();
    place.back_up();
    for generation in 2..=10 {
        place.rotate();
        fs::write(place.path("tree").join(format!("generation {generation}")), b"x").unwrap();
        place.back_up();
    }
    let mut backups = place.path("backups").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let newest = backups.find(|path| path.to_string_lossy().ends_with(".0010.age")).unwrap();
    place.assert_restores(&place.client, &newest, "by its files");
    let metadata = newest.to_string_lossy().replace(".0010.age", ".chain");
    place.assert_restores(&place.client, metadata.as_ref(), "by its metadata");
    let usage = place.client.run(["key", "usage"]).success().stdout;
    assert_eq!(usage.lines().filter(|line| line.contains("\"files\":1,")).count(), 10, "{usage}");
}

#[test]
fn a_sparse_file_of_more_than_4_gib_comes_back_sparse() {
    let place = Place::with_job();
    let (path, length) = (place.path("tree/large"), (4 << 30) + 12_345);
    let mut file = File::create(&path).unwrap();
    file.set_len(length).unwrap();
    for at in [0, 1 << 32, length - 5] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"words").unwrap();
    }
    drop(file);
    let event = place.back_up();
    assert!(event["size"].as_u64().unwrap() < 10_000_000, "{event}");
    place.assert_restores(&place.client, &file_of(&event), "restored");
    let restored = place.path("restored/tree/large");
    let data = restored.metadata().unwrap();
    assert_eq!(data.len(), length);
    assert!(data.blocks() * 512 < 10_000_000, "{} bytes on disk", data.blocks() * 512);
    let (original, restored_file) = (path.as_os_str(), restored.as_os_str());
    let compared = Command::new("cmp").args([original, restored_file]).status().unwrap();
    assert!(compared.success(), "bit for bit");
    let words = |at| {
        use std::os::unix::fs::FileExt;
        let mut words = [0; 5];
        File::open(&restored).unwrap().read_exact_at(&mut words, at).unwrap();
        words
    };
    assert_eq!([words(0), words(1 << 32), words(length - 5)], [*b"words"; 3]);
}
