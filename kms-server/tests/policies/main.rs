//! Policies, the lifecycle and the rotation engine, asked by messages and by a clock moved by hand.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a test fails by panicking; the modules share helpers"
)]

mod access;
mod admin;
mod adoption;
#[path = "../asking/mod.rs"]
mod asking;
mod engine;
mod lifecycle;
mod meanwhile;
mod policy;
mod successor;

use std::sync::{Arc, OnceLock};

use asking::{Answer, Asker};
use kms_protocol::attribute::{Attribute, Name, RevocationReason};
use kms_protocol::enums::{CryptographicAlgorithm, RecommendedCurve, RevocationReasonCode};
use kms_protocol::operation::{
    CreateKeyPairRequest, DestroyRequest, DestroyResponse, RevokeRequest, RevokeResponse,
};
use kms_protocol::{DateTime, Secret};
use kms_server::audit::{self, Trail};
use kms_server::config::{Config, PolicyBook};
use kms_server::crypto::{KeyPair, KeyPool, KeySpec, Keyring, StoreKey, Workers, generate};
use kms_server::kms::{KeyQuery, KeyView, Kms, Parts};
use kms_server::store::{MemoryStore, Store};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// One RSA pair for all: what these tests are about is not in its numbers, and generating takes a tenth of a second.
fn pair_of_kind(spec: KeySpec) -> Result<KeyPair, kms_server::crypto::CryptoError> {
    static RSA: OnceLock<KeyPair> = OnceLock::new();
    if spec != KeySpec::Rsa2048 {
        return generate(spec);
    }
    let pair = RSA.get_or_init(|| generate(spec).expect("a pair"));
    Ok(KeyPair { private: Secret::from(pair.private.expose()), public: pair.public.clone() })
}

/// A server on a store, under the policies of a configuration file's text.
fn server_on(store: Arc<dyn Store>, config: &str) -> Arc<Kms> {
    generating(store, config, pair_of_kind)
}

/// The same, with a source of key material of the test's own.
fn generating(
    store: Arc<dyn Store>,
    config: &str,
    generator: impl Fn(KeySpec) -> Result<KeyPair, kms_server::crypto::CryptoError> + Send + Sync + 'static,
) -> Arc<Kms> {
    let kms = Kms::new(Parts {
        trail: Arc::new(Trail::open(&audit::Options::default(), &store).expect("a trail")),
        store,
        keyring: Keyring::new(StoreKey::from_bytes(Secret::new(vec![7; 32])).expect("a key")),
        pool: Arc::new(KeyPool::with_generator(0, generator).expect("a pool")),
        workers: Arc::new(Workers::new(1).expect("workers")),
    });
    kms.adopt(policies(config)).expect("adopted");
    kms
}

fn server(config: &str) -> Asker {
    Asker::on(server_on(Arc::new(MemoryStore::new()), config))
}

fn policies(config: &str) -> kms_server::kms::policy::Policies {
    let config = Config::parse(config, "kms.toml").expect("a configuration");
    PolicyBook::open(&config, None).expect("policies").policies()
}

/// A P-256 pair that is Active at once, with more attributes on both halves.
fn p256(name: &str, more: Vec<Attribute>) -> CreateKeyPairRequest {
    let mut common = vec![
        Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Ec),
        Attribute::CryptographicDomainParameters(kms_protocol::attribute::CryptographicDomainParameters {
            qlength: None,
            recommended_curve: Some(RecommendedCurve::P256),
        }),
    ];
    if !more.iter().any(|attribute| matches!(attribute, Attribute::ActivationDate(_))) {
        common.push(Attribute::ActivationDate(DateTime(1)));
    }
    common.extend(more);
    CreateKeyPairRequest {
        common: common.into(),
        private_key: vec![Attribute::Name(Name::text(format!("{name}-private")))].into(),
        public_key: vec![Attribute::Name(Name::text(format!("{name}-public")))].into(),
        ..CreateKeyPairRequest::default()
    }
}

impl Asker {
    fn revoke(&self, id: &str, code: RevocationReasonCode) -> Answer<RevokeResponse> {
        self.ask(&RevokeRequest {
            unique_identifier: Some(id.into()),
            revocation_reason: RevocationReason { code, message: None },
            compromise_occurrence_date: None,
        })
    }

    fn destroy(&self, id: &str) -> Answer<DestroyResponse> {
        self.ask(&DestroyRequest { unique_identifier: Some(id.into()) })
    }

    fn key(&self, id: &str) -> KeyView {
        self.service.key(id, DateTime(asking::NOW)).expect("a key")
    }

    /// All keys, whoever's.
    fn keys(&self) -> Vec<KeyView> {
        let query = KeyQuery { limit: 1_000, ..KeyQuery::default() };
        let page = self.service.keys(&query, DateTime(asking::NOW)).expect("the store");
        assert_eq!(page.next.is_some(), page.keys.len() == 1_000, "a short list");
        page.keys
    }
}
