//! Set Defaults (KMIP 2.1 section 6.1.53; 2.1).

use super::constraint::DefaultsInformation;
use super::request;
use crate::structure;

structure! {
    /// Sets what objects get where the client states nothing.
    #[derive(Default)]
    pub struct SetDefaultsRequest {
        /// The defaults; none where absent.
        pub defaults: Option<DefaultsInformation> = DEFAULTS_INFORMATION,
    }
}

structure! {
    /// They are set.
    #[derive(Default)]
    pub struct SetDefaultsResponse {}
}

request!(SetDefaultsRequest => SetDefaultsResponse, SetDefaults);
