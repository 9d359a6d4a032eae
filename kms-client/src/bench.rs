//! A load generator for any KMIP server: how many operations a second, and how long each takes.
//!
//! It is cheap itself, since it shares the machine with the server it measures: each connection sends one request that
//! was encoded beforehand, and looks at what came back only as far as needed to know that it is the answer and says
//! Success. The first answer on each connection is read in full and compared with what it ought to be.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::sync::Arc;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use hdrhistogram::Histogram;
use kms_protocol::attribute::{Attribute, CryptographicParameters, Name, RevocationReason};
use kms_protocol::enums::{HashingAlgorithm, KeyFormatType, ObjectType, ResultStatus, RevocationReasonCode};
use kms_protocol::message::ResponseMessage;
use kms_protocol::operation::{
    CreateKeyPairRequest, CreateKeyPairResponse, DecryptRequest, DecryptResponse, DestroyRequest, GetRequest,
    GetResponse, LocateResponse, RevokeRequest,
};
use kms_protocol::ttlv::{Bytes, Value as _};
use kms_protocol::{Secret, Version};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::RandomizedEncryptor as _;
use serde::Serialize;
use sha1::Sha1;
use sha2::Sha256;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::client::Client;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::keys::{IssuedKey, PUBLIC_SUFFIX, locate_by};
use crate::limits;
use crate::message::{EncodedItem, encode};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Operation {
    /// Decrypt, with RSA-OAEP.
    Decrypt,
    /// Get of the public key.
    Get,
    /// Locate of the public key, by its name.
    Locate,
    /// Create Key Pair of the pair's kind. What it makes is destroyed at the end.
    Create,
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "decrypt" => Ok(Self::Decrypt),
            "get" => Ok(Self::Get),
            "locate" => Ok(Self::Locate),
            "create" => Ok(Self::Create),
            _ => Err(format!("{text:?} is none of decrypt, get, locate, create")),
        }
    }
}

/// OAEP's hash and its mask's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Oaep {
    /// SHA-256 for both.
    #[default]
    Sha256,
    /// SHA-1 for both.
    Sha1,
    /// SHA-256 with a mask of SHA-1: what a request means that states SHA-256 and no mask hash.
    Sha256DefaultMask,
}

impl FromStr for Oaep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha1" => Ok(Self::Sha1),
            "sha256-default-mask" => Ok(Self::Sha256DefaultMask),
            _ => Err(format!("{text:?} is none of sha256, sha1, sha256-default-mask")),
        }
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The operation.
    pub operation: Operation,
    /// How many connections, each with one request under way.
    pub connections: usize,
    /// How long, after a start of half a second that is not counted.
    pub duration: Duration,
    /// Operations a second, all connections together; as many as the server does where nothing is said. Latency then
    /// counts from when a request was due, so that a server that stalls cannot hide it.
    pub rate: Option<f64>,
    /// The key pair that is made for it.
    pub spec: KeySpec,
    /// How Decrypt is asked.
    pub oaep: Oaep,
    /// Batch items in one message.
    pub batch: usize,
}

impl Plan {
    /// One connection, ten seconds, RSA-2048.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            connections: 1,
            duration: Duration::from_secs(10),
            rate: None,
            spec: KeySpec::Rsa2048,
            oaep: Oaep::default(),
            batch: 1,
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The operation.
    pub operation: Operation,
    /// The modulus of the key.
    pub bits: i32,
    /// How Decrypt was asked.
    pub oaep: Oaep,
    /// Connections.
    pub connections: usize,
    /// Batch items in one message.
    pub batch: usize,
    /// Operations a second asked for.
    pub rate: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// Operations that succeeded.
    pub operations: u64,
    /// Messages that failed.
    pub errors: u64,
    /// The first failure.
    pub first_error: Option<String>,
    /// Operations that succeeded, a second.
    pub per_second: f64,
    /// How long a message took, in microseconds.
    pub latency: Latency,
}

/// A distribution, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// The shortest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// 90 of 100 were no longer.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}: {:.0}/s over {} connections ({} in {:.1} s, {} failed), p50 {} µs, p99 {} µs, max {} µs",
            self.operation,
            self.per_second,
            self.connections,
            self.operations,
            self.seconds,
            self.errors,
            self.latency.p50,
            self.latency.p99,
            self.latency.max
        )
    }
}

/// The start that is not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(500);

/// Latencies are kept to three digits, up to a minute.
const LONGEST: u64 = 60_000_000;

/// Makes a key pair, loads the client's first server with one operation, destroys the pair.
///
/// # Errors
/// When the key pair cannot be made, no connection can be opened, or an answer is not the right one.
pub async fn run(client: &Client, plan: &Plan) -> Result<Report, Error> {
    let name = format!("bench-{}", Uuid::new_v4());
    let key = client.request_key(&name, plan.spec).await?;
    let report = measure(client, plan, &key, &name).await;
    if plan.operation == Operation::Create {
        discard_created(client, &name).await;
    }
    discard(client, &key).await;
    report
}

/// What each connection sends, and what it ought to get.
struct Load {
    request: Secret,
    ids: Vec<[u8; 4]>,
    expected: Expected,
    version: Version,
}

enum Expected {
    Plaintext(Vec<u8>),
    Key(String),
    Hit(String),
    Created,
}

async fn measure(client: &Client, plan: &Plan, key: &IssuedKey, name: &str) -> Result<Report, Error> {
    let load = Arc::new(load(client, plan, key, name).await?);
    let connections = plan.connections.max(1);
    let begin = Instant::now() + WARM_UP;
    let schedule = Schedule {
        begin,
        end: begin + plan.duration.min(limits::ENDLESS),
        every: plan.rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate.max(0.001))),
    };
    let mut running = JoinSet::new();
    for _ in 0..connections {
        running.spawn(one_connection(client.clone(), Arc::clone(&load), schedule));
    }
    let mut total = Tally::new()?;
    while let Some(done) = running.join_next().await {
        let tally =
            done.map_err(|error| Error::protocol(format!("a connection's task ended: {error}")))??;
        total.add(&tally);
    }
    Ok(total.report(plan))
}

async fn load(client: &Client, plan: &Plan, key: &IssuedKey, name: &str) -> Result<Load, Error> {
    let version = client.version().await?;
    let count = plan.batch.clamp(1, kms_protocol::limits::BATCH);
    let first = client.inner.ids(count);
    let ids = (0..).take(count).map(|at| first.wrapping_add(at));
    let plaintext = vec![0x5A; 32];
    let (items, expected): (Vec<_>, _) = match plan.operation {
        Operation::Decrypt => {
            let ciphertext = encrypt(key, plan.oaep, &plaintext)?;
            let request = decrypt_request(key, plan.oaep, ciphertext);
            (ids.map(|id| EncodedItem::new(&request, id, version)).collect(), Expected::Plaintext(plaintext))
        }
        Operation::Get => {
            let request = GetRequest {
                unique_identifier: Some(key.public_id.as_str().into()),
                key_format_type: Some(KeyFormatType::X509),
                ..GetRequest::default()
            };
            (
                ids.map(|id| EncodedItem::new(&request, id, version)).collect(),
                Expected::Key(key.public_id.clone()),
            )
        }
        Operation::Locate => {
            let by = Attribute::Name(Name::text(format!("{name}{PUBLIC_SUFFIX}")));
            let request = locate_by(by, ObjectType::PublicKey);
            (
                ids.map(|id| EncodedItem::new(&request, id, version)).collect(),
                Expected::Hit(key.public_id.clone()),
            )
        }
        Operation::Create => {
            let request = create_request(plan.spec, name);
            (ids.map(|id| EncodedItem::new(&request, id, version)).collect(), Expected::Created)
        }
    };
    let ids = items.iter().map(|item: &EncodedItem| item.id.to_be_bytes()).collect();
    Ok(Load {
        request: encode(items.iter(), client.inner.authentication.as_ref(), version),
        ids,
        expected,
        version,
    })
}

/// Pairs without Names, which would have to be different ones, in a group by which they are found afterwards.
fn create_request(spec: KeySpec, group: &str) -> CreateKeyPairRequest {
    let usage = |mask| vec![Attribute::CryptographicUsageMask(mask)].into();
    let mut common = spec.attributes();
    common.push(Attribute::ObjectGroup(created_group(group)));
    let [private, public] = spec.usage();
    CreateKeyPairRequest {
        common: common.into(),
        private_key: usage(private),
        public_key: usage(public),
        ..CreateKeyPairRequest::default()
    }
}

fn created_group(name: &str) -> String {
    format!("{name}-created")
}

fn decrypt_request(key: &IssuedKey, oaep: Oaep, ciphertext: Vec<u8>) -> DecryptRequest {
    let parameters = match oaep {
        Oaep::Sha256 => CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha256),
        Oaep::Sha1 => CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha1, HashingAlgorithm::Sha1),
        Oaep::Sha256DefaultMask => CryptographicParameters {
            mask_generator: None,
            mask_generator_hashing_algorithm: None,
            ..CryptographicParameters::rsa_oaep(HashingAlgorithm::Sha256, HashingAlgorithm::Sha1)
        },
    };
    DecryptRequest {
        unique_identifier: Some(key.private_id.as_str().into()),
        cryptographic_parameters: Some(parameters),
        data: Some(Bytes(ciphertext)),
        ..DecryptRequest::default()
    }
}

fn encrypt(key: &IssuedKey, oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let unusable =
        || Error::Key { id: key.public_id.clone(), why: "it does not encrypt with RSA-OAEP".to_owned() };
    let algorithm = match oaep {
        Oaep::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Oaep::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Oaep::Sha256DefaultMask => {
            let public = rsa::PublicKey::from_public_key_der(&key.public_key_spki).map_err(|_| unusable())?;
            return rsa::oaep::EncryptingKey::<Sha256, Sha1>::new(public)
                .encrypt_with_rng(&mut getrandom::SysRng, plaintext)
                .map_err(|_| unusable());
        }
    };
    let public = PublicEncryptingKey::from_der(&key.public_key_spki)
        .and_then(|key| Ok(OaepPublicEncryptingKey::new(key)?))
        .map_err(|_| unusable())?;
    let mut room = vec![0; public.ciphertext_size()];
    let ciphertext = public.encrypt(algorithm, plaintext, &mut room, None).map_err(|_| unusable())?;
    Ok(ciphertext.to_vec())
}

/// When requests are sent and counted.
#[derive(Clone, Copy)]
struct Schedule {
    begin: Instant,
    end: Instant,
    /// How far apart the requests of one connection are due.
    every: Option<Duration>,
}

async fn one_connection(client: Client, load: Arc<Load>, schedule: Schedule) -> Result<Tally, Error> {
    let mut tally = Tally::new()?;
    let mut connection = client.inner.endpoints.connect_first().await?;
    let answer = connection.exchange(load.request.expose(), Instant::now() + limits::DEADLINE).await?;
    load.check_in_full(&answer)?;
    let mut due = Instant::now();
    loop {
        let start = match schedule.every {
            Some(every) => {
                due += every;
                sleep_until(due).await;
                due
            }
            None => Instant::now(),
        };
        if start >= schedule.end {
            return Ok(tally);
        }
        let answer = connection.exchange(load.request.expose(), start + limits::DEADLINE).await;
        let took = Instant::now().saturating_duration_since(start);
        let result = answer.and_then(|answer| load.check(&answer));
        let failed = result.is_err();
        if start >= schedule.begin {
            tally.count(result.map(|()| load.ids.len()), took);
        }
        if failed {
            connection = client.inner.endpoints.connect_first().await?;
        }
    }
}

impl Load {
    /// Whether it is the answer and says Success for every item.
    fn check(&self, answer: &Secret) -> Result<(), Error> {
        let message = ResponseMessage::read(answer.expose())
            .map_err(|error| Error::protocol(format!("in its answer: {error}")))?;
        if message.items.len() != self.ids.len() {
            return Err(Error::protocol("it answered another number of items than asked"));
        }
        for item in &message.items {
            let asked = item
                .unique_batch_item_id
                .as_ref()
                .is_some_and(|id| self.ids.iter().any(|asked| asked.as_slice() == id.0.as_slice()));
            if item.result_status != ResultStatus::Success {
                let said = item.result_message.clone().unwrap_or_default();
                return Err(Error::protocol(format!("it did not succeed: {:?} {said}", item.result_reason)));
            }
            if !asked || item.payload.is_none() {
                return Err(Error::protocol("it answered something else"));
            }
        }
        Ok(())
    }

    /// The same, and that every payload is what it ought to be.
    fn check_in_full(&self, answer: &Secret) -> Result<(), Error> {
        self.check(answer)?;
        let malformed = |error| Error::protocol(format!("in its answer: {error}"));
        let message = ResponseMessage::read(answer.expose()).map_err(malformed)?;
        if message.header.protocol_version != self.version {
            return Err(Error::protocol("it answered in another version"));
        }
        for payload in message.items.into_iter().filter_map(|item| item.payload) {
            let right = match &self.expected {
                Expected::Plaintext(plaintext) => {
                    let answer = DecryptResponse::read(payload).map_err(malformed)?;
                    answer.data.is_some_and(|data| data.expose() == plaintext)
                }
                Expected::Key(id) => {
                    let answer = GetResponse::read(payload).map_err(malformed)?;
                    answer.unique_identifier == *id && answer.object.key_bytes().is_some()
                }
                Expected::Created => {
                    let made = CreateKeyPairResponse::read(payload).map_err(malformed)?;
                    made.private_key_unique_identifier != made.public_key_unique_identifier
                }
                Expected::Hit(id) => {
                    LocateResponse::read(payload).map_err(malformed)?.unique_identifiers == [id.as_str()]
                }
            };
            if !right {
                return Err(Error::protocol("its answer is well-formed but wrong"));
            }
        }
        Ok(())
    }
}

/// What one connection, or all of them, counted.
struct Tally {
    latency: Histogram<u64>,
    operations: u64,
    errors: u64,
    first_error: Option<String>,
}

impl Tally {
    fn new() -> Result<Self, Error> {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3)
            .map_err(|error| Error::settings(error.to_string(), "this is a fault of the program"))?;
        Ok(Self { latency, operations: 0, errors: 0, first_error: None })
    }

    fn count(&mut self, result: Result<usize, Error>, took: Duration) {
        match result {
            Ok(operations) => {
                self.operations += operations as u64;
                self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST));
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
        // Both have the same bounds, so that this cannot fail.
        let _ = self.latency.add(&other.latency);
    }

    fn report(&self, plan: &Plan) -> Report {
        let seconds = plan.duration.as_secs_f64();
        let latency = &self.latency;
        Report {
            operation: plan.operation,
            bits: plan.spec.bits(),
            oaep: plan.oaep,
            connections: plan.connections.max(1),
            batch: plan.batch,
            rate: plan.rate,
            seconds,
            operations: self.operations,
            errors: self.errors,
            first_error: self.first_error.clone(),
            per_second: self.operations as f64 / seconds.max(f64::MIN_POSITIVE),
            latency: Latency {
                min: latency.min(),
                mean: latency.mean(),
                p50: latency.value_at_quantile(0.5),
                p90: latency.value_at_quantile(0.9),
                p99: latency.value_at_quantile(0.99),
                p999: latency.value_at_quantile(0.999),
                max: latency.max(),
            },
        }
    }
}

/// Destroys the pairs that were made, which are Pre-Active. Each is looked at before: a server that ignores Locate's filter
/// answers with every key that there is.
async fn discard_created(client: &Client, name: &str) {
    for object_type in [ObjectType::PrivateKey, ObjectType::PublicKey] {
        let request = locate_by(Attribute::ObjectGroup(created_group(name)), object_type);
        let found = client.locate(&request).await.map(|found| found.unique_identifiers);
        let ids = found.unwrap_or_else(|error| {
            tracing::warn!(name, %error, "the benchmark's keys cannot be found again");
            Vec::new()
        });
        let group = Attribute::ObjectGroup(created_group(name));
        let views = client.views(&ids).await.into_iter();
        let ids: Vec<_> = views.flatten().filter(|view| view.has(&group)).map(|view| view.id).collect();
        for some in ids.chunks(limits::BATCH) {
            let destroy = |id: &String| DestroyRequest { unique_identifier: Some(id.as_str().into()) };
            let requests: Vec<_> = some.iter().map(destroy).collect();
            let failed = client.batch(&requests).await.into_iter().filter_map(Result::err).count();
            if failed > 0 {
                tracing::warn!(name, failed, "some of the benchmark's keys cannot be destroyed");
            }
        }
    }
}

/// Destroys the pair that was made. A server that does not let this client keeps it, under a name that says why it is
/// there.
async fn discard(client: &Client, key: &IssuedKey) {
    for id in [&key.private_id, &key.public_id] {
        let reason = RevocationReason { code: RevocationReasonCode::CessationOfOperation, message: None };
        let revoke = RevokeRequest {
            unique_identifier: Some(id.as_str().into()),
            revocation_reason: reason,
            compromise_occurrence_date: None,
        };
        if let Err(error) = client.revoke(&revoke).await {
            tracing::warn!(key = %id, %error, "the benchmark's key cannot be revoked");
        }
        if let Err(error) =
            client.destroy(&DestroyRequest { unique_identifier: Some(id.as_str().into()) }).await
        {
            tracing::warn!(key = %id, %error, "the benchmark's key cannot be destroyed");
        }
    }
}
