//! Signatures: ECDSA on P-256, RSASSA-PKCS1-v1_5 and RSASSA-PSS (FIPS 186-5, RFC 8017 section 8).

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self, RsaEncoding, VerificationAlgorithm};
use kms_protocol::attribute::CryptographicParameters;
use kms_protocol::enums::{
    CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, MaskGenerator, PaddingMethod,
};

use super::CryptoError;

/// A way of signing, known to be supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheme {
    kind: Kind,
    hash: Hash,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Ecdsa,
    Pkcs1,
    Pss,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// What is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// The data itself.
    Whole(&'a [u8]),
    /// Its digest by the scheme's hash.
    Digested(&'a [u8]),
}

impl Scheme {
    /// The scheme that Cryptographic Parameters state for a key of `algorithm` (KMIP 1.4 section 3.6): by their Digital
    /// Signature Algorithm, or by Hashing Algorithm and, for RSA, Padding Method. What is stated twice must agree.
    /// ECDSA on P-256 needs no more than the key: its hash is SHA-256.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], naming what is supported.
    pub fn new(
        algorithm: CryptographicAlgorithm,
        parameters: &CryptographicParameters,
    ) -> Result<Self, CryptoError> {
        let rsa = algorithm == CryptographicAlgorithm::Rsa;
        let whole = parameters.digital_signature_algorithm.map(named).transpose()?;
        let kind = match parameters.padding_method {
            _ if !rsa => Some(Kind::Ecdsa),
            None => whole.map(|(kind, _)| kind).filter(|kind| *kind != Kind::Ecdsa),
            Some(PaddingMethod::Pkcs1V1_5) => Some(Kind::Pkcs1),
            Some(PaddingMethod::Pss) => Some(Kind::Pss),
            Some(other) => return Err(unsupported("Padding Method", &other, "PKCS1 v1.5 or PSS")),
        };
        let lacking = || {
            unsupported("Padding Method", &"(none)", "PKCS1 v1.5 or PSS, or a Digital Signature Algorithm")
        };
        let kind = kind.ok_or_else(lacking)?;
        let stated = parameters.hashing_algorithm.map(Hash::new).transpose()?;
        let by_name = whole.and_then(|(_, hash)| hash);
        let default = (kind == Kind::Ecdsa).then_some(Hash::Sha256);
        let lacking = || unsupported("Hashing Algorithm", &"(none)", HASHES);
        let hash = stated.or(by_name).or(default).ok_or_else(lacking)?;
        let agree = whole
            .is_none_or(|(named, by_name)| named == kind && by_name.is_none_or(|by_name| by_name == hash));
        if !agree {
            let asked =
                parameters.digital_signature_algorithm.map_or_else(String::new, |one| one.to_string());
            return Err(unsupported(
                "Digital Signature Algorithm",
                &asked,
                "the one that fits the key, the Padding Method and the Hashing Algorithm",
            ));
        }
        if kind == Kind::Ecdsa && hash != Hash::Sha256 {
            return Err(unsupported("Hashing Algorithm", &hash.name(), "SHA-256 with P-256"));
        }
        if kind == Kind::Pss {
            check_pss(parameters, hash)?;
        }
        Ok(Self { kind, hash })
    }

    /// The digest of a message, or the one that it is.
    pub(super) fn digest(self, message: Message<'_>) -> Result<Digest, CryptoError> {
        let algorithm = match self.hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        };
        match message {
            Message::Whole(data) => Ok(digest::digest(algorithm, data)),
            Message::Digested(bytes) => Digest::import_less_safe(bytes, algorithm).map_err(|_| {
                let asked = format!("of {} bytes", bytes.len());
                let length = algorithm.output_len();
                unsupported("Digested Data", &asked, &format!("{length} bytes of {}", self.hash.name()))
            }),
        }
    }

    /// How RSA signs so; `None` for ECDSA.
    pub(super) fn rsa(self) -> Option<&'static dyn RsaEncoding> {
        match (self.kind, self.hash) {
            (Kind::Ecdsa, _) => None,
            (Kind::Pkcs1, Hash::Sha256) => Some(&signature::RSA_PKCS1_SHA256),
            (Kind::Pkcs1, Hash::Sha384) => Some(&signature::RSA_PKCS1_SHA384),
            (Kind::Pkcs1, Hash::Sha512) => Some(&signature::RSA_PKCS1_SHA512),
            (Kind::Pss, Hash::Sha256) => Some(&signature::RSA_PSS_SHA256),
            (Kind::Pss, Hash::Sha384) => Some(&signature::RSA_PSS_SHA384),
            (Kind::Pss, Hash::Sha512) => Some(&signature::RSA_PSS_SHA512),
        }
    }

    /// How such a signature is verified.
    pub(super) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match (self.kind, self.hash) {
            (Kind::Ecdsa, _) => &signature::ECDSA_P256_SHA256_ASN1,
            (Kind::Pkcs1, Hash::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Kind::Pkcs1, Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Kind::Pkcs1, Hash::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Kind::Pss, Hash::Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
            (Kind::Pss, Hash::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
            (Kind::Pss, Hash::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        }
    }
}

const HASHES: &str = "SHA-256, SHA-384 or SHA-512";

impl Hash {
    fn new(hash: HashingAlgorithm) -> Result<Self, CryptoError> {
        match hash {
            HashingAlgorithm::Sha256 => Ok(Self::Sha256),
            HashingAlgorithm::Sha384 => Ok(Self::Sha384),
            HashingAlgorithm::Sha512 => Ok(Self::Sha512),
            other => Err(unsupported("Hashing Algorithm", &format!("{other} for a signature"), HASHES)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    fn bytes(self) -> i32 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// What a Digital Signature Algorithm says; of PSS it does not say the hash.
fn named(algorithm: DigitalSignatureAlgorithm) -> Result<(Kind, Option<Hash>), CryptoError> {
    use DigitalSignatureAlgorithm as Named;
    match algorithm {
        Named::EcdsaWithSha256 => Ok((Kind::Ecdsa, Some(Hash::Sha256))),
        Named::Sha256WithRsaEncryption => Ok((Kind::Pkcs1, Some(Hash::Sha256))),
        Named::Sha384WithRsaEncryption => Ok((Kind::Pkcs1, Some(Hash::Sha384))),
        Named::Sha512WithRsaEncryption => Ok((Kind::Pkcs1, Some(Hash::Sha512))),
        Named::RsassaPss => Ok((Kind::Pss, None)),
        other => {
            let supported =
                "ECDSA with SHA256, RSASSA-PSS, or SHA-256, SHA-384 or SHA-512 with RSA Encryption";
            Err(unsupported("Digital Signature Algorithm", &other, supported))
        }
    }
}

/// PSS here: MGF1 with the message's hash, and a salt of that hash's length (FIPS 186-5 section 5.4).
fn check_pss(parameters: &CryptographicParameters, hash: Hash) -> Result<(), CryptoError> {
    let mask = parameters.mask_generator_hashing_algorithm.map(Hash::new).transpose()?;
    if parameters.mask_generator.is_some_and(|mask| mask != MaskGenerator::Mfg1)
        || mask.is_some_and(|mask| mask != hash)
    {
        return Err(unsupported("Mask Generator", &"as stated", &format!("MGF1 with {}", hash.name())));
    }
    match parameters.salt_length {
        Some(length) if length != hash.bytes() => {
            Err(unsupported("Salt Length", &length, &format!("{} bytes", hash.bytes())))
        }
        _ => Ok(()),
    }
}

fn unsupported(what: &'static str, asked: &dyn ToString, supported: &str) -> CryptoError {
    CryptoError::Unsupported { what, asked: asked.to_string(), supported: supported.to_owned() }
}
