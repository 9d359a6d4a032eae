//! Replays KMIP test cases, as OASIS publishes them, against any KMIP server.
//!
//! A case is a list of requests, each with the response that is expected. What a response shows under a name
//! (`$UNIQUE_IDENTIFIER_0`) is kept and sent in later requests; what may vary from server to server is stated in one
//! place, [`rules`], and every other field has to be as the case has it.

mod bindings;
mod case;
mod chance;
mod compare;
mod https;
mod report;
pub mod rules;
mod run;

pub use case::{Case, CaseError, Node, Step};
pub use compare::Difference;
pub use https::Https;
pub use report::{Report, Verdict};
pub use run::{Exchange, Runner};
