//! The stanza of ours in an age header.

use std::io::{BufReader, Cursor, Read, Write};

use age::x25519;
use age_core::format::Stanza;
use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use kms_client::backup::envelope::{
    FileKeyIdentity, Header, HeaderError, KeyReference, KeyStanza, KmsRecipient, PublicKeyError, STANZA_TAG,
    public_key_bits,
};
use kms_client::backup::{KeyAlgorithm, KeyManagement, KeyRequest, Scheme, Share, Wrapping};
use kms_protocol::Secret;
use proptest::prelude::*;

use crate::fake_kms::FakeKms;

fn reference(private_id: &str) -> KeyReference {
    KeyReference {
        server: "lab".to_owned(),
        address: "[::1]:5696".to_owned(),
        private_id: private_id.to_owned(),
        generation: 3,
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
    for scheme in [Scheme::OaepSha256, Scheme::OaepSha1] {
        let reference = reference(&issued.private_id);
        let recipient = KmsRecipient::new(reference.clone(), scheme, &issued.public_key_spki).unwrap();
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
    let recipient = KmsRecipient::new(reference, Scheme::OaepSha256, &issued.public_key_spki).unwrap();
    let file = encrypt(&[&recipient], b"");
    let text = String::from_utf8_lossy(&file);
    let line = "-> kmip-rsa-oaep oaep=sha256 key=a%20b generation=3 server=my%20lab address=%5B::1%5D:5696\n";
    assert!(text.starts_with(&format!("age-encryption.org/v1\n{line}")), "{text}");
}

fn spki(key: &PrivateKey) -> Vec<u8> {
    let public: PublicKeyX509Der<'_> = key.compute_public_key().unwrap().as_der().unwrap();
    public.as_ref().to_vec()
}

/// What a KMS does: the x-coordinate that both keys lead to.
fn shared(key: &PrivateKey, share: &Share) -> Secret {
    let peer = UnparsedPublicKey::new(&ECDH_P256, share.public.as_slice());
    agree(key, peer, "no point", |shared| Ok(Secret::from(shared))).unwrap()
}

#[test]
fn a_key_on_p256_opens_its_stanza_and_no_other_key_or_share_does() {
    let key = PrivateKey::generate(&ECDH_P256).unwrap();
    let recipient = KmsRecipient::new(reference("id"), Scheme::P256, &spki(&key)).unwrap();
    let file = encrypt(&[&recipient], b"data");
    let text = String::from_utf8_lossy(&file).into_owned();
    assert!(text.starts_with("age-encryption.org/v1\n-> kmip-p256 share="), "{text}");
    let header = Header::read(&mut BufReader::new(&file[..])).unwrap();
    let [stanza] = &header.locks.keys[..] else { panic!("{header:?}") };
    assert_eq!(stanza.reference, reference("id"));
    let Wrapping::P256(share) = &stanza.wrapping else { panic!("{stanza:?}") };
    let file_key = share.open(&shared(&key, share), &stanza.ciphertext).unwrap();
    assert_eq!(decrypt(&file, &FileKeyIdentity::new(file_key).unwrap()).unwrap(), b"data");

    let other = PrivateKey::generate(&ECDH_P256).unwrap();
    assert!(share.open(&shared(&other, share), &stanza.ciphertext).is_none(), "another key");
    let stolen = Share { public: spki(&other), ..share.clone() };
    assert!(stolen.open(&shared(&key, share), &stanza.ciphertext).is_none(), "another share");
    let misled = Share { recipient: [0; 32], ..share.clone() };
    assert!(misled.open(&shared(&key, share), &stanza.ciphertext).is_none(), "another recipient");
    // Each file has a pair of its own.
    let again = encrypt(&[&recipient], b"data");
    let again = Header::read(&mut BufReader::new(&again[..])).unwrap();
    assert_ne!(again.locks.keys[0].wrapping, stanza.wrapping);

    let rsa = issue(&FakeKms::default()).public_key_spki;
    let p384 = spki(&PrivateKey::generate(&ECDH_P384).unwrap());
    for unusable in [&rsa[..], &p384, b"no key"] {
        let refused = KmsRecipient::new(reference("id"), Scheme::P256, unusable).err();
        assert_eq!(refused, Some(PublicKeyError::NotP256));
    }
    let good = stanza.to_stanza();
    for (at, broken) in [(0, "share=00"), (0, "share="), (1, "recipient=00"), (1, "recipient=zz"), (1, "x=y")]
    {
        let mut args = good.args.clone();
        args[at] = broken.to_owned();
        let stanza = Stanza { tag: good.tag.clone(), args, body: good.body.clone() };
        assert!(KeyStanza::parse(&stanza).unwrap().is_err(), "{broken}");
    }
}

/// Somebody who has another key opens the file too: it is an age file like any other.
#[test]
fn other_recipients_stand_beside_ours_and_open_the_file() {
    let issued = issue(&FakeKms::default());
    let ours = KmsRecipient::new(reference(&issued.private_id), Scheme::OaepSha256, &issued.public_key_spki)
        .unwrap();
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
    let ours = KmsRecipient::new(reference(&issued.private_id), Scheme::OaepSha256, &issued.public_key_spki)
        .unwrap();
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
        assert!(FileKeyIdentity::new(Secret::new(vec![0; length])).is_none());
    }
}

proptest! {
    #[test]
    fn references_survive_the_way_there_and_back(
        server in ".{1,20}", address in ".{1,60}", private_id in ".{1,60}", generation: u32,
        ciphertext in proptest::collection::vec(any::<u8>(), 1..1024),
    ) {
        let reference = KeyReference { server, address, private_id, generation };
        prop_assume!(reference.server.len() <= 64);
        let stanza = KeyStanza { reference, wrapping: Wrapping::OaepSha256, ciphertext };
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
        let stanza = KeyStanza {
            reference: reference("k"),
            wrapping: Wrapping::OaepSha256,
            ciphertext: vec![7; 256],
        };
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
