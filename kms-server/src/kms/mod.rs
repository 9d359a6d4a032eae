//! The core: a request in, a response out. It opens no port, reads no clock and prints nothing.

pub mod access;
mod adoption;
pub mod attributes;
mod authority;
mod batch;
mod certificates;
pub mod check;
mod constraints;
mod contained;
mod content;
pub mod credentials;
mod due;
mod event;
mod explain;
mod keep;
mod keys;
mod later;
pub mod lifecycle;
mod locate;
pub mod model;
mod new_object;
pub mod notes;
mod operations;
mod pairs;
pub mod planted;
pub mod policy;
mod recorded;
mod refusal;
pub mod rekey;
mod rotation;
mod rotations;
mod streams;
mod tell;
mod tickets;
mod together;
mod undo;
mod wrapping;

use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use kms_protocol::attribute::AttributeKind;
use kms_protocol::enums::Operation;
use kms_protocol::message::{Outcome, operations};
use kms_protocol::object::exists_in;
use kms_protocol::{DateTime, UniqueIdentifier, Version};

use crate::audit::{Record, Source, Trail};
use crate::crypto;
use crate::crypto::{KeyCache, KeyPool, Keyring, PrivateKey, SealError, Secret, Workers};
use crate::limits;
use crate::store::{Batch, Index, Keys, Scan, Store, StoreError};

pub use batch::refuse_all;
pub(crate) use batch::{failed, failure, nearest, stops};
pub use due::Round;
pub use event::{Cause, Event, Fired, Ids};
pub use keys::{KeyPage, KeyQuery, KeyView, Order, Rotated};
pub use refusal::{Reason, Refusal};
pub use tell::Telling;

use access::Verdict;
use adoption::Adoption;
use constraints::Rules;
use credentials::Proved;
use later::Later;
use model::{Material, Object};
use notes::is_object;
use operations::Seeds;
use policy::{Policies, Policy};
use recorded::By;
use streams::Streams;
use tickets::{TicketId, Tickets};

/// The versions that the server speaks, its favourite first: all of a family, since who speaks one of them has to
/// speak those before it (1.4 section 6.1).
pub const VERSIONS: [Version; 7] =
    [Version::V2_1, Version::V2_0, Version::V1_4, Version::V1_3, Version::V1_2, Version::V1_1, Version::V1_0];

/// Who asks: what the transport has proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The owner of what the caller makes: from the certificate's subject, so that a renewed certificate keeps it.
    pub principal: String,
    /// From where, if that is known.
    pub peer: Option<SocketAddr>,
    /// The serial number of the certificate that proved it; empty where none did.
    pub serial: Vec<u8>,
    /// The ticket that a request shows: then the principal is its holder, with its rights.
    ticket: Option<TicketId>,
}

impl Caller {
    /// A caller of whom no more than the name is known.
    #[must_use]
    pub fn named(principal: impl Into<String>) -> Self {
        Self { principal: principal.into(), peer: None, serial: Vec::new(), ticket: None }
    }
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
    /// Where what happens is recorded.
    pub trail: Arc<Trail>,
}

/// The key management server without its edge.
pub struct Kms {
    store: Arc<dyn Store>,
    keyring: Keyring,
    pool: Arc<KeyPool>,
    workers: Arc<Workers>,
    trail: Arc<Trail>,
    keys: KeyCache,
    /// Itself, for work on other threads.
    me: Weak<Self>,
    policies: ArcSwap<Policies>,
    /// Keys that are still to be filed under the policies in force.
    adoption: Mutex<Option<Adoption>>,
    /// Whether each key is filed under the policy that it belongs under.
    is_all_filed: AtomicBool,
    /// Records that cannot be read and were left out, the first [`limits::DAMAGED`] of them.
    damaged: Mutex<BTreeSet<String>>,
    rekey: Mutex<rekey::Progress>,
    /// Operations whose data comes in parts.
    streams: Mutex<Streams>,
    /// What clients have given to the generator of random numbers.
    seeds: Mutex<Seeds>,
    /// Requests whose answers come later.
    later: Later,
    /// Passwords that were found right.
    proved: Mutex<Proved>,
    /// What logins gave out.
    tickets: Mutex<Tickets>,
    /// Defaults and constraints, where they were read since they changed.
    rules: Mutex<Option<Arc<Vec<Rules>>>>,
}

impl Kms {
    /// A server on `parts`. Policies are adopted by [`Kms::adopt`].
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { store, keyring, pool, workers, trail } = parts;
        let policies = ArcSwap::from_pointee(Policies::default());
        Arc::new_cyclic(|me| Self {
            store,
            keyring,
            pool,
            workers,
            trail,
            keys: KeyCache::new(crypto::limits::PARSED_KEYS),
            me: me.clone(),
            policies,
            adoption: Mutex::default(),
            is_all_filed: AtomicBool::new(false),
            damaged: Mutex::default(),
            rekey: Mutex::default(),
            streams: Mutex::default(),
            seeds: Mutex::default(),
            later: Later::default(),
            proved: Mutex::default(),
            tickets: Mutex::default(),
            rules: Mutex::default(),
        })
    }

    /// Where `request` is best worked, told from its operations alone.
    #[must_use]
    pub fn work(&self, request: &[u8]) -> Work {
        let mut items = 0;
        let work = operations(request).inspect(|_| items += 1).map(work_of).max().unwrap_or(Work::Inline);
        // A password takes its time.
        let is_long = items > limits::INLINE || !self.policies.load().users.is_empty();
        if work == Work::Inline && is_long { Work::Blocking } else { work }
    }

    /// The object that a request means, where the caller may do with it what the request asks.
    fn find(&self, id: Option<&UniqueIdentifier>, context: &mut Context<'_>) -> Result<Object, Refusal> {
        let id = context.resolve(id)?;
        context.touch(&id, None);
        let object = self.fetch(&id)?.ok_or_else(Refusal::not_found)?;
        context.touch(&id, Some(&object.owner));
        match self.verdict(&object, context) {
            Verdict::Allowed if object.archive_date().is_some() && !works_archived(context.operation) => Err(
                Refusal::new(Reason::Archived, "the object is in the archive: ask for it by Recover first"),
            ),
            Verdict::Allowed => Ok(object),
            Verdict::Hidden => Err(Refusal::not_found()),
            Verdict::Denied => Err(denied(context)),
        }
    }

    /// Changes the object that a request means. Where another request changes it meanwhile, the item starts over.
    fn change(
        &self,
        id: Option<&UniqueIdentifier>,
        context: &mut Context<'_>,
        change: impl FnOnce(&mut Object) -> Result<Event, Refusal>,
    ) -> Result<Object, Refusal> {
        self.change_or_not(id, context, |object| change(object).map(Some))
    }

    /// The same, where those who follow the server need not hear of the change.
    fn change_or_not(
        &self,
        id: Option<&UniqueIdentifier>,
        context: &mut Context<'_>,
        change: impl FnOnce(&mut Object) -> Result<Option<Event>, Refusal>,
    ) -> Result<Object, Refusal> {
        let mut object = self.find(id, context)?;
        let settled = Event::settle(&mut object, context.now);
        let events = settled.into_iter().chain(change(&mut object)?).collect();
        self.commit(Batch::new().put(object.put()), events, By::Client(context))?;
        Ok(object)
    }

    fn verdict(&self, object: &Object, context: &Context<'_>) -> Verdict {
        // A version knows nothing of what later ones brought, or earlier ones had.
        if !exists_in(object.object_type, context.version) {
            return Verdict::Hidden;
        }
        let access = &self.policies.load().access;
        match access.judge(&context.caller.principal, &object.owner, context.operation) {
            Verdict::Allowed => self.verdict_of_ticket(object, context),
            other => other,
        }
    }

    /// Whether the caller may make objects of its own.
    fn may_create(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let principal = &context.caller.principal;
        match self.policies.load().access.judge(principal, principal, context.operation) {
            Verdict::Allowed => Ok(()),
            _ => Err(denied(context)),
        }
    }

    /// Whose objects the caller may do with what the request asks: its own, and those of others that a rule names.
    fn owners(&self, context: &Context<'_>) -> Result<Vec<String>, Refusal> {
        let principal = &context.caller.principal;
        let policies = self.policies.load();
        let judge = |owner: &str| policies.access.judge(principal, owner, context.operation);
        let mut owners = match judge(principal) {
            Verdict::Allowed => vec![principal.clone()],
            _ => Vec::new(),
        };
        if policies.access.reaches_others(principal, context.operation) {
            let all = self.all_owners()?;
            owners.extend(
                all.into_iter().filter(|owner| owner != principal && judge(owner) == Verdict::Allowed),
            );
        } else if owners.is_empty() {
            return Err(denied(context));
        }
        Ok(owners)
    }

    /// An owner's object of this Name.
    fn named(&self, owner: &str, name: &str) -> Result<Option<Object>, StoreError> {
        for index in [Index::Name, Index::SharedName] {
            let keys = Keys::Exactly(model::name_key(owner, name));
            for hit in self.store.scan(&Scan { limit: limits::PAGE, ..Scan::new(index, keys) })? {
                let found = self.fetch(&hit.id)?;
                if found.as_ref().is_some_and(|object| !object.is_destroyed()) {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// Everyone who owns an object: one look at the index for each of them.
    fn all_owners(&self) -> Result<Vec<String>, StoreError> {
        let mut owners = Vec::new();
        let mut keys = Keys::All;
        loop {
            let hits = self.store.scan(&Scan { limit: 1, ..Scan::new(Index::Owner, keys) })?;
            let Some(hit) = hits.first() else { return Ok(owners) };
            let Some((owner, beyond)) = model::owner_in(&hit.key) else { return Ok(owners) };
            owners.push(owner);
            keys = Keys::Between(beyond, vec![u8::MAX; 2]);
        }
    }

    fn fetch(&self, id: &str) -> Result<Option<Object>, StoreError> {
        if !is_object(id) {
            return Ok(None);
        }
        self.store.fetch(id)?.map(|record| Object::from_record(id, &record)).transpose()
    }

    /// The other half of a key's pair.
    fn other_half(&self, object: &Object) -> Result<Option<Object>, StoreError> {
        object.other_half().map(|id| self.fetch(id)).transpose().map(Option::flatten)
    }

    /// What a walk over many objects makes of a damaged record: it is told, once, and left out, lest all others wait for it.
    fn unless_damaged<T>(&self, read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match read {
            Err(StoreError::Corrupt { what, at }) => {
                let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
                if damaged.len() < limits::DAMAGED && damaged.insert(at.clone()) {
                    tracing::error!(at, what, "a record is damaged; what falls due is done without it");
                }
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// How many damaged records were met and left out since the start.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The policy that governs an object: the one that its pair is filed under, while that exists, or would be.
    fn policy_of<'p>(
        &self,
        policies: &'p Policies,
        object: &Object,
    ) -> Result<Option<&'p Policy>, StoreError> {
        let filed = policies.filed(object);
        if filed.is_some() || (object.policy.is_none() && self.is_all_filed.load(Ordering::Acquire)) {
            return Ok(filed);
        }
        let other = self.other_half(object)?;
        let pair: Vec<&Object> = std::iter::once(object).chain(&other).collect();
        Ok(policies.matching(&pair))
    }

    /// The private key of an object, parsed, from the cache where it is there.
    fn private_key(&self, object: &Object) -> Result<Arc<PrivateKey>, Refusal> {
        // Key material never changes under an identifier, so a cached key serves every revision.
        self.keys.find_or_load(&object.id, || {
            // Read anew: what was destroyed since the object was read shall not come back into the cache.
            let material = self.fetch(&object.id)?.and_then(|object| object.material);
            let Some(Material::Sealed(sealed)) = material else { return Err(no_key_value()) };
            let pkcs8 = self.unseal(&object.id, &sealed.0)?;
            Ok(PrivateKey::from_pkcs8(&pkcs8)?)
        })
    }

    /// Opens key material that was read as `sealed`.
    fn unseal(&self, id: &str, sealed: &[u8]) -> Result<Secret, Refusal> {
        match self.keyring.open(id, sealed) {
            // Between reading and opening, the store may have been sealed anew and the old key forgotten.
            Err(SealError::OtherKey { .. }) => {
                let material = self.fetch(id)?.and_then(|object| object.material);
                match material.as_ref().and_then(Material::sealed) {
                    Some(again) => Ok(self.keyring.open(id, &again.0)?),
                    None => Err(no_key_value()),
                }
            }
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

    /// Where what happens is recorded.
    #[must_use]
    pub fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }
}

fn denied(context: &Context<'_>) -> Refusal {
    Refusal::new(
        Reason::Denied,
        format!("{:?} may not do {}: so say the access rules", context.caller.principal, context.operation),
    )
}

/// What can be done to an object in the archive: its attributes are there.
fn works_archived(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Recover
            | Operation::Destroy
            | Operation::Revoke
            | Operation::GetAttributes
            | Operation::GetAttributeList
    )
}

fn destroyed() -> Refusal {
    Refusal::new(Reason::Destroyed, "the object is destroyed: its attributes are all that is left of it")
}

fn no_key_value() -> Refusal {
    Refusal::new(Reason::NoKeyValue, "the server does not hold this object's key material (any more)")
}

fn work_of(operation: Operation) -> Work {
    match operation {
        Operation::Encrypt
        | Operation::Decrypt
        | Operation::Sign
        | Operation::SignatureVerify
        | Operation::Mac
        | Operation::MacVerify
        | Operation::Hash
        | Operation::DeriveKey => Work::Crypto,
        Operation::GetAttributes
        | Operation::GetAttributeList
        | Operation::Query
        | Operation::Ping
        | Operation::DiscoverVersions => Work::Inline,
        // Process does whatever was put off.
        Operation::CreateKeyPair | Operation::RekeyKeyPair | Operation::Process => Work::Generating,
        _ => Work::Blocking,
    }
}

/// What the items of one request share.
#[derive(Debug)]
struct Context<'a> {
    caller: &'a Caller,
    now: DateTime,
    version: Version,
    /// The operation of the item at hand.
    operation: Operation,
    made: batch::Made,
    /// How many objects the Locates of the message have looked at.
    looked_at: usize,
    /// What all records of the request say.
    request: &'a Record,
    /// What the audit log will say of the item under way; nothing between two.
    record: Record,
    /// Whether it says so already, with the item's commit.
    is_recorded: bool,
    /// What the items before have changed, where the client wants all or nothing.
    undo: Option<undo::Undo>,
    /// The outcome that a Poll has fetched, which is its answer.
    polled: Option<Outcome>,
}

impl<'a> Context<'a> {
    fn new(caller: &'a Caller, now: DateTime, version: Version, request: &'a Record) -> Self {
        Self {
            caller,
            now,
            version,
            operation: Operation::Query,
            made: batch::Made::default(),
            looked_at: 0,
            request,
            record: Record::new(request.time, Source::Request, ""),
            is_recorded: false,
            undo: None,
            polled: None,
        }
    }

    fn resolve(&self, id: Option<&UniqueIdentifier>) -> Result<String, Refusal> {
        self.made.resolve(id)
    }

    /// Whether the request's version has an attribute.
    fn has(&self, kind: AttributeKind) -> bool {
        kind.exists_in(self.version)
    }
}
