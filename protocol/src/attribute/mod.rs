//! Attributes: one table, one model, both ways of writing them.
//!
//! In 1.x an attribute travels as its name, an index and a value; in 2.x its tag says what it is. An attribute that a
//! version does not have is left out of what is written in it.

mod list;
mod values;

use crate::enums::{
    CertificateType, CryptographicAlgorithm, DigitalSignatureAlgorithm, KeyFormatType, NistKeyType,
    ObjectType, OpaqueDataType, ProtectionLevel, State,
};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::ttlv::{Bytes, Interval, Item, RawValue, Value, Writer};
use crate::{DateTime, Tag, Version};

pub use list::{
    AttributeList, AttributeReference, AttributeReferences, Attributes, Criteria, Criterion,
    IndexedAttribute, read_attribute, read_stored, write_attribute, write_stored,
};
pub use values::{
    AlternativeName, ApplicationSpecificInformation, CertificateIdentifier, CertificateIssuer,
    CertificateSubject, CryptographicDomainParameters, CryptographicParameters, CryptographicUsageMask,
    Digest, KeyValueLocation, Link, Name, ProtectionStorageMask, ProtectionStorageMasks, RevocationReason,
    RngParameters, RotateName, StorageStatusMask, UsageLimits, X509CertificateIdentifier,
    X509CertificateIssuer, X509CertificateSubject,
};

/// An attribute that is not in the specification: a Custom Attribute of 1.x, a Vendor Attribute of 2.x.
///
/// What 1.x calls `x-note` is `note` of vendor `x` in 2.x (KMIP 2.1 section 4.60).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomAttribute {
    /// Whose attribute it is; `x` for clients, `y` for servers.
    pub vendor: String,
    /// Its name.
    pub name: String,
    /// Its value, of any type.
    pub value: RawValue,
}

impl CustomAttribute {
    /// The name by which 1.x knows it.
    #[must_use]
    pub fn name_in_1x(&self) -> String {
        custom_name(&self.vendor, &self.name)
    }
}

fn custom_name(vendor: &str, name: &str) -> String {
    format!("{vendor}-{name}")
}

/// Vendor and name of a 1.x custom attribute.
fn split_custom_name(name: &str) -> Option<(&str, &str)> {
    let (vendor, rest) = name.split_once('-')?;
    is_vendor_of_1x(vendor).then_some((vendor, rest))
}

/// Whether 1.x has a name for this vendor's attributes: custom ones begin with `x-` or `y-` there (1.4 section 3.44).
fn is_vendor_of_1x(vendor: &str) -> bool {
    matches!(vendor, "x" | "y")
}

macro_rules! attributes {
    ($($kind:ident : $type:ty = $tag:ident, $text:literal, $number:ident, $since:ident $(- $until:ident)?;)*) => {
        /// One instance of an attribute.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Attribute {
            $(
                #[doc = $text]
                $kind($type),
            )*
            /// An attribute outside the specification.
            Custom(CustomAttribute),
        }

        /// Which attribute, without its value.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum AttributeKind {
            $(
                #[doc = $text]
                $kind,
            )*
            /// Any attribute outside the specification.
            Custom,
        }

        impl Attribute {
            /// Which attribute this is.
            #[must_use]
            pub fn kind(&self) -> AttributeKind {
                match self {
                    $(Self::$kind(_) => AttributeKind::$kind,)*
                    Self::Custom(_) => AttributeKind::Custom,
                }
            }

            /// Writes the value alone, under `tag`.
            fn write_value(&self, writer: &mut Writer, tag: Tag) {
                match self {
                    $(Self::$kind(value) => value.write(writer, tag),)*
                    Self::Custom(custom) => custom.value.write(writer, tag),
                }
            }

            /// Reads the value of the attribute `kind`.
            fn read_value(kind: AttributeKind, item: Item<'_>) -> Result<Self, DecodeError> {
                match kind {
                    $(AttributeKind::$kind => <$type>::read(item).map(Self::$kind),)*
                    AttributeKind::Custom => Err(item.error(DecodeErrorKind::Unexpected)),
                }
            }
        }

        impl AttributeKind {
            /// Every standard attribute, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The attribute's name, which 1.x sends.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                    Self::Custom => "Custom Attribute",
                }
            }

            /// The attribute's tag, which 2.x sends.
            #[must_use]
            pub fn tag(self) -> Tag {
                match self {
                    $(Self::$kind => Tag::$tag,)*
                    Self::Custom => Tag::ATTRIBUTE,
                }
            }

            /// Whether an object may have several instances.
            #[must_use]
            pub fn is_multi_valued(self) -> bool {
                match self {
                    $(Self::$kind => attributes!(@multi $number),)*
                    Self::Custom => true,
                }
            }

            /// Whether `version` has the attribute.
            #[must_use]
            pub fn exists_in(self, version: Version) -> bool {
                match self {
                    $(Self::$kind => version >= Version::$since $(&& version <= Version::$until)?,)*
                    Self::Custom => true,
                }
            }
        }
    };
    (@multi single) => { false };
    (@multi multi) => { true };
}

attributes! {
    UniqueIdentifier: String = UNIQUE_IDENTIFIER, "Unique Identifier", single, V1_0;
    Name: Name = NAME, "Name", multi, V1_0;
    ObjectType: ObjectType = OBJECT_TYPE, "Object Type", single, V1_0;
    CryptographicAlgorithm: CryptographicAlgorithm = CRYPTOGRAPHIC_ALGORITHM, "Cryptographic Algorithm", single, V1_0;
    CryptographicLength: i32 = CRYPTOGRAPHIC_LENGTH, "Cryptographic Length", single, V1_0;
    CryptographicParameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS, "Cryptographic Parameters", multi, V1_0;
    CryptographicDomainParameters: CryptographicDomainParameters = CRYPTOGRAPHIC_DOMAIN_PARAMETERS, "Cryptographic Domain Parameters", single, V1_0;
    CertificateType: CertificateType = CERTIFICATE_TYPE, "Certificate Type", single, V1_0;
    CertificateLength: i32 = CERTIFICATE_LENGTH, "Certificate Length", single, V1_1;
    X509CertificateIdentifier: X509CertificateIdentifier = X_509_CERTIFICATE_IDENTIFIER, "X.509 Certificate Identifier", single, V1_1;
    X509CertificateSubject: X509CertificateSubject = X_509_CERTIFICATE_SUBJECT, "X.509 Certificate Subject", single, V1_1;
    X509CertificateIssuer: X509CertificateIssuer = X_509_CERTIFICATE_ISSUER, "X.509 Certificate Issuer", single, V1_1;
    CertificateIdentifier: CertificateIdentifier = CERTIFICATE_IDENTIFIER, "Certificate Identifier", single, V1_0 - V1_4;
    CertificateSubject: CertificateSubject = CERTIFICATE_SUBJECT, "Certificate Subject", single, V1_0 - V1_4;
    CertificateIssuer: CertificateIssuer = CERTIFICATE_ISSUER, "Certificate Issuer", single, V1_0 - V1_4;
    DigitalSignatureAlgorithm: DigitalSignatureAlgorithm = DIGITAL_SIGNATURE_ALGORITHM, "Digital Signature Algorithm", multi, V1_1;
    Digest: Digest = DIGEST, "Digest", multi, V1_0;
    OperationPolicyName: String = OPERATION_POLICY_NAME, "Operation Policy Name", single, V1_0 - V1_4;
    CryptographicUsageMask: CryptographicUsageMask = CRYPTOGRAPHIC_USAGE_MASK, "Cryptographic Usage Mask", single, V1_0;
    LeaseTime: Interval = LEASE_TIME, "Lease Time", single, V1_0;
    UsageLimits: UsageLimits = USAGE_LIMITS, "Usage Limits", single, V1_0;
    State: State = STATE, "State", single, V1_0;
    InitialDate: DateTime = INITIAL_DATE, "Initial Date", single, V1_0;
    ActivationDate: DateTime = ACTIVATION_DATE, "Activation Date", single, V1_0;
    ProcessStartDate: DateTime = PROCESS_START_DATE, "Process Start Date", single, V1_0;
    ProtectStopDate: DateTime = PROTECT_STOP_DATE, "Protect Stop Date", single, V1_0;
    DeactivationDate: DateTime = DEACTIVATION_DATE, "Deactivation Date", single, V1_0;
    DestroyDate: DateTime = DESTROY_DATE, "Destroy Date", single, V1_0;
    CompromiseOccurrenceDate: DateTime = COMPROMISE_OCCURRENCE_DATE, "Compromise Occurrence Date", single, V1_0;
    CompromiseDate: DateTime = COMPROMISE_DATE, "Compromise Date", single, V1_0;
    RevocationReason: RevocationReason = REVOCATION_REASON, "Revocation Reason", single, V1_0;
    ArchiveDate: DateTime = ARCHIVE_DATE, "Archive Date", single, V1_0;
    ObjectGroup: String = OBJECT_GROUP, "Object Group", multi, V1_0;
    Fresh: bool = FRESH, "Fresh", single, V1_1;
    Link: Link = LINK, "Link", multi, V1_0;
    ApplicationSpecificInformation: ApplicationSpecificInformation = APPLICATION_SPECIFIC_INFORMATION, "Application Specific Information", multi, V1_0;
    ContactInformation: String = CONTACT_INFORMATION, "Contact Information", single, V1_0;
    LastChangeDate: DateTime = LAST_CHANGE_DATE, "Last Change Date", single, V1_0;
    AlternativeName: AlternativeName = ALTERNATIVE_NAME, "Alternative Name", multi, V1_2;
    KeyValuePresent: bool = KEY_VALUE_PRESENT, "Key Value Present", single, V1_2;
    KeyValueLocation: KeyValueLocation = KEY_VALUE_LOCATION, "Key Value Location", multi, V1_2;
    OriginalCreationDate: DateTime = ORIGINAL_CREATION_DATE, "Original Creation Date", single, V1_2;
    RandomNumberGenerator: RngParameters = RANDOM_NUMBER_GENERATOR, "Random Number Generator", single, V1_3;
    Pkcs12FriendlyName: String = PKCS_12_FRIENDLY_NAME, "PKCS#12 Friendly Name", single, V1_4;
    Description: String = DESCRIPTION, "Description", single, V1_4;
    Comment: String = COMMENT, "Comment", single, V1_4;
    Sensitive: bool = SENSITIVE, "Sensitive", single, V1_4;
    AlwaysSensitive: bool = ALWAYS_SENSITIVE, "Always Sensitive", single, V1_4;
    Extractable: bool = EXTRACTABLE, "Extractable", single, V1_4;
    NeverExtractable: bool = NEVER_EXTRACTABLE, "Never Extractable", single, V1_4;
    CertificateSubjectCn: String = CERTIFICATE_SUBJECT_CN, "Certificate Subject CN", multi, V2_0;
    CertificateSubjectO: String = CERTIFICATE_SUBJECT_O, "Certificate Subject O", multi, V2_0;
    CertificateSubjectOu: String = CERTIFICATE_SUBJECT_OU, "Certificate Subject OU", multi, V2_0;
    CertificateSubjectEmail: String = CERTIFICATE_SUBJECT_EMAIL, "Certificate Subject Email", multi, V2_0;
    CertificateSubjectC: String = CERTIFICATE_SUBJECT_C, "Certificate Subject C", multi, V2_0;
    CertificateSubjectSt: String = CERTIFICATE_SUBJECT_ST, "Certificate Subject ST", multi, V2_0;
    CertificateSubjectL: String = CERTIFICATE_SUBJECT_L, "Certificate Subject L", multi, V2_0;
    CertificateSubjectUid: String = CERTIFICATE_SUBJECT_UID, "Certificate Subject UID", multi, V2_0;
    CertificateSubjectSerialNumber: String = CERTIFICATE_SUBJECT_SERIAL_NUMBER, "Certificate Subject Serial Number", multi, V2_0;
    CertificateSubjectTitle: String = CERTIFICATE_SUBJECT_TITLE, "Certificate Subject Title", multi, V2_0;
    CertificateSubjectDc: String = CERTIFICATE_SUBJECT_DC, "Certificate Subject DC", multi, V2_0;
    CertificateSubjectDnQualifier: String = CERTIFICATE_SUBJECT_DN_QUALIFIER, "Certificate Subject DN Qualifier", multi, V2_0;
    CertificateIssuerCn: String = CERTIFICATE_ISSUER_CN, "Certificate Issuer CN", multi, V2_0;
    CertificateIssuerO: String = CERTIFICATE_ISSUER_O, "Certificate Issuer O", multi, V2_0;
    CertificateIssuerOu: String = CERTIFICATE_ISSUER_OU, "Certificate Issuer OU", multi, V2_0;
    CertificateIssuerEmail: String = CERTIFICATE_ISSUER_EMAIL, "Certificate Issuer Email", multi, V2_0;
    CertificateIssuerC: String = CERTIFICATE_ISSUER_C, "Certificate Issuer C", multi, V2_0;
    CertificateIssuerSt: String = CERTIFICATE_ISSUER_ST, "Certificate Issuer ST", multi, V2_0;
    CertificateIssuerL: String = CERTIFICATE_ISSUER_L, "Certificate Issuer L", multi, V2_0;
    CertificateIssuerUid: String = CERTIFICATE_ISSUER_UID, "Certificate Issuer UID", multi, V2_0;
    CertificateIssuerSerialNumber: String = CERTIFICATE_ISSUER_SERIAL_NUMBER, "Certificate Issuer Serial Number", multi, V2_0;
    CertificateIssuerTitle: String = CERTIFICATE_ISSUER_TITLE, "Certificate Issuer Title", multi, V2_0;
    CertificateIssuerDc: String = CERTIFICATE_ISSUER_DC, "Certificate Issuer DC", multi, V2_0;
    CertificateIssuerDnQualifier: String = CERTIFICATE_ISSUER_DN_QUALIFIER, "Certificate Issuer DN Qualifier", multi, V2_0;
    ShortUniqueIdentifier: Bytes = SHORT_UNIQUE_IDENTIFIER, "Short Unique Identifier", single, V2_0;
    KeyFormatType: KeyFormatType = KEY_FORMAT_TYPE, "Key Format Type", single, V2_0;
    NistKeyType: NistKeyType = NIST_KEY_TYPE, "NIST Key Type", multi, V2_0;
    OpaqueDataType: OpaqueDataType = OPAQUE_DATA_TYPE, "Opaque Data Type", single, V2_0;
    ProtectionLevel: ProtectionLevel = PROTECTION_LEVEL, "Protection Level", single, V2_0;
    ProtectionPeriod: Interval = PROTECTION_PERIOD, "Protection Period", single, V2_0;
    ProtectionStorageMask: ProtectionStorageMask = PROTECTION_STORAGE_MASK, "Protection Storage Mask", single, V2_0;
    QuantumSafe: bool = QUANTUM_SAFE, "Quantum Safe", single, V2_0;
    RotateAutomatic: bool = ROTATE_AUTOMATIC, "Rotate Automatic", single, V2_1;
    RotateDate: DateTime = ROTATE_DATE, "Rotate Date", single, V2_1;
    RotateGeneration: i32 = ROTATE_GENERATION, "Rotate Generation", single, V2_1;
    RotateInterval: Interval = ROTATE_INTERVAL, "Rotate Interval", single, V2_1;
    RotateLatest: bool = ROTATE_LATEST, "Rotate Latest", single, V2_1;
    RotateName: RotateName = ROTATE_NAME, "Rotate Name", single, V2_1;
    RotateOffset: Interval = ROTATE_OFFSET, "Rotate Offset", single, V2_1;
}

impl AttributeKind {
    /// The attribute that 1.x calls by this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The attribute that 2.x writes under this tag.
    #[must_use]
    pub fn from_tag(tag: Tag) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.tag() == tag)
    }
}
