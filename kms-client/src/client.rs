//! The client: one method for each operation, any request, and many at once.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use kms_protocol::Version;
use kms_protocol::enums::ResultReason;
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, DecryptRequest, DeriveKeyRequest, DestroyRequest,
    DiscoverVersionsRequest, EncryptRequest, GetAttributeListRequest, GetAttributesRequest, GetRequest,
    LocateRequest, QueryRequest, RegisterRequest, RekeyKeyPairRequest, Request, RevokeRequest, SignRequest,
    SignatureVerifyRequest,
};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::certificates::{self, Certificate};
use crate::endpoints::{Endpoints, Failure, Message, Reply};
use crate::error::{Error, Step};
use crate::message::{Answer, EncodedItem, encode, is_repeatable, read_answer, read_payload};
use crate::profile::{Builder, Options};
use crate::tls::{Identity, Seen};

/// A client of one KMS. Cheap to clone; clones share their connections.
///
/// ```no_run
/// # async fn example() -> Result<(), kms_client::Error> {
/// use kms_client::{Client, KeySpec};
///
/// let client = Client::builder("kms.example.com:5696")
///     .ca_file("ca.pem")
///     .identity_files("client.pem", "client.key")
///     .build()?;
/// let key = client.request_key("nightly", KeySpec::Rsa4096).await?;
/// assert!(!key.public_key_spki.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) endpoints: Endpoints,
    pub(crate) options: Options,
    version: OnceCell<Version>,
    next_id: AtomicU32,
    /// The most batch items that the server has shown to take.
    pub(crate) batch_limit: AtomicUsize,
    pub(crate) keys_fetched: AtomicU64,
    identity: Option<Arc<Identity>>,
    seen: Vec<(String, Seen)>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($request:ident);)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Client::call`].
                pub async fn $name(
                    &self,
                    request: &$request,
                ) -> Result<<$request as Request>::Response, Error> {
                    self.call(request).await
                }
            )*
        }
    };
}

/// The operations, each with its request: one method of every client.
macro_rules! each_operation {
    ($make:ident) => {
        $make! {
            /// Has the server make a key pair (KMIP 1.4 section 4.2). Never repeated.
            create_key_pair(CreateKeyPairRequest);
            /// Has the server make a successor of a key pair (KMIP 1.4 section 4.5). Never repeated.
            rekey_key_pair(RekeyKeyPairRequest);
            /// Makes a Pre-Active object Active (KMIP 1.4 section 4.19).
            activate(ActivateRequest);
            /// Finds objects by their attributes (KMIP 1.4 section 4.9). Servers may return more than was asked for.
            locate(LocateRequest);
            /// Returns an object itself (KMIP 1.4 section 4.11).
            get(GetRequest);
            /// Returns attributes of an object (KMIP 1.4 section 4.12).
            get_attributes(GetAttributesRequest);
            /// Returns the names of an object's attributes (KMIP 1.4 section 4.13).
            get_attribute_list(GetAttributeListRequest);
            /// Has the server encrypt (KMIP 1.4 section 4.29).
            encrypt(EncryptRequest);
            /// Has the server make a key of another (KMIP 1.4 section 4.6). Never repeated. [`Client::agree_all`] does more.
            derive_key(DeriveKeyRequest);
            /// Gives an object that was made elsewhere into the server's keeping (KMIP 1.4 section 4.3). Never repeated.
            register(RegisterRequest);
            /// Has the server sign (KMIP 1.4 section 4.31).
            sign(SignRequest);
            /// Asks the server whether a signature is valid (KMIP 1.4 section 4.32).
            signature_verify(SignatureVerifyRequest);
            /// Has the server decrypt (KMIP 1.4 section 4.30). [`Client::decrypt_all`] does more.
            decrypt(DecryptRequest);
            /// Deactivates an object, or marks it compromised (KMIP 1.4 section 4.20).
            revoke(RevokeRequest);
            /// Destroys an object's key material (KMIP 1.4 section 4.21).
            destroy(DestroyRequest);
            /// Asks what the server can do (KMIP 1.4 section 4.25).
            query(QueryRequest);
            /// Asks which versions the server speaks (KMIP 1.4 section 4.26).
            discover_versions(DiscoverVersionsRequest);
        }
    };
}
pub(crate) use each_operation;

each_operation!(operations);

impl Client {
    /// Settings of a client whose first server is `address`, as `host:port`.
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new().server(address)
    }

    /// Settings of a client without a server yet: see [`Builder::over`].
    pub fn builder_over(server: Box<dyn crate::tls::Connect>) -> Builder {
        Builder::new().over(server)
    }

    pub(crate) fn new(
        endpoints: Endpoints,
        options: Options,
        identity: Option<Arc<Identity>>,
        seen: Vec<(String, Seen)>,
    ) -> Self {
        let inner = Inner {
            endpoints,
            options,
            version: OnceCell::new(),
            next_id: AtomicU32::new(1),
            batch_limit: AtomicUsize::new(options.batch),
            keys_fetched: AtomicU64::new(0),
            identity,
            seen,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks anything that the protocol crate can ask.
    ///
    /// What only reads or computes goes to the next server, or over a new connection, where one fails. Anything else is
    /// sent at most once: where its answer is lost the error is [`Error::OutcomeUnknown`].
    ///
    /// # Errors
    /// When no server can be reached and trusted in time, the server says no, or its answer makes no sense.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        let deadline = self.inner.deadline();
        let version = self.version_until(deadline).await?;
        self.call_in(request, version, deadline).await
    }

    /// The protocol version in use, agreed with the server on the first call.
    ///
    /// # Errors
    /// When the server cannot be asked, or speaks no version that this client does.
    pub async fn version(&self) -> Result<Version, Error> {
        self.version_until(self.inner.deadline()).await
    }

    /// The same. Of many callers one asks: the others wait for it, each until its own deadline.
    pub(crate) async fn version_until(&self, deadline: Instant) -> Result<Version, Error> {
        let agreed = self.inner.version.get_or_try_init(|| self.agree(deadline));
        match timeout_at(deadline, agreed).await {
            Ok(agreed) => agreed.copied(),
            Err(_) => Err(Error::TimedOut {
                address: self.inner.endpoints.first_address().to_owned(),
                step: Step::Answer,
                after: self.inner.options.deadline,
            }),
        }
    }

    /// Asks for the server's versions in ours, oldest last, until it understands the question.
    async fn agree(&self, deadline: Instant) -> Result<Version, Error> {
        let wanted = self.inner.options.version;
        let mut offered =
            vec![wanted, Version::V1_4, Version::V1_3, Version::V1_2, Version::V1_1, Version::V1_0];
        offered.sort_by_key(|version| core::cmp::Reverse((*version == wanted, *version)));
        offered.dedup();
        let request = DiscoverVersionsRequest { versions: offered.clone() };
        let mut asked = Vec::new();
        for version in [wanted, Version::V1_4, Version::V1_2, Version::V1_1, Version::V1_0] {
            if asked.contains(&version) {
                continue;
            }
            asked.push(version);
            match self.call_in(&request, version, deadline).await {
                Ok(answer) => {
                    let common = offered.iter().find(|version| answer.versions.contains(version));
                    return common.copied().ok_or(Error::NoCommonVersion { offered });
                }
                Err(Error::Refused(refusal)) => {
                    tracing::debug!(%version, %refusal, "the server does not tell its versions");
                    if matches!(
                        refusal.reason,
                        Some(ResultReason::OperationNotSupported | ResultReason::PermissionDenied)
                    ) && !version.is_2x()
                    {
                        return Ok(version);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Version::V1_4)
    }

    async fn call_in<R: Request>(
        &self,
        request: &R,
        version: Version,
        deadline: Instant,
    ) -> Result<R::Response, Error> {
        let item = EncodedItem::new(request, self.inner.ids(1), version);
        let asked = [&item];
        let reply = self.inner.send(&asked, version, deadline).await?;
        let unsure = |error| self.inner.unsure(&asked, error);
        let answer = read_answer(reply.bytes.expose(), &asked, version).map_err(unsure)?;
        let response = match answer {
            Answer::Whole(refusal) => Err(Error::refused(*refusal)),
            Answer::Each(answers) => match answers.into_iter().next().flatten() {
                Some(answer) => read_payload::<R>(answer, &item, version),
                None => Err(Error::protocol("it answered nothing")),
            },
        };
        match response {
            Err(error @ Error::Protocol { .. }) => Err(unsure(error)),
            response => {
                reply.accept();
                response
            }
        }
    }

    /// How many private keys this client has fetched, since it was made, to decrypt here what the KMS could not.
    #[must_use]
    pub fn keys_fetched(&self) -> u64 {
        self.inner.keys_fetched.load(Ordering::Relaxed)
    }

    /// The certificates in use and when they expire: this client's, and each server's that has been connected to.
    ///
    /// # Errors
    /// When the client's certificate file can no longer be read.
    pub fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        certificates::all(self.inner.identity.as_deref(), &self.inner.seen)
    }
}

impl Inner {
    /// The first of `count` IDs for batch items.
    pub(crate) fn ids(&self, count: usize) -> u32 {
        self.next_id.fetch_add(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed)
    }

    /// Until when a call that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.deadline
    }

    /// Sends one message of these items, which all ask for the same operation.
    pub(crate) async fn send(
        &self,
        items: &[&EncodedItem],
        version: Version,
        deadline: Instant,
    ) -> Result<Reply, Error> {
        let message = Message {
            bytes: Arc::new(encode(items.iter().copied(), version)),
            items: u32::try_from(items.len()).unwrap_or(u32::MAX),
            repeatable: items.iter().all(|item| is_repeatable(item.operation)),
            deadline,
        };
        self.endpoints.exchange(&message).await.map_err(
            |Failure { error, sent }| {
                if sent { self.unsure(items, error) } else { error }
            },
        )
    }

    /// The error of a message that was sent: for what must not be repeated, that its outcome is not known.
    pub(crate) fn unsure(&self, items: &[&EncodedItem], error: Error) -> Error {
        match items.iter().find(|item| !is_repeatable(item.operation)) {
            Some(item) => Error::OutcomeUnknown { operation: item.operation, cause: Box::new(error) },
            None => error,
        }
    }
}
