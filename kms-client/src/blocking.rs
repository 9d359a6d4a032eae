//! The same client for code that is not async.

use core::future::Future;

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
use kms_protocol::{DateTime, Secret, Version};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::agreement::Agreement;
use crate::certificates::Certificate;
use crate::client::each_operation;
use crate::decrypt::WrappedKey;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::keys::IssuedKey;
use crate::rotation::{Finding, KnownKey};

/// A client whose methods return when they are done. It must not be used on a thread of an async runtime, those of
/// `spawn_blocking` included, which cannot be told from the others: there the async client and `Handle::block_on` do.
///
/// ```no_run
/// # fn example() -> Result<(), kms_client::Error> {
/// let profile = kms_client::Profile::load(".kms-dev/client.toml".as_ref())?;
/// let client = kms_client::blocking::Client::new(profile.builder().build()?)?;
/// let key = client.request_key("nightly", kms_client::KeySpec::Rsa4096)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    client: crate::Client,
    /// There until the client is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Client {
    fn drop(&mut self) {
        // A runtime that is simply dropped waits for its threads, and panics where that would stall async code.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($request:ident);)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`crate::Client::call`].
                pub fn $name(&self, request: &$request) -> Result<<$request as Request>::Response, Error> {
                    self.wait(self.client.$name(request))?
                }
            )*
        }
    };
}

each_operation!(operations);

impl Client {
    /// Wraps a client, with a runtime of its own on the caller's thread.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub fn new(client: crate::Client) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            Error::settings(format!("no runtime can be made: {error}"), "check the limits of this process")
        })?;
        Ok(Self { client, runtime: Some(runtime) })
    }

    /// The wrapped client.
    #[must_use]
    pub fn as_async(&self) -> &crate::Client {
        &self.client
    }

    /// See [`crate::Client::version`].
    ///
    /// # Errors
    /// See [`crate::Client::version`].
    pub fn version(&self) -> Result<Version, Error> {
        self.wait(self.client.version())?
    }

    /// See [`crate::Client::call`].
    ///
    /// # Errors
    /// See [`crate::Client::call`].
    pub fn call<R: Request>(&self, request: &R) -> Result<R::Response, Error> {
        self.wait(self.client.call(request))?
    }

    /// See [`crate::Client::batch`].
    pub fn batch<R: Request>(&self, requests: &[R]) -> Vec<Result<R::Response, Error>> {
        match self.wait(self.client.batch(requests)) {
            Ok(answers) => answers,
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// See [`crate::Client::request_key`].
    ///
    /// # Errors
    /// See [`crate::Client::request_key`].
    pub fn request_key(&self, name: &str, spec: KeySpec) -> Result<IssuedKey, Error> {
        self.wait(self.client.request_key(name, spec))?
    }

    /// See [`crate::Client::rotate_key`].
    ///
    /// # Errors
    /// See [`crate::Client::rotate_key`].
    pub fn rotate_key(&self, private_id: &str, spec: KeySpec) -> Result<IssuedKey, Error> {
        self.wait(self.client.rotate_key(private_id, spec))?
    }

    /// See [`crate::Client::find_key`].
    ///
    /// # Errors
    /// See [`crate::Client::find_key`].
    pub fn find_key(&self, name: &str, spec: KeySpec) -> Result<Option<IssuedKey>, Error> {
        self.wait(self.client.find_key(name, spec))?
    }

    /// See [`crate::Client::rotation_info`].
    ///
    /// # Errors
    /// See [`crate::Client::rotation_info`].
    pub fn rotation_info(&self, known: &[KnownKey]) -> Result<Vec<Finding>, Error> {
        self.wait(self.client.rotation_info(known))?
    }

    /// See [`crate::Client::rotation_info_since`].
    ///
    /// # Errors
    /// See [`crate::Client::rotation_info_since`].
    pub fn rotation_info_since(
        &self,
        known: &[KnownKey],
        since: DateTime,
        now: DateTime,
    ) -> Result<Vec<Finding>, Error> {
        self.wait(self.client.rotation_info_since(known, since, now))?
    }

    /// See [`crate::Client::decrypt_all`].
    pub fn decrypt_all(&self, wrapped: &[WrappedKey]) -> Vec<Result<Secret, Error>> {
        match self.wait(self.client.decrypt_all(wrapped)) {
            Ok(results) => results,
            Err(error) => wrapped.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// See [`crate::Client::agree_all`].
    pub fn agree_all(&self, agreements: &[Agreement]) -> Vec<Result<Secret, Error>> {
        match self.wait(self.client.agree_all(agreements)) {
            Ok(results) => results,
            Err(error) => agreements.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// See [`crate::Client::request_signing_key`].
    ///
    /// # Errors
    /// See [`crate::Client::request_signing_key`].
    pub fn request_signing_key(&self, name: &str) -> Result<IssuedKey, Error> {
        self.wait(self.client.request_signing_key(name))?
    }

    /// See [`crate::Client::sign_with`].
    ///
    /// # Errors
    /// See [`crate::Client::sign_with`].
    pub fn sign_with(&self, private_id: &str, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.wait(self.client.sign_with(private_id, data))?
    }

    /// See [`crate::Client::verify_with`].
    ///
    /// # Errors
    /// See [`crate::Client::verify_with`].
    pub fn verify_with(&self, public_id: &str, data: &[u8], signature: &[u8]) -> Result<bool, Error> {
        self.wait(self.client.verify_with(public_id, data, signature))?
    }

    /// See [`crate::Client::notifications`]. Between two calls of `next` nothing is taken or answered: a server that is not
    /// answered within its time ends the connection, and the next call makes another.
    ///
    /// # Errors
    /// On a thread of an async runtime.
    pub fn notifications(&self) -> Result<Notifications<'_>, Error> {
        let inner = self.wait(async { self.client.notifications() })?;
        Ok(Notifications { client: self, inner })
    }

    /// See [`crate::Client::keys_fetched`].
    #[must_use]
    pub fn keys_fetched(&self) -> u64 {
        self.client.keys_fetched()
    }

    /// See [`crate::Client::certificates`].
    ///
    /// # Errors
    /// See [`crate::Client::certificates`].
    pub fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        self.client.certificates()
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Error> {
        match &self.runtime {
            Some(runtime) if Handle::try_current().is_err() => Ok(runtime.block_on(future)),
            _ => Err(Error::settings(
                "the blocking client is used on a thread of an async runtime, which it would stall",
                "use kms_client::Client there; within spawn_blocking, by Handle::current().block_on",
            )),
        }
    }
}

/// What the server tells, for code that is not async.
#[derive(Debug)]
pub struct Notifications<'a> {
    client: &'a Client,
    inner: crate::Notifications,
}

impl Notifications<'_> {
    /// Waits for the next: see [`crate::Notifications::next`].
    ///
    /// # Errors
    /// See [`crate::Notifications::next`].
    #[expect(clippy::should_implement_trait, reason = "it never ends, as an iterator would")]
    pub fn next(&mut self) -> Result<crate::Notification, Error> {
        self.client.wait(self.inner.next())?
    }
}
