//! A certificate with its key and its authority in one sealed file, as Windows and the products on it import it.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rsa::pkcs8::der::pem;
use zeroize::Zeroizing;

use crate::{Authority, Error, Issued};

impl Issued {
    /// The certificate, its key and the authority's certificate as PFX (PKCS#12): sealed under `password` with AES-256, and its
    /// MAC is HMAC-SHA-256. The entry's friendly name is `name`.
    ///
    /// # Errors
    /// [`Error::Pfx`] when the library refuses.
    pub fn pfx(&self, name: &str, authority: &Authority, password: &str) -> Result<Vec<u8>, Error> {
        let refused = |error: p12_keystore::error::Error| Error::Pfx(error.to_string());
        let key = PrivateKey::from_der(&der(self.key().pkcs8_pem())?).map_err(refused)?;
        let chain: Vec<_> = [self.certificate(), authority.certificate()]
            .into_iter()
            .map(|text| Certificate::from_der(&der(text)?).map_err(refused))
            .collect::<Result<_, _>>()?;
        let mut store = KeyStore::new();
        store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(name, key, chain)));
        store.writer(password).write().map_err(refused)
    }
}

fn der(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (_, der) = pem::decode_vec(text.as_bytes()).map_err(|_| Error::Unreadable)?;
    Ok(Zeroizing::new(der))
}
