//! Tells others of events by HTTP, in order, again until they have taken each.
//!
//! A webhook holds nothing but the number of the last event that was taken, in a file. What comes behind it is read from
//! the audit log, so a webhook that is away for days costs no memory and misses nothing that is kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use aws_lc_rs::hmac;
use kms_certs::{Access, replace_file};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::audit::{Events, Told, Trail};
use crate::config;
use crate::failure::{Failure, Kind};
use crate::limits;
use crate::store_key::{only_owner_reads, read_secret};

/// The header that proves who sent an event: `sha256=` and the HMAC-SHA-256 of the body under the secret, in hexadecimal.
pub const SIGNATURE: &str = "KMS-Signature";

/// Webhooks at work. Dropping it stops them; what was not taken is sent after the next start.
#[derive(Debug)]
pub struct Webhooks {
    stop: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Webhooks {
    /// Starts to tell the webhooks of `configured` of what `trail` records. What each has taken is kept in `folder`;
    /// without one it begins with what happens from now on.
    ///
    /// # Errors
    /// [`Failure`] when a secret or an authority cannot be read.
    pub fn start(
        configured: &[config::Webhook],
        trail: &Arc<Trail>,
        folder: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut webhooks = Self { stop: Vec::new(), threads: Vec::new() };
        for hook in configured {
            let sender = Sender::new(hook, trail, folder)?;
            // Nothing is ever sent: the thread learns that this end is gone.
            let (stop, stopped) = sync_channel(0);
            let thread =
                thread::Builder::new().name("webhook".to_owned()).spawn(move || sender.run(&stopped));
            let thread = thread
                .map_err(|error| Failure::new(Kind::Other, format!("cannot start a thread: {error}")))?;
            webhooks.stop.push(stop);
            webhooks.threads.push(thread);
        }
        Ok(webhooks)
    }
}

/// Whether the secret and the authorities of a webhook can be read.
///
/// # Errors
/// [`Failure`] names the file.
pub fn check(hook: &config::Webhook) -> Result<(), Failure> {
    signer(&hook.secret_file)?;
    agent(hook.trusted.as_deref()).map(drop)
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.stop.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a webhook has taken.
#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    url: String,
    after: u64,
}

struct Sender {
    url: String,
    kinds: Vec<String>,
    key: hmac::Key,
    agent: Agent,
    trail: Arc<Trail>,
    file: Option<PathBuf>,
    after: u64,
    /// What the file says.
    kept: Option<u64>,
}

impl Sender {
    fn new(hook: &config::Webhook, trail: &Arc<Trail>, folder: Option<&Path>) -> Result<Self, Failure> {
        let url = hook.url.url.clone();
        let file = folder.map(|folder| {
            let name = hex::encode(crate::crypto::sha256(url.as_bytes()));
            folder.join(format!("webhook-{}.json", name.get(..16).unwrap_or_default()))
        });
        let last = trail.last();
        let after = match &file {
            Some(file) => {
                read_taken(file)?.filter(|taken| taken.url == url).map_or(last, |taken| taken.after)
            }
            None => last,
        };
        // A log that was begun anew counts from 1 again.
        let after = after.min(last);
        let kinds = hook.events.iter().map(|kind| kind.0.clone()).collect();
        let (key, agent) = (signer(&hook.secret_file)?, agent(hook.trusted.as_deref())?);
        let trail = Arc::clone(trail);
        let mut sender = Self { url, kinds, key, agent, trail, file, after, kept: None };
        sender.keep();
        Ok(sender)
    }

    /// Sends what comes until told to stop.
    fn run(mut self, stopped: &Receiver<()>) {
        let mut wait = limits::WEBHOOK_LOOK;
        let mut looks = 0;
        while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = limits::WEBHOOK_LOOK;
            looks = (looks + 1) % limits::WEBHOOK_LOOKS;
            if looks == 0 {
                self.keep();
            }
            let found = match self.trail.events(self.after) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, url = self.url, "the audit log does not tell what a webhook wants to know");
                    wait = limits::WEBHOOK_RETRY_MOST;
                    continue;
                }
            };
            if !self.pass_on(found, stopped) {
                break;
            }
        }
        self.keep();
    }

    /// Sends these events, each until it is taken; false once it is time to stop.
    fn pass_on(&mut self, found: Events, stopped: &Receiver<()>) -> bool {
        if let Some(lost) = found.lost_up_to {
            tracing::warn!(
                up_to = lost,
                url = self.url,
                "a webhook was away for so long that events are no longer kept"
            );
        }
        for told in &found.events {
            if self.wants(told) && !self.deliver(told, stopped) {
                return false;
            }
            self.after = told.n;
            if self.wants(told) {
                self.keep();
            }
        }
        self.after = found.next;
        true
    }

    fn wants(&self, told: &Told) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == told.event.kind())
    }

    fn deliver(&self, told: &Told, stopped: &Receiver<()>) -> bool {
        let Ok(body) = serde_json::to_vec(told) else { return true };
        let signature = format!("sha256={}", hex::encode(hmac::sign(&self.key, &body)));
        let mut wait = limits::WEBHOOK_RETRY;
        loop {
            let sent = self.agent.post(&self.url);
            let sent =
                sent.content_type("application/json").header(SIGNATURE, &signature).send(body.as_slice());
            let problem = match sent {
                Ok(answer) if answer.status().is_success() => return true,
                Ok(answer) => format!("it answered {}", answer.status()),
                Err(error) => error.to_string(),
            };
            tracing::warn!(url = self.url, event = told.n, problem, again_in = ?wait, "a webhook did not take an event");
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return false;
            }
            wait = (wait * 2).min(limits::WEBHOOK_RETRY_MOST);
        }
    }

    /// Notes what was taken. Where that fails, an event may be sent twice after a restart.
    fn keep(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.kept != Some(self.after)) else { return };
        let taken = Taken { url: self.url.clone(), after: self.after };
        let written = serde_json::to_vec(&taken)
            .map_err(|error| error.to_string())
            .and_then(|json| replace_file(file, &json, Access::Private).map_err(|error| error.to_string()));
        match written {
            Ok(()) => self.kept = Some(self.after),
            Err(error) => tracing::warn!(error, url = self.url, "what a webhook has taken cannot be noted"),
        }
    }
}

fn read_taken(file: &Path) -> Result<Option<Taken>, Failure> {
    let bad = |cause: String| {
        Failure::new(
            Kind::State,
            format!("cannot read what a webhook has taken in {}: {cause}", file.display()),
        )
        .hint("delete the file, and the webhook is told of what happens from then on")
    };
    match fs::read(file) {
        Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// The key that signs, from the file of a secret: what it holds, less white space at both ends.
fn signer(file: &Path) -> Result<hmac::Key, Failure> {
    let bad = |cause: String| {
        Failure::new(Kind::Config, format!("cannot read a webhook's secret in {}: {cause}", file.display()))
            .hint("make one with `openssl rand -hex 32`, readable by the server's user alone")
    };
    only_owner_reads(file)?;
    let text = read_secret(file)?;
    let secret = text.trim().as_bytes();
    if !limits::WEBHOOK_SECRET.contains(&secret.len()) {
        let (least, most) = (limits::WEBHOOK_SECRET.start(), limits::WEBHOOK_SECRET.end());
        return Err(bad(format!("it has {} bytes, and needs {least} to {most}", secret.len())));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

fn agent(trusted: Option<&Path>) -> Result<Agent, Failure> {
    let mut builder = Agent::config_builder()
        .timeout_global(Some(limits::WEBHOOK_ANSWER))
        .http_status_as_error(false)
        // Where events go is what the configuration says, and nobody else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None);
    if let Some(file) = trusted {
        let bad = |cause: String| {
            Failure::new(Kind::Config, format!("{} holds no authorities: {cause}", file.display()))
                .hint("name a PEM file of certificates as `trusted`")
        };
        let pem = fs::read(file).map_err(|error| bad(error.to_string()))?;
        let roots: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if roots.is_empty() {
            return Err(bad("there is no certificate in it".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider);
        builder = builder.tls_config(tls.build());
    }
    Ok(builder.build().into())
}
