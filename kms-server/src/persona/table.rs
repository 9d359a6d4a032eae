//! Every persona: what it does otherwise, in words, and where that is known from.
//!
//! "Field notes" are what was gathered of products' behaviour before this project began; docs/personas.md says more.

use kms_protocol::Version;
use kms_protocol::attribute::AttributeKind as Attribute;
use kms_protocol::enums::{HashingAlgorithm, Operation};
use rustls::CipherSuite;

use super::{Deviation, Does, Row, idle};
use crate::connection::Then;
use crate::kms::policy::{AfterRotation, MayLeave};

const ONE_X: &[Version] = &[Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4];

const NOTES: &str = "field notes";
const ENGINE: &str = "PyKMIP 0.11.0, kmip/services/server/engine.py";

/// All personas, in the order in which they are listed.
pub const ALL: &[Row] = &[
    Row { name: "pykmip", stands_for: "PyKMIP 0.11's server", deviations: PYKMIP },
    Row { name: "cosmian", stands_for: "Cosmian KMS 5.26", deviations: COSMIAN },
    Row { name: "vault", stands_for: "Vault Enterprise, a performance standby", deviations: VAULT },
    Row { name: "ovh", stands_for: "OVHcloud KMS as of 2024", deviations: OVH },
    Row { name: "ciphertrust", stands_for: "Thales CipherTrust Manager", deviations: CIPHERTRUST },
    Row { name: "idle-hsm", stands_for: "a network HSM that drops idle connections", deviations: IDLE_HSM },
    Row {
        name: "veeam-strict",
        stands_for: "a KMS with what Veeam asks for and nothing else",
        deviations: VEEAM,
    },
];

/// What PyKMIP keeps of an object.
const PYKMIP_ATTRIBUTES: &[Attribute] = &[
    Attribute::UniqueIdentifier,
    Attribute::Name,
    Attribute::ObjectType,
    Attribute::CryptographicAlgorithm,
    Attribute::CryptographicLength,
    Attribute::CertificateType,
    Attribute::OperationPolicyName,
    Attribute::CryptographicUsageMask,
    Attribute::State,
    Attribute::InitialDate,
    Attribute::ObjectGroup,
    Attribute::ApplicationSpecificInformation,
    Attribute::Sensitive,
];

const PYKMIP: &[Deviation] = &[
    Deviation {
        does: Does::Speaks(&[
            Version::V2_0,
            Version::V1_4,
            Version::V1_3,
            Version::V1_2,
            Version::V1_1,
            Version::V1_0,
        ]),
        says: "speaks KMIP 1.0 to 1.4 and 2.0",
        source: ENGINE,
    },
    Deviation {
        does: Does::Operates(&[
            Operation::Create,
            Operation::CreateKeyPair,
            Operation::Register,
            Operation::DeriveKey,
            Operation::Locate,
            Operation::Get,
            Operation::GetAttributes,
            Operation::GetAttributeList,
            Operation::SetAttribute,
            Operation::ModifyAttribute,
            Operation::DeleteAttribute,
            Operation::Activate,
            Operation::Revoke,
            Operation::Destroy,
            Operation::Query,
            Operation::DiscoverVersions,
            Operation::Encrypt,
            Operation::Decrypt,
            Operation::Sign,
            Operation::SignatureVerify,
            Operation::Mac,
        ]),
        says: "has no Re-key, Re-key Key Pair, Check or Add Attribute",
        source: ENGINE,
    },
    Deviation {
        does: Does::Calls("PyKMIP 0.11.0 Software Server"),
        says: "calls itself PyKMIP",
        source: ENGINE,
    },
    Deviation { does: Does::ListsNoObjects, says: "lists no objects in Query", source: ENGINE },
    Deviation {
        does: Does::Keeps(PYKMIP_ATTRIBUTES),
        says: "has no Links, no dates but the Initial Date, and few other attributes",
        source: ENGINE,
    },
    Deviation {
        does: Does::LocatesBy(PYKMIP_ATTRIBUTES),
        says: "ignores filters of Locate for attributes that it does not keep",
        source: ENGINE,
    },
    Deviation {
        does: Does::OnlySymmetric,
        says: "encrypts and decrypts with symmetric keys only, and says Permission Denied otherwise",
        source: ENGINE,
    },
    Deviation {
        does: Does::CannotReadMaskHash,
        says: "cannot read a message that states OAEP's mask generator or its hash, and answers that in KMIP 1.0",
        source: "PyKMIP 0.11.0, kmip/core/attributes.py and kmip/services/server/session.py",
    },
    Deviation {
        does: Does::Encrypts(&[
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ]),
        says: "speaks TLS 1.2 without ECDHE-RSA-AES-GCM: by ECDSA certificates alone",
        source: "PyKMIP 0.11.0, kmip/services/auth.py (of its suites, those that rustls has)",
    },
];

const COSMIAN: &[Deviation] = &[Deviation {
    does: Does::Retires(AfterRotation::Deactivate, MayLeave::RefuseWhenDeactivated),
    says: "deactivates the old pair when it is rotated and refuses Get of it; Decrypt still works",
    source: "field notes; Cosmian/kms, documentation/docs/adr/2026-06-30-key-auto-rotation-keyset-chain-design.md (retire_old_key)",
}];

const VAULT: &[Deviation] = &[
    Deviation { does: Does::Speaks(ONE_X), says: "speaks KMIP 1.0 to 1.4", source: NOTES },
    Deviation {
        does: Does::Lacks(&[Operation::Check]),
        says: "has no Check",
        source: "https://developer.hashicorp.com/vault/docs/secrets/kmip-profiles",
    },
    Deviation {
        does: Does::ReadsLate,
        says: "may not show a new object to the first request that reads it",
        source: "field notes: reads after writes are not guaranteed on a standby; https://developer.hashicorp.com/vault/docs/secrets/kmip (clients may connect to standbys)",
    },
];

const OVH: &[Deviation] = &[
    Deviation { does: Does::Speaks(ONE_X), says: "speaks KMIP 1.0 to 1.4", source: OVH_GUIDE },
    Deviation {
        does: Does::Operates(&[
            Operation::Create,
            Operation::CreateKeyPair,
            Operation::Register,
            Operation::Rekey,
            Operation::Locate,
            Operation::Get,
            Operation::GetAttributes,
            Operation::GetAttributeList,
            Operation::AddAttribute,
            Operation::ModifyAttribute,
            Operation::DeleteAttribute,
            Operation::ObtainLease,
            Operation::GetUsageAllocation,
            Operation::Activate,
            Operation::Revoke,
            Operation::Destroy,
            Operation::Archive,
            Operation::Recover,
            Operation::Query,
            Operation::DiscoverVersions,
        ]),
        says: "has no Encrypt, Decrypt, Re-key Key Pair or Check: private keys have to be fetched",
        source: OVH_GUIDE,
    },
];

const OVH_GUIDE: &str = "ovh/docs, pages/manage_and_operate/kms/kms-kmip/guide.en-gb.md as of 2024-10-17";

const CIPHERTRUST: &[Deviation] = &[Deviation {
    does: idle(24 * 60 * 60, Then::Revoked),
    says: "revokes the session of a connection that was idle for 24 hours: every request on it fails from then on",
    source: "scality/Arsenal, lib/network/kmip/error-comparison.jsonc and pull request 2397",
}];

const IDLE_HSM: &[Deviation] = &[Deviation {
    does: idle(30, Then::Dropped),
    says: "drops a connection that was idle for 30 seconds, without a word",
    source: "https://github.com/NLnetLabs/krill/issues/565 (30 s), https://github.com/ceph/ceph-nvmeof/issues/1904 (2 to 3 min)",
}];

const VEEAM: &[Deviation] = &[
    Deviation { does: Does::Speaks(&[Version::V1_4]), says: "speaks KMIP 1.4 alone", source: VEEAM_NEEDS },
    Deviation {
        does: Does::Operates(&[
            Operation::CreateKeyPair,
            Operation::Locate,
            Operation::Check,
            Operation::Get,
            Operation::GetAttributes,
            Operation::GetAttributeList,
            Operation::AddAttribute,
            Operation::ModifyAttribute,
            Operation::DeleteAttribute,
            Operation::Activate,
            Operation::Revoke,
            Operation::Destroy,
            Operation::Query,
            Operation::DiscoverVersions,
            Operation::Encrypt,
            Operation::Decrypt,
        ]),
        says: "does what three profiles need: Baseline, Asymmetric Key Lifecycle and Basic Cryptographic Server; no Re-key Key Pair",
        source: "field notes; the operations of KMIP Asymmetric Key Lifecycle Profile 1.0 and of https://developer.hashicorp.com/vault/docs/secrets/kmip-profiles (Baseline, Basic Cryptographic)",
    },
    Deviation {
        does: Does::Oaep(&[(HashingAlgorithm::Sha1, HashingAlgorithm::Sha1)]),
        says: "decrypts RSA-OAEP with SHA-1 for both hashes alone",
        source: VEEAM_NEEDS,
    },
    Deviation {
        does: Does::Encrypts(&[
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ]),
        says: "speaks TLS 1.2 with ECDHE-RSA-AES-GCM alone",
        source: VEEAM_NEEDS,
    },
];

const VEEAM_NEEDS: &str = "field notes of what Veeam states and was seen to send";
