//! The store through the admin API: looked at, copied, sealed anew.

use std::io::{self, Write};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Admin, Problem, api};
use crate::failure::Failure;
use crate::kms::Kms;
use crate::kms::check::{self, Report};
use crate::kms::notes::{KeyNote, Origin};
use crate::kms::rekey::{Progress, RekeyError};
use crate::limits;
use crate::store::{StoreError, copy};
use crate::store_key::Given;

impl Admin {
    pub(super) fn kms(&self) -> Result<Arc<Kms>, Problem> {
        Arc::clone(self.rotator.service()).kms().ok_or_else(Problem::defect)
    }

    pub(super) fn store_status(&self) -> Option<api::StoreStatus> {
        let kms = Arc::clone(self.rotator.service()).kms()?;
        let keyring = kms.keyring();
        Some(api::StoreStatus {
            key: keyring.current().to_string(),
            previous_key: keyring.previous().map(|key| key.to_string()),
            rekey: kms.rekey_progress(),
            read_only: kms.store().writable().err().map(|error| error.to_string()),
            adopting: kms.is_adopting(),
            damaged: kms.damaged(),
            audit: self.audit_status().and_then(|audit| audit.trouble),
        })
    }
}

pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Result<Json<api::StoreStatus>, Problem> {
    admin.store_status().map(Json).ok_or_else(Problem::defect)
}

pub(super) async fn check(State(admin): State<Arc<Admin>>) -> Result<Json<Report>, Problem> {
    let kms = admin.kms()?;
    let checked = tokio::task::spawn_blocking(move || check::check(kms.store(), Some(kms.keyring())));
    let report = checked.await.map_err(|_| Problem::defect())??;
    info!(sound = report.sound, records = report.records, "the store was checked");
    Ok(Json(report))
}

/// Sends the store as one stream. A failure on the way cuts the answer off, and its end is missing.
pub(super) async fn copy(State(admin): State<Arc<Admin>>) -> Result<Response, Problem> {
    let kms = admin.kms()?;
    let (chunks, mut waiting) = mpsc::channel(limits::COPY_CHUNKS);
    info!("the store is being copied");
    tokio::task::spawn_blocking(move || {
        let mut sender = Sender { chunks, chunk: Vec::with_capacity(limits::COPY_CHUNK) };
        if let Err(error) = copy::write(kms.store(), &mut sender) {
            warn!(%error, "the copy of the store is not whole");
            let _ = sender.chunks.blocking_send(Err(io::Error::other(error.to_string())));
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| waiting.poll_recv(context));
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

/// Gives what is written to whoever sends it, in chunks, and waits while that is slower.
struct Sender {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= limits::COPY_CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(limits::COPY_CHUNK));
        self.chunks.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

pub(super) async fn rekey(
    State(admin): State<Arc<Admin>>,
    origin: Result<Json<Origin>, JsonRejection>,
) -> Result<Json<Progress>, Problem> {
    let hint = r#"send {"key-file": "/path"} or {"passphrase-file": "/path"} as application/json"#;
    let Json(origin) = origin.map_err(|rejection| Problem::body(&rejection, hint))?;
    let file = origin.file();
    if !file.is_absolute() {
        return Err(Problem {
            status: StatusCode::BAD_REQUEST,
            error: format!("{} is relative to nothing that the server knows", file.display()),
            hint: "name the file by its whole path".into(),
        });
    }
    let kms = admin.kms()?;
    let begun = tokio::task::spawn_blocking(move || {
        let (key, note) = Given::read(&origin).and_then(|given| given.new_key()).map_err(bad_key)?;
        kms.rekey(key, KeyNote { origin: Some(origin), ..note })?;
        Ok::<_, Problem>(kms.rekey_progress())
    });
    begun.await.map_err(|_| Problem::defect())?.map(Json)
}

/// What the request names is no key.
fn bad_key(failure: Failure) -> Problem {
    let error = failure.into_parts().0;
    let hint = "name a file on the server's machine that its user alone can read; `kms-server store new-key FILE` makes one";
    Problem { status: StatusCode::BAD_REQUEST, error, hint: hint.into() }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (what, hint) = (error.to_string(), error.hint().into());
        Self { status: StatusCode::SERVICE_UNAVAILABLE, error: what, hint }
    }
}

impl From<RekeyError> for Problem {
    fn from(error: RekeyError) -> Self {
        let (status, hint) = match &error {
            RekeyError::Running => {
                (StatusCode::CONFLICT, "wait until it is done: `kms-server ctl store status`")
            }
            RekeyError::Same(_) => {
                (StatusCode::CONFLICT, "give a new key: `kms-server store new-key FILE` makes one")
            }
            RekeyError::Store(error) => (StatusCode::SERVICE_UNAVAILABLE, error.hint()),
            RekeyError::Seal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the server's log says more"),
        };
        Self { status, error: error.to_string(), hint: hint.into() }
    }
}
