//! What a managed object is and what may be said of it.
//!
//! Tables of KMIP 2.1 section 11, with the values that 1.0 to 1.4 had besides them.

use super::enumeration;

enumeration! {
    /// Alternative Name Type (KMIP 2.1 section 11.2).
    AlternativeNameType, "Alternative Name Type" {
        UninterpretedTextString = 0x01, "Uninterpreted Text String";
        Uri = 0x02, "URI";
        ObjectSerialNumber = 0x03, "Object Serial Number";
        EmailAddress = 0x04, "Email Address";
        DnsName = 0x05, "DNS Name";
        X500DistinguishedName = 0x06, "X.500 Distinguished Name";
        IpAddress = 0x07, "IP Address";
    }
}

enumeration! {
    /// Certificate Request Type (KMIP 2.1 section 11.8).
    CertificateRequestType, "Certificate Request Type" {
        Crmf = 0x01, "CRMF";
        Pkcs10 = 0x02, "PKCS#10";
        Pem = 0x03, "PEM";
        Pgp = 0x04, "PGP";
    }
}

enumeration! {
    /// Certificate Type (KMIP 2.1 section 11.9).
    CertificateType, "Certificate Type" {
        X509 = 0x01, "X.509";
        Pgp = 0x02, "PGP";
    }
}

enumeration! {
    /// Destroy Action (KMIP 2.1 section 11.15).
    DestroyAction, "Destroy Action" {
        Unspecified = 0x01, "Unspecified";
        KeyMaterialDeleted = 0x02, "Key Material Deleted";
        KeyMaterialShredded = 0x03, "Key Material Shredded";
        MetaDataDeleted = 0x04, "Meta Data Deleted";
        MetaDataShredded = 0x05, "Meta Data Shredded";
        Deleted = 0x06, "Deleted";
        Shredded = 0x07, "Shredded";
    }
}

enumeration! {
    /// Key Compression Type (KMIP 2.1 section 11.24).
    KeyCompressionType, "Key Compression Type" {
        EcPublicKeyTypeUncompressed = 0x01, "EC Public Key Type Uncompressed";
        EcPublicKeyTypeX9_62CompressedPrime = 0x02, "EC Public Key Type X9.62 Compressed Prime";
        EcPublicKeyTypeX9_62CompressedChar2 = 0x03, "EC Public Key Type X9.62 Compressed Char2";
        EcPublicKeyTypeX9_62Hybrid = 0x04, "EC Public Key Type X9.62 Hybrid";
    }
}

enumeration! {
    /// Key Format Type (KMIP 2.1 section 11.25).
    KeyFormatType, "Key Format Type" {
        Raw = 0x01, "Raw";
        Opaque = 0x02, "Opaque";
        Pkcs1 = 0x03, "PKCS#1";
        Pkcs8 = 0x04, "PKCS#8";
        X509 = 0x05, "X.509";
        EcPrivateKey = 0x06, "ECPrivateKey";
        TransparentSymmetricKey = 0x07, "Transparent Symmetric Key";
        TransparentDsaPrivateKey = 0x08, "Transparent DSA Private Key";
        TransparentDsaPublicKey = 0x09, "Transparent DSA Public Key";
        TransparentRsaPrivateKey = 0x0A, "Transparent RSA Private Key";
        TransparentRsaPublicKey = 0x0B, "Transparent RSA Public Key";
        TransparentDhPrivateKey = 0x0C, "Transparent DH Private Key";
        TransparentDhPublicKey = 0x0D, "Transparent DH Public Key";
        TransparentEcdsaPrivateKey = 0x0E, "Transparent ECDSA Private Key";
        TransparentEcdsaPublicKey = 0x0F, "Transparent ECDSA Public Key";
        TransparentEcdhPrivateKey = 0x10, "Transparent ECDH Private Key";
        TransparentEcdhPublicKey = 0x11, "Transparent ECDH Public Key";
        TransparentEcmqvPrivateKey = 0x12, "Transparent ECMQV Private Key";
        TransparentEcmqvPublicKey = 0x13, "Transparent ECMQV Public Key";
        TransparentEcPrivateKey = 0x14, "Transparent EC Private Key";
        TransparentEcPublicKey = 0x15, "Transparent EC Public Key";
        Pkcs12 = 0x16, "PKCS#12";
        Pkcs10 = 0x17, "PKCS#10";
    }
}

enumeration! {
    /// Key Value Location Type (KMIP 2.1 section 11.27).
    KeyValueLocationType, "Key Value Location Type" {
        UninterpretedTextString = 0x01, "Uninterpreted Text String";
        Uri = 0x02, "URI";
    }
}

enumeration! {
    /// Link Type (KMIP 2.1 section 11.28).
    LinkType, "Link Type" {
        CertificateLink = 0x101, "Certificate Link";
        PublicKeyLink = 0x102, "Public Key Link";
        PrivateKeyLink = 0x103, "Private Key Link";
        DerivationBaseObjectLink = 0x104, "Derivation Base Object Link";
        DerivedKeyLink = 0x105, "Derived Key Link";
        ReplacementObjectLink = 0x106, "Replacement Object Link";
        ReplacedObjectLink = 0x107, "Replaced Object Link";
        ParentLink = 0x108, "Parent Link";
        ChildLink = 0x109, "Child Link";
        PreviousLink = 0x10A, "Previous Link";
        NextLink = 0x10B, "Next Link";
        Pkcs12CertificateLink = 0x10C, "PKCS#12 Certificate Link";
        Pkcs12PasswordLink = 0x10D, "PKCS#12 Password Link";
        WrappingKeyLink = 0x10E, "Wrapping Key Link";
    }
}

enumeration! {
    /// Name Type (KMIP 2.1 section 11.31).
    NameType, "Name Type" {
        UninterpretedTextString = 0x01, "Uninterpreted Text String";
        Uri = 0x02, "URI";
    }
}

enumeration! {
    /// Object Group Member (KMIP 2.1 section 11.33).
    ObjectGroupMember, "Object Group Member" {
        GroupMemberFresh = 0x01, "Group Member Fresh";
        GroupMemberDefault = 0x02, "Group Member Default";
    }
}

enumeration! {
    /// Object Type (KMIP 2.1 section 11.34).
    ObjectType, "Object Type" {
        Certificate = 0x01, "Certificate";
        SymmetricKey = 0x02, "Symmetric Key";
        PublicKey = 0x03, "Public Key";
        PrivateKey = 0x04, "Private Key";
        SplitKey = 0x05, "Split Key";
        Template = 0x06, "Template";
        SecretData = 0x07, "Secret Data";
        OpaqueObject = 0x08, "Opaque Object";
        PgpKey = 0x09, "PGP Key";
        CertificateRequest = 0x0A, "Certificate Request";
    }
}

enumeration! {
    /// Opaque Data Type: every value is a vendor's (KMIP 2.1 section 11.35).
    OpaqueDataType, "Opaque Data Type" {}
}

enumeration! {
    /// Protection Level (KMIP 2.1 section 11.42).
    ProtectionLevel, "Protection Level" {
        High = 0x01, "High";
        Low = 0x02, "Low";
    }
}

enumeration! {
    /// Revocation Reason Code (KMIP 2.1 section 11.48).
    RevocationReasonCode, "Revocation Reason Code" {
        Unspecified = 0x01, "Unspecified";
        KeyCompromise = 0x02, "Key Compromise";
        CaCompromise = 0x03, "CA Compromise";
        AffiliationChanged = 0x04, "Affiliation Changed";
        Superseded = 0x05, "Superseded";
        CessationOfOperation = 0x06, "Cessation of Operation";
        PrivilegeWithdrawn = 0x07, "Privilege Withdrawn";
    }
}

enumeration! {
    /// Rotate Name Type (KMIP 2.1 section 11.51).
    RotateNameType, "Rotate Name Type" {
        UninterpretedTextString = 0x01, "Uninterpreted Text String";
        Uri = 0x02, "URI";
    }
}

enumeration! {
    /// Secret Data Type (KMIP 2.1 section 11.52).
    SecretDataType, "Secret Data Type" {
        Password = 0x01, "Password";
        Seed = 0x02, "Seed";
    }
}

enumeration! {
    /// State (KMIP 2.1 section 11.55).
    State, "State" {
        PreActive = 0x01, "Pre-Active";
        Active = 0x02, "Active";
        Deactivated = 0x03, "Deactivated";
        Compromised = 0x04, "Compromised";
        Destroyed = 0x05, "Destroyed";
        DestroyedCompromised = 0x06, "Destroyed Compromised";
    }
}

enumeration! {
    /// Usage Limits Unit (KMIP 2.1 section 11.60).
    UsageLimitsUnit, "Usage Limits Unit" {
        Byte = 0x01, "Byte";
        Object = 0x02, "Object";
    }
}
