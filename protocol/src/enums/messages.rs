//! What a message asks and what it answers.
//!
//! Tables of KMIP 2.1 section 11, with the values that 1.0 to 1.4 had besides them.

use super::enumeration;

enumeration! {
    /// Adjustment Type (KMIP 2.1 section 11.1).
    AdjustmentType, "Adjustment Type" {
        Increment = 0x01, "Increment";
        Decrement = 0x02, "Decrement";
        Negate = 0x03, "Negate";
    }
}

enumeration! {
    /// Asynchronous Indicator (KMIP 2.1 section 11.3).
    AsynchronousIndicator, "Asynchronous Indicator" {
        Mandatory = 0x01, "Mandatory";
        Optional = 0x02, "Optional";
        Prohibited = 0x03, "Prohibited";
    }
}

enumeration! {
    /// Attestation Type (KMIP 2.1 section 11.4).
    AttestationType, "Attestation Type" {
        TpmQuote = 0x01, "TPM Quote";
        TcgIntegrityReport = 0x02, "TCG Integrity Report";
        SamlAssertion = 0x03, "SAML Assertion";
    }
}

enumeration! {
    /// Batch Error Continuation Option (KMIP 2.1 section 11.5).
    BatchErrorContinuationOption, "Batch Error Continuation Option" {
        Continue = 0x01, "Continue";
        Stop = 0x02, "Stop";
        Undo = 0x03, "Undo";
    }
}

enumeration! {
    /// Cancellation Result (KMIP 2.1 section 11.7).
    CancellationResult, "Cancellation Result" {
        Canceled = 0x01, "Canceled";
        UnableToCancel = 0x02, "Unable to Cancel";
        Completed = 0x03, "Completed";
        Failed = 0x04, "Failed";
        Unavailable = 0x05, "Unavailable";
    }
}

enumeration! {
    /// Client Registration Method (KMIP 2.1 section 11.10).
    ClientRegistrationMethod, "Client Registration Method" {
        Unspecified = 0x01, "Unspecified";
        ServerPreGenerated = 0x02, "Server Pre-Generated";
        ServerOnDemand = 0x03, "Server On-Demand";
        ClientGenerated = 0x04, "Client Generated";
        ClientRegistered = 0x05, "Client Registered";
    }
}

enumeration! {
    /// Credential Type (KMIP 2.1 section 11.11).
    CredentialType, "Credential Type" {
        UsernameAndPassword = 0x01, "Username and Password";
        Device = 0x02, "Device";
        Attestation = 0x03, "Attestation";
        OneTimePassword = 0x04, "One Time Password";
        HashedPassword = 0x05, "Hashed Password";
        Ticket = 0x06, "Ticket";
    }
}

enumeration! {
    /// Data (KMIP 2.1 section 11.13).
    DataPlaceholder, "Data" {
        Decrypt = 0x01, "Decrypt";
        Encrypt = 0x02, "Encrypt";
        Hash = 0x03, "Hash";
        MacMacData = 0x04, "MAC MAC Data";
        RngRetrieve = 0x05, "RNG Retrieve";
        SignSignatureData = 0x06, "Sign Signature Data";
        SignatureVerify = 0x07, "Signature Verify";
    }
}

enumeration! {
    /// Endpoint Role (KMIP 2.1 section 11.19).
    EndpointRole, "Endpoint Role" {
        Client = 0x01, "Client";
        Server = 0x02, "Server";
    }
}

enumeration! {
    /// Interop Function (KMIP 2.1 section 11.22).
    InteropFunction, "Interop Function" {
        Begin = 0x01, "Begin";
        End = 0x02, "End";
        Reset = 0x03, "Reset";
    }
}

enumeration! {
    /// Operation (KMIP 2.1 section 11.36).
    Operation, "Operation" {
        Create = 0x01, "Create";
        CreateKeyPair = 0x02, "Create Key Pair";
        Register = 0x03, "Register";
        Rekey = 0x04, "Re-key";
        DeriveKey = 0x05, "Derive Key";
        Certify = 0x06, "Certify";
        Recertify = 0x07, "Re-certify";
        Locate = 0x08, "Locate";
        Check = 0x09, "Check";
        Get = 0x0A, "Get";
        GetAttributes = 0x0B, "Get Attributes";
        GetAttributeList = 0x0C, "Get Attribute List";
        AddAttribute = 0x0D, "Add Attribute";
        ModifyAttribute = 0x0E, "Modify Attribute";
        DeleteAttribute = 0x0F, "Delete Attribute";
        ObtainLease = 0x10, "Obtain Lease";
        GetUsageAllocation = 0x11, "Get Usage Allocation";
        Activate = 0x12, "Activate";
        Revoke = 0x13, "Revoke";
        Destroy = 0x14, "Destroy";
        Archive = 0x15, "Archive";
        Recover = 0x16, "Recover";
        Validate = 0x17, "Validate";
        Query = 0x18, "Query";
        Cancel = 0x19, "Cancel";
        Poll = 0x1A, "Poll";
        Notify = 0x1B, "Notify";
        Put = 0x1C, "Put";
        RekeyKeyPair = 0x1D, "Re-key Key Pair";
        DiscoverVersions = 0x1E, "Discover Versions";
        Encrypt = 0x1F, "Encrypt";
        Decrypt = 0x20, "Decrypt";
        Sign = 0x21, "Sign";
        SignatureVerify = 0x22, "Signature Verify";
        Mac = 0x23, "MAC";
        MacVerify = 0x24, "MAC Verify";
        RngRetrieve = 0x25, "RNG Retrieve";
        RngSeed = 0x26, "RNG Seed";
        Hash = 0x27, "Hash";
        CreateSplitKey = 0x28, "Create Split Key";
        JoinSplitKey = 0x29, "Join Split Key";
        Import = 0x2A, "Import";
        Export = 0x2B, "Export";
        Log = 0x2C, "Log";
        Login = 0x2D, "Login";
        Logout = 0x2E, "Logout";
        DelegatedLogin = 0x2F, "Delegated Login";
        AdjustAttribute = 0x30, "Adjust Attribute";
        SetAttribute = 0x31, "Set Attribute";
        SetEndpointRole = 0x32, "Set Endpoint Role";
        Pkcs11 = 0x33, "PKCS#11";
        Interop = 0x34, "Interop";
        ReProvision = 0x35, "Re-Provision";
        SetDefaults = 0x36, "Set Defaults";
        SetConstraints = 0x37, "Set Constraints";
        GetConstraints = 0x38, "Get Constraints";
        QueryAsynchronousRequests = 0x39, "Query Asynchronous Requests";
        Process = 0x3A, "Process";
        Ping = 0x3B, "Ping";
    }
}

enumeration! {
    /// Processing Stage (KMIP 2.1 section 11.40).
    ProcessingStage, "Processing Stage" {
        Submitted = 0x01, "Submitted";
        InProcess = 0x02, "In Process";
        Completed = 0x03, "Completed";
    }
}

enumeration! {
    /// Profile Name (KMIP 2.1 section 11.41).
    ProfileName, "Profile Name" {
        CompleteServerBasic = 0x104, "Complete Server Basic";
        CompleteServerTlsV1_2 = 0x105, "Complete Server TLS v1.2";
        TapeLibraryClient = 0x106, "Tape Library Client";
        TapeLibraryServer = 0x107, "Tape Library Server";
        SymmetricKeyLifecycleClient = 0x108, "Symmetric Key Lifecycle Client";
        SymmetricKeyLifecycleServer = 0x109, "Symmetric Key Lifecycle Server";
        AsymmetricKeyLifecycleClient = 0x10A, "Asymmetric Key Lifecycle Client";
        AsymmetricKeyLifecycleServer = 0x10B, "Asymmetric Key Lifecycle Server";
        BasicCryptographicClient = 0x10C, "Basic Cryptographic Client";
        BasicCryptographicServer = 0x10D, "Basic Cryptographic Server";
        AdvancedCryptographicClient = 0x10E, "Advanced Cryptographic Client";
        AdvancedCryptographicServer = 0x10F, "Advanced Cryptographic Server";
        RngCryptographicClient = 0x110, "RNG Cryptographic Client";
        RngCryptographicServer = 0x111, "RNG Cryptographic Server";
        BasicSymmetricKeyFoundryClient = 0x112, "Basic Symmetric Key Foundry Client";
        IntermediateSymmetricKeyFoundryClient = 0x113, "Intermediate Symmetric Key Foundry Client";
        AdvancedSymmetricKeyFoundryClient = 0x114, "Advanced Symmetric Key Foundry Client";
        SymmetricKeyFoundryServer = 0x115, "Symmetric Key Foundry Server";
        OpaqueManagedObjectStoreClient = 0x116, "Opaque Managed Object Store Client";
        OpaqueManagedObjectStoreServer = 0x117, "Opaque Managed Object Store Server";
        StorageArrayWithSelfEncryptingDriveClient = 0x11C, "Storage Array with Self Encrypting Drive Client";
        StorageArrayWithSelfEncryptingDriveServer = 0x11D, "Storage Array with Self Encrypting Drive Server";
        HttpsClient = 0x11E, "HTTPS Client";
        HttpsServer = 0x11F, "HTTPS Server";
        JsonClient = 0x120, "JSON Client";
        JsonServer = 0x121, "JSON Server";
        XmlClient = 0x122, "XML Client";
        XmlServer = 0x123, "XML Server";
        AesXtsClient = 0x124, "AES XTS Client";
        AesXtsServer = 0x125, "AES XTS Server";
        QuantumSafeClient = 0x126, "Quantum Safe Client";
        QuantumSafeServer = 0x127, "Quantum Safe Server";
        Pkcs11Client = 0x128, "PKCS#11 Client";
        Pkcs11Server = 0x129, "PKCS#11 Server";
        BaselineClient = 0x12A, "Baseline Client";
        BaselineServer = 0x12B, "Baseline Server";
        CompleteServer = 0x12C, "Complete Server";
    }
}

enumeration! {
    /// Put Function (KMIP 2.1 section 11.43).
    PutFunction, "Put Function" {
        New = 0x01, "New";
        Replace = 0x02, "Replace";
    }
}

enumeration! {
    /// Query Function (KMIP 2.1 section 11.44).
    QueryFunction, "Query Function" {
        QueryOperations = 0x01, "Query Operations";
        QueryObjects = 0x02, "Query Objects";
        QueryServerInformation = 0x03, "Query Server Information";
        QueryApplicationNamespaces = 0x04, "Query Application Namespaces";
        QueryExtensionList = 0x05, "Query Extension List";
        QueryExtensionMap = 0x06, "Query Extension Map";
        QueryAttestationTypes = 0x07, "Query Attestation Types";
        QueryRngs = 0x08, "Query RNGs";
        QueryValidations = 0x09, "Query Validations";
        QueryProfiles = 0x0A, "Query Profiles";
        QueryCapabilities = 0x0B, "Query Capabilities";
        QueryClientRegistrationMethods = 0x0C, "Query Client Registration Methods";
        QueryDefaultsInformation = 0x0D, "Query Defaults Information";
        QueryStorageProtectionMasks = 0x0E, "Query Storage Protection Masks";
    }
}

enumeration! {
    /// Result Reason (KMIP 2.1 section 11.46).
    ResultReason, "Result Reason" {
        ItemNotFound = 0x01, "Item Not Found";
        ResponseTooLarge = 0x02, "Response Too Large";
        AuthenticationNotSuccessful = 0x03, "Authentication Not Successful";
        InvalidMessage = 0x04, "Invalid Message";
        OperationNotSupported = 0x05, "Operation Not Supported";
        MissingData = 0x06, "Missing Data";
        InvalidField = 0x07, "Invalid Field";
        FeatureNotSupported = 0x08, "Feature Not Supported";
        OperationCanceledByRequester = 0x09, "Operation Canceled By Requester";
        CryptographicFailure = 0x0A, "Cryptographic Failure";
        IllegalOperation = 0x0B, "Illegal Operation";
        PermissionDenied = 0x0C, "Permission Denied";
        ObjectArchived = 0x0D, "Object Archived";
        IndexOutOfBounds = 0x0E, "Index Out of Bounds";
        ApplicationNamespaceNotSupported = 0x0F, "Application Namespace Not Supported";
        KeyFormatTypeNotSupported = 0x10, "Key Format Type Not Supported";
        KeyCompressionTypeNotSupported = 0x11, "Key Compression Type Not Supported";
        EncodingOptionError = 0x12, "Encoding Option Error";
        KeyValueNotPresent = 0x13, "Key Value Not Present";
        AttestationRequired = 0x14, "Attestation Required";
        AttestationFailed = 0x15, "Attestation Failed";
        Sensitive = 0x16, "Sensitive";
        NotExtractable = 0x17, "Not Extractable";
        ObjectAlreadyExists = 0x18, "Object Already Exists";
        InvalidTicket = 0x19, "Invalid Ticket";
        UsageLimitExceeded = 0x1A, "Usage Limit Exceeded";
        NumericRange = 0x1B, "Numeric Range";
        InvalidDataType = 0x1C, "Invalid Data Type";
        ReadOnlyAttribute = 0x1D, "Read Only Attribute";
        MultiValuedAttribute = 0x1E, "Multi Valued Attribute";
        UnsupportedAttribute = 0x1F, "Unsupported Attribute";
        AttributeInstanceNotFound = 0x20, "Attribute Instance Not Found";
        AttributeNotFound = 0x21, "Attribute Not Found";
        AttributeReadOnly = 0x22, "Attribute Read Only";
        AttributeSingleValued = 0x23, "Attribute Single Valued";
        BadCryptographicParameters = 0x24, "Bad Cryptographic Parameters";
        BadPassword = 0x25, "Bad Password";
        CodecError = 0x26, "Codec Error";
        IllegalObjectType = 0x28, "Illegal Object Type";
        IncompatibleCryptographicUsageMask = 0x29, "Incompatible Cryptographic Usage Mask";
        InternalServerError = 0x2A, "Internal Server Error";
        InvalidAsynchronousCorrelationValue = 0x2B, "Invalid Asynchronous Correlation Value";
        InvalidAttribute = 0x2C, "Invalid Attribute";
        InvalidAttributeValue = 0x2D, "Invalid Attribute Value";
        InvalidCorrelationValue = 0x2E, "Invalid Correlation Value";
        InvalidCsr = 0x2F, "Invalid CSR";
        InvalidObjectType = 0x30, "Invalid Object Type";
        KeyWrapTypeNotSupported = 0x32, "Key Wrap Type Not Supported";
        MissingInitializationVector = 0x34, "Missing Initialization Vector";
        NonUniqueNameAttribute = 0x35, "Non Unique Name Attribute";
        ObjectDestroyed = 0x36, "Object Destroyed";
        ObjectNotFound = 0x37, "Object Not Found";
        NotAuthorised = 0x39, "Not Authorised";
        ServerLimitExceeded = 0x3A, "Server Limit Exceeded";
        UnknownEnumeration = 0x3B, "Unknown Enumeration";
        UnknownMessageExtension = 0x3C, "Unknown Message Extension";
        UnknownTag = 0x3D, "Unknown Tag";
        UnsupportedCryptographicParameters = 0x3E, "Unsupported Cryptographic Parameters";
        UnsupportedProtocolVersion = 0x3F, "Unsupported Protocol Version";
        WrappingObjectArchived = 0x40, "Wrapping Object Archived";
        WrappingObjectDestroyed = 0x41, "Wrapping Object Destroyed";
        WrappingObjectNotFound = 0x42, "Wrapping Object Not Found";
        WrongKeyLifecycleState = 0x43, "Wrong Key Lifecycle State";
        ProtectionStorageUnavailable = 0x44, "Protection Storage Unavailable";
        Pkcs11CodecError = 0x45, "PKCS#11 Codec Error";
        Pkcs11InvalidFunction = 0x46, "PKCS#11 Invalid Function";
        Pkcs11InvalidInterface = 0x47, "PKCS#11 Invalid Interface";
        PrivateProtectionStorageUnavailable = 0x48, "Private Protection Storage Unavailable";
        PublicProtectionStorageUnavailable = 0x49, "Public Protection Storage Unavailable";
        UnknownObjectGroup = 0x4A, "Unknown Object Group";
        ConstraintViolation = 0x4B, "Constraint Violation";
        DuplicateProcessRequest = 0x4C, "Duplicate Process Request";
        GeneralFailure = 0x100, "General Failure";
    }
}

enumeration! {
    /// Result Status (KMIP 2.1 section 11.47).
    ResultStatus, "Result Status" {
        Success = 0x00, "Success";
        OperationFailed = 0x01, "Operation Failed";
        OperationPending = 0x02, "Operation Pending";
        OperationUndone = 0x03, "Operation Undone";
    }
}

enumeration! {
    /// Ticket Type (KMIP 2.1 section 11.57).
    TicketType, "Ticket Type" {
        Login = 0x01, "Login";
    }
}

enumeration! {
    /// Unique Identifier (KMIP 2.1 section 11.58).
    UniqueIdentifierPlaceholder, "Unique Identifier" {
        IdPlaceholder = 0x01, "ID Placeholder";
        Certify = 0x02, "Certify";
        Create = 0x03, "Create";
        CreateKeyPair = 0x04, "Create Key Pair";
        CreateKeyPairPrivateKey = 0x05, "Create Key Pair Private Key";
        CreateKeyPairPublicKey = 0x06, "Create Key Pair Public Key";
        CreateSplitKey = 0x07, "Create Split Key";
        DeriveKey = 0x08, "Derive Key";
        Import = 0x09, "Import";
        JoinSplitKey = 0x0A, "Join Split Key";
        Locate = 0x0B, "Locate";
        Register = 0x0C, "Register";
        Rekey = 0x0D, "Re-key";
        Recertify = 0x0E, "Re-certify";
        RekeyKeyPair = 0x0F, "Re-key Key Pair";
        RekeyKeyPairPrivateKey = 0x10, "Re-key Key Pair Private Key";
        RekeyKeyPairPublicKey = 0x11, "Re-key Key Pair Public Key";
    }
}

enumeration! {
    /// Validation Authority Type (KMIP 2.1 section 11.63).
    ValidationAuthorityType, "Validation Authority Type" {
        Unspecified = 0x01, "Unspecified";
        NistCmvp = 0x02, "NIST CMVP";
        CommonCriteria = 0x03, "Common Criteria";
    }
}

enumeration! {
    /// Validation Type (KMIP 2.1 section 11.64).
    ValidationType, "Validation Type" {
        Unspecified = 0x01, "Unspecified";
        Hardware = 0x02, "Hardware";
        Software = 0x03, "Software";
        Firmware = 0x04, "Firmware";
        Hybrid = 0x05, "Hybrid";
    }
}

enumeration! {
    /// Validity Indicator (KMIP 2.1 section 11.61).
    ValidityIndicator, "Validity Indicator" {
        Valid = 0x01, "Valid";
        Invalid = 0x02, "Invalid";
        Unknown = 0x03, "Unknown";
    }
}
