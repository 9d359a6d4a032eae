//! What a simple KMS holds: objects with attributes, found by exact match.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use kms_protocol::DateTime;
use kms_protocol::UniqueIdentifier;
use kms_protocol::attribute::{Attribute, AttributeKind, AttributeList, Link, Name};
use kms_protocol::enums::{
    CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType, Operation, ResultReason, State,
};
use kms_protocol::object::{KeyBlock, ManagedObject};
use kms_protocol::operation::{
    ActivateRequest, ActivateResponse, CreateKeyPairRequest, CreateKeyPairResponse, GetAttributesRequest,
    GetAttributesResponse, GetRequest, GetResponse, LocateRequest, LocateResponse,
};

use super::{Ask, Reply, yes};

/// One object.
#[derive(Clone, Default)]
pub struct Object {
    pub attributes: Vec<Attribute>,
    /// PKCS#8 or SubjectPublicKeyInfo.
    pub der: Vec<u8>,
}

impl Object {
    pub fn state(&self) -> Option<State> {
        self.attributes.iter().find_map(|attribute| match attribute {
            Attribute::State(state) => Some(*state),
            _ => None,
        })
    }

    fn set_state(&mut self, state: State) {
        self.attributes.retain(|attribute| attribute.kind() != AttributeKind::State);
        self.attributes.push(Attribute::State(state));
    }
}

/// How the server departs from a good one.
#[derive(Clone, Default)]
pub struct Quirks {
    /// Locate returns everything, whatever is asked.
    pub locate_ignores_filters: bool,
    /// It has no Link attribute.
    pub no_links: bool,
    /// Locate is not supported.
    pub no_locate: bool,
    /// The only format in which public keys are returned.
    pub only_format: Option<KeyFormatType>,
    /// Activate is refused although the object is Active.
    pub activates_at_once: bool,
    /// Locate finds a pair only when asked for the n-th time: a replica that lags.
    pub locate_lags: usize,
}

#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<Inner>>);

#[derive(Default)]
pub struct Inner {
    pub objects: BTreeMap<String, Object>,
    pub quirks: Quirks,
    pub pairs_made: usize,
}

impl Model {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("not poisoned")
    }

    /// A public key with these attributes besides its type, algorithm and length; Active unless a State is given.
    pub fn public(&self, id: &str, bits: usize, attributes: Vec<Attribute>) {
        let mut object = Object { attributes, der: super::keys::pair(bits).public.clone() };
        object.attributes.insert(0, Attribute::ObjectType(ObjectType::PublicKey));
        object.attributes.push(Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa));
        object.attributes.push(Attribute::CryptographicLength(i32::try_from(bits).expect("small")));
        if object.state().is_none() {
            object.set_state(State::Active);
        }
        self.lock().objects.insert(id.to_owned(), object);
    }

    pub fn reply(&self, ask: &Ask<'_>) -> Reply {
        let mut inner = self.lock();
        match ask.operation() {
            Operation::GetAttributes => inner.attributes(ask),
            Operation::Locate => inner.locate(ask),
            Operation::Get => inner.get(ask),
            Operation::CreateKeyPair => inner.create(ask),
            Operation::Activate => inner.activate(ask),
            _ => Reply::No(ResultReason::OperationNotSupported),
        }
    }
}

fn text(id: Option<UniqueIdentifier>) -> String {
    id.and_then(|id| id.as_text().map(str::to_owned)).expect("an identifier")
}

impl Inner {
    fn attributes(&self, ask: &Ask<'_>) -> Reply {
        let request: GetAttributesRequest = ask.read();
        let id = text(request.unique_identifier);
        let Some(object) = self.objects.get(&id) else { return Reply::No(ResultReason::ItemNotFound) };
        let asked = |attribute: &&Attribute| {
            request.attributes.0.iter().any(|reference| reference.names(attribute))
                && !(self.quirks.no_links && attribute.kind() == AttributeKind::Link)
        };
        let attributes = AttributeList(object.attributes.iter().filter(asked).cloned().collect());
        yes(ask, &GetAttributesResponse { unique_identifier: id, attributes })
    }

    fn locate(&mut self, ask: &Ask<'_>) -> Reply {
        if self.quirks.no_locate {
            return Reply::No(ResultReason::OperationNotSupported);
        }
        if self.quirks.locate_lags > 0 {
            self.quirks.locate_lags -= 1;
            return yes(ask, &LocateResponse { located_items: Some(0), unique_identifiers: Vec::new() });
        }
        let request: LocateRequest = ask.read();
        let dates: Vec<i64> = request
            .attributes
            .0
            .iter()
            .filter_map(|attribute| match attribute {
                Attribute::InitialDate(date) => Some(date.0),
                _ => None,
            })
            .collect();
        let matches = |object: &Object| {
            request.attributes.0.iter().all(|wanted| match (wanted, dates.as_slice()) {
                (Attribute::InitialDate(_), [from, to]) => object
                    .attributes
                    .iter()
                    .any(|has| matches!(has, Attribute::InitialDate(at) if (*from..=*to).contains(&at.0))),
                _ => object.attributes.contains(wanted),
            })
        };
        let hits = self
            .objects
            .iter()
            .filter(|(_, object)| self.quirks.locate_ignores_filters || matches(object))
            .map(|(id, _)| id.clone())
            .collect();
        yes(ask, &LocateResponse { located_items: None, unique_identifiers: hits })
    }

    fn get(&self, ask: &Ask<'_>) -> Reply {
        let request: GetRequest = ask.read();
        let id = text(request.unique_identifier);
        let Some(object) = self.objects.get(&id) else { return Reply::No(ResultReason::ItemNotFound) };
        let asked = request.key_format_type.expect("a stated format");
        if self.quirks.only_format.is_some_and(|only| only != asked) {
            return Reply::No(ResultReason::KeyFormatTypeNotSupported);
        }
        let private = object.attributes.contains(&Attribute::ObjectType(ObjectType::PrivateKey));
        let (object_type, make): (_, fn(KeyBlock) -> ManagedObject) = if private {
            (ObjectType::PrivateKey, ManagedObject::PrivateKey)
        } else {
            (ObjectType::PublicKey, ManagedObject::PublicKey)
        };
        let Some(key_value) = super::keys::in_format(&object.der, asked) else {
            return Reply::No(ResultReason::KeyFormatTypeNotSupported);
        };
        let object = make(KeyBlock {
            key_format_type: asked,
            key_compression_type: None,
            key_value: Some(key_value),
            cryptographic_algorithm: Some(CryptographicAlgorithm::Rsa),
            cryptographic_length: None,
            key_wrapping_data: None,
        });
        yes(ask, &GetResponse { object_type, unique_identifier: id, object })
    }

    fn create(&mut self, ask: &Ask<'_>) -> Reply {
        let request: CreateKeyPairRequest = ask.read();
        if request.common.list.contains(&Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec)) {
            return Reply::No(ResultReason::InvalidField);
        }
        self.pairs_made += 1;
        let (private_id, public_id) =
            (format!("private-{}", self.pairs_made), format!("public-{}", self.pairs_made));
        let bits = request
            .common
            .list
            .iter()
            .find_map(|attribute| match attribute {
                Attribute::CryptographicLength(bits) => Some(usize::try_from(*bits).expect("small")),
                _ => None,
            })
            .expect("a stated length");
        let pair = super::keys::pair(bits);
        let halves = [
            (&private_id, &public_id, request.private_key.list, ObjectType::PrivateKey, &pair.private),
            (&public_id, &private_id, request.public_key.list, ObjectType::PublicKey, &pair.public),
        ];
        for (id, other, own, object_type, der) in halves {
            let link_type = match object_type {
                ObjectType::PrivateKey => LinkType::PublicKeyLink,
                _ => LinkType::PrivateKeyLink,
            };
            let mut object = Object { attributes: request.common.list.clone(), der: der.clone() };
            object.attributes.extend(own);
            object.attributes.push(Attribute::ObjectType(object_type));
            object.attributes.push(Attribute::Link(Link::to(link_type, other.as_str())));
            object.attributes.push(Attribute::InitialDate(DateTime(1_700_000_000)));
            let at_once = self.quirks.activates_at_once;
            object.set_state(if at_once { State::Active } else { State::PreActive });
            self.objects.insert(id.clone(), object);
        }
        let response = CreateKeyPairResponse {
            private_key_unique_identifier: private_id,
            public_key_unique_identifier: public_id,
            private_key: Vec::new().into(),
            public_key: Vec::new().into(),
        };
        yes(ask, &response)
    }

    fn activate(&mut self, ask: &Ask<'_>) -> Reply {
        let request: ActivateRequest = ask.read();
        let id = text(request.unique_identifier);
        match self.objects.get_mut(&id) {
            None => Reply::No(ResultReason::ItemNotFound),
            Some(object) if object.state() == Some(State::PreActive) => {
                object.set_state(State::Active);
                yes(ask, &ActivateResponse { unique_identifier: id })
            }
            Some(_) => Reply::No(ResultReason::PermissionDenied),
        }
    }
}

/// The Name that [`kms_client::Client::request_key`] gives the public half.
pub fn public_name(name: &str) -> Attribute {
    Attribute::Name(Name::text(format!("{name}{}", kms_client::PUBLIC_SUFFIX)))
}
