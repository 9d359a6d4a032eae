//! Whether certificates make up a valid chain (RFC 5280 section 6): signatures, dates, names, who may sign, and whatever
//! else is critical.

use kms_protocol::DateTime;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::asn1_rs::ToDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AlgorithmIdentifier;

/// What is found out about a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// From one end to a root that signed itself, everything is in order.
    Valid,
    /// Something is wrong: what.
    Invalid(&'static str),
    /// It cannot be told: why.
    Unknown(&'static str),
}

/// How far the signatures of a chain could be followed.
enum Path<'a, 'c> {
    /// From the end entity up to a root.
    Whole(Vec<&'a X509Certificate<'c>>),
    /// Not to the end.
    Broken(Finding),
}

/// Reads a certificate in DER; `None` when it is none.
fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], parsed)) => Some(parsed),
        _ => None,
    }
}

/// Whether `certificates` (DER, in any order) are one chain, valid at a date up to its root. A root is what signed itself:
/// whether to trust it is for those who ask.
#[must_use]
pub fn validate(certificates: &[Vec<u8>], at: DateTime) -> Finding {
    let mut distinct: Vec<&Vec<u8>> = certificates.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let Some(parsed) = distinct.iter().map(|der| parse(der)).collect::<Option<Vec<_>>>() else {
        return Finding::Invalid("one of them is not an X.509 certificate");
    };
    let own = parsed.iter().map(|certificate| check_one(certificate, at));
    let own: Vec<Finding> = own.filter(|finding| *finding != Finding::Valid).collect();
    let path = follow(&parsed);
    let chain = match &path {
        Path::Whole(path) if path.len() == parsed.len() => check_authorities(path),
        Path::Whole(_) => Finding::Invalid("not all of them belong to one chain"),
        Path::Broken(finding) => finding.clone(),
    };
    // What is wrong for sure outweighs what cannot be told.
    let mut all = own.into_iter().chain([chain]);
    let mut unknown = None;
    for finding in &mut all {
        match finding {
            Finding::Invalid(_) => return finding,
            Finding::Unknown(_) => unknown = unknown.or(Some(finding)),
            Finding::Valid => {}
        }
    }
    unknown.unwrap_or(Finding::Valid)
}

/// Whether the issuer of one of them is missing among `certificates`: of which, by its place.
#[must_use]
pub fn without_issuer(certificates: &[Vec<u8>]) -> Option<usize> {
    let parsed: Vec<_> = certificates.iter().map(|der| parse(der)).collect();
    let subjects: Vec<&[u8]> = parsed.iter().flatten().map(|one| one.subject().as_raw()).collect();
    parsed.iter().position(|one| one.as_ref().is_some_and(|one| !subjects.contains(&one.issuer().as_raw())))
}

/// What stands in one certificate alone.
fn check_one(certificate: &X509Certificate<'_>, at: DateTime) -> Finding {
    let validity = certificate.validity();
    if at.0 < validity.not_before.timestamp() {
        return Finding::Invalid("one of them is not valid yet");
    }
    if at.0 > validity.not_after.timestamp() {
        return Finding::Invalid("one of them has expired");
    }
    if certificate.signature_algorithm != certificate.tbs_certificate.signature {
        return Finding::Invalid("one of them names two signature algorithms");
    }
    for extension in certificate.extensions().iter().filter(|extension| extension.critical) {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectAlternativeName(_) => {}
            ParsedExtension::NameConstraints(_) => {
                return Finding::Unknown("name constraints are not examined here");
            }
            _ => return Finding::Invalid("one of them has a critical extension that is not known here"),
        }
    }
    Finding::Valid
}

/// Follows the signatures from the end entity upwards.
fn follow<'a, 'c>(certificates: &'a [X509Certificate<'c>]) -> Path<'a, 'c> {
    let signs_another = |one: &X509Certificate<'c>| {
        certificates.iter().any(|other| {
            !std::ptr::eq(one, other)
                && other.issuer().as_raw() == one.subject().as_raw()
                && other.subject().as_raw() != one.subject().as_raw()
        })
    };
    let ends: Vec<_> = certificates.iter().filter(|one| !signs_another(one)).collect();
    let [end] = ends.as_slice() else {
        return Path::Broken(Finding::Invalid("they are not one chain: it has one end"));
    };
    let mut path = vec![*end];
    let mut current = *end;
    loop {
        let is_root = current.issuer().as_raw() == current.subject().as_raw();
        if is_root && signed(current, current) == Finding::Valid {
            return Path::Whole(path);
        }
        let named = |one: &&X509Certificate<'c>| {
            one.subject().as_raw() == current.issuer().as_raw()
                && !path.iter().any(|above| std::ptr::eq(*above, *one))
        };
        let issuers: Vec<_> = certificates.iter().filter(named).collect();
        let mut unknown = None;
        let mut found = None;
        for issuer in &issuers {
            match signed(current, issuer) {
                Finding::Valid => found = found.or(Some(*issuer)),
                Finding::Unknown(why) => unknown = Some(why),
                Finding::Invalid(_) => {}
            }
        }
        match (found, unknown) {
            (Some(issuer), _) => {
                path.push(issuer);
                current = issuer;
            }
            (None, Some(why)) => return Path::Broken(Finding::Unknown(why)),
            (None, None) if issuers.is_empty() && !is_root => {
                return Path::Broken(Finding::Unknown("the issuer of one of them is missing"));
            }
            (None, None) => return Path::Broken(Finding::Invalid("a signature is not its issuer's")),
        }
    }
}

/// Whether those who signed may sign: `path` goes from the end entity to the root.
fn check_authorities(path: &[&X509Certificate<'_>]) -> Finding {
    let mut below = 0_u32;
    for authority in path.iter().skip(1) {
        let Ok(Some(constraints)) = authority.basic_constraints() else {
            return Finding::Invalid("one of them was signed by what is not an authority");
        };
        if !constraints.value.ca {
            return Finding::Invalid("one of them was signed by what is not an authority");
        }
        match authority.key_usage() {
            Ok(None) => {}
            Ok(Some(usage)) if usage.value.key_cert_sign() => {}
            _ => return Finding::Invalid("the key of one of them may not sign certificates"),
        }
        if constraints.value.path_len_constraint.is_some_and(|most| below > most) {
            return Finding::Invalid("more authorities stand below one of them than it allows");
        }
        // The end entity does not count, nor does an authority that signed itself.
        if authority.issuer().as_raw() != authority.subject().as_raw() {
            below += 1;
        }
    }
    Finding::Valid
}

/// Whether `issuer`'s key signed a certificate.
fn signed(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Finding {
    let (Some(signature), Some(key)) =
        (identifier(&certificate.signature_algorithm), identifier(&issuer.public_key().algorithm))
    else {
        return Finding::Unknown("the signature algorithm of one of them is not known here");
    };
    let provider = aws_lc_rs::default_provider();
    let mut known = provider.signature_verification_algorithms.all.iter();
    let fits = |one: &&&dyn SignatureVerificationAlgorithm| {
        one.signature_alg_id().as_ref() == signature && one.public_key_alg_id().as_ref() == key
    };
    let Some(algorithm) = known.find(fits) else {
        return Finding::Unknown("the signature algorithm of one of them is not known here");
    };
    let verified = algorithm.verify_signature(
        &issuer.public_key().subject_public_key.data,
        certificate.tbs_certificate.as_ref(),
        &certificate.signature_value.data,
    );
    match verified {
        Ok(()) => Finding::Valid,
        Err(_) => Finding::Invalid("a signature is not its issuer's"),
    }
}

/// The content of an `AlgorithmIdentifier` in DER.
fn identifier(algorithm: &AlgorithmIdentifier<'_>) -> Option<Vec<u8>> {
    let mut bytes = algorithm.algorithm.to_der_vec().ok()?;
    if let Some(parameters) = &algorithm.parameters {
        bytes.extend(parameters.to_der_vec().ok()?);
    }
    Some(bytes)
}
