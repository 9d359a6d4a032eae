//! The same keys and ciphertexts in the hands of the `openssl` program, which shares no code with either library.

use std::path::Path;
use std::process::Command;

use super::{parsed, rsa_2048};
use crate::crypto::{KeySpec, OAEP_HASHES, Oaep, Secret, format, generate};

/// Runs openssl in a folder; `None` where there is none, said loudly, so that nobody takes it for a pass.
pub(super) fn openssl(folder: &Path, arguments: &str) -> Option<Vec<u8>> {
    let output = match Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED: no openssl program here ({error}); install it to check against it");
            return None;
        }
    };
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn openssl_reads_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let rsa = rsa_2048();
    let specs = KeySpec::ALL.into_iter().filter(|spec| spec.is_quick());
    let mut pairs = vec![("rsa", None)];
    pairs.extend(specs.map(|spec| ("ec", Some(generate(spec).unwrap()))));
    for (kind, pair) in &pairs {
        let pair = pair.as_ref().unwrap_or(rsa);
        let traditional =
            format::pkcs8_to_sec1(&pair.private).or_else(|_| format::pkcs8_to_pkcs1(&pair.private));
        write("pkcs8.der", pair.private.expose());
        write("spki.der", &pair.public);
        let Some(public) = openssl(folder.path(), "pkey -inform DER -in pkcs8.der -pubout -outform DER")
        else {
            return;
        };
        assert_eq!(public, pair.public);
        // Ed25519 and X25519 have no format of before PKCS#8.
        if let Ok(traditional) = traditional {
            write("traditional.der", traditional.expose());
            let command = format!("{kind} -inform DER -in traditional.der -pubout -outform DER");
            assert_eq!(openssl(folder.path(), &command).unwrap(), pair.public);
        }
        openssl(folder.path(), "pkey -inform DER -in pkcs8.der -check -noout").unwrap();
        openssl(folder.path(), "pkey -pubin -inform DER -in spki.der -pubcheck -noout").unwrap();
    }
    write("pkcs8.der", rsa.private.expose());
    let pkcs1 = openssl(folder.path(), "rsa -inform DER -in pkcs8.der -traditional -outform DER").unwrap();
    assert_eq!(format::pkcs8_to_pkcs1(&rsa.private).unwrap(), Secret::new(pkcs1));
    write("spki.der", &rsa.public);
    let pkcs1 = openssl(folder.path(), "rsa -pubin -inform DER -in spki.der -RSAPublicKey_out -outform DER");
    assert_eq!(format::spki_to_pkcs1(&rsa.public).unwrap(), pkcs1.unwrap());
}

#[test]
fn openssl_understands_oaep_with_every_pair_of_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let (private, public) = parsed(rsa_2048());
    write("key.der", rsa_2048().private.expose());
    write("pub.der", &rsa_2048().public);
    write("plain", b"thirty-two bytes of a file's key");
    for hash in OAEP_HASHES {
        for mask in OAEP_HASHES {
            let oaep = Oaep::new(Some(hash), Some(mask), b"label").unwrap();
            let name = |hash: kms_protocol::enums::HashingAlgorithm| match hash.to_string().as_str() {
                "SHA-512/224" => "sha512-224".to_owned(),
                "SHA-512/256" => "sha512-256".to_owned(),
                other => other.replace('-', "").to_lowercase(),
            };
            let options = format!(
                "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{} -pkeyopt rsa_mgf1_md:{} -pkeyopt \
                 rsa_oaep_label:6c6162656c",
                name(hash),
                name(mask)
            );
            write("ours", &public.encrypt(&oaep, b"thirty-two bytes of a file's key").unwrap());
            let command = format!("pkeyutl -decrypt -keyform DER -inkey key.der -in ours {options}");
            let Some(back) = openssl(folder.path(), &command) else { return };
            assert_eq!(back, b"thirty-two bytes of a file's key", "{hash} {mask}");
            let command = format!("pkeyutl -encrypt -pubin -keyform DER -inkey pub.der -in plain {options}");
            let theirs = openssl(folder.path(), &command).unwrap();
            let back = private.decrypt(&oaep, &theirs).unwrap();
            assert_eq!(back.expose(), b"thirty-two bytes of a file's key", "{hash} {mask}");
        }
    }
}
