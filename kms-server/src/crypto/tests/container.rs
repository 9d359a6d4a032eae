use kms_protocol::DateTime;

use super::rsa_2048;
use crate::crypto::container::{open, write};
use crate::crypto::limits::CONTAINER_BYTES;
use crate::crypto::{CryptoError, KeySpec, Secret, generate, issuer};

/// A pair, its certificate and that of the authority.
fn chain() -> (Secret, Vec<Vec<u8>>) {
    let now = DateTime(1_700_000_000);
    let above = generate(KeySpec::P256).unwrap();
    let authority = issuer::authority("an authority", &above.private, now).unwrap();
    let pair = rsa_2048();
    let subject = issuer::Subject::Key(&pair.public, "a key");
    let leaf = issuer::issue(&authority, &above.private, &subject, now).unwrap();
    (Secret::from(pair.private.expose()), vec![leaf, authority])
}

fn password(text: &str) -> Secret {
    Secret::from(text.as_bytes())
}

#[test]
fn what_is_written_is_opened_by_its_password_alone() {
    let (private, certificates) = chain();
    let word = password("pässword");
    for certificates in [certificates, Vec::new()] {
        let bytes = write("a name", &private, &certificates, &word).unwrap();
        for name in [None, Some("a name"), Some("A Name")] {
            let found = open(&bytes, &word, name).unwrap();
            assert_eq!(found.private, private);
            assert_eq!(found.certificates, certificates);
            assert_eq!(found.friendly_name.as_deref(), Some("a name"));
        }
        assert_eq!(open(&bytes, &password("other"), None).err(), Some(CryptoError::Password));
        assert_eq!(open(&bytes, &Secret::new(vec![0xFF]), None).err(), Some(CryptoError::Password));
        assert!(matches!(open(&bytes, &word, Some("b")), Err(CryptoError::KeyRejected { .. })));
        for length in [0, 1, 50, bytes.len() - 1] {
            assert!(open(&bytes[..length], &word, None).is_err(), "{length} bytes");
        }
    }
    let long = vec![0x30; CONTAINER_BYTES + 1];
    assert!(matches!(open(&long, &word, None), Err(CryptoError::TooLong { .. })));
    assert_eq!(write("a", &private, &[], &Secret::new(vec![0xFF])), Err(CryptoError::Password));
}

#[test]
fn openssl_opens_what_is_written_and_its_own_is_opened() {
    use super::openssl::openssl;
    let (private, certificates) = chain();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("ours.p12"), write("job", &private, &certificates, &password("secret")).unwrap())
        .unwrap();
    let command = "pkcs12 -in ours.p12 -passin pass:secret -nodes -out all.pem";
    let Some(_) = openssl(folder.path(), command) else { return };
    let key = openssl(folder.path(), "pkey -in all.pem -outform DER -traditional").unwrap();
    let pkcs1 = crate::crypto::format::pkcs8_to_pkcs1(&private).unwrap();
    assert_eq!(key, pkcs1.expose());
    let leaf = openssl(folder.path(), "x509 -in all.pem -outform DER").unwrap();
    assert_eq!(leaf, certificates[0]);

    let command = "pkcs12 -export -in all.pem -name theirs -passout pass:other -out theirs.p12";
    openssl(folder.path(), command).unwrap();
    let theirs = std::fs::read(at("theirs.p12")).unwrap();
    let found = open(&theirs, &password("other"), Some("theirs")).unwrap();
    assert_eq!((found.private, found.certificates), (private, certificates));
    openssl(folder.path(), "pkcs12 -export -in all.pem -passout pass:old -legacy -out old.p12").unwrap();
    let old = open(&std::fs::read(at("old.p12")).unwrap(), &password("old"), None).err().unwrap();
    assert!(old.to_string().contains("OpenSSL 3"), "{old}");
}
