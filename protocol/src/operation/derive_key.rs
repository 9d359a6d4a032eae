//! Derive Key (KMIP 1.4 section 4.6, 2.1 section 6.1.14).

use super::request;
use crate::attribute::{Attributes, CryptographicParameters};
use crate::enums::{DerivationMethod, ObjectType};
use crate::identifier::UniqueIdentifier;
use crate::ttlv::Bytes;
use crate::{Secret, structure};

structure! {
    no Clone
    /// Asks for a key made of others.
    pub struct DeriveKeyRequest {
        /// Symmetric Key or Secret Data.
        pub object_type: ObjectType = OBJECT_TYPE,
        /// What to derive from: one key, and for some methods Secret Data with the derivation data.
        pub unique_identifiers: Vec<UniqueIdentifier> = UNIQUE_IDENTIFIER,
        /// How.
        pub derivation_method: DerivationMethod = DERIVATION_METHOD,
        /// What the method takes.
        pub derivation_parameters: DerivationParameters = DERIVATION_PARAMETERS,
        /// The new key's attributes; its length is always among them.
        pub attributes: Attributes = ATTRIBUTES,
    }
}

structure! {
    no Clone
    /// Derivation Parameters (KMIP 2.1 section 7.12).
    #[derive(Default)]
    pub struct DerivationParameters {
        /// The pseudorandom function, or its mode of operation.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
        /// The initialization vector; empty where absent.
        pub initialization_vector: Option<Bytes> = INITIALIZATION_VECTOR,
        /// What is encrypted, hashed or HMACed; the password of PBKDF2. Several from 2.0 on.
        pub derivation_data: Vec<Secret> = DERIVATION_DATA,
        /// The salt of PBKDF2 and HKDF.
        pub salt: Option<Bytes> = SALT,
        /// The rounds of PBKDF2.
        pub iteration_count: Option<i32> = ITERATION_COUNT,
    }
}

structure! {
    /// The new key.
    pub struct DeriveKeyResponse {
        /// The key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// Attributes that the server set of itself (1.x).
        pub attributes: Attributes = ATTRIBUTES, until V1_4,
    }
}

request!(DeriveKeyRequest => DeriveKeyResponse, DeriveKey);
