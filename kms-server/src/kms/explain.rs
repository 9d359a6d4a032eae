//! For developers: what would have worked where something was refused. It looks past every rule of access, and no client is
//! ever told: only the journal of a development server is.

use kms_protocol::attribute::CryptographicUsageMask;
use kms_protocol::enums::{HashingAlgorithm, LinkType, ObjectType, Operation, State};
use kms_protocol::message::RequestItem;
use kms_protocol::operation::DecryptRequest;
use kms_protocol::ttlv::Value as _;
use kms_protocol::{DateTime, Tag};
use wildmatch::WildMatch;

use super::model::Object;
use super::{Caller, KeyQuery, Kms, lifecycle};
use crate::crypto::{Oaep, PrivateKey};
use crate::limits;

/// The hashes that clients use, for OAEP and for its mask.
const TRIED: [HashingAlgorithm; 4] =
    [HashingAlgorithm::Sha1, HashingAlgorithm::Sha256, HashingAlgorithm::Sha384, HashingAlgorithm::Sha512];

impl Kms {
    /// What would have worked instead of `item`, which was refused; `None` where nobody knows.
    #[must_use]
    pub fn explain(&self, item: &RequestItem<'_>, caller: &Caller, now: DateTime) -> Option<String> {
        let asked = stated_id(item)?;
        let Some(object) = self.fetch(&asked).ok()? else { return self.named_so(&asked, caller, now) };
        if object.owner != caller.principal {
            let owner = &object.owner;
            return Some(format!(
                "the object exists and belongs to {owner:?}; the caller is {:?}",
                caller.principal
            ));
        }
        if let Some(other) = wrong_half(item.operation, &object) {
            return Some(other);
        }
        if let Some(state) = in_the_way(item.operation, lifecycle::state_at(&object, now)) {
            return Some(state.to_owned());
        }
        if item.operation != Operation::Decrypt {
            return None;
        }
        if !object.usage().contains(CryptographicUsageMask::DECRYPT) {
            return Some("a key made with Decrypt in its Cryptographic Usage Mask".to_owned());
        }
        self.what_decrypts(&object, &DecryptRequest::read(item.payload.clone()).ok()?)
    }

    /// Whether what was taken for an identifier is a Name.
    fn named_so(&self, name: &str, caller: &Caller, now: DateTime) -> Option<String> {
        let query = KeyQuery {
            owner: Some(caller.principal.clone()),
            name: Some(WildMatch::new(name)),
            limit: 1,
            ..KeyQuery::default()
        };
        let found = self.keys(&query, now).ok()?.keys.into_iter().next()?;
        Some(format!("{name:?} is a Name; the Unique Identifier is {}", found.id))
    }

    /// How the ciphertext decrypts: with which hashes, with the key of which generation.
    fn what_decrypts(&self, object: &Object, request: &DecryptRequest) -> Option<String> {
        let ciphertext = &request.data.as_ref()?.0;
        let stated = request.cryptographic_parameters.clone().unwrap_or_default();
        let label = stated.p_source.as_ref().map_or(&[][..], |label| &label.0);
        for generation in self.generations(object) {
            let Ok(key) = self.private_key(&generation) else { continue };
            let Some((hash, mask)) = hashes_that_fit(&key, ciphertext, label) else { continue };
            let mut text = format!("this ciphertext decrypts with hash {hash} and mask hash {mask}");
            if generation.id != object.id {
                text.push_str(&format!(
                    ", and with the private key {}, another generation of the pair",
                    generation.id
                ));
            }
            let left = |stated: Option<HashingAlgorithm>| {
                stated.map_or_else(|| "left it at SHA-1".to_owned(), |stated| format!("said {stated}"))
            };
            text.push_str(&format!(
                "; the request {} for the hash and {} for the mask's",
                left(stated.hashing_algorithm),
                left(stated.mask_generator_hashing_algorithm)
            ));
            return Some(text);
        }
        Some("no generation of this pair decrypts the ciphertext, with any hashes: it is another pair's, or damaged".into())
    }

    /// A private key and those before and after it.
    fn generations(&self, object: &Object) -> Vec<Object> {
        let mut all = vec![object.clone()];
        for link in [LinkType::ReplacedObjectLink, LinkType::ReplacementObjectLink] {
            let mut at = object.clone();
            while all.len() < limits::GENERATIONS_TRIED
                && let Some(next) = at.linked(link).and_then(|id| self.fetch(id).ok().flatten())
            {
                all.push(next.clone());
                at = next;
            }
        }
        all
    }
}

fn stated_id(item: &RequestItem<'_>) -> Option<String> {
    let mut payload = item.payload.clone().structure().ok()?;
    let tag = match item.operation {
        Operation::RekeyKeyPair => Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER,
        _ => Tag::UNIQUE_IDENTIFIER,
    };
    payload.field::<Option<String>>(tag).ok()?
}

fn wrong_half(operation: Operation, object: &Object) -> Option<String> {
    let needed = match operation {
        Operation::Decrypt | Operation::RekeyKeyPair | Operation::Sign => ObjectType::PrivateKey,
        Operation::Encrypt | Operation::SignatureVerify => ObjectType::PublicKey,
        _ => return None,
    };
    if object.object_type == needed || object.object_type == ObjectType::SymmetricKey {
        return None;
    }
    Some(format!("the {needed} of the pair: {}", object.other_half()?))
}

/// What a state asks for before the operation can be done.
fn in_the_way(operation: Operation, state: State) -> Option<&'static str> {
    let uses = matches!(operation, Operation::Decrypt | Operation::Encrypt | Operation::Sign);
    match (operation, state) {
        (_, State::PreActive) if uses => Some("Activate before this: the key is Pre-Active"),
        (Operation::Encrypt | Operation::Sign, State::Deactivated | State::Compromised) => {
            Some("the newest generation of the pair: this one is out of use and protects nothing new")
        }
        (Operation::Decrypt, State::Deactivated) => {
            Some("a policy with decrypt-when-deactivated: the key is Deactivated and its policy forbids it")
        }
        (Operation::Destroy, State::Active) => Some("Revoke before this: the key is Active"),
        (_, State::Destroyed | State::DestroyedCompromised) => {
            Some("`kms-server ctl key undelete` within the policy's deletion window: the key is Destroyed")
        }
        _ => None,
    }
}

fn hashes_that_fit(
    key: &PrivateKey,
    ciphertext: &[u8],
    label: &[u8],
) -> Option<(HashingAlgorithm, HashingAlgorithm)> {
    let mut pairs = TRIED.into_iter().flat_map(|hash| TRIED.into_iter().map(move |mask| (hash, mask)));
    pairs.find(|(hash, mask)| {
        Oaep::new(Some(*hash), Some(*mask), label).is_ok_and(|oaep| key.decrypt(&oaep, ciphertext).is_ok())
    })
}
