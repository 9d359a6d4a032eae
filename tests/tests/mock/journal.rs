//! What the journal says, and what it never says.

use kms_client::{KeySpec, Profile};
use kms_protocol::Secret;
use kms_protocol::attribute::{Attribute, CryptographicParameters};
use kms_protocol::enums::{CryptographicAlgorithm, HashingAlgorithm, Operation};
use kms_protocol::operation::{ActivateRequest, CreateKeyPairRequest, DecryptRequest, EncryptRequest};
use kms_protocol::ttlv::Bytes;
use kms_server::journal::{Exchange, Item, Wanted};
use kms_server::testing::blocking::TestServer;

use super::peer::{Peer, Seen, message};

const PLAINTEXT: &[u8] = b"the key of a backup file";

fn last(server: &TestServer) -> Exchange {
    let page = server.journal().page(&Wanted { messages: true, ..Wanted::default() });
    page.exchanges.into_iter().next_back().expect("an exchange")
}

fn last_item(server: &TestServer) -> Item {
    last(server).items.remove(0)
}

/// The identifiers of an active pair: private, public.
fn active_pair(peer: &mut Peer) -> (String, String) {
    let common = vec![
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
        Attribute::CryptographicLength(2048),
    ];
    let made = peer.call(&CreateKeyPairRequest { common: common.into(), ..CreateKeyPairRequest::default() });
    let ids = (made.private_key_unique_identifier, made.public_key_unique_identifier);
    for id in [&ids.0, &ids.1] {
        peer.call(&ActivateRequest { unique_identifier: Some(id.as_str().into()) });
    }
    ids
}

fn oaep(hash: HashingAlgorithm, mask: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters::rsa_oaep(hash, mask)
}

fn encrypt(peer: &mut Peer, public: &str, parameters: CryptographicParameters) -> Vec<u8> {
    let request = EncryptRequest {
        unique_identifier: Some(public.into()),
        cryptographic_parameters: Some(parameters),
        data: Some(Secret::from(PLAINTEXT)),
        ..EncryptRequest::default()
    };
    peer.call(&request).data.expect("ciphertext").0
}

fn decrypt(peer: &mut Peer, private: &str, parameters: CryptographicParameters, data: &[u8]) {
    let request = DecryptRequest {
        unique_identifier: Some(private.into()),
        cryptographic_parameters: Some(parameters),
        data: Some(Bytes(data.to_vec())),
        ..DecryptRequest::default()
    };
    assert!(matches!(peer.ask(&message(&request)), Seen::Answer(_)));
}

#[test]
fn a_refusal_comes_with_what_would_have_worked() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("veeam"));
    let (private, public) = active_pair(&mut peer);
    let sha256 = HashingAlgorithm::Sha256;
    let ciphertext = encrypt(&mut peer, &public, oaep(sha256, sha256));
    let stated = CryptographicParameters {
        mask_generator: None,
        mask_generator_hashing_algorithm: None,
        ..oaep(sha256, sha256)
    };

    decrypt(&mut peer, &private, stated.clone(), &ciphertext);
    let item = last_item(&server);
    assert_eq!(item.reason.as_deref(), Some("Cryptographic Failure"));
    let hint = item.would_work.expect("what would have worked");
    assert!(hint.contains("decrypts with hash SHA-256 and mask hash SHA-256"), "{hint}");
    assert!(hint.contains("left it at SHA-1 for the mask's"), "{hint}");

    let (other, _) = active_pair(&mut peer);
    decrypt(&mut peer, &other, oaep(sha256, sha256), &ciphertext);
    let hint = last_item(&server).would_work.expect("a hint");
    assert!(hint.contains("no generation of this pair"), "{hint}");

    decrypt(&mut peer, &public, oaep(sha256, sha256), &ciphertext);
    let hint = last_item(&server).would_work.expect("a hint");
    assert_eq!(hint, format!("the Private Key of the pair: {private}"));

    decrypt(&mut peer, &private, oaep(sha256, sha256), &ciphertext);
    assert_eq!(last_item(&server).would_work, None, "what works needs no hint");

    let mut stranger = Peer::connect(&server, &server.client("stranger"));
    decrypt(&mut stranger, &private, stated, &ciphertext);
    let item = last_item(&server);
    assert_eq!(item.message.as_deref(), Some("there is no such object"), "the client learns nothing");
    let hint = item.would_work.expect("a hint");
    assert!(hint.contains(r#"belongs to "veeam"; the caller is "stranger""#), "{hint}");
}

#[test]
fn a_ciphertext_of_an_older_generation_is_told_apart() {
    let server = TestServer::start();
    let profile = Profile::load(&server.client("veeam").profile()).expect("a profile");
    let client =
        kms_client::blocking::Client::new(profile.builder().build().expect("a client")).expect("a client");
    let key = client.request_key("nightly", KeySpec::Rsa2048).expect("a key");
    let mut peer = Peer::connect(&server, &server.client("veeam"));
    let sha256 = HashingAlgorithm::Sha256;
    let ciphertext = encrypt(&mut peer, &key.public_id, oaep(sha256, sha256));
    server.advance("91d");
    let newer = client.find_key("nightly", KeySpec::Rsa2048).expect("an answer").expect("a successor");
    assert_ne!(newer.private_id, key.private_id);
    decrypt(&mut peer, &newer.private_id, oaep(sha256, sha256), &ciphertext);
    let hint = last_item(&server).would_work.expect("a hint");
    assert!(hint.contains(&format!("with the private key {}, another generation", key.private_id)), "{hint}");
}

#[test]
fn messages_are_decoded_and_hold_no_secret() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("veeam"));
    let (private, public) = active_pair(&mut peer);
    let sha1 = HashingAlgorithm::Sha1;
    let ciphertext = encrypt(&mut peer, &public, oaep(sha1, sha1));
    decrypt(&mut peer, &private, oaep(sha1, sha1), &ciphertext);
    let exchange = last(&server);
    let (request, response) =
        (exchange.request.clone().expect("a request"), exchange.response.clone().expect("one"));
    assert!(request.contains(&format!("Unique Identifier (Text String) {private:?}")), "{request}");
    assert!(response.contains(&format!("Data (Byte String) [{} bytes]", PLAINTEXT.len())), "{response}");
    let all = server.journal().page(&Wanted { messages: true, ..Wanted::default() });
    let json = serde_json::to_string(&all).expect("JSON");
    for secret in [PLAINTEXT.to_vec(), ciphertext] {
        assert!(!json.contains(&String::from_utf8_lossy(&secret).into_owned()));
        assert!(!json.contains(&hex::encode(&secret)));
    }
    server.journal().assert_called(Operation::Decrypt).by("veeam").key(&private).times(1);
}

#[test]
fn what_cannot_be_read_is_noted_as_such() {
    let server = TestServer::start();
    let mut peer = Peer::connect(&server, &server.client("veeam"));
    let nonsense = [0x42, 0, 0x78, 1, 0, 0, 0, 8, 0x42, 0, 0x77, 0x7F, 0, 0, 0, 0];
    assert!(matches!(peer.ask(&nonsense), Seen::Answer(_)));
    let exchange = last(&server);
    let trouble = exchange.trouble.as_deref().expect("what was wrong");
    assert!(trouble.contains("0x7F is no item type"), "{trouble}");
    assert_eq!(exchange.request, None, "of what cannot be told apart nothing is kept");
}
