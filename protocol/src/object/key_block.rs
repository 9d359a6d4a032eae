//! Keys in their key blocks, in the clear and wrapped (KMIP 1.4 sections 2.1.3 to 2.1.6, 2.1 section 3).

use crate::attribute::{AttributeList, CryptographicParameters};
use crate::enums::{
    CryptographicAlgorithm, EncodingOption, KeyCompressionType, KeyFormatType, WrappingMethod,
};
use crate::error::DecodeError;
use crate::ttlv::{Bytes, Content, Item, ItemType, Value, Writer};
use crate::{Secret, Tag, structure};

structure! {
    no Clone
    /// Key Block (KMIP 1.4 section 2.1.3).
    pub struct KeyBlock {
        /// How the Key Material is to be read.
        pub key_format_type: KeyFormatType = KEY_FORMAT_TYPE,
        /// How a public key on a curve is compressed.
        pub key_compression_type: Option<KeyCompressionType> = KEY_COMPRESSION_TYPE,
        /// The key; absent where the server does not hold it.
        pub key_value: Option<KeyValue> = KEY_VALUE,
        /// What the key is for.
        pub cryptographic_algorithm: Option<CryptographicAlgorithm> = CRYPTOGRAPHIC_ALGORITHM,
        /// Its length in bits.
        pub cryptographic_length: Option<i32> = CRYPTOGRAPHIC_LENGTH,
        /// How the key is wrapped, where it is.
        pub key_wrapping_data: Option<KeyWrappingData> = KEY_WRAPPING_DATA,
    }
}

/// Key Value (KMIP 1.4 section 2.1.4).
#[derive(PartialEq, Debug)]
pub enum KeyValue {
    /// The key in the clear.
    Plain {
        /// The key itself.
        material: KeyMaterial,
        /// Attributes that travel with it. Some clients cannot read any here.
        attributes: AttributeList,
    },
    /// The key encrypted by another one.
    Wrapped(Bytes),
}

impl KeyValue {
    /// A key in the clear as a Byte String, without attributes.
    #[must_use]
    pub fn bytes(material: Secret) -> Self {
        Self::Plain { material: KeyMaterial::Bytes(material), attributes: AttributeList::default() }
    }
}

/// Key Material: the bytes of a format such as PKCS#1, or the structure of a Transparent format.
#[derive(PartialEq, Debug)]
pub enum KeyMaterial {
    /// A Byte String.
    Bytes(Secret),
    /// The items of a Transparent structure (KMIP 1.4 section 2.1.7), encoded.
    Transparent(Secret),
}

impl Value for KeyValue {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        if let Content::ByteString(bytes) = item.content {
            return Ok(Self::Wrapped(Bytes(bytes.to_vec())));
        }
        let mut reader = item.structure()?;
        let material = reader.field(Tag::KEY_MATERIAL)?;
        let attributes = reader.field(Tag::ATTRIBUTES)?;
        reader.finish()?;
        Ok(Self::Plain { material, attributes })
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        match self {
            Self::Wrapped(bytes) => bytes.write(writer, tag),
            Self::Plain { material, attributes } => writer.structure(tag, |writer| {
                writer.field(Tag::KEY_MATERIAL, material);
                if !attributes.0.is_empty() {
                    writer.field(Tag::ATTRIBUTES, attributes);
                }
            }),
        }
    }
}

impl Value for KeyMaterial {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::ByteString(bytes) => Ok(Self::Bytes(Secret::from(bytes))),
            Content::Structure(reader) => Ok(Self::Transparent(Secret::from(reader.rest()))),
            _ => Err(item.wrong_type(ItemType::ByteString)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        match self {
            Self::Bytes(bytes) => bytes.write(writer, tag),
            Self::Transparent(items) => writer.structure(tag, |writer| writer.raw(items.expose())),
        }
    }
}

structure! {
    /// Key Wrapping Data (KMIP 1.4 section 2.1.5).
    pub struct KeyWrappingData {
        /// Encrypted, signed, or both.
        pub wrapping_method: WrappingMethod = WRAPPING_METHOD,
        /// The key that encrypted.
        pub encryption_key: Option<WrappingKey> = ENCRYPTION_KEY_INFORMATION,
        /// The key that signed.
        pub mac_signature_key: Option<WrappingKey> = MAC_SIGNATURE_KEY_INFORMATION,
        /// The MAC or signature.
        pub mac_signature: Option<Bytes> = MAC_SIGNATURE,
        /// The initialization vector.
        pub iv_counter_nonce: Option<Bytes> = IV_COUNTER_NONCE,
        /// Whether the Key Value structure or the bare Key Material was wrapped.
        pub encoding_option: Option<EncodingOption> = ENCODING_OPTION, since V1_1,
    }
}

structure! {
    /// Encryption Key Information and MAC/Signature Key Information (KMIP 1.4 section 2.1.5).
    pub struct WrappingKey {
        /// The wrapping key.
        pub unique_identifier: String = UNIQUE_IDENTIFIER,
        /// How it wraps.
        pub cryptographic_parameters: Option<CryptographicParameters> = CRYPTOGRAPHIC_PARAMETERS,
    }
}

structure! {
    /// Key Wrapping Specification: how a Get response is to be wrapped (KMIP 1.4 section 2.1.6).
    pub struct KeyWrappingSpecification {
        /// Encrypt, sign, or both.
        pub wrapping_method: WrappingMethod = WRAPPING_METHOD,
        /// The key to encrypt with.
        pub encryption_key: Option<WrappingKey> = ENCRYPTION_KEY_INFORMATION,
        /// The key to sign with.
        pub mac_signature_key: Option<WrappingKey> = MAC_SIGNATURE_KEY_INFORMATION,
        /// The attributes to wrap with the key.
        pub attribute_names: Vec<String> = ATTRIBUTE_NAME,
        /// Whether to wrap the Key Value structure or the bare Key Material.
        pub encoding_option: Option<EncodingOption> = ENCODING_OPTION, since V1_1,
    }
}
