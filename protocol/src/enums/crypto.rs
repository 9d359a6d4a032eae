//! How keys are used: algorithms, modes, hashes, paddings, curves, derivation, wrapping.
//!
//! Tables of KMIP 2.1 section 11, with the values that 1.0 to 1.4 had besides them.

use super::enumeration;

enumeration! {
    /// Block Cipher Mode (KMIP 2.1 section 11.6).
    BlockCipherMode, "Block Cipher Mode" {
        Cbc = 0x01, "CBC";
        Ecb = 0x02, "ECB";
        Pcbc = 0x03, "PCBC";
        Cfb = 0x04, "CFB";
        Ofb = 0x05, "OFB";
        Ctr = 0x06, "CTR";
        Cmac = 0x07, "CMAC";
        Ccm = 0x08, "CCM";
        Gcm = 0x09, "GCM";
        CbcMac = 0x0A, "CBC-MAC";
        Xts = 0x0B, "XTS";
        AesKeyWrapPadding = 0x0C, "AESKeyWrapPadding";
        NistKeyWrap = 0x0D, "NISTKeyWrap";
        X9_102Aeskw = 0x0E, "X9.102 AESKW";
        X9_102Tdkw = 0x0F, "X9.102 TDKW";
        X9_102Akw1 = 0x10, "X9.102 AKW1";
        X9_102Akw2 = 0x11, "X9.102 AKW2";
        Aead = 0x12, "AEAD";
    }
}

enumeration! {
    /// Cryptographic Algorithm (KMIP 2.1 section 11.12).
    CryptographicAlgorithm, "Cryptographic Algorithm" {
        Des = 0x01, "DES";
        TripleDes = 0x02, "3DES";
        Aes = 0x03, "AES";
        Rsa = 0x04, "RSA";
        Dsa = 0x05, "DSA";
        Ecdsa = 0x06, "ECDSA";
        HmacSha1 = 0x07, "HMAC-SHA1";
        HmacSha224 = 0x08, "HMAC-SHA224";
        HmacSha256 = 0x09, "HMAC-SHA256";
        HmacSha384 = 0x0A, "HMAC-SHA384";
        HmacSha512 = 0x0B, "HMAC-SHA512";
        HmacMd5 = 0x0C, "HMAC-MD5";
        Dh = 0x0D, "DH";
        Ecdh = 0x0E, "ECDH";
        Ecmqv = 0x0F, "ECMQV";
        Blowfish = 0x10, "Blowfish";
        Camellia = 0x11, "Camellia";
        Cast5 = 0x12, "CAST5";
        Idea = 0x13, "IDEA";
        Mars = 0x14, "MARS";
        Rc2 = 0x15, "RC2";
        Rc4 = 0x16, "RC4";
        Rc5 = 0x17, "RC5";
        Skipjack = 0x18, "SKIPJACK";
        Twofish = 0x19, "Twofish";
        Ec = 0x1A, "EC";
        OneTimePad = 0x1B, "One Time Pad";
        ChaCha20 = 0x1C, "ChaCha20";
        Poly1305 = 0x1D, "Poly1305";
        ChaCha20Poly1305 = 0x1E, "ChaCha20Poly1305";
        Sha3_224 = 0x1F, "SHA3-224";
        Sha3_256 = 0x20, "SHA3-256";
        Sha3_384 = 0x21, "SHA3-384";
        Sha3_512 = 0x22, "SHA3-512";
        HmacSha3_224 = 0x23, "HMAC-SHA3-224";
        HmacSha3_256 = 0x24, "HMAC-SHA3-256";
        HmacSha3_384 = 0x25, "HMAC-SHA3-384";
        HmacSha3_512 = 0x26, "HMAC-SHA3-512";
        Shake128 = 0x27, "SHAKE-128";
        Shake256 = 0x28, "SHAKE-256";
        Aria = 0x29, "ARIA";
        Seed = 0x2A, "SEED";
        Sm2 = 0x2B, "SM2";
        Sm3 = 0x2C, "SM3";
        Sm4 = 0x2D, "SM4";
        GostR34_10_2012 = 0x2E, "GOST R 34.10-2012";
        GostR34_11_2012 = 0x2F, "GOST R 34.11-2012";
        GostR34_13_2015 = 0x30, "GOST R 34.13-2015";
        Gost28147_89 = 0x31, "GOST 28147-89";
        Xmss = 0x32, "XMSS";
        Sphincs256 = 0x33, "SPHINCS-256";
        McEliece = 0x34, "McEliece";
        McEliece6960119 = 0x35, "McEliece-6960119";
        McEliece8192128 = 0x36, "McEliece-8192128";
        Ed25519 = 0x37, "Ed25519";
        Ed448 = 0x38, "Ed448";
    }
}

enumeration! {
    /// Derivation Method (KMIP 2.1 section 11.14).
    DerivationMethod, "Derivation Method" {
        Pbkdf2 = 0x01, "PBKDF2";
        Hash = 0x02, "HASH";
        Hmac = 0x03, "HMAC";
        Encrypt = 0x04, "ENCRYPT";
        Nist800_108C = 0x05, "NIST800-108-C";
        Nist800_108F = 0x06, "NIST800-108-F";
        Nist800_108Dpi = 0x07, "NIST800-108-DPI";
        AsymmetricKey = 0x08, "Asymmetric Key";
        AwsSignatureVersion4 = 0x09, "AWS Signature Version 4";
        Hkdf = 0x0A, "HKDF";
    }
}

enumeration! {
    /// Digital Signature Algorithm (KMIP 2.1 section 11.16).
    DigitalSignatureAlgorithm, "Digital Signature Algorithm" {
        Md2WithRsaEncryption = 0x01, "MD2 with RSA Encryption";
        Md5WithRsaEncryption = 0x02, "MD5 with RSA Encryption";
        Sha1WithRsaEncryption = 0x03, "SHA-1 with RSA Encryption";
        Sha224WithRsaEncryption = 0x04, "SHA-224 with RSA Encryption";
        Sha256WithRsaEncryption = 0x05, "SHA-256 with RSA Encryption";
        Sha384WithRsaEncryption = 0x06, "SHA-384 with RSA Encryption";
        Sha512WithRsaEncryption = 0x07, "SHA-512 with RSA Encryption";
        RsassaPss = 0x08, "RSASSA-PSS";
        DsaWithSha1 = 0x09, "DSA with SHA-1";
        DsaWithSha224 = 0x0A, "DSA with SHA224";
        DsaWithSha256 = 0x0B, "DSA with SHA256";
        EcdsaWithSha1 = 0x0C, "ECDSA with SHA-1";
        EcdsaWithSha224 = 0x0D, "ECDSA with SHA224";
        EcdsaWithSha256 = 0x0E, "ECDSA with SHA256";
        EcdsaWithSha384 = 0x0F, "ECDSA with SHA384";
        EcdsaWithSha512 = 0x10, "ECDSA with SHA512";
        Sha3_256WithRsaEncryption = 0x11, "SHA3-256 with RSA Encryption";
        Sha3_384WithRsaEncryption = 0x12, "SHA3-384 with RSA Encryption";
        Sha3_512WithRsaEncryption = 0x13, "SHA3-512 with RSA Encryption";
    }
}

enumeration! {
    /// DRBG Algorithm (KMIP 2.1 section 11.17).
    DrbgAlgorithm, "DRBG Algorithm" {
        Unspecified = 0x01, "Unspecified";
        DualEc = 0x02, "Dual-EC";
        Hash = 0x03, "Hash";
        Hmac = 0x04, "HMAC";
        Ctr = 0x05, "CTR";
    }
}

enumeration! {
    /// FIPS186 Variation (KMIP 2.1 section 11.20).
    Fips186Variation, "FIPS186 Variation" {
        Unspecified = 0x01, "Unspecified";
        GpXOriginal = 0x02, "GP x-Original";
        GpXChangeNotice = 0x03, "GP x-Change Notice";
        XOriginal = 0x04, "x-Original";
        XChangeNotice = 0x05, "x-Change Notice";
        KOriginal = 0x06, "k-Original";
        KChangeNotice = 0x07, "k-Change Notice";
    }
}

enumeration! {
    /// Hashing Algorithm (KMIP 2.1 section 11.21).
    HashingAlgorithm, "Hashing Algorithm" {
        Md2 = 0x01, "MD2";
        Md4 = 0x02, "MD4";
        Md5 = 0x03, "MD5";
        Sha1 = 0x04, "SHA-1";
        Sha224 = 0x05, "SHA-224";
        Sha256 = 0x06, "SHA-256";
        Sha384 = 0x07, "SHA-384";
        Sha512 = 0x08, "SHA-512";
        Ripemd160 = 0x09, "RIPEMD-160";
        Tiger = 0x0A, "Tiger";
        Whirlpool = 0x0B, "Whirlpool";
        Sha512_224 = 0x0C, "SHA-512/224";
        Sha512_256 = 0x0D, "SHA-512/256";
        Sha3_224 = 0x0E, "SHA3-224";
        Sha3_256 = 0x0F, "SHA3-256";
        Sha3_384 = 0x10, "SHA3-384";
        Sha3_512 = 0x11, "SHA3-512";
    }
}

enumeration! {
    /// Key Role Type (KMIP 2.1 section 11.26).
    KeyRoleType, "Key Role Type" {
        Bdk = 0x01, "BDK";
        Cvk = 0x02, "CVK";
        Dek = 0x03, "DEK";
        Mkac = 0x04, "MKAC";
        Mksmc = 0x05, "MKSMC";
        Mksmi = 0x06, "MKSMI";
        Mkdac = 0x07, "MKDAC";
        Mkdn = 0x08, "MKDN";
        Mkcp = 0x09, "MKCP";
        Mkoth = 0x0A, "MKOTH";
        Kek = 0x0B, "KEK";
        Mac16609 = 0x0C, "MAC16609";
        Mac97971 = 0x0D, "MAC97971";
        Mac97972 = 0x0E, "MAC97972";
        Mac97973 = 0x0F, "MAC97973";
        Mac97974 = 0x10, "MAC97974";
        Mac97975 = 0x11, "MAC97975";
        Zpk = 0x12, "ZPK";
        Pvkibm = 0x13, "PVKIBM";
        Pvkpvv = 0x14, "PVKPVV";
        Pvkoth = 0x15, "PVKOTH";
        Dukpt = 0x16, "DUKPT";
        Iv = 0x17, "IV";
        Trkbk = 0x18, "TRKBK";
    }
}

enumeration! {
    /// Mask Generator (KMIP 2.1 section 11.30).
    MaskGenerator, "Mask Generator" {
        Mfg1 = 0x01, "MGF1";
    }
}

enumeration! {
    /// NIST Key Type (KMIP 2.1 section 11.32).
    NistKeyType, "NIST Key Type" {
        PrivateSignatureKey = 0x01, "Private signature key";
        PublicSignatureVerificationKey = 0x02, "Public signature verification key";
        SymmetricAuthenticationKey = 0x03, "Symmetric authentication key";
        PrivateAuthenticationKey = 0x04, "Private authentication key";
        PublicAuthenticationKey = 0x05, "Public authentication key";
        SymmetricDataEncryptionKey = 0x06, "Symmetric data encryption key";
        SymmetricKeyWrappingKey = 0x07, "Symmetric key wrapping key";
        SymmetricRandomNumberGenerationKey = 0x08, "Symmetric random number generation key";
        SymmetricMasterKey = 0x09, "Symmetric master key";
        PrivateKeyTransportKey = 0x0A, "Private key transport key";
        PublicKeyTransportKey = 0x0B, "Public key transport key";
        SymmetricKeyAgreementKey = 0x0C, "Symmetric key agreement key";
        PrivateStaticKeyAgreementKey = 0x0D, "Private static key agreement key";
        PublicStaticKeyAgreementKey = 0x0E, "Public static key agreement key";
        PrivateEphemeralKeyAgreementKey = 0x0F, "Private ephemeral key agreement key";
        PublicEphemeralKeyAgreementKey = 0x10, "Public ephemeral key agreement key";
        SymmetricAuthorizationKey = 0x11, "Symmetric authorization key";
        PrivateAuthorizationKey = 0x12, "Private authorization key";
        PublicAuthorizationKey = 0x13, "Public authorization key";
    }
}

enumeration! {
    /// Padding Method (KMIP 2.1 section 11.37).
    PaddingMethod, "Padding Method" {
        None = 0x01, "None";
        Oaep = 0x02, "OAEP";
        Pkcs5 = 0x03, "PKCS5";
        Ssl3 = 0x04, "SSL3";
        Zeros = 0x05, "Zeros";
        AnsiX9_23 = 0x06, "ANSI X9.23";
        Iso10126 = 0x07, "ISO 10126";
        Pkcs1V1_5 = 0x08, "PKCS1 v1.5";
        X9_31 = 0x09, "X9.31";
        Pss = 0x0A, "PSS";
    }
}

enumeration! {
    /// RNG Algorithm (KMIP 2.1 section 11.49).
    RngAlgorithm, "RNG Algorithm" {
        Unspecified = 0x01, "Unspecified";
        Fips186_2 = 0x02, "FIPS 186-2";
        Drbg = 0x03, "DRBG";
        Nrbg = 0x04, "NRBG";
        AnsiX9_31 = 0x05, "ANSI X9.31";
        AnsiX9_62 = 0x06, "ANSI X9.62";
    }
}

enumeration! {
    /// RNG Mode (KMIP 2.1 section 11.50).
    RngMode, "RNG Mode" {
        Unspecified = 0x01, "Unspecified";
        SharedInstantiation = 0x02, "Shared Instantiation";
        NonSharedInstantiation = 0x03, "Non-Shared Instantiation";
    }
}

enumeration! {
    /// Encoding Option (KMIP 2.1 section 11.18).
    EncodingOption, "Encoding Option" {
        NoEncoding = 0x01, "No Encoding";
        TtlvEncoding = 0x02, "TTLV Encoding";
    }
}

enumeration! {
    /// Key Wrap Type (KMIP 2.1 section 11.29).
    KeyWrapType, "Key Wrap Type" {
        NotWrapped = 0x01, "Not Wrapped";
        AsRegistered = 0x02, "As Registered";
    }
}

enumeration! {
    /// Unwrap Mode (KMIP 2.1 section 11.59).
    UnwrapMode, "Unwrap Mode" {
        Unspecified = 0x01, "Unspecified";
        Processed = 0x02, "Processed";
        NotProcessed = 0x03, "Not Processed";
    }
}

enumeration! {
    /// Wrapping Method (KMIP 2.1 section 11.62).
    WrappingMethod, "Wrapping Method" {
        Encrypt = 0x01, "Encrypt";
        MacSign = 0x02, "MAC/sign";
        EncryptThenMacSign = 0x03, "Encrypt then MAC/sign";
        MacSignThenEncrypt = 0x04, "MAC/sign then encrypt";
        Tr31 = 0x05, "TR-31";
    }
}

enumeration! {
    /// Split Key Method (KMIP 2.1 section 11.54).
    SplitKeyMethod, "Split Key Method" {
        Xor = 0x01, "XOR";
        PolynomialSharingGf216 = 0x02, "Polynomial Sharing GF (216)";
        PolynomialSharingPrimeField = 0x03, "Polynomial Sharing Prime Field";
        PolynomialSharingGf28 = 0x04, "Polynomial Sharing GF (28)";
    }
}

enumeration! {
    /// Shredding Algorithm (KMIP 2.1 section 11.53).
    ShreddingAlgorithm, "Shredding Algorithm" {
        Unspecified = 0x01, "Unspecified";
        Cryptographic = 0x02, "Cryptographic";
        Unsupported = 0x03, "Unsupported";
    }
}
