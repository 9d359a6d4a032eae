//! The stanza of ours in an age header.

use std::io::{BufReader, Cursor, Read, Write};

use age::x25519;
use age_core::format::Stanza;
use kms_client::backup::envelope::{
    FileKeyIdentity, Header, HeaderError, KeyReference, KeyStanza, KmsRecipient, PublicKeyError, STANZA_TAG,
    public_key_bits,
};
use kms_client::backup::{KeyAlgorithm, KeyManagement, KeyRequest, OaepHash};
use proptest::prelude::*;

use crate::fake_kms::FakeKms;

fn reference(private_id: &str) -> KeyReference {
    KeyReference {
        server: "lab".to_owned(),
        address: "[::1]:5696".to_owned(),
        private_id: private_id.to_owned(),
        generation: 3,
        oaep: OaepHash::Sha256,
    }
}

fn issue(kms: &FakeKms) -> kms_client::backup::IssuedKey {
    kms.request_key(&KeyRequest { name: "k".to_owned(), algorithm: KeyAlgorithm::Rsa2048, retry: true })
        .unwrap()
}

fn encrypt(recipients: &[&dyn age::Recipient], data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let encryptor = age::Encryptor::with_recipients(recipients.iter().copied()).unwrap();
    let mut stream = encryptor.wrap_output(&mut file).unwrap();
    stream.write_all(data).unwrap();
    stream.finish().unwrap();
    file
}

fn decrypt(file: &[u8], identity: &dyn age::Identity) -> Result<Vec<u8>, age::DecryptError> {
    let mut data = Vec::new();
    age::Decryptor::new(file)?.decrypt(std::iter::once(identity))?.read_to_end(&mut data).unwrap();
    Ok(data)
}

#[test]
fn the_kms_opens_what_was_encrypted_to_its_public_key() {
    let kms = FakeKms::default();
    let issued = issue(&kms);
    for oaep in [OaepHash::Sha256, OaepHash::Sha1] {
        let reference = KeyReference { oaep, ..reference(&issued.private_id) };
        let recipient = KmsRecipient::new(reference.clone(), &issued.public_key_spki).unwrap();
        let file = encrypt(&[&recipient], b"data");
        let header = Header::read(&mut BufReader::new(&file[..])).unwrap();
        let [stanza] = &header.locks.keys[..] else { panic!("{header:?}") };
        assert_eq!(stanza.reference, reference);
        let file_key = kms.unwrap_keys(&[stanza.wrapped()]).remove(0).unwrap();
        let identity = FileKeyIdentity::new(file_key).unwrap();
        assert_eq!(decrypt(&file, &identity).unwrap(), b"data");
    }
}

#[test]
fn the_header_is_readable_as_documented() {
    let issued = issue(&FakeKms::default());
    let reference = KeyReference { server: "my lab".to_owned(), ..reference("a b") };
    let recipient = KmsRecipient::new(reference, &issued.public_key_spki).unwrap();
    let file = encrypt(&[&recipient], b"");
    let text = String::from_utf8_lossy(&file);
    let line = "-> kmip-rsa-oaep oaep=sha256 key=a%20b generation=3 server=my%20lab address=%5B::1%5D:5696\n";
    assert!(text.starts_with(&format!("age-encryption.org/v1\n{line}")), "{text}");
}

/// Somebody who has another key opens the file too: it is an age file like any other.
#[test]
fn other_recipients_stand_beside_ours_and_open_the_file() {
    let issued = issue(&FakeKms::default());
    let ours = KmsRecipient::new(reference(&issued.private_id), &issued.public_key_spki).unwrap();
    let theirs = x25519::Identity::generate();
    for recipients in [[&ours as &dyn age::Recipient, &theirs.to_public()], [&theirs.to_public(), &ours]] {
        let file = encrypt(&recipients, b"data");
        assert_eq!(decrypt(&file, &theirs).unwrap(), b"data");
        assert!(matches!(
            decrypt(&file, &x25519::Identity::generate()),
            Err(age::DecryptError::NoMatchingKeys)
        ));
        assert_eq!(Header::read(&mut &file[..]).unwrap().locks.keys.len(), 1);
    }
}

#[test]
fn reading_a_header_stops_right_after_it() {
    let issued = issue(&FakeKms::default());
    let ours = KmsRecipient::new(reference(&issued.private_id), &issued.public_key_spki).unwrap();
    let file = encrypt(&[&ours], b"data");
    let mut reader = Cursor::new(&file);
    let header = Header::read(&mut reader).unwrap();
    let position = reader.position() as usize;
    assert_eq!(file.len() - position, 16 + b"data".len() + 16, "nonce, data, tag");
    let mut whole = Vec::new();
    header.followed_by(reader).read_to_end(&mut whole).unwrap();
    assert_eq!(whole, file);
}

#[test]
fn what_is_no_age_file_is_refused_with_the_reason() {
    let read = |bytes: &[u8]| Header::read(&mut &bytes[..]).unwrap_err();
    assert!(matches!(read(b""), HeaderError::NotAge));
    assert!(matches!(read(b"PK\x03\x04"), HeaderError::NotAge));
    assert!(matches!(read(b"age-encryption.org/v1\n-> X"), HeaderError::Truncated));
    assert!(matches!(read(b"age-encryption.org/v9\n--- \n"), HeaderError::Invalid(_)));
    let endless = [b"age-encryption.org/v1\n".to_vec(), b"-> a\n\n".repeat(1_000_000)].concat();
    assert!(matches!(read(&endless), HeaderError::TooLong));
    let one_line = [b"age-encryption.org/v1\n".to_vec(), vec![b'a'; 1_000_000]].concat();
    assert!(matches!(read(&one_line), HeaderError::TooLong));
}

fn stanza(args: &[&str], body: usize) -> Stanza {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Stanza { tag: STANZA_TAG.to_owned(), args, body: vec![1; body] }
}

#[test]
fn stanzas_of_ours_are_checked_and_unknown_arguments_skipped() {
    let good = ["oaep=sha256", "key=k", "generation=1", "server=s", "address=a:1"];
    assert!(KeyStanza::parse(&stanza(&good, 256)).unwrap().is_ok());
    let newer = [&good[..], &["pool=tape", "flag"]].concat();
    assert!(KeyStanza::parse(&stanza(&newer, 256)).unwrap().is_ok());
    assert!(KeyStanza::parse(&Stanza { tag: "X25519".to_owned(), ..stanza(&good, 256) }).is_none());
    for missing in 0..good.len() {
        let mut args = good.to_vec();
        args.remove(missing);
        assert!(KeyStanza::parse(&stanza(&args, 256)).unwrap().is_err(), "without {}", good[missing]);
    }
    let long = format!("key={}", "k".repeat(257));
    let bad =
        ["key=other", "server=", "generation=-1", "generation=99999999999", "key=%zz", "key=%ff", &long];
    for bad in bad {
        let name = bad.split_once('=').unwrap().0;
        let others = good.iter().filter(|arg| !arg.starts_with(name) || bad == "key=other").copied();
        let args: Vec<&str> = others.chain([bad]).collect();
        assert!(KeyStanza::parse(&stanza(&args, 256)).unwrap().is_err(), "{bad}");
    }
    for body in [0, 1025] {
        assert!(KeyStanza::parse(&stanza(&good, body)).unwrap().is_err(), "{body}");
    }
    let mut future = good.to_vec();
    future[0] = "oaep=sha3";
    let error = KeyStanza::parse(&stanza(&future, 256)).unwrap().unwrap_err();
    assert!(error.to_string().contains("sha3"), "{error}");
}

#[test]
fn unusable_public_keys_are_refused() {
    let issued = issue(&FakeKms::default());
    assert_eq!(public_key_bits(&issued.public_key_spki), Ok(2048));
    assert_eq!(public_key_bits(b""), Err(PublicKeyError::Malformed));
    assert_eq!(public_key_bits(&vec![0x30; 100_000]), Err(PublicKeyError::Malformed));
    // RSA-1024, made by openssl.
    let short = hex::decode(concat!(
        "30819f300d06092a864886f70d010101050003818d0030818902818100cbd40fe7997f32532bb622480c6d55c7aad542",
        "377644aff03f9df06b5fb175c77fc5bc44718482cb5fad38e775e46f5f37b8e0603af8904346808c53c8649d9e87a939",
        "f2bd386ed8614c14d61d9973d5ee7b6355ce742a3def47f0d8a6eb18ddb3d5beea67ab43574face5d9dbe79f3e1e2a49",
        "d7823c91ab2ec3439517b9b3830203010001"
    ))
    .unwrap();
    assert_eq!(public_key_bits(&short), Err(PublicKeyError::TooShort(1024, 2048)));
}

#[test]
fn what_is_no_file_key_makes_no_identity() {
    for length in [0, 15, 17, 32] {
        assert!(FileKeyIdentity::new(kms_protocol::Secret::new(vec![0; length])).is_none());
    }
}

proptest! {
    #[test]
    fn references_survive_the_way_there_and_back(
        server in ".{1,20}", address in ".{1,60}", private_id in ".{1,60}", generation: u32,
        ciphertext in proptest::collection::vec(any::<u8>(), 1..1024),
    ) {
        let oaep = OaepHash::Sha256;
        let reference = KeyReference { server, address, private_id, generation, oaep };
        prop_assume!(reference.server.len() <= 64);
        let stanza = KeyStanza { reference, ciphertext };
        let written = stanza.to_stanza();
        prop_assert!(written.args.iter().all(age_core::format::is_arbitrary_string));
        prop_assert_eq!(KeyStanza::parse(&written).unwrap().unwrap(), stanza);
    }

    #[test]
    fn any_stanza_is_parsed_or_refused(
        args in proptest::collection::vec("(oaep|key|generation|server|address|x)?(=)?[!-~]{0,20}", 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..1100),
    ) {
        let _ = KeyStanza::parse(&Stanza { tag: STANZA_TAG.to_owned(), args, body });
    }

    #[test]
    fn any_header_is_read_or_refused(
        lines in proptest::collection::vec("(-> kmip-rsa-oaep [ -~]{0,80}|-> [ -~]{0,20}|[A-Za-z0-9+/]{0,64}|--- [ -~]{0,43}|.{0,20})\n", 0..12),
    ) {
        let bytes = format!("age-encryption.org/v1\n{}", lines.concat());
        let _ = Header::read(&mut bytes.as_bytes());
    }

    #[test]
    fn a_changed_header_is_read_or_refused(flips in proptest::collection::vec((0_usize..600, any::<u8>()), 1..6)) {
        let stanza = KeyStanza { reference: reference("k"), ciphertext: vec![7; 256] };
        struct Fixed(KeyStanza);
        impl age::Recipient for Fixed {
            fn wrap_file_key(
                &self,
                _: &age_core::format::FileKey,
            ) -> Result<(Vec<Stanza>, std::collections::HashSet<String>), age::EncryptError> {
                Ok((vec![self.0.to_stanza()], std::collections::HashSet::new()))
            }
        }
        let mut file = encrypt(&[&Fixed(stanza)], b"");
        for (at, byte) in flips {
            let at = at % file.len();
            file[at] = byte;
        }
        let _ = Header::read(&mut &file[..]);
    }
}
