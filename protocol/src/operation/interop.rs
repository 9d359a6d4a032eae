//! Interop (KMIP 2.1 section 6.1.26; 2.0 and later).

use super::request;
use crate::enums::InteropFunction;
use crate::structure;

structure! {
    /// Says where a test case begins and ends.
    pub struct InteropRequest {
        /// Begin, end or reset.
        pub interop_function: InteropFunction = INTEROP_FUNCTION,
        /// Which case.
        pub interop_identifier: Option<String> = INTEROP_IDENTIFIER,
    }
}

structure! {
    /// It is noted.
    #[derive(Default)]
    pub struct InteropResponse {}
}

request!(InteropRequest => InteropResponse, Interop);
