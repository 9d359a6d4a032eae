//! Keys on their way, wrapped by another key (KMIP 1.4 sections 2.1.5 and 2.1.6).

use kms_protocol::Tag;
use kms_protocol::attribute::{CryptographicParameters, CryptographicUsageMask};
use kms_protocol::enums::{
    BlockCipherMode, CryptographicAlgorithm, EncodingOption, ObjectType, PaddingMethod, WrappingMethod,
};
use kms_protocol::object::{
    KeyBlock, KeyMaterial, KeyValue, KeyWrappingData, KeyWrappingSpecification, ManagedObject, WrappingKey,
};
use kms_protocol::ttlv::{Bytes, Reader, Value as _, Writer};
use kms_protocol::{Secret, UniqueIdentifier, Version};

use super::model::{Material, Object};
use super::operations::{allowed, oaep, parameters};
use super::policy::Decision;
use super::refusal::{Reason, Refusal};
use super::{Context, Kms, attributes, lifecycle, no_key_value};
use crate::crypto::{Cipher, Direction, PublicKey, cipher, wrap};

impl Kms {
    /// Wraps an object's key as a request specifies.
    ///
    /// # Errors
    /// When the wrapping key is not to be had, may not wrap, or cannot wrap so.
    pub(super) fn wrapped(
        &self,
        object: &Object,
        content: ManagedObject,
        specification: &KeyWrappingSpecification,
        context: &mut Context<'_>,
    ) -> Result<ManagedObject, Refusal> {
        if specification.wrapping_method != WrappingMethod::Encrypt
            || specification.mac_signature_key.is_some()
        {
            return Err(Refusal::new(
                Reason::KeyWrap,
                "keys are wrapped by Wrapping Method Encrypt alone: leave MAC/Signature Key Information out",
            ));
        }
        let key = specification.encryption_key.as_ref().ok_or_else(|| {
            Refusal::new(Reason::InvalidMessage, "the Encryption Key Information is missing")
        })?;
        let kek = self.find(Some(&UniqueIdentifier::from(key.unique_identifier.as_str())), context)?;
        lifecycle::may_protect(&kek, context.now)?;
        allowed(&kek, CryptographicUsageMask::WRAP_KEY, "Wrap Key")?;
        let encoding = specification.encoding_option.unwrap_or(EncodingOption::TtlvEncoding);
        let with = attributes_named(object, &specification.attribute_names, context)?;
        let of_version = context.version;
        let mut block = into_block(content)?;
        let Some(KeyValue::Plain { material, attributes }) = &mut block.1.key_value else {
            return Err(Refusal::new(Reason::KeyWrap, "the key is wrapped already"));
        };
        attributes.0.extend(with);
        let plain = match (encoding, &*material) {
            (EncodingOption::NoEncoding, KeyMaterial::Bytes(bytes)) if attributes.0.is_empty() => {
                Secret::from(bytes.expose())
            }
            (EncodingOption::NoEncoding, _) => {
                return Err(Refusal::new(
                    Reason::KeyWrap,
                    "only Key Material that is a string of bytes, without attributes, is wrapped with No Encoding",
                ));
            }
            _ => encoded(block.1.key_value.as_ref(), of_version),
        };
        let how = parameters(&kek, key.cryptographic_parameters.clone());
        let (wrapped, iv) = self.wrap_with(&kek, &how, &plain)?;
        let is_structure = encoding == EncodingOption::NoEncoding
            && self.policies.load().compatibility.structured_wrapped_keys;
        block.1.key_value = Some(match is_structure {
            true => KeyValue::bytes(Secret::new(wrapped)),
            false => KeyValue::Wrapped(Bytes(wrapped)),
        });
        block.1.key_wrapping_data = Some(KeyWrappingData {
            wrapping_method: WrappingMethod::Encrypt,
            encryption_key: Some(WrappingKey {
                unique_identifier: kek.id.clone(),
                cryptographic_parameters: key.cryptographic_parameters.clone(),
            }),
            mac_signature_key: None,
            mac_signature: None,
            iv_counter_nonce: iv.map(Bytes),
            encoding_option: specification.encoding_option,
        });
        Ok((block.0)(block.1))
    }

    fn wrap_with(
        &self,
        kek: &Object,
        how: &CryptographicParameters,
        plain: &Secret,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), Refusal> {
        if let (ObjectType::PublicKey, Some(Material::Public(spki))) = (kek.object_type, &kek.material) {
            let how = CryptographicParameters {
                padding_method: how.padding_method.or(Some(PaddingMethod::Oaep)),
                ..how.clone()
            };
            return Ok((PublicKey::from_spki(&spki.0)?.encrypt(&oaep(&how)?, plain.expose())?, None));
        }
        let key = self.wrapping_key(kek)?;
        if let Some(padded) = key_wrap(how) {
            return Ok((wrap::wrap(&key, padded, plain)?, None));
        }
        let cipher = Cipher::new(kek.algorithm().unwrap_or(CryptographicAlgorithm::Aes), how)?;
        let iv = cipher::random(cipher.iv_bytes())?;
        let done = cipher.run(Direction::Encrypt, &key, &iv, b"", plain.expose(), None)?;
        let mut out = done.data.expose().to_vec();
        out.extend(done.tag.unwrap_or_default());
        Ok((out, Some(iv).filter(|iv| !iv.is_empty())))
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
        content: ManagedObject,
        context: &mut Context<'_>,
    ) -> Result<ManagedObject, Refusal> {
        let (make, mut block) = into_block(content)?;
        let (wrapped, data) = match (&block.key_value, &block.key_wrapping_data) {
            (Some(KeyValue::Wrapped(wrapped)), Some(data)) => (wrapped.0.as_slice(), data),
            // Some clients put what is wrapped with No Encoding into a structure.
            (Some(KeyValue::Plain { material: KeyMaterial::Bytes(wrapped), .. }), Some(data)) => {
                (wrapped.expose(), data)
            }
            _ => return Ok(make(block)),
        };
        if data.wrapping_method != WrappingMethod::Encrypt {
            return Err(Refusal::new(Reason::KeyWrap, "only Wrapping Method Encrypt is taken off here"));
        }
        let key = data.encryption_key.as_ref().ok_or_else(|| {
            Refusal::new(Reason::InvalidMessage, "the Encryption Key Information is missing")
        })?;
        let kek = self.find(Some(&UniqueIdentifier::from(key.unique_identifier.as_str())), context)?;
        lifecycle::may_process(&kek, Decision::Allow, context.now)?;
        allowed(&kek, CryptographicUsageMask::UNWRAP_KEY, "Unwrap Key")?;
        let how = parameters(&kek, key.cryptographic_parameters.clone());
        let iv = data.iv_counter_nonce.as_ref().map_or(&[][..], |iv| &iv.0);
        let plain = self.unwrap_with(&kek, &how, iv, wrapped)?;
        block.key_value = Some(match data.encoding_option.unwrap_or(EncodingOption::TtlvEncoding) {
            EncodingOption::NoEncoding => KeyValue::bytes(plain),
            _ => decoded(&plain, context.version)?,
        });
        block.key_wrapping_data = None;
        Ok(make(block))
    }

    fn unwrap_with(
        &self,
        kek: &Object,
        how: &CryptographicParameters,
        iv: &[u8],
        wrapped: &[u8],
    ) -> Result<Secret, Refusal> {
        if kek.object_type == ObjectType::PrivateKey {
            let how = CryptographicParameters {
                padding_method: how.padding_method.or(Some(PaddingMethod::Oaep)),
                ..how.clone()
            };
            return Ok(self.private_key(kek)?.decrypt(&oaep(&how)?, wrapped)?);
        }
        let key = self.wrapping_key(kek)?;
        if let Some(padded) = key_wrap(how) {
            return Ok(wrap::unwrap(&key, padded, wrapped)?);
        }
        let cipher = Cipher::new(kek.algorithm().unwrap_or(CryptographicAlgorithm::Aes), how)?;
        let (data, tag) = wrapped.split_at(wrapped.len().saturating_sub(cipher.tag_bytes()));
        let tag = cipher.is_authenticated().then_some(tag);
        Ok(cipher.run(Direction::Decrypt, &key, iv, b"", data, tag)?.data)
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

/// Whether AES key wrap is meant, and whether with padding; without a mode it is, without padding.
fn key_wrap(how: &CryptographicParameters) -> Option<bool> {
    match how.block_cipher_mode {
        None | Some(BlockCipherMode::NistKeyWrap) => Some(false),
        Some(BlockCipherMode::AesKeyWrapPadding) => Some(true),
        Some(_) => None,
    }
}

type Make = fn(KeyBlock) -> ManagedObject;

/// An object of which nothing but its key block would be lost, as that.
fn into_block(content: ManagedObject) -> Result<(Make, KeyBlock), Refusal> {
    match content {
        ManagedObject::SymmetricKey(block) => Ok((ManagedObject::SymmetricKey as Make, block)),
        ManagedObject::PublicKey(block) => Ok((ManagedObject::PublicKey as Make, block)),
        ManagedObject::PrivateKey(block) => Ok((ManagedObject::PrivateKey as Make, block)),
        other => Err(Refusal::new(
            Reason::KeyWrap,
            format!("a {} is not wrapped: only keys are", other.object_type()),
        )),
    }
}

fn attributes_named(
    object: &Object,
    names: &[String],
    context: &Context<'_>,
) -> Result<Vec<kms_protocol::attribute::Attribute>, Refusal> {
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
