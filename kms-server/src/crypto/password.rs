//! Passwords of clients as they are kept: Argon2id (RFC 9106) in the PHC string format.

use core::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordVerifier};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashed(String);

impl Hashed {
    /// Reads a hash, as in `$argon2id$v=19$m=65536,t=3,p=1$…$…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let hash =
            PasswordHash::new(text).map_err(|error| format!("it is no hash of a password: {error}"))?;
        if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() {
            return Err("it is no Argon2id hash, which begins with $argon2id$v=19$".into());
        }
        let params = Params::try_from(&hash).map_err(|error| format!("its parameters: {error}"))?;
        if params.m_cost() > limits::PASSWORD_MEMORY_KIB || params.t_cost() > limits::PASSWORD_PASSES {
            return Err(format!(
                "it takes more than {} KiB of memory or {} passes at each login",
                limits::PASSWORD_MEMORY_KIB,
                limits::PASSWORD_PASSES
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it is the hash of this password. Takes as long as its parameters say.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        PasswordHash::new(&self.0)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
    }

    /// As it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed")
    }
}

impl Serialize for Hashed {
    /// Whoever is shown a configuration need not see it.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("(not shown)")
    }
}

impl<'de> Deserialize<'de> for Hashed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
