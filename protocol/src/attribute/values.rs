//! The attributes and parameters that are structures, and the two masks.

use crate::Tag;
use crate::enums::{
    AlternativeNameType, BlockCipherMode, CryptographicAlgorithm, DigitalSignatureAlgorithm, DrbgAlgorithm,
    Fips186Variation, HashingAlgorithm, KeyFormatType, KeyRoleType, KeyValueLocationType, LinkType,
    MaskGenerator, NameType, PaddingMethod, RecommendedCurve, RevocationReasonCode, RngAlgorithm,
    RotateNameType, UsageLimitsUnit,
};
use crate::error::DecodeError;
use crate::identifier::UniqueIdentifier;
use crate::structure;
use crate::ttlv::{Bytes, Content, Item, ItemType, Value, Writer};

structure! {
    /// Name (KMIP 1.4 section 3.2).
    #[derive(Eq, Hash)]
    pub struct Name {
        /// The name itself.
        pub value: String = NAME_VALUE,
        /// How it is to be read.
        pub name_type: NameType = NAME_TYPE,
    }
}

impl Name {
    /// An Uninterpreted Text String.
    #[must_use]
    pub fn text(value: impl Into<String>) -> Self {
        Self { value: value.into(), name_type: NameType::UninterpretedTextString }
    }
}

structure! {
    /// Link (KMIP 1.4 section 3.35).
    #[derive(Eq)]
    pub struct Link {
        /// How the other object is related.
        pub link_type: LinkType = LINK_TYPE,
        /// The other object.
        pub target: UniqueIdentifier = LINKED_OBJECT_IDENTIFIER,
    }
}

impl Link {
    /// A link to an object by its identifier.
    #[must_use]
    pub fn to(link_type: LinkType, id: impl Into<String>) -> Self {
        Self { link_type, target: UniqueIdentifier::Text(id.into()) }
    }
}

structure! {
    /// Cryptographic Parameters (KMIP 1.4 section 3.6).
    #[derive(Eq, Default)]
    pub struct CryptographicParameters {
        /// The mode of a block cipher.
        pub block_cipher_mode: Option<BlockCipherMode> = BLOCK_CIPHER_MODE,
        /// The padding.
        pub padding_method: Option<PaddingMethod> = PADDING_METHOD,
        /// The hash of OAEP, PSS, HMAC and signatures.
        pub hashing_algorithm: Option<HashingAlgorithm> = HASHING_ALGORITHM,
        /// The role of a key in payment systems.
        pub key_role_type: Option<KeyRoleType> = KEY_ROLE_TYPE,
        /// Signature scheme and hash in one.
        pub digital_signature_algorithm: Option<DigitalSignatureAlgorithm> = DIGITAL_SIGNATURE_ALGORITHM, since V1_2,
        /// The algorithm that the key is used with.
        pub cryptographic_algorithm: Option<CryptographicAlgorithm> = CRYPTOGRAPHIC_ALGORITHM, since V1_2,
        /// Whether the server makes the initialization vector.
        pub random_iv: Option<bool> = RANDOM_IV, since V1_2,
        /// Bits of the initialization vector.
        pub iv_length: Option<i32> = IV_LENGTH, since V1_2,
        /// Bytes of the authentication tag.
        pub tag_length: Option<i32> = TAG_LENGTH, since V1_2,
        /// Bits of the fixed field of a counter-mode IV.
        pub fixed_field_length: Option<i32> = FIXED_FIELD_LENGTH, since V1_2,
        /// Bits of its invocation field.
        pub invocation_field_length: Option<i32> = INVOCATION_FIELD_LENGTH, since V1_2,
        /// Bits of its counter.
        pub counter_length: Option<i32> = COUNTER_LENGTH, since V1_2,
        /// Where the counter starts.
        pub initial_counter_value: Option<i32> = INITIAL_COUNTER_VALUE, since V1_2,
        /// Bytes of PSS's salt.
        pub salt_length: Option<i32> = SALT_LENGTH, since V1_4,
        /// The mask generation function; MGF1 where absent.
        pub mask_generator: Option<MaskGenerator> = MASK_GENERATOR, since V1_4,
        /// The mask generation function's hash; SHA-1 where absent, whatever the hashing algorithm is.
        pub mask_generator_hashing_algorithm: Option<HashingAlgorithm> = MASK_GENERATOR_HASHING_ALGORITHM, since V1_4,
        /// OAEP's label; empty where absent.
        pub p_source: Option<Bytes> = P_SOURCE, since V1_4,
        /// PSS's trailer.
        pub trailer_field: Option<i32> = TRAILER_FIELD, since V1_4,
    }
}

impl CryptographicParameters {
    /// RSA-OAEP with both hashes stated.
    #[must_use]
    pub fn rsa_oaep(hash: HashingAlgorithm, mask_hash: HashingAlgorithm) -> Self {
        Self {
            padding_method: Some(PaddingMethod::Oaep),
            hashing_algorithm: Some(hash),
            cryptographic_algorithm: Some(CryptographicAlgorithm::Rsa),
            mask_generator: Some(MaskGenerator::Mfg1),
            mask_generator_hashing_algorithm: Some(mask_hash),
            ..Self::default()
        }
    }
}

structure! {
    /// Cryptographic Domain Parameters (KMIP 1.4 section 3.7).
    #[derive(Eq, Default)]
    pub struct CryptographicDomainParameters {
        /// Bits of Q, for DSA and DH.
        pub qlength: Option<i32> = QLENGTH,
        /// The curve.
        pub recommended_curve: Option<RecommendedCurve> = RECOMMENDED_CURVE,
    }
}

structure! {
    /// Digest (KMIP 1.4 section 3.17).
    #[derive(Eq)]
    pub struct Digest {
        /// The hash.
        pub hashing_algorithm: HashingAlgorithm = HASHING_ALGORITHM,
        /// Its value over the Key Material.
        pub digest_value: Option<Bytes> = DIGEST_VALUE,
        /// The format in which the Key Material was hashed.
        pub key_format_type: Option<KeyFormatType> = KEY_FORMAT_TYPE, since V1_1,
    }
}

structure! {
    /// Usage Limits (KMIP 1.4 section 3.21).
    #[derive(Eq)]
    pub struct UsageLimits {
        /// Units allowed over the object's whole life.
        pub total: i64 = USAGE_LIMITS_TOTAL,
        /// Units that remain.
        pub count: Option<i64> = USAGE_LIMITS_COUNT,
        /// Bytes or objects.
        pub unit: UsageLimitsUnit = USAGE_LIMITS_UNIT,
    }
}

structure! {
    /// Revocation Reason (KMIP 1.4 section 3.31).
    #[derive(Eq)]
    pub struct RevocationReason {
        /// The reason.
        pub code: RevocationReasonCode = REVOCATION_REASON_CODE,
        /// The reason in words.
        pub message: Option<String> = REVOCATION_MESSAGE,
    }
}

structure! {
    /// Application Specific Information (KMIP 1.4 section 3.36).
    #[derive(Eq)]
    pub struct ApplicationSpecificInformation {
        /// Whose information it is.
        pub namespace: String = APPLICATION_NAMESPACE,
        /// The information.
        pub data: Option<String> = APPLICATION_DATA,
    }
}

structure! {
    /// Alternative Name (KMIP 1.4 section 3.40).
    #[derive(Eq)]
    pub struct AlternativeName {
        /// The name.
        pub value: String = ALTERNATIVE_NAME_VALUE,
        /// What kind of name it is.
        pub name_type: AlternativeNameType = ALTERNATIVE_NAME_TYPE,
    }
}

structure! {
    /// Key Value Location (KMIP 1.4 section 3.42).
    #[derive(Eq)]
    pub struct KeyValueLocation {
        /// Where the key value is.
        pub value: String = KEY_VALUE_LOCATION_VALUE,
        /// How the place is written.
        pub location_type: KeyValueLocationType = KEY_VALUE_LOCATION_TYPE,
    }
}

structure! {
    /// Rotate Name (KMIP 2.1 section 4.53).
    #[derive(Eq)]
    pub struct RotateName {
        /// The name that all generations share.
        pub value: String = ROTATE_NAME_VALUE,
        /// How it is to be read.
        pub name_type: RotateNameType = ROTATE_NAME_TYPE,
    }
}

structure! {
    /// RNG Parameters (KMIP 1.4 section 2.1.18).
    #[derive(Eq)]
    pub struct RngParameters {
        /// The kind of generator.
        pub rng_algorithm: RngAlgorithm = RNG_ALGORITHM,
        /// Its cipher.
        pub cryptographic_algorithm: Option<CryptographicAlgorithm> = CRYPTOGRAPHIC_ALGORITHM,
        /// Bits of its cipher's key.
        pub cryptographic_length: Option<i32> = CRYPTOGRAPHIC_LENGTH,
        /// Its hash.
        pub hashing_algorithm: Option<HashingAlgorithm> = HASHING_ALGORITHM,
        /// Which DRBG it is.
        pub drbg_algorithm: Option<DrbgAlgorithm> = DRBG_ALGORITHM,
        /// The curve of a Dual-EC DRBG.
        pub recommended_curve: Option<RecommendedCurve> = RECOMMENDED_CURVE,
        /// The variation of a FIPS 186-2 generator.
        pub fips186_variation: Option<Fips186Variation> = FIPS186_VARIATION,
        /// Whether prediction resistance is on.
        pub prediction_resistance: Option<bool> = PREDICTION_RESISTANCE,
    }
}

structure! {
    /// X.509 Certificate Identifier (KMIP 1.4 section 3.10).
    #[derive(Eq)]
    pub struct X509CertificateIdentifier {
        /// The issuer, DER.
        pub issuer: Bytes = ISSUER_DISTINGUISHED_NAME,
        /// The serial number.
        pub serial_number: Bytes = CERTIFICATE_SERIAL_NUMBER,
    }
}

structure! {
    /// X.509 Certificate Subject (KMIP 1.4 section 3.11).
    #[derive(Eq)]
    pub struct X509CertificateSubject {
        /// The subject, DER.
        pub subject: Bytes = SUBJECT_DISTINGUISHED_NAME,
        /// The subject's other names.
        pub alternative_names: Vec<Bytes> = SUBJECT_ALTERNATIVE_NAME,
    }
}

structure! {
    /// X.509 Certificate Issuer (KMIP 1.4 section 3.12).
    #[derive(Eq)]
    pub struct X509CertificateIssuer {
        /// The issuer, DER.
        pub issuer: Bytes = ISSUER_DISTINGUISHED_NAME,
        /// The issuer's other names.
        pub alternative_names: Vec<Bytes> = ISSUER_ALTERNATIVE_NAME,
    }
}

structure! {
    /// Certificate Identifier of 1.0, later replaced by X.509 Certificate Identifier (KMIP 1.4 section 3.13).
    #[derive(Eq)]
    pub struct CertificateIdentifier {
        /// The issuer as text.
        pub issuer: String = ISSUER,
        /// The serial number as text.
        pub serial_number: Option<String> = SERIAL_NUMBER,
    }
}

structure! {
    /// Certificate Subject of 1.0 (KMIP 1.4 section 3.14).
    #[derive(Eq)]
    pub struct CertificateSubject {
        /// The subject as text.
        pub subject: String = CERTIFICATE_SUBJECT_DISTINGUISHED_NAME,
        /// The subject's other names.
        pub alternative_names: Vec<String> = CERTIFICATE_SUBJECT_ALTERNATIVE_NAME,
    }
}

structure! {
    /// Certificate Issuer of 1.0 (KMIP 1.4 section 3.15).
    #[derive(Eq)]
    pub struct CertificateIssuer {
        /// The issuer as text.
        pub issuer: String = CERTIFICATE_ISSUER_DISTINGUISHED_NAME,
        /// The issuer's other names.
        pub alternative_names: Vec<String> = CERTIFICATE_ISSUER_ALTERNATIVE_NAME,
    }
}

macro_rules! mask {
    ($(#[$doc:meta])* $name:ident { $($flag:ident = $value:literal, $label:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub struct $name(pub u32);

        impl $name {
            $(
                #[doc = $label]
                pub const $flag: Self = Self($value);
            )*

            /// Every known bit with its name.
            pub const TABLE: &'static [(u32, &'static str)] = &[$(($value, $label),)*];

            /// Whether all bits of `other` are set.
            #[must_use]
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl Value for $name {
            fn read(item: Item<'_>) -> Result<Self, DecodeError> {
                match item.content {
                    Content::Integer(bits) => Ok(Self(bits.cast_unsigned())),
                    _ => Err(item.wrong_type(ItemType::Integer)),
                }
            }

            fn write(&self, writer: &mut Writer, tag: Tag) {
                self.0.cast_signed().write(writer, tag);
            }
        }
    };
}

mask! {
    /// Cryptographic Usage Mask (KMIP 2.1 section 12.1).
    CryptographicUsageMask {
        SIGN = 0x0000_0001, "Sign";
        VERIFY = 0x0000_0002, "Verify";
        ENCRYPT = 0x0000_0004, "Encrypt";
        DECRYPT = 0x0000_0008, "Decrypt";
        WRAP_KEY = 0x0000_0010, "Wrap Key";
        UNWRAP_KEY = 0x0000_0020, "Unwrap Key";
        EXPORT = 0x0000_0040, "Export";
        MAC_GENERATE = 0x0000_0080, "MAC Generate";
        MAC_VERIFY = 0x0000_0100, "MAC Verify";
        DERIVE_KEY = 0x0000_0200, "Derive Key";
        CONTENT_COMMITMENT = 0x0000_0400, "Content Commitment";
        KEY_AGREEMENT = 0x0000_0800, "Key Agreement";
        CERTIFICATE_SIGN = 0x0000_1000, "Certificate Sign";
        CRL_SIGN = 0x0000_2000, "CRL Sign";
        GENERATE_CRYPTOGRAM = 0x0000_4000, "Generate Cryptogram";
        VALIDATE_CRYPTOGRAM = 0x0000_8000, "Validate Cryptogram";
        TRANSLATE_ENCRYPT = 0x0001_0000, "Translate Encrypt";
        TRANSLATE_DECRYPT = 0x0002_0000, "Translate Decrypt";
        TRANSLATE_WRAP = 0x0004_0000, "Translate Wrap";
        TRANSLATE_UNWRAP = 0x0008_0000, "Translate Unwrap";
        AUTHENTICATE = 0x0010_0000, "Authenticate";
        UNRESTRICTED = 0x0020_0000, "Unrestricted";
        FPE_ENCRYPT = 0x0040_0000, "FPE Encrypt";
        FPE_DECRYPT = 0x0080_0000, "FPE Decrypt";
    }
}

mask! {
    /// Storage Status Mask (KMIP 2.1 section 12.3).
    StorageStatusMask {
        ON_LINE = 0x0000_0001, "On-line storage";
        ARCHIVAL = 0x0000_0002, "Archival storage";
        DESTROYED = 0x0000_0004, "Destroyed storage";
    }
}

mask! {
    /// Protection Storage Mask (KMIP 2.1 section 12.2).
    ProtectionStorageMask {
        SOFTWARE = 0x0000_0001, "Software";
        HARDWARE = 0x0000_0002, "Hardware";
        ON_PROCESSOR = 0x0000_0004, "On Processor";
        ON_SYSTEM = 0x0000_0008, "On System";
        OFF_SYSTEM = 0x0000_0010, "Off System";
        HYPERVISOR = 0x0000_0020, "Hypervisor";
        OPERATING_SYSTEM = 0x0000_0040, "Operating System";
        CONTAINER = 0x0000_0080, "Container";
        ON_PREMISES = 0x0000_0100, "On Premises";
        OFF_PREMISES = 0x0000_0200, "Off Premises";
        SELF_MANAGED = 0x0000_0400, "Self Managed";
        OUTSOURCED = 0x0000_0800, "Outsourced";
        VALIDATED = 0x0000_1000, "Validated";
        SAME_JURISDICTION = 0x0000_2000, "Same Jurisdiction";
    }
}

structure! {
    /// Protection Storage Masks: any of them will do (KMIP 2.1 section 7.33).
    pub struct ProtectionStorageMasks {
        /// The masks.
        pub masks: Vec<ProtectionStorageMask> = PROTECTION_STORAGE_MASK,
    }
}
