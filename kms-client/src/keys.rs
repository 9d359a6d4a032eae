//! Asking for a key pair: made, activated, its public half in hand; or, after a lost answer, found.

use std::collections::BTreeMap;

use kms_protocol::Tag;
use kms_protocol::Version;
use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeList, AttributeReference, AttributeReferences, CryptographicUsageMask,
    Link, Name,
};
use kms_protocol::enums::{
    CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType, Operation, ResultReason, State,
};
use kms_protocol::object::{KeyMaterial, KeyValue, ManagedObject};
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, GetAttributesRequest, GetAttributesResponse, GetRequest,
    GetResponse, LocateRequest, RekeyKeyPairRequest,
};
use kms_protocol::ttlv::{Content, Reader};
use rsa::BoxedUint;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use tokio::time::{Instant, sleep};

use crate::agreement::is_p256;
use crate::client::Client;
use crate::error::Error;
use crate::key_spec::KeySpec;
use crate::limits;

/// What a pair's Name is followed by in the Name of its private half, since no two objects may share a Name.
pub const PRIVATE_SUFFIX: &str = "-private";

/// The same for the public half.
pub const PUBLIC_SUFFIX: &str = "-public";

/// A key pair at the KMS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuedKey {
    /// Unique Identifier of the private half, which stays in the KMS.
    pub private_id: String,
    /// Unique Identifier of the public half.
    pub public_id: String,
    /// The public half, as a DER SubjectPublicKeyInfo.
    pub public_key_spki: Vec<u8>,
    /// Bits of its modulus; 256 for a point on P-256.
    pub bits: u32,
    /// The highest protocol version that the server and this client speak: from 1.4 on OAEP's mask hash can be stated,
    /// before it is SHA-1.
    pub version: Version,
}

impl Client {
    /// Has the KMS make a pair, `name` with a suffix for each half, in the Object Group `name`; activates both halves and
    /// fetches the public one.
    ///
    /// The request goes out once. Where its answer is lost, the pair is looked for by its name, several times over
    /// [`limits::LOOKUPS`]: the call goes on with what is found.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] where the answer was lost and no pair is found: it may still turn up. The same where the
    /// pair is made and the server goes away before it is Active and its public half fetched. [`Client::find_key`] has to
    /// come before another request. Otherwise see [`Client::call`].
    pub async fn request_key(&self, name: &str, spec: KeySpec) -> Result<IssuedKey, Error> {
        let (private_id, public_id) = self.create_pair(name, name, spec).await?;
        let unfinished = |error| unfinished(Operation::CreateKeyPair, error);
        self.finish_key(private_id, public_id, spec).await.map_err(unfinished)
    }

    /// The same for a pair on P-256 that signs and verifies, and does nothing else.
    ///
    /// # Errors
    /// See [`Client::request_key`].
    pub async fn request_signing_key(&self, name: &str) -> Result<IssuedKey, Error> {
        let (private_id, public_id) = self.create_signing_pair(name).await?;
        self.finish_key(private_id, public_id, KeySpec::P256).await
    }

    pub(crate) async fn create_signing_pair(&self, name: &str) -> Result<(String, String), Error> {
        let usage = [CryptographicUsageMask::SIGN, CryptographicUsageMask::VERIFY];
        let request = pair_request(name, name, KeySpec::P256, usage);
        self.create_or_find(name, KeySpec::P256, &request).await
    }

    /// Has the KMS make a pair in an Object Group, or finds what it made where its answer is lost: the private and the
    /// public ID.
    pub(crate) async fn create_pair(
        &self,
        name: &str,
        group: &str,
        spec: KeySpec,
    ) -> Result<(String, String), Error> {
        self.create_or_find(name, spec, &pair_request(name, group, spec, spec.usage())).await
    }

    async fn create_or_find(
        &self,
        name: &str,
        spec: KeySpec,
        request: &CreateKeyPairRequest,
    ) -> Result<(String, String), Error> {
        match self.create_key_pair(request).await {
            Ok(pair) => Ok((pair.private_key_unique_identifier, pair.public_key_unique_identifier)),
            Err(unknown @ Error::OutcomeUnknown { .. }) => {
                tracing::warn!(name, error = %unknown, "the answer to Create Key Pair was lost: its outcome is looked up");
                self.look_up(|| self.pair_named(name, spec)).await?.ok_or(unknown)
            }
            Err(error) => Err(error),
        }
    }

    /// Has the KMS replace a pair by a new one now (Re-key Key Pair), activates both new halves and fetches the public one.
    ///
    /// The request goes out once. Where its answer is lost, the Replacement Object Link that it would have made is looked
    /// for, several times over [`limits::LOOKUPS`]: the call goes on with what is found.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] where the answer was lost and no link is found, or the server goes away before the new
    /// pair is Active and its public half fetched: [`Client::rotation_info`] tells later. Otherwise see [`Client::call`].
    pub async fn rotate_key(&self, private_id: &str, spec: KeySpec) -> Result<IssuedKey, Error> {
        let (private_id, public_id) = self.rekey_pair(private_id).await?;
        let unfinished = |error| unfinished(Operation::RekeyKeyPair, error);
        self.finish_key(private_id, public_id, spec).await.map_err(unfinished)
    }

    /// The private and the public ID of the pair that replaces a pair from now on.
    pub(crate) async fn rekey_pair(&self, private_id: &str) -> Result<(String, String), Error> {
        let request = RekeyKeyPairRequest {
            private_key_unique_identifier: Some(private_id.into()),
            ..RekeyKeyPairRequest::default()
        };
        match self.rekey_key_pair(&request).await {
            Ok(pair) => Ok((pair.private_key_unique_identifier, pair.public_key_unique_identifier)),
            Err(unknown @ Error::OutcomeUnknown { .. }) => {
                tracing::warn!(key = private_id, error = %unknown, "the answer to Re-key Key Pair was lost: its outcome is looked up");
                self.look_up(|| self.replacement(private_id)).await?.ok_or(unknown)
            }
            Err(error) => Err(error),
        }
    }

    /// The private and the public ID of the pair that the Links of a private key lead to.
    async fn replacement(&self, private_id: &str) -> Result<Option<(String, String)>, Error> {
        let old = self.view(private_id).await?;
        let Some(private) = old.link(LinkType::ReplacementObjectLink) else { return Ok(None) };
        let new = self.view(private).await?;
        Ok(new.link(LinkType::PublicKeyLink).map(|public| (private.to_owned(), public.to_owned())))
    }

    /// Finds the pair that an earlier [`Client::request_key`] of this name made, finishes what that one did not (both
    /// halves Active), and returns it; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] where several pairs have the name. Otherwise see [`Client::call`].
    pub async fn find_key(&self, name: &str, spec: KeySpec) -> Result<Option<IssuedKey>, Error> {
        match self.pair_named(name, spec).await? {
            Some((private_id, public_id)) => self.finish_key(private_id, public_id, spec).await.map(Some),
            None => Ok(None),
        }
    }

    /// Looks for a pair until it is there, as long as a lagging replica or a server that restarts may need. A look that
    /// fails finds nothing: what matters to the caller is that the outcome is unknown.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] where several pairs are found.
    async fn look_up<F>(&self, look: impl Fn() -> F) -> Result<Option<(String, String)>, Error>
    where
        F: Future<Output = Result<Option<(String, String)>, Error>>,
    {
        let end = self.inner.deadline();
        let mut pause = limits::LOOKUP_FIRST;
        for looked in 0..limits::LOOKUPS {
            if looked > 0 {
                if Instant::now() + pause > end {
                    break;
                }
                sleep(pause).await;
                pause *= 2;
            }
            match look().await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error @ Error::Ambiguous { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the outcome of a request whose answer was lost cannot be looked up");
                    if !(error.is_retryable() || matches!(error, Error::NoSuchKey(_))) {
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    /// The private and the public ID of the pair of this name.
    pub(crate) async fn pair_named(
        &self,
        name: &str,
        spec: KeySpec,
    ) -> Result<Option<(String, String)>, Error> {
        let public = format!("{name}{PUBLIC_SUFFIX}");
        let hits = self.verified_hits(&public, ObjectType::PublicKey).await?;
        let exactly = |view: &View| view.length.is_none_or(|length| length == spec.bits());
        let fits = |view: &View| spec.fits(view) && exactly(view);
        let mut hits: Vec<_> = hits.into_iter().filter(fits).collect();
        let Some(hit) = hits.pop() else { return Ok(None) };
        if !hits.is_empty() {
            let candidates = hits.into_iter().map(|view| view.id).chain([hit.id]).collect();
            return Err(Error::Ambiguous { name: public, candidates });
        }
        let private = self.private_half(&hit, name).await?;
        Ok(private.map(|private| (private, hit.id)))
    }

    /// The private half of a public key: by its Link, or by its name where the server has no Links.
    pub(crate) async fn private_half(&self, public: &View, name: &str) -> Result<Option<String>, Error> {
        if let Some(id) = public.link(LinkType::PrivateKeyLink) {
            return Ok(Some(id.to_owned()));
        }
        // Its own name tells more than the one that it was looked for by.
        let name = public.names().find_map(|own| own.strip_suffix(PUBLIC_SUFFIX)).unwrap_or(name);
        let mut hits = self.verified_hits(&format!("{name}{PRIVATE_SUFFIX}"), ObjectType::PrivateKey).await?;
        Ok(match (hits.pop(), hits.len()) {
            (Some(hit), 0) => Some(hit.id),
            _ => None,
        })
    }

    /// The objects that Locate finds by this Name and that really have it, since servers over-match.
    async fn verified_hits(&self, name: &str, object_type: ObjectType) -> Result<Vec<View>, Error> {
        let found = self.locate(&locate_by(Attribute::Name(Name::text(name)), object_type)).await?;
        let ids: Vec<_> = found.unique_identifiers.into_iter().take(limits::CANDIDATES).collect();
        let mut hits = Vec::new();
        for view in self.views(&ids).await {
            match view {
                Ok(view) if view.has_name(name) && view.is_of(object_type) => hits.push(view),
                Ok(_) | Err(Error::NoSuchKey(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hits)
    }

    /// What the server says of an object.
    pub(crate) async fn view(&self, id: &str) -> Result<View, Error> {
        let unanswered = || Err(Error::protocol("it answered nothing"));
        self.views(&[id.to_owned()]).await.pop().unwrap_or_else(unanswered)
    }

    /// What the server says of each of these objects.
    pub(crate) async fn views(&self, ids: &[String]) -> Vec<Result<View, Error>> {
        let requests: Vec<_> = ids.iter().map(|id| view_request(id)).collect();
        let answers = self.batch(&requests).await;
        ids.iter().zip(answers).map(|(id, answer)| View::new(id, answer?)).collect()
    }

    /// Activates both halves and fetches the public one.
    async fn finish_key(
        &self,
        private_id: String,
        public_id: String,
        spec: KeySpec,
    ) -> Result<IssuedKey, Error> {
        once_visible(|| self.make_active(&private_id)).await?;
        once_visible(|| self.make_active(&public_id)).await?;
        let key = once_visible(|| self.public_key(&public_id)).await?;
        if key.bits != spec.bits().unsigned_abs() {
            return Err(Error::Key {
                id: public_id,
                why: format!("asked for {} bits, it has {}", spec.bits(), key.bits),
            });
        }
        let version = self.version().await?;
        Ok(IssuedKey { private_id, public_id, public_key_spki: key.spki, bits: key.bits, version })
    }

    /// Activates an object, unless it is Active already: some servers activate at once, and the answer to an earlier
    /// Activate may have been lost.
    pub(crate) async fn make_active(&self, id: &str) -> Result<(), Error> {
        let request = ActivateRequest { unique_identifier: Some(id.into()) };
        let Err(error) = self.activate(&request).await else { return Ok(()) };
        match &error {
            Error::NoSuchKey(_) => return Err(error),
            Error::WrongState(_) | Error::Refused(_) | Error::OutcomeUnknown { .. } => {}
            _ => return Err(error),
        }
        match once_visible(|| self.view(id)).await {
            Ok(view) if view.state == Some(State::Active) => Ok(()),
            Ok(view)
                if view.state == Some(State::PreActive) && matches!(error, Error::OutcomeUnknown { .. }) =>
            {
                // It was not done: asking once more is safe.
                self.activate(&request).await.map(drop)
            }
            _ => Err(error),
        }
    }

    /// Public keys by their identifiers, in whichever format the server has them.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(crate) async fn public_keys(
        &self,
        ids: Vec<String>,
    ) -> Result<BTreeMap<String, Result<PublicKey, Error>>, Error> {
        let requests: Vec<_> = ids.iter().map(|id| get_request(id, KeyFormatType::X509)).collect();
        let mut keys = BTreeMap::new();
        for (id, answer) in ids.into_iter().zip(self.batch(&requests).await) {
            let key = match answer {
                Ok(answer) => PublicKey::read(&id, &answer),
                Err(error) if error.reason() == Some(ResultReason::KeyFormatTypeNotSupported) => {
                    self.public_key(&id).await
                }
                Err(error) if error.reason().is_some() => Err(error),
                Err(error) => return Err(error),
            };
            keys.insert(id, key);
        }
        Ok(keys)
    }

    /// A public key, in whichever format the server has it.
    pub(crate) async fn public_key(&self, id: &str) -> Result<PublicKey, Error> {
        let mut failure = None;
        for format in PUBLIC_FORMATS {
            match self.get(&get_request(id, format)).await {
                Ok(answer) => return PublicKey::read(id, &answer),
                Err(error) if error.reason() == Some(ResultReason::KeyFormatTypeNotSupported) => {
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::protocol("it returned no key")))
    }
}

/// The error of a call that has made a pair and not finished it. That it may be made again would not be true: that makes
/// another pair.
fn unfinished(operation: Operation, error: Error) -> Error {
    if error.is_retryable() { Error::OutcomeUnknown { operation, cause: Box::new(error) } } else { error }
}

/// Asks about a key that exists until the server that answers knows it: replicas lag.
pub(crate) async fn once_visible<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut pause = limits::LOOKUP_FIRST;
    for _ in 1..limits::LOOKUPS {
        match ask().await {
            Err(Error::NoSuchKey(_)) => sleep(pause).await,
            answer => return answer,
        }
        pause *= 2;
    }
    ask().await
}

/// Formats of public keys, in the order asked for: SubjectPublicKeyInfo, which KMIP calls X.509, first.
pub(crate) const PUBLIC_FORMATS: [KeyFormatType; 3] =
    [KeyFormatType::X509, KeyFormatType::Pkcs1, KeyFormatType::TransparentRsaPublicKey];

pub(crate) fn get_request(id: &str, format: KeyFormatType) -> GetRequest {
    GetRequest { unique_identifier: Some(id.into()), key_format_type: Some(format), ..GetRequest::default() }
}

fn pair_request(
    name: &str,
    group: &str,
    spec: KeySpec,
    [private, public]: [CryptographicUsageMask; 2],
) -> CreateKeyPairRequest {
    let half = |suffix: &str, mask| {
        vec![Attribute::Name(Name::text(format!("{name}{suffix}"))), Attribute::CryptographicUsageMask(mask)]
    };
    let mut common = spec.attributes();
    common.push(Attribute::ObjectGroup(group.to_owned()));
    CreateKeyPairRequest {
        common: common.into(),
        private_key: half(PRIVATE_SUFFIX, private).into(),
        public_key: half(PUBLIC_SUFFIX, public).into(),
        ..CreateKeyPairRequest::default()
    }
}

/// Asks for objects of one type that have this attribute.
pub(crate) fn locate_by(attribute: Attribute, object_type: ObjectType) -> LocateRequest {
    LocateRequest {
        attributes: AttributeList(vec![Attribute::ObjectType(object_type), attribute]),
        ..LocateRequest::default()
    }
}

fn view_request(id: &str) -> GetAttributesRequest {
    use AttributeKind::{
        CryptographicAlgorithm, CryptographicLength, CryptographicUsageMask, InitialDate, Link, Name,
        ObjectGroup, ObjectType, RotateLatest, RotateName, State,
    };
    let kinds = [
        ObjectType,
        State,
        CryptographicAlgorithm,
        CryptographicLength,
        CryptographicUsageMask,
        Name,
        ObjectGroup,
        Link,
        InitialDate,
        RotateName,
        RotateLatest,
    ];
    GetAttributesRequest {
        unique_identifier: Some(id.into()),
        attributes: AttributeReferences(kinds.into_iter().map(AttributeReference::Standard).collect()),
    }
}

/// What the server says of an object, as far as the client needs it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) state: Option<State>,
    pub(crate) algorithm: Option<CryptographicAlgorithm>,
    pub(crate) length: Option<i32>,
    pub(crate) initial_date: Option<i64>,
    attributes: Vec<Attribute>,
}

impl View {
    pub(crate) fn new(id: &str, answer: GetAttributesResponse) -> Result<Self, Error> {
        if answer.unique_identifier != id {
            let other = answer.unique_identifier;
            return Err(Error::protocol(format!("asked about {id}, it answered about {other}")));
        }
        let mut view = Self {
            id: id.to_owned(),
            state: None,
            algorithm: None,
            length: None,
            initial_date: None,
            attributes: answer.attributes.0,
        };
        for attribute in &view.attributes {
            match attribute {
                Attribute::State(state) => view.state = Some(*state),
                Attribute::CryptographicAlgorithm(algorithm) => view.algorithm = Some(*algorithm),
                Attribute::CryptographicLength(length) => view.length = Some(*length),
                Attribute::InitialDate(date) => view.initial_date = Some(date.0),
                _ => {}
            }
        }
        Ok(view)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state == Some(State::Active)
    }

    pub(crate) fn is_of(&self, object_type: ObjectType) -> bool {
        self.attributes.contains(&Attribute::ObjectType(object_type))
    }

    pub(crate) fn has(&self, attribute: &Attribute) -> bool {
        self.attributes.contains(attribute)
    }

    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter_map(|attribute| match attribute {
            Attribute::Name(Name { value, .. }) => Some(value.as_str()),
            _ => None,
        })
    }

    /// Whether its Cryptographic Usage Mask says that something may be encrypted to it.
    pub(crate) fn may_encrypt(&self) -> bool {
        use CryptographicUsageMask as Mask;
        let uses = [Mask::ENCRYPT, Mask::WRAP_KEY, Mask::KEY_AGREEMENT, Mask::DERIVE_KEY];
        self.attributes.iter().all(|attribute| match attribute {
            Attribute::CryptographicUsageMask(mask) => uses.into_iter().any(|usage| mask.contains(usage)),
            _ => true,
        })
    }

    pub(crate) fn rotate_name(&self) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| matches!(attribute, Attribute::RotateName(_)))
    }

    pub(crate) fn links(&self, wanted: LinkType) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter_map(move |attribute| match attribute {
            Attribute::Link(Link { link_type, target }) if *link_type == wanted => target.as_text(),
            _ => None,
        })
    }

    pub(crate) fn link(&self, wanted: LinkType) -> Option<&str> {
        self.links(wanted).next()
    }
}

/// A public key that came from the server: RSA, or on P-256.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PublicKey {
    pub(crate) spki: Vec<u8>,
    pub(crate) bits: u32,
}

impl PublicKey {
    pub(crate) fn read(id: &str, answer: &GetResponse) -> Result<Self, Error> {
        let unusable = |why: &str| Error::Key { id: id.to_owned(), why: why.to_owned() };
        if answer.unique_identifier != id {
            return Err(Error::protocol(format!("asked for {id}, it returned {}", answer.unique_identifier)));
        }
        let ManagedObject::PublicKey(block) = &answer.object else {
            return Err(unusable("it is no public key"));
        };
        let Some(KeyValue::Plain { material, .. }) = &block.key_value else {
            return Err(unusable("it came wrapped, or without its value"));
        };
        let key = match (block.key_format_type, material) {
            (KeyFormatType::X509, KeyMaterial::Bytes(der)) if is_p256(der.expose()) => {
                return Ok(Self { spki: der.expose().to_vec(), bits: 256 });
            }
            (KeyFormatType::X509, KeyMaterial::Bytes(der)) => {
                rsa::PublicKey::from_public_key_der(der.expose()).ok()
            }
            (KeyFormatType::Pkcs1, KeyMaterial::Bytes(der)) => {
                rsa::PublicKey::from_pkcs1_der(der.expose()).ok()
            }
            (_, KeyMaterial::Transparent(items)) => transparent(items.expose()),
            (other, KeyMaterial::Bytes(_)) => {
                return Err(unusable(&format!("it came in the format {other}")));
            }
        };
        let key = key.ok_or_else(|| unusable("it is no public key of RSA or on P-256"))?;
        let spki = key.to_public_key_der().map_err(|error| unusable(&error.to_string()))?;
        Ok(Self { spki: spki.into_vec(), bits: key.n().bit_width_vartime() })
    }
}

/// Transparent RSA Public Key (KMIP 1.4 section 2.1.7.5).
fn transparent(items: &[u8]) -> Option<rsa::PublicKey> {
    let mut reader = Reader::new(items, Version::V1_4);
    let mut number = |tag| match reader.take(tag).ok()??.content {
        Content::BigInteger(bytes) => Some(BoxedUint::from_be_slice_vartime(bytes)),
        _ => None,
    };
    let modulus = number(Tag::MODULUS)?;
    let exponent = number(Tag::PUBLIC_EXPONENT)?;
    rsa::PublicKey::new(modulus, exponent).ok()
}
