//! PKCS#11 (KMIP 2.1 section 6.1.37; 2.0 and later).

use super::request;
use crate::enums::{Enumeration as _, Pkcs11Function, Pkcs11ReturnCode};
use crate::error::DecodeError;
use crate::ttlv::Bytes;
use crate::ttlv::{Content, Item, ItemType, Value, Writer};
use crate::{Secret, Tag, structure};

structure! {
    no Clone
    /// Calls a function of PKCS#11.
    pub struct Pkcs11Request {
        /// The interface; that of version 3.0 where absent.
        pub interface: Option<String> = PKCS_11_INTERFACE,
        /// The function.
        pub function: Pkcs11Call = PKCS_11_FUNCTION,
        /// What the server gave with its last response.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE,
        /// Parameters, as the PKCS#11 profile encodes them.
        pub input_parameters: Option<Secret> = PKCS_11_INPUT_PARAMETERS,
    }
}

structure! {
    no Clone
    /// What the function returned.
    pub struct Pkcs11Response {
        /// The interface.
        pub interface: Option<String> = PKCS_11_INTERFACE,
        /// The function.
        pub function: Pkcs11Call = PKCS_11_FUNCTION,
        /// What the client has to give with its next request.
        pub correlation_value: Option<Bytes> = CORRELATION_VALUE,
        /// Results, as the PKCS#11 profile encodes them.
        pub output_parameters: Option<Secret> = PKCS_11_OUTPUT_PARAMETERS,
        /// The CK_RV.
        pub return_code: Pkcs11ReturnCode = PKCS_11_RETURN_CODE,
    }
}

/// A function of PKCS#11, or one of a vendor's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pkcs11Call {
    /// A function of the standard.
    Standard(Pkcs11Function),
    /// A vendor's.
    Vendor(i32),
}

impl Value for Pkcs11Call {
    fn read(item: Item<'_>) -> Result<Self, DecodeError> {
        match item.content {
            Content::Enumeration(function) => Ok(Self::Standard(Pkcs11Function::from_value(function))),
            Content::Integer(function) => Ok(Self::Vendor(function)),
            _ => Err(item.wrong_type(ItemType::Enumeration)),
        }
    }

    fn write(&self, writer: &mut Writer, tag: Tag) {
        match self {
            Self::Standard(function) => function.write(writer, tag),
            Self::Vendor(function) => function.write(writer, tag),
        }
    }
}

request!(Pkcs11Request => Pkcs11Response, Pkcs11);
