//! Credentials of every type, there and back in a request's header, and never printed.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use kms_protocol::credential::{
    Attestation, Credential, Device, HashedPassword, Nonce, OneTimePassword, Ticket, TicketCredential,
    UsernameAndPassword,
};
use kms_protocol::enums::{AttestationType, CredentialType, TicketType};
use kms_protocol::message::{Authentication, RequestBuilder, RequestHeader, RequestMessage};
use kms_protocol::operation::ActivateRequest;
use kms_protocol::ttlv::{Bytes, DateTimeExtended, RawValue};
use kms_protocol::{Secret, Version};

fn credentials() -> Vec<Credential> {
    let username = || "backup".to_owned();
    vec![
        Credential::UsernameAndPassword(UsernameAndPassword {
            username: username(),
            password: Some("s3cret".into()),
        }),
        Credential::Device(Device {
            serial_number: Some("7".into()),
            password: Some("s3cret".into()),
            ..Device::default()
        }),
        Credential::Attestation(Attestation {
            nonce: Nonce { id: Bytes(vec![1]), value: Bytes(vec![2]) },
            attestation_type: AttestationType::TpmQuote,
            measurement: Some(Bytes(vec![3])),
            assertion: None,
        }),
        Credential::OneTimePassword(OneTimePassword {
            username: username(),
            password: None,
            one_time_password: "s3cret".into(),
        }),
        Credential::HashedPassword(HashedPassword {
            username: username(),
            time_stamp: DateTimeExtended(9),
            hashing_algorithm: None,
            hashed_password: Secret::from(&b"s3cret"[..]),
        }),
        Credential::Ticket(TicketCredential {
            ticket: Ticket { ticket_type: TicketType::Login, value: Secret::from(&b"s3cret"[..]) },
        }),
        Credential::Other(CredentialType::Other(0x8000_0001), RawValue::text("whatever")),
    ]
}

#[test]
fn credentials_of_every_type_are_the_same_after_their_way_over_the_wire() {
    let header = RequestHeader {
        authentication: Some(Arc::new(Authentication { credentials: credentials() })),
        ..RequestHeader::new(Version::V2_1)
    };
    let mut request = RequestBuilder::new(header);
    request.push(&ActivateRequest::default(), None);
    let bytes = request.finish();
    let read = RequestMessage::read(bytes.expose()).expect("a request").header.authentication;
    assert_eq!(read.expect("credentials").credentials, credentials());
}

#[test]
fn no_password_is_printed() {
    let printed = format!("{:?}", credentials());
    assert!(printed.contains("backup") && !printed.contains("s3cret"), "{printed}");
}
