//! The client: one method for each operation, any request, and many at once.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use kms_protocol::Version;
use kms_protocol::enums::ResultReason;
use kms_protocol::message::Authentication;
use kms_protocol::operation::{
    ActivateRequest, AddAttributeRequest, AdjustAttributeRequest, ArchiveRequest, CancelRequest,
    CertifyRequest, CheckRequest, CreateKeyPairRequest, CreateRequest, CreateSplitKeyRequest, DecryptRequest,
    DelegatedLoginRequest, DeleteAttributeRequest, DeriveKeyRequest, DestroyRequest, DiscoverVersionsRequest,
    EncryptRequest, ExportRequest, GetAttributeListRequest, GetAttributesRequest, GetConstraintsRequest,
    GetRequest, GetUsageAllocationRequest, HashRequest, ImportRequest, InteropRequest, JoinSplitKeyRequest,
    LocateRequest, LogRequest, LoginRequest, LogoutRequest, MacRequest, MacVerifyRequest,
    ModifyAttributeRequest, ObtainLeaseRequest, PingRequest, Pkcs11Request, PollRequest, ProcessRequest,
    QueryAsynchronousRequestsRequest, QueryRequest, ReProvisionRequest, RecertifyRequest, RecoverRequest,
    RegisterRequest, RekeyKeyPairRequest, RekeyRequest, Request, RevokeRequest, RngRetrieveRequest,
    RngSeedRequest, SetAttributeRequest, SetConstraintsRequest, SetDefaultsRequest, SignRequest,
    SignatureVerifyRequest, ValidateRequest,
};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::certificates::{self, Certificate};
use crate::endpoints::{Endpoints, Failure, Message, Reply};
use crate::error::{Error, Step};
use crate::message::{Answer, EncodedItem, encode, read_answer, read_payload};
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
    /// What every request says of the client.
    pub(crate) authentication: Option<Arc<Authentication>>,
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
        /// Makes a symmetric key (KMIP 1.4 section 4.1). Never repeated.
                    create(CreateRequest);
                    /// Makes a key pair (KMIP 1.4 section 4.2). Never repeated. [`Client::request_key`] does more.
                    create_key_pair(CreateKeyPairRequest);
                    /// Gives an object that was made elsewhere into the server's keeping (KMIP 1.4 section 4.3). Never repeated.
                    register(RegisterRequest);
                    /// Makes a successor of a symmetric key (KMIP 1.4 section 4.4). Never repeated.
                    rekey(RekeyRequest);
                    /// Makes a successor of a key pair (KMIP 1.4 section 4.5). Never repeated. [`Client::rotate_key`] does more.
                    rekey_key_pair(RekeyKeyPairRequest);
                    /// Makes a key of another (KMIP 1.4 section 4.6). Never repeated. [`Client::agree_all`] does more.
                    derive_key(DeriveKeyRequest);
                    /// Makes a certificate for a public key (KMIP 1.4 section 4.7). Never repeated.
                    certify(CertifyRequest);
                    /// Makes a successor of a certificate (KMIP 1.4 section 4.8). Never repeated.
                    recertify(RecertifyRequest);
                    /// Finds objects by their attributes (KMIP 1.4 section 4.9). Servers may return more than was asked for.
                    locate(LocateRequest);
                    /// Asks whether an object may be used so (KMIP 1.4 section 4.10).
                    check(CheckRequest);
                    /// Returns an object itself (KMIP 1.4 section 4.11).
                    get(GetRequest);
                    /// Returns attributes of an object (KMIP 1.4 section 4.12).
                    get_attributes(GetAttributesRequest);
                    /// Returns the names of an object's attributes (KMIP 1.4 section 4.13).
                    get_attribute_list(GetAttributeListRequest);
                    /// Adds an attribute, or an instance of one (KMIP 1.4 section 4.14).
                    add_attribute(AddAttributeRequest);
                    /// Changes an attribute that is there (KMIP 1.4 section 4.15).
                    modify_attribute(ModifyAttributeRequest);
                    /// Takes an attribute away (KMIP 1.4 section 4.16).
                    delete_attribute(DeleteAttributeRequest);
                    /// Sets an attribute, whether or not it was there (KMIP 2.1 section 6.1.51).
                    set_attribute(SetAttributeRequest);
                    /// Changes an attribute by an amount (KMIP 2.1 section 6.1.3).
                    adjust_attribute(AdjustAttributeRequest);
                    /// Asks for how long an object may be used without asking again (KMIP 1.4 section 4.17).
                    obtain_lease(ObtainLeaseRequest);
                    /// Takes a part of what an object may still be used for (KMIP 1.4 section 4.18). Never repeated.
                    get_usage_allocation(GetUsageAllocationRequest);
                    /// Makes a Pre-Active object Active (KMIP 1.4 section 4.19).
                    activate(ActivateRequest);
                    /// Deactivates an object, or marks it compromised (KMIP 1.4 section 4.20).
                    revoke(RevokeRequest);
                    /// Destroys an object's key material (KMIP 1.4 section 4.21).
                    destroy(DestroyRequest);
                    /// Puts an object aside (KMIP 1.4 section 4.22).
                    archive(ArchiveRequest);
                    /// Gets an object back that was put aside (KMIP 1.4 section 4.23).
                    recover(RecoverRequest);
                    /// Asks whether certificates make a valid chain (KMIP 1.4 section 4.24).
                    validate(ValidateRequest);
                    /// Asks what the server can do (KMIP 1.4 section 4.25).
                    query(QueryRequest);
                    /// Asks which versions the server speaks (KMIP 1.4 section 4.26).
                    discover_versions(DiscoverVersionsRequest);
                    /// Gives up a request that is pending (KMIP 1.4 section 4.27).
                    cancel(CancelRequest);
                    /// Asks for the answer of a request that was pending (KMIP 1.4 section 4.28).
                    poll(PollRequest);
                    /// Encrypts at the server (KMIP 1.4 section 4.29).
                    encrypt(EncryptRequest);
                    /// Decrypts at the server (KMIP 1.4 section 4.30). [`Client::decrypt_all`] does more.
                    decrypt(DecryptRequest);
                    /// Signs at the server (KMIP 1.4 section 4.31).
                    sign(SignRequest);
                    /// Asks whether a signature is valid (KMIP 1.4 section 4.32).
                    signature_verify(SignatureVerifyRequest);
                    /// Makes a message authentication code (KMIP 1.4 section 4.33).
                    mac(MacRequest);
                    /// Asks whether a message authentication code is valid (KMIP 1.4 section 4.34).
                    mac_verify(MacVerifyRequest);
                    /// Asks for random bytes (KMIP 1.4 section 4.35).
                    rng_retrieve(RngRetrieveRequest);
                    /// Gives the server's random number generator something to stir in (KMIP 1.4 section 4.36).
                    rng_seed(RngSeedRequest);
                    /// Hashes at the server (KMIP 1.4 section 4.37).
                    hash(HashRequest);
                    /// Splits a key into parts (KMIP 1.4 section 4.38). Never repeated.
                    create_split_key(CreateSplitKeyRequest);
                    /// Makes a key of its parts (KMIP 1.4 section 4.39). Never repeated.
                    join_split_key(JoinSplitKeyRequest);
                    /// Returns an object with all of its attributes (KMIP 1.4 section 4.40).
                    export(ExportRequest);
                    /// Takes in an object with its identifier and all of its attributes (KMIP 1.4 section 4.41). Never repeated.
                    import(ImportRequest);
                    /// Writes a line into the server's log (KMIP 2.1 section 6.1.29).
                    log(LogRequest);
                    /// Begins a session (KMIP 2.1 section 6.1.30).
                    login(LoginRequest);
                    /// Ends a session (KMIP 2.1 section 6.1.31).
                    logout(LogoutRequest);
                    /// Begins a session for somebody else, with rights of its own (KMIP 2.1 section 6.1.12).
                    delegated_login(DelegatedLoginRequest);
                    /// Calls a function of PKCS#11 (KMIP 2.1 section 6.1.37). Never repeated.
                    pkcs11(Pkcs11Request);
                    /// Tells the server where a test of interoperability begins and ends (KMIP 2.1 section 6.1.26).
                    interop(InteropRequest);
                    /// Asks for new credentials (KMIP 2.1 section 6.1.48). Never repeated.
                    re_provision(ReProvisionRequest);
                    /// Sets what new objects have where requests say nothing (KMIP 2.1 section 6.1.53).
                    set_defaults(SetDefaultsRequest);
                    /// Sets what new objects have to keep to (KMIP 2.1 section 6.1.52).
                    set_constraints(SetConstraintsRequest);
                    /// Asks what new objects have to keep to (KMIP 2.1 section 6.1.22).
                    get_constraints(GetConstraintsRequest);
                    /// Asks which requests are pending (KMIP 2.1 section 6.1.41).
                    query_asynchronous_requests(QueryAsynchronousRequestsRequest);
                    /// Has pending requests worked now (KMIP 2.1 section 6.1.39).
                    process(ProcessRequest);
                    /// Asks whether the server is there (KMIP 2.1 section 6.1.36).
                    ping(PingRequest);
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
        authentication: Option<Authentication>,
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
            authentication: authentication.map(Arc::new),
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
            bytes: Arc::new(encode(items.iter().copied(), self.authentication.as_ref(), version)),
            items: u32::try_from(items.len()).unwrap_or(u32::MAX),
            repeatable: items.iter().all(|item| item.repeatable),
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
        match items.iter().find(|item| !item.repeatable) {
            Some(item) => Error::OutcomeUnknown { operation: item.operation, cause: Box::new(error) },
            None => error,
        }
    }
}
