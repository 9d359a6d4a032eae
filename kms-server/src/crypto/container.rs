//! PKCS#12 containers (RFC 7292): a private key with its certificates, under a password.

use std::sync::Mutex;

use kms_protocol::Secret;
use p12_keystore::error::Error;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, Pkcs12Archive, PrivateKey, PrivateKeyChain};

use super::limits::{CHAIN, CONTAINER_BYTES};
use super::{CryptoError, lock, sha256};

/// What a container holds.
#[derive(Debug)]
pub struct Container {
    /// The name that its private key has inside.
    pub friendly_name: Option<String>,
    /// The private key, PKCS#8.
    pub private: Secret,
    /// Certificates, DER: that of the key first, each issued by the next.
    pub certificates: Vec<Vec<u8>>,
}

/// One container is opened at a time: the crate takes up to a GiB for one whose password was hardened by scrypt.
static TURN: Mutex<()> = Mutex::new(());

/// Opens a container. Of several private keys the one of the name that is stated is taken, or else the first.
///
/// # Errors
/// [`CryptoError::Password`] for another password, [`CryptoError::TooLong`], [`CryptoError::KeyRejected`] for what is no
/// container, has no such key, or is protected by what was usual before AES.
pub fn open(bytes: &[u8], password: &Secret, name: Option<&str>) -> Result<Container, CryptoError> {
    if bytes.len() > CONTAINER_BYTES {
        return Err(CryptoError::TooLong {
            what: "the PKCS#12 container",
            length: bytes.len(),
            limit: CONTAINER_BYTES,
        });
    }
    let archive = {
        let _turn = lock(&TURN);
        Pkcs12Archive::from_pkcs12(bytes, text(password)?).map_err(unreadable)?
    };
    let is_wanted = |found: &Option<String>| match (name, found) {
        (None, _) => true,
        // The name's matching rule is caseIgnoreMatch (RFC 2985 section 5.5.1).
        (Some(wanted), Some(found)) => wanted.to_lowercase() == found.to_lowercase(),
        (Some(_), None) => false,
    };
    let key = archive.keys.iter().find(|key| is_wanted(&key.friendly_name));
    let key = key.ok_or_else(|| refused("there is no private key of the PKCS#12 Friendly Name in it"))?;
    let mut certificates: Vec<&Certificate> = Vec::new();
    let own = archive.certs.iter().find(|bag| {
        key.local_key_id.is_some()
            && bag.local_key_id.as_deref() == key.local_key_id.as_ref().map(AsRef::as_ref)
    });
    let mut next = own.map(|bag| &bag.cert);
    while let Some(certificate) = next.filter(|_| certificates.len() < CHAIN) {
        certificates.push(certificate);
        let issuer =
            archive.certs.iter().map(|bag| &bag.cert).find(|cert| cert.subject() == certificate.issuer());
        next = issuer.filter(|issuer| !certificates.contains(issuer));
    }
    Ok(Container {
        friendly_name: key.friendly_name.clone(),
        private: Secret::from(key.key.as_der()),
        certificates: certificates.into_iter().map(|certificate| certificate.as_der().to_vec()).collect(),
    })
}

/// Writes a container: AES-256 and HMAC-SHA-256 (RFC 8018 PBES2), as OpenSSL 3 does.
///
/// # Errors
/// [`CryptoError::Password`] for a password that is no text, [`CryptoError::Library`].
pub fn write(
    name: &str,
    private: &Secret,
    certificates: &[Vec<u8>],
    password: &Secret,
) -> Result<Vec<u8>, CryptoError> {
    let failed = |_| CryptoError::Library("a PKCS#12 container could not be written");
    let password = text(password)?;
    let key = PrivateKey::from_der(private.expose()).map_err(failed)?;
    let chain: Result<Vec<_>, _> = certificates.iter().map(|der| Certificate::from_der(der)).collect();
    let id = sha256(certificates.first().map_or(name.as_bytes(), Vec::as_slice));
    let mut store = KeyStore::new();
    let entry = PrivateKeyChain::new(&id[..], key, chain.map_err(failed)?);
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
    store.writer(password).write().map_err(failed)
}

fn text(password: &Secret) -> Result<&str, CryptoError> {
    core::str::from_utf8(password.expose()).map_err(|_| CryptoError::Password)
}

fn unreadable(error: Error) -> CryptoError {
    match error {
        Error::MacError(_) => CryptoError::Password,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::InvalidParameters => {
            refused("its protection is not supported")
        }
        _ => refused("it is not PKCS#12, or is damaged"),
    }
}

fn refused(why: &'static str) -> CryptoError {
    CryptoError::KeyRejected {
        what: "the PKCS#12 container",
        why,
        hint: "make it anew with `openssl pkcs12 -export -name ALIAS`; containers of before OpenSSL 3 are not read",
    }
}
