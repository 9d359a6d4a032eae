//! Payloads of every operation, read for what is wrong with them.

use kms_protocol::enums::Operation;
use kms_protocol::error::DecodeError;
use kms_protocol::operation::*;
use kms_protocol::ttlv::{Item, Value as _};

macro_rules! payloads {
    ($($request:ident)*) => {
        /// Whether a payload is what its operation's is.
        ///
        /// # Errors
        /// The first thing that is not.
        pub(super) fn check(
            operation: Operation,
            payload: Item<'_>,
            is_response: bool,
        ) -> Result<(), DecodeError> {
            $(
                if operation == $request::OPERATION {
                    return match is_response {
                        true => <$request as Request>::Response::read(payload).map(drop),
                        false => $request::read(payload).map(drop),
                    };
                }
            )*
            Ok(())
        }
    };
}

payloads! {
    ActivateRequest AddAttributeRequest AdjustAttributeRequest ArchiveRequest CancelRequest CertifyRequest
    CheckRequest CreateKeyPairRequest CreateRequest CreateSplitKeyRequest DecryptRequest
    DelegatedLoginRequest DeleteAttributeRequest DeriveKeyRequest DestroyRequest DiscoverVersionsRequest
    EncryptRequest ExportRequest GetAttributeListRequest GetAttributesRequest GetConstraintsRequest
    GetRequest GetUsageAllocationRequest HashRequest ImportRequest InteropRequest JoinSplitKeyRequest
    LocateCriteria LogRequest LoginRequest LogoutRequest MacRequest MacVerifyRequest ModifyAttributeRequest
    NotifyRequest ObtainLeaseRequest PingRequest Pkcs11Request PollRequest ProcessRequest PutRequest
    QueryAsynchronousRequestsRequest QueryRequest ReProvisionRequest RecertifyRequest RecoverRequest
    RegisterRequest RekeyKeyPairRequest RekeyRequest RevokeRequest RngRetrieveRequest RngSeedRequest
    SetAttributeRequest SetConstraintsRequest SetDefaultsRequest SetEndpointRoleRequest SignRequest
    SignatureVerifyRequest ValidateRequest
}
