//! The authority that certifies a client's keys: one for each owner, made when it is first needed, and an object of that
//! owner's like any other. Nobody else's certificates are signed by it.

use kms_protocol::attribute::{Attribute, CryptographicUsageMask, Link, Name};
use kms_protocol::enums::{CertificateType, LinkType, ObjectType};
use kms_protocol::object::{Certificate, KeyBlock, KeyValue, ManagedObject};
use kms_protocol::ttlv::Bytes;
use kms_protocol::{DateTime, Secret};

use super::content::Taken;
use super::keep::complete;
use super::model::{Material, Object};
use super::new_object::new_id;
use super::refusal::Refusal;
use super::{Context, Kms, no_key_value};
use crate::crypto::{KeySpec, Sealing, generate, issuer};
use crate::store::Put;

/// The Name of an owner's authority's private key.
const KEY_NAME: &str = "certificate authority key";
/// The Name of its certificate.
const CERTIFICATE_NAME: &str = "certificate authority";

/// An authority, and what has to be written where it is new.
pub(super) struct Authority {
    /// The Unique Identifier of its certificate.
    pub id: String,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS#8.
    pub key: Secret,
    /// Its objects, where they are not stored yet.
    pub puts: Vec<Put>,
}

impl Kms {
    /// The authority of the caller.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub(super) fn authority(
        &self,
        sealing: &Sealing<'_>,
        context: &Context<'_>,
    ) -> Result<Authority, Refusal> {
        let owner = &context.caller.principal;
        let (Some(key), Some(certificate)) =
            (self.named(owner, KEY_NAME)?, self.named(owner, CERTIFICATE_NAME)?)
        else {
            return new_authority(owner, sealing, context.now);
        };
        let ManagedObject::Certificate(content) = self.content(&certificate, None)? else {
            return Err(no_key_value());
        };
        let Some(Material::Sealed(sealed)) = &key.material else { return Err(no_key_value()) };
        Ok(Authority {
            id: certificate.id,
            certificate: content.value.0,
            key: self.unseal(&key.id, &sealed.0)?,
            puts: Vec::new(),
        })
    }
}

fn new_authority(owner: &str, sealing: &Sealing<'_>, now: DateTime) -> Result<Authority, Refusal> {
    let pair = generate(KeySpec::P256)?;
    let der = issuer::authority(&format!("{owner} certificate authority"), &pair.private, now)?;
    let mut key = Object::new(
        new_id(now),
        owner,
        ObjectType::PrivateKey,
        vec![
            Attribute::Name(Name::text(KEY_NAME)),
            Attribute::CryptographicUsageMask(CryptographicUsageMask::CERTIFICATE_SIGN),
            Attribute::ActivationDate(now),
            Attribute::Extractable(false),
        ],
    );
    // It has no public half to be rotated with.
    key.is_left_alone = true;
    let mut certificate = Object::new(
        new_id(now),
        owner,
        ObjectType::Certificate,
        vec![
            Attribute::Name(Name::text(CERTIFICATE_NAME)),
            Attribute::ActivationDate(now),
            Attribute::Link(Link::to(LinkType::PrivateKeyLink, key.id.clone())),
        ],
    );
    key.set_link(LinkType::CertificateLink, &certificate.id);
    let secret = crate::crypto::format::copy(&pair.private);
    for (object, content) in [(&mut key, private_key(pair.private)), (&mut certificate, x509(der.clone()))] {
        let taken = Taken::new(content)?;
        object.attributes.extend(taken.attributes.iter().cloned());
        complete(object, &taken, super::keep::Origin::Here, now);
        taken.fill(object, sealing)?;
    }
    Ok(Authority {
        id: certificate.id.clone(),
        certificate: der,
        key: secret,
        puts: vec![key.put(), certificate.put()],
    })
}

/// A certificate as an object.
pub(super) fn x509(der: Vec<u8>) -> ManagedObject {
    ManagedObject::Certificate(Certificate { certificate_type: CertificateType::X509, value: Bytes(der) })
}

fn private_key(pkcs8: Secret) -> ManagedObject {
    ManagedObject::PrivateKey(KeyBlock {
        key_format_type: kms_protocol::enums::KeyFormatType::Pkcs8,
        key_compression_type: None,
        key_value: Some(KeyValue::bytes(pkcs8)),
        cryptographic_algorithm: None,
        cryptographic_length: None,
        key_wrapping_data: None,
    })
}
