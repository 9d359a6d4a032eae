//! Validate (KMIP 1.4 section 4.24, 2.1 section 6.1.57).

use kms_protocol::UniqueIdentifier;
use kms_protocol::enums::{CertificateType, LinkType, ObjectType, State, ValidityIndicator};
use kms_protocol::object::ManagedObject;
use kms_protocol::operation::{ValidateRequest, ValidateResponse};

use crate::crypto::chain::{self, Finding};
use crate::kms::{Context, Kms, Reason, Refusal, lifecycle};
use crate::limits;

/// What a request names, and what those objects lead to.
#[derive(Default)]
struct Chain {
    /// The certificates, DER.
    der: Vec<Vec<u8>>,
    /// What the objects link to as the certificates of their issuers.
    links: Vec<Option<String>>,
    /// Why it cannot be valid, or cannot be told, whatever stands in the certificates.
    finding: Option<Finding>,
}

pub(in crate::kms) fn validate(
    kms: &Kms,
    request: ValidateRequest,
    context: &mut Context<'_>,
) -> Result<ValidateResponse, Refusal> {
    let stated = request.certificates.len() + request.unique_identifiers.len();
    if stated == 0 || stated > limits::CHAIN {
        return Err(Refusal::new(
            Reason::InvalidField,
            format!("a chain has 1 to {} certificates, and {stated} are stated", limits::CHAIN),
        ));
    }
    let mut chain = Chain::default();
    for certificate in request.certificates {
        chain.take(certificate, None);
    }
    for id in &request.unique_identifiers {
        kms.add(&mut chain, id, context)?;
    }
    // What a certificate here links to as its issuer's belongs to its chain, stated or not.
    while chain.der.len() < limits::CHAIN
        && let Some(at) = chain::without_issuer(&chain.der)
        && let Some(link) = chain.links.get_mut(at).and_then(Option::take)
    {
        if kms.add(&mut chain, &UniqueIdentifier::Text(link), context).is_err() {
            break;
        }
    }
    let at = request.validity_date.unwrap_or(context.now);
    let finding = chain.finding.unwrap_or_else(|| chain::validate(&chain.der, at));
    let validity_indicator = match &finding {
        Finding::Valid => ValidityIndicator::Valid,
        Finding::Invalid(_) => ValidityIndicator::Invalid,
        Finding::Unknown(_) => ValidityIndicator::Unknown,
    };
    if let Finding::Invalid(why) | Finding::Unknown(why) = finding {
        context.say(format!("{validity_indicator}: {why}"));
    }
    Ok(ValidateResponse { validity_indicator })
}

impl Chain {
    fn take(&mut self, certificate: kms_protocol::object::Certificate, link: Option<String>) {
        if certificate.certificate_type == CertificateType::X509 {
            self.der.push(certificate.value.0);
            self.links.push(link);
        } else if self.finding.is_none() {
            self.finding = Some(Finding::Unknown("only X.509 certificates are examined here"));
        }
    }
}

impl Kms {
    /// Adds a certificate that is an object here.
    fn add(
        &self,
        chain: &mut Chain,
        id: &UniqueIdentifier,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let object = self.find(Some(id), context)?;
        if object.object_type != ObjectType::Certificate {
            return Err(Refusal::new(
                Reason::WrongObjectType,
                format!("{} is a {}, and a chain consists of certificates", object.id, object.object_type),
            ));
        }
        if matches!(lifecycle::state_at(&object, context.now), State::Compromised | State::Deactivated) {
            chain.finding = Some(Finding::Invalid("one of them is revoked"));
        }
        let link = object.linked(LinkType::CertificateLink).map(str::to_owned);
        if let ManagedObject::Certificate(certificate) = self.content(&object, None)? {
            chain.take(certificate, link);
        }
        Ok(())
    }
}
