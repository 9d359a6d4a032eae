//! What a client may say of itself besides what the transport proves (KMIP 1.4 section 2.1.2, 2.1 section 9.11).

use crate::enums::{AttestationType, CredentialType, HashingAlgorithm, TicketType};
use crate::error::DecodeError;
use crate::ttlv::{Bytes, Content, DateTimeExtended, Item, ItemType, RawValue, Value, Writer};
use crate::{Secret, Tag, structure};

/// A Text String that is a secret: a password.
#[derive(PartialEq, Eq, Debug)]
pub struct Password(pub Secret);

impl From<&str> for Password {
    fn from(password: &str) -> Self {
        Self(Secret::from(password.as_bytes()))
    }
}

impl Value for Password {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::TextString(text) => Ok(Self::from(text)),
            _ => Err(item.wrong_type(ItemType::TextString)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        writer.secret_text(tag, &self.0);
    }
}

/// Credential: its value has the structure of its type.
#[derive(PartialEq, Debug)]
pub enum Credential {
    /// Username and Password.
    UsernameAndPassword(UsernameAndPassword),
    /// Device (1.1 and later).
    Device(Device),
    /// Attestation (1.2 and later).
    Attestation(Attestation),
    /// One Time Password (2.0 and later).
    OneTimePassword(OneTimePassword),
    /// Hashed Password (2.0 and later).
    HashedPassword(HashedPassword),
    /// Ticket (2.0 and later).
    Ticket(TicketCredential),
    /// Of a type that this crate does not know.
    Other(CredentialType, RawValue),
}

structure! {
    no Clone
    /// Username and Password.
    pub struct UsernameAndPassword {
        /// Who it is.
        pub username: String = USERNAME,
        /// What proves it.
        pub password: Option<Password> = PASSWORD,
    }
}

structure! {
    no Clone
    /// Device: its identifiers together are unique.
    #[derive(Default)]
    pub struct Device {
        /// The serial number.
        pub serial_number: Option<String> = DEVICE_SERIAL_NUMBER,
        /// What proves it.
        pub password: Option<Password> = PASSWORD,
        /// The device.
        pub device: Option<String> = DEVICE_IDENTIFIER,
        /// Its network.
        pub network: Option<String> = NETWORK_IDENTIFIER,
        /// The machine it is in.
        pub machine: Option<String> = MACHINE_IDENTIFIER,
        /// The media in it.
        pub media: Option<String> = MEDIA_IDENTIFIER,
    }
}

structure! {
    /// Attestation.
    pub struct Attestation {
        /// The server's challenge.
        pub nonce: Nonce = NONCE,
        /// How the client attests.
        pub attestation_type: AttestationType = ATTESTATION_TYPE,
        /// What it measured of itself.
        pub measurement: Option<Bytes> = ATTESTATION_MEASUREMENT,
        /// What a third party says of it.
        pub assertion: Option<Bytes> = ATTESTATION_ASSERTION,
    }
}

structure! {
    /// Nonce (KMIP 1.4 section 2.1.14).
    #[derive(Eq)]
    pub struct Nonce {
        /// By what the server knows it.
        pub id: Bytes = NONCE_ID,
        /// The challenge.
        pub value: Bytes = NONCE_VALUE,
    }
}

structure! {
    no Clone
    /// One Time Password.
    pub struct OneTimePassword {
        /// Who it is.
        pub username: String = USERNAME,
        /// What proves it.
        pub password: Option<Password> = PASSWORD,
        /// What proves it this once.
        pub one_time_password: Password = ONE_TIME_PASSWORD,
    }
}

structure! {
    no Clone
    /// Hashed Password.
    pub struct HashedPassword {
        /// Who it is.
        pub username: String = USERNAME,
        /// When it was hashed; later each time.
        pub time_stamp: DateTimeExtended = TIME_STAMP,
        /// The hash; SHA-256 where absent.
        pub hashing_algorithm: Option<HashingAlgorithm> = HASHING_ALGORITHM,
        /// The password, hashed with the name and the time.
        pub hashed_password: Secret = HASHED_PASSWORD,
    }
}

structure! {
    no Clone
    /// A ticket as a credential.
    pub struct TicketCredential {
        /// The ticket.
        pub ticket: Ticket = TICKET,
    }
}

structure! {
    no Clone
    /// Ticket (KMIP 2.1 section 7.39).
    pub struct Ticket {
        /// What it came from.
        pub ticket_type: TicketType = TICKET_TYPE,
        /// What proves it.
        pub value: Secret = TICKET_VALUE,
    }
}

impl Credential {
    /// The credential's type.
    #[must_use]
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::UsernameAndPassword(_) => CredentialType::UsernameAndPassword,
            Self::Device(_) => CredentialType::Device,
            Self::Attestation(_) => CredentialType::Attestation,
            Self::OneTimePassword(_) => CredentialType::OneTimePassword,
            Self::HashedPassword(_) => CredentialType::HashedPassword,
            Self::Ticket(_) => CredentialType::Ticket,
            Self::Other(credential_type, _) => *credential_type,
        }
    }
}

impl Value for Credential {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        let mut reader = item.structure()?;
        let credential_type = reader.field(Tag::CREDENTIAL_TYPE)?;
        let tag = Tag::CREDENTIAL_VALUE;
        let credential = match credential_type {
            CredentialType::UsernameAndPassword => reader.field(tag).map(Self::UsernameAndPassword)?,
            CredentialType::Device => reader.field(tag).map(Self::Device)?,
            CredentialType::Attestation => reader.field(tag).map(Self::Attestation)?,
            CredentialType::OneTimePassword => reader.field(tag).map(Self::OneTimePassword)?,
            CredentialType::HashedPassword => reader.field(tag).map(Self::HashedPassword)?,
            CredentialType::Ticket => reader.field(tag).map(Self::Ticket)?,
            CredentialType::Other(_) => Self::Other(credential_type, reader.field(tag)?),
        };
        reader.finish()?;
        Ok(credential)
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        writer.structure(tag, |writer| {
            writer.field(Tag::CREDENTIAL_TYPE, &self.credential_type());
            let tag = Tag::CREDENTIAL_VALUE;
            match self {
                Self::UsernameAndPassword(value) => value.write(writer, tag),
                Self::Device(value) => value.write(writer, tag),
                Self::Attestation(value) => value.write(writer, tag),
                Self::OneTimePassword(value) => value.write(writer, tag),
                Self::HashedPassword(value) => value.write(writer, tag),
                Self::Ticket(value) => value.write(writer, tag),
                Self::Other(_, value) => value.write(writer, tag),
            }
        });
    }
}
