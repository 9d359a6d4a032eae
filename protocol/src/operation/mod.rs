//! What can be asked: one file for each operation, its request and its response side by side.

mod activate;
mod add_attribute;
mod adjust_attribute;
mod archive;
mod cancel;
mod certify;
mod check;
mod constraint;
mod create;
mod create_key_pair;
mod create_split_key;
mod decrypt;
mod delegated_login;
mod delete_attribute;
mod derive_key;
mod destroy;
mod discover_versions;
mod encrypt;
mod export;
mod get;
mod get_attribute_list;
mod get_attributes;
mod get_constraints;
mod get_usage_allocation;
mod hash;
mod import;
mod interop;
mod join_split_key;
mod locate;
mod log;
mod login;
mod logout;
mod mac;
mod mac_verify;
mod modify_attribute;
mod notify;
mod obtain_lease;
mod pending;
mod ping;
mod pkcs_11;
mod poll;
mod process;
mod put;
mod query;
mod query_asynchronous_requests;
mod re_provision;
mod recertify;
mod recover;
mod register;
mod rekey;
mod rekey_key_pair;
mod revoke;
mod rights;
mod rng_retrieve;
mod rng_seed;
mod set_attribute;
mod set_constraints;
mod set_defaults;
mod set_endpoint_role;
mod sign;
mod signature_verify;
mod validate;
mod versions;

use crate::enums::Operation;
use crate::ttlv::Value;

pub use activate::{ActivateRequest, ActivateResponse};
pub use add_attribute::{AddAttributeRequest, AddAttributeResponse};
pub use adjust_attribute::{AdjustAttributeRequest, AdjustAttributeResponse};
pub use archive::{ArchiveRequest, ArchiveResponse};
pub use cancel::{CancelRequest, CancelResponse};
pub use certify::{CertificateRequestValue, CertifyRequest, CertifyResponse};
pub use check::{CheckRequest, CheckResponse};
pub use constraint::{
    Constraint, Constraints, DefaultedTypes, DefaultsInformation, ObjectDefaults, ObjectGroups, ObjectTypes,
};
pub use create::{CreateRequest, CreateResponse};
pub use create_key_pair::{CreateKeyPairRequest, CreateKeyPairResponse};
pub use create_split_key::{CreateSplitKeyRequest, CreateSplitKeyResponse};
pub use decrypt::{DecryptRequest, DecryptResponse};
pub use delegated_login::{DelegatedLoginRequest, DelegatedLoginResponse};
pub use delete_attribute::{DeleteAttributeRequest, DeleteAttributeResponse};
pub use derive_key::{DerivationParameters, DeriveKeyRequest, DeriveKeyResponse};
pub use destroy::{DestroyRequest, DestroyResponse};
pub use discover_versions::{DiscoverVersionsRequest, DiscoverVersionsResponse};
pub use encrypt::{EncryptRequest, EncryptResponse};
pub use export::{ExportRequest, ExportResponse};
pub use get::{GetRequest, GetResponse};
pub use get_attribute_list::{GetAttributeListRequest, GetAttributeListResponse};
pub use get_attributes::{GetAttributesRequest, GetAttributesResponse};
pub use get_constraints::{GetConstraintsRequest, GetConstraintsResponse};
pub use get_usage_allocation::{GetUsageAllocationRequest, GetUsageAllocationResponse};
pub use hash::{HashRequest, HashResponse};
pub use import::{ImportRequest, ImportResponse};
pub use interop::{InteropRequest, InteropResponse};
pub use join_split_key::{JoinSplitKeyRequest, JoinSplitKeyResponse};
pub use locate::{LocateCriteria, LocateRequest, LocateResponse};
pub use log::{LogRequest, LogResponse};
pub use login::{LeaseTime, LoginRequest, LoginResponse};
pub use logout::{LogoutRequest, LogoutResponse};
pub use mac::{MacRequest, MacResponse};
pub use mac_verify::{MacVerifyRequest, MacVerifyResponse};
pub use modify_attribute::{ModifyAttributeRequest, ModifyAttributeResponse};
pub use notify::{NotifyRequest, NotifyResponse};
pub use obtain_lease::{ObtainLeaseRequest, ObtainLeaseResponse};
pub use pending::{AsynchronousCorrelationValues, AsynchronousRequest, Operations};
pub use ping::{PingRequest, PingResponse};
pub use pkcs_11::{Pkcs11Call, Pkcs11Request, Pkcs11Response};
pub use poll::{PollRequest, PollResponse};
pub use process::{ProcessRequest, ProcessResponse};
pub use put::{PutRequest, PutResponse};
pub use query::{
    CapabilityInformation, ExtensionInformation, ExtensionType, ProfileInformation, ProfileVersion,
    QueryRequest, QueryResponse, ValidationInformation,
};
pub use query_asynchronous_requests::{QueryAsynchronousRequestsRequest, QueryAsynchronousRequestsResponse};
pub use re_provision::{ReProvisionRequest, ReProvisionResponse};
pub use recertify::{RecertifyRequest, RecertifyResponse};
pub use recover::{RecoverRequest, RecoverResponse};
pub use register::{RegisterRequest, RegisterResponse};
pub use rekey::{RekeyRequest, RekeyResponse};
pub use rekey_key_pair::{RekeyKeyPairRequest, RekeyKeyPairResponse};
pub use revoke::{RevokeRequest, RevokeResponse};
pub use rights::{Objects, Right, Rights};
pub use rng_retrieve::{RngRetrieveRequest, RngRetrieveResponse};
pub use rng_seed::{RngSeedRequest, RngSeedResponse};
pub use set_attribute::{SetAttributeRequest, SetAttributeResponse};
pub use set_constraints::{SetConstraintsRequest, SetConstraintsResponse};
pub use set_defaults::{SetDefaultsRequest, SetDefaultsResponse};
pub use set_endpoint_role::{SetEndpointRoleRequest, SetEndpointRoleResponse};
pub use sign::{SignRequest, SignResponse};
pub use signature_verify::{SignatureVerifyRequest, SignatureVerifyResponse};
pub use validate::{ValidateRequest, ValidateResponse};
pub use versions::brought_by;

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
