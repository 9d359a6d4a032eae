//! Names of tags, of enumerations' values and of masks' bits, as both encodings write them (sections 4.1.3 and 6.1.3).

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::Tag;
use crate::attribute::{CryptographicUsageMask, ProtectionStorageMask, StorageStatusMask};
use crate::enums::{self, Enumeration};
use crate::tags::TABLE;
use crate::ttlv::ItemType;

/// A name of the specification as a name of both encodings: `Re-key Key Pair` as `ReKeyKeyPair`, `3DES` as `DES3`.
#[must_use]
pub fn normalized(name: &str) -> String {
    let mut chars: Vec<char> = name.chars().map(|c| if matches!(c, '(' | ')') { ' ' } else { c }).collect();
    for at in 0..chars.len() {
        let (letter, lower) = (chars.get(at + 1).copied(), chars.get(at + 2).copied());
        if let Some(c) = chars.get_mut(at)
            && !is_word(*c)
            && letter.is_some_and(|next| next.is_ascii_alphabetic())
            && lower.is_some_and(|next| next.is_ascii_lowercase())
        {
            *c = ' ';
        }
    }
    let spaced: String = chars.into_iter().collect();
    let mut out = String::with_capacity(name.len());
    for (place, word) in spaced.split_whitespace().enumerate() {
        let word: String = word.chars().map(|c| if is_word(c) { c } else { '_' }).collect();
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = word.get(..word.len() - rest.len()).unwrap_or_default();
        let (start, end) = if place == 0 { (rest, digits) } else { (word.as_str(), "") };
        let mut letters = start.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
        out.push_str(end);
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Numbers and names, both ways.
#[derive(Default)]
struct Names {
    names: HashMap<u32, String>,
    values: HashMap<String, u32>,
}

impl Names {
    fn of(pairs: impl Iterator<Item = (u32, &'static str)>) -> Self {
        let mut all = Self::default();
        for (value, name) in pairs {
            let name = normalized(name);
            all.values.insert(name.clone(), value);
            all.names.insert(value, name);
        }
        all
    }

    fn of_enumeration<E: Enumeration>() -> Self {
        Self::of(E::ALL.iter().filter_map(|one| one.name().map(|name| (one.value(), name))))
    }
}

static TAGS: LazyLock<Names> = LazyLock::new(|| Names::of(TABLE.iter().map(|(tag, name)| (tag.0, *name))));

/// The normalized name of a tag of the specification.
#[must_use]
pub fn tag_name(tag: Tag) -> Option<&'static str> {
    TAGS.names.get(&tag.0).map(String::as_str)
}

/// The tag that has this normalized name, or this number: `0x420001`.
#[must_use]
pub fn tag_named(name: &str) -> Option<Tag> {
    if let Some(digits) = name.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok().filter(|tag| *tag <= 0x00FF_FFFF).map(Tag);
    }
    TAGS.values.get(name).copied().map(Tag)
}

/// Names by which values go too, in other versions' tables.
const OTHER_NAMES: [(Tag, &str, u32); 9] = [
    // So the table of 2.1 has it, by mistake.
    (Tag::MASK_GENERATOR, "MFG1", 1),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "MD2 with RSA Encryption (PKCS#1 v1.5)", 1),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "MD5 with RSA Encryption (PKCS#1 v1.5)", 2),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "SHA-1 with RSA Encryption (PKCS#1 v1.5)", 3),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "SHA-224 with RSA Encryption (PKCS#1 v1.5)", 4),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "SHA-256 with RSA Encryption (PKCS#1 v1.5)", 5),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "SHA-384 with RSA Encryption (PKCS#1 v1.5)", 6),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "SHA-512 with RSA Encryption (PKCS#1 v1.5)", 7),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, "RSASSA-PSS (PKCS#1 v2.1)", 8),
];

macro_rules! enumerations {
    ($($($tag:ident)|+ => $enumeration:ident;)*) => {
        static ENUMERATIONS: LazyLock<HashMap<Tag, Names>> = LazyLock::new(|| {
            let mut all = HashMap::new();
            $($(all.insert(Tag::$tag, Names::of_enumeration::<enums::$enumeration>());)+)*
            for (tag, name, value) in OTHER_NAMES {
                if let Some(names) = all.get_mut(&tag) {
                    names.values.insert(normalized(name), value);
                }
            }
            let types = ItemType::ALL.iter().map(|item_type| (u32::from(*item_type as u8), item_type.name()));
            all.insert(Tag::EXTENSION_TYPE, Names::of(types));
            all
        });
    };
}

enumerations! {
    ADJUSTMENT_TYPE => AdjustmentType;
    ALTERNATIVE_NAME_TYPE => AlternativeNameType;
    ASYNCHRONOUS_INDICATOR => AsynchronousIndicator;
    ATTESTATION_TYPE => AttestationType;
    BATCH_ERROR_CONTINUATION_OPTION => BatchErrorContinuationOption;
    BLOCK_CIPHER_MODE => BlockCipherMode;
    CANCELLATION_RESULT => CancellationResult;
    CERTIFICATE_REQUEST_TYPE => CertificateRequestType;
    CERTIFICATE_TYPE => CertificateType;
    CLIENT_REGISTRATION_METHOD => ClientRegistrationMethod;
    CREDENTIAL_TYPE => CredentialType;
    CRYPTOGRAPHIC_ALGORITHM => CryptographicAlgorithm;
    DATA => DataPlaceholder;
    DERIVATION_METHOD => DerivationMethod;
    DESTROY_ACTION => DestroyAction;
    DIGITAL_SIGNATURE_ALGORITHM => DigitalSignatureAlgorithm;
    DRBG_ALGORITHM => DrbgAlgorithm;
    ENCODING_OPTION => EncodingOption;
    ENDPOINT_ROLE => EndpointRole;
    FIPS186_VARIATION => Fips186Variation;
    HASHING_ALGORITHM | MASK_GENERATOR_HASHING_ALGORITHM => HashingAlgorithm;
    INTEROP_FUNCTION => InteropFunction;
    KEY_COMPRESSION_TYPE => KeyCompressionType;
    KEY_FORMAT_TYPE => KeyFormatType;
    KEY_ROLE_TYPE => KeyRoleType;
    KEY_VALUE_LOCATION_TYPE => KeyValueLocationType;
    KEY_WRAP_TYPE => KeyWrapType;
    LINK_TYPE => LinkType;
    MASK_GENERATOR => MaskGenerator;
    NAME_TYPE => NameType;
    NIST_KEY_TYPE => NistKeyType;
    OBJECT_GROUP_MEMBER => ObjectGroupMember;
    OBJECT_TYPE => ObjectType;
    OPAQUE_DATA_TYPE => OpaqueDataType;
    OPERATION => Operation;
    PADDING_METHOD => PaddingMethod;
    PKCS_11_FUNCTION => Pkcs11Function;
    PKCS_11_RETURN_CODE => Pkcs11ReturnCode;
    PROCESSING_STAGE => ProcessingStage;
    PROFILE_NAME => ProfileName;
    PROTECTION_LEVEL => ProtectionLevel;
    PUT_FUNCTION => PutFunction;
    QUERY_FUNCTION => QueryFunction;
    RECOMMENDED_CURVE => RecommendedCurve;
    RESULT_REASON => ResultReason;
    RESULT_STATUS => ResultStatus;
    REVOCATION_REASON_CODE => RevocationReasonCode;
    RNG_ALGORITHM => RngAlgorithm;
    RNG_MODE => RngMode;
    ROTATE_NAME_TYPE => RotateNameType;
    SECRET_DATA_TYPE => SecretDataType;
    SHREDDING_ALGORITHM => ShreddingAlgorithm;
    SPLIT_KEY_METHOD => SplitKeyMethod;
    STATE => State;
    TICKET_TYPE => TicketType;
    UNIQUE_IDENTIFIER | LINKED_OBJECT_IDENTIFIER | PRIVATE_KEY_UNIQUE_IDENTIFIER | PUBLIC_KEY_UNIQUE_IDENTIFIER
        | CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER => UniqueIdentifierPlaceholder;
    UNWRAP_MODE => UnwrapMode;
    USAGE_LIMITS_UNIT => UsageLimitsUnit;
    VALIDATION_AUTHORITY_TYPE => ValidationAuthorityType;
    VALIDATION_TYPE => ValidationType;
    VALIDITY_INDICATOR => ValidityIndicator;
    WRAPPING_METHOD => WrappingMethod;
}

/// The names of the values that an enumeration may have under `tag`. An Attribute Reference is a tag itself.
fn names_under(tag: Tag) -> Option<&'static Names> {
    if tag == Tag::ATTRIBUTE_REFERENCE { Some(&TAGS) } else { ENUMERATIONS.get(&tag) }
}

/// The normalized name of an enumeration's value under `tag`.
#[must_use]
pub fn enumeration_name(tag: Tag, value: u32) -> Option<&'static str> {
    names_under(tag)?.names.get(&value).map(String::as_str)
}

/// The value of the enumeration under `tag` that has this normalized name.
#[must_use]
pub fn enumeration_value(tag: Tag, name: &str) -> Option<u32> {
    names_under(tag)?.values.get(name).copied()
}

static MASKS: LazyLock<HashMap<Tag, Vec<(u32, String)>>> = LazyLock::new(|| {
    let bits = |table: &[(u32, &str)]| table.iter().map(|(bit, name)| (*bit, normalized(name))).collect();
    HashMap::from([
        (Tag::CRYPTOGRAPHIC_USAGE_MASK, bits(CryptographicUsageMask::TABLE)),
        (Tag::PROTECTION_STORAGE_MASK, bits(ProtectionStorageMask::TABLE)),
        (Tag::STORAGE_STATUS_MASK, bits(StorageStatusMask::TABLE)),
    ])
});

/// The bits of the mask under `tag`, each with its normalized name; `None` where an Integer under `tag` is a number.
pub(super) fn mask(tag: Tag) -> Option<&'static [(u32, String)]> {
    MASKS.get(&tag).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::{ENUMERATIONS, MASKS, OTHER_NAMES, TAGS, normalized};

    #[test]
    fn names_are_normalized_as_the_standard_says() {
        for (name, expected) in [
            ("Re-key Key Pair", "ReKeyKeyPair"),
            ("3DES", "DES3"),
            ("PKCS#11 Function", "PKCS_11Function"),
            ("IV/Counter/Nonce", "IVCounterNonce"),
            ("X.509 Certificate Identifier", "X_509CertificateIdentifier"),
            ("PKCS1 v1.5", "PKCS1V1_5"),
            ("Polynomial Sharing GF (216)", "PolynomialSharingGF216"),
            ("MAC/Signature Key Information", "MACSignatureKeyInformation"),
            ("SHA-512/224", "SHA_512_224"),
            ("Private Key Template-Attribute", "PrivateKeyTemplateAttribute"),
            ("", ""),
        ] {
            assert_eq!(normalized(name), expected, "{name}");
        }
    }

    #[test]
    fn no_two_values_share_a_name() {
        assert_eq!(TAGS.names.len(), TAGS.values.len());
        for (tag, names) in ENUMERATIONS.iter() {
            let more = OTHER_NAMES.iter().filter(|(other, ..)| other == tag).count();
            assert_eq!(names.names.len() + more, names.values.len(), "{tag}");
        }
        for (tag, bits) in MASKS.iter() {
            let mut names: Vec<_> = bits.iter().map(|(_, name)| name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), bits.len(), "{tag}");
        }
    }
}
