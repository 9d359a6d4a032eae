//! What would have worked: each refusal of the journal with its advice, and that the advice works.

use kms_protocol::Secret;
use kms_protocol::attribute::{
    Attribute, CryptographicParameters, CryptographicUsageMask as Mask, RevocationReason,
};
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, DerivationMethod, EncodingOption, KeyFormatType, ObjectType,
    RevocationReasonCode, WrappingMethod,
};
use kms_protocol::object::{KeyBlock, KeyValue, KeyWrappingSpecification, ManagedObject, WrappingKey};
use kms_protocol::operation::{
    ActivateRequest, CreateRequest, DecryptRequest, DeriveKeyRequest, EncryptRequest, GetRequest,
    ImportRequest, MacRequest, Request, RevokeRequest, SignRequest,
};
use kms_protocol::ttlv::Bytes;
use kms_server::journal::Wanted;
use kms_server::testing::blocking::TestServer;

use super::peer::{Peer, Seen, message, pair};

struct Bench {
    server: TestServer,
    peer: Peer,
}

impl Bench {
    fn new() -> Self {
        let server = TestServer::start();
        let peer = Peer::connect(&server, &server.client("veeam"));
        Self { server, peer }
    }

    /// An AES key that may do this.
    fn key(&mut self, usage: Mask, is_active: bool) -> String {
        let attributes = vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::Aes),
            Attribute::CryptographicLength(256),
            Attribute::CryptographicUsageMask(usage),
        ];
        let id = self
            .peer
            .call(&CreateRequest {
                object_type: ObjectType::SymmetricKey,
                attributes: attributes.into(),
                protection: None,
            })
            .unique_identifier;
        if is_active {
            self.peer.call(&ActivateRequest { unique_identifier: Some(id.as_str().into()) });
        }
        id
    }

    /// What the journal advises for a request that is refused.
    fn advice<R: Request>(&mut self, request: &R) -> String {
        assert!(matches!(self.peer.ask(&message(request)), Seen::Answer(_)));
        let page = self.server.journal().page(&Wanted { messages: true, ..Wanted::default() });
        let item = page.exchanges.into_iter().next_back().expect("an exchange").items.remove(0);
        assert!(item.reason.is_some(), "it was refused: {item:?}");
        item.would_work.unwrap_or_else(|| panic!("no advice: {:?}", item.message))
    }
}

fn mode(mode: BlockCipherMode) -> Option<CryptographicParameters> {
    Some(CryptographicParameters { block_cipher_mode: Some(mode), ..CryptographicParameters::default() })
}

fn encrypt(id: &str, parameters: Option<CryptographicParameters>, iv: Option<usize>) -> EncryptRequest {
    EncryptRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: parameters,
        data: Some(Secret::from(&[7; 20][..])),
        iv_counter_nonce: iv.map(|length| Bytes(vec![1; length])),
        ..EncryptRequest::default()
    }
}

fn mac(id: &str, parameters: Option<CryptographicParameters>) -> MacRequest {
    MacRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: parameters,
        data: Some(Bytes(vec![7; 20])),
        ..MacRequest::default()
    }
}

#[test]
fn how_a_symmetric_key_encrypts_and_what_it_encrypted_is_decrypted() {
    let mut bench = Bench::new();
    let id = bench.key(Mask::ENCRYPT.with(Mask::DECRYPT), true);
    for (request, advice) in [
        (
            encrypt(&id, mode(BlockCipherMode::Gcm), None),
            "an IV/Counter/Nonce of 12 bytes, or Random IV True",
        ),
        (encrypt(&id, mode(BlockCipherMode::Cbc), Some(12)), "of 16 bytes; the request's has 12"),
        (encrypt(&id, mode(BlockCipherMode::Cbc), Some(16)), "whole blocks of data, or Padding Method PKCS5"),
        (
            encrypt(&id, mode(BlockCipherMode::Cmac), Some(16)),
            "such as Block Cipher Mode GCM: the key is AES",
        ),
    ] {
        let said = bench.advice(&request);
        assert!(said.contains(advice), "{said}");
    }
    let sealed = bench.peer.call(&encrypt(&id, mode(BlockCipherMode::Gcm), Some(12)));
    let (data, tag) = (sealed.data.expect("a ciphertext"), sealed.tag.expect("a tag"));
    let decrypt = |data: Bytes, additional: Option<&[u8]>, iv: Option<usize>| DecryptRequest {
        unique_identifier: Some(id.as_str().into()),
        cryptographic_parameters: mode(BlockCipherMode::Gcm),
        data: Some(data),
        tag: Some(tag.clone()).filter(|_| additional.is_some()),
        iv_counter_nonce: iv.map(|length| Bytes(vec![1; length])),
        additional_data: additional.map(|data| Bytes(data.to_vec())),
        ..DecryptRequest::default()
    };
    let behind = Bytes([data.0.as_slice(), &tag.0].concat());
    for (request, advice) in [
        (decrypt(behind, None, Some(12)), "with the last bytes of Data as Authenticated Encryption Tag"),
        (
            decrypt(data.clone(), Some(b"a name"), Some(12)),
            "without Authenticated Encryption Additional Data",
        ),
        (decrypt(data.clone(), Some(b""), None), "an IV/Counter/Nonce of 12 bytes, as it was encrypted with"),
        (decrypt(Bytes(vec![0; 20]), Some(b""), Some(12)), "no generation of this key opens the ciphertext"),
    ] {
        let said = bench.advice(&request);
        assert!(said.contains(advice), "{said}");
    }
}

#[test]
fn what_a_key_was_made_for_and_its_state_are_told_for_every_operation() {
    let mut bench = Bench::new();
    let idle = bench.key(Mask::ENCRYPT.with(Mask::DERIVE_KEY).with(Mask::MAC_GENERATE), false);
    let sealer = bench.key(Mask::ENCRYPT.with(Mask::DECRYPT), true);
    let derive = |id: &str| DeriveKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifiers: vec![id.into()],
        derivation_method: DerivationMethod::Hmac,
        derivation_parameters: Default::default(),
        attributes: vec![Attribute::CryptographicLength(256)].into(),
    };
    let activate = "Activate before this";
    assert!(bench.advice(&encrypt(&idle, None, None)).contains(activate));
    assert!(bench.advice(&mac(&idle, None)).contains(activate));
    assert!(bench.advice(&derive(&idle)).contains(activate));
    for said in [bench.advice(&mac(&sealer, None)), bench.advice(&derive(&sealer))] {
        assert!(said.contains("in its Cryptographic Usage Mask; this one's says Encrypt, Decrypt"), "{said}");
    }
    let coder = bench.key(Mask::MAC_GENERATE, true);
    let said = bench.advice(&mac(&coder, None));
    assert!(said.contains("Block Cipher Mode CMAC, or Cryptographic Algorithm HMAC-SHA256"), "{said}");
    bench.peer.call(&mac(&coder, mode(BlockCipherMode::Cmac)));

    let halves = bench.peer.call(&pair("signer"));
    let sign = |id: &str| SignRequest {
        unique_identifier: Some(id.into()),
        data: Some(Bytes(vec![7; 20])),
        ..SignRequest::default()
    };
    let said = bench.advice(&sign(&halves.public_key_unique_identifier));
    assert_eq!(said, format!("the Private Key of the pair: {}", halves.private_key_unique_identifier));
    let said = bench.advice(&sign(&sealer));
    assert!(said.contains("MAC, which is for Symmetric Keys"), "{said}");
    bench.peer.call(&RevokeRequest {
        unique_identifier: Some(sealer.as_str().into()),
        revocation_reason: RevocationReason {
            code: RevocationReasonCode::CessationOfOperation,
            message: None,
        },
        compromise_occurrence_date: None,
    });
    let said = bench.advice(&encrypt(&sealer, mode(BlockCipherMode::Gcm), Some(12)));
    assert!(said.contains("out of use and protects nothing new"), "{said}");
}

#[test]
fn how_an_object_is_imported_and_served_wrapped() {
    let mut bench = Bench::new();
    let (key, sealer) = (bench.key(Mask::ENCRYPT, true), bench.key(Mask::ENCRYPT, true));
    let wrapper = bench.key(Mask::WRAP_KEY, true);
    let import = |id: &str, replace_existing| ImportRequest {
        unique_identifier: id.to_owned(),
        object_type: None,
        replace_existing,
        key_wrap_type: None,
        attributes: Default::default(),
        object: ManagedObject::SymmetricKey(KeyBlock {
            key_format_type: KeyFormatType::Raw,
            key_compression_type: None,
            key_value: Some(KeyValue::bytes(Secret::from(&[7; 16][..]))),
            cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
            cryptographic_length: Some(128),
            key_wrapping_data: None,
        }),
    };
    let said = bench.advice(&import("~my own", None));
    assert!(said.contains("\"~my own\" cannot be a Unique Identifier"), "{said}");
    let said = bench.advice(&import(&sealer, None));
    assert!(said.contains("Replace Existing True: it replaces the Symmetric Key"), "{said}");
    let get = |by: &str, format, encoding_option| GetRequest {
        unique_identifier: Some(key.as_str().into()),
        key_format_type: format,
        key_wrapping_specification: Some(KeyWrappingSpecification {
            wrapping_method: WrappingMethod::Encrypt,
            encryption_key: Some(WrappingKey {
                unique_identifier: by.to_owned(),
                cryptographic_parameters: mode(BlockCipherMode::NistKeyWrap),
            }),
            mac_signature_key: None,
            attribute_names: Vec::new(),
            encoding_option,
        }),
        ..GetRequest::default()
    };
    let said = bench.advice(&get(&sealer, None, None));
    assert!(said.contains(&format!("for the wrapping key {sealer}: a key made with Wrap Key")), "{said}");
    let transparent = Some(KeyFormatType::TransparentSymmetricKey);
    let said = bench.advice(&get(&wrapper, transparent, Some(EncodingOption::NoEncoding)));
    assert!(said.contains("Encoding Option TTLV Encoding"), "{said}");
    bench.peer.call(&get(&wrapper, transparent, Some(EncodingOption::TtlvEncoding)));
    let plain = GetRequest {
        unique_identifier: Some(key.as_str().into()),
        key_format_type: Some(KeyFormatType::Pkcs8),
        ..GetRequest::default()
    };
    let said = bench.advice(&plain);
    assert!(said.contains("Key Format Type Raw; the request said PKCS#8"), "{said}");
    let mut stranger = Peer::connect(&bench.server, &bench.server.client("stranger"));
    std::mem::swap(&mut bench.peer, &mut stranger);
    let said = bench.advice(&import(&key, Some(true)));
    assert!(said.contains("\"veeam\" has a Symmetric Key of this one"), "{said}");
}
