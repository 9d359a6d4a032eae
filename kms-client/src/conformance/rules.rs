//! What may vary from one conforming server to another, all in one place.
//!
//! The KMIP profiles permit a server to vary identifiers, times, what it says of itself, the words of an error, and
//! everything that follows from random numbers of its own. Nothing else varies.

use super::Node;

/// Items whose value is the server's own affair, wherever they stand in a response. They have to be of the right type.
pub const ANY_VALUE: &[&str] = &[
    // The server numbers the instances of an attribute, and may leave a 0 out.
    "AttributeIndex",
    "ClientCorrelationValue",
    "ServerCorrelationValue",
    "TimeStamp",
    "ResultMessage",
    "AsynchronousCorrelationValue",
    "CorrelationValue",
    "LeaseTime",
    "PKCS_11OutputParameters",
];

/// Structures whose content is the server's own affair.
pub const ANY_CONTENT: &[&str] = &["ServerInformation", "RandomNumberGenerator", "RNGParameters"];

/// Items that a server may add to a response, or leave out of it.
pub const OPTIONAL: &[&str] =
    &["AttributeIndex", "ClientCorrelationValue", "ServerCorrelationValue", "ResultMessage", "LocatedItems"];

/// What a server says of itself in the payload of a Query response.
pub const OF_THE_SERVER: &[&str] = &["VendorIdentification", "ServerInformation"];

/// What a server need not have to say of itself in the payload of a Query response: extensions are a vendor's own.
pub const OF_ONE_VENDOR: &[&str] = &["ExtensionInformation", "ApplicationNamespace"];

/// Values that follow from the server's random numbers where the key is its own: as long as in the case, and from then
/// on what the case's literal stands for.
pub const BY_CHANCE: &[&str] = &[
    "Data",
    "IVCounterNonce",
    "AuthenticatedEncryptionTag",
    "SignatureData",
    "MACData",
    "DigestValue",
    "KeyMaterial",
    "KeyValue",
    // Transparent keys.
    "Key",
    "Modulus",
    "QString",
];

/// Operations whose objects follow from random numbers where those that they are made from do.
pub const MAKES_FROM_OTHERS: &[&str] = &["DeriveKey", "JoinSplitKey"];

/// Operations that make objects whose keys are random.
pub const MAKES_KEYS: &[&str] = &["Create", "CreateKeyPair", "ReKey", "ReKeyKeyPair", "CreateSplitKey"];

/// Operations whose data is random whatever key they use.
pub const RANDOM: &[&str] = &["RNGRetrieve"];

/// What an operation makes by chance, whatever its key: padding that is random, an IV that the server picks. `parameters`
/// are those of the request or, where it has none, of the key.
#[must_use]
pub fn randomised(operation: &str, parameters: Option<&Node>, is_rsa: bool) -> &'static [&'static str] {
    let stated = |name: &str| parameters.and_then(|parameters| parameters.text(name)).unwrap_or_default();
    match operation {
        "Encrypt" if stated("RandomIV") == "true" => {
            &["Data", "IVCounterNonce", "AuthenticatedEncryptionTag"]
        }
        "Encrypt" if is_rsa && stated("PaddingMethod") != "None" => &["Data"],
        "Sign" | "SignatureVerify" => {
            let algorithm = stated("DigitalSignatureAlgorithm");
            let is_salted = stated("PaddingMethod") == "PSS" || algorithm.contains("PSS");
            let is_curve = algorithm.starts_with("ECDSA") || stated("CryptographicAlgorithm").contains("DSA");
            if is_salted || is_curve { &["SignatureData"] } else { &[] }
        }
        _ => &[],
    }
}

/// Whether what chance made is as long as what the case shows. The numbers of an ECDSA signature may be shorter by some
/// bytes, as DER writes them.
#[must_use]
pub fn as_long(name: &str, expected: &str, got: &str) -> bool {
    let is_der = |text: &str| text.starts_with("30") && text.len() > 16;
    expected.len() == got.len()
        || (name == "SignatureData"
            && is_der(expected)
            && is_der(got)
            && expected.len().abs_diff(got.len()) < 16)
}

/// Seconds by which a time that a case states from now may be off: a slow server, and clocks that differ.
pub const CLOCKS_DIFFER: i64 = 120;

/// Whether the items of a structure may come in any order.
#[must_use]
pub fn in_any_order(operation: &str, parent: &str) -> bool {
    match operation {
        // Its lists have no order.
        "Query" => parent == "ResponsePayload",
        // Attributes have none; the instances of one attribute do, which have the same name.
        "GetAttributeList" | "GetAttributes" | "Export" => {
            matches!(parent, "ResponsePayload" | "Attributes")
        }
        _ => false,
    }
}

/// Whether a server may add this item where the order does not matter: what it can do beyond the case.
#[must_use]
pub fn may_add(operation: &str, item: &str, named_attributes: bool) -> bool {
    match operation {
        "Query" => true,
        "GetAttributeList" => matches!(item, "AttributeName" | "AttributeReference"),
        // Who asks for all attributes gets all that this server has.
        "GetAttributes" => !named_attributes && item != "UniqueIdentifier",
        "Export" => item != "UniqueIdentifier",
        _ => false,
    }
}
