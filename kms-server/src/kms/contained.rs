//! Private keys in PKCS#12 containers, with the certificates that lead from their public halves (KMIP 1.4 section 4.11, 2.1
//! section 6.1.20).

use kms_protocol::attribute::{Attribute, Attributes};
use kms_protocol::enums::{KeyFormatType, LinkType, ObjectType, State};
use kms_protocol::object::{KeyBlock, KeyMaterial, KeyValue, ManagedObject};
use kms_protocol::{Secret, UniqueIdentifier};

use super::authority::x509;
use super::content::Taken;
use super::keep::Origin;
use super::model::{Material, Object};
use super::refusal::{Reason, Refusal};
use super::{Context, Kms, lifecycle, no_key_value};
use crate::crypto::limits::CHAIN;
use crate::crypto::{PrivateKey, Sealing, container};

/// The name of a key that has no PKCS#12 Friendly Name (section 3.45).
const ALIAS: &str = "alias";

/// What was in a container beside its private key.
pub(super) struct Beside {
    /// The key's public half, `SubjectPublicKeyInfo`.
    public: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl Kms {
    /// A private key with its chain of certificates as a PKCS#12 container.
    ///
    /// # Errors
    /// [`Reason::BadPassword`] unless one PKCS#12 Password Link leads to Secret Data that is Active.
    pub(super) fn contained(
        &self,
        object: &Object,
        context: &mut Context<'_>,
    ) -> Result<ManagedObject, Refusal> {
        let Some(Material::Sealed(sealed)) = &object.material else { return Err(no_key_value()) };
        let password = self.password(&object.attributes, context)?;
        let private = self.unseal(&object.id, &sealed.0)?;
        let certificates = self.chain(object, context)?;
        let name = friendly_name(&object.attributes).unwrap_or(ALIAS);
        let bytes = container::write(name, &private, &certificates, &password)?;
        Ok(ManagedObject::PrivateKey(KeyBlock {
            key_format_type: KeyFormatType::Pkcs12,
            key_compression_type: None,
            key_value: Some(KeyValue::bytes(Secret::new(bytes))),
            cryptographic_algorithm: object.algorithm(),
            cryptographic_length: object.length(),
            key_wrapping_data: None,
        }))
    }

    /// Takes a private key out of the container in which it came, and anything else as it is; and what is beside it. What the
    /// container calls the key joins the attributes.
    ///
    /// # Errors
    /// As [`Kms::contained`]'s, and those of the container.
    pub(super) fn opened(
        &self,
        content: ManagedObject,
        attributes: &mut Vec<Attribute>,
        context: &mut Context<'_>,
    ) -> Result<(ManagedObject, Option<Beside>), Refusal> {
        let ManagedObject::PrivateKey(block) = content else { return Ok((content, None)) };
        let bytes = match (&block.key_value, &block.key_wrapping_data) {
            (Some(KeyValue::Plain { material: KeyMaterial::Bytes(bytes), .. }), None)
                if block.key_format_type == KeyFormatType::Pkcs12 =>
            {
                bytes
            }
            _ => return Ok((ManagedObject::PrivateKey(block), None)),
        };
        let password = self.password(attributes, context)?;
        let inside = container::open(bytes.expose(), &password, friendly_name(attributes))?;
        let is_named = friendly_name(attributes).is_some();
        if let Some(name) = inside.friendly_name.filter(|_| !is_named) {
            attributes.push(Attribute::Pkcs12FriendlyName(name));
        }
        let public = match PrivateKey::from_pkcs8(&inside.private) {
            Ok(key) => Some(key.public()?),
            Err(_) => None,
        };
        let beside = public.map(|public| Beside { public, certificates: inside.certificates });
        let key_value = Some(KeyValue::bytes(inside.private));
        let block = KeyBlock { key_format_type: KeyFormatType::Pkcs8, key_value, ..block };
        Ok((ManagedObject::PrivateKey(block), beside))
    }

    /// The objects that come with a private key out of its container: its public half and its certificates, each linked to the
    /// next, so that they are in the container again when it is asked for. A key that links to a public half already brings none.
    ///
    /// # Errors
    /// Those of certificates that are none.
    pub(super) fn companions(
        &self,
        private: &mut Object,
        beside: Option<Beside>,
        sealing: &Sealing<'_>,
        context: &Context<'_>,
    ) -> Result<Vec<Object>, Refusal> {
        let Some(Beside { public, certificates }) = beside else { return Ok(Vec::new()) };
        if certificates.is_empty() || private.linked(LinkType::PublicKeyLink).is_some() {
            return Ok(Vec::new());
        }
        let public = ManagedObject::PublicKey(KeyBlock {
            key_format_type: KeyFormatType::X509,
            key_compression_type: None,
            key_value: Some(KeyValue::bytes(Secret::new(public))),
            cryptographic_algorithm: None,
            cryptographic_length: None,
            key_wrapping_data: None,
        });
        let dates: Vec<Attribute> =
            private.activation_date().map(Attribute::ActivationDate).into_iter().collect();
        let mut made: Vec<Object> = Vec::new();
        for content in [public].into_iter().chain(certificates.into_iter().map(x509)) {
            let object_type = content.object_type();
            let taken = Taken::new(content)?;
            let dates = Attributes::from(dates.clone());
            let mut object = self.drawn_up(object_type, &dates, &taken, Origin::Elsewhere, context)?;
            taken.fill(&mut object, sealing)?;
            match made.last_mut() {
                Some(before) if before.object_type == ObjectType::PublicKey => {
                    before.set_link(LinkType::Pkcs12CertificateLink, &object.id);
                    before.set_link(LinkType::CertificateLink, &object.id);
                    object.set_link(LinkType::PublicKeyLink, &before.id);
                }
                Some(before) => before.set_link(LinkType::CertificateLink, &object.id),
                None => {
                    private.set_link(LinkType::PublicKeyLink, &object.id);
                    object.set_link(LinkType::PrivateKeyLink, &private.id);
                }
            }
            made.push(object);
        }
        Ok(made)
    }

    /// The password that a key's PKCS#12 Password Link leads to.
    fn password(&self, attributes: &[Attribute], context: &mut Context<'_>) -> Result<Secret, Refusal> {
        let bad = |what: &str| Refusal::new(Reason::BadPassword, what.to_owned());
        let id = one_link(attributes, LinkType::Pkcs12PasswordLink)
            .map_err(|_| bad("the key has several PKCS#12 Password Links: leave one"))?
            .ok_or_else(|| {
                bad("the key has no PKCS#12 Password Link: register the password as Secret Data and link it")
            })?;
        let secret = self.find(Some(&UniqueIdentifier::from(id)), context)?;
        if secret.object_type != ObjectType::SecretData {
            return Err(bad("the PKCS#12 Password Link does not lead to Secret Data"));
        }
        if lifecycle::state_at(&secret, context.now) != State::Active {
            return Err(bad("the Secret Data of the PKCS#12 Password Link is not Active"));
        }
        self.key_bytes(&secret)
    }

    /// The certificates of a private key: that of its public half, and each one's issuer.
    fn chain(&self, private: &Object, context: &mut Context<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
        let several = |_| {
            Refusal::new(
                Reason::InvalidField,
                "the key has more than one chain of certificates: leave one Certificate Link in each object",
            )
        };
        let mut certificates = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        let Some(public) = one_link(&private.attributes, LinkType::PublicKeyLink).map_err(several)? else {
            return Ok(certificates);
        };
        let mut at = self.find(Some(&UniqueIdentifier::from(public)), context)?;
        while certificates.len() < CHAIN {
            let own = one_link(&at.attributes, LinkType::Pkcs12CertificateLink).map_err(several)?;
            let next = match own {
                Some(id) => Some(id),
                None => one_link(&at.attributes, LinkType::CertificateLink).map_err(several)?,
            };
            let Some(id) = next.filter(|id| !seen.iter().any(|before| before == id)) else { break };
            seen.push(id.to_owned());
            at = self.find(Some(&UniqueIdentifier::from(id)), context)?;
            let ManagedObject::Certificate(certificate) = self.content(&at, None)? else { break };
            certificates.push(certificate.value.0);
        }
        Ok(certificates)
    }
}

fn friendly_name(attributes: &[Attribute]) -> Option<&str> {
    attributes.iter().find_map(|attribute| match attribute {
        Attribute::Pkcs12FriendlyName(name) => Some(name.as_str()),
        _ => None,
    })
}

/// There are several.
struct Several;

/// What the one Link of a type leads to.
fn one_link(attributes: &[Attribute], link_type: LinkType) -> Result<Option<&str>, Several> {
    let mut found = attributes.iter().filter_map(|attribute| match attribute {
        Attribute::Link(link) if link.link_type == link_type => link.target.as_text(),
        _ => None,
    });
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(Several),
    }
}
