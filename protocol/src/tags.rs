//! The tags of KMIP 1.0 to 2.1 (2.1 section 11.56, and 1.4 section 9.1.3.1 for those that 2.x dropped).

use core::fmt;

/// What a TTLV item is: three bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl Tag {
    /// The tag's name as the specification writes it, for instance `Batch Item`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let at = TABLE.binary_search_by_key(&self.0, |(tag, _)| tag.0).ok()?;
        TABLE.get(at).map(|(_, name)| *name)
    }

    /// Whether the tag lies in the range that vendors may use for themselves (540000 to 54FFFF).
    #[must_use]
    pub fn is_extension(self) -> bool {
        self.0 >> 16 == 0x54
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:06X}", self.0),
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! tags {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        impl Tag {
            $(
                #[doc = $text]
                pub const $name: Self = Self($value);
            )*
        }

        /// Every known tag with its name, in ascending order.
        pub const TABLE: &[(Tag, &str)] = &[$((Tag::$name, $text),)*];
    };
}

tags! {
    ACTIVATION_DATE = 0x420001, "Activation Date";
    APPLICATION_DATA = 0x420002, "Application Data";
    APPLICATION_NAMESPACE = 0x420003, "Application Namespace";
    APPLICATION_SPECIFIC_INFORMATION = 0x420004, "Application Specific Information";
    ARCHIVE_DATE = 0x420005, "Archive Date";
    ASYNCHRONOUS_CORRELATION_VALUE = 0x420006, "Asynchronous Correlation Value";
    ASYNCHRONOUS_INDICATOR = 0x420007, "Asynchronous Indicator";
    ATTRIBUTE = 0x420008, "Attribute";
    ATTRIBUTE_INDEX = 0x420009, "Attribute Index";
    ATTRIBUTE_NAME = 0x42000A, "Attribute Name";
    ATTRIBUTE_VALUE = 0x42000B, "Attribute Value";
    AUTHENTICATION = 0x42000C, "Authentication";
    BATCH_COUNT = 0x42000D, "Batch Count";
    BATCH_ERROR_CONTINUATION_OPTION = 0x42000E, "Batch Error Continuation Option";
    BATCH_ITEM = 0x42000F, "Batch Item";
    BATCH_ORDER_OPTION = 0x420010, "Batch Order Option";
    BLOCK_CIPHER_MODE = 0x420011, "Block Cipher Mode";
    CANCELLATION_RESULT = 0x420012, "Cancellation Result";
    CERTIFICATE = 0x420013, "Certificate";
    CERTIFICATE_IDENTIFIER = 0x420014, "Certificate Identifier";
    CERTIFICATE_ISSUER = 0x420015, "Certificate Issuer";
    CERTIFICATE_ISSUER_ALTERNATIVE_NAME = 0x420016, "Certificate Issuer Alternative Name";
    CERTIFICATE_ISSUER_DISTINGUISHED_NAME = 0x420017, "Certificate Issuer Distinguished Name";
    CERTIFICATE_REQUEST = 0x420018, "Certificate Request";
    CERTIFICATE_REQUEST_TYPE = 0x420019, "Certificate Request Type";
    CERTIFICATE_SUBJECT = 0x42001A, "Certificate Subject";
    CERTIFICATE_SUBJECT_ALTERNATIVE_NAME = 0x42001B, "Certificate Subject Alternative Name";
    CERTIFICATE_SUBJECT_DISTINGUISHED_NAME = 0x42001C, "Certificate Subject Distinguished Name";
    CERTIFICATE_TYPE = 0x42001D, "Certificate Type";
    CERTIFICATE_VALUE = 0x42001E, "Certificate Value";
    COMMON_TEMPLATE_ATTRIBUTE = 0x42001F, "Common Template-Attribute";
    COMPROMISE_DATE = 0x420020, "Compromise Date";
    COMPROMISE_OCCURRENCE_DATE = 0x420021, "Compromise Occurrence Date";
    CONTACT_INFORMATION = 0x420022, "Contact Information";
    CREDENTIAL = 0x420023, "Credential";
    CREDENTIAL_TYPE = 0x420024, "Credential Type";
    CREDENTIAL_VALUE = 0x420025, "Credential Value";
    CRITICALITY_INDICATOR = 0x420026, "Criticality Indicator";
    CRT_COEFFICIENT = 0x420027, "CRT Coefficient";
    CRYPTOGRAPHIC_ALGORITHM = 0x420028, "Cryptographic Algorithm";
    CRYPTOGRAPHIC_DOMAIN_PARAMETERS = 0x420029, "Cryptographic Domain Parameters";
    CRYPTOGRAPHIC_LENGTH = 0x42002A, "Cryptographic Length";
    CRYPTOGRAPHIC_PARAMETERS = 0x42002B, "Cryptographic Parameters";
    CRYPTOGRAPHIC_USAGE_MASK = 0x42002C, "Cryptographic Usage Mask";
    CUSTOM_ATTRIBUTE = 0x42002D, "Custom Attribute";
    D = 0x42002E, "D";
    DEACTIVATION_DATE = 0x42002F, "Deactivation Date";
    DERIVATION_DATA = 0x420030, "Derivation Data";
    DERIVATION_METHOD = 0x420031, "Derivation Method";
    DERIVATION_PARAMETERS = 0x420032, "Derivation Parameters";
    DESTROY_DATE = 0x420033, "Destroy Date";
    DIGEST = 0x420034, "Digest";
    DIGEST_VALUE = 0x420035, "Digest Value";
    ENCRYPTION_KEY_INFORMATION = 0x420036, "Encryption Key Information";
    G = 0x420037, "G";
    HASHING_ALGORITHM = 0x420038, "Hashing Algorithm";
    INITIAL_DATE = 0x420039, "Initial Date";
    INITIALIZATION_VECTOR = 0x42003A, "Initialization Vector";
    ISSUER = 0x42003B, "Issuer";
    ITERATION_COUNT = 0x42003C, "Iteration Count";
    IV_COUNTER_NONCE = 0x42003D, "IV/Counter/Nonce";
    J = 0x42003E, "J";
    KEY = 0x42003F, "Key";
    KEY_BLOCK = 0x420040, "Key Block";
    KEY_COMPRESSION_TYPE = 0x420041, "Key Compression Type";
    KEY_FORMAT_TYPE = 0x420042, "Key Format Type";
    KEY_MATERIAL = 0x420043, "Key Material";
    KEY_PART_IDENTIFIER = 0x420044, "Key Part Identifier";
    KEY_VALUE = 0x420045, "Key Value";
    KEY_WRAPPING_DATA = 0x420046, "Key Wrapping Data";
    KEY_WRAPPING_SPECIFICATION = 0x420047, "Key Wrapping Specification";
    LAST_CHANGE_DATE = 0x420048, "Last Change Date";
    LEASE_TIME = 0x420049, "Lease Time";
    LINK = 0x42004A, "Link";
    LINK_TYPE = 0x42004B, "Link Type";
    LINKED_OBJECT_IDENTIFIER = 0x42004C, "Linked Object Identifier";
    MAC_SIGNATURE = 0x42004D, "MAC/Signature";
    MAC_SIGNATURE_KEY_INFORMATION = 0x42004E, "MAC/Signature Key Information";
    MAXIMUM_ITEMS = 0x42004F, "Maximum Items";
    MAXIMUM_RESPONSE_SIZE = 0x420050, "Maximum Response Size";
    MESSAGE_EXTENSION = 0x420051, "Message Extension";
    MODULUS = 0x420052, "Modulus";
    NAME = 0x420053, "Name";
    NAME_TYPE = 0x420054, "Name Type";
    NAME_VALUE = 0x420055, "Name Value";
    OBJECT_GROUP = 0x420056, "Object Group";
    OBJECT_TYPE = 0x420057, "Object Type";
    OFFSET = 0x420058, "Offset";
    OPAQUE_DATA_TYPE = 0x420059, "Opaque Data Type";
    OPAQUE_DATA_VALUE = 0x42005A, "Opaque Data Value";
    OPAQUE_OBJECT = 0x42005B, "Opaque Object";
    OPERATION = 0x42005C, "Operation";
    OPERATION_POLICY_NAME = 0x42005D, "Operation Policy Name";
    P = 0x42005E, "P";
    PADDING_METHOD = 0x42005F, "Padding Method";
    PRIME_EXPONENT_P = 0x420060, "Prime Exponent P";
    PRIME_EXPONENT_Q = 0x420061, "Prime Exponent Q";
    PRIME_FIELD_SIZE = 0x420062, "Prime Field Size";
    PRIVATE_EXPONENT = 0x420063, "Private Exponent";
    PRIVATE_KEY = 0x420064, "Private Key";
    PRIVATE_KEY_TEMPLATE_ATTRIBUTE = 0x420065, "Private Key Template-Attribute";
    PRIVATE_KEY_UNIQUE_IDENTIFIER = 0x420066, "Private Key Unique Identifier";
    PROCESS_START_DATE = 0x420067, "Process Start Date";
    PROTECT_STOP_DATE = 0x420068, "Protect Stop Date";
    PROTOCOL_VERSION = 0x420069, "Protocol Version";
    PROTOCOL_VERSION_MAJOR = 0x42006A, "Protocol Version Major";
    PROTOCOL_VERSION_MINOR = 0x42006B, "Protocol Version Minor";
    PUBLIC_EXPONENT = 0x42006C, "Public Exponent";
    PUBLIC_KEY = 0x42006D, "Public Key";
    PUBLIC_KEY_TEMPLATE_ATTRIBUTE = 0x42006E, "Public Key Template-Attribute";
    PUBLIC_KEY_UNIQUE_IDENTIFIER = 0x42006F, "Public Key Unique Identifier";
    PUT_FUNCTION = 0x420070, "Put Function";
    Q = 0x420071, "Q";
    Q_STRING = 0x420072, "Q String";
    QLENGTH = 0x420073, "Qlength";
    QUERY_FUNCTION = 0x420074, "Query Function";
    RECOMMENDED_CURVE = 0x420075, "Recommended Curve";
    REPLACED_UNIQUE_IDENTIFIER = 0x420076, "Replaced Unique Identifier";
    REQUEST_HEADER = 0x420077, "Request Header";
    REQUEST_MESSAGE = 0x420078, "Request Message";
    REQUEST_PAYLOAD = 0x420079, "Request Payload";
    RESPONSE_HEADER = 0x42007A, "Response Header";
    RESPONSE_MESSAGE = 0x42007B, "Response Message";
    RESPONSE_PAYLOAD = 0x42007C, "Response Payload";
    RESULT_MESSAGE = 0x42007D, "Result Message";
    RESULT_REASON = 0x42007E, "Result Reason";
    RESULT_STATUS = 0x42007F, "Result Status";
    REVOCATION_MESSAGE = 0x420080, "Revocation Message";
    REVOCATION_REASON = 0x420081, "Revocation Reason";
    REVOCATION_REASON_CODE = 0x420082, "Revocation Reason Code";
    KEY_ROLE_TYPE = 0x420083, "Key Role Type";
    SALT = 0x420084, "Salt";
    SECRET_DATA = 0x420085, "Secret Data";
    SECRET_DATA_TYPE = 0x420086, "Secret Data Type";
    SERIAL_NUMBER = 0x420087, "Serial Number";
    SERVER_INFORMATION = 0x420088, "Server Information";
    SPLIT_KEY = 0x420089, "Split Key";
    SPLIT_KEY_METHOD = 0x42008A, "Split Key Method";
    SPLIT_KEY_PARTS = 0x42008B, "Split Key Parts";
    SPLIT_KEY_THRESHOLD = 0x42008C, "Split Key Threshold";
    STATE = 0x42008D, "State";
    STORAGE_STATUS_MASK = 0x42008E, "Storage Status Mask";
    SYMMETRIC_KEY = 0x42008F, "Symmetric Key";
    TEMPLATE = 0x420090, "Template";
    TEMPLATE_ATTRIBUTE = 0x420091, "Template-Attribute";
    TIME_STAMP = 0x420092, "Time Stamp";
    UNIQUE_BATCH_ITEM_ID = 0x420093, "Unique Batch Item ID";
    UNIQUE_IDENTIFIER = 0x420094, "Unique Identifier";
    USAGE_LIMITS = 0x420095, "Usage Limits";
    USAGE_LIMITS_COUNT = 0x420096, "Usage Limits Count";
    USAGE_LIMITS_TOTAL = 0x420097, "Usage Limits Total";
    USAGE_LIMITS_UNIT = 0x420098, "Usage Limits Unit";
    USERNAME = 0x420099, "Username";
    VALIDITY_DATE = 0x42009A, "Validity Date";
    VALIDITY_INDICATOR = 0x42009B, "Validity Indicator";
    VENDOR_EXTENSION = 0x42009C, "Vendor Extension";
    VENDOR_IDENTIFICATION = 0x42009D, "Vendor Identification";
    WRAPPING_METHOD = 0x42009E, "Wrapping Method";
    X = 0x42009F, "X";
    Y = 0x4200A0, "Y";
    PASSWORD = 0x4200A1, "Password";
    DEVICE_IDENTIFIER = 0x4200A2, "Device Identifier";
    ENCODING_OPTION = 0x4200A3, "Encoding Option";
    EXTENSION_INFORMATION = 0x4200A4, "Extension Information";
    EXTENSION_NAME = 0x4200A5, "Extension Name";
    EXTENSION_TAG = 0x4200A6, "Extension Tag";
    EXTENSION_TYPE = 0x4200A7, "Extension Type";
    FRESH = 0x4200A8, "Fresh";
    MACHINE_IDENTIFIER = 0x4200A9, "Machine Identifier";
    MEDIA_IDENTIFIER = 0x4200AA, "Media Identifier";
    NETWORK_IDENTIFIER = 0x4200AB, "Network Identifier";
    OBJECT_GROUP_MEMBER = 0x4200AC, "Object Group Member";
    CERTIFICATE_LENGTH = 0x4200AD, "Certificate Length";
    DIGITAL_SIGNATURE_ALGORITHM = 0x4200AE, "Digital Signature Algorithm";
    CERTIFICATE_SERIAL_NUMBER = 0x4200AF, "Certificate Serial Number";
    DEVICE_SERIAL_NUMBER = 0x4200B0, "Device Serial Number";
    ISSUER_ALTERNATIVE_NAME = 0x4200B1, "Issuer Alternative Name";
    ISSUER_DISTINGUISHED_NAME = 0x4200B2, "Issuer Distinguished Name";
    SUBJECT_ALTERNATIVE_NAME = 0x4200B3, "Subject Alternative Name";
    SUBJECT_DISTINGUISHED_NAME = 0x4200B4, "Subject Distinguished Name";
    X_509_CERTIFICATE_IDENTIFIER = 0x4200B5, "X.509 Certificate Identifier";
    X_509_CERTIFICATE_ISSUER = 0x4200B6, "X.509 Certificate Issuer";
    X_509_CERTIFICATE_SUBJECT = 0x4200B7, "X.509 Certificate Subject";
    KEY_VALUE_LOCATION = 0x4200B8, "Key Value Location";
    KEY_VALUE_LOCATION_VALUE = 0x4200B9, "Key Value Location Value";
    KEY_VALUE_LOCATION_TYPE = 0x4200BA, "Key Value Location Type";
    KEY_VALUE_PRESENT = 0x4200BB, "Key Value Present";
    ORIGINAL_CREATION_DATE = 0x4200BC, "Original Creation Date";
    PGP_KEY = 0x4200BD, "PGP Key";
    PGP_KEY_VERSION = 0x4200BE, "PGP Key Version";
    ALTERNATIVE_NAME = 0x4200BF, "Alternative Name";
    ALTERNATIVE_NAME_VALUE = 0x4200C0, "Alternative Name Value";
    ALTERNATIVE_NAME_TYPE = 0x4200C1, "Alternative Name Type";
    DATA = 0x4200C2, "Data";
    SIGNATURE_DATA = 0x4200C3, "Signature Data";
    DATA_LENGTH = 0x4200C4, "Data Length";
    RANDOM_IV = 0x4200C5, "Random IV";
    MAC_DATA = 0x4200C6, "MAC Data";
    ATTESTATION_TYPE = 0x4200C7, "Attestation Type";
    NONCE = 0x4200C8, "Nonce";
    NONCE_ID = 0x4200C9, "Nonce ID";
    NONCE_VALUE = 0x4200CA, "Nonce Value";
    ATTESTATION_MEASUREMENT = 0x4200CB, "Attestation Measurement";
    ATTESTATION_ASSERTION = 0x4200CC, "Attestation Assertion";
    IV_LENGTH = 0x4200CD, "IV Length";
    TAG_LENGTH = 0x4200CE, "Tag Length";
    FIXED_FIELD_LENGTH = 0x4200CF, "Fixed Field Length";
    COUNTER_LENGTH = 0x4200D0, "Counter Length";
    INITIAL_COUNTER_VALUE = 0x4200D1, "Initial Counter Value";
    INVOCATION_FIELD_LENGTH = 0x4200D2, "Invocation Field Length";
    ATTESTATION_CAPABLE_INDICATOR = 0x4200D3, "Attestation Capable Indicator";
    OFFSET_ITEMS = 0x4200D4, "Offset Items";
    LOCATED_ITEMS = 0x4200D5, "Located Items";
    CORRELATION_VALUE = 0x4200D6, "Correlation Value";
    INIT_INDICATOR = 0x4200D7, "Init Indicator";
    FINAL_INDICATOR = 0x4200D8, "Final Indicator";
    RNG_PARAMETERS = 0x4200D9, "RNG Parameters";
    RNG_ALGORITHM = 0x4200DA, "RNG Algorithm";
    DRBG_ALGORITHM = 0x4200DB, "DRBG Algorithm";
    FIPS186_VARIATION = 0x4200DC, "FIPS186 Variation";
    PREDICTION_RESISTANCE = 0x4200DD, "Prediction Resistance";
    RANDOM_NUMBER_GENERATOR = 0x4200DE, "Random Number Generator";
    VALIDATION_INFORMATION = 0x4200DF, "Validation Information";
    VALIDATION_AUTHORITY_TYPE = 0x4200E0, "Validation Authority Type";
    VALIDATION_AUTHORITY_COUNTRY = 0x4200E1, "Validation Authority Country";
    VALIDATION_AUTHORITY_URI = 0x4200E2, "Validation Authority URI";
    VALIDATION_VERSION_MAJOR = 0x4200E3, "Validation Version Major";
    VALIDATION_VERSION_MINOR = 0x4200E4, "Validation Version Minor";
    VALIDATION_TYPE = 0x4200E5, "Validation Type";
    VALIDATION_LEVEL = 0x4200E6, "Validation Level";
    VALIDATION_CERTIFICATE_IDENTIFIER = 0x4200E7, "Validation Certificate Identifier";
    VALIDATION_CERTIFICATE_URI = 0x4200E8, "Validation Certificate URI";
    VALIDATION_VENDOR_URI = 0x4200E9, "Validation Vendor URI";
    VALIDATION_PROFILE = 0x4200EA, "Validation Profile";
    PROFILE_INFORMATION = 0x4200EB, "Profile Information";
    PROFILE_NAME = 0x4200EC, "Profile Name";
    SERVER_URI = 0x4200ED, "Server URI";
    SERVER_PORT = 0x4200EE, "Server Port";
    STREAMING_CAPABILITY = 0x4200EF, "Streaming Capability";
    ASYNCHRONOUS_CAPABILITY = 0x4200F0, "Asynchronous Capability";
    ATTESTATION_CAPABILITY = 0x4200F1, "Attestation Capability";
    UNWRAP_MODE = 0x4200F2, "Unwrap Mode";
    DESTROY_ACTION = 0x4200F3, "Destroy Action";
    SHREDDING_ALGORITHM = 0x4200F4, "Shredding Algorithm";
    RNG_MODE = 0x4200F5, "RNG Mode";
    CLIENT_REGISTRATION_METHOD = 0x4200F6, "Client Registration Method";
    CAPABILITY_INFORMATION = 0x4200F7, "Capability Information";
    KEY_WRAP_TYPE = 0x4200F8, "Key Wrap Type";
    BATCH_UNDO_CAPABILITY = 0x4200F9, "Batch Undo Capability";
    BATCH_CONTINUE_CAPABILITY = 0x4200FA, "Batch Continue Capability";
    PKCS_12_FRIENDLY_NAME = 0x4200FB, "PKCS#12 Friendly Name";
    DESCRIPTION = 0x4200FC, "Description";
    COMMENT = 0x4200FD, "Comment";
    AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA = 0x4200FE, "Authenticated Encryption Additional Data";
    AUTHENTICATED_ENCRYPTION_TAG = 0x4200FF, "Authenticated Encryption Tag";
    SALT_LENGTH = 0x420100, "Salt Length";
    MASK_GENERATOR = 0x420101, "Mask Generator";
    MASK_GENERATOR_HASHING_ALGORITHM = 0x420102, "Mask Generator Hashing Algorithm";
    P_SOURCE = 0x420103, "P Source";
    TRAILER_FIELD = 0x420104, "Trailer Field";
    CLIENT_CORRELATION_VALUE = 0x420105, "Client Correlation Value";
    SERVER_CORRELATION_VALUE = 0x420106, "Server Correlation Value";
    DIGESTED_DATA = 0x420107, "Digested Data";
    CERTIFICATE_SUBJECT_CN = 0x420108, "Certificate Subject CN";
    CERTIFICATE_SUBJECT_O = 0x420109, "Certificate Subject O";
    CERTIFICATE_SUBJECT_OU = 0x42010A, "Certificate Subject OU";
    CERTIFICATE_SUBJECT_EMAIL = 0x42010B, "Certificate Subject Email";
    CERTIFICATE_SUBJECT_C = 0x42010C, "Certificate Subject C";
    CERTIFICATE_SUBJECT_ST = 0x42010D, "Certificate Subject ST";
    CERTIFICATE_SUBJECT_L = 0x42010E, "Certificate Subject L";
    CERTIFICATE_SUBJECT_UID = 0x42010F, "Certificate Subject UID";
    CERTIFICATE_SUBJECT_SERIAL_NUMBER = 0x420110, "Certificate Subject Serial Number";
    CERTIFICATE_SUBJECT_TITLE = 0x420111, "Certificate Subject Title";
    CERTIFICATE_SUBJECT_DC = 0x420112, "Certificate Subject DC";
    CERTIFICATE_SUBJECT_DN_QUALIFIER = 0x420113, "Certificate Subject DN Qualifier";
    CERTIFICATE_ISSUER_CN = 0x420114, "Certificate Issuer CN";
    CERTIFICATE_ISSUER_O = 0x420115, "Certificate Issuer O";
    CERTIFICATE_ISSUER_OU = 0x420116, "Certificate Issuer OU";
    CERTIFICATE_ISSUER_EMAIL = 0x420117, "Certificate Issuer Email";
    CERTIFICATE_ISSUER_C = 0x420118, "Certificate Issuer C";
    CERTIFICATE_ISSUER_ST = 0x420119, "Certificate Issuer ST";
    CERTIFICATE_ISSUER_L = 0x42011A, "Certificate Issuer L";
    CERTIFICATE_ISSUER_UID = 0x42011B, "Certificate Issuer UID";
    CERTIFICATE_ISSUER_SERIAL_NUMBER = 0x42011C, "Certificate Issuer Serial Number";
    CERTIFICATE_ISSUER_TITLE = 0x42011D, "Certificate Issuer Title";
    CERTIFICATE_ISSUER_DC = 0x42011E, "Certificate Issuer DC";
    CERTIFICATE_ISSUER_DN_QUALIFIER = 0x42011F, "Certificate Issuer DN Qualifier";
    SENSITIVE = 0x420120, "Sensitive";
    ALWAYS_SENSITIVE = 0x420121, "Always Sensitive";
    EXTRACTABLE = 0x420122, "Extractable";
    NEVER_EXTRACTABLE = 0x420123, "Never Extractable";
    REPLACE_EXISTING = 0x420124, "Replace Existing";
    ATTRIBUTES = 0x420125, "Attributes";
    COMMON_ATTRIBUTES = 0x420126, "Common Attributes";
    PRIVATE_KEY_ATTRIBUTES = 0x420127, "Private Key Attributes";
    PUBLIC_KEY_ATTRIBUTES = 0x420128, "Public Key Attributes";
    EXTENSION_ENUMERATION = 0x420129, "Extension Enumeration";
    EXTENSION_ATTRIBUTE = 0x42012A, "Extension Attribute";
    EXTENSION_PARENT_STRUCTURE_TAG = 0x42012B, "Extension Parent Structure Tag";
    EXTENSION_DESCRIPTION = 0x42012C, "Extension Description";
    SERVER_NAME = 0x42012D, "Server Name";
    SERVER_SERIAL_NUMBER = 0x42012E, "Server Serial Number";
    SERVER_VERSION = 0x42012F, "Server Version";
    SERVER_LOAD = 0x420130, "Server Load";
    PRODUCT_NAME = 0x420131, "Product Name";
    BUILD_LEVEL = 0x420132, "Build Level";
    BUILD_DATE = 0x420133, "Build Date";
    CLUSTER_INFO = 0x420134, "Cluster Info";
    ALTERNATE_FAILOVER_ENDPOINTS = 0x420135, "Alternate Failover Endpoints";
    SHORT_UNIQUE_IDENTIFIER = 0x420136, "Short Unique Identifier";
    TAG = 0x420138, "Tag";
    CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER = 0x420139, "Certificate Request Unique Identifier";
    NIST_KEY_TYPE = 0x42013A, "NIST Key Type";
    ATTRIBUTE_REFERENCE = 0x42013B, "Attribute Reference";
    CURRENT_ATTRIBUTE = 0x42013C, "Current Attribute";
    NEW_ATTRIBUTE = 0x42013D, "New Attribute";
    CERTIFICATE_REQUEST_VALUE = 0x420140, "Certificate Request Value";
    LOG_MESSAGE = 0x420141, "Log Message";
    PROFILE_VERSION = 0x420142, "Profile Version";
    PROFILE_VERSION_MAJOR = 0x420143, "Profile Version Major";
    PROFILE_VERSION_MINOR = 0x420144, "Profile Version Minor";
    PROTECTION_LEVEL = 0x420145, "Protection Level";
    PROTECTION_PERIOD = 0x420146, "Protection Period";
    QUANTUM_SAFE = 0x420147, "Quantum Safe";
    QUANTUM_SAFE_CAPABILITY = 0x420148, "Quantum Safe Capability";
    TICKET = 0x420149, "Ticket";
    TICKET_TYPE = 0x42014A, "Ticket Type";
    TICKET_VALUE = 0x42014B, "Ticket Value";
    REQUEST_COUNT = 0x42014C, "Request Count";
    RIGHTS = 0x42014D, "Rights";
    OBJECTS = 0x42014E, "Objects";
    OPERATIONS = 0x42014F, "Operations";
    RIGHT = 0x420150, "Right";
    ENDPOINT_ROLE = 0x420151, "Endpoint Role";
    DEFAULTS_INFORMATION = 0x420152, "Defaults Information";
    OBJECT_DEFAULTS = 0x420153, "Object Defaults";
    EPHEMERAL = 0x420154, "Ephemeral";
    SERVER_HASHED_PASSWORD = 0x420155, "Server Hashed Password";
    ONE_TIME_PASSWORD = 0x420156, "One Time Password";
    HASHED_PASSWORD = 0x420157, "Hashed Password";
    ADJUSTMENT_TYPE = 0x420158, "Adjustment Type";
    PKCS_11_INTERFACE = 0x420159, "PKCS#11 Interface";
    PKCS_11_FUNCTION = 0x42015A, "PKCS#11 Function";
    PKCS_11_INPUT_PARAMETERS = 0x42015B, "PKCS#11 Input Parameters";
    PKCS_11_OUTPUT_PARAMETERS = 0x42015C, "PKCS#11 Output Parameters";
    PKCS_11_RETURN_CODE = 0x42015D, "PKCS#11 Return Code";
    PROTECTION_STORAGE_MASK = 0x42015E, "Protection Storage Mask";
    PROTECTION_STORAGE_MASKS = 0x42015F, "Protection Storage Masks";
    INTEROP_FUNCTION = 0x420160, "Interop Function";
    INTEROP_IDENTIFIER = 0x420161, "Interop Identifier";
    ADJUSTMENT_VALUE = 0x420162, "Adjustment Value";
    COMMON_PROTECTION_STORAGE_MASKS = 0x420163, "Common Protection Storage Masks";
    PRIVATE_PROTECTION_STORAGE_MASKS = 0x420164, "Private Protection Storage Masks";
    PUBLIC_PROTECTION_STORAGE_MASKS = 0x420165, "Public Protection Storage Masks";
    OBJECT_GROUPS = 0x420166, "Object Groups";
    OBJECT_TYPES = 0x420167, "Object Types";
    CONSTRAINTS = 0x420168, "Constraints";
    CONSTRAINT = 0x420169, "Constraint";
    ROTATE_INTERVAL = 0x42016A, "Rotate Interval";
    ROTATE_AUTOMATIC = 0x42016B, "Rotate Automatic";
    ROTATE_OFFSET = 0x42016C, "Rotate Offset";
    ROTATE_DATE = 0x42016D, "Rotate Date";
    ROTATE_GENERATION = 0x42016E, "Rotate Generation";
    ROTATE_NAME = 0x42016F, "Rotate Name";
    ROTATE_NAME_VALUE = 0x420170, "Rotate Name Value";
    ROTATE_NAME_TYPE = 0x420171, "Rotate Name Type";
    ROTATE_LATEST = 0x420172, "Rotate Latest";
    ASYNCHRONOUS_REQUEST = 0x420173, "Asynchronous Request";
    SUBMISSION_DATE = 0x420174, "Submission Date";
    PROCESSING_STAGE = 0x420175, "Processing Stage";
    ASYNCHRONOUS_CORRELATION_VALUES = 0x420176, "Asynchronous Correlation Values";
}
