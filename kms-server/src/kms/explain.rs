//! For developers: what would have worked where something was refused. It looks past every rule of access, and no client is
//! ever told: only the journal of a development server is.

mod parameters;

use kms_protocol::attribute::{Attribute, CryptographicUsageMask};
use kms_protocol::enums::{EncodingOption, HashingAlgorithm, LinkType, ObjectType, Operation, State};
use kms_protocol::message::RequestItem;
use kms_protocol::operation::{
    DecryptRequest, GetRequest, MacRequest, MacVerifyRequest, SignRequest, SignatureVerifyRequest,
};
use kms_protocol::ttlv::{Content, Value};
use kms_protocol::{DateTime, Tag};
use wildmatch::WildMatch;

use super::model::Object;
use super::new_object::new_id;
use super::notes::{is_object, no_identifier};
use super::{Caller, KeyQuery, Kms, lifecycle};
use crate::crypto::{Cipher, Direction, Oaep, PrivateKey};
use crate::limits;

/// The hashes that clients use, for OAEP and for its mask.
const TRIED: [HashingAlgorithm; 4] =
    [HashingAlgorithm::Sha1, HashingAlgorithm::Sha256, HashingAlgorithm::Sha384, HashingAlgorithm::Sha512];

impl Kms {
    /// What would have worked instead of `item`, which was refused; `None` where nobody knows.
    #[must_use]
    pub fn explain(&self, item: &RequestItem<'_>, caller: &Caller, now: DateTime) -> Option<String> {
        let asked = stated_ids(item);
        if item.operation == Operation::Import {
            return self.what_is_imported(asked.first()?, caller, now);
        }
        // Derive Key takes several; what is in the way of one is in the way.
        let mut objects = Vec::new();
        for id in &asked {
            let Some(object) = self.fetch(id).ok()? else { return self.named_so(id, caller, now) };
            if let Some(what) = self.unusable(item.operation, &object, caller, now) {
                return Some(what);
            }
            objects.push(object);
        }
        let object = objects.first()?;
        match item.operation {
            Operation::Decrypt => self.what_decrypts(object, &read(item)?),
            Operation::Encrypt => parameters::encrypts(object, &read(item)?),
            Operation::Sign => {
                parameters::signs(object, &read::<SignRequest>(item)?.cryptographic_parameters)
            }
            Operation::SignatureVerify => {
                parameters::signs(object, &read::<SignatureVerifyRequest>(item)?.cryptographic_parameters)
            }
            Operation::Mac => {
                parameters::authenticates(object, &read::<MacRequest>(item)?.cryptographic_parameters)
            }
            Operation::MacVerify => {
                parameters::authenticates(object, &read::<MacVerifyRequest>(item)?.cryptographic_parameters)
            }
            Operation::Get => self.what_is_served(object, &read(item)?, caller, now),
            _ => None,
        }
    }

    /// What keeps an object from being worked with, whatever else the request says.
    fn unusable(
        &self,
        operation: Operation,
        object: &Object,
        caller: &Caller,
        now: DateTime,
    ) -> Option<String> {
        if object.owner != caller.principal {
            let owner = &object.owner;
            return Some(format!(
                "the object exists and belongs to {owner:?}; the caller is {:?}",
                caller.principal
            ));
        }
        if object.archive_date().is_some() && operation != Operation::Recover {
            return Some("Recover before this: the object is in the archive".to_owned());
        }
        let half = wrong_half(operation, object);
        let half =
            half.or_else(|| in_the_way(operation, lifecycle::state_at(object, now)).map(str::to_owned));
        half.or_else(|| out_of_time(operation, object, now)).or_else(|| unmasked(operation, object)).or_else(
            || {
                let left = object.usage_limits().filter(|_| is_protecting(operation))?;
                let count = left.count.unwrap_or(left.total);
                (count <= 0)
                    .then(|| "a new key, as by Re-key: this one's Usage Limits are used up".to_owned())
            },
        )
    }

    /// How an object comes here whose identifier is taken, or none of this server's.
    fn what_is_imported(&self, id: &str, caller: &Caller, now: DateTime) -> Option<String> {
        if !is_object(id) {
            return Some(format!("an identifier such as {}: {}", new_id(now), no_identifier(id)));
        }
        let there = self.fetch(id).ok()??;
        let (what, owner) = (there.object_type, &there.owner);
        Some(match *owner == caller.principal {
            true => format!("Replace Existing True: it replaces the {what} of this identifier"),
            false => {
                format!("another identifier, such as {}: {owner:?} has a {what} of this one", new_id(now))
            }
        })
    }

    /// How an object is served that was asked for in a form, or wrapped by a key, in which it is not.
    fn what_is_served(
        &self,
        object: &Object,
        request: &GetRequest,
        caller: &Caller,
        now: DateTime,
    ) -> Option<String> {
        if object.attributes.contains(&Attribute::Extractable(false)) {
            return Some(
                "an operation that uses the key here: it was made with Extractable False".to_owned(),
            );
        }
        let Some(specification) = &request.key_wrapping_specification else {
            let (asked, own) = (request.key_format_type?, object.default_format());
            return (asked != own).then(|| format!("Key Format Type {own}; the request said {asked}"));
        };
        let Some(key) = &specification.encryption_key else {
            return Some(
                "Encryption Key Information with the Unique Identifier of a wrapping key".to_owned(),
            );
        };
        let id = &key.unique_identifier;
        let Some(wrapping) = self.fetch(id).ok()? else { return self.named_so(id, caller, now) };
        if let Some(what) = self.unusable(Operation::Get, &wrapping, caller, now) {
            return Some(format!("another wrapping key: {what}"));
        }
        // A key that wraps protects what it wraps, as one that encrypts does.
        if let Some(what) = in_the_way(Operation::Encrypt, lifecycle::state_at(&wrapping, now)) {
            return Some(format!("for the wrapping key {id}: {what}"));
        }
        if let Some(what) = made_without(&wrapping, CryptographicUsageMask::WRAP_KEY, "Wrap Key") {
            return Some(format!("for the wrapping key {id}: {what}"));
        }
        (specification.encoding_option == Some(EncodingOption::NoEncoding)).then(|| {
            "Encoding Option TTLV Encoding: No Encoding wraps the bytes of a key alone, without attributes".to_owned()
        })
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
        if object.object_type == ObjectType::SymmetricKey {
            return self.what_opens(object, request);
        }
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

    /// How what a symmetric key sealed is opened: with the key of which generation, and where its tag is.
    fn what_opens(&self, object: &Object, request: &DecryptRequest) -> Option<String> {
        let stated = super::operations::parameters(object, request.cryptographic_parameters.clone());
        let cipher = Cipher::new(object.algorithm()?, &stated).ok()?;
        let length = cipher.iv_bytes();
        let iv = match &request.iv_counter_nonce {
            Some(iv) => iv.0.as_slice(),
            None if length > 0 => {
                return Some(format!("an IV/Counter/Nonce of {length} bytes, as it was encrypted with"));
            }
            None => &[],
        };
        // Without a tag anything decrypts to something.
        if !cipher.is_authenticated() {
            return None;
        }
        let data = &request.data.as_ref()?.0;
        let additional = request.additional_data.as_ref().map_or(&[][..], |data| &data.0);
        let behind = data.split_at_checked(data.len().checked_sub(cipher.tag_bytes())?)?;
        let apart = request.tag.as_ref().map(|tag| (data.as_slice(), tag.0.as_slice()));
        for generation in self.generations(object) {
            let Ok(key) = self.key_bytes(&generation) else { continue };
            let tags = [apart.map(|(data, tag)| (data, tag, "")), Some((behind.0, behind.1, BEHIND))];
            let ways = tags.into_iter().flatten().flat_map(|(data, tag, place)| {
                [(additional, ""), (&[][..], UNBOUND)]
                    .map(|(additional, bound)| (data, tag, place, additional, bound))
            });
            let opens = |(data, tag, _, additional, _): &(&[u8], &[u8], _, &[u8], _)| {
                cipher.run(Direction::Decrypt, &key, iv, additional, data, Some(tag)).is_ok()
            };
            let Some((_, _, place, _, bound)) = ways.into_iter().find(opens) else { continue };
            let whose = match generation.id == object.id {
                true => String::new(),
                false => format!(" with the key {}, another generation of it", generation.id),
            };
            return Some(format!("this ciphertext decrypts{whose}{place}{bound}"));
        }
        Some("no generation of this key opens the ciphertext: it is another key's, or data, tag, IV or additional data are others".to_owned())
    }

    /// A key and those before and after it.
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

/// Where the tag stood when a ciphertext could be opened.
const BEHIND: &str = " with the last bytes of Data as Authenticated Encryption Tag";
/// What was left out when it could be.
const UNBOUND: &str = " without Authenticated Encryption Additional Data";

fn read<'a, R: Value>(item: &RequestItem<'a>) -> Option<R> {
    R::read(item.payload.clone()).ok()
}

/// The identifiers that a payload itself states, in their order.
fn stated_ids(item: &RequestItem<'_>) -> Vec<String> {
    let tag = match item.operation {
        Operation::RekeyKeyPair => Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER,
        _ => Tag::UNIQUE_IDENTIFIER,
    };
    let mut ids = Vec::new();
    let Ok(mut payload) = item.payload.clone().structure() else { return ids };
    while let Ok(Some(inner)) = payload.next_item() {
        if let (true, Content::TextString(text)) = (inner.tag == tag, inner.content) {
            ids.push(text.to_owned());
        }
    }
    ids
}

fn wrong_half(operation: Operation, object: &Object) -> Option<String> {
    let of_codes = matches!(object.object_type, ObjectType::SymmetricKey | ObjectType::SecretData);
    let needed = match operation {
        Operation::Decrypt | Operation::RekeyKeyPair | Operation::Sign => ObjectType::PrivateKey,
        Operation::Encrypt | Operation::SignatureVerify => ObjectType::PublicKey,
        Operation::Mac | Operation::MacVerify if !of_codes => {
            return Some(format!("a Symmetric Key or Secret Data: this is a {}", object.object_type));
        }
        Operation::Rekey if object.object_type == ObjectType::PrivateKey => {
            return Some("Re-key Key Pair: Re-key is for Symmetric Keys".to_owned());
        }
        _ => return None,
    };
    let works = match operation {
        Operation::Decrypt | Operation::Encrypt => object.object_type == ObjectType::SymmetricKey,
        _ => false,
    };
    if object.object_type == needed || works {
        return None;
    }
    match object.other_half() {
        Some(half) => Some(format!("the {needed} of the pair: {half}")),
        None if object.object_type == ObjectType::SymmetricKey && operation == Operation::Sign => {
            Some("MAC, which is for Symmetric Keys, or a Private Key".to_owned())
        }
        None => Some(format!("a {needed}: this is a {}", object.object_type)),
    }
}

/// Whether it protects something new, which a key out of use does not.
fn is_protecting(operation: Operation) -> bool {
    matches!(operation, Operation::Encrypt | Operation::Sign | Operation::Mac)
}

/// What a state asks for before the operation can be done.
fn in_the_way(operation: Operation, state: State) -> Option<&'static str> {
    let processes = matches!(
        operation,
        Operation::Decrypt | Operation::SignatureVerify | Operation::MacVerify | Operation::DeriveKey
    );
    match (operation, state) {
        (_, State::PreActive) if processes || is_protecting(operation) => {
            Some("Activate before this: the key is Pre-Active")
        }
        (_, State::Deactivated | State::Compromised) if is_protecting(operation) => {
            Some("the newest generation of the pair: this one is out of use and protects nothing new")
        }
        (Operation::Decrypt | Operation::DeriveKey, State::Deactivated) => {
            Some("a policy with decrypt-when-deactivated: the key is Deactivated and its policy forbids it")
        }
        (Operation::Destroy, State::Active) => Some("Revoke before this: the key is Active"),
        (_, State::Destroyed | State::DestroyedCompromised) => {
            Some("`kms-server ctl key undelete` within the policy's deletion window: the key is Destroyed")
        }
        _ => None,
    }
}

/// Whether a date of the key keeps it from the operation.
fn out_of_time(operation: Operation, object: &Object, now: DateTime) -> Option<String> {
    let ended = object.protect_stop_date().filter(|date| is_protecting(operation) && *date <= now);
    if let Some(date) = ended {
        return Some(format!("a newer key: the Protect Stop Date of this one was {}", text(date)));
    }
    let processes = matches!(operation, Operation::Decrypt | Operation::DeriveKey);
    let begins = object.process_start_date().filter(|date| processes && *date > now)?;
    Some(format!("the same from {} on, the key's Process Start Date", text(begins)))
}

fn text(date: DateTime) -> String {
    jiff::Timestamp::from_second(date.0).map_or_else(|_| date.0.to_string(), |date| date.to_string())
}

/// Whether the key was made for something else.
fn unmasked(operation: Operation, object: &Object) -> Option<String> {
    use CryptographicUsageMask as Mask;
    let (needed, name) = match operation {
        Operation::Encrypt => (Mask::ENCRYPT, "Encrypt"),
        Operation::Decrypt => (Mask::DECRYPT, "Decrypt"),
        Operation::Sign => (Mask::SIGN, "Sign"),
        Operation::SignatureVerify => (Mask::VERIFY, "Verify"),
        Operation::Mac => (Mask::MAC_GENERATE, "MAC Generate"),
        Operation::MacVerify => (Mask::MAC_VERIFY, "MAC Verify"),
        Operation::DeriveKey => (Mask::DERIVE_KEY, "Derive Key"),
        _ => return None,
    };
    made_without(object, needed, name)
}

fn made_without(object: &Object, needed: CryptographicUsageMask, name: &str) -> Option<String> {
    let usage = object.usage();
    if usage.contains(needed) {
        return None;
    }
    let has = CryptographicUsageMask::TABLE.iter().filter(|(bit, _)| usage.0 & bit == *bit);
    let has: Vec<_> = has.map(|(_, name)| *name).collect();
    let has = if has.is_empty() { "nothing".to_owned() } else { has.join(", ") };
    Some(format!("a key made with {name} in its Cryptographic Usage Mask; this one's says {has}"))
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
