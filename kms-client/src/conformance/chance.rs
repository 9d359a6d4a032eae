//! What of a response follows from random numbers, and how it is shown to be right all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use kms_protocol::enums::{Enumeration, HashingAlgorithm};
use kms_protocol::{Secret, encoding};
use rsa::pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePublicKey as _, EncodePrivateKey as _};
use rsa::traits::PublicKeyParts as _;

use super::{Case, Node, rules};
use crate::decrypt::{WrappedKey, decrypt_with};

/// What is known of one object.
#[derive(Clone, Debug, Default)]
struct Object {
    /// The server made its key, or it follows from one that the server made.
    is_fresh: bool,
    /// Its Cryptographic Parameters.
    parameters: Option<Node>,
    /// The key as the case registered it.
    material: Option<Vec<u8>>,
    is_rsa: bool,
}

/// What is known of the objects of a run, by Unique Identifier.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    known: BTreeMap<String, Object>,
    /// Private keys that any case of the run registers: what opens a ciphertext for the public key of another case.
    private_keys: Arc<Vec<Vec<u8>>>,
}

/// What may differ in the response of one item, because random numbers went into it.
#[derive(Debug, Default)]
pub(super) struct Chance {
    /// Its key is one that the server made.
    is_fresh: bool,
    /// Items that the operation itself makes by chance.
    randomised: &'static [&'static str],
    opened: Option<Opened>,
}

/// How an OAEP ciphertext is opened, and what has to be in it.
#[derive(Debug)]
struct Opened {
    private_key: Secret,
    hash: HashingAlgorithm,
    mask_hash: HashingAlgorithm,
    plaintext: Vec<u8>,
}

impl Objects {
    /// Nothing is known yet but the private keys that `cases` register.
    pub(super) fn of(cases: &[Case]) -> Self {
        let mut private_keys = Vec::new();
        for case in cases {
            for step in &case.steps {
                each(&step.request, &mut |node| {
                    if node.name == "PrivateKey" {
                        private_keys.extend(material(node));
                    }
                });
            }
        }
        Self { known: BTreeMap::new(), private_keys: Arc::new(private_keys) }
    }

    /// What may differ in the answer to this item. An item that names no object goes on with `placeholder`.
    pub(super) fn chance(&self, operation: &str, request: &Node, placeholder: Option<&str>) -> Chance {
        let mut objects = self.used(request, placeholder);
        let is_fresh = rules::RANDOM.contains(&operation) || objects.clone().any(|object| object.is_fresh);
        let object = objects.next();
        let stated = request.item("CryptographicParameters");
        let parameters = stated.or_else(|| object.and_then(|object| object.parameters.as_ref()));
        let is_rsa = object.is_some_and(|object| object.is_rsa);
        let randomised = rules::randomised(operation, parameters, is_rsa);
        let opened = object.filter(|_| !randomised.is_empty() && operation == "Encrypt").and_then(|object| {
            let parameters = parameters.filter(|stated| stated.text("PaddingMethod") == Some("OAEP"))?;
            // What is bound to a label is told by its length alone.
            if parameters.text("PSource").is_some_and(|label| !label.is_empty()) {
                return None;
            }
            Some(Opened {
                private_key: self.private_key(object)?,
                hash: hash(parameters, "HashingAlgorithm")?,
                mask_hash: hash(parameters, "MaskGeneratorHashingAlgorithm")?,
                plaintext: hex::decode(request.text("Data")?).ok()?,
            })
        });
        Chance { is_fresh, randomised, opened }
    }

    /// Takes note of the objects that an operation made, and of Cryptographic Parameters that it set.
    pub(super) fn note(&mut self, operation: &str, request: &Node, answer: &Node, placeholder: Option<&str>) {
        let made = rules::MAKES_KEYS.contains(&operation);
        let from_fresh = rules::MAKES_FROM_OTHERS.contains(&operation)
            && self.used(request, placeholder).any(|object| object.is_fresh);
        // What replaces an object is used as that was.
        let replaced = self.used(request, placeholder).next().filter(|_| operation.starts_with("ReKey"));
        let before = replaced.cloned().unwrap_or_default();
        let parameters = attribute(request, "CryptographicParameters");
        let material = request.items.iter().find_map(material);
        let mut is_rsa = before.is_rsa;
        each(request, &mut |node| is_rsa |= node.value == "RSA");
        for item in answer.items.iter().filter(|item| item.name.ends_with("UniqueIdentifier")) {
            let object = self.known.entry(item.value.clone()).or_default();
            object.is_fresh |= made || from_fresh;
            object.is_rsa |= is_rsa;
            if let Some(parameters) = parameters.or(before.parameters.as_ref()) {
                object.parameters = Some(parameters.clone());
            }
            if material.is_some() {
                object.material.clone_from(&material);
            }
        }
    }

    fn used<'a>(
        &'a self,
        request: &'a Node,
        placeholder: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Object> + Clone {
        let named = request.items.iter().filter(|item| item.name.ends_with("UniqueIdentifier"));
        let named = named.map(|item| item.value.as_str());
        let unnamed = placeholder.filter(|_| request.text("UniqueIdentifier").is_none());
        named.chain(unnamed).filter_map(|id| self.known.get(id))
    }

    /// The private key (PKCS#8) of a public one.
    fn private_key(&self, object: &Object) -> Option<Secret> {
        let public = object.material.as_deref()?;
        let public = rsa::PublicKey::from_public_key_der(public)
            .ok()
            .or_else(|| rsa::PublicKey::from_pkcs1_der(public).ok())?;
        let modulus = public.n().to_be_bytes_trimmed_vartime();
        let holds_modulus = |key: &&Vec<u8>| key.windows(modulus.len()).any(|window| window == &*modulus);
        let key = self.private_keys.iter().find(holds_modulus)?;
        match rsa::PrivateKey::from_pkcs1_der(key) {
            Ok(key) => key.to_pkcs8_der().ok().map(|der| Secret::from(der.as_bytes())),
            Err(_) => Some(Secret::from(key.as_slice())),
        }
    }
}

impl Chance {
    /// Whether what the server shows may stand in the place of what the case shows: `Err` says why not, in words.
    pub(super) fn permits(&self, name: &str, expected: &str, got: &str) -> Result<bool, String> {
        let by_key = self.is_fresh && rules::BY_CHANCE.contains(&name);
        let by_operation = self.randomised.contains(&name);
        if !(by_key || by_operation) || !rules::as_long(name, expected, got) {
            return Ok(false);
        }
        match &self.opened {
            Some(opened) if name == "Data" && !opened.has_been_encrypted_as(got) => {
                Err(format!("a ciphertext of {}", hex::encode(&opened.plaintext)))
            }
            _ => Ok(true),
        }
    }
}

impl Opened {
    fn has_been_encrypted_as(&self, ciphertext: &str) -> bool {
        let Ok(ciphertext) = hex::decode(ciphertext) else { return false };
        let wrapped =
            WrappedKey { private_id: String::new(), ciphertext, hash: self.hash, mask_hash: self.mask_hash };
        decrypt_with(&self.private_key, &wrapped).is_ok_and(|plaintext| plaintext.expose() == self.plaintext)
    }
}

fn each<'a>(node: &'a Node, visit: &mut impl FnMut(&'a Node)) {
    visit(node);
    node.items.iter().for_each(|item| each(item, visit));
}

/// The key of an object that a request carries in the clear.
fn material(object: &Node) -> Option<Vec<u8>> {
    let material = object.item("KeyBlock")?.item("KeyValue")?.item("KeyMaterial")?;
    hex::decode(&material.value).ok().filter(|bytes| !bytes.is_empty())
}

/// The value of the first attribute of this kind that a request sets: by name in 1.x, by tag in 2.x.
fn attribute<'a>(request: &'a Node, name: &str) -> Option<&'a Node> {
    let mut found = None;
    for item in &request.items {
        each(item, &mut |node| {
            let by_name = node.text("AttributeName").is_some_and(|text| encoding::normalized(text) == name);
            let value = if by_name { node.item("AttributeValue") } else { node.item(name) };
            found = found.or(value);
        });
    }
    found
}

/// A hash of Cryptographic Parameters; both are SHA-1 where they are not stated (1.4 section 3.6).
fn hash(parameters: &Node, name: &str) -> Option<HashingAlgorithm> {
    let Some(text) = parameters.text(name) else { return Some(HashingAlgorithm::Sha1) };
    HashingAlgorithm::ALL
        .iter()
        .copied()
        .find(|hash| hash.name().is_some_and(|known| encoding::normalized(known) == text))
}
