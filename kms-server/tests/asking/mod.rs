//! Asks the core by messages and keeps the tests short.

use std::path::Path;
use std::sync::Arc;

use kms_protocol::attribute::{
    Attribute, AttributeKind, AttributeReference, AttributeReferences, CryptographicParameters,
    CryptographicUsageMask, Name,
};
use kms_protocol::credential::Credential;
use kms_protocol::enums::{
    BatchErrorContinuationOption, CryptographicAlgorithm, HashingAlgorithm, LinkType, ResultReason,
    ResultStatus, State,
};
use kms_protocol::message::{Authentication, RequestBuilder, RequestHeader, ResponseItem, ResponseMessage};
use kms_protocol::operation::{
    ActivateRequest, CreateKeyPairRequest, DecryptRequest, EncryptRequest, GetAttributesRequest, Request,
};
use kms_protocol::ttlv::{Bytes, Value as _};
use kms_protocol::{DateTime, Secret, Version};
use kms_server::audit::Trail;
use kms_server::config::Config;
use kms_server::crypto::Workers;
use kms_server::kms::{Caller, Kms, Round};
use kms_server::service::{self, Keep};

/// Where the tests' clock starts.
pub const NOW: i64 = 1_800_000_000;

pub type Answer<T> = Result<T, (ResultReason, String)>;

/// A server with a memory store, and who asks it when in which version.
#[derive(Clone)]
pub struct Asker {
    pub service: Arc<Kms>,
    caller: Caller,
    now: i64,
    version: Version,
    authentication: Option<Arc<Authentication>>,
}

impl Asker {
    /// A server under the policies of a configuration file's text.
    pub fn start(config: &str) -> Self {
        Self::open(&Keep::Memory, config)
    }

    /// The same, on a store in a folder.
    #[allow(dead_code, reason = "few tests need one")]
    pub fn keeping(folder: &Path, config: &str) -> Self {
        Self::open(&Keep::Folder(folder.to_owned()), config)
    }

    fn open(keep: &Keep, config: &str) -> Self {
        let mut config: Config = toml::from_str(config).expect("a configuration");
        // Generating in the background what no test asks for only takes time from the others.
        config.ready_pairs = Some(0);
        let workers = Arc::new(Workers::new(2).expect("threads"));
        let service = service::open(keep, &Secret::new(vec![7; 32]), &config, &workers).expect("a store");
        Self::on(service)
    }

    /// Asks a server that is there.
    pub fn on(service: Arc<Kms>) -> Self {
        Self { service, caller: Caller::named("a"), now: NOW, version: Version::V1_4, authentication: None }
    }

    /// Where what happens is recorded.
    #[allow(dead_code, reason = "few tests look")]
    pub fn trail(&self) -> &Arc<Trail> {
        self.service.trail()
    }

    pub fn by(&self, principal: &str) -> Self {
        Self { caller: Caller::named(principal), ..self.clone() }
    }

    pub fn at(&self, now: i64) -> Self {
        Self { now, ..self.clone() }
    }

    pub fn speaking(&self, version: Version) -> Self {
        Self { version, ..self.clone() }
    }

    /// The same, showing what proves who asks.
    #[allow(dead_code, reason = "few tests need it")]
    pub fn showing(&self, credentials: Vec<Credential>) -> Self {
        Self { authentication: Some(Arc::new(Authentication { credentials })), ..self.clone() }
    }

    pub fn next_due(&self) -> Option<i64> {
        self.service.next_due().expect("the store").map(|due| due.0)
    }

    pub fn run_due(&self, now: i64) -> Vec<String> {
        let Round { fired, error, .. } = self.service.run_due(DateTime(now), &|| true);
        assert!(error.is_none(), "{error:?}");
        fired.into_iter().map(|fired| fired.event.to_string()).collect()
    }

    pub fn ask<R: Request>(&self, request: &R) -> Answer<R::Response> {
        self.batch(std::slice::from_ref(request)).pop().expect("an answer")
    }

    /// Asks all in one batch that goes on after failures and has no order.
    pub fn batch<R: Request>(&self, requests: &[R]) -> Vec<Answer<R::Response>> {
        let mut header = RequestHeader::new(self.version);
        header.batch_error_continuation_option = Some(BatchErrorContinuationOption::Continue);
        header.batch_order_option = Some(false);
        header.authentication.clone_from(&self.authentication);
        let mut builder = RequestBuilder::new(header);
        for (at, request) in requests.iter().enumerate() {
            builder.push(request, Some(Bytes(at.to_be_bytes().to_vec())));
        }
        let bytes = self.service.handle(builder.finish().expose(), &self.caller, DateTime(self.now));
        let message = ResponseMessage::read(bytes.expose()).expect("a response");
        assert_eq!(message.items.len(), requests.len());
        for (at, item) in message.items.iter().enumerate() {
            assert_eq!(item.unique_batch_item_id, Some(Bytes(at.to_be_bytes().to_vec())), "in order");
        }
        message.items.into_iter().map(answer::<R>).collect()
    }

    /// Sends a whole message.
    #[allow(dead_code, reason = "few tests write their own")]
    pub fn send(&self, message: &Secret) -> Secret {
        self.service.handle(message.expose(), &self.caller, DateTime(self.now))
    }

    /// Asks both in one batch, in order.
    pub fn in_one_batch<A: Request, B: Request>(&self, a: &A, b: &B) -> Answer<(A::Response, B::Response)> {
        let mut builder = RequestBuilder::new(RequestHeader::new(self.version));
        builder.push(a, None);
        builder.push(b, None);
        let bytes = self.service.handle(builder.finish().expose(), &self.caller, DateTime(self.now));
        let mut items = ResponseMessage::read(bytes.expose()).expect("a response").items.into_iter();
        let first = answer::<A>(items.next().expect("an answer"))?;
        Ok((first, answer::<B>(items.next().expect("an answer"))?))
    }

    pub fn pair(&self, request: &CreateKeyPairRequest) -> (String, String) {
        let made = self.ask(request).expect("a pair");
        (made.private_key_unique_identifier, made.public_key_unique_identifier)
    }

    pub fn activate(&self, id: &str) {
        self.ask(&ActivateRequest { unique_identifier: Some(id.into()) }).expect("activated");
    }

    pub fn try_encrypt(&self, id: &str, parameters: CryptographicParameters, data: &[u8]) -> Answer<Vec<u8>> {
        let request = EncryptRequest {
            unique_identifier: Some(id.into()),
            cryptographic_parameters: Some(parameters),
            data: Some(Secret::from(data)),
            ..EncryptRequest::default()
        };
        self.ask(&request).map(|response| response.data.expect("ciphertext").0)
    }

    pub fn encrypt(&self, id: &str, parameters: CryptographicParameters, data: &[u8]) -> Vec<u8> {
        self.try_encrypt(id, parameters, data).expect("encrypted")
    }

    pub fn decrypt(&self, id: &str, parameters: CryptographicParameters, data: &[u8]) -> Answer<Secret> {
        self.ask(&decrypt_request(id, parameters, data)).map(|response| response.data.expect("plaintext"))
    }

    pub fn attributes(&self, id: &str, kinds: &[AttributeKind]) -> Vec<Attribute> {
        let wanted = kinds.iter().copied().map(AttributeReference::Standard).collect();
        let request = GetAttributesRequest {
            unique_identifier: Some(id.into()),
            attributes: AttributeReferences(wanted),
        };
        self.ask(&request).expect("attributes").attributes.0
    }

    pub fn state(&self, id: &str) -> State {
        match self.attributes(id, &[AttributeKind::State]).as_slice() {
            [Attribute::State(state)] => *state,
            other => panic!("one state, not {other:?}"),
        }
    }

    pub fn names(&self, id: &str) -> Vec<String> {
        let names = self.attributes(id, &[AttributeKind::Name]);
        names
            .into_iter()
            .map(|attribute| match attribute {
                Attribute::Name(name) => name.value,
                other => panic!("a Name, not {other:?}"),
            })
            .collect()
    }

    pub fn link(&self, id: &str, link_type: LinkType) -> Option<String> {
        self.attributes(id, &[AttributeKind::Link]).into_iter().find_map(|attribute| match attribute {
            Attribute::Link(link) if link.link_type == link_type => link.target.as_text().map(str::to_owned),
            _ => None,
        })
    }
}

fn answer<R: Request>(item: ResponseItem<'_>) -> Answer<R::Response> {
    if item.result_status == ResultStatus::Success {
        return Ok(R::Response::read(item.payload.expect("a payload")).expect("a well-formed payload"));
    }
    Err((item.result_reason.expect("a reason"), item.result_message.expect("a message")))
}

/// An RSA pair for encryption, with Names and an Object Group after `name`.
pub fn pair_request(name: &str, bits: i32) -> CreateKeyPairRequest {
    CreateKeyPairRequest {
        common: vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Rsa),
            Attribute::CryptographicLength(bits),
            Attribute::ObjectGroup(name.into()),
        ]
        .into(),
        private_key: vec![
            Attribute::Name(Name::text(format!("{name}-private"))),
            Attribute::CryptographicUsageMask(CryptographicUsageMask::DECRYPT),
        ]
        .into(),
        public_key: vec![
            Attribute::Name(Name::text(format!("{name}-public"))),
            Attribute::CryptographicUsageMask(CryptographicUsageMask::ENCRYPT),
        ]
        .into(),
        ..CreateKeyPairRequest::default()
    }
}

/// Decrypt, all in one request.
pub fn decrypt_request(id: &str, parameters: CryptographicParameters, data: &[u8]) -> DecryptRequest {
    DecryptRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: Some(parameters),
        data: Some(Bytes(data.to_vec())),
        ..DecryptRequest::default()
    }
}

/// RSA-OAEP; the mask's hash is stated where the version has the field, and is SHA-1 where it has not.
pub fn oaep(hash: HashingAlgorithm, mask: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters::rsa_oaep(hash, mask)
}
