//! Certificates that the development authority has taken back: the list in the PKI's folder, signed and published, and
//! asked at every handshake and request.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use kms_certs::{Access, Authority, RevocationList, publish_file, replace_file};
use tracing::warn;

use crate::failure::{Failure, Kind};

/// The list's file, and its name where it is published.
pub const FILE: &str = "ca.crl";

/// The list of one PKI. Whoever revokes writes its file, in whatever process; it is read again when it has changed.
#[derive(Debug)]
pub struct Revocations {
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default, Debug)]
struct Known {
    stamp: Option<Stamp>,
    serials: BTreeSet<Vec<u8>>,
}

/// What tells one state of the file from the next: it is replaced, never changed.
type Stamp = (u64, i64, i64, u64);

impl Revocations {
    /// The list of the PKI in `folder`. None there is an empty one.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), known: Mutex::default() }
    }

    /// Whether the certificate with this serial number is revoked. A list that cannot be read leaves what was known.
    #[must_use]
    pub fn has(&self, serial: &[u8]) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.folder.join(FILE);
        let stamp =
            fs::metadata(&file).ok().map(|file| (file.ino(), file.mtime(), file.mtime_nsec(), file.size()));
        if stamp != known.stamp {
            known.stamp = stamp;
            match read(&file) {
                Ok(list) => known.serials = list.serials().map(<[u8]>::to_vec).collect(),
                Err(failure) => warn!(%failure, "what was revoked until now still is"),
            }
        }
        known.serials.contains(serial)
    }

    /// The signed list in DER; signed anew where half of its time is over.
    ///
    /// # Errors
    /// [`Failure`] when the list or the authority cannot be read.
    pub fn signed(&self, now: SystemTime) -> Result<Vec<u8>, Failure> {
        let file = self.folder.join(FILE);
        if !read(&file)?.is_due(now) {
            return fs::read(&file).map_err(|error| unusable(&file, &error.to_string()));
        }
        let _held = hold(&self.folder)?;
        let signed = sign(&self.folder, &read(&file)?, now)?;
        publish_file(&file, &signed).map_err(|error| unusable(&file, &error.to_string()))?;
        Ok(signed)
    }
}

/// Revokes the certificate in `pem` and signs the list; whether it was not revoked yet. Servers on this folder refuse it from
/// their next handshake or request on.
///
/// # Errors
/// [`Failure`] when there is no authority, `pem` holds no certificate, or the list cannot be written.
pub fn revoke(folder: &Path, pem: &str, now: SystemTime) -> Result<bool, Failure> {
    let _held = hold(folder)?;
    let file = folder.join(FILE);
    let mut list = read(&file)?;
    let is_new = list.revoke(pem, now).map_err(|error| {
        Failure::new(Kind::Other, error.to_string()).hint("name a PEM file with BEGIN CERTIFICATE in it")
    })?;
    let signed = sign(folder, &list, now)?;
    replace_file(&file, &signed, Access::Public).map_err(|error| unusable(&file, &error.to_string()))?;
    Ok(is_new)
}

fn sign(folder: &Path, list: &RevocationList, now: SystemTime) -> Result<Vec<u8>, Failure> {
    let authority = authority(folder)?;
    authority.sign_list(list, now).map_err(|error| unusable(&folder.join(FILE), &error.to_string()))
}

/// The authority in `folder`.
///
/// # Errors
/// [`Failure`] when there is none that can sign.
pub fn authority(folder: &Path) -> Result<Authority, Failure> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let authority =
        read("ca.pem").zip(read("ca.key")).and_then(|(pem, key)| Authority::load(&pem, &key).ok());
    authority.ok_or_else(|| {
        let what = format!("there is no authority in {}", folder.display());
        Failure::new(Kind::State, what)
            .hint("start `kms-server dev` once to make one, or name its folder with --state")
    })
}

/// The list in `file`; an empty one where there is none.
fn read(file: &Path) -> Result<RevocationList, Failure> {
    match fs::read(file) {
        Ok(der) => RevocationList::parse(&der).map_err(|error| unusable(file, &error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RevocationList::default()),
        Err(error) => Err(unusable(file, &error.to_string())),
    }
}

/// Keeps others from changing the list until it is dropped: two that revoke at once would lose one of both.
fn hold(folder: &Path) -> Result<File, Failure> {
    let file = folder.join("ca.key");
    let held = File::open(&file).and_then(|file| file.lock().map(|()| file));
    held.map_err(|error| unusable(&file, &error.to_string()))
}

fn unusable(path: &Path, cause: &str) -> Failure {
    Failure::new(Kind::State, format!("cannot use {}: {cause}", path.display()))
        .hint("make the folder writable; a list that is damaged can be moved aside, nothing is revoked then")
}
