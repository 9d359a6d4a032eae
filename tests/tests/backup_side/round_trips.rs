//! Many small backup files, and how often the KMS is asked for them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{Place, assert_same, file_of};

/// Stands between client and server, and counts how often the server answers something new.
struct Counting {
    address: String,
    answers: Arc<AtomicUsize>,
}

impl Counting {
    fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (answers, server) = (Arc::new(AtomicUsize::new(0)), server.to_owned());
        let counted = Arc::clone(&answers);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let asked = Arc::new(AtomicBool::new(false));
                let (to_server, from_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let noted = Arc::clone(&asked);
                thread::spawn(move || pass(from_client, to_server, || noted.store(true, Ordering::SeqCst)));
                let counted = Arc::clone(&counted);
                thread::spawn(move || {
                    pass(server, client, || {
                        if asked.swap(false, Ordering::SeqCst) {
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                });
            }
        });
        Self { address, answers }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, noted: impl Fn()) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        noted();
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// 1,000 files; `KMS_TESTS_FILES` sets another number: 10,000 take some minutes in a debug build.
#[test]
fn ten_thousand_small_backup_files_take_less_than_200_round_trips() {
    few_round_trips("rsa-2048", 2);
}

#[test]
fn so_they_do_with_keys_on_p256() {
    // What was derived is fetched and destroyed: three messages instead of one.
    few_round_trips("p-256", 3);
}

/// At most so many answers for a hundred files.
fn few_round_trips(key: &str, for_a_hundred: usize) {
    let files: usize = std::env::var("KMS_TESTS_FILES").map_or(1000, |text| text.parse().unwrap());
    let place = Place::connected();
    place.run(["job", "create", "docs", "--key", key]);
    let tree = place.path("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..files {
        fs::write(tree.join(format!("{number}")), number.to_string()).unwrap();
    }
    let event = place.run([
        "backup".as_ref(),
        "docs".as_ref(),
        tree.as_os_str(),
        "--checkpoint".as_ref(),
        "1".as_ref(),
        "--to".as_ref(),
        place.path("backups").as_os_str(),
    ]);
    assert_eq!(event["written"].as_u64().unwrap(), files as u64 + 1);

    let counting = Counting::before(&place.server.listen);
    let new = place.other("another", false);
    let pki = place.server.pki();
    let _ = new
        .run([
            "server".as_ref(),
            "add".as_ref(),
            "lab".as_ref(),
            "--address".as_ref(),
            counting.address.as_ref(),
            "--ca".as_ref(),
            pki.join("ca.pem").as_os_str(),
            "--certificate".as_ref(),
            pki.join("client.pem").as_os_str(),
            "--key".as_ref(),
            pki.join("client.key").as_os_str(),
        ])
        .success();
    let file = file_of(&event);
    let _ = crate::support::restore(&new, &file, &place.path("restored")).success();
    let answers = counting.answers.load(Ordering::SeqCst);
    println!("{key}: {answers} round trips for {files} files");
    assert!(
        answers < 200 && answers * 100 < files * for_a_hundred,
        "{answers} round trips for {files} files"
    );
    assert_same(&tree, &place.path("restored/tree"));
}
