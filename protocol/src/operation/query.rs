//! Query (KMIP 1.4 section 4.25).

use super::request;
use crate::attribute::RngParameters;
use crate::enums::{
    AttestationType, ClientRegistrationMethod, DestroyAction, ObjectType, Operation, ProfileName,
    QueryFunction, RngMode, ShreddingAlgorithm, UnwrapMode,
};
use crate::structure;
use crate::ttlv::RawValue;

structure! {
    /// Asks what the server is and can do.
    #[derive(Default)]
    pub struct QueryRequest {
        /// What is asked.
        pub query_functions: Vec<QueryFunction> = QUERY_FUNCTION,
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
        pub validations: Vec<RawValue> = VALIDATION_INFORMATION, since V1_3,
        /// What the server is able to do beyond operations.
        pub capabilities: Vec<CapabilityInformation> = CAPABILITY_INFORMATION, since V1_3,
        /// How clients are registered.
        pub client_registration_methods: Vec<ClientRegistrationMethod> = CLIENT_REGISTRATION_METHOD, since V1_3,
        /// What objects get where the client states nothing.
        pub defaults_information: Option<RawValue> = DEFAULTS_INFORMATION, since V2_0,
        /// Where objects may be kept.
        pub protection_storage_masks: Vec<RawValue> = PROTECTION_STORAGE_MASKS, since V2_0,
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
        pub extension_type: Option<i32> = EXTENSION_TYPE,
    }
}

structure! {
    /// Profile Information (KMIP 1.4 section 2.1.19).
    pub struct ProfileInformation {
        /// The profile.
        pub name: ProfileName = PROFILE_NAME,
        /// The profile's version (2.0 and later).
        pub version: Option<RawValue> = PROFILE_VERSION, since V2_0,
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

request!(QueryRequest => QueryResponse, Query);
