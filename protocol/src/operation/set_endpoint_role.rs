//! Set Endpoint Role (KMIP 2.1 section 6.1.54; 2.0 and later).

use super::request;
use crate::enums::EndpointRole;
use crate::structure;

structure! {
    /// Asks to change sides on this connection.
    pub struct SetEndpointRoleRequest {
        /// What the sender becomes.
        pub endpoint_role: EndpointRole = ENDPOINT_ROLE,
    }
}

structure! {
    /// The role taken.
    pub struct SetEndpointRoleResponse {
        /// What the sender of the request becomes.
        pub endpoint_role: EndpointRole = ENDPOINT_ROLE,
    }
}

request!(SetEndpointRoleRequest => SetEndpointRoleResponse, SetEndpointRole);
