//! What can be asked: one file for each operation, its request and its response side by side.

mod activate;
mod create_key_pair;
mod decrypt;
mod derive_key;
mod destroy;
mod discover_versions;
mod encrypt;
mod get;
mod get_attribute_list;
mod get_attributes;
mod locate;
mod query;
mod register;
mod rekey_key_pair;
mod revoke;
mod sign;
mod signature_verify;

use crate::enums::Operation;
use crate::ttlv::Value;

pub use activate::{ActivateRequest, ActivateResponse};
pub use create_key_pair::{CreateKeyPairRequest, CreateKeyPairResponse};
pub use decrypt::{DecryptRequest, DecryptResponse};
pub use derive_key::{DerivationParameters, DeriveKeyRequest, DeriveKeyResponse};
pub use destroy::{DestroyRequest, DestroyResponse};
pub use discover_versions::{DiscoverVersionsRequest, DiscoverVersionsResponse};
pub use encrypt::{EncryptRequest, EncryptResponse};
pub use get::{GetRequest, GetResponse};
pub use get_attribute_list::{GetAttributeListRequest, GetAttributeListResponse};
pub use get_attributes::{GetAttributesRequest, GetAttributesResponse};
pub use locate::{LocateRequest, LocateResponse};
pub use query::{
    CapabilityInformation, ExtensionInformation, ProfileInformation, QueryRequest, QueryResponse,
};
pub use register::{RegisterRequest, RegisterResponse};
pub use rekey_key_pair::{RekeyKeyPairRequest, RekeyKeyPairResponse};
pub use revoke::{RevokeRequest, RevokeResponse};
pub use sign::{SignRequest, SignResponse};
pub use signature_verify::{SignatureVerifyRequest, SignatureVerifyResponse};

/// A request payload: which operation it asks for, and what comes back.
pub trait Request: Value {
    /// The operation.
    const OPERATION: Operation;
    /// The payload of its response.
    type Response: Value;
}

macro_rules! request {
    ($request:ident => $response:ident, $operation:ident) => {
        impl $crate::operation::Request for $request {
            const OPERATION: $crate::enums::Operation = $crate::enums::Operation::$operation;
            type Response = $response;
        }
    };
}
use request;
