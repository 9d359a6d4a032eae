//! Set Endpoint Role (KMIP 2.1 section 6.1.54; 2.0 and later).

use super::request;
use crate::enums::EndpointRole;
use crate::structure;

structure! {
    /// Asks the other side to take a role on this connection from then on.
    pub struct SetEndpointRoleRequest {
        /// What the receiver shall become; the sender becomes the other.
        pub endpoint_role: EndpointRole = ENDPOINT_ROLE,
    }
}

structure! {
    /// The role taken.
    pub struct SetEndpointRoleResponse {
        /// What the receiver of the request is from now on.
        pub endpoint_role: EndpointRole = ENDPOINT_ROLE,
    }
}

request!(SetEndpointRoleRequest => SetEndpointRoleResponse, SetEndpointRole);
