//! Certify and Re-certify (KMIP 1.4 sections 4.7 and 4.8), by an authority of the caller's own.

use kms_protocol::attribute::{Attribute, AttributeKind, Attributes};
use kms_protocol::enums::{
    CertificateRequestType, LinkType, ObjectType, UniqueIdentifierPlaceholder as Placeholder,
};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{
    CertificateRequestValue, CertifyRequest, CertifyResponse, RecertifyRequest, RecertifyResponse,
};

use super::encrypt::of_type;
use crate::crypto::issuer::{Subject, issue};
use crate::kms::authority::x509;
use crate::kms::content::Taken;
use crate::kms::keep::{Origin, complete};
use crate::kms::model::{Material, Object};
use crate::kms::new_object::{new_id, requested};
use crate::kms::recorded::By;
use crate::kms::rotation::{self, Dates};
use crate::kms::{Context, Event, Kms, Reason, Refusal, lifecycle, no_key_value};
use crate::store::Batch;

pub(in crate::kms) fn certify(
    kms: &Kms,
    request: CertifyRequest,
    context: &mut Context<'_>,
) -> Result<CertifyResponse, Refusal> {
    kms.may_create(context)?;
    let subject = kms.find(request.unique_identifier.as_ref(), context)?;
    let stated = pkcs10(request.certificate_request_type, request.certificate_request)?;
    let (public, stated) = match kms.content(&subject, None)? {
        ManagedObject::CertificateRequest(own) => (None, Some(stated.unwrap_or(own.value.0))),
        _ => {
            of_type(&subject, ObjectType::PublicKey, "is certified")?;
            (Some(subject), stated)
        }
    };
    let sealing = kms.keyring.sealing();
    let authority = kms.authority(&sealing, context)?;
    let der = {
        let subject = subject_of(public.as_ref(), stated.as_deref(), &request.attributes)?;
        issue(&authority.certificate, &authority.key, &subject, context.now)?
    };
    let taken = Taken::new(x509(der))?;
    let mut object =
        kms.drawn_up(ObjectType::Certificate, &request.attributes, &taken, Origin::Here, context)?;
    object.remove(AttributeKind::RandomNumberGenerator);
    object.set_link(LinkType::CertificateLink, &authority.id);
    let mut batch = Batch::new();
    if let Some(mut public) = public.filter(|public| public.owner == object.owner) {
        object.set_link(LinkType::PublicKeyLink, &public.id);
        public.set_link(LinkType::CertificateLink, &object.id);
        public.set(Attribute::LastChangeDate(context.now));
        batch = batch.put(public.put());
    }
    taken.fill(&mut object, &sealing)?;
    batch.puts.extend(authority.puts);
    kms.commit(batch.put(object.put()), vec![Event::made(&object)], By::Client(context))?;
    drop(sealing);
    context.made.note(Placeholder::Certify, &object.id);
    Ok(CertifyResponse { unique_identifier: object.id, attributes: Attributes::default() })
}

pub(in crate::kms) fn recertify(
    kms: &Kms,
    request: RecertifyRequest,
    context: &mut Context<'_>,
) -> Result<RecertifyResponse, Refusal> {
    let old = kms.find(request.unique_identifier.as_ref(), context)?;
    of_type(&old, ObjectType::Certificate, "is certified again")?;
    rotation::may_replace(&old, context.now)?;
    let stated = pkcs10(request.certificate_request_type, request.certificate_request)?;
    let public = old.linked(LinkType::PublicKeyLink).map(|id| kms.fetch(id)).transpose()?.flatten();
    let before = Attributes::from(old.attributes.clone());
    let sealing = kms.keyring.sealing();
    let authority = kms.authority(&sealing, context)?;
    let der = {
        let subject = subject_of(public.as_ref(), stated.as_deref(), &before)?;
        issue(&authority.certificate, &authority.key, &subject, context.now)?
    };
    let taken = Taken::new(x509(der))?;
    let wished = requested(&Attributes::default(), &request.attributes)?;
    let mut fresh = Object::new(new_id(context.now), &old.owner, ObjectType::Certificate, wished);
    fresh.attributes.extend(taken.attributes.iter().cloned());
    let dates = request.offset.map_or(Dates::Copied, |offset| Dates::Offset(i64::from(offset.0)));
    let mut planned = rotation::replace(old, fresh, dates, context.now);
    complete(&mut planned.new, &taken, Origin::Elsewhere, context.now);
    lifecycle::check_dates(&planned.new)?;
    kms.check_constraints(&planned.new, None, context.now)?;
    planned.new.set_link(LinkType::CertificateLink, &authority.id);
    let mut batch = Batch::new().put(planned.old.put());
    if let Some(mut public) = public {
        planned.new.set_link(LinkType::PublicKeyLink, &public.id);
        public.set_link(LinkType::CertificateLink, &planned.new.id);
        public.set(Attribute::LastChangeDate(context.now));
        batch = batch.put(public.put());
    }
    taken.fill(&mut planned.new, &sealing)?;
    batch.puts.extend(authority.puts);
    let events = [planned.ended, vec![Event::made(&planned.new)]].concat();
    kms.commit(batch.put(planned.new.put()), events, By::Client(context))?;
    drop(sealing);
    context.made.note(Placeholder::Recertify, &planned.new.id);
    Ok(RecertifyResponse { unique_identifier: planned.new.id, attributes: Attributes::default() })
}

/// What is certified: a request, or a public key under a name that its attributes give it.
fn subject_of<'a>(
    public: Option<&'a Object>,
    request: Option<&'a [u8]>,
    attributes: &'a Attributes,
) -> Result<Subject<'a>, Refusal> {
    let spki = match public.map(|public| &public.material) {
        Some(Some(Material::Public(spki))) => Some(spki.0.as_slice()),
        Some(_) => return Err(no_key_value()),
        None => None,
    };
    if let Some(request) = request {
        return Ok(Subject::Request(request, spki));
    }
    let stated = attributes.list.iter().find_map(|attribute| match attribute {
        Attribute::CertificateSubjectCn(name) => Some(name.as_str()),
        _ => None,
    });
    let named =
        |public: &'a Object| public.names().next().map_or(public.id.as_str(), |name| name.value.as_str());
    match (spki, public) {
        (Some(spki), Some(public)) => Ok(Subject::Key(spki, stated.unwrap_or_else(|| named(public)))),
        _ => Err(Refusal::new(
            Reason::MissingData,
            "there is no public key to certify any more: state a Certificate Request",
        )),
    }
}

/// A PKCS#10 request in DER.
fn pkcs10(
    kind: Option<CertificateRequestType>,
    value: Option<CertificateRequestValue>,
) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(CertificateRequestValue(bytes)) = value else { return Ok(None) };
    match kind {
        None | Some(CertificateRequestType::Pkcs10) => Ok(Some(bytes.0)),
        Some(other) => Err(Refusal::new(
            Reason::InvalidField,
            format!("a certificate request of type {other} is not read here: send PKCS#10 in DER"),
        )),
    }
}
