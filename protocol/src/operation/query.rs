//! Query (KMIP 1.4 section 4.25).

use super::constraint::{DefaultsInformation, ObjectGroups};
use super::request;
use crate::attribute::{ProtectionStorageMasks, RngParameters};
use crate::enums::{
    AttestationType, ClientRegistrationMethod, DestroyAction, ObjectType, Operation, ProfileName,
    QueryFunction, RngMode, ShreddingAlgorithm, UnwrapMode, ValidationAuthorityType, ValidationType,
};
use crate::error::DecodeError;
use crate::ttlv::{Content, Item, ItemType, RawValue, Value, Writer};
use crate::{Tag, structure};

structure! {
    /// Asks what the server is and can do.
    #[derive(Default)]
    pub struct QueryRequest {
        /// What is asked.
        pub query_functions: Vec<QueryFunction> = QUERY_FUNCTION,
        /// For which groups of objects.
        pub object_groups: Option<ObjectGroups> = OBJECT_GROUPS, since V2_1,
    }
}

structure! {
    /// What was asked and nothing else.
    #[derive(Default)]
    pub struct QueryResponse {
        /// The operations that the client may call.
        pub operations: Vec<Operation> = OPERATION,
        /// The objects that the server manages.
        pub object_types: Vec<ObjectType> = OBJECT_TYPE,
        /// Who made the server.
        pub vendor_identification: Option<String> = VENDOR_IDENTIFICATION,
        /// What its maker says of it.
        pub server_information: Option<RawValue> = SERVER_INFORMATION,
        /// Namespaces of Application Specific Information for which the server makes data.
        pub application_namespaces: Vec<String> = APPLICATION_NAMESPACE,
        /// The server's own tags.
        pub extensions: Vec<ExtensionInformation> = EXTENSION_INFORMATION, since V1_1,
        /// How clients may attest.
        pub attestation_types: Vec<AttestationType> = ATTESTATION_TYPE, since V1_2,
        /// The random number generators.
        pub rng_parameters: Vec<RngParameters> = RNG_PARAMETERS, since V1_3,
        /// The profiles that the server conforms to.
        pub profiles: Vec<ProfileInformation> = PROFILE_INFORMATION, since V1_3,
        /// What has been validated by whom.
        pub validations: Vec<ValidationInformation> = VALIDATION_INFORMATION, since V1_3,
        /// What the server is able to do beyond operations.
        pub capabilities: Vec<CapabilityInformation> = CAPABILITY_INFORMATION, since V1_3,
        /// How clients are registered.
        pub client_registration_methods: Vec<ClientRegistrationMethod> = CLIENT_REGISTRATION_METHOD, since V1_3,
        /// What objects get where the client states nothing.
        pub defaults_information: Option<DefaultsInformation> = DEFAULTS_INFORMATION, since V2_0,
        /// Where objects may be kept.
        pub protection_storage_masks: Option<ProtectionStorageMasks> = PROTECTION_STORAGE_MASKS, since V2_0,
    }
}

structure! {
    /// Extension Information (KMIP 1.4 section 2.1.9).
    pub struct ExtensionInformation {
        /// The extension's name.
        pub name: String = EXTENSION_NAME,
        /// Its tag.
        pub tag: Option<i32> = EXTENSION_TAG,
        /// Its type.
        pub extension_type: Option<ExtensionType> = EXTENSION_TYPE,
        /// The enumeration that its values are from.
        pub enumeration: Option<i32> = EXTENSION_ENUMERATION, since V2_0,
        /// Whether it is an attribute.
        pub is_attribute: Option<bool> = EXTENSION_ATTRIBUTE, since V2_0,
        /// The structure that it stands in.
        pub parent_structure: Option<i32> = EXTENSION_PARENT_STRUCTURE_TAG, since V2_0,
        /// What it means.
        pub description: Option<String> = EXTENSION_DESCRIPTION, since V2_0,
    }
}

/// The Item Type of an extension: an Integer in 1.x, an Enumeration in 2.x.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtensionType(pub u32);

impl Value for ExtensionType {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::Integer(code) if !item.version.is_2x() => Ok(Self(code.cast_unsigned())),
            Content::Enumeration(code) if item.version.is_2x() => Ok(Self(code)),
            _ if item.version.is_2x() => Err(item.wrong_type(ItemType::Enumeration)),
            _ => Err(item.wrong_type(ItemType::Integer)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        let item_type = if writer.version().is_2x() { ItemType::Enumeration } else { ItemType::Integer };
        writer.item(tag, item_type, &self.0.to_be_bytes());
    }
}

structure! {
    /// Validation Information (KMIP 1.4 section 2.1.20).
    #[derive(Eq)]
    pub struct ValidationInformation {
        /// What kind of authority validated.
        pub authority_type: ValidationAuthorityType = VALIDATION_AUTHORITY_TYPE,
        /// Its country, two letters.
        pub authority_country: Option<String> = VALIDATION_AUTHORITY_COUNTRY,
        /// Its address.
        pub authority_uri: Option<String> = VALIDATION_AUTHORITY_URI,
        /// The version of what it validated against.
        pub version_major: i32 = VALIDATION_VERSION_MAJOR,
        /// Its minor version.
        pub version_minor: Option<i32> = VALIDATION_VERSION_MINOR,
        /// What was validated.
        pub validation_type: ValidationType = VALIDATION_TYPE,
        /// To which level.
        pub level: i32 = VALIDATION_LEVEL,
        /// The certificate.
        pub certificate_identifier: Option<String> = VALIDATION_CERTIFICATE_IDENTIFIER,
        /// Where it stands.
        pub certificate_uri: Option<String> = VALIDATION_CERTIFICATE_URI,
        /// What the vendor says of it.
        pub vendor_uri: Option<String> = VALIDATION_VENDOR_URI,
        /// The profiles validated.
        pub profiles: Vec<String> = VALIDATION_PROFILE,
    }
}

structure! {
    /// Profile Version (KMIP 2.1 section 7.32).
    #[derive(Copy, Eq)]
    pub struct ProfileVersion {
        /// The major version.
        pub major: i32 = PROFILE_VERSION_MAJOR,
        /// The minor version.
        pub minor: i32 = PROFILE_VERSION_MINOR,
    }
}

structure! {
    /// Profile Information (KMIP 1.4 section 2.1.19).
    pub struct ProfileInformation {
        /// The profile.
        pub name: ProfileName = PROFILE_NAME,
        /// The profile's version (2.0 and later).
        pub version: Option<ProfileVersion> = PROFILE_VERSION, since V2_0,
        /// Where the profile is served.
        pub server_uri: Option<String> = SERVER_URI,
        /// At which port.
        pub server_port: Option<i32> = SERVER_PORT,
    }
}

structure! {
    /// Capability Information (KMIP 1.4 section 2.1.21).
    #[derive(Default)]
    pub struct CapabilityInformation {
        /// Whether data may come in parts.
        pub streaming: Option<bool> = STREAMING_CAPABILITY,
        /// Whether answers may come later.
        pub asynchronous: Option<bool> = ASYNCHRONOUS_CAPABILITY,
        /// Whether clients may attest.
        pub attestation: Option<bool> = ATTESTATION_CAPABILITY,
        /// Whether a batch can be undone.
        pub batch_undo: Option<bool> = BATCH_UNDO_CAPABILITY, since V1_4,
        /// Whether a batch can go on after a failure.
        pub batch_continue: Option<bool> = BATCH_CONTINUE_CAPABILITY, since V1_4,
        /// What becomes of wrapped objects.
        pub unwrap_mode: Option<UnwrapMode> = UNWRAP_MODE,
        /// What Destroy does.
        pub destroy_action: Option<DestroyAction> = DESTROY_ACTION,
        /// How it does it.
        pub shredding_algorithm: Option<ShreddingAlgorithm> = SHREDDING_ALGORITHM,
        /// How random numbers are drawn.
        pub rng_mode: Option<RngMode> = RNG_MODE,
        /// Whether the server is quantum safe.
        pub quantum_safe: Option<bool> = QUANTUM_SAFE_CAPABILITY, since V2_0,
    }
}

impl From<Vec<QueryFunction>> for QueryRequest {
    fn from(query_functions: Vec<QueryFunction>) -> Self {
        Self { query_functions, ..Self::default() }
    }
}

request!(QueryRequest => QueryResponse, Query);
