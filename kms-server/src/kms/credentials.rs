//! Who a request comes from, besides what the transport proves: its Authentication (KMIP 1.4 section 6.6, 2.1 section 9.4).
//!
//! All credentials of a request have to hold. A ticket stands for its holder, and a user name with its password for the
//! principal that the configuration names. Without users in the configuration passwords prove nothing and are passed over, as
//! devices are; an attestation is never taken, since nobody here examines one.

use std::collections::HashMap;
use std::sync::PoisonError;

use kms_protocol::credential::{Credential, UsernameAndPassword};
use kms_protocol::message::RequestHeader;
use kms_protocol::{DateTime, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::refusal::{Reason, Refusal};
use super::{Caller, Kms};
use crate::crypto::password::Hashed;
use crate::crypto::{CryptoError, cipher, sha256};
use crate::limits;

/// A user of the configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// The Username that clients state.
    pub name: String,
    /// The hash of the Password.
    pub password_hash: Hashed,
    /// The principal that the user is; the name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
}

impl User {
    /// What is wrong with it behind those before it, and what to do, if anything is.
    #[must_use]
    pub fn mistake(&self, earlier: &[Self]) -> Option<(String, &'static str)> {
        let name = &self.name;
        let odd = |name: &str| {
            name.is_empty() || name.chars().count() > limits::PRINCIPAL || name.chars().any(char::is_control)
        };
        if odd(name) || self.principal.as_deref().is_some_and(odd) {
            let what = format!("the user {name:?} or its principal has no name that can stand in a log");
            return Some((what, "give it 1 to 128 characters, none of them a control character"));
        }
        if earlier.iter().any(|other| other.name == *name) {
            return Some((format!("the user {name:?} stands twice"), "remove one of them"));
        }
        None
    }
}

/// Passwords that were found right, so that not each request takes the time that a hash takes.
#[derive(Default)]
pub(super) struct Proved {
    key: Option<Zeroizing<Vec<u8>>>,
    /// By user, a hash of hash and password under a key that nobody knows.
    digests: HashMap<String, [u8; 32]>,
}

impl Kms {
    /// Who a request comes from where its credentials say so; `None` where the transport says it.
    ///
    /// # Errors
    /// When one of them does not hold.
    pub(super) fn authenticated(
        &self,
        header: &RequestHeader,
        caller: &Caller,
        now: DateTime,
    ) -> Result<Option<Caller>, Refusal> {
        let Some(authentication) = &header.authentication else { return Ok(None) };
        let has_users = !self.policies.load().users.is_empty();
        let mut user = None;
        for credential in &authentication.credentials {
            match credential {
                Credential::UsernameAndPassword(stated) if has_users => user = Some(self.user(stated)?),
                Credential::HashedPassword(_) | Credential::OneTimePassword(_) if has_users => {
                    return Err(Refusal::new(
                        Reason::Unauthenticated,
                        "only Username and Password proves a user here: of passwords nothing but a slow hash is kept",
                    ));
                }
                Credential::Attestation(_) if header.protocol_version >= Version::V1_2 => {
                    return Err(Refusal::new(
                        Reason::Attestation,
                        "nothing here asks for attestation, gives nonces or examines measurements: leave it out",
                    ));
                }
                _ => {}
            }
        }
        let holder = self.with_ticket(header, caller, now)?;
        Ok(holder.or_else(|| user.map(|principal| Caller { principal, ..caller.clone() })))
    }

    /// The principal of a user who states the right password.
    fn user(&self, stated: &UsernameAndPassword) -> Result<String, Refusal> {
        let policies = self.policies.load();
        let user = policies.users.iter().find(|user| user.name == stated.username);
        let is_right = match (user, &stated.password) {
            (Some(user), Some(password)) => self.is_right(user, password.0.expose())?,
            _ => false,
        };
        let user = user.filter(|_| is_right);
        let principal = user.map(|user| user.principal.as_ref().unwrap_or(&user.name).clone());
        principal
            .ok_or_else(|| Refusal::new(Reason::Unauthenticated, "there is no such user with this password"))
    }

    fn is_right(&self, user: &User, password: &[u8]) -> Result<bool, CryptoError> {
        let digest = {
            let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
            let key = match &proved.key {
                Some(key) => key.clone(),
                None => proved.key.insert(Zeroizing::new(cipher::random(32)?)).clone(),
            };
            let digest = sha256(&Zeroizing::new(
                [key.as_slice(), user.password_hash.as_str().as_bytes(), &[0], password].concat(),
            ));
            if proved.digests.get(&user.name) == Some(&digest) {
                return Ok(true);
            }
            digest
        };
        let is_right = user.password_hash.is_of(password);
        if is_right {
            let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
            proved.digests.insert(user.name.clone(), digest);
        }
        Ok(is_right)
    }
}
