//! What every operation on an object refuses alike.

use kms_protocol::attribute::{Attribute, AttributeKind, AttributeReference, CustomAttribute};
use kms_protocol::enums::{
    AdjustmentType, DerivationMethod, ObjectType, ResultReason, RevocationReasonCode, SplitKeyMethod,
};
use kms_protocol::operation::{
    ActivateRequest, AddAttributeRequest, AdjustAttributeRequest, ArchiveRequest, CheckRequest,
    CreateSplitKeyRequest, DecryptRequest, DeleteAttributeRequest, DerivationParameters, DeriveKeyRequest,
    DestroyRequest, EncryptRequest, ExportRequest, GetAttributeListRequest, GetAttributesRequest, GetRequest,
    GetUsageAllocationRequest, JoinSplitKeyRequest, MacRequest, MacVerifyRequest, ModifyAttributeRequest,
    ObtainLeaseRequest, RecoverRequest, RekeyRequest, SetAttributeRequest, SignRequest,
    SignatureVerifyRequest,
};
use kms_protocol::ttlv::{Bytes, RawValue};
use kms_protocol::{Secret, Version};

use crate::asking::Asker;
use crate::{key, mode, opaque, revoke};

type Why = (ResultReason, String);

/// One way to ask for an operation on the object of an identifier; how it was refused, if it was.
type Way = (&'static str, fn(&Asker, &str) -> Result<(), Why>);

fn note() -> Attribute {
    Attribute::Custom(CustomAttribute { vendor: "x".into(), name: "note".into(), value: RawValue::text("n") })
}

fn data() -> Option<Bytes> {
    Some(Bytes(vec![1; 16]))
}

macro_rules! ask {
    ($name:literal, |$id:ident| $request:expr) => {
        ($name, |asker, $id| asker.ask(&$request).map(drop))
    };
}

const WAYS: &[Way] = &[
    ask!("Activate", |id| ActivateRequest { unique_identifier: Some(id.into()) }),
    ask!("Add Attribute", |id| AddAttributeRequest {
        unique_identifier: Some(id.into()),
        attribute: note().into()
    }),
    ask!("Adjust Attribute", |id| AdjustAttributeRequest {
        unique_identifier: Some(id.into()),
        attribute: AttributeReference::Standard(AttributeKind::Sensitive),
        adjustment_type: AdjustmentType::Negate,
        adjustment_value: None,
    }),
    ask!("Archive", |id| ArchiveRequest { unique_identifier: Some(id.into()) }),
    ask!("Check", |id| CheckRequest { unique_identifier: Some(id.into()), ..CheckRequest::default() }),
    ask!("Create Split Key", |id| CreateSplitKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifier: Some(id.into()),
        parts: 2,
        threshold: 2,
        method: SplitKeyMethod::Xor,
        prime_field_size: None,
        attributes: vec![].into(),
        protection: None,
    }),
    ask!("Decrypt", |id| DecryptRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: Some(mode(kms_protocol::enums::BlockCipherMode::Ecb)),
        data: data(),
        ..DecryptRequest::default()
    }),
    ask!("Delete Attribute", |id| DeleteAttributeRequest {
        unique_identifier: Some(id.into()),
        attribute: Some(AttributeReference::Standard(AttributeKind::Comment)),
        ..DeleteAttributeRequest::default()
    }),
    ask!("Derive Key", |id| DeriveKeyRequest {
        object_type: ObjectType::SecretData,
        unique_identifiers: vec![id.into()],
        derivation_method: DerivationMethod::Hash,
        derivation_parameters: DerivationParameters::default(),
        attributes: vec![Attribute::CryptographicLength(128)].into(),
    }),
    ask!("Destroy", |id| DestroyRequest { unique_identifier: Some(id.into()) }),
    ask!("Encrypt", |id| EncryptRequest {
        unique_identifier: Some(id.into()),
        cryptographic_parameters: Some(mode(kms_protocol::enums::BlockCipherMode::Ecb)),
        data: Some(Secret::new(vec![1; 16])),
        ..EncryptRequest::default()
    }),
    ask!("Export", |id| ExportRequest { unique_identifier: Some(id.into()), ..ExportRequest::default() }),
    ask!("Get", |id| GetRequest { unique_identifier: Some(id.into()), ..GetRequest::default() }),
    ask!("Get Attribute List", |id| GetAttributeListRequest { unique_identifier: Some(id.into()) }),
    ask!("Get Attributes", |id| GetAttributesRequest {
        unique_identifier: Some(id.into()),
        ..GetAttributesRequest::default()
    }),
    ask!("Get Usage Allocation", |id| GetUsageAllocationRequest {
        unique_identifier: Some(id.into()),
        usage_limits_count: 1,
    }),
    ask!("Join Split Key", |id| JoinSplitKeyRequest {
        object_type: ObjectType::SymmetricKey,
        unique_identifiers: vec![id.into()],
        secret_data_type: None,
        attributes: vec![].into(),
        protection: None,
    }),
    ask!("MAC", |id| MacRequest {
        unique_identifier: Some(id.into()),
        data: data(),
        ..MacRequest::default()
    }),
    ask!("MAC Verify", |id| MacVerifyRequest {
        unique_identifier: Some(id.into()),
        data: data(),
        mac_data: data(),
        ..MacVerifyRequest::default()
    }),
    ask!("Modify Attribute", |id| ModifyAttributeRequest {
        unique_identifier: Some(id.into()),
        current: None,
        attribute: note().into(),
    }),
    ask!("Obtain Lease", |id| ObtainLeaseRequest { unique_identifier: Some(id.into()) }),
    ask!("Recover", |id| RecoverRequest { unique_identifier: Some(id.into()) }),
    ask!("Re-key", |id| RekeyRequest { unique_identifier: Some(id.into()), ..RekeyRequest::default() }),
    ask!("Set Attribute", |id| SetAttributeRequest {
        unique_identifier: Some(id.into()),
        attribute: note().into()
    }),
    ask!("Sign", |id| SignRequest {
        unique_identifier: Some(id.into()),
        data: data(),
        ..SignRequest::default()
    }),
    ask!("Signature Verify", |id| SignatureVerifyRequest {
        unique_identifier: Some(id.into()),
        data: data(),
        signature_data: data(),
        ..SignatureVerifyRequest::default()
    }),
];

#[test]
fn nothing_and_what_is_someone_elses_answer_alike() {
    let owner = Asker::start("");
    let theirs = key(&owner);
    for version in [Version::V1_4, Version::V2_1] {
        let other = owner.by("b").speaking(version);
        for (name, ask) in WAYS {
            let Err(missing) = ask(&other, "00000000-0000-4000-8000-000000000000") else {
                panic!("{name} of nothing")
            };
            let Err(foreign) = ask(&other, &theirs) else { panic!("{name} of someone else's") };
            if missing.0 == ResultReason::OperationNotSupported {
                continue;
            }
            let expected =
                if version.is_2x() { ResultReason::ObjectNotFound } else { ResultReason::ItemNotFound };
            assert_eq!(missing, foreign, "{name}");
            assert_eq!(missing.0, expected, "{name}: {}", missing.1);
        }
    }
}

#[test]
fn a_rule_that_leaves_an_operation_out_denies_it() {
    let kms =
        Asker::start("[[access]]\nprincipals = \"reader\"\noperations = [\"Register\", \"Get Attributes\"]");
    let ask = kms.by("reader").speaking(Version::V2_1);
    let own = key(&ask);
    for (name, way) in WAYS.iter().filter(|(name, _)| *name != "Get Attributes") {
        let Err((reason, message)) = way(&ask, &own) else { panic!("{name} was not denied") };
        assert_eq!(reason, ResultReason::PermissionDenied, "{name}: {message}");
    }
}

#[test]
fn an_object_of_another_type_is_refused() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let own = opaque(&ask);
    for (name, way) in WAYS {
        if matches!(
            *name,
            "Encrypt"
                | "Decrypt"
                | "MAC"
                | "MAC Verify"
                | "Sign"
                | "Signature Verify"
                | "Re-key"
                | "Create Split Key"
                | "Join Split Key"
        ) {
            let Err((reason, message)) = way(&ask, &own) else { panic!("{name} of an Opaque Object") };
            assert_eq!(reason, ResultReason::InvalidObjectType, "{name}: {message}");
        }
    }
}

#[test]
fn a_key_that_is_not_active_protects_nothing_and_one_that_is_gone_does_nothing() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let waiting = crate::register(
        &ask,
        crate::aes(&crate::KEY),
        vec![Attribute::CryptographicUsageMask(crate::all_uses())],
    )
    .expect("registered");
    let gone = key(&ask);
    revoke(&ask, &gone, RevocationReasonCode::KeyCompromise);
    ask.ask(&DestroyRequest { unique_identifier: Some(gone.as_str().into()) }).expect("destroyed");
    for (name, way) in WAYS {
        if matches!(
            *name,
            "Encrypt" | "Decrypt" | "MAC" | "MAC Verify" | "Derive Key" | "Get Usage Allocation"
        ) {
            for (what, id) in [("Pre-Active", &waiting), ("destroyed", &gone)] {
                let Err((reason, message)) = way(&ask, id) else { panic!("{name} of a {what} key") };
                assert_eq!(reason, ResultReason::WrongKeyLifecycleState, "{name}, {what}: {message}");
            }
        }
        if matches!(*name, "Get" | "Export") {
            let Err((reason, message)) = way(&ask, &gone) else { panic!("{name} of a destroyed key") };
            assert_eq!(reason, ResultReason::ObjectDestroyed, "{name}: {message}");
        }
    }
}

#[test]
fn what_is_in_the_archive_is_asked_for_first() {
    let ask = Asker::start("").speaking(Version::V2_1);
    let own = key(&ask);
    ask.ask(&ArchiveRequest { unique_identifier: Some(own.as_str().into()) }).expect("archived");
    for (name, way) in WAYS {
        if matches!(*name, "Recover" | "Destroy" | "Get Attributes" | "Get Attribute List") {
            continue;
        }
        let Err((reason, message)) = way(&ask, &own) else { panic!("{name} of what is archived") };
        assert_eq!(reason, ResultReason::ObjectArchived, "{name}: {message}");
    }
    ask.ask(&RecoverRequest { unique_identifier: Some(own.as_str().into()) }).expect("recovered");
    crate::get(&ask, &own).expect("on line again");
}
