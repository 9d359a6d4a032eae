//! Tools for messages outside a server: read from whatever form they are in, shown, compared, and examined byte by byte.
//! Pure: bytes and texts in, texts out.

mod capture;
mod compare;
mod input;
mod lint;
mod payload;
mod tree;

pub use compare::differences;
pub use input::{Form, InputError, messages};
pub use lint::{Finding, lint};
pub use tree::tree;
