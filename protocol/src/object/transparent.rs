//! Key Material as a structure of numbers (KMIP 1.4 section 2.1.7, 2.1 section 3.7).

use crate::enums::{KeyFormatType, RecommendedCurve};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::object::KeyMaterial;
use crate::ttlv::{BigInteger, Bytes, Item, Reader, Value, Writer};
use crate::{Secret, Tag, Version, structure};

structure! {
    no Clone
    /// Transparent Symmetric Key.
    pub struct TransparentSymmetricKey {
        /// The key.
        pub key: Secret = KEY,
    }
}

structure! {
    no Clone
    /// Transparent DSA Private Key.
    pub struct TransparentDsaPrivateKey {
        /// The prime field's order.
        pub p: BigInteger = P,
        /// The subgroup's order.
        pub q: BigInteger = Q,
        /// The subgroup's generator.
        pub g: BigInteger = G,
        /// The private key.
        pub x: BigInteger = X,
    }
}

structure! {
    no Clone
    /// Transparent DSA Public Key.
    pub struct TransparentDsaPublicKey {
        /// The prime field's order.
        pub p: BigInteger = P,
        /// The subgroup's order.
        pub q: BigInteger = Q,
        /// The subgroup's generator.
        pub g: BigInteger = G,
        /// The public key.
        pub y: BigInteger = Y,
    }
}

structure! {
    no Clone
    /// Transparent RSA Private Key: the modulus with its private exponent, its primes, or the primes' exponents.
    pub struct TransparentRsaPrivateKey {
        /// n.
        pub modulus: BigInteger = MODULUS,
        /// d.
        pub private_exponent: Option<BigInteger> = PRIVATE_EXPONENT,
        /// e.
        pub public_exponent: Option<BigInteger> = PUBLIC_EXPONENT,
        /// The first prime.
        pub p: Option<BigInteger> = P,
        /// The second prime.
        pub q: Option<BigInteger> = Q,
        /// d modulo p - 1.
        pub prime_exponent_p: Option<BigInteger> = PRIME_EXPONENT_P,
        /// d modulo q - 1.
        pub prime_exponent_q: Option<BigInteger> = PRIME_EXPONENT_Q,
        /// The inverse of q modulo p.
        pub crt_coefficient: Option<BigInteger> = CRT_COEFFICIENT,
    }
}

structure! {
    no Clone
    /// Transparent RSA Public Key.
    pub struct TransparentRsaPublicKey {
        /// n.
        pub modulus: BigInteger = MODULUS,
        /// e.
        pub public_exponent: BigInteger = PUBLIC_EXPONENT,
    }
}

structure! {
    no Clone
    /// Transparent DH Private Key.
    pub struct TransparentDhPrivateKey {
        /// The prime field's order.
        pub p: BigInteger = P,
        /// The subgroup's order.
        pub q: Option<BigInteger> = Q,
        /// The generator.
        pub g: BigInteger = G,
        /// The cofactor.
        pub j: Option<BigInteger> = J,
        /// The private key.
        pub x: BigInteger = X,
    }
}

structure! {
    no Clone
    /// Transparent DH Public Key.
    pub struct TransparentDhPublicKey {
        /// The prime field's order.
        pub p: BigInteger = P,
        /// The subgroup's order.
        pub q: Option<BigInteger> = Q,
        /// The generator.
        pub g: BigInteger = G,
        /// The cofactor.
        pub j: Option<BigInteger> = J,
        /// The public key.
        pub y: BigInteger = Y,
    }
}

structure! {
    no Clone
    /// Transparent EC Private Key, and those of ECDSA, ECDH and ECMQV that it replaces.
    pub struct TransparentEcPrivateKey {
        /// The curve.
        pub recommended_curve: RecommendedCurve = RECOMMENDED_CURVE,
        /// The private key.
        pub d: BigInteger = D,
    }
}

structure! {
    no Clone
    /// Transparent EC Public Key, and those of ECDSA, ECDH and ECMQV that it replaces.
    pub struct TransparentEcPublicKey {
        /// The curve.
        pub recommended_curve: RecommendedCurve = RECOMMENDED_CURVE,
        /// The point.
        pub q_string: Bytes = Q_STRING,
    }
}

/// Transparent Key Material, read as its Key Format Type says.
#[derive(PartialEq, Debug)]
pub enum TransparentKey {
    /// A Transparent Symmetric Key.
    Symmetric(TransparentSymmetricKey),
    /// A Transparent DSA Private Key.
    DsaPrivate(TransparentDsaPrivateKey),
    /// A Transparent DSA Public Key.
    DsaPublic(TransparentDsaPublicKey),
    /// A Transparent RSA Private Key.
    RsaPrivate(TransparentRsaPrivateKey),
    /// A Transparent RSA Public Key.
    RsaPublic(TransparentRsaPublicKey),
    /// A Transparent DH Private Key.
    DhPrivate(TransparentDhPrivateKey),
    /// A Transparent DH Public Key.
    DhPublic(TransparentDhPublicKey),
    /// A Transparent EC, ECDSA, ECDH or ECMQV Private Key.
    EcPrivate(TransparentEcPrivateKey),
    /// A Transparent EC, ECDSA, ECDH or ECMQV Public Key.
    EcPublic(TransparentEcPublicKey),
}

impl TransparentKey {
    /// Reads the items of a Transparent structure (see [`KeyMaterial::Transparent`]).
    ///
    /// # Errors
    /// When `format` is no Transparent format, or the items are not what it asks for.
    pub fn read(format: KeyFormatType, items: &Secret) -> Result<Self, DecodeError> {
        // The structure's rules are the same in every version.
        let mut writer = Writer::new(Version::V2_1);
        writer.structure(Tag::KEY_MATERIAL, |writer| writer.raw(items.expose()));
        let bytes = Secret::new(writer.into_bytes());
        let mut reader = Reader::new(bytes.expose(), Version::V2_1);
        let missing = reader.missing(Tag::KEY_MATERIAL);
        Self::read_item(format, reader.next_item()?.ok_or(missing)?)
    }

    fn read_item(format: KeyFormatType, item: Item<'_>) -> Result<Self, DecodeError> {
        match format {
            KeyFormatType::TransparentSymmetricKey => Value::read(item).map(Self::Symmetric),
            KeyFormatType::TransparentDsaPrivateKey => Value::read(item).map(Self::DsaPrivate),
            KeyFormatType::TransparentDsaPublicKey => Value::read(item).map(Self::DsaPublic),
            KeyFormatType::TransparentRsaPrivateKey => Value::read(item).map(Self::RsaPrivate),
            KeyFormatType::TransparentRsaPublicKey => Value::read(item).map(Self::RsaPublic),
            KeyFormatType::TransparentDhPrivateKey => Value::read(item).map(Self::DhPrivate),
            KeyFormatType::TransparentDhPublicKey => Value::read(item).map(Self::DhPublic),
            KeyFormatType::TransparentEcPrivateKey
            | KeyFormatType::TransparentEcdsaPrivateKey
            | KeyFormatType::TransparentEcdhPrivateKey
            | KeyFormatType::TransparentEcmqvPrivateKey => Value::read(item).map(Self::EcPrivate),
            KeyFormatType::TransparentEcPublicKey
            | KeyFormatType::TransparentEcdsaPublicKey
            | KeyFormatType::TransparentEcdhPublicKey
            | KeyFormatType::TransparentEcmqvPublicKey => Value::read(item).map(Self::EcPublic),
            _ => Err(item.error(DecodeErrorKind::InvalidValue("the Key Format Type is no Transparent one"))),
        }
    }

    /// The structure as Key Material.
    #[must_use]
    pub fn to_material(&self) -> KeyMaterial {
        let mut writer = Writer::new(Version::V2_1);
        match self {
            Self::Symmetric(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::DsaPrivate(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::DsaPublic(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::RsaPrivate(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::RsaPublic(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::DhPrivate(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::DhPublic(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::EcPrivate(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
            Self::EcPublic(key) => key.write(&mut writer, Tag::KEY_MATERIAL),
        }
        let whole = Secret::new(writer.into_bytes());
        KeyMaterial::Transparent(Secret::from(whole.expose().get(crate::frame::HEADER..).unwrap_or_default()))
    }
}
