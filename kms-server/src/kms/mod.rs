//! The core: a request in, a response out. It opens no port, reads no clock and prints nothing.

mod batch;
pub mod check;
mod due;
pub mod lifecycle;
mod locate;
pub mod model;
mod new_object;
pub mod notes;
mod operations;
mod pairs;
pub mod policy;
mod refusal;
pub mod rekey;
mod rotation;

use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwap;
use kms_protocol::attribute::AttributeKind;
use kms_protocol::enums::Operation;
use kms_protocol::message::operations;
use kms_protocol::{DateTime, UniqueIdentifier, Version};

use crate::crypto;
use crate::crypto::{KeyCache, KeyPool, KeySpec, Keyring, PrivateKey, SealError, Secret, Workers};
use crate::limits;
use crate::store::{Store, StoreError};

pub use due::Fired;
pub use refusal::{Reason, Refusal};

use model::{Material, Object};
use policy::Policies;

/// The versions that the server speaks, its favourite first: all of a family, since who speaks one of them has to
/// speak those before it (1.4 section 6.1).
pub const VERSIONS: [Version; 7] =
    [Version::V2_1, Version::V2_0, Version::V1_4, Version::V1_3, Version::V1_2, Version::V1_1, Version::V1_0];

/// Who asks: what the transport has proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The owner of what the caller makes: from the certificate's subject, so that a renewed certificate keeps it.
    pub principal: String,
}

/// Where a request is best worked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Work {
    /// At once: it only reads.
    Inline,
    /// By a crypto worker: it uses a private key.
    Crypto,
    /// Where blocking is allowed: it waits for the disk.
    Blocking,
    /// Where many seconds are allowed: it may generate keys.
    Generating,
}

/// What the core is made of.
#[derive(Debug)]
pub struct Parts<S: ?Sized = dyn Store> {
    /// Where objects are kept.
    pub store: Arc<S>,
    /// Under what private keys are sealed there.
    pub keyring: Keyring,
    /// Where new pairs come from.
    pub pool: Arc<KeyPool>,
    /// Who works the items of a batch side by side.
    pub workers: Arc<Workers>,
}

/// The key management server without its edge.
pub struct Kms {
    store: Arc<dyn Store>,
    keyring: Keyring,
    pool: Arc<KeyPool>,
    workers: Arc<Workers>,
    keys: KeyCache,
    /// Itself, for work on other threads.
    me: Weak<Self>,
    policies: ArcSwap<Policies>,
    rekey: Mutex<rekey::Progress>,
}

impl Kms {
    /// A server on `parts`. Policies are adopted by [`Kms::adopt`].
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { store, keyring, pool, workers } = parts;
        let policies = ArcSwap::from_pointee(Policies::default());
        Arc::new_cyclic(|me| Self {
            store,
            keyring,
            pool,
            workers,
            keys: KeyCache::new(crypto::limits::PARSED_KEYS),
            me: me.clone(),
            policies,
            rekey: Mutex::default(),
        })
    }

    /// Where `request` is best worked, told from its operations alone.
    #[must_use]
    pub fn work(&self, request: &[u8]) -> Work {
        let mut items = 0;
        let work = operations(request).inspect(|_| items += 1).map(work_of).max().unwrap_or(Work::Inline);
        if work == Work::Inline && items > limits::INLINE { Work::Blocking } else { work }
    }

    /// The object that a request means, where it is the caller's.
    fn find(&self, id: Option<&UniqueIdentifier>, context: &Context<'_>) -> Result<Object, Refusal> {
        let id = context.resolve(id)?;
        self.fetch(&id)?
            .filter(|object| object.owner == context.caller.principal)
            .ok_or_else(Refusal::not_found)
    }

    fn fetch(&self, id: &str) -> Result<Option<Object>, StoreError> {
        let record = match self.store.fetch(id) {
            // What the store cannot have as an ID, it does not have.
            Err(StoreError::TooLarge { .. } | StoreError::Invalid { .. }) => None,
            other => other?,
        };
        record.map(|record| Object::from_record(id, &record)).transpose()
    }

    /// The private key of an object, parsed, from the cache where it is there.
    fn private_key(&self, object: &Object) -> Result<Arc<PrivateKey>, Refusal> {
        // Key material never changes under an identifier, so a cached key serves every revision.
        self.keys.find_or_load(&object.id, 0, || {
            let Some(Material::Sealed(sealed)) = &object.material else { return Err(no_key_value()) };
            let pkcs8 = self.unseal(&object.id, &sealed.0)?;
            Ok(PrivateKey::from_pkcs8(&pkcs8)?)
        })
    }

    /// Opens key material that was read as `sealed`.
    fn unseal(&self, id: &str, sealed: &[u8]) -> Result<Secret, Refusal> {
        match self.keyring.open(id, sealed) {
            // Between reading and opening, the store may have been sealed anew and the old key forgotten.
            Err(SealError::OtherKey { .. }) => match self.fetch(id)?.and_then(|object| object.material) {
                Some(Material::Sealed(again)) => Ok(self.keyring.open(id, &again.0)?),
                _ => Err(no_key_value()),
            },
            other => Ok(other?),
        }
    }

    /// Where objects are kept.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Under what private keys are sealed.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Makes pairs of these kinds ready before anybody asks.
    pub fn warm(&self, specs: &[KeySpec]) {
        for spec in specs {
            self.pool.warm(*spec);
        }
    }
}

fn no_key_value() -> Refusal {
    Refusal::new(Reason::NoKeyValue, "the server does not hold this object's key material (any more)")
}

fn work_of(operation: Operation) -> Work {
    match operation {
        Operation::Encrypt | Operation::Decrypt => Work::Crypto,
        Operation::Get
        | Operation::GetAttributes
        | Operation::GetAttributeList
        | Operation::Query
        | Operation::DiscoverVersions => Work::Inline,
        Operation::CreateKeyPair | Operation::RekeyKeyPair => Work::Generating,
        _ => Work::Blocking,
    }
}

/// What the items of one request share.
#[derive(Debug)]
struct Context<'a> {
    caller: &'a Caller,
    now: DateTime,
    version: Version,
    made: batch::Made,
    /// How many objects the Locates of the message have looked at.
    looked_at: usize,
}

impl Context<'_> {
    fn resolve(&self, id: Option<&UniqueIdentifier>) -> Result<String, Refusal> {
        self.made.resolve(id)
    }

    /// Whether the request's version has an attribute.
    fn has(&self, kind: AttributeKind) -> bool {
        kind.exists_in(self.version)
    }
}
