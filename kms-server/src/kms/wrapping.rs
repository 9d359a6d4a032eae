//! Keys on their way, wrapped by another key (KMIP 1.4 sections 2.1.5 and 2.1.6).

use kms_protocol::Tag;
use kms_protocol::attribute::{Attribute, CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, EncodingOption, LinkType, ObjectType, PaddingMethod,
    WrappingMethod,
};
use kms_protocol::object::{
    KeyBlock, KeyMaterial, KeyValue, KeyWrappingData, KeyWrappingSpecification, ManagedObject, WrappingKey,
};
use kms_protocol::ttlv::{Bytes, Reader, Value as _, Writer};
use kms_protocol::{Secret, UniqueIdentifier, Version};

use super::model::{Material, Object};
use super::operations::{allowed, coder, is_for_codes, oaep, parameters, pkcs1_decryption, scheme};
use super::policy::Decision;
use super::refusal::{Reason, Refusal};
use super::{Context, Kms, attributes, lifecycle, no_key_value};
use crate::crypto::{Cipher, Direction, PublicKey, cipher, wrap};

/// What wrapping does to a Key Value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Encrypt,
    Authenticate,
}

/// What a method does, in order; and both keys, of which it has to name those that it needs and no other.
fn steps(
    method: WrappingMethod,
    encryption_key: Option<&WrappingKey>,
    mac_signature_key: Option<&WrappingKey>,
) -> Result<&'static [Step], Refusal> {
    let steps: &[Step] = match method {
        WrappingMethod::Encrypt => &[Step::Encrypt],
        WrappingMethod::MacSign => &[Step::Authenticate],
        WrappingMethod::EncryptThenMacSign => &[Step::Encrypt, Step::Authenticate],
        WrappingMethod::MacSignThenEncrypt => &[Step::Authenticate, Step::Encrypt],
        other => {
            return Err(Refusal::new(
                Reason::KeyWrap,
                format!(
                    "the Wrapping Method {other} is not offered here: use Encrypt, MAC/sign, or both in either order"
                ),
            ));
        }
    };
    for (what, step, key) in [
        ("Encryption Key Information", Step::Encrypt, encryption_key),
        ("MAC/Signature Key Information", Step::Authenticate, mac_signature_key),
    ] {
        match (steps.contains(&step), key.is_some()) {
            (true, false) => {
                return Err(Refusal::new(Reason::InvalidMessage, format!("the {what} is missing")));
            }
            (false, true) => {
                return Err(Refusal::new(
                    Reason::KeyWrap,
                    format!("the Wrapping Method {method} has no use for {what}: leave it out"),
                ));
            }
            _ => {}
        }
    }
    Ok(steps)
}

impl Kms {
    /// Wraps an object's key as a request specifies.
    ///
    /// # Errors
    /// When a wrapping key is not to be had, may not wrap, or cannot wrap so.
    pub(super) fn wrapped(
        &self,
        object: &Object,
        mut content: ManagedObject,
        specification: &KeyWrappingSpecification,
        context: &mut Context<'_>,
    ) -> Result<ManagedObject, Refusal> {
        let (method, encoding) = (specification.wrapping_method, specification.encoding_option);
        let (encryption_key, mac_signature_key) =
            (specification.encryption_key.as_ref(), specification.mac_signature_key.as_ref());
        let steps = steps(method, encryption_key, mac_signature_key)?;
        let with = attributes_named(object, &specification.attribute_names, context)?;
        let block = block_of(&mut content)?;
        let Some(KeyValue::Plain { material, attributes }) = &mut block.key_value else {
            return Err(Refusal::new(Reason::KeyWrap, "the key is wrapped already"));
        };
        attributes.0.extend(with);
        let mut value = match (encoding, &*material) {
            (Some(EncodingOption::NoEncoding), KeyMaterial::Bytes(bytes)) if attributes.0.is_empty() => {
                Secret::from(bytes.expose())
            }
            (Some(EncodingOption::NoEncoding), _) => {
                return Err(Refusal::new(
                    Reason::KeyWrap,
                    "only Key Material that is a string of bytes, without attributes, is wrapped with No Encoding",
                ));
            }
            _ => encoded(block.key_value.as_ref(), context.version),
        };
        let mut data = KeyWrappingData {
            wrapping_method: method,
            encryption_key: encryption_key.cloned(),
            mac_signature_key: mac_signature_key.cloned(),
            mac_signature: None,
            iv_counter_nonce: None,
            encoding_option: encoding,
        };
        for step in steps {
            match (step, encryption_key, mac_signature_key) {
                (Step::Encrypt, Some(key), _) => {
                    let (encrypted, iv) = self.encrypted(key, &value, context)?;
                    value = Secret::new(encrypted);
                    data.iv_counter_nonce = iv.map(Bytes);
                }
                (Step::Authenticate, _, Some(key)) => {
                    data.mac_signature = Some(Bytes(self.mac_or_signature(key, &value, context)?));
                }
                _ => {}
            }
        }
        let is_structure = encoding == Some(EncodingOption::NoEncoding)
            && self.policies.load().compatibility.structured_wrapped_keys;
        block.key_value = Some(match is_structure {
            true => KeyValue::bytes(value),
            false => KeyValue::Wrapped(Bytes(value.expose().to_vec())),
        });
        block.key_wrapping_data = Some(data);
        Ok(content)
    }

    fn encrypted(
        &self,
        key: &WrappingKey,
        plain: &Secret,
        context: &mut Context<'_>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), Refusal> {
        let kek = self.find(Some(&UniqueIdentifier::from(key.unique_identifier.as_str())), context)?;
        lifecycle::may_protect(&kek, context.now)?;
        allowed(&kek, CryptographicUsageMask::WRAP_KEY, "Wrap Key")?;
        let how = parameters(&kek, key.cryptographic_parameters.clone());
        if let (ObjectType::PublicKey, Some(Material::Public(spki))) = (kek.object_type, &kek.material) {
            let public = PublicKey::from_spki(&spki.0)?;
            let encrypted = match how.padding_method {
                Some(PaddingMethod::Pkcs1V1_5) => public.encrypt_pkcs1(plain.expose())?,
                _ => public.encrypt(&oaep(&padded(how))?, plain.expose())?,
            };
            return Ok((encrypted, None));
        }
        let key = self.wrapping_key(&kek)?;
        if let Some(padded) = key_wrap(&kek, &how)? {
            return Ok((wrap::wrap(&key, padded, plain)?, None));
        }
        let cipher = Cipher::new(kek.algorithm().unwrap_or(CryptographicAlgorithm::Aes), &how)?;
        let iv = cipher::random(cipher.iv_bytes())?;
        let done = cipher.run(Direction::Encrypt, &key, &iv, b"", plain.expose(), None)?;
        let mut out = done.data.expose().to_vec();
        out.extend(done.tag.unwrap_or_default());
        Ok((out, Some(iv).filter(|iv| !iv.is_empty())))
    }

    /// The MAC of a Key Value by a symmetric key, or its signature by a private one.
    fn mac_or_signature(
        &self,
        key: &WrappingKey,
        value: &Secret,
        context: &mut Context<'_>,
    ) -> Result<Vec<u8>, Refusal> {
        let object = self.find(Some(&UniqueIdentifier::from(key.unique_identifier.as_str())), context)?;
        lifecycle::may_protect(&object, context.now)?;
        let how = key.cryptographic_parameters.clone();
        if object.object_type == ObjectType::PrivateKey {
            allowed(&object, CryptographicUsageMask::SIGN, "Sign")?;
            let scheme = scheme(&object, how)?;
            let mut message = scheme.start()?;
            message.update(value.expose())?;
            return Ok(self.private_key(&object)?.sign(&scheme, &message.finish())?);
        }
        is_for_codes(&object)?;
        allowed(&object, CryptographicUsageMask::MAC_GENERATE, "MAC Generate")?;
        let mut coder = coder(self, &object, how)?;
        coder.update(value.expose());
        Ok(coder.finish())
    }

    /// The same as [`Kms::unwrapped`], and what is no key as it is.
    ///
    /// # Errors
    /// As there.
    pub(super) fn unwrapped_if(
        &self,
        content: ManagedObject,
        context: &mut Context<'_>,
    ) -> Result<ManagedObject, Refusal> {
        match content.key_block().and_then(|block| block.key_wrapping_data.as_ref()) {
            Some(_) => self.unwrapped(content, context),
            None => Ok(content),
        }
    }

    /// Takes the wrapping off an object that came wrapped by a key of the caller's.
    ///
    /// # Errors
    /// As [`Kms::wrapped`]'s; [`Reason::Cryptographic`] for what the key did not wrap.
    pub(super) fn unwrapped(
        &self,
        mut content: ManagedObject,
        context: &mut Context<'_>,
    ) -> Result<ManagedObject, Refusal> {
        let block = block_of(&mut content)?;
        let Some(data) = block.key_wrapping_data.take() else { return Ok(content) };
        let (encryption_key, mac_signature_key) =
            (data.encryption_key.as_ref(), data.mac_signature_key.as_ref());
        let steps = steps(data.wrapping_method, encryption_key, mac_signature_key)?;
        let is_encrypted =
            steps.contains(&Step::Encrypt) || matches!(block.key_value, Some(KeyValue::Wrapped(_)));
        let mut value = match &block.key_value {
            Some(KeyValue::Wrapped(wrapped)) => Secret::from(wrapped.0.as_slice()),
            // Some clients put what is wrapped with No Encoding into a structure.
            Some(KeyValue::Plain { material: KeyMaterial::Bytes(wrapped), .. }) if is_encrypted => {
                Secret::from(wrapped.expose())
            }
            // A Key Value that is authenticated alone may be there for all to read.
            plain @ Some(_) => encoded(plain.as_ref(), context.version),
            None => return Err(no_key_value()),
        };
        for step in steps.iter().rev() {
            match (step, encryption_key, mac_signature_key) {
                (Step::Encrypt, Some(key), _) => {
                    let iv = data.iv_counter_nonce.as_ref().map_or(&[][..], |iv| &iv.0);
                    value = self.decrypted(key, iv, &value, context)?;
                }
                (Step::Authenticate, _, Some(key)) => {
                    let stated = data.mac_signature.as_ref().ok_or_else(|| {
                        Refusal::new(Reason::InvalidMessage, "the MAC/Signature is missing")
                    })?;
                    self.check_authentic(key, &value, &stated.0, context)?;
                }
                _ => {}
            }
        }
        let is_encoded = data.encoding_option != Some(EncodingOption::NoEncoding);
        if is_encrypted {
            let plain = if is_encoded { decoded(&value, context.version)? } else { KeyValue::bytes(value) };
            block.key_value = Some(plain);
        }
        Ok(content)
    }

    fn decrypted(
        &self,
        key: &WrappingKey,
        iv: &[u8],
        wrapped: &Secret,
        context: &mut Context<'_>,
    ) -> Result<Secret, Refusal> {
        let mut kek = self.find(Some(&UniqueIdentifier::from(key.unique_identifier.as_str())), context)?;
        // What a public key encrypted its private half decrypts.
        if let (ObjectType::PublicKey, Some(private)) =
            (kek.object_type, kek.linked(LinkType::PrivateKeyLink).map(UniqueIdentifier::from))
        {
            kek = self.find(Some(&private), context)?;
        }
        lifecycle::may_process(&kek, Decision::Allow, context.now)?;
        allowed(&kek, CryptographicUsageMask::UNWRAP_KEY, "Unwrap Key")?;
        let how = parameters(&kek, key.cryptographic_parameters.clone());
        if kek.object_type == ObjectType::PrivateKey {
            let private = self.private_key(&kek)?;
            return Ok(match how.padding_method {
                Some(PaddingMethod::Pkcs1V1_5) => {
                    pkcs1_decryption(self)?;
                    private.decrypt_pkcs1(wrapped.expose())?
                }
                _ => private.decrypt(&oaep(&padded(how))?, wrapped.expose())?,
            });
        }
        let key = self.wrapping_key(&kek)?;
        let wrapped = wrapped.expose();
        if let Some(padded) = key_wrap(&kek, &how)? {
            return Ok(wrap::unwrap(&key, padded, wrapped)?);
        }
        let cipher = Cipher::new(kek.algorithm().unwrap_or(CryptographicAlgorithm::Aes), &how)?;
        let (data, tag) = wrapped.split_at(wrapped.len().saturating_sub(cipher.tag_bytes()));
        let tag = cipher.is_authenticated().then_some(tag);
        Ok(cipher.run(Direction::Decrypt, &key, iv, b"", data, tag)?.data)
    }

    /// Whether a MAC or signature is that of a Key Value. A signature's key is named by either half.
    fn check_authentic(
        &self,
        key: &WrappingKey,
        value: &Secret,
        stated: &[u8],
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let mut object = self.find(Some(&UniqueIdentifier::from(key.unique_identifier.as_str())), context)?;
        if let (ObjectType::PrivateKey, Some(public)) =
            (object.object_type, object.linked(LinkType::PublicKeyLink).map(UniqueIdentifier::from))
        {
            object = self.find(Some(&public), context)?;
        }
        lifecycle::may_process(&object, Decision::Allow, context.now)?;
        let how = key.cryptographic_parameters.clone();
        let is_authentic = match (object.object_type, &object.material) {
            (ObjectType::PublicKey, Some(Material::Public(spki))) => {
                allowed(&object, CryptographicUsageMask::VERIFY, "Verify")?;
                let scheme = scheme(&object, how)?;
                let mut message = scheme.start()?;
                message.update(value.expose())?;
                PublicKey::from_spki(&spki.0)?.verify(&scheme, &message.finish(), stated)?
            }
            _ => {
                is_for_codes(&object)?;
                allowed(&object, CryptographicUsageMask::MAC_VERIFY, "MAC Verify")?;
                let mut coder = coder(self, &object, how)?;
                coder.update(value.expose());
                coder.proves(stated)
            }
        };
        if is_authentic {
            return Ok(());
        }
        Err(Refusal::new(Reason::Cryptographic, "the MAC/Signature is not that of the Key Value"))
    }

    fn wrapping_key(&self, kek: &Object) -> Result<Secret, Refusal> {
        if kek.object_type != ObjectType::SymmetricKey {
            return Err(Refusal::new(
                Reason::WrongObjectType,
                format!("a {} does not wrap keys: a Symmetric Key or a Public Key does", kek.object_type),
            ));
        }
        kek.material.as_ref().ok_or_else(no_key_value)?;
        self.key_bytes(kek)
    }
}

/// OAEP, where a key's own parameters name no padding.
fn padded(how: CryptographicParameters) -> CryptographicParameters {
    CryptographicParameters { padding_method: how.padding_method.or(Some(PaddingMethod::Oaep)), ..how }
}

/// Whether AES key wrap is meant, and whether with padding; without a mode it is, without padding.
fn key_wrap(kek: &Object, how: &CryptographicParameters) -> Result<Option<bool>, Refusal> {
    let algorithm = how.cryptographic_algorithm.or(kek.algorithm()).unwrap_or(CryptographicAlgorithm::Aes);
    let is_aes = algorithm == CryptographicAlgorithm::Aes;
    match how.block_cipher_mode {
        None if is_aes => Ok(Some(false)),
        Some(BlockCipherMode::NistKeyWrap) if is_aes => Ok(Some(false)),
        Some(BlockCipherMode::AesKeyWrapPadding) if is_aes => Ok(Some(true)),
        Some(mode @ (BlockCipherMode::NistKeyWrap | BlockCipherMode::AesKeyWrapPadding)) => {
            Err(Refusal::new(
                Reason::UnsupportedParameters,
                format!("{mode} takes an AES key, and this is one of {algorithm}"),
            ))
        }
        _ => Ok(None),
    }
}

/// The key block of an object of which nothing else is to be wrapped.
fn block_of(content: &mut ManagedObject) -> Result<&mut KeyBlock, Refusal> {
    match content {
        ManagedObject::SymmetricKey(block)
        | ManagedObject::PublicKey(block)
        | ManagedObject::PrivateKey(block) => Ok(block),
        ManagedObject::SecretData(secret) => Ok(&mut secret.key_block),
        ManagedObject::SplitKey(part) => Ok(&mut part.key_block),
        other => Err(Refusal::new(
            Reason::KeyWrap,
            format!("a {} is not wrapped: keys, their parts and Secret Data are", other.object_type()),
        )),
    }
}

fn attributes_named(
    object: &Object,
    names: &[String],
    context: &Context<'_>,
) -> Result<Vec<Attribute>, Refusal> {
    let all = attributes::all(object, context.now);
    let mut found = Vec::new();
    for name in names {
        let before = found.len();
        found.extend(all.iter().filter(|one| one.kind().name() == name).cloned());
        if found.len() == before {
            return Err(Refusal::new(
                Reason::NotFound,
                format!("the object has no attribute {name:?} to wrap"),
            ));
        }
    }
    Ok(found)
}

fn encoded(value: Option<&KeyValue>, version: Version) -> Secret {
    let mut writer = Writer::new(version);
    if let Some(value) = value {
        value.write(&mut writer, Tag::KEY_VALUE);
    }
    Secret::new(writer.into_bytes())
}

fn decoded(plain: &Secret, version: Version) -> Result<KeyValue, Refusal> {
    let mut reader = Reader::new(plain.expose(), version);
    let item = reader.take(Tag::KEY_VALUE)?.ok_or_else(|| reader.missing(Tag::KEY_VALUE))?;
    Ok(KeyValue::read(item)?)
}
